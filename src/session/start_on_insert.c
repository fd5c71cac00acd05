/*
 * session/start_on_insert.c
 *	  The trigger functions start_on_insert() and signal_on_change().
 *
 * Runs in the backend that changes the table, in its transaction.  Rows are converted to
 * jsonb as the role that changes the table, before any switch of the role, because casts to
 * json are user code; only finished values are then inserted as the extension's owner.  The
 * inserting role needs no right in the workflow: the table's owner does, which is checked
 * each time, event by event where the event stands in the row.  The rows of a statement are
 * inserted in chunks of CHUNK_ROWS.  Between statements only prepared plans are kept.
 */
#include "postgres.h"

#include "access/htup_details.h"
#include "catalog/pg_collation.h"
#include "catalog/pg_operator.h"
#include "catalog/pg_trigger.h"
#include "catalog/pg_type.h"
#include "commands/trigger.h"
#include "executor/executor.h"
#include "executor/tuptable.h"
#include "fmgr.h"
#include "guc.h"
#include "miscadmin.h"
#include "nodes/makefuncs.h"
#include "store/rights.h"
#include "session/start.h"
#include "shared/clock.h"
#include "shared/json.h"
#include "shared/limits.h"
#include "shared/metrics.h"
#include "shared/statement.h"
#include "shared/wake.h"
#include "store/identity.h"
#include "store/store.h"
#include "utils/builtins.h"
#include "utils/fmgroids.h"
#include "utils/memutils.h"
#include "utils/numeric.h"
#include "store/local_time_trigger.h"
#include "utils/json.h"
#include "utils/lsyscache.h"
#include "utils/datetime.h"
#include "utils/timestamp.h"
#include "utils/rel.h"
#include "utils/tuplesort.h"

PG_FUNCTION_INFO_V1(dataflows_start_on_insert);
PG_FUNCTION_INFO_V1(dataflows_signal_on_change);

#define CHUNK_ROWS 10000
/* a chunk has at most so many bytes */
#define CHUNK_BYTES (8 * 1024 * 1024)

typedef struct Firing
{
	TriggerData *trigger;
	const char *function; /* for messages */
	const char *workflow;
	const char *event; /* NULL = start; as the trigger was made: "@column" or the event */
	const char *event_column; /* NULL = the event is the same for each row */
	const char *key_column; /* NULL = none */
	bool key_is_time; /* a timestamptz, which the session would show in its own time zone */
	char *role; /* the role that changes the table */
	int64 identity;
	FmgrInfo to_jsonb;

	/* the chunk that is being filled */
	MemoryContext cxt;
	DfRows rows;
	size_t bytes;
} Firing;

/* ---- how the trigger was made --------------------------------------------- */

static void
wrong_trigger(const Firing *firing, const char *what, const char *hint)
{
	ereport(ERROR,
			(errcode(ERRCODE_E_R_I_E_TRIGGER_PROTOCOL_VIOLATED),
			 errmsg("trigger \"%s\" on table \"%s\": %s() %s",
					firing->trigger->tg_trigger->tgname,
					RelationGetRelationName(firing->trigger->tg_relation), firing->function, what),
			 errhint("%s", hint)));
}

#define START_HINT \
	"Create it AFTER INSERT ON the table FOR EACH ROW, or FOR EACH STATEMENT with REFERENCING " \
	"NEW TABLE AS new_rows."
#define SIGNAL_HINT \
	"Create it AFTER INSERT, UPDATE or both FOR EACH ROW, or AFTER one of them FOR EACH " \
	"STATEMENT with REFERENCING NEW TABLE AS new_rows."

#define SIGNAL_CALL_HINT \
	"Call signal_on_change('workflow', 'event', 'key column'), or with '@event column' for an " \
	"event that stands in the row."

static void
check_events(const Firing *firing)
{
	int16 type = firing->trigger->tg_trigger->tgtype;
	const char *hint = firing->event == NULL ? START_HINT : SIGNAL_HINT;

	if (!TRIGGER_FIRED_AFTER(firing->trigger->tg_event))
		wrong_trigger(firing, "must be fired AFTER the change", hint);
	if (TRIGGER_FOR_DELETE(type) || TRIGGER_FOR_TRUNCATE(type))
		wrong_trigger(firing, "must not be fired by DELETE or TRUNCATE", hint);
	if (firing->event == NULL && TRIGGER_FOR_UPDATE(type))
		wrong_trigger(firing, "must not be fired by UPDATE", hint);
	if (TRIGGER_FIRED_FOR_STATEMENT(firing->trigger->tg_event) &&
		firing->trigger->tg_newtable == NULL)
		wrong_trigger(firing, "needs the new rows of the statement", hint);
}

