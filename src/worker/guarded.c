/*
 * worker/guarded.c
 *	  Work of a process whose error is not to end it.
 *
 * Runs in every process of the engine, which is in no transaction when it calls
 * and in none when it is back.  The role does not matter.  It must never be used
 * for work that holds anything but what the end of a transaction gives back.
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
