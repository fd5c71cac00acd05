/*
 * worker/coordinator.c
 *	  One process per database that has the extension: hears NOTIFY, asks for
 *	  workers, takes back what dead ones held, sweeps, purges.
 *
 * Runs as a session of the extension's owner, in short transactions of its own,
 * and only when something has happened: it was woken, a worker has ended, a
 * notification came, a run is due whose owner has no worker, or the sweep is.
 * It must never run anything of a user's, enter a body or open a socket.
 *
 * If the server has too few places for processes, it is asked to leave its own to
 * others, and rests: its slot says by when it is to be back, and whoever
 * would wake it has it started again.
 */
#include "postgres.h"

#include "commands/dbcommands.h"
#include "miscadmin.h"
#include "postmaster/interrupt.h"
#include "storage/ipc.h"
#include "storage/latch.h"
#include "tcop/tcopprot.h"
#include "utils/acl.h"
#include "utils/builtins.h"
#include "utils/elog.h"
#include "utils/memutils.h"
#include "utils/timestamp.h"

#include "guc.h"
#include "shared/clock.h"
#include "shared/crash.h"
#include "shared/limits.h"
#include "shared/line.h"
#include "shared/metrics.h"
#include "shared/slots.h"
#include "shared/trouble.h"
#include "shared/wake.h"
#include "shared/watchdog.h"
#include "store/due.h"
#include "store/identity.h"
#include "store/store.h"
#include "store/subxact.h"
#include "store/version.h"
#include "store/xact.h"
#include "worker/coordinator.h"
#include "worker/guarded.h"
#include "worker/notify.h"
#include "worker/process.h"
#include "worker/tidy.h"
#include "worker/wait.h"

/* notifications that are written in one transaction, and such transactions in one turn */
#define NOTIFY_BATCH 500
#define NOTIFY_BATCHES 4
/* batches of runs that get stuck, in one turn */
#define STUCK_BATCHES 20
/* what somebody's lock kept from being done is tried again after this time */
#define LOCKED_MS 1000
/* a worker that lived longer than this starts its back-off anew */
#define STEADY_MS 60000
#define NO_SLOT_MS 5000
/* who rests comes back for its sweeps, but not more often than this */
#define REST_MS 60000

static DfSlot *me;
static MemoryContext turn_context;

/* when to do what, DF_NEVER = not for the sake of time */
static TimestampTz next_look = DF_NEVER;
static TimestampTz next_sweep = DF_NEVER;

/* what this turn has to do */
static bool leases_void = true; /* a worker ended: what it held is due */
static bool all_leases = true; /* even those of runs that seem not to be due */
static bool sweeping = false;

/*
 * runs that ended the server or their worker: those that this look has counted, once it is
 * committed
 */
#define MAX_CRASHED 64
static pg_uuid_t crashed[MAX_CRASHED];
static int n_crashed = 0;

/* what this look leaves behind, if it is committed */
static bool leases_left;

static List *due_owners = NIL; /* of DfDueOwner, in turn_context */
static bool ours = false; /* the runs are this database's own, as of the last look */
static Oid ingress_role = InvalidOid; /* of the ingress process that there is to be */
static bool look_wanted = true; /* something has happened since the last look */

static DfTrouble look_trouble = {"look what is due"};
static DfTrouble lease_trouble = {"return the leases of ended workers"};
static DfTrouble crash_trouble = {"count the entry of a run that ended its worker"};
static DfTrouble abandon_trouble = {"end runs that were abandoned"};
static DfTrouble owner_trouble = {"make runs stuck whose owner can have no session"};
static DfTrouble notify_trouble = {"write signals that came by NOTIFY"};

/* ---- errors and signals --------------------------------------------------- */

/*
 * Between transactions the process ends by itself, without a line in the log.
 * In a transaction that may be waiting for somebody's lock it goes at once.
 */
