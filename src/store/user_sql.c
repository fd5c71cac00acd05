/*
 * store/user_sql.c
 *	  Running SQL that users wrote: the statements of query() and once().
 *
 * query() is run by a sql worker, once() inside a body; both in the process's
 * transaction and as the workflow's owner, which is the session's role.  Never
 * touch the engine's own tables or take its user id here: this is a user's SQL,
 * with the user's rights and no more.
 */
#include "postgres.h"

#include "access/htup_details.h"
#include "access/xact.h"
#include "catalog/namespace.h"
#include "catalog/pg_type.h"
#include "commands/prepare.h"
#include "commands/sequence.h"
#include "commands/trigger.h"
#include "executor/executor.h"
#include "executor/spi.h"
#include "funcapi.h"
#include "miscadmin.h"
#include "nodes/makefuncs.h"
#include "parser/analyze.h"
#include "parser/parser.h"
#include "storage/lock.h"
#include "tcop/tcopprot.h"
#include "utils/array.h"
#include "utils/builtins.h"
#include "utils/fmgroids.h"
#include "utils/guc.h"
#include "utils/lsyscache.h"
#include "utils/memutils.h"
#include "utils/numeric.h"
#include "utils/portal.h"

#include "compat.h"
#include "guc.h"
#include "shared/json.h"
#include "shared/json_size.h"
#include "shared/limits.h"
#include "store/user_sql.h"
#include "types/base.h"

/* ---- parameters ----------------------------------------------------------- */

typedef struct Params
{
	int n;
	Oid *types;
	Datum *values;
	char *nulls; /* ' ' or 'n', as in SPI */
} Params;

/*
 * The types that the statement gives to its parameters.  Those that it leaves
 * open are text; the ones in `types` are given.
 */
static Query *
infer_types(const char *sql, Oid **types, int *n)
{
	List *statements = raw_parser(sql, RAW_PARSE_DEFAULT);
	Query *query;

	if (list_length(statements) != 1)
		ereport(ERROR,
				(errcode(ERRCODE_SYNTAX_ERROR),
				 errmsg("the SQL of a step must be one statement, not %d", list_length(statements)),
				 errhint("Put several statements into a function, or combine them by WITH.")));
	query = df_compat_analyze_varparams(linitial_node(RawStmt, statements), sql, types, n);
	for (int i = 0; i < *n; i++)
		if ((*types)[i] == InvalidOid || (*types)[i] == UNKNOWNOID)
			(*types)[i] = TEXTOID;
	return query;
}

/* as a type's input function would read it */
static char *
scalar_text(const JsonbValue *value)
{
	char *text = df_json_scalar_of(value);

	return text != NULL ? text : df_json_to_text(JsonbValueToJsonb((JsonbValue *) value));
}

static Datum
read_as(Oid type, char *text)
{
	Oid input;
	Oid param;

	getTypeInputInfo(type, &input, &param);
	return OidInputFunctionCall(input, text, param, -1);
}

/* a JSON array as an array of one dimension */
static Datum
read_array(Oid element, JsonbContainer *list)
{
	int n = JsonContainerSize(list);
	Datum *values = palloc(sizeof(Datum) * Max(1, n));
	bool *nulls = palloc(sizeof(bool) * Max(1, n));
	int dims[1] = {n};
	int lower[1] = {1};
	int16 length;
	bool by_value;
	char align;

	if (n == 0)
		return PointerGetDatum(construct_empty_array(element));
	for (int i = 0; i < n; i++)
	{
		JsonbValue *value = getIthJsonbValueFromContainer(list, i);

		nulls[i] = value->type == jbvNull;
		values[i] = nulls[i] ? (Datum) 0 : read_as(element, scalar_text(value));
	}
	get_typlenbyvalalign(element, &length, &by_value, &align);
	return PointerGetDatum(
		construct_md_array(values, nulls, 1, dims, lower, element, length, by_value, align));
}

static Datum
read_parameter(Oid type, JsonbValue *value)
{
	Oid element = get_base_element_type(type);

	if (type == JSONBOID)
		return JsonbPGetDatum(JsonbValueToJsonb(value));
	if (type == JSONOID)
	{
		Jsonb *whole = JsonbValueToJsonb(value);

		return CStringGetTextDatum(df_json_to_text(whole));
	}
	if (OidIsValid(element) && value->type == jbvBinary &&
		JsonContainerIsArray(value->val.binary.data))
		return read_array(element, value->val.binary.data);
	return read_as(type, scalar_text(value));
}

