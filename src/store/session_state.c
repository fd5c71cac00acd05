/*
 * store/session_state.c
 *	  What code of a workflow that runs in a user's session finds there, and may leave behind.
 *
 * Runs in a user's backend, in the caller's transaction.  A body may take advisory locks of the
 * session, which outlive the subtransaction in which it runs, and release others.  A worker
 * releases them all; here only those are released that were not there before, and those that
 * were are taken again.  What else would outlive it, such as a
 * prepared statement, PostgreSQL refuses in a restricted operation (shared/as_role.h).  After a
 * query step a worker drops what is in pg_temp, too, and closes cursors: a simulation likewise.
 * Must never touch what is the user's own.
 */
#include "postgres.h"

#include "access/xact.h"
#include "catalog/dependency.h"
#include "catalog/objectaddress.h"
#include "catalog/pg_type.h"
#include "miscadmin.h"
#include "storage/lock.h"
#include "utils/builtins.h"
#include "utils/guc.h"
#include "utils/memutils.h"
#include "utils/portal.h"

#include "store/session_state.h"
#include "store/store.h"
#include "store/xact.h"

/* ---- locks ------------------------------------------------------------------ */

static List *
advisory_locks(void)
{
	LockData *all = GetLockStatusData();
	List *mine = NIL;

	for (int i = 0; i < all->nelements; i++)
		if (all->locks[i].pid == MyProcPid && all->locks[i].holdMask != 0 &&
			all->locks[i].locktag.locktag_lockmethodid == USER_LOCKMETHOD)
			mine = lappend(mine, &all->locks[i]);
	return mine;
}

void
df_session_note(DfSessionState *state)
{
	memset(state, 0, sizeof(*state));
	state->locks = advisory_locks();
}

static LOCKMASK
held_in(List *locks, const LOCKTAG *tag)
{
	ListCell *lc;

	foreach (lc, locks)
	{
		const LockInstanceData *lock = lfirst(lc);

		if (memcmp(&lock->locktag, tag, sizeof(LOCKTAG)) == 0)
			return lock->holdMask;
	}
	return 0;
}

/* one that was taken several times is released as often: false if there was none any more */
static bool
release_new_locks(const DfSessionState *state)
{
	bool some = false;
	ListCell *lc;

	foreach (lc, advisory_locks())
	{
		const LockInstanceData *lock = lfirst(lc);
		LOCKMASK taken = lock->holdMask & ~held_in(state->locks, &lock->locktag);

		for (LOCKMODE mode = 1; mode <= MaxLockMode; mode++)
			if ((taken & LOCKBIT_ON(mode)) != 0)
				some |= LockRelease(&lock->locktag, mode, true);
	}
	return some;
}

/* not waiting: somebody may have it by now, and wait for this session */
static void
take_again(const LOCKTAG *tag, LOCKMODE mode)
{
	if (LockAcquire(tag, mode, true, true) == LOCKACQUIRE_NOT_AVAIL)
		ereport(WARNING,
				(errcode(ERRCODE_LOCK_NOT_AVAILABLE),
				 errmsg("the workflow released an advisory lock of this session, and another "
						"session has taken it"),
				 errhint("Take the lock again, and let the workflow release only what it took.")));
}

/* what code has released that it had not taken, such as by pg_advisory_unlock_all() */
static void
take_lost_locks(const DfSessionState *state)
{
	List *present = state->locks != NIL ? advisory_locks() : NIL;
	ListCell *lc;

	foreach (lc, state->locks)
	{
		const LockInstanceData *lock = lfirst(lc);
		LOCKMASK lost = lock->holdMask & ~held_in(present, &lock->locktag);

		for (LOCKMODE mode = 1; mode <= MaxLockMode; mode++)
			if ((lost & LOCKBIT_ON(mode)) != 0)
				take_again(&lock->locktag, mode);
	}
}

void
df_session_restore(const DfSessionState *state)
{
	take_lost_locks(state);
	while (release_new_locks(state))
		CHECK_FOR_INTERRUPTS();
}

/* ---- temporary objects and cursors ------------------------------------------- */

static List *
temporary_objects(void)
{
	static DfPlan plan = {
		"SELECT d.classid, d.objid FROM pg_depend AS d"
		" WHERE d.refclassid = 'pg_namespace'::regclass AND d.refobjid = pg_my_temp_schema()",
		SPI_OK_SELECT, DF_NO_PARAMS};
	List *objects = NIL;
	DfStore store;
	uint64 n;

	/* not by the snapshot of the caller, which does not see what was made since */
	df_store_enter(&store);
	n = df_plan_run(&plan, NULL, NULL, 0);
	MemoryContextSwitchTo(store.result_context);
	for (uint64 row = 0; row < n; row++)
	{
		ObjectAddress *object = palloc(sizeof(ObjectAddress));

		ObjectAddressSet(*object, DatumGetObjectId(df_value(row, 0)),
						 DatumGetObjectId(df_value(row, 1)));
		objects = lappend(objects, object);
	}
	df_store_leave(&store);
	return objects;
}

static List *
open_cursors(void)
{
	static DfPlan plan = {"SELECT c.name FROM pg_cursors AS c", SPI_OK_SELECT, DF_NO_PARAMS};
	DfStore store;
	List *names;

	df_store_enter_reading(&store);
	names = df_copy_texts(store.result_context, df_plan_run(&plan, NULL, NULL, 0), 0);
	df_store_leave(&store);
	return names;
}