static void
handle_sigterm(SIGNAL_ARGS)
{
	df_handle_leave(postgres_signal_arg);
	if (df_xact_busy())
		die(postgres_signal_arg);
}

/*
 * A part of a look, in a subtransaction: if it fails, it is tried again later, and
 * costs the other parts nothing.
 */
static bool
part_done(void (*action)(void *), void *arg, DfTrouble *trouble)
{
	ErrorData *error;

	if (df_trouble_waits(trouble, df_now()))
	{
		next_look = df_earlier(next_look, trouble->retry_at);
		return false;
	}
	if (df_subxact(action, arg, true, &error))
	{
		df_trouble_over(trouble);
		return true;
	}
	df_trouble_note(trouble, error);
	next_look = df_earlier(next_look, trouble->retry_at);
	return false;
}

/* ---- workers: shared memory only ------------------------------------------ */

static bool
is_my_worker(DfSlot *slot)
{
	return slot->kind >= DF_SLOT_WORKER && slot->database == MyDatabaseId;
}

/* for df_return_leases(): does a process hold this lease? */
static bool
lease_is_alive(int64 lease)
{
	bool alive = false;

	LWLockAcquire(df_shared->lock, LW_SHARED);
	for (int i = 0; i < df_shared->nslots && !alive; i++)
	{
		DfSlot *slot = &df_shared->slots[i];

		alive = slot->kind >= DF_SLOT_WORKER && slot->database == MyDatabaseId &&
			slot->pid != 0 && slot->lease == lease;
	}
	LWLockRelease(df_shared->lock);
	return alive;
}

/* a worker that ended badly keeps its slot for the back-off; the lock is held */
static void
settle_worker(DfSlot *slot)
{
	if (slot->end != DF_END_BADLY)
	{
		df_slot_free(slot);
		return;
	}
	if (TimestampDifferenceExceeds(slot->started_at, df_now(), STEADY_MS))
		slot->failures = 0;
	slot->failures++;
	df_metric_add(DF_METRIC_PROCESS_FAILURES, df_slot_kind_name(slot->kind), NULL, NULL, 1);
	slot->generation++;
	slot->state = DF_PROC_WANTED;
	slot->runs_held = 0;
	slot->in_flight = 0;
	slot->woken = false; /* the look that follows sees what came before it */
	slot->not_before = df_process_back_off(slot->failures);
	/* who could not listen has said why */
	if (slot->kind != DF_SLOT_INGRESS || slot->reason[0] == '\0')
		strlcpy(slot->reason, "it ended unexpectedly, see the server log", sizeof(slot->reason));
}

/* true if a worker has ended */
static bool
reap_workers(void)
{
	bool any = false;

	LWLockAcquire(df_shared->lock, LW_EXCLUSIVE);
	for (int i = 0; i < df_shared->nslots; i++)
	{
		DfSlot *slot = &df_shared->slots[i];

		if (is_my_worker(slot) && slot->state == DF_PROC_GONE && slot->pid == 0)
		{
			settle_worker(slot);
			any = true;
		}
	}
	LWLockRelease(df_shared->lock);
	return any;
}

/* slots of that owner's workers; *up = those with a process */
static int
count_workers(DfSlotKind kind, Oid owner, int *up)
{
	int n = 0;

	*up = 0;
	LWLockAcquire(df_shared->lock, LW_SHARED);
	for (int i = 0; i < df_shared->nslots; i++)
	{
		DfSlot *slot = &df_shared->slots[i];

		if (!is_my_worker(slot) || slot->kind != kind || slot->owner != owner ||
			slot->state == DF_PROC_GONE)
			continue;
		n++;
		if (df_slot_is_up(slot))
			(*up)++;
	}
	LWLockRelease(df_shared->lock);
	return n;
}

static DfSlotKind
kind_for(const DfDueOwner *due)
{
	return due->sql ? DF_SLOT_SQL_WORKER : DF_SLOT_WORKER;
}