static int
count_args(const Jsonb *args)
{
	return args == NULL ? 0 : JB_ROOT_COUNT(args);
}

/* an object is jsonb from the beginning: no operator could be chosen for it otherwise */
static void
given_types(const Jsonb *args, bool result_arg, Oid *types)
{
	for (int i = 0; i < count_args(args); i++)
	{
		JsonbValue *value = getIthJsonbValueFromContainer((JsonbContainer *) &args->root, i);
		bool object = value->type == jbvBinary && JsonContainerIsObject(value->val.binary.data);

		types[i] = object || result_arg ? JSONBOID : InvalidOid;
	}
}

static void
bind_args(const char *sql, const Jsonb *args, bool result_arg, Params *params)
{
	int given = count_args(args);
	int n = given;

	params->types = palloc0(sizeof(Oid) * Max(1, given));
	given_types(args, result_arg, params->types);
	(void) infer_types(sql, &params->types, &n);
	if (n > given)
		ereport(ERROR,
				(errcode(ERRCODE_UNDEFINED_PARAMETER),
				 errmsg("there is no parameter $%d: args has %d", n, given),
				 errhint("Give args as a JSON array with a value for each parameter.")));
	params->n = given;
	params->values = palloc0(sizeof(Datum) * Max(1, given));
	params->nulls = palloc0(Max(1, given) + 1);
	for (int i = 0; i < given; i++)
	{
		JsonbValue *value = getIthJsonbValueFromContainer((JsonbContainer *) &args->root, i);

		params->nulls[i] = value->type == jbvNull ? 'n' : ' ';
		if (value->type != jbvNull)
			params->values[i] = read_parameter(params->types[i], value);
	}
}

/* ---- results -------------------------------------------------------------- */

/* pg_catalog.to_jsonb() for values of that type */
static void
prepare_to_jsonb(FmgrInfo *flinfo, Oid type)
{
	Node *call = (Node *) makeFuncExpr(F_TO_JSONB, JSONBOID,
									   list_make1(makeNullConst(type, -1, InvalidOid)),
									   InvalidOid, InvalidOid, COERCE_EXPLICIT_CALL);

	fmgr_info(F_TO_JSONB, flinfo);
	fmgr_info_set_expr(call, flinfo);
}

static void
check_size(size_t size)
{
	if (size > (size_t) df_max_body)
		ereport(ERROR,
				(errcode(DF_ERR_LIMIT),
				 errmsg("the result of the SQL is larger than dataflows.max_body (%d bytes)",
						df_max_body),
				 errhint("Return less: keep the rows in a table and return their keys.")));
}

/* the rows of the statement just run as an array of objects, in the current context */
static Jsonb *
rows_as_jsonb(uint64 n)
{
	JsonbParseState *state = NULL;
	JsonbValue *array;
	FmgrInfo flinfo;
	TupleDesc desc;
	size_t size = 0;

	(void) pushJsonbValue(&state, WJB_BEGIN_ARRAY, NULL);
	if (SPI_tuptable != NULL)
	{
		desc = BlessTupleDesc(SPI_tuptable->tupdesc);
		prepare_to_jsonb(&flinfo, RECORDOID);
		for (uint64 i = 0; i < n; i++)
		{
			Datum row = heap_copy_tuple_as_datum(SPI_tuptable->vals[i], desc);
			Jsonb *object = DatumGetJsonbP(FunctionCall1(&flinfo, row));
			JsonbValue value;

			size += df_jsonb_text_size(object, df_max_body) + strlen(", ");
			check_size(size);
			value.type = jbvBinary;
			value.val.binary.data = &object->root;
			value.val.binary.len = VARSIZE(object) - VARHDRSZ;
			(void) pushJsonbValue(&state, WJB_ELEM, &value);
		}
	}
	array = pushJsonbValue(&state, WJB_END_ARRAY, NULL);
	return JsonbValueToJsonb(array);
}

