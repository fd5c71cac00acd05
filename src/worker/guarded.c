/*
 * worker/guarded.c
 *	  Calls a function whose errors must not end the process.
 *
 * Runs in every process of the engine, in any role.  There is no transaction when it
 * is called, and none when it returns.  Never use it for work that holds anything
 * that the end of a transaction does not release.
 */
#include "postgres.h"

#include "miscadmin.h"
#include "utils/memutils.h"

#include "store/xact.h"
#include "worker/guarded.h"

/* returns the SQLSTATE */
int
df_caught(DfTrouble *trouble, MemoryContext context)
{
	ErrorData *error;
	int sqlerrcode;

	HOLD_INTERRUPTS();
	MemoryContextSwitchTo(context);
	error = CopyErrorData();
	FlushErrorState();
	df_xact_abort();
	MemoryContextSwitchTo(context);
	df_trouble_note(trouble, error);
	sqlerrcode = error->sqlerrcode;
	FreeErrorData(error);
	RESUME_INTERRUPTS();
	return sqlerrcode;
}

bool
df_guarded(void (*action)(void), DfTrouble *trouble)
{
	volatile bool done = false;
	MemoryContext context = CurrentMemoryContext;

	PG_TRY();
	{
		action();
		done = true;
	}
	PG_CATCH();
	{
		(void) df_caught(trouble, context);
	}
	PG_END_TRY();
	if (done)
		df_trouble_over(trouble);
	return done;
}
