/*
 * store/columns.c
 *	  Rows by their maps of columns: read into structs, and written from them.
 *
 * Runs wherever statements run, between df_store_enter() and df_store_leave().
 * It knows no table: the maps are beside the statements that use them.  Never
 * keep a pointer into SPI's memory in a struct.
 */
#include "postgres.h"

#include "access/htup_details.h"
#include "utils/builtins.h"
#include "utils/memutils.h"
#include "utils/timestamp.h"
#include "utils/uuid.h"

#include "shared/read_answers.h"
#include "store/columns.h"
#include "types/base.h"

/* ---- reading -------------------------------------------------------------- */

typedef int (*ValueOfName)(const char *name);

static int
read_name(Datum value, bool isnull, ValueOfName value_of, int none)
{
	char name[NAMEDATALEN];

	if (isnull)
		return none;
	text_to_cstring_buffer(DatumGetTextPP(value), name, sizeof(name));
	return value_of(name);
}

static int
message_kind_of(const char *name)
{
	return df_message_kind_of(name);
}

static void *
copy_bytes(const void *bytes, size_t size)
{
	return memcpy(palloc(size), bytes, size);
}

/* what is NULL is zero in the field, but for rounds, which begin with 1 */
static void
read_field(const DfColumn *column, Datum value, bool isnull, void *field)
{
	switch (column->form)
	{
		case DF_AS_TEXT:
			*(char **) field = isnull ? NULL : TextDatumGetCString(value);
			break;
		case DF_AS_JSONB:
			*(Jsonb **) field = isnull ? NULL : DatumGetJsonbPCopy(value);
			break;
		case DF_AS_INTERVAL:
			*(Interval **) field =
				isnull ? NULL : copy_bytes(DatumGetIntervalP(value), sizeof(Interval));
			break;
		case DF_AS_UUID:
			if (isnull)
				memset(field, 0, sizeof(pg_uuid_t));
			else
				*(pg_uuid_t *) field = *DatumGetUUIDP(value);
			break;
		case DF_AS_UUID_REF:
			*(pg_uuid_t **) field =
				isnull ? NULL : copy_bytes(DatumGetUUIDP(value), sizeof(pg_uuid_t));
			break;
		case DF_AS_TIME:
			*(TimestampTz *) field = isnull ? DF_NEVER : DatumGetTimestampTz(value);
			break;
		case DF_AS_INT:
		case DF_AS_COUNT:
			*(int *) field = isnull ? 0 : DatumGetInt32(value);
			break;
		case DF_AS_ROUND:
			*(int *) field = isnull ? 1 : DatumGetInt32(value);
			break;
		case DF_AS_HASH:
			*(uint32 *) field = isnull ? 0 : (uint32) DatumGetInt32(value);
			break;
		case DF_AS_INT8:
		case DF_AS_NONCE:
			*(int64 *) field = isnull ? 0 : DatumGetInt64(value);
			break;
		case DF_AS_FLOAT8:
			*(double *) field = isnull ? 0 : DatumGetFloat8(value);
			break;
		case DF_AS_BOOL:
		case DF_AS_MARK:
			*(bool *) field = !isnull && DatumGetBool(value);
			break;
		case DF_AS_OID:
			*(Oid *) field = isnull ? InvalidOid : DatumGetObjectId(value);
			break;
		case DF_AS_RUN_STATE:
			*(DfRunState *) field =
				(DfRunState) read_name(value, isnull, df_run_state_of, DF_RUN_QUEUED);
			break;
		case DF_AS_CAUSE:
			*(DfCause *) field = (DfCause) read_name(value, isnull, df_cause_of, DF_CAUSE_NONE);
			break;
		case DF_AS_STEP_KIND:
			*(DfStepKind *) field =
				(DfStepKind) read_name(value, isnull, df_step_kind_of, DF_STEP_HTTP);
			break;
		case DF_AS_STEP_STATE:
			*(DfStepState *) field =
				(DfStepState) read_name(value, isnull, df_step_state_of, DF_STEP_PENDING);
			break;
		case DF_AS_UNDO_STATE:
			*(DfUndoState *) field =
				(DfUndoState) read_name(value, isnull, df_undo_state_of, DF_UNDO_NONE);
			break;
		case DF_AS_MESSAGE_KIND:
			*(DfMessageKind *) field =
				(DfMessageKind) read_name(value, isnull, message_kind_of, DF_MESSAGE_NONE);
			break;
		case DF_AS_WORD:
			*(DfWord *) field = (DfWord) read_name(value, isnull, df_word_of, DF_WORD_NONE);
			break;
		case DF_AS_MEANING:
			*(DfMeaning *) field =
				(DfMeaning) read_name(value, isnull, df_meaning_of, DF_MEANS_DONE);
			break;
		case DF_AS_KEY_HELD:
			elog(ERROR, "column \"%s\" is not to be read", column->name);
	}
}