static bool
is_due_now(const DfDueOwner *due, TimestampTz now)
{
	return due->inbox || (due->wake_at != DF_NEVER && due->wake_at <= now);
}

static bool
owner_is_due(const DfSlot *slot, TimestampTz now)
{
	ListCell *cell;

	foreach (cell, due_owners)
	{
		DfDueOwner *due = lfirst(cell);

		if (due->owner == slot->owner && kind_for(due) == slot->kind && is_due_now(due, now))
			return true;
	}
	return false;
}

static bool
is_needed(const DfSlot *slot, TimestampTz now)
{
	if (slot->kind == DF_SLOT_INGRESS)
		return slot->owner == ingress_role;
	return owner_is_due(slot, now);
}

/*
 * Slots that wait for their process and are not needed any more; one that was
 * woken is, whatever the tables said before.  Who listens by his own leave looks
 * whether he has it still.
 */
static void
drop_unneeded(TimestampTz now)
{
	LWLockAcquire(df_shared->lock, LW_EXCLUSIVE);
	for (int i = 0; i < df_shared->nslots; i++)
	{
		DfSlot *slot = &df_shared->slots[i];

		if (!is_my_worker(slot) || is_needed(slot, now))
			continue;
		if (slot->state == DF_PROC_WANTED && slot->pid == 0 && !slot->woken)
			df_slot_free(slot);
		else if (slot->kind == DF_SLOT_INGRESS && slot->latch != NULL)
		{
			slot->woken = true;
			SetLatch(slot->latch);
		}
	}
	LWLockRelease(df_shared->lock);
}

/* we are told when a slot becomes free, after those who have lacked one for longer */
static void
say_out_of_slots(Oid owner)
{
	static bool said = false;

	df_slot_reason(me, "out of dataflows.max_processes");
	LWLockAcquire(df_shared->lock, LW_EXCLUSIVE);
	me->lacks_since = df_now();
	LWLockRelease(df_shared->lock);
	next_look = df_earlier(next_look, TimestampTzPlusMilliseconds(df_now(), NO_SLOT_MS));
	if (said)
		return;
	said = true;
	ereport(LOG,
			(errcode(ERRCODE_CONFIGURATION_LIMIT_EXCEEDED),
			 errmsg("no worker for the workflows of role %u: all %d slots of dataflows are in use",
					owner, df_shared->nslots),
			 errhint("Increase dataflows.max_processes and restart the server.")));
}

/* the owner's first worker does not wait behind those who want a second one; the lock is held */
static void
line_up(const DfDueOwner *due)
{
	bool have_first = false;

	for (int up = 1; up >= 0; up--)
	{
		for (int i = 0; i < df_shared->nslots; i++)
		{
			DfSlot *slot = &df_shared->slots[i];

			if (!is_my_worker(slot) || slot->kind != kind_for(due) || slot->owner != due->owner ||
				slot->state == DF_PROC_GONE || df_slot_is_up(slot) != (bool) up)
				continue;
			slot->extra = have_first;
			have_first = true;
			df_slot_hurry(slot);
		}
	}
}

/* slots for up to so many workers of the owner; false = there is none left */
static bool
want_workers(const DfDueOwner *due, int wanted)
{
	int up;
	int n = count_workers(kind_for(due), due->owner, &up);
	bool room = true;

	LWLockAcquire(df_shared->lock, LW_EXCLUSIVE);
	for (; n < wanted && room; n++)
	{
		DfSlot *slot = df_slot_take(kind_for(due), MyDatabaseId, due->owner);

		room = slot != NULL;
	}
	line_up(due);
	LWLockRelease(df_shared->lock);
	return room;
}

