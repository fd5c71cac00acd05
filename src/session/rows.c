/*
 * session/rows.c
 *	  Functions that return rows: the first call computes all of them.
 *
 * Runs in sessions, in the caller's transaction and role.  All rows show the same moment, so
 * nothing may be read between two rows.  Do not use it for more rows than fit into memory.
 */
#include "postgres.h"

#include "funcapi.h"
#include "session/rows.h"
#include "utils/lsyscache.h"

Datum
df_return_rows(FunctionCallInfo fcinfo, DfMakeRows make, const char *hint)
{
	FuncCallContext *call;
	HeapTuple row;

	if (SRF_IS_FIRSTCALL())
	{
		MemoryContext old;
		TupleDesc desc;

		call = SRF_FIRSTCALL_INIT();
		old = MemoryContextSwitchTo(call->multi_call_memory_ctx);
		if (get_call_result_type(fcinfo, NULL, &desc) != TYPEFUNC_COMPOSITE)
			ereport(
				ERROR,
				(errcode(ERRCODE_FEATURE_NOT_SUPPORTED),
				 errmsg("function \"%s\" must return rows", get_func_name(fcinfo->flinfo->fn_oid)),
				 errhint("%s", hint)));
		call->user_fctx = make(fcinfo, BlessTupleDesc(desc));
		MemoryContextSwitchTo(old);
	}

	call = SRF_PERCALL_SETUP();
	if (call->call_cntr >= (uint64) list_length(call->user_fctx))
		SRF_RETURN_DONE(call);
	/* the macro increments the counter before it evaluates the row */
	row = list_nth(call->user_fctx, call->call_cntr);
	SRF_RETURN_NEXT(call, HeapTupleGetDatum(row));
}