static const char *
argument(const Firing *firing, int i)
{
	const char *value = firing->trigger->tg_trigger->tgargs[i];

	if (value[0] == '\0')
		wrong_trigger(
			firing, "has an empty argument",
			firing->event == NULL
				? "Call start_on_insert('workflow') or start_on_insert('workflow', 'key column')."
				: SIGNAL_CALL_HINT);
	return value;
}

/* the type of an existing column of that name, as to_jsonb() writes it */
static Oid
check_column(const Firing *firing, const char *column, const char *holds)
{
	Relation rel = firing->trigger->tg_relation;
	TupleDesc tupdesc = RelationGetDescr(rel);

	for (int i = 0; i < tupdesc->natts; i++)
	{
		Form_pg_attribute att = TupleDescAttr(tupdesc, i);

		if (!att->attisdropped && strcmp(NameStr(att->attname), column) == 0)
			return getBaseType(att->atttypid);
	}
	ereport(ERROR,
			(errcode(ERRCODE_UNDEFINED_COLUMN),
			 errmsg("trigger \"%s\": table \"%s\" has no column \"%s\"",
					firing->trigger->tg_trigger->tgname, RelationGetRelationName(rel),
					column),
			 errhint("Name the column that holds the %s, as it is written in the table.",
					 holds)));
	return InvalidOid;
}

static void
begin_firing(FunctionCallInfo fcinfo, Firing *firing, const char *function)
{
	if (!CALLED_AS_TRIGGER(fcinfo))
		ereport(ERROR,
				(errcode(ERRCODE_E_R_I_E_TRIGGER_PROTOCOL_VIOLATED),
				 errmsg("function \"dataflows.%s\" was not called by a trigger", function),
				 errhint("Use it in CREATE TRIGGER ... EXECUTE FUNCTION dataflows.%s(...).",
						 function)));
	memset(firing, 0, sizeof(*firing));
	firing->trigger = (TriggerData *) fcinfo->context;
	firing->function = function;
}

/* ---- rendering rows, as the role that changes the table ------------------- */

static void
prepare_rendering(Firing *firing)
{
	Oid row_type = RelationGetDescr(firing->trigger->tg_relation)->tdtypeid;
	Node *row = (Node *) makeNullConst(row_type, -1, InvalidOid);

	fmgr_info(F_TO_JSONB, &firing->to_jsonb);
	fmgr_info_set_expr((Node *) makeFuncExpr(F_TO_JSONB, JSONBOID, list_make1(row), InvalidOid,
											 InvalidOid, COERCE_EXPLICIT_CALL),
					   &firing->to_jsonb);
	firing->role = GetUserNameFromId(GetUserId(), false);
	firing->identity = df_identity_hash();
	firing->cxt =
		AllocSetContextCreate(CurrentMemoryContext, "dataflows rows", ALLOCSET_DEFAULT_SIZES);
}

static Jsonb *
render_row(Firing *firing, TupleTableSlot *slot)
{
	Datum row = ExecFetchSlotHeapTupleDatum(slot);
	Jsonb *event = DatumGetJsonbP(FunctionCall1(&firing->to_jsonb, row));

	df_check_payload(event, "the row that is passed to a workflow");
	return event;
}

/* in UTC, whatever the session's time zone is: the same time must be the same key */
static char *
time_in_utc(const char *text)
{
	Datum time = DirectFunctionCall3(timestamptz_in, CStringGetDatum(text), ObjectIdGetDatum(0),
									 Int32GetDatum(-1));
	int utc = 0;

	return JsonEncodeDateTime(palloc(MAXDATELEN + 1), time, TIMESTAMPTZOID, &utc);
}

/*
 * The key as the event shows it (event ->> 'column'), independent of the session's
 * DateStyle and time zone; NULL = the row has none.
 */
static char *
key_of(const Firing *firing, Jsonb *event)
{
	char *key;

	if (firing->key_column == NULL)
		return NULL;
	key = df_json_get_as_text(event, firing->key_column);
	if (key == NULL)
		return NULL;
	if (firing->key_is_time)
		key = time_in_utc(key);
	df_check_key(key);
	return key;
}

/* likewise; NULL = the row signals nothing */
static char *
event_of(const Firing *firing, Jsonb *row)
{
	char *event;

	if (firing->event_column == NULL)
		return pstrdup(firing->event);
	event = df_json_get_as_text(row, firing->event_column);
	if (event != NULL)
		df_check_event(event);
	return event;
}