/* a first worker for everybody comes before anybody's second */
static void
want_all_workers(void)
{
	bool room = true;
	ListCell *cell;

	me->lacks_since = DF_NEVER;
	foreach (cell, due_owners)
	{
		if (!want_workers(lfirst(cell), 1))
		{
			say_out_of_slots(((DfDueOwner *) lfirst(cell))->owner);
			return;
		}
	}
	foreach (cell, due_owners)
	{
		DfDueOwner *due = lfirst(cell);

		if (room)
			room = want_workers(due, due->sql ? df_sql_workers_per_owner : df_workers_per_owner);
	}
}

/* settings have changed, perhaps for the better: it is tried again at once */
static void
hurry_ingress(void)
{
	DfSlot *slot;

	LWLockAcquire(df_shared->lock, LW_EXCLUSIVE);
	slot = df_slot_find(DF_SLOT_INGRESS, MyDatabaseId, InvalidOid);
	if (slot != NULL)
	{
		slot->not_before = df_now();
		slot->failures = 0;
	}
	LWLockRelease(df_shared->lock);
}

/* one process that hears HTTP, if this database is to have it */
static void
want_ingress(void)
{
	DfSlot *slot;

	if (!OidIsValid(ingress_role))
		return;
	LWLockAcquire(df_shared->lock, LW_EXCLUSIVE);
	slot = df_slot_find(DF_SLOT_INGRESS, MyDatabaseId, InvalidOid);
	if (slot == NULL)
		slot = df_slot_take(DF_SLOT_INGRESS, MyDatabaseId, ingress_role);
	LWLockRelease(df_shared->lock);
	if (slot == NULL)
		say_out_of_slots(ingress_role);
}

/* ---- looking: one transaction --------------------------------------------- */

/* nobody is left who could be woken here: end, unless somebody has just woken us */
static void
retire(void)
{
	if (df_slot_retire(me, DF_NEVER))
		proc_exit(0);
}

/*
 * Others wait for a place: ours is left to them, until we are woken or something
 * is due.  Workers go on, or come and go, without us.
 */
static void
rest(TimestampTz next)
{
	TimestampTz until = Max(next_sweep, TimestampTzPlusMilliseconds(me->started_at, REST_MS));

	if (next != next_sweep)
		until = df_earlier(until, next);
	/* what is to be tidied up goes on in the next sweep */
	me->next_sweep = df_tidy_due() == DF_NEVER ? next_sweep : until;
	if (df_slot_rest(me, until))
		proc_exit(0);
}

/*
 * whether this database is to hear webhooks, and as whom; why it cannot, if it is to; in a
 * transaction
 */
static const char *
judge_ingress(void)
{
	static char said[NAMEDATALEN + 100];
	Oid role = get_role_oid(df_ingress_role, true);
	const char *problem;

	ingress_role = InvalidOid;
	if (!df_process_may_listen(role, &problem) && problem == NULL)
		return NULL;
	if (problem == NULL)
	{
		ingress_role = role;
		said[0] = '\0';
		return NULL;
	}
	if (strncmp(said, problem, sizeof(said) - 1) == 0)
		return problem;
	strlcpy(said, problem, sizeof(said));
	ereport(LOG,
			(errcode(ERRCODE_CONFIG_FILE_ERROR),
			 errmsg("dataflows cannot hear webhooks as role \"%s\": %s", df_ingress_role, problem),
			 errhint("Create a plain role with LOGIN and CONNECT for it, set "
					 "dataflows.ingress_role and reload.")));
	return problem;
}

static void
set_reason(const DfInstallation *installation, const char *deaf)
{
	static bool said = false;

	if (!installation->defined)
		df_slot_reason(me, "no workflow is defined");
	else if (!installation->ours)
		df_slot_reason(me, "held: see dataflows.adopt()");
	else if (installation->paused)
		df_slot_reason(me, "paused");
	else
		df_slot_reason(me,
					   deaf == NULL ? ""
									: psprintf("nobody listens on \"%s\" as role \"%s\": %s",
											   df_listen, df_ingress_role, deaf));

	if (!installation->defined || installation->ours || said)
	{
		said &= !installation->ours;
		return;
	}
	said = true;
	ereport(LOG,
			(errcode(ERRCODE_OBJECT_NOT_IN_PREREQUISITE_STATE),
			 errmsg("dataflows is held in database \"%s\": %s", get_database_name(MyDatabaseId),
					installation->why_held),
			 errdetail("The runs are of \"%s\", this database is \"%s\".",
					   installation->identity == NULL ? "" : installation->identity,
					   df_identity_text()),
			 errhint("If nothing else runs them, let a superuser call dataflows.adopt().")));
}

