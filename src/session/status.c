/*
 * session/status.c
 *	  status(): whether the engine runs, per process and owner, what each waits for, and
 *	  why it does not move.
 *
 * Runs in a user's backend, in the caller's transaction and role, also on a standby and
 * without the engine.  Copies shared memory under its lock, reads the few rows of workflow
 * as the extension's owner, and computes the result from these copies.  Shows nothing of a
 * run but its id.  Must never wait long for anybody.
 */
#include "postgres.h"

#include "access/xlog.h"
#include "catalog/pg_authid.h"
#include "commands/dbcommands.h"
#include "compat.h"
#include "fmgr.h"
#include "guc.h"
#include "miscadmin.h"
#include "session/rows.h"
#include "shared/clock.h"
#include "shared/slot_queue.h"
#include "shared/slots.h"
#include "shared/uuid.h"
#include "storage/proc.h"
#include "storage/procarray.h"
#include "store/due.h"
#include "store/identity.h"
#include "store/run_progress.h"
#include "store/store.h"
#include "store/subxact.h"
#include "store/version.h"
#include "types/base.h"
#include "utils/acl.h"
#include "utils/builtins.h"
#include "utils/guc.h"
#include "utils/syscache.h"
#include "utils/timestamp.h"
#include "utils/wait_event.h"

PG_FUNCTION_INFO_V1(dataflows_status);

#define N_COLUMNS 10
/* lock_timeout: status() must not wait for long */
#define LOCK_WAIT "200ms"
#define NOT_LOADED \
	"the library is not preloaded: add \"dataflows\" to shared_preload_libraries and restart the " \
	"server"
#define STANDBY "this server is a standby: the engine starts when it is promoted"

/*
 * one row of the result; NULL, 0 and DF_NEVER become NULL, except for the counts of a live
 * process
 */
typedef struct Row
{
	const char *process;
	const char *owner;
	int pid;
	const char *status;
	const char *waits_for;
	const char *reason;
	TimestampTz since;
	bool counts;
	int runs_held;
	int in_flight;
} Row;

/* everything that is read, once */
typedef struct Known
{
	TimestampTz now;
	char *database;
	bool standby;
	int nslots;
	DfSlot *slots; /* copies */
	int launcher_pid;
	char *launcher_reason;
	char *launcher_trouble;
	bool held; /* for a command that needs it without sessions */
	const char *unread; /* why the tables could not be read; then the next two are empty */
	bool full; /* there are too few places for processes in the server */
	int waiting_here; /* processes of this database that wait for one */
	int waiting; /* of all databases */
	const char *crowd; /* what follows from it; NULL = nothing */
	DfInstallation installation;
	/* the other version that the schema has; then everything below is unknown */
	const char *outdated;
	List *owners; /* of DfOwnerWork */
	int64 live; /* if the database is held: runs that have not ended */
	const char *why_not; /* why no run moves in this database; NULL = they do */
	const char *engine_state;
	const char *trouble; /* why runs do not move as they should; NULL = they do */
	List *rows;
} Known;

static Row *
add_row(Known *known, const char *process, const char *state)
{
	Row *row = palloc0(sizeof(Row));

	row->process = process;
	row->status = state;
	known->rows = lappend(known->rows, row);
	return row;
}

/* ---- reading -------------------------------------------------------------- */

static void
read_shared(Known *known)
{
	char reason[lengthof(df_shared->launcher_reason)];
	char trouble[lengthof(df_shared->launcher_trouble)];

	if (df_shared == NULL)
		return;
	known->slots = palloc(sizeof(DfSlot) * df_shared->nslots);
	LWLockAcquire(df_shared->lock, LW_SHARED);
	known->full = df_shared->full_since != DF_NEVER;
	for (int i = 0; i < df_shared->nslots; i++)
	{
		DfSlot *slot = &df_shared->slots[i];

		if (slot->kind != DF_SLOT_FREE && slot->database == MyDatabaseId)
			known->slots[known->nslots++] = *slot;
		if (known->full && df_queue_waits(slot, known->now))
		{
			known->waiting++;
			known->waiting_here += slot->database == MyDatabaseId;
		}
	}
	known->launcher_pid = df_shared->launcher_pid;
	strlcpy(reason, df_shared->launcher_reason, sizeof(reason));
	strlcpy(trouble, df_shared->launcher_trouble, sizeof(trouble));
	known->held = df_database_held(MyDatabaseId);
	LWLockRelease(df_shared->lock);
	known->launcher_reason = pstrdup(reason);
	known->launcher_trouble = pstrdup(trouble);
}

