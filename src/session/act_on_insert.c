/*
 * session/act_on_insert.c
 *	  The trigger function act_on_insert(): rows are signals and operator requests.
 *
 * Runs in the backend that inserts, in its transaction.  The columns run, action, event, payload,
 * note and on_behalf_of are read as they are, without casts, so no code of users runs here.  Each
 * row becomes a call of the function that its action names, with the rights of the table's owner;
 * who inserts is recorded.  Must never swallow a row that is wrong: the statement fails.
 */
#include "postgres.h"

#include "catalog/pg_trigger.h"
#include "catalog/pg_type.h"
#include "commands/trigger.h"
#include "executor/executor.h"
#include "executor/tuptable.h"
#include "fmgr.h"
#include "miscadmin.h"
#include "session/inbox.h"
#include "shared/json.h"
#include "shared/jsonpath.h"
#include "shared/statement.h"
#include "shared/uuid.h"
#include "utils/builtins.h"
#include "utils/jsonb.h"
#include "utils/lsyscache.h"
#include "utils/memutils.h"
#include "utils/rel.h"

PG_FUNCTION_INFO_V1(dataflows_act_on_insert);

#define MAKE_HINT \
	"Create it AFTER INSERT ON the table FOR EACH ROW EXECUTE FUNCTION " \
	"dataflows.act_on_insert(), or FOR EACH STATEMENT with REFERENCING NEW TABLE AS new_rows."
#define MOST_ARGS 6

enum
{
	COLUMN_RUN,
	COLUMN_ACTION,
	COLUMN_EVENT,
	COLUMN_PAYLOAD,
	COLUMN_NOTE,
	COLUMN_BEHALF,
	COLUMNS
};

static const struct Column
{
	const char *name;
	Oid type; /* TEXTOID: varchar, too */
	bool required;
} columns[COLUMNS] = {
	{"run", UUIDOID, true},
	{"action", TEXTOID, true},
	{"event", TEXTOID, false},
	{"payload", JSONBOID, false},
	{"note", TEXTOID, false},
	{"on_behalf_of", TEXTOID, false},
};

typedef struct Firing
{
	TriggerData *trigger;
	FmgrInfo *flinfo;
	AttrNumber at[COLUMNS]; /* 0 = the table has no such column */
	NullableDatum row[COLUMNS]; /* the present one */
	int rows;
	int without_effect;
} Firing;

/* ---- how the trigger was made --------------------------------------------- */

static void
wrong_trigger(const TriggerData *trigger, const char *what)
{
	ereport(ERROR,
			(errcode(ERRCODE_E_R_I_E_TRIGGER_PROTOCOL_VIOLATED),
			 errmsg("trigger \"%s\" on table \"%s\": act_on_insert() %s",
					trigger->tg_trigger->tgname, RelationGetRelationName(trigger->tg_relation),
					what),
			 errhint(MAKE_HINT)));
}

static void
check_trigger(const TriggerData *trigger)
{
	int16 type = trigger->tg_trigger->tgtype;

	if (!TRIGGER_FIRED_AFTER(trigger->tg_event))
		wrong_trigger(trigger, "must be fired AFTER the change");
	if (!TRIGGER_FIRED_BY_INSERT(trigger->tg_event) || TRIGGER_FOR_UPDATE(type) ||
		TRIGGER_FOR_DELETE(type) || TRIGGER_FOR_TRUNCATE(type))
		wrong_trigger(trigger, "must be fired by INSERT alone");
	if (trigger->tg_trigger->tgnargs != 0)
		wrong_trigger(trigger, "takes no arguments");
	if (TRIGGER_FIRED_FOR_STATEMENT(trigger->tg_event) && trigger->tg_newtable == NULL)
		wrong_trigger(trigger, "needs the new rows of the statement");
}

static bool
fits(Oid type, Oid wanted)
{
	type = getBaseType(type);
	return type == wanted || (wanted == TEXTOID && type == VARCHAROID);
}