void
df_session_note_objects(DfSessionState *state)
{
	state->temporary = temporary_objects();
	state->cursors = open_cursors();
}

static bool
had_object(const DfSessionState *state, const ObjectAddress *object)
{
	ListCell *lc;

	foreach (lc, state->temporary)
	{
		const ObjectAddress *one = lfirst(lc);

		if (one->classId == object->classId && one->objectId == object->objectId)
			return true;
	}
	return false;
}

static bool
had_cursor(const DfSessionState *state, const char *name)
{
	ListCell *lc;

	foreach (lc, state->cursors)
		if (strcmp(lfirst(lc), name) == 0)
			return true;
	return false;
}

/* cursors first: they may be open on the temporary tables */
void
df_session_drop_objects(const DfSessionState *state)
{
	ObjectAddresses *objects = new_object_addresses();
	ListCell *lc;

	foreach (lc, open_cursors())
	{
		Portal portal = GetPortalByName(lfirst(lc));

		if (PortalIsValid(portal) && !had_cursor(state, lfirst(lc)))
			PortalDrop(portal, false);
	}
	foreach (lc, temporary_objects())
		if (!had_object(state, lfirst(lc)))
			add_exact_object_address(lfirst(lc), objects);
	performMultipleDeletions(objects, DROP_CASCADE,
							 PERFORM_DELETION_INTERNAL | PERFORM_DELETION_QUIETLY |
								 PERFORM_DELETION_SKIP_EXTENSIONS);
	free_object_addresses(objects);
	CommandCounterIncrement();
}

/* ---- settings -------------------------------------------------------------- */

/* they say who somebody is, or are the running statement's own */
static const char *const kept_settings[] = {
	"role", "session_authorization", "client_encoding", "session_replication_role",
	"transaction_isolation", "transaction_read_only", "transaction_deferrable",
	"statement_timeout", "transaction_timeout", "idle_session_timeout",
	"idle_in_transaction_session_timeout", "log_min_messages", "client_min_messages"};

/* what the owner might not set itself is left as it is */
static void
set_for_now(const char *name, const char *value)
{
	for (int i = 0; i < lengthof(kept_settings); i++)
		if (pg_strcasecmp(name, kept_settings[i]) == 0)
			return;
	(void) set_config_option(name, value, PGC_USERSET, PGC_S_SESSION, GUC_ACTION_SAVE, true,
							 DEBUG1, false);
}

/*
 * What the configuration files say of the form of values, as name=value: a client may have asked
 * for another when it connected, and a worker does not.  Superusers alone may read it.
 */
static List *
settings_of_files(MemoryContext cxt)
{
	static DfPlan plan = {
		"SELECT f.name || '=' || f.setting FROM pg_file_settings AS f"
		" WHERE f.applied AND lower(f.name) = ANY ('{timezone,datestyle,intervalstyle,search_path,"
		"bytea_output,extra_float_digits}')",
		SPI_OK_SELECT, 0};

	if (!superuser())
		return NIL;
	return df_copy_texts(cxt, df_plan_run(&plan, NULL, NULL, 0), 0);
}

/* then ALTER DATABASE and ALTER ROLE ... SET: the last of a name counts */
static List *
settings_of(Oid role)
{
	static DfPlan plan = {
		"SELECT c.setting FROM pg_db_role_setting AS s,"
		"  LATERAL unnest(s.setconfig) WITH ORDINALITY AS c (setting, n)"
		" WHERE s.setdatabase IN (0, $1) AND s.setrole IN (0, $2)"
		" ORDER BY s.setrole <> 0, s.setdatabase <> 0, c.n",
		SPI_OK_SELECT,
		DF_PARAMS(OIDOID, OIDOID)};
	Datum values[2] = {ObjectIdGetDatum(MyDatabaseId), ObjectIdGetDatum(role)};
	DfStore store;
	List *settings;

	df_store_enter_reading(&store);
	settings = settings_of_files(store.result_context);
	settings = list_concat(
		settings,
		df_copy_texts(store.result_context, df_plan_run(&plan, values, NULL, 0), 0));
	df_store_leave(&store);
	return settings;
}

/* nor may a temporary table of the session be taken for one of the owner's */
static void
put_temporary_last(void)
{
	const char *path = GetConfigOption("search_path", false, false);

	if (strstr(path, "pg_temp") == NULL)
		set_for_now("search_path",
					path[0] == '\0' ? "pg_temp" : psprintf("%s, pg_temp", path));
}

void
df_settings_of_role(Oid role)
{
	List *settings = settings_of(role);
	ListCell *lc;

	df_settings_of_others_pin();
	foreach (lc, settings)
	{
		char *name = lfirst(lc);
		char *value = strchr(name, '=');

		if (value == NULL)
			continue;
		*value++ = '\0';
		set_for_now(name, value);
	}
	put_temporary_last();
	/* as in a worker */
	(void) set_config_option("lock_timeout", "1s", PGC_USERSET, PGC_S_SESSION, GUC_ACTION_SAVE,
							 true, 0, false);
	/* what bodies say, and the engine of them, would be said once for each run */
	(void) set_config_option("client_min_messages", "error", PGC_USERSET, PGC_S_SESSION,
							 GUC_ACTION_SAVE, true, 0, false);
	(void) set_config_option("log_min_messages", "fatal", PGC_SUSET, PGC_S_SESSION,
							 GUC_ACTION_SAVE, true, 0, false);
}