static void
read_tables(void *arg)
{
	Known *known = arg;
	DfStore store;
	int64 identity = df_identity_hash();
	int level;

	known->outdated = df_schema_problem();
	if (known->outdated != NULL)
		return;
	level = NewGUCNestLevel();
	(void) set_config_option("lock_timeout", LOCK_WAIT, PGC_USERSET, PGC_S_SESSION, GUC_ACTION_SAVE,
							 true, 0, false);
	df_store_enter(&store);
	df_installation_read(store.result_context, &known->installation);
	known->owners = df_owners_read(identity, store.result_context);
	if (known->installation.defined && !known->installation.ours)
		known->live = df_count_live_runs();
	df_store_leave(&store);
	AtEOXact_GUC(false, level);
}

/* a locked or missing table is reported, not raised */
static void
try_tables(Known *known)
{
	ErrorData *error;

	if (df_subxact(read_tables, known, true, &error))
		return;
	known->unread = psprintf("the engine's tables cannot be read: %s", error->message);
	known->owners = NIL;
}

/*
 * What a process fails to do, or why it is not there although it is needed; NULL = all is
 * well.
 */
static const char *
trouble_of(const DfSlot *slot)
{
	if (slot->trouble[0] != '\0')
		return slot->trouble;
	return slot->state == DF_PROC_WANTED && slot->reason[0] != '\0' ? slot->reason : NULL;
}

/* the first trouble of a process of this database, with the kind of the process; NULL = none */
static const char *
first_trouble(const Known *known)
{
	if (known->launcher_trouble[0] != '\0')
		return psprintf("launcher: %s", known->launcher_trouble);
	if (known->launcher_reason[0] != '\0')
		return psprintf("launcher: %s", known->launcher_reason);
	for (DfSlotKind kind = DF_SLOT_CHECK; kind <= DF_SLOT_INGRESS; kind++)
		for (int i = 0; i < known->nslots; i++)
		{
			const DfSlot *slot = &known->slots[i];

			if (slot->kind == kind && slot->state != DF_PROC_GONE && trouble_of(slot) != NULL)
				return psprintf("%s: %s", df_slot_kind_name(kind), trouble_of(slot));
		}
	return NULL;
}

/* reported first, because a person has to decide it */
static const char *
why_held(const Known *known)
{
	return psprintf(INT64_FORMAT " %s held, because this database is a copy or its token was "
								 "changed: %s. If nothing else runs them, call dataflows.adopt()%s",
					known->live, known->live == 1 ? "run is" : "runs are",
					known->installation.why_held,
					df_shared == NULL    ? "; " NOT_LOADED
						: known->standby ? " once this standby is promoted"
										 : "");
}

/* too few background worker slots: everything moves, but later than it could */
static const char *
crowd(const Known *known)
{
	for (int i = 0; i < known->nslots; i++)
		if (known->slots[i].kind == DF_SLOT_COORDINATOR &&
			known->slots[i].lacks_slot_since != DF_NEVER)
			return psprintf("all %d slots of dataflows.max_processes are in use, the owners of "
							"workflows take turns: increase it and restart the server",
							df_shared->nslots);
	if (known->waiting_here == 0)
		return NULL;
	return psprintf("%d processes wait for one of max_worker_processes (%d), %d of them in "
					"this database, and take turns: increase it and restart the server",
					known->waiting, max_worker_processes, known->waiting_here);
}

/* the first reason why no run moves */
static void
judge_engine(Known *known)
{
	const DfInstallation *installation = &known->installation;

	known->engine_state = "not running";
	if (known->outdated == NULL && installation->defined && !installation->ours)
	{
		known->engine_state = "held";
		known->why_not = why_held(known);
	}
	else if (df_shared == NULL)
	{
		known->engine_state = "not loaded";
		known->why_not = NOT_LOADED;
	}
	else if (known->standby)
	{
		known->engine_state = "standby";
		known->why_not = STANDBY;
	}
	else if (known->launcher_pid == 0)
		known->why_not = "the launcher is not running: see the server log";
	else if (known->outdated != NULL)
	{
		known->engine_state = "outdated";
		known->why_not = psprintf("%s. %s", known->outdated, df_schema_remedy());
	}
	else if (known->unread != NULL)
	{
		known->engine_state = "degraded";
		known->trouble = known->unread;
	}
	else if (!installation->defined)
	{
		known->engine_state = "idle";
		known->why_not = "no workflow is defined yet: see dataflows.define_workflow()";
	}
	else if (installation->paused)
	{
		known->engine_state = "paused";
		known->why_not = "the whole database is paused: see dataflows.resume()";
	}
	else if (known->held)
	{
		known->engine_state = "aside";
		known->why_not =
			"the engine has stepped aside for DDL on this database, until that transaction ends";
	}
	else
	{
		known->trouble = first_trouble(known);
		known->crowd = crowd(known);
		known->engine_state = known->trouble != NULL ? "degraded"
			: known->crowd != NULL                   ? "crowded"
													 : "running";
	}
}