static void
count_crash(void *arg)
{
	pg_uuid_t *run = arg;
	char *id = DatumGetCString(DirectFunctionCall1(uuid_out, UUIDPGetDatum(run)));

	df_count_crash(run);
	ereport(
		LOG,
		(errmsg(
			 "the server or a worker of dataflows ended while the body of run \"%s\" was running",
			 id),
		 errdetail("Its next entry is committed before it happens. After three entries without an "
				   "exit the run is stuck.")));
}

/* entries that nobody has seen end; what cannot be counted now stays for the next look */
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
		next_look = df_now();
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
	leases_left = !df_return_leases(all_leases ? DT_NOEND : df_now(), lease_is_alive);
	/* the rows of some are locked by somebody */
	if (leases_left)
		next_look = df_earlier(next_look, TimestampTzPlusMilliseconds(df_now(), LOCKED_MS));
}

/* an owner who can have no session, why, and what to do */
typedef struct Disabled
{
	const DfDueOwner *due;
	const char *problem;
	const char *remedy;
} Disabled;

/* his due runs are stuck */
static void
stick_owner(void *arg)
{
	const Disabled *disabled = arg;
	const DfDueOwner *due = disabled->due;
	uint64 total = 0;
	uint64 n;

	for (int i = 0; i < STUCK_BATCHES; i++)
	{
		n = df_stick_owner(due, disabled->problem, disabled->remedy);
		total += n;
		if (n == 0)
			break;
	}
	(void) df_abandon_asked(due->owner);
	if (n > 0)
		next_look = df_now();
	if (total == 0)
		return;
	df_wake_awaiters();
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
	(void) part_done(stick_owner, &disabled, &owner_trouble);
	return false;
}

/* who has something to do now; when the others will, if they have no worker who knows */
static void
judge_owners(List *owners)
{
	TimestampTz now = df_now();
	ListCell *cell;

	foreach (cell, owners)
	{
		DfDueOwner *due = lfirst(cell);
		MemoryContext old;
		int up;

		if (!is_due_now(due, now))
		{
			(void) count_workers(kind_for(due), due->owner, &up);
			if (up == 0)
				next_look = df_earlier(next_look, due->wake_at);
			continue;
		}
		if (!owner_can_work(due))
			continue;
		old = MemoryContextSwitchTo(turn_context);
		due_owners = lappend(due_owners, due);
		MemoryContextSwitchTo(old);
	}
}

static void
abandon_asked(void *arg)
{
	/* there may be more */
	if (df_abandon_asked(InvalidOid) > 0)
		next_look = df_now();
}

static void
wake_workers(void)
{
	for (int i = 0; i < df_shared->nslots; i++)
	{
		DfSlot *slot = &df_shared->slots[i];

		if (is_my_worker(slot) && slot->kind != DF_SLOT_INGRESS)
			df_slot_wake(slot->kind, MyDatabaseId, slot->owner);
	}
}

static void
look_at_tables(void)
{
	DfStore store;
	DfInstallation installation;

	df_store_enter(&store);
	df_installation_read(turn_context, &installation);
	ours = installation.ours;
	set_reason(&installation, judge_ingress());
	me->hears = installation.ours && df_some_accept_notify();
	if ((leases_void || sweeping) && !part_done(return_leases, NULL, &lease_trouble))
		leases_left = true;
	(void) part_done(abandon_asked, NULL, &abandon_trouble);
	if (!installation.ours)
		wake_workers(); /* those of before a change of the token: they see it, too */
	else
	{
		if (installation.new_token)
			df_installation_take_token();
		count_crashes();
		if (!installation.paused)
			judge_owners(
				list_concat(df_due_owners(false, turn_context), df_due_owners(true, turn_context)));
	}
	df_store_leave(&store);
}