static Jsonb *
first_value(uint64 n)
{
	FmgrInfo flinfo;
	bool isnull;
	Datum value;
	Jsonb *result;

	if (SPI_tuptable == NULL || n == 0 || SPI_tuptable->tupdesc->natts == 0)
		return NULL;
	value = SPI_getbinval(SPI_tuptable->vals[0], SPI_tuptable->tupdesc, 1, &isnull);
	if (isnull)
		return NULL;
	prepare_to_jsonb(&flinfo, SPI_gettypeid(SPI_tuptable->tupdesc, 1));
	result = DatumGetJsonbP(FunctionCall1(&flinfo, value));
	check_size(df_jsonb_text_size(result, df_max_body));
	return result;
}

/* ---- running -------------------------------------------------------------- */

/* within SPI; returns the number of rows */
static uint64
execute(const char *sql, const Params *params, bool read_only, long limit)
{
	int code = SPI_execute_with_args(sql, params->n, params->types, params->values, params->nulls,
									 read_only, limit);

	if (code == SPI_ERROR_COPY || code == SPI_ERROR_TRANSACTION)
		ereport(ERROR,
				(errcode(ERRCODE_FEATURE_NOT_SUPPORTED),
				 errmsg("the SQL of a step must not be %s",
						code == SPI_ERROR_COPY ? "COPY from or to the client"
											   : "a transaction command"),
				 errhint("Leave it out: the engine begins and commits the transaction.")));
	if (code < 0)
		elog(ERROR, "SPI_execute_with_args failed: %s", SPI_result_code_string(code));
	return SPI_processed;
}

static Jsonb *
copy_jsonb(const Jsonb *value, MemoryContext cxt)
{
	Jsonb *copy;

	if (value == NULL)
		return NULL;
	copy = MemoryContextAlloc(cxt, VARSIZE(value));
	memcpy(copy, value, VARSIZE(value));
	return copy;
}

static Jsonb *
run_in_spi(const char *sql, const Jsonb *args, bool result_arg, MemoryContext cxt)
{
	Params params;
	Jsonb *rows;

	if (SPI_connect() != SPI_OK_CONNECT)
		elog(ERROR, "SPI_connect failed");
	bind_args(sql, args, result_arg, &params);
	rows = copy_jsonb(rows_as_jsonb(execute(sql, &params, false, 0)), cxt);
	(void) SPI_finish();
	return rows;
}

/* what was deferred to the commit is the step's own error, not the commit's */
static void
check_constraints(void)
{
	ConstraintsSetStmt *statement = makeNode(ConstraintsSetStmt);

	statement->constraints = NIL;
	statement->deferred = false;
	AfterTriggerSetState(statement);
}

/*
 * The statement was a user's: what it did to the role of the session must be undone
 * by now, or this process must not go on.
 */
static void
verify_user(Oid user_before, int context_before)
{
	Oid user;
	int context;

	GetUserIdAndSecContext(&user, &context);
	if (user != user_before || context != context_before)
		ereport(FATAL,
				(errcode(ERRCODE_INSUFFICIENT_PRIVILEGE),
				 errmsg("SQL of a query step left another role behind"),
				 errdetail("The process ends, and with it the transaction.")));
}

void
df_user_sql_run(const char *sql, const Jsonb *args, bool result_arg, int lock_ms,
				DfSqlOutcome *outcome)
{
	MemoryContext cxt = CurrentMemoryContext;
	ResourceOwner owner = CurrentResourceOwner;
	Oid user;
	int context;

	GetUserIdAndSecContext(&user, &context);
	memset(outcome, 0, sizeof(*outcome));
	BeginInternalSubTransaction(NULL);
	PG_TRY();
	{
		int gucs = NewGUCNestLevel();
		Jsonb *rows;

		/* longer than the engine's own statements wait */
		(void) set_config_option("lock_timeout", psprintf("%d", lock_ms), PGC_SUSET,
								 PGC_S_SESSION, GUC_ACTION_SAVE, true, 0, false);
		rows = run_in_spi(sql, args, result_arg, cxt);
		check_constraints();
		AtEOXact_GUC(false, gucs);
		verify_user(user, context);
		ReleaseCurrentSubTransaction();
		outcome->rows = rows;
	}
	PG_CATCH();
	{
		ErrorData *error;

		MemoryContextSwitchTo(cxt);
		error = CopyErrorData();
		df_error_cut(error);
		FlushErrorState();
		RollbackAndReleaseCurrentSubTransaction();
		outcome->rows = NULL;
		outcome->sqlstate = error->sqlerrcode;
		outcome->error = error;
	}
	PG_END_TRY();
	MemoryContextSwitchTo(cxt);
	CurrentResourceOwner = owner;
	verify_user(user, context);
}