/* ---- rows ----------------------------------------------------------------- */

static void
engine_row(Known *known)
{
	Row *row = add_row(known, "engine", known->engine_state);

	row->reason = known->why_not != NULL ? known->why_not : known->trouble != NULL ? known->trouble
																				   : known->crowd;
	if (row->reason == NULL && (df_identity_token == NULL || df_identity_token[0] == '\0'))
		row->reason =
			"dataflows.identity is not set: a physical copy of this server would send, too";
	if (df_shared == NULL)
		return;
	row->counts = true;
	for (int i = 0; i < known->nslots; i++)
	{
		row->runs_held += known->slots[i].runs_held;
		row->in_flight += known->slots[i].in_flight;
	}
}

static void
launcher_row(Known *known)
{
	Row *row;

	if (df_shared == NULL)
		return;
	row = add_row(known, "launcher",
				  known->launcher_pid == 0                 ? "not running"
					  : known->launcher_trouble[0] != '\0' ? "degraded"
														   : "running");
	row->pid = known->launcher_pid;
	if (known->launcher_pid == 0)
		row->reason = known->standby ? STANDBY : "see the server log";
	else if (known->launcher_trouble[0] != '\0')
		row->reason = known->launcher_trouble;
	else if (known->launcher_reason[0] != '\0')
		row->reason = known->launcher_reason;
	if (known->launcher_pid != 0)
		row->waits_for = "databases with the extension";
}

static const char *
state_name(const DfSlot *slot)
{
	switch (slot->state)
	{
		case DF_PROC_WANTED:
			return "to be started";
		case DF_PROC_AT_REST:
			return "at rest";
		case DF_PROC_STARTING:
			return "starting";
		case DF_PROC_RUNNING:
			return slot->trouble[0] != '\0' ? "degraded" : "running";
		default:
			return "ended";
	}
}

/* it does not run for want of a background worker slot */
static bool
waits_for_place(const Known *known, const DfSlot *slot)
{
	return known->full && df_queue_waits(slot, known->now);
}

/* it has committed here, but waits for the standbys */
static bool
waits_for_standby(const DfSlot *slot)
{
	PGPROC *proc = BackendPidGetProc(slot->pid);

	return proc != NULL && *(volatile uint32 *) &proc->wait_event_info == WAIT_EVENT_SYNC_REP;
}

static const char *
waits_of(const Known *known, const DfSlot *slot)
{
	if (waits_for_place(known, slot))
		return psprintf("one of max_worker_processes (%d)", max_worker_processes);
	if (slot->state == DF_PROC_AT_REST)
		return psprintf("a wake-up, or its next check at %s", timestamptz_to_str(slot->not_before));
	if (slot->state == DF_PROC_WANTED && slot->not_before > known->now && slot->failures == 0)
		return psprintf("its next run, due at %s", timestamptz_to_str(slot->not_before));
	if (slot->state == DF_PROC_WANTED && slot->not_before > known->now)
		return psprintf("its back-off, " INT64_FORMAT " s more",
						(int64) (slot->not_before - known->now) / USECS_PER_SEC + 1);
	if (slot->state == DF_PROC_WANTED)
		return "a process";
	if (slot->state == DF_PROC_STARTING)
		return "its process to connect";
	if (slot->state != DF_PROC_RUNNING || slot->kind == DF_SLOT_CHECK)
		return NULL;
	if (waits_for_standby(slot))
		return "a synchronous standby: see synchronous_standby_names";
	if (slot->kind == DF_SLOT_COORDINATOR)
		return "a wake, a NOTIFY or the next sweep";
	if (slot->kind == DF_SLOT_INGRESS)
		return slot->in_body ? "the handler of a webhook" : "requests";
	if (slot->in_body)
		return "the body of a run";
	return slot->in_flight > 0 ? "answers of systems" : "due runs";
}