/* files of another version are installed: nothing moves before the schema follows */
static void
idle_for_version(void)
{
	static bool said = false;
	const char *problem = df_schema_problem();

	df_slot_reason(me, problem);
	ingress_role = InvalidOid;
	if (said)
		return;
	said = true;
	ereport(LOG,
			(errcode(ERRCODE_OBJECT_NOT_IN_PREREQUISITE_STATE),
			 errmsg("dataflows does nothing in database \"%s\": %s",
					get_database_name(MyDatabaseId), problem),
			 errhint("%s", df_schema_remedy())));
}

/* the extension may have been dropped, or created again by somebody else */
static void
look(void)
{
	Oid owner;

	next_look = DF_NEVER;
	due_owners = NIL;
	ours = false;
	leases_left = false;
	n_crashed = 0;
	df_xact_begin();
	owner = df_extension_owner();
	if (owner == GetSessionUserId() && df_schema_fits())
		look_at_tables();
	else if (owner == GetSessionUserId())
		idle_for_version();
	df_xact_commit();
	forget_crashes();

	if (!OidIsValid(owner))
	{
		retire();
		next_look = df_now();
		return;
	}
	if (owner != GetSessionUserId())
	{
		df_slot_step_aside(me);
		proc_exit(0);
	}
	leases_void = leases_left;
	all_leases &= leases_left;
	look_wanted = false;
}

/* after a look: slots and processes */
static void
apply_look(void)
{
	ListCell *cell;

	drop_unneeded(df_now());
	want_all_workers();
	want_ingress();
	df_launcher_wake();
	if (!sweeping)
		return;
	foreach (cell, due_owners)
	{
		DfDueOwner *due = lfirst(cell);

		df_slot_wake(kind_for(due), MyDatabaseId, due->owner);
	}
}

/* ---- NOTIFY --------------------------------------------------------------- */

static DfNotifySignal *signals = NULL;
static int first_signal;
static int end_signal;

static const char *const fate_texts[] = {
	[DF_NOTIFY_TAKEN] = NULL,
	[DF_NOTIFY_UNKNOWN] = "there is no such run or workflow",
	[DF_NOTIFY_REFUSED] = "the workflow does not accept it (see accept_notify)",
	[DF_NOTIFY_TOO_LATE] = "the run has ended",
	[DF_NOTIFY_TOO_MANY] = DF_TOO_MANY_SIGNALS,
};

/* signals[first_signal .. end_signal) in one transaction */
static void
insert_signals(void)
{
	DfStore store;

	df_xact_begin();
	if (df_extension_usable())
	{
		df_store_enter(&store);
		for (int i = first_signal; i < end_signal; i++)
		{
			Oid owner = InvalidOid;
			DfNotifyFate fate = df_insert_notify(&signals[i], &owner);

			if (fate == DF_NOTIFY_TAKEN)
				df_wake_owner(owner);
			else
				df_notify_complain(signals[i].pid, fate_texts[fate]);
		}
		df_store_leave(&store);
	}
	df_xact_commit();
}

/* of a failed batch those that can be written; the others are given up */
static void
insert_one_by_one(int n)
{
	static DfTrouble trouble = {"write a signal that came by NOTIFY"};

	for (int i = 0; i < n; i++)
	{
		first_signal = i;
		end_signal = i + 1;
		if (!df_guarded(insert_signals, &trouble))
			df_notify_complain(signals[i].pid, trouble.message);
	}
	df_trouble_over(&trouble);
}