/* ---- a chunk -------------------------------------------------------------- */

static void
begin_chunk(Firing *firing, int size)
{
	MemoryContext old = MemoryContextSwitchTo(firing->cxt);

	firing->rows.n = 0;
	firing->bytes = 0;
	firing->rows.ids = palloc(sizeof(Datum) * size);
	firing->rows.keys = palloc(sizeof(Datum) * size);
	firing->rows.no_key = palloc(sizeof(bool) * size);
	firing->rows.values = palloc(sizeof(Datum) * size);
	firing->rows.events = palloc(sizeof(Datum) * size);
	MemoryContextSwitchTo(old);
}

static void
write_runs(Firing *firing)
{
	Oid table_owner = firing->trigger->tg_relation->rd_rel->relowner;
	DfNewRun common;
	DfWorkflowRow definition;
	DfStore store;

	memset(&common, 0, sizeof(common));
	common.identity = firing->identity;
	common.started_by = firing->role;
	df_store_enter(&store);
	df_start_common(firing->workflow, table_owner, &common, &definition, firing->cxt);
	if (firing->rows.n > 0)
		(void) df_runs_insert(&common, &firing->rows);
	df_store_leave(&store);
	df_wake_owner(definition.owner);
}

/* the statement must not fail because a run accepts no more signals */
static void
warn_refused(const Firing *firing, uint64 refused)
{
	if (refused == 0)
		return;
	df_metric_add(DF_METRIC_SIGNALS_REFUSED, firing->workflow, "trigger", NULL, refused);
	ereport(WARNING,
			(errcode(ERRCODE_PROGRAM_LIMIT_EXCEEDED),
			 errmsg(UINT64_FORMAT " signals of trigger \"%s\" to workflow \"%s\" were "
								  "dropped: " DF_TOO_MANY_SIGNALS,
					refused, firing->trigger->tg_trigger->tgname, firing->workflow),
			 errhint(DF_TOO_MANY_SIGNALS_HINT)));
}

/* what the table's owner may signal, row by row where the event stands in the row */
static void
require_signal(const Firing *firing, Oid table_owner, const DfWorkflowRow *definition)
{
	DfRights rights;

	df_rights_read(table_owner, definition, &rights);
	if (firing->rows.n == 0 && firing->event_column != NULL && rights.events != NIL)
		return;
	if (firing->rows.n == 0 &&
		!df_rights_have(&rights, DF_RIGHT_SIGNAL,
						firing->event_column != NULL ? NULL : firing->event))
		df_refuse_right(table_owner, definition, DF_RIGHT_SIGNAL, NULL, "signal");
	for (int i = 0; i < firing->rows.n; i++)
	{
		char *event = TextDatumGetCString(firing->rows.events[i]);

		if (!df_rights_have(&rights, DF_RIGHT_SIGNAL, event))
			df_refuse_right(table_owner, definition, DF_RIGHT_SIGNAL, event, "signal");
		pfree(event);
	}
}

static void
write_signals(Firing *firing)
{
	Oid table_owner = firing->trigger->tg_relation->rd_rel->relowner;
	DfNewMessage common = {.kind = DF_MESSAGE_SIGNAL};
	DfWorkflowRow definition;
	DfStore store;

	df_store_enter(&store);
	df_require_workflow(firing->workflow, &definition, firing->cxt);
	require_signal(firing, table_owner, &definition);
	common.workflow = definition.name;
	common.sent_by = firing->role;
	common.now = df_now();
	common.expires_at = common.now + (int64) df_signal_ttl * USECS_PER_SEC;
	if (firing->rows.n > 0)
		warn_refused(firing, df_signals_insert(&common, &firing->rows));
	df_store_leave(&store);
	df_wake_owner(definition.owner);
}

/* even without rows, so that a missing right or workflow is noticed at once */
static void
write_chunk(Firing *firing)
{
	if (firing->event == NULL)
		write_runs(firing);
	else
		write_signals(firing);
	MemoryContextReset(firing->cxt);
}

