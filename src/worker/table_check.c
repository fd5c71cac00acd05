/*
 * worker/table_check.c
 *	  A coordinator's check of the tables: may runs move in this database, whose
 *	  are due, which leases must be returned, which runs ended their worker.
 *
 * Runs in a coordinator, in one transaction, as the extension's owner.  Each part is
 * a subtransaction, so that one that fails does not stop the others.  Never enter a
 * body here, and change of a run no more than this: it gets stuck, abandoned, or its
 * lease is returned.
 */
#include "postgres.h"

#include "commands/dbcommands.h"
#include "miscadmin.h"
#include "storage/ipc.h"
#include "utils/acl.h"
#include "utils/builtins.h"
#include "utils/timestamp.h"

#include "guc.h"
#include "shared/clock.h"
#include "shared/crash.h"
#include "shared/trouble.h"
#include "shared/uuid.h"
#include "shared/wake.h"
#include "store/identity.h"
#include "store/notify_signal.h"
#include "store/run_table.h"
#include "store/subxact.h"
#include "store/version.h"
#include "store/xact.h"
#include "worker/coordinator.h"
#include "worker/process.h"
#include "worker/wait.h"

/* batches of runs that are made stuck in one check */
#define STUCK_BATCHES 20
/* rows that another session had locked are tried again after this time */
#define LOCKED_MS 1000

/* runs whose crash this check has counted: forgotten once that is committed */
#define MAX_CRASHED 64
static pg_uuid_t crashed[MAX_CRASHED];
static int n_crashed = 0;

/* some leases could not be returned in this check */
static bool leases_left;

static DfTrouble lease_trouble = {"return the leases of ended workers"};
static DfTrouble crash_trouble = {"count the entry of a run that ended its worker"};
static DfTrouble abandon_trouble = {"end runs that were abandoned"};
static DfTrouble owner_trouble = {"make runs stuck whose owner can have no session"};

/* a part of the check, in a subtransaction; false: it failed and is tried again later */
static bool
part_done(void (*action)(void *), void *arg, DfTrouble *trouble)
{
	ErrorData *error;

	if (df_trouble_waits(trouble, df_now()))
	{
		df_check_by(trouble->retry_at);
		return false;
	}
	if (df_subxact(action, arg, true, &error))
	{
		df_trouble_over(trouble);
		return true;
	}
	df_trouble_note(trouble, error);
	df_check_by(trouble->retry_at);
	return false;
}

/* the extension was dropped: end, unless a wake has just come */
static void
retire(void)
{
	if (df_slot_retire(df_coordinator.slot, DF_NEVER))
		proc_exit(0);
}

/* sets ingress_role; returns why there is none although the settings ask for one; else NULL */
static const char *
check_ingress(void)
{
	static char reported[NAMEDATALEN + 100];
	Oid role = get_role_oid(df_ingress_role, true);
	const char *problem;

	df_coordinator.ingress_role = InvalidOid;
	if (!df_process_may_listen(role, &problem) && problem == NULL)
		return NULL;
	if (problem == NULL)
	{
		df_coordinator.ingress_role = role;
		reported[0] = '\0';
		return NULL;
	}
	if (strncmp(reported, problem, sizeof(reported) - 1) == 0)
		return problem;
	strlcpy(reported, problem, sizeof(reported));
	ereport(LOG,
			(errcode(ERRCODE_CONFIG_FILE_ERROR),
			 errmsg("dataflows cannot receive webhooks as role \"%s\": %s", df_ingress_role,
					problem),
			 errhint("Create a plain role with LOGIN and CONNECT for it, set "
					 "dataflows.ingress_role and reload.")));
	return problem;
}

static void
set_reason(const DfInstallation *installation, const char *ingress_problem)
{
	static bool reported = false;

	if (!installation->defined)
		df_slot_reason(df_coordinator.slot, "no workflow is defined");
	else if (!installation->ours)
		df_slot_reason(df_coordinator.slot, "held: see dataflows.adopt()");
	else if (installation->paused)
		df_slot_reason(df_coordinator.slot, "paused");
	else if (ingress_problem != NULL)
		df_slot_reason(df_coordinator.slot,
					   psprintf("nobody listens on \"%s\" as role \"%s\": %s", df_listen,
								df_ingress_role, ingress_problem));
	else
		df_slot_reason(df_coordinator.slot, "");

	if (!installation->defined || installation->ours || reported)
	{
		reported &= !installation->ours;
		return;
	}
	reported = true;
	ereport(LOG,
			(errcode(ERRCODE_OBJECT_NOT_IN_PREREQUISITE_STATE),
			 errmsg("dataflows is held in database \"%s\": %s", get_database_name(MyDatabaseId),
					installation->why_held),
			 errdetail("The runs are of \"%s\", this database is \"%s\".",
					   installation->identity == NULL ? "" : installation->identity,
					   df_identity_text()),
			 errhint("If no other database runs them, call dataflows.adopt() as a superuser.")));
}

static void
count_crash(void *arg)
{
	pg_uuid_t *run = arg;
	char *id = df_uuid_text(run);

	df_count_crash(run);
	ereport(
		LOG,
		(errmsg(
			 "the server or a worker of dataflows ended while the body of run \"%s\" was running",
			 id),
		 errdetail("Its next entry is committed before it happens. After three entries without an "
				   "exit the run is stuck.")));
}

/* entries into bodies that ended a process; those not counted now are counted in a later check */
static void
count_crashes(void)
{
	pg_uuid_t runs[MAX_CRASHED];
	int n;

	LWLockAcquire(df_shared->lock, LW_SHARED);
	n = df_crash_list(MyDatabaseId, runs, MAX_CRASHED);
	LWLockRelease(df_shared->lock);
	for (int i = 0; i < n; i++)
		if (part_done(count_crash, &runs[i], &crash_trouble))
			crashed[n_crashed++] = runs[i];
	if (n == MAX_CRASHED)
		df_check_by(df_now());
}

