/*
 * session/tracing.c
 *	  How many spans were exported, for the view tracing.
 *
 * Runs in a user's backend; only reads shared memory.
 */
#include "postgres.h"

#include "access/htup_details.h"
#include "fmgr.h"
#include "funcapi.h"
#include "shared/spans.h"
#include "utils/builtins.h"

PG_FUNCTION_INFO_V1(dataflows_tracing);

Datum
dataflows_tracing(PG_FUNCTION_ARGS)
{
	TupleDesc desc;
	DfSpanCounts counts;
	Datum values[4];
	bool nulls[4] = {false, false, false, false};

	if (get_call_result_type(fcinfo, NULL, &desc) != TYPEFUNC_COMPOSITE)
		elog(ERROR, "return type must be a row type");
	df_spans_counts(&counts);
	values[0] = Int64GetDatum((int64) counts.exported);
	values[1] = Int64GetDatum((int64) counts.dropped);
	values[2] = Int32GetDatum(counts.waiting);
	nulls[3] = counts.error[0] == '\0';
	values[3] = nulls[3] ? (Datum) 0 : CStringGetTextDatum(counts.error);
	PG_RETURN_DATUM(HeapTupleGetDatum(heap_form_tuple(BlessTupleDesc(desc), values, nulls)));
}
