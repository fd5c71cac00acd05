/*
 * shared/holds.c
 *	  Databases in which no process of ours may run, while some DDL needs them.
 *
 * Used by user sessions, in the transaction of that DDL, and by every process of the
 * engine, under the lock of the slots: never raise an error, allocate or wait while
 * holding it.
 */
#include "postgres.h"

#include <signal.h>

#include "miscadmin.h"

#include "shared/slots.h"

/* this backend has holds to release */
static bool has_holds = false;

bool
df_database_held(Oid database)
{
	for (int i = 0; i < DF_MAX_HOLDS; i++)
		if (df_shared->holds[i].database == database)
			return true;
	return false;
}

bool
df_hold_database(Oid database)
{
	bool done = false;

	LWLockAcquire(df_shared->lock, LW_EXCLUSIVE);
	for (int i = 0; i < DF_MAX_HOLDS && !done; i++)
	{
		DfHold *hold = &df_shared->holds[i];

		if (OidIsValid(hold->database))
			continue;
		hold->database = database;
		hold->pid = MyProcPid;
		done = true;
	}
	LWLockRelease(df_shared->lock);
	has_holds |= done;
	return done;
}

void
df_hold_release(void)
{
	if (!has_holds)
		return;
	LWLockAcquire(df_shared->lock, LW_EXCLUSIVE);
	for (int i = 0; i < DF_MAX_HOLDS; i++)
		if (df_shared->holds[i].pid == MyProcPid)
			memset(&df_shared->holds[i], 0, sizeof(DfHold));
	LWLockRelease(df_shared->lock);
	df_launcher_wake();
	has_holds = false;
}

/* a process removes its pid from the slot under the lock before it ends: none is reused here */
int
df_hold_terminate(Oid database)
{
	int n = 0;

	LWLockAcquire(df_shared->lock, LW_SHARED);
	for (int i = 0; i < df_shared->nslots; i++)
	{
		DfSlot *slot = &df_shared->slots[i];

		if (slot->kind == DF_SLOT_FREE || slot->database != database ||
			slot->pid == 0 || slot->pid == MyProcPid)
			continue;
		(void) kill(slot->pid, SIGTERM);
		n++;
	}
	LWLockRelease(df_shared->lock);
	return n;
}