static void
find_columns(Firing *firing)
{
	Relation table = firing->trigger->tg_relation;
	TupleDesc desc = RelationGetDescr(table);

	for (int c = 0; c < COLUMNS; c++)
	{
		Form_pg_attribute found = NULL;

		for (int i = 0; i < desc->natts && found == NULL; i++)
			if (!TupleDescAttr(desc, i)->attisdropped &&
				strcmp(NameStr(TupleDescAttr(desc, i)->attname), columns[c].name) == 0)
				found = TupleDescAttr(desc, i);
		if (found == NULL && columns[c].required)
			ereport(ERROR,
					(errcode(ERRCODE_UNDEFINED_COLUMN),
					 errmsg("trigger \"%s\": table \"%s\" has no column \"%s\"",
							firing->trigger->tg_trigger->tgname, RelationGetRelationName(table),
							columns[c].name),
					 errhint("act_on_insert() is for tables with the columns run uuid, action "
							 "text, event text, payload jsonb and note text.")));
		if (found != NULL && !fits(found->atttypid, columns[c].type))
			ereport(ERROR,
					(errcode(ERRCODE_DATATYPE_MISMATCH),
					 errmsg("trigger \"%s\": column \"%s\" of table \"%s\" is not of type %s",
							firing->trigger->tg_trigger->tgname, columns[c].name,
							RelationGetRelationName(table), format_type_be(columns[c].type)),
					 errhint("act_on_insert() is for tables with the columns run uuid, action "
							 "text, event text, payload jsonb and note text.")));
		firing->at[c] = found == NULL ? 0 : found->attnum;
	}
}

/* ---- what a row asks ------------------------------------------------------ */

static bool
ask(const Firing *firing, PGFunction function, int n, const NullableDatum *args)
{
	LOCAL_FCINFO(call, MOST_ARGS);

	InitFunctionCallInfoData(*call, firing->flinfo, n, InvalidOid, NULL, NULL);
	memcpy(call->args, args, n * sizeof(NullableDatum));
	return DatumGetBool(function(call));
}

static bool
ask_signal(const Firing *firing)
{
	const NullableDatum *row = firing->row;
	NullableDatum args[4] = {row[COLUMN_RUN], row[COLUMN_EVENT], row[COLUMN_PAYLOAD],
							 row[COLUMN_BEHALF]};

	return ask(firing, dataflows_signal, lengthof(args), args);
}

static bool
ask_with_note(const Firing *firing, PGFunction function)
{
	const NullableDatum *row = firing->row;
	NullableDatum args[3] = {row[COLUMN_RUN], row[COLUMN_NOTE], row[COLUMN_BEHALF]};

	return ask(firing, function, lengthof(args), args);
}

static bool
ask_cancel(const Firing *firing)
{
	return ask_with_note(firing, dataflows_cancel);
}

static bool
ask_retry(const Firing *firing)
{
	return ask_with_note(firing, dataflows_retry);
}

static bool
ask_undo(const Firing *firing)
{
	return ask_with_note(firing, dataflows_undo);
}

static bool
ask_abandon(const Firing *firing)
{
	return ask_with_note(firing, dataflows_abandon);
}

/* the step is in `event`, the rest in `payload`: {"outcome": ..., "output": ...} */
static bool
ask_resolve(const Firing *firing)
{
	const NullableDatum *row = firing->row;
	NullableDatum none = {(Datum) 0, true};
	NullableDatum args[6] = {row[COLUMN_RUN], row[COLUMN_EVENT], none,
							 row[COLUMN_NOTE], none, row[COLUMN_BEHALF]};

	if (!row[COLUMN_PAYLOAD].isnull)
	{
		Jsonb *payload = DatumGetJsonbP(row[COLUMN_PAYLOAD].value);
		char *outcome = df_json_get_text(payload, "outcome");
		int matches;
		Jsonb *output = df_jsonpath_first(payload, "$.output", NULL, &matches);

		if (outcome != NULL)
			args[2] = (NullableDatum){CStringGetTextDatum(outcome), false};
		if (output != NULL)
			args[4] = (NullableDatum){JsonbPGetDatum(output), false};
	}
	return ask(firing, dataflows_resolve, lengthof(args), args);
}

static const struct Action
{
	const char *name;
	bool (*ask)(const Firing *firing);
} actions[] = {
	{"signal", ask_signal},
	{"cancel", ask_cancel},
	{"retry", ask_retry},
	{"undo", ask_undo},
	{"resolve", ask_resolve},
	{"abandon", ask_abandon},
};