/* names the run whose body keeps the worker busy */
static const char *
long_body(const Known *known, const DfSlot *slot)
{
	int64 ms = (known->now - slot->body_since) / 1000;

	if (slot->state != DF_PROC_RUNNING || !slot->in_body || ms <= df_body_timeout)
		return NULL;
	if (slot->kind == DF_SLOT_INGRESS)
		return psprintf("the handler of a webhook has not returned for " INT64_FORMAT
						" s; dataflows.handler_timeout is %d ms",
						ms / 1000, df_handler_timeout);
	return psprintf("the body of run \"%s\" has not returned for " INT64_FORMAT
					" s; dataflows.body_timeout is %d ms",
					df_uuid_text(&slot->body_run),
					ms / 1000, df_body_timeout);
}

static const DfOwnerWork *
owner_look(const Known *known, Oid owner)
{
	ListCell *cell;

	foreach (cell, known->owners)
		if (((DfOwnerWork *) lfirst(cell))->owner == owner)
			return lfirst(cell);
	return NULL;
}

static const char *
paused_workflows(const DfOwnerWork *owner)
{
	if (owner == NULL || owner->paused == 0)
		return NULL;
	return psprintf("%d of %d workflows paused: see dataflows.resume()", owner->paused,
					owner->workflows);
}

static const char *
reason_of(const Known *known, const DfSlot *slot)
{
	const char *reason = long_body(known, slot);

	if (reason == NULL && slot->trouble[0] != '\0')
		reason = psprintf("since %s %s", timestamptz_to_str(slot->trouble_since), slot->trouble);
	if (reason == NULL && waits_for_place(known, slot))
		reason = "no place is free: increase max_worker_processes and restart the server";
	if (reason == NULL && slot->state == DF_PROC_AT_REST)
		reason = slot->listens ? "it left its place to others that waited, and hears no NOTIFY "
								 "meanwhile: increase max_worker_processes"
							   : "it left its place to others that waited: see "
								 "max_worker_processes";
	if (reason == NULL && slot->reason[0] != '\0')
		reason = pstrdup(slot->reason);
	if (reason == NULL && slot->kind == DF_SLOT_WORKER)
		reason = known->why_not;
	if (reason == NULL && slot->kind == DF_SLOT_WORKER)
		reason = paused_workflows(owner_look(known, slot->owner));
	return reason;
}

static void
slot_rows(Known *known, DfSlotKind kind)
{
	for (int i = 0; i < known->nslots; i++)
	{
		const DfSlot *slot = &known->slots[i];
		Row *row;

		if (slot->kind != kind || slot->state == DF_PROC_GONE)
			continue;
		row = add_row(known, df_slot_kind_name(kind), state_name(slot));
		row->owner = OidIsValid(slot->owner) ? GetUserNameFromId(slot->owner, true) : NULL;
		row->pid = slot->pid;
		row->waits_for = waits_of(known, slot);
		row->reason = reason_of(known, slot);
		row->since = slot->in_body         ? slot->body_since
			: waits_for_place(known, slot) ? slot->not_before
										   : slot->started_at;
		row->counts = kind == DF_SLOT_WORKER || kind == DF_SLOT_SQL_WORKER;
		row->runs_held = slot->runs_held;
		row->in_flight = slot->in_flight;
	}
}

static bool
has_slot(const Known *known, DfSlotKind kind, Oid owner)
{
	for (int i = 0; i < known->nslots; i++)
	{
		const DfSlot *slot = &known->slots[i];

		if (slot->kind == kind && slot->state != DF_PROC_GONE &&
			(slot->owner == owner || !OidIsValid(owner)))
			return true;
	}
	return false;
}

static void
missing_coordinator_row(Known *known)
{
	Row *row;

	if (df_shared == NULL || has_slot(known, DF_SLOT_COORDINATOR, InvalidOid))
		return;
	row = add_row(known, "coordinator", "not running");
	row->owner = GetUserNameFromId(df_extension_owner(), true);
	if (known->standby || known->launcher_pid == 0 || known->held)
		row->reason = known->why_not;
	else if (has_slot(known, DF_SLOT_CHECK, InvalidOid))
		row->waits_for = "the launcher's check of this database";
	else
		row->reason =
			"the launcher has not found the extension in this database: see the server log";
}