/* false: not now, and they are kept */
static bool
take_batch(void)
{
	int n = Min(df_notify_count(), NOTIFY_BATCH);
	int good = 0;

	signals = MemoryContextAlloc(turn_context, sizeof(DfNotifySignal) * n);
	for (int i = 0; i < n; i++)
		if (df_notify_parse(i, turn_context, &signals[good]))
			good++;
	first_signal = 0;
	end_signal = good;
	if (good > 0 && !df_guarded(insert_signals, &notify_trouble))
	{
		/*
		 * what passes by itself is waited for; one that cannot be written must not cost the
		 * others
		 */
		if (!df_error_is_transient(notify_trouble.sqlerrcode))
		{
			insert_one_by_one(good);
			df_trouble_over(&notify_trouble);
		}
		else
			n = 0;
	}
	df_notify_drop(n);
	MemoryContextReset(turn_context);
	return n > 0;
}

/* a few batches, so that a flood of them does not keep the coordinator from the rest */
static void
take_notifications(void)
{
	for (int i = 0;
		 i < NOTIFY_BATCHES && df_notify_has_some() && !df_trouble_waits(&notify_trouble, df_now());
		 i++)
	{
		if (!take_batch())
			return;
		df_process_interrupts();
	}
}

/* ---- the loop ------------------------------------------------------------- */

static bool
has_come(TimestampTz time, TimestampTz now)
{
	return time != DF_NEVER && time <= now;
}

/* a look that failed is repeated when its time has come, whoever wakes us meanwhile */
static void
look_if_needed(void)
{
	TimestampTz now = df_now();
	bool ended = reap_workers();

	look_wanted |= df_slot_take_wake(me) | ended;
	leases_void |= ended;
	sweeping = next_sweep <= now;
	if (!look_wanted && !sweeping && !has_come(next_look, now))
		return;
	if (df_trouble_waits(&look_trouble, now) || !df_guarded(look, &look_trouble))
		return;
	apply_look();
	if (!sweeping)
		return;
	df_notify_flush_complaints();
	next_sweep = TimestampTzPlusMilliseconds(now, df_sweep_interval);
	if (ours)
		df_tidy_sweep();
}

/* one turn; returns when the next is due if nothing happens before */
static TimestampTz
turn(void)
{
	TimestampTz next;

	df_notify_read();
	take_notifications();
	look_if_needed();
	df_tidy();
	MemoryContextReset(turn_context);
	due_owners = NIL;
	next = look_trouble.failures > 0 ? look_trouble.retry_at : df_earlier(next_sweep, next_look);
	if (df_notify_has_some())
		next = df_earlier(next, notify_trouble.failures > 0 ? notify_trouble.retry_at : df_now());
	return df_earlier(next, df_tidy_due());
}

void
dataflows_coordinator_main(Datum arg)
{
	me = df_process_begin(arg);
	pqsignal(SIGTERM, handle_sigterm);
	df_wait_init(PGINVALID_SOCKET);
	turn_context = AllocSetContextCreate(TopMemoryContext, "dataflows coordinator turn",
										 ALLOCSET_DEFAULT_SIZES);
	MemoryContextSwitchTo(TopMemoryContext);
	next_sweep = me->next_sweep != DF_NEVER
		? me->next_sweep
		: TimestampTzPlusMilliseconds(df_now(), df_sweep_interval);
	df_notify_listen();

	for (;;)
	{
		TimestampTz next;

		if (ConfigReloadPending)
		{
			next_look = df_now();
			next_sweep = df_now();
			/* perhaps it is mended */
			look_trouble.retry_at = DF_NEVER;
			hurry_ingress();
		}
		df_process_interrupts();
		if (df_leaving())
			break;
		next = turn();
		df_xact_idle();
		df_line_idle(me, next > df_now() && df_tidy_due() == DF_NEVER);
		if (df_line_is_asked(me))
			rest(next);
		(void) df_wait_until(next);
		df_line_idle(me, false);
	}
}