/* adds key and event to the chunk; key NULL = none */
static void
add_row(Firing *firing, Datum key, bool no_key, Datum event)
{
	DfRows *rows = &firing->rows;
	char *name = NULL;
	MemoryContext old;

	/* a signal without a key has no receiver */
	if (no_key && firing->event != NULL)
		return;
	if (firing->event != NULL && (name = event_of(firing, DatumGetJsonbP(event))) == NULL)
		return;
	if (rows->n == CHUNK_ROWS || firing->bytes > CHUNK_BYTES)
	{
		write_chunk(firing);
		begin_chunk(firing, CHUNK_ROWS);
	}
	old = MemoryContextSwitchTo(firing->cxt);
	if (firing->event == NULL)
	{
		pg_uuid_t *id = palloc(sizeof(pg_uuid_t));

		*id = df_new_uuid();
		rows->ids[rows->n] = UUIDPGetDatum(id);
	}
	else
		rows->events[rows->n] = CStringGetTextDatum(name);
	rows->no_key[rows->n] = no_key;
	rows->keys[rows->n] = no_key ? (Datum) 0 : PointerGetDatum(PG_DETOAST_DATUM_COPY(key));
	rows->values[rows->n] = PointerGetDatum(PG_DETOAST_DATUM_COPY(event));
	rows->n++;
	firing->bytes += VARSIZE_ANY(DatumGetPointer(event));
	MemoryContextSwitchTo(old);
}

/* ---- one row, or all rows of a statement ---------------------------------- */

static TupleTableSlot *
fired_slot(const Firing *firing)
{
	TriggerData *trigger = firing->trigger;

	return TRIGGER_FIRED_BY_UPDATE(trigger->tg_event) ? trigger->tg_newslot : trigger->tg_trigslot;
}

/*
 * An UPDATE that moves a row to another partition fires the INSERT trigger there, and no
 * UPDATE trigger at all.
 */
static bool
only_moved(const Firing *firing)
{
	TriggerData *trigger = firing->trigger;

	return TRIGGER_FIRED_BY_INSERT(trigger->tg_event) &&
		df_statement_moved_row(trigger->tg_relation) &&
		!TRIGGER_FOR_UPDATE(trigger->tg_trigger->tgtype);
}

static void
fire_for_row(Firing *firing)
{
	Jsonb *event;
	char *key;

	if (only_moved(firing))
		return;
	event = render_row(firing, fired_slot(firing));
	key = key_of(firing, event);
	begin_chunk(firing, 1);
	add_row(firing, key == NULL ? (Datum) 0 : CStringGetTextDatum(key), key == NULL,
			JsonbPGetDatum(event));
	write_chunk(firing);
}

/*
 * Calls `take` for each new row, in a memory context that is reset after each row.  Fill the
 * slot outside of that context: what is read from a store on disk is allocated in the
 * current context and freed by the slot.
 */
static void
each_new_row(Firing *firing, void (*take)(Firing *, Jsonb *, char *, void *), void *arg)
{
	Tuplestorestate *store = firing->trigger->tg_newtable;
	TupleTableSlot *slot = MakeSingleTupleTableSlot(RelationGetDescr(firing->trigger->tg_relation),
													&TTSOpsMinimalTuple);
	MemoryContext row_cxt = AllocSetContextCreate(CurrentMemoryContext, "dataflows row",
												  ALLOCSET_DEFAULT_SIZES);
	int pointer = tuplestore_alloc_read_pointer(store, EXEC_FLAG_REWIND);

	tuplestore_select_read_pointer(store, pointer);
	tuplestore_rescan(store);
	while (tuplestore_gettupleslot(store, true, false, slot))
	{
		MemoryContext old = MemoryContextSwitchTo(row_cxt);
		Jsonb *event;

		CHECK_FOR_INTERRUPTS();
		event = render_row(firing, slot);
		take(firing, event, key_of(firing, event), arg);
		MemoryContextSwitchTo(old);
		MemoryContextReset(row_cxt);
		/* user code may have read from the same store */
		tuplestore_select_read_pointer(store, pointer);
	}
	ExecDropSingleTupleTableSlot(slot);
	MemoryContextDelete(row_cxt);
}

static void
take_as_it_comes(Firing *firing, Jsonb *event, char *key, void *arg)
{
	add_row(firing, key == NULL ? (Datum) 0 : CStringGetTextDatum(key), key == NULL,
			JsonbPGetDatum(event));
}

static void
take_for_sorting(Firing *firing, Jsonb *event, char *key, void *arg)
{
	Tuplesortstate *sort = (Tuplesortstate *) ((void **) arg)[0];
	TupleTableSlot *slot = (TupleTableSlot *) ((void **) arg)[1];

	ExecClearTuple(slot);
	slot->tts_isnull[0] = key == NULL;
	slot->tts_values[0] = key == NULL ? (Datum) 0 : CStringGetTextDatum(key);
	slot->tts_isnull[1] = false;
	slot->tts_values[1] = JsonbPGetDatum(event);
	ExecStoreVirtualTuple(slot);
	tuplesort_puttupleslot(sort, slot);
	ExecClearTuple(slot);
}

