/*
 * shared/wake.c
 *	  Wakes the engine's processes when a transaction commits.
 *
 * Runs in any process that writes rows for the engine, in its transaction.  Requests
 * to wake are collected in static memory until the transaction ends; after the
 * commit, when its rows are visible, each latch is set once.  A wake is only a hint: a
 * lost one costs time, and one of a subtransaction that was rolled back wakes a process
 * for nothing.  PREPARE TRANSACTION forgets the requests, so COMMIT PREPARED, which
 * cannot know them, wakes everybody.  Never raise an error in the callback: the
 * transaction is committed by then.
 */
#include "postgres.h"

#include "access/xact.h"
#include "common/hashfn.h"
#include "miscadmin.h"

#include "shared/clock.h"
#include "shared/slots.h"
#include "shared/wake.h"

#define MAX_OWNERS 16

static Oid owners[MAX_OWNERS];
static int n_owners = 0;
static bool everybody = false; /* more than MAX_OWNERS owners, or unknown ones */
static uint64 awaited[DF_AWAIT_GROUPS / 64]; /* a bit for each group of runs */
static bool awaiters = false; /* any bit is set */
static bool launcher = false;
static bool coordinator = false;

static void
forget(void)
{
	n_owners = 0;
	everybody = false;
	if (awaiters)
		memset(awaited, 0, sizeof(awaited));
	awaiters = false;
	launcher = false;
	coordinator = false;
}

static void
wake_all_requested(void)
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
	if (coordinator)
		df_slot_wake_to_send(MyDatabaseId);
	for (int i = 0; awaiters && i < DF_AWAIT_GROUPS; i++)
		if (awaited[i / 64] >> (i % 64) & 1)
			ConditionVariableBroadcast(&df_shared->moved[i]);
}

static void
at_xact_end(XactEvent event, void *arg)
{
	switch (event)
	{
		case XACT_EVENT_COMMIT:
			wake_all_requested();
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

/* false: the library was not preloaded, so there is no engine to wake; or nothing is to happen */
static bool
can_wake(void)
{
	static bool registered = false;

	if (df_shared == NULL || df_clock_is_simulated())
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
	if (n_owners == MAX_OWNERS)
		everybody = true;
	else
		owners[n_owners++] = owner;
}

void
df_wake_everybody(void)
{
	if (can_wake())
		everybody = true;
	df_wake_awaiters(NULL);
}

static int
group_of(const pg_uuid_t *run)
{
	return hash_bytes(run->data, UUID_LEN) % DF_AWAIT_GROUPS;
}

void
df_wake_awaiters(const pg_uuid_t *run)
{
	if (!can_wake())
		return;
	awaiters = true;
	if (run == NULL)
		memset(awaited, 0xff, sizeof(awaited));
	else
		awaited[group_of(run) / 64] |= UINT64CONST(1) << group_of(run) % 64;
}

ConditionVariable *
df_awaited(const pg_uuid_t *run)
{
	return &df_shared->moved[group_of(run)];
}

void
df_wake_coordinator(void)
{
	if (can_wake())
		coordinator = true;
}

void
df_wake_launcher(void)
{
	if (can_wake())
		launcher = true;
}
