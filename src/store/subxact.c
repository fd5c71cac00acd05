/*
 * store/subxact.c
 *	  Runs an action whose error is an expected result.
 *
 * Runs in the ingress process and in sessions that pass webhooks on, in their
 * transaction and role.  An action that entered the store must leave it; after an
 * error it has been left already.
 */
#include "postgres.h"

#include "access/xact.h"
#include "utils/memutils.h"
#include "utils/resowner.h"

#include "store/subxact.h"

/*
 * Runs the action in a subtransaction, in the present memory context.  An error
 * is an answer: what it did is gone, and *error tells it.  With keep = false what
 * it did is gone anyway.
 */
bool
df_subxact(void (*action)(void *), void *arg, bool keep, ErrorData **error)
{
	MemoryContext cxt = CurrentMemoryContext;
	ResourceOwner owner = CurrentResourceOwner;
	volatile bool ok = false;

	*error = NULL;
	BeginInternalSubTransaction(NULL);
	MemoryContextSwitchTo(cxt);
	PG_TRY();
	{
		action(arg);
		MemoryContextSwitchTo(cxt);
		if (keep)
			ReleaseCurrentSubTransaction();
		else
			RollbackAndReleaseCurrentSubTransaction();
		ok = true;
	}
	PG_CATCH();
	{
		MemoryContextSwitchTo(cxt);
		*error = CopyErrorData();
		FlushErrorState();
		RollbackAndReleaseCurrentSubTransaction();
	}
	PG_END_TRY();
	MemoryContextSwitchTo(cxt);
	CurrentResourceOwner = owner;
	return ok;
}