static TupleDesc
sort_row(void)
{
	TupleDesc tupdesc = CreateTemplateTupleDesc(2);

	TupleDescInitEntry(tupdesc, 1, "key", TEXTOID, -1, 0);
	TupleDescInitEntry(tupdesc, 2, "event", JSONBOID, -1, 0);
	return tupdesc;
}

/*
 * Sorts by key, so that two statements with the same keys wait for each other instead of
 * deadlocking.  The sort spills to disk beyond work_mem.
 */
static void
fire_in_key_order(Firing *firing)
{
	TupleDesc tupdesc = sort_row();
	AttrNumber column = 1;
	Oid operator= TextLessOperator;
	Oid collation = C_COLLATION_OID;
	bool nulls_first = false;
	Tuplesortstate *sort;
	TupleTableSlot *in = MakeSingleTupleTableSlot(tupdesc, &TTSOpsVirtual);
	TupleTableSlot *out = MakeSingleTupleTableSlot(tupdesc, &TTSOpsMinimalTuple);
	void *arg[2];

	sort = tuplesort_begin_heap(tupdesc, 1, &column, &operator, & collation, &nulls_first,
								work_mem, NULL, 0);
	arg[0] = sort;
	arg[1] = in;
	each_new_row(firing, take_for_sorting, arg);
	tuplesort_performsort(sort);
	while (tuplesort_gettupleslot(sort, true, false, out, NULL))
	{
		CHECK_FOR_INTERRUPTS();
		slot_getallattrs(out);
		add_row(firing, out->tts_values[0], out->tts_isnull[0], out->tts_values[1]);
	}
	tuplesort_end(sort);
	ExecDropSingleTupleTableSlot(in);
	ExecDropSingleTupleTableSlot(out);
}

static void
fire_for_statement(Firing *firing)
{
	begin_chunk(firing, CHUNK_ROWS);
	if (firing->event == NULL && firing->key_column != NULL)
		fire_in_key_order(firing);
	else
		each_new_row(firing, take_as_it_comes, NULL);
	write_chunk(firing);
}

static void
fire(Firing *firing)
{
	check_events(firing);
	if (firing->key_column != NULL)
		firing->key_is_time = check_column(firing, firing->key_column, "key") == TIMESTAMPTZOID;
	if (firing->event_column != NULL)
		(void) check_column(firing, firing->event_column, "event");
	df_require_writable("start or signal a run");
	if (firing->key_is_time)
		firing->key_is_time = !df_trigger_uses_local_time(firing->trigger->tg_trigger->tgoid);
	df_warn_not_moving();
	prepare_rendering(firing);
	if (TRIGGER_FIRED_FOR_ROW(firing->trigger->tg_event))
		fire_for_row(firing);
	else
		fire_for_statement(firing);
	MemoryContextDelete(firing->cxt);
}

/* ---- the SQL functions ---------------------------------------------------- */

Datum
dataflows_start_on_insert(PG_FUNCTION_ARGS)
{
	Firing firing;
	int nargs;

	begin_firing(fcinfo, &firing, "start_on_insert");
	nargs = firing.trigger->tg_trigger->tgnargs;
	if (nargs < 1 || nargs > 2)
		wrong_trigger(
			&firing, "takes one or two arguments",
			"Call start_on_insert('workflow') or start_on_insert('workflow', 'key column').");
	firing.workflow = argument(&firing, 0);
	if (nargs == 2)
		firing.key_column = argument(&firing, 1);
	fire(&firing);
	return PointerGetDatum(NULL);
}

Datum
dataflows_signal_on_change(PG_FUNCTION_ARGS)
{
	Firing firing;

	begin_firing(fcinfo, &firing, "signal_on_change");
	if (firing.trigger->tg_trigger->tgnargs != 3)
		wrong_trigger(&firing, "takes three arguments",
					  SIGNAL_CALL_HINT);
	firing.event = firing.trigger->tg_trigger->tgargs[1];
	firing.workflow = argument(&firing, 0);
	firing.event = argument(&firing, 1);
	firing.key_column = argument(&firing, 2);
	if (firing.event[0] == '@')
		firing.event_column = firing.event + 1;
	fire(&firing);
	return PointerGetDatum(NULL);
}