static void
forget_crashes(void)
{
	LWLockAcquire(df_shared->lock, LW_EXCLUSIVE);
	for (int i = 0; i < n_crashed; i++)
		df_crash_forget(MyDatabaseId, &crashed[i]);
	LWLockRelease(df_shared->lock);
}

static void
return_leases(void *arg)
{
	leases_left =
		!df_return_leases(df_coordinator.all_leases ? DT_NOEND : df_now(), df_lease_is_live);
	/* another session has locked some rows */
	if (leases_left)
		df_check_by(TimestampTzPlusMilliseconds(df_now(), LOCKED_MS));
}

/* an owner that cannot have a session, why, and what to do about it */
typedef struct Disabled
{
	const DfDueOwner *due;
	const char *problem;
	const char *remedy;
} Disabled;

/* makes the due runs of such an owner stuck */
static void
make_runs_stuck(void *arg)
{
	const Disabled *disabled = arg;
	const DfDueOwner *due = disabled->due;
	uint64 total = 0;
	uint64 n;

	for (int i = 0; i < STUCK_BATCHES; i++)
	{
		n = df_make_runs_stuck(due, disabled->problem, disabled->remedy);
		total += n;
		if (n == 0)
			break;
	}
	(void) df_abandon_asked(due->owner);
	if (n > 0)
		df_check_by(df_now());
	if (total == 0)
		return;
	df_wake_awaiters(NULL);
	ereport(LOG,
			(errcode(ERRCODE_INVALID_AUTHORIZATION_SPECIFICATION),
			 errmsg(UINT64_FORMAT " runs are stuck: role \"%s\" owns their workflow, but %s",
					total, due->name, disabled->problem),
			 errhint("%s", disabled->remedy)));
}

static bool
owner_can_work(const DfDueOwner *due)
{
	Disabled disabled = {due};

	disabled.problem = df_process_role_problem(MyDatabaseId, due->owner, &disabled.remedy);
	if (disabled.problem == NULL)
		return true;
	(void) part_done(make_runs_stuck, &disabled, &owner_trouble);
	return false;
}

/*
 * Notes the owners with something to do now.  The workers of others know when their
 * runs are due; if an owner has none, check again at that time.
 */
static void
check_owners(List *owners)
{
	TimestampTz now = df_now();
	ListCell *cell;

	foreach (cell, owners)
	{
		DfDueOwner *due = lfirst(cell);
		MemoryContext old;
		int up;

		if (!df_owner_is_due_now(due, now))
		{
			(void) df_count_workers(df_worker_kind_for(due), due->owner, &up);
			if (up == 0)
				df_check_by(due->wake_at);
			continue;
		}
		if (!owner_can_work(due))
			continue;
		old = MemoryContextSwitchTo(df_turn_cxt);
		df_coordinator.due_owners = lappend(df_coordinator.due_owners, due);
		MemoryContextSwitchTo(old);
	}
}

static void
abandon_asked(void *arg)
{
	/* there may be more */
	if (df_abandon_asked(InvalidOid) > 0)
		df_check_by(df_now());
}

static void
check_tables(void)
{
	DfStore store;
	DfInstallation installation;

	df_store_enter(&store);
	df_installation_read(df_turn_cxt, &installation);
	df_coordinator.ours = installation.ours;
	set_reason(&installation, check_ingress());
	df_coordinator.slot->listens = installation.ours && df_some_accept_notify();
	if ((df_coordinator.worker_ended || df_coordinator.sweeping) &&
		!part_done(return_leases, NULL, &lease_trouble))
		leases_left = true;
	(void) part_done(abandon_asked, NULL, &abandon_trouble);
	if (!installation.ours)
		df_wake_all_workers(); /* so that they see it, if they began before the token changed */
	else
	{
		if (installation.new_token)
			df_installation_take_token();
		count_crashes();
		if (!installation.paused)
			check_owners(
				list_concat(df_due_owners(false, df_turn_cxt),
							df_due_owners(true, df_turn_cxt)));
	}
	df_store_leave(&store);
}

/* the library has another version than the schema: nothing may move until it is updated */
static void
idle_for_version(void)
{
	static bool reported = false;
	const char *problem = df_schema_problem();

	df_slot_reason(df_coordinator.slot, problem);
	df_coordinator.ingress_role = InvalidOid;
	if (reported)
		return;
	reported = true;
	ereport(LOG,
			(errcode(ERRCODE_OBJECT_NOT_IN_PREREQUISITE_STATE),
			 errmsg("dataflows does nothing in database \"%s\": %s",
					get_database_name(MyDatabaseId), problem),
			 errhint("%s", df_schema_remedy())));
}

/* the extension may have been dropped meanwhile, or created again by another role */
void
df_check_tables(void)
{
	Oid owner;

	df_coordinator.next_check = DF_NEVER;
	df_coordinator.due_owners = NIL;
	df_coordinator.ours = false;
	leases_left = false;
	n_crashed = 0;
	df_xact_begin();
	owner = df_extension_owner();
	if (owner == GetSessionUserId() && df_schema_fits())
		check_tables();
	else if (owner == GetSessionUserId())
		idle_for_version();
	df_xact_commit();
	forget_crashes();

	if (!OidIsValid(owner))
	{
		retire();
		df_check_by(df_now());
		return;
	}
	if (owner != GetSessionUserId())
	{
		df_slot_restart(df_coordinator.slot);
		proc_exit(0);
	}
	df_coordinator.worker_ended = leases_left;
	df_coordinator.all_leases &= leases_left;
	df_coordinator.check_wanted = false;
}