void
df_row_read(const DfPlan *plan, uint64 row, void *into, MemoryContext cxt)
{
	Datum values[DF_MAX_ARGS];
	bool nulls[DF_MAX_ARGS];
	MemoryContext old;

	Assert(row < SPI_processed);
	if (SPI_tuptable->tupdesc->natts > DF_MAX_ARGS)
		elog(ERROR, "too many columns in the result of \"%s\"", plan->sql);
	heap_deform_tuple(SPI_tuptable->vals[row], SPI_tuptable->tupdesc, values, nulls);
	old = MemoryContextSwitchTo(cxt);
	for (int i = 0; i < plan->ncolumns; i++)
	{
		const DfColumn *column = plan->columns[i];

		if (!column->of_owner)
			read_field(column, values[i], nulls[i], (char *) into + column->offset);
	}
	MemoryContextSwitchTo(old);
}

/* ---- writing -------------------------------------------------------------- */

static Datum
pointer_value(const void *pointer, bool *isnull)
{
	*isnull = pointer == NULL;
	return PointerGetDatum(pointer);
}

static Datum
text_value(const char *text, bool *isnull)
{
	*isnull = text == NULL;
	return text == NULL ? (Datum) 0 : CStringGetTextDatum(text);
}

static Datum
undo_state_value(DfUndoState state, bool *isnull)
{
	return text_value(state == DF_UNDO_NONE ? NULL : df_undo_state_name(state), isnull);
}

static Datum
meaning_value(DfMeaning meaning, bool *isnull)
{
	return text_value(meaning == DF_MEANS_DONE ? NULL : df_meaning_name(meaning), isnull);
}

static Datum
int_value(int value, int null, bool *isnull)
{
	*isnull = value == null;
	return Int32GetDatum(value);
}

