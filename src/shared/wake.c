/*
 * shared/wake.c
 *	  Wake at commit: a hint, never the truth.
 *
 * Runs in whatever process writes rows that the engine is to look at, in its
 * transaction.  The wishes are kept in static memory until the transaction
 * ends; at the commit, when its rows are visible to all, each latch is set
 * once.  A wish made in a subtransaction that is rolled back wakes somebody for
 * nothing, which is harmless.  PREPARE TRANSACTION forgets the wishes: at
 * COMMIT PREPARED, which cannot know them, everybody is woken.  The callback
 * must never raise an error: the transaction is committed by then.
 */
#include "postgres.h"

#include "access/xact.h"
#include "miscadmin.h"

#include "shared/slots.h"
#include "shared/wake.h"

#define MAX_WISHES 16

static Oid owners[MAX_WISHES];
static int n_owners = 0;
static bool everybody = false; /* more than MAX_WISHES owners, or unknown ones */
static bool awaiters = false;
static bool launcher = false;

static void
forget(void)
{
	n_owners = 0;
	everybody = false;
	awaiters = false;
	launcher = false;
}

static void
grant_wishes(void)
{
	if (everybody)
		df_slot_wake_all(MyDatabaseId);
	else
	{
		for (int i = 0; i < n_owners; i++)
			df_slot_wake(DF_SLOT_WORKER, MyDatabaseId, owners[i]);
	}
	if (launcher)
		df_launcher_check(MyDatabaseId);
	if (awaiters)
		ConditionVariableBroadcast(&df_shared->moved);
}

static void
at_xact_end(XactEvent event, void *arg)
{
	switch (event)
	{
		case XACT_EVENT_COMMIT:
			grant_wishes();
			forget();
			break;
		case XACT_EVENT_ABORT:
		case XACT_EVENT_PREPARE:
			forget();
			break;
		default:
			break;
	}
}

/* false if nobody is there to be woken: the library was not preloaded */
static bool
can_wake(void)
{
	static bool registered = false;

	if (df_shared == NULL)
		return false;
	if (!registered)
	{
		RegisterXactCallback(at_xact_end, NULL);
		registered = true;
	}
	return true;
}

void
df_wake_owner(Oid owner)
{
	if (!can_wake() || everybody)
		return;
	for (int i = 0; i < n_owners; i++)
		if (owners[i] == owner)
			return;
	if (n_owners == MAX_WISHES)
		everybody = true;
	else
		owners[n_owners++] = owner;
}

void
df_wake_everybody(void)
{
	if (can_wake())
		everybody = awaiters = true;
}

void
df_wake_awaiters(void)
{
	if (can_wake())
		awaiters = true;
}

void
df_wake_launcher(void)
{
	if (can_wake())
		launcher = true;
}