static const struct Action *
action_of(const Firing *firing)
{
	char *name = firing->row[COLUMN_ACTION].isnull
		? NULL
		: TextDatumGetCString(firing->row[COLUMN_ACTION].value);

	if (name == NULL)
		ereport(ERROR,
				(errcode(ERRCODE_NULL_VALUE_NOT_ALLOWED), errmsg("the action must not be null"),
				 errhint("Use signal, cancel, retry, undo, resolve or abandon.")));
	for (int i = 0; i < lengthof(actions); i++)
		if (strcmp(actions[i].name, name) == 0)
			return &actions[i];
	ereport(ERROR,
			(errcode(ERRCODE_INVALID_PARAMETER_VALUE),
			 errmsg("action \"%s\" does not exist", name),
			 errhint("Use signal, cancel, retry, undo, resolve or abandon.")));
	return NULL;
}

/* ---- rows ----------------------------------------------------------------- */

static void
name_row(void *arg)
{
	const Firing *firing = arg;
	const NullableDatum *row = firing->row;

	errcontext("row of table \"%s\": action %s, run %s",
			   RelationGetRelationName(firing->trigger->tg_relation),
			   row[COLUMN_ACTION].isnull
				   ? "NULL"
				   : quote_literal_cstr(TextDatumGetCString(row[COLUMN_ACTION].value)),
			   row[COLUMN_RUN].isnull ? "NULL"
									  : df_uuid_text(DatumGetUUIDP(row[COLUMN_RUN].value)));
}

static void
take_row(Firing *firing, TupleTableSlot *slot)
{
	ErrorContextCallback context = {error_context_stack, name_row, firing};

	for (int c = 0; c < COLUMNS; c++)
	{
		firing->row[c] = (NullableDatum){(Datum) 0, true};
		if (firing->at[c] != 0)
			firing->row[c].value = slot_getattr(slot, firing->at[c], &firing->row[c].isnull);
	}
	error_context_stack = &context;
	firing->rows++;
	if (!action_of(firing)->ask(firing))
		firing->without_effect++;
	error_context_stack = context.previous;
}

/* allocates nothing in the context that is reset: what is read from disk belongs to the slot */
static void
take_new_rows(Firing *firing)
{
	Tuplestorestate *store = firing->trigger->tg_newtable;
	TupleTableSlot *slot = MakeSingleTupleTableSlot(RelationGetDescr(firing->trigger->tg_relation),
													&TTSOpsMinimalTuple);
	MemoryContext row_cxt =
		AllocSetContextCreate(CurrentMemoryContext, "dataflows row", ALLOCSET_DEFAULT_SIZES);
	int pointer = tuplestore_alloc_read_pointer(store, EXEC_FLAG_REWIND);

	tuplestore_select_read_pointer(store, pointer);
	tuplestore_rescan(store);
	while (tuplestore_gettupleslot(store, true, false, slot))
	{
		MemoryContext old = MemoryContextSwitchTo(row_cxt);

		CHECK_FOR_INTERRUPTS();
		take_row(firing, slot);
		MemoryContextSwitchTo(old);
		MemoryContextReset(row_cxt);
	}
	ExecDropSingleTupleTableSlot(slot);
	MemoryContextDelete(row_cxt);
}

static void
notice_without_effect(const Firing *firing)
{
	if (firing->without_effect == 0)
		return;
	ereport(NOTICE,
			(errmsg("%d of %d requests of table \"%s\" had no effect", firing->without_effect,
					firing->rows, RelationGetRelationName(firing->trigger->tg_relation)),
			 errdetail("Their runs have ended, or are in a state in which there is nothing to do "
					   "for them.")));
}

Datum
dataflows_act_on_insert(PG_FUNCTION_ARGS)
{
	Firing firing = {0};

	if (!CALLED_AS_TRIGGER(fcinfo))
		ereport(ERROR,
				(errcode(ERRCODE_E_R_I_E_TRIGGER_PROTOCOL_VIOLATED),
				 errmsg("function \"dataflows.act_on_insert\" was not called by a trigger"),
				 errhint(MAKE_HINT)));
	firing.trigger = (TriggerData *) fcinfo->context;
	firing.flinfo = fcinfo->flinfo;
	check_trigger(firing.trigger);
	find_columns(&firing);
	df_requests_of_table(firing.flinfo, firing.trigger->tg_relation->rd_rel->relowner);
	if (TRIGGER_FIRED_FOR_STATEMENT(firing.trigger->tg_event))
		take_new_rows(&firing);
	/* a row that an UPDATE moves to another partition was taken when it was inserted */
	else if (!df_statement_moved_row(firing.trigger->tg_relation))
		take_row(&firing, firing.trigger->tg_trigslot);
	notice_without_effect(&firing);
	return PointerGetDatum(NULL);
}