static Datum
field_value(const DfColumn *column, const void *field, bool *isnull)
{
	*isnull = false;
	switch (column->form)
	{
		case DF_AS_TEXT:
			return text_value(*(char *const *) field, isnull);
		case DF_AS_JSONB:
		case DF_AS_INTERVAL:
		case DF_AS_UUID_REF:
			return pointer_value(*(void *const *) field, isnull);
		case DF_AS_UUID:
			return PointerGetDatum(field);
		case DF_AS_TIME:
			*isnull = *(const TimestampTz *) field == DF_NEVER;
			return TimestampTzGetDatum(*(const TimestampTz *) field);
		case DF_AS_INT:
			return Int32GetDatum(*(const int *) field);
		case DF_AS_COUNT:
			return int_value(*(const int *) field, 0, isnull);
		case DF_AS_ROUND:
			return int_value(*(const int *) field, 1, isnull);
		case DF_AS_HASH:
			return int_value((int) *(const uint32 *) field, 0, isnull);
		case DF_AS_NONCE:
			*isnull = *(const int64 *) field == 0;
			return Int64GetDatum(*(const int64 *) field);
		case DF_AS_INT8:
			return Int64GetDatum(*(const int64 *) field);
		case DF_AS_FLOAT8:
			return Float8GetDatum(*(const double *) field);
		case DF_AS_MARK:
			*isnull = !*(const bool *) field;
			return BoolGetDatum(true);
		case DF_AS_BOOL:
			return BoolGetDatum(*(const bool *) field);
		case DF_AS_OID:
			*isnull = !OidIsValid(*(const Oid *) field);
			return ObjectIdGetDatum(*(const Oid *) field);
		case DF_AS_RUN_STATE:
			return text_value(df_run_state_name(*(const DfRunState *) field), isnull);
		case DF_AS_CAUSE:
			return text_value(df_cause_name(*(const DfCause *) field), isnull);
		case DF_AS_STEP_KIND:
			return text_value(df_step_kind_name(*(const DfStepKind *) field), isnull);
		case DF_AS_STEP_STATE:
			return text_value(df_step_state_name(*(const DfStepState *) field), isnull);
		case DF_AS_UNDO_STATE:
			return undo_state_value(*(const DfUndoState *) field, isnull);
		case DF_AS_MESSAGE_KIND:
			return text_value(df_message_kind_name(*(const DfMessageKind *) field), isnull);
		case DF_AS_WORD:
			return text_value(df_word_name(*(const DfWord *) field), isnull);
		case DF_AS_MEANING:
			return meaning_value(*(const DfMeaning *) field, isnull);
		case DF_AS_KEY_HELD:
			return BoolGetDatum(df_run_holds_key(*(const DfRunState *) field));
	}
	pg_unreachable();
}

static Datum
column_value(const DfColumn *column, const void *row, const void *owner, bool *isnull)
{
	const char *from = column->of_owner ? owner : row;

	Assert(from != NULL);
	return field_value(column, from + column->offset, isnull);
}

/* a statement's own parameters are in front of those of its columns */
static void
copy_own(const DfPlan *plan, const Datum *own, Datum *values, char *nulls)
{
	Assert(plan->nargs == 0 || own != NULL);
	memset(nulls, ' ', plan->nparams);
	for (int i = 0; i < plan->nargs; i++)
		values[i] = own[i];
}

uint64
df_row_run(DfPlan *plan, const Datum *own, const void *row, const void *owner)
{
	Datum values[DF_MAX_ARGS];
	char nulls[DF_MAX_ARGS + 1];

	df_plan_prepare(plan);
	copy_own(plan, own, values, nulls);
	for (int i = 0; i < plan->ncolumns; i++)
	{
		bool isnull;

		values[plan->nargs + i] = column_value(plan->columns[i], row, owner, &isnull);
		if (isnull)
			nulls[plan->nargs + i] = 'n';
	}
	return df_plan_run(plan, values, nulls, 0);
}

void
df_batch_begin(DfBatch *batch, DfPlan *plan, int maxrows)
{
	df_plan_prepare(plan);
	batch->plan = plan;
	batch->nrows = 0;
	batch->maxrows = maxrows;
	for (int i = 0; i < plan->ncolumns && maxrows > 0; i++)
	{
		batch->values[i] = palloc(sizeof(Datum) * maxrows);
		batch->nulls[i] = palloc(sizeof(bool) * maxrows);
	}
}

void
df_batch_add(DfBatch *batch, const void *row, const void *owner)
{
	const DfPlan *plan = batch->plan;
	int r = batch->nrows++;

	Assert(r < batch->maxrows);
	for (int i = 0; i < plan->ncolumns; i++)
		batch->values[i][r] = column_value(plan->columns[i], row, owner, &batch->nulls[i][r]);
}

uint64
df_batch_run(DfBatch *batch, const Datum *own)
{
	DfPlan *plan = batch->plan;
	Datum values[DF_MAX_ARGS];
	char nulls[DF_MAX_ARGS + 1];

	if (batch->nrows == 0)
		return 0;
	copy_own(plan, own, values, nulls);
	for (int i = 0; i < plan->ncolumns; i++)
		values[plan->nargs + i] = df_array(df_column_type(plan->columns[i], false),
										   batch->values[i], batch->nulls[i], batch->nrows);
	return df_plan_run(plan, values, nulls, 0);
}
