/*
 * store/column_map.h
 *	  Maps of columns: which columns a table has, and in which field of a struct
 *	  each of them is kept.
 *
 * A map is the one place that names a column: the lists in the statements,
 * the parameters, their types, reading a row and writing one come from it.  To
 * add a column, add a line to the map (and the column to src/sql).
 *
 * A statement names its table's map and which of the columns it is about
 * (DfPlan.table, DfPlan.in) and has marks in its text, which are replaced when
 * it is prepared, once per process.  With the columns n and state, where n is
 * a key, and one parameter of the statement's own:
 *
 *		{*}			n, state
 *		{x.*}		x.n, x.state
 *		{$}			$2, $3						values of one row
 *		{$[]}		$2, $3						arrays over many rows: for unnest()
 *		{* = $}		state = $3					keys are not assigned
 *		{* = x.*}	state = x.state
 *
 * The statement's own parameters come first, the columns' behind them.  What a
 * SELECT reads besides its {x.*} comes after that, from plan->ncolumns on.
 */
#ifndef DF_STORE_COLUMN_MAP_H
#define DF_STORE_COLUMN_MAP_H

#include "postgres.h"

#include "flow/doubt.h"
#include "flow/flow.h"
#include "store/plan.h"

/*
 * How a field is kept in a column: the type of the field, the type of the
 * column, and what is NULL.
 */
typedef enum DfColumnForm
{
	DF_AS_TEXT, /* char *: text; NULL is NULL, in what follows too where a pointer is kept */
	DF_AS_JSONB, /* Jsonb *: jsonb */
	DF_AS_INTERVAL, /* Interval *: interval */
	DF_AS_UUID, /* pg_uuid_t: uuid; all zeros is read for NULL, and never written as NULL */
	DF_AS_UUID_REF, /* pg_uuid_t *: uuid */
	DF_AS_TIME, /* TimestampTz: timestamptz; DF_NEVER is NULL */
	DF_AS_INT, /* int: int4; 0 is read for NULL */
	DF_AS_COUNT, /* int: int4; 0 is NULL, which takes no space */
	DF_AS_ROUND, /* int: int4; 1 is NULL */
	DF_AS_HASH, /* uint32: int4; 0 is NULL */
	DF_AS_INT8, /* int64: int8; 0 is read for NULL */
	DF_AS_NONCE, /* int64: int8; 0 is NULL */
	DF_AS_FLOAT8, /* double: float8 */
	DF_AS_BOOL, /* bool: bool; false is read for NULL */
	DF_AS_MARK, /* bool: bool; false is NULL */
	DF_AS_OID, /* Oid: oid; InvalidOid is NULL */
	/* enums by their names; the value that means "none" is NULL */
	DF_AS_RUN_STATE,
	DF_AS_CAUSE,
	DF_AS_STEP_KIND,
	DF_AS_STEP_STATE,
	DF_AS_UNDO_STATE,
	DF_AS_MESSAGE_KIND,
	DF_AS_WORD,
	DF_AS_MEANING, /* DfMeaning: text; DF_MEANS_DONE is NULL */
	DF_AS_KEY_HELD /* DfRunState: bool, whether a run in that state holds its key; not read */
} DfColumnForm;

typedef struct DfColumn
{
	const char *name;
	DfColumnForm form;
	size_t offset; /* of the field in the row's struct, or in its owner's */
	bool of_owner; /* the run of a step, say: not read into the row's struct */
	int in; /* bits: what kinds of statements have it */
} DfColumn;

/* bits of DfColumn.in; a table has more of its own, from DF_IN_OTHER on */
#define DF_IN_KEY 0x1 /* identifies the row: an UPDATE does not assign it */
#define DF_IN_READ 0x2
#define DF_IN_OTHER 0x4

typedef struct DfTable
{
	const DfColumn *columns;
	int ncolumns;
} DfTable;

/* DF_COLUMN(DfStep, "state", state, STEP_STATE, ...); a field of another type draws a warning */
#define DF_COLUMN(type, column, field, form, in) \
	{ \
		column, DF_AS_##form, DF_OFFSET(type, field, form), false, in \
	}
#define DF_COLUMN_OF_OWNER(type, column, field, form, in) \
	{ \
		column, DF_AS_##form, DF_OFFSET(type, field, form), true, in \
	}
#define DF_OFFSET(type, field, form) \
	(offsetof(type, field) + 0 * sizeof(DF_TYPE_##form(((type *) 0)->field)))

#define DF_TYPE_TEXT(field) ((const char *) 0 == (field))
#define DF_TYPE_JSONB(field) ((const Jsonb *) 0 == (field))
#define DF_TYPE_INTERVAL(field) ((const Interval *) 0 == (field))
#define DF_TYPE_UUID(field) ((const pg_uuid_t *) 0 == &(field))
#define DF_TYPE_UUID_REF(field) ((const pg_uuid_t *) 0 == (field))
#define DF_TYPE_TIME(field) ((const TimestampTz *) 0 == &(field))
#define DF_TYPE_INT(field) ((const int *) 0 == &(field))
#define DF_TYPE_COUNT(field) ((const int *) 0 == &(field))
#define DF_TYPE_ROUND(field) ((const int *) 0 == &(field))
#define DF_TYPE_HASH(field) ((const uint32 *) 0 == &(field))
#define DF_TYPE_INT8(field) ((const int64 *) 0 == &(field))
#define DF_TYPE_NONCE(field) ((const int64 *) 0 == &(field))
#define DF_TYPE_FLOAT8(field) ((const double *) 0 == &(field))
#define DF_TYPE_BOOL(field) ((const bool *) 0 == &(field))
#define DF_TYPE_MARK(field) ((const bool *) 0 == &(field))
#define DF_TYPE_OID(field) ((const Oid *) 0 == &(field))
#define DF_TYPE_RUN_STATE(field) ((const DfRunState *) 0 == &(field))
#define DF_TYPE_CAUSE(field) ((const DfCause *) 0 == &(field))
#define DF_TYPE_STEP_KIND(field) ((const DfStepKind *) 0 == &(field))
#define DF_TYPE_STEP_STATE(field) ((const DfStepState *) 0 == &(field))
#define DF_TYPE_UNDO_STATE(field) ((const DfUndoState *) 0 == &(field))
#define DF_TYPE_MESSAGE_KIND(field) ((const DfMessageKind *) 0 == &(field))
#define DF_TYPE_WORD(field) ((const DfWord *) 0 == &(field))
#define DF_TYPE_MEANING(field) ((const DfMeaning *) 0 == &(field))
#define DF_TYPE_KEY_HELD(field) ((const DfRunState *) 0 == &(field))

/* of the column, or of an array of its values */
extern Oid df_column_type(const DfColumn *column, bool array);

/* replaces the marks, gives the plan its columns and their types; called by df_plan_prepare() */
extern void df_columns_expand(DfPlan *plan);

#endif /* DF_STORE_COLUMN_MAP_H */