/* why an owner can have no session here, and what to do; NULL = it can */
static const char *
role_problem(const Known *known, const DfOwnerWork *owner)
{
	HeapTuple tuple;
	const char *problem = NULL;
	Form_pg_authid form;

	if (!known->installation.ours)
		return OidIsValid(get_role_oid(owner->name, true))
			? NULL
			: "there is no role of that name here: create it before dataflows.adopt(), which looks "
			  "owners up by name";
	tuple = SearchSysCache1(AUTHOID, ObjectIdGetDatum(owner->owner));
	if (!HeapTupleIsValid(tuple))
		return psprintf(
			"the role does not exist any more: give its workflows to another role with "
			"dataflows.set_owner(), or CREATE ROLE %s LOGIN, then call dataflows.adopt(), which "
			"gives it its workflows, and grant again what it needs",
			quote_identifier(owner->name));
	form = (Form_pg_authid) GETSTRUCT(tuple);
	if (DF_ROLE_NEEDS_LOGIN && !form->rolcanlogin)
		problem =
			psprintf("the role cannot log in: ALTER ROLE %s LOGIN", quote_identifier(owner->name));
	ReleaseSysCache(tuple);
	if (problem == NULL &&
		object_aclcheck(DatabaseRelationId, MyDatabaseId, owner->owner, ACL_CONNECT) != ACLCHECK_OK)
		problem = psprintf(
			"the role may not connect to this database: GRANT CONNECT ON DATABASE %s TO %s",
			quote_identifier(get_database_name(MyDatabaseId)), quote_identifier(owner->name));
	return problem;
}

/* why an owner has no process: nothing to do, or a reason */
static void
owner_row(Known *known, const DfOwnerWork *owner)
{
	bool due = owner->inbox || (owner->wake_at != DF_NEVER && owner->wake_at <= known->now);
	Row *row = add_row(known, "worker", due ? "not running" : "not needed");

	row->owner = owner->name;
	row->reason = role_problem(known, owner);
	if (row->reason != NULL)
		row->status = "not running";
	else if (known->why_not != NULL)
		row->reason = known->why_not;
	else if (owner->paused > 0)
		row->reason = paused_workflows(owner);
	else if (!due)
		row->reason = "nothing is due";
	if (due)
		row->waits_for = "the coordinator to start a worker";
	else if (owner->wake_at != DF_NEVER)
		row->waits_for = psprintf("its next run, due at %s", timestamptz_to_str(owner->wake_at));
	else
		row->waits_for = "an event";
}

static void
make_rows(Known *known)
{
	ListCell *cell;

	engine_row(known);
	launcher_row(known);
	slot_rows(known, DF_SLOT_CHECK);
	slot_rows(known, DF_SLOT_COORDINATOR);
	missing_coordinator_row(known);
	slot_rows(known, DF_SLOT_WORKER);
	slot_rows(known, DF_SLOT_SQL_WORKER);
	slot_rows(known, DF_SLOT_INGRESS);
	foreach (cell, known->owners)
		if (!has_slot(known, DF_SLOT_WORKER, ((DfOwnerWork *) lfirst(cell))->owner))
			owner_row(known, lfirst(cell));
}

/* ---- the function --------------------------------------------------------- */

static void
set_text(Datum *values, bool *nulls, int column, const char *text)
{
	nulls[column] = text == NULL;
	if (text != NULL)
		values[column] = CStringGetTextDatum(text);
}

static HeapTuple
row_tuple(TupleDesc desc, const Known *known, const Row *row)
{
	Datum values[N_COLUMNS] = {0};
	bool nulls[N_COLUMNS] = {0};

	set_text(values, nulls, 0, row->process);
	set_text(values, nulls, 1, known->database);
	set_text(values, nulls, 2, row->owner);
	values[3] = Int32GetDatum(row->pid);
	nulls[3] = row->pid == 0;
	set_text(values, nulls, 4, row->status);
	set_text(values, nulls, 5, row->waits_for);
	set_text(values, nulls, 6, row->reason);
	values[7] = TimestampTzGetDatum(row->since);
	nulls[7] = row->since == DF_NEVER;
	values[8] = Int32GetDatum(row->runs_held);
	values[9] = Int32GetDatum(row->in_flight);
	nulls[8] = nulls[9] = !row->counts;
	return heap_form_tuple(desc, values, nulls);
}

static Known *
learn(void)
{
	Known *known = palloc0(sizeof(Known));

	known->now = df_now();
	known->standby = RecoveryInProgress();
	known->database = get_database_name(MyDatabaseId);
	read_shared(known);
	try_tables(known);
	judge_engine(known);
	make_rows(known);
	return known;
}

static List *
rows_of_all(FunctionCallInfo fcinfo, TupleDesc desc)
{
	Known *known = learn();
	List *rows = NIL;
	ListCell *lc;

	foreach (lc, known->rows)
		rows = lappend(rows, row_tuple(desc, known, lfirst(lc)));
	return rows;
}

Datum
dataflows_status(PG_FUNCTION_ARGS)
{
	return df_return_rows(fcinfo, rows_of_all, "Call it as SELECT * FROM dataflows.status().");
}