/* names, types and rights; it is not planned, which would run what is constant in it */
static void
analyze_undo(const char *sql)
{
	Oid *types = palloc(sizeof(Oid));
	Query *query;
	int n = 1;

	types[0] = JSONBOID;
	query = infer_types(sql, &types, &n);
	if (n > 1)
		ereport(ERROR,
				(errcode(ERRCODE_UNDEFINED_PARAMETER),
				 errmsg("there is no parameter $%d: an undo has $1, the result of its step", n),
				 errhint("Take what it needs out of $1, as in $1->0->>'id'.")));
	(void) df_compat_check_rights(query);
}

/* "$1->": it takes something out of the result */
static bool
reads_result(const char *undo)
{
	for (const char *p = strstr(undo, "$1"); p != NULL; p = strstr(p, "$1"))
	{
		p += 2 + strspn(p + 2, " \t\r\n)");
		if (strncmp(p, "->", 2) == 0 || strncmp(p, "#>", 2) == 0 || *p == '[')
			return true;
	}
	return false;
}

/* a change without RETURNING: whatever it did, its result is empty */
static bool
returns_nothing(const char *sql)
{
	Oid *types = palloc(sizeof(Oid));
	int n = 0;
	Query *query = infer_types(sql, &types, &n);

	return query->commandType != CMD_SELECT && query->commandType != CMD_UTILITY &&
		query->returningList == NIL;
}

/*
 * A table that somebody has locked is not waited for, and the SQL not looked at then.  What is
 * wrong with the step's own SQL is found when it is run.
 */
void
df_user_sql_check(const char *undo, const char *sql)
{
	volatile bool in_vain = false;
	volatile bool is_right = false;
	MemoryContext cxt = CurrentMemoryContext;
	ResourceOwner owner = CurrentResourceOwner;
	ErrorData *volatile error = NULL;

	BeginInternalSubTransaction(NULL);
	PG_TRY();
	{
		(void) set_config_option("lock_timeout", "1ms", PGC_USERSET, PGC_S_SESSION,
								 GUC_ACTION_LOCAL, true, 0, false);
		analyze_undo(undo);
		is_right = true;
		in_vain = reads_result(undo) && returns_nothing(sql);
	}
	PG_CATCH();
	{
		MemoryContextSwitchTo(cxt);
		error = CopyErrorData();
		FlushErrorState();
	}
	PG_END_TRY();
	RollbackAndReleaseCurrentSubTransaction();
	MemoryContextSwitchTo(cxt);
	CurrentResourceOwner = owner;
	if (error != NULL && !is_right && error->sqlerrcode != ERRCODE_LOCK_NOT_AVAILABLE)
		ReThrowError(error);
	if (in_vain)
		ereport(ERROR,
				(errcode(ERRCODE_INVALID_PARAMETER_VALUE),
				 errmsg("the undo reads $1, which is always empty"),
				 errdetail("The SQL of the step returns nothing, so that the undo would change "
						   "nothing."),
				 errhint("Add RETURNING to the SQL of the step.")));
}

Jsonb *
df_user_sql_value(const char *sql, const Jsonb *args, MemoryContext cxt)
{
	Params params;
	Jsonb *value;

	if (SPI_connect() != SPI_OK_CONNECT)
		elog(ERROR, "SPI_connect failed");
	bind_args(sql, args, false, &params);
	value = copy_jsonb(first_value(execute(sql, &params, true, 1)), cxt);
	(void) SPI_finish();
	return value;
}

/* cursors first: they may be open on the temporary tables */
void
df_user_session_clean(void)
{
	PortalHashTableDeleteAll();
	DropAllPreparedStatements();
	LockReleaseSession(USER_LOCKMETHOD);
	ResetTempTableNamespace();
	ResetSequenceCaches();
}
