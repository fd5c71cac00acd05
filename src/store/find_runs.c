/*
 * store/find_runs.c
 *	  Which runs there are: the newest ones, and the one with a key.
 *
 * Runs in users' sessions and in the ingress process, in the caller's transaction; the role
 * that is judged is an argument.  With a million runs each answer takes milliseconds: rights
 * are decided per workflow, and of each workflow an index gives the newest runs.  Must never
 * return a run that the role does not see.
 */
#include "postgres.h"

#include "catalog/pg_type.h"
#include "flow/flow.h"
#include "miscadmin.h"
#include "store/alias_table.h"
#include "store/find_runs.h"
#include "store/sight.h"
#include "store/store.h"
#include "utils/builtins.h"
#include "utils/guc.h"

/* up to so many live runs are sorted; if there are more, the newest runs are mostly live */
#define FEW_LIVE 2000
#define FEW_LIVE_SQL "2001"

/* ---- which workflows ------------------------------------------------------ */

/* those whose runs the role sees, and those of which it sees what it started itself */
typedef struct Visible
{
	List *whole; /* names */
	List *partly;
	List *starters; /* names of the roles that it is a member of; NIL = not needed */
} Visible;

static List *
workflow_names(MemoryContext cxt)
{
	static DfPlan plan = {
		"SELECT DISTINCT w.name"
		" FROM dataflows.workflow AS w",
		SPI_OK_SELECT, 0};

	return df_copy_texts(cxt, df_plan_run_of_query(&plan, NULL, NULL, 0), 0);
}

static List *
starters_of(Oid role, MemoryContext cxt)
{
	static DfPlan plan = {
		"SELECT a.rolname::text"
		" FROM pg_authid AS a"
		" WHERE pg_has_role($1, a.oid, 'USAGE')",
		SPI_OK_SELECT,
		DF_PARAMS(OIDOID)};
	Datum values[1] = {ObjectIdGetDatum(role)};

	return df_copy_texts(cxt, df_plan_run_of_query(&plan, values, NULL, 0), 0);
}

/* outside the store: deciding what is seen enters it */
static void
find_visible(Oid role, const DfRunFilter *filter, Visible *visible)
{
	MemoryContext cxt = CurrentMemoryContext;
	List *names;
	DfStore store;
	ListCell *cell;

	memset(visible, 0, sizeof(*visible));
	if (filter->workflow != NULL)
		names = list_make1((char *) filter->workflow);
	else
	{
		df_store_enter(&store);
		names = workflow_names(cxt);
		df_store_leave(&store);
	}
	foreach (cell, names)
	{
		char *name = lfirst(cell);

		if (df_sight_of_workflow(role, name, 0) != DF_SEES_NOTHING)
			visible->whole = lappend(visible->whole, name);
		else
			visible->partly = lappend(visible->partly, name);
	}
	if (visible->partly == NIL)
		return;
	df_store_enter(&store);
	visible->starters = starters_of(role, cxt);
	df_store_leave(&store);
}

/* ---- the newest ones ------------------------------------------------------ */

/*
 * The workflows with who started their runs (NULL = anybody) come as two arrays.  Parameters:
 * names, partly, starters, before, state, max.
 */
#define OF_WORKFLOWS \
	" FROM (SELECT n.name, false AS own FROM unnest($1) AS n (name)" \
	"  UNION ALL SELECT n.name, true FROM unnest($2) AS n (name)) AS w"
#define WANTED(run) \
	" AND (NOT w.own OR " run ".started_by = ANY ($3))" \
	" AND ($4 IS NULL OR " run ".run < $4) AND ($5 IS NULL OR " run ".state = $5)"
#define NEWEST_PARAMS \
	DF_PARAMS(TEXTARRAYOID, TEXTARRAYOID, TEXTARRAYOID, UUIDOID, TEXTOID, INT4OID)

/* clang-format off */
static DfPlan undone_plan = {
	"SELECT c.run" OF_WORKFLOWS
	" CROSS JOIN LATERAL ("
	"  SELECT r.run FROM dataflows.run AS r"
	"  WHERE r.workflow >= w.name AND r.workflow <= w.name AND r.cause IS NOT NULL" WANTED("r")
	"  ORDER BY r.workflow DESC, r.run DESC LIMIT $6) AS c"
	" ORDER BY c.run DESC LIMIT $6",
	SPI_OK_SELECT, NEWEST_PARAMS};
static DfPlan stuck_plan = {
	"SELECT r.run" OF_WORKFLOWS
	" JOIN dataflows.run AS r ON r.workflow = w.name"
	" WHERE r.stuck IS NOT NULL" WANTED("r")
	" ORDER BY r.run DESC LIMIT $6",
	SPI_OK_SELECT, NEWEST_PARAMS};
/* all live runs, if they are few */
static DfPlan live_plan = {
	"SELECT c.run, c.wanted" OF_WORKFLOWS
	" CROSS JOIN LATERAL ("
	"  SELECT r.run, true" WANTED("r") " AS wanted"
	"  FROM dataflows.run AS r"
	"  WHERE r.workflow = w.name AND r.wake_at IS NOT NULL"
	"  UNION ALL"
	"  SELECT r.run, true" WANTED("r")
	"  FROM dataflows.run AS r"
	"  WHERE r.workflow = w.name AND r.wake_at IS NULL AND r.finished_at IS NULL"
	"  LIMIT " FEW_LIVE_SQL ") AS c"
	" LIMIT " FEW_LIVE_SQL,
	SPI_OK_SELECT, NEWEST_PARAMS};
/* clang-format on */

/*
 * Whatever state: by an index on workflow, who started it and run.  It tells who has started
 * runs of a workflow, with a look-up for each, and then the newest of each.  Compared by
 * equality, the last column would be ordered by the primary key, through all workflows.
 */
static DfPlan starters_plan = {
	"SELECT w.name, s.started_by" OF_WORKFLOWS
	" CROSS JOIN LATERAL ("
	"  WITH RECURSIVE t (started_by) AS ("
	"   (SELECT r.started_by FROM dataflows.run AS r WHERE r.workflow = w.name"
	"    ORDER BY r.started_by LIMIT 1)"
	"   UNION ALL"
	"   SELECT (SELECT r.started_by FROM dataflows.run AS r"
	"    WHERE r.workflow = w.name AND r.started_by > t.started_by"
	"    ORDER BY r.started_by LIMIT 1)"
	"   FROM t WHERE t.started_by IS NOT NULL)"
	"  SELECT t.started_by FROM t WHERE t.started_by IS NOT NULL) AS s"
	" WHERE NOT w.own OR s.started_by = ANY ($3)",
	SPI_OK_SELECT, DF_PARAMS(TEXTARRAYOID, TEXTARRAYOID, TEXTARRAYOID)};
static DfPlan all_plan = {
	"SELECT c.run"
	" FROM unnest($1, $2) AS w (name, started_by)"
	" CROSS JOIN LATERAL ("
	"  SELECT r.run FROM dataflows.run AS r"
	"  WHERE r.workflow = w.name"
	"  AND r.started_by >= w.started_by AND r.started_by <= w.started_by"
	"  AND ($3 IS NULL OR r.run < $3) AND ($4 IS NULL OR r.state = $4)"
	"  ORDER BY r.started_by DESC, r.run DESC LIMIT $5) AS c"
	" ORDER BY c.run DESC LIMIT $5",
	SPI_OK_SELECT, DF_PARAMS(TEXTARRAYOID, TEXTARRAYOID, UUIDOID, TEXTOID, INT4OID)};

/* the indexes, whatever the statistics say of a table that has just been filled */
static void
by_index(void)
{
	(void) set_config_option("enable_seqscan", "off", PGC_SUSET, PGC_S_SESSION, GUC_ACTION_SAVE,
							 true, 0, false);
}

static int
newest_first(const void *a, const void *b)
{
	return memcmp(b, a, sizeof(pg_uuid_t));
}

/* false: there are too many */
static bool
few_live_runs(Datum *values, const char *nulls, int max, pg_uuid_t *runs, int *n)
{
	uint64 found = df_plan_run_of_query(&live_plan, values, nulls, 0);
	pg_uuid_t *wanted = palloc(sizeof(pg_uuid_t) * FEW_LIVE);
	int nwanted = 0;

	if (found > FEW_LIVE)
		return false;
	for (uint64 row = 0; row < found; row++)
		if (df_bool(row, 1, false))
			wanted[nwanted++] = df_copy_uuid(row, 0);
	qsort(wanted, nwanted, sizeof(pg_uuid_t), newest_first);
	*n = Min(nwanted, max);
	memcpy(runs, wanted, sizeof(pg_uuid_t) * *n);
	return true;
}

static uint64
newest_of_all(Datum *values, const char *nulls)
{
	uint64 n = df_plan_run_of_query(&starters_plan, values, NULL, 0);
	Datum names = df_text_array(df_copy_texts(CurrentMemoryContext, n, 0));
	Datum starters = df_text_array(df_copy_texts(CurrentMemoryContext, n, 1));
	Datum wanted[5] = {names, starters, values[3], values[4], values[5]};
	char wanted_nulls[6] = {' ', ' ', nulls[3], nulls[4], ' ', '\0'};

	return df_plan_run_of_query(&all_plan, wanted, wanted_nulls, 0);
}

/* NULL = newest_of_all() */
static DfPlan *
plan_for(const char *state)
{
	int number = state != NULL ? df_run_state_of(state) : -1;

	if (number == DF_RUN_STUCK)
		return &stuck_plan;
	if (number == DF_RUN_ROLLED_BACK || number == DF_RUN_CANCELLED || number == DF_RUN_ROLLING_BACK)
		return &undone_plan;
	return NULL;
}

static bool
is_live(const char *state)
{
	int number = state != NULL ? df_run_state_of(state) : -1;

	return number >= 0 && number != DF_RUN_STUCK && !df_run_is_terminal((DfRunState) number);
}

pg_uuid_t *
df_newest_runs(Oid role, const DfRunFilter *filter, int *n)
{
	pg_uuid_t *runs = palloc(sizeof(pg_uuid_t) * Max(1, filter->max));
	Visible visible;
	Datum values[6];
	char nulls[7] = "      ";
	DfStore store;
	uint64 found;

	find_visible(role, filter, &visible);
	df_store_enter(&store);
	by_index();
	values[0] = df_text_array(visible.whole);
	values[1] = df_text_array(visible.starters != NIL ? visible.partly : NIL);
	values[2] = df_text_array(visible.starters);
	values[3] = UUIDPGetDatum(filter->before);
	values[4] = filter->in_state != NULL ? CStringGetTextDatum(filter->in_state) : (Datum) 0;
	values[5] = Int32GetDatum(filter->max);
	nulls[3] = filter->before != NULL ? ' ' : 'n';
	nulls[4] = filter->in_state != NULL ? ' ' : 'n';
	if (!is_live(filter->in_state) || !few_live_runs(values, nulls, filter->max, runs, n))
	{
		DfPlan *plan = plan_for(filter->in_state);

		found = plan != NULL ? df_plan_run_of_query(plan, values, nulls, 0)
							 : newest_of_all(values, nulls);
		for (uint64 row = 0; row < found; row++)
			runs[row] = df_copy_uuid(row, 0);
		*n = (int) found;
	}
	df_store_leave(&store);
	return runs;
}

/* ---- by key --------------------------------------------------------------- */

bool
df_find_by_key(const char *workflow, const char *key, pg_uuid_t *run, DfSeenRun *seen,
			   MemoryContext cxt)
{
	/* clang-format off */
	static DfPlan plan = {
		"SELECT r.run, " DF_SEEN_COLUMNS
		" FROM ("
		"  SELECT h.run, 1 AS place FROM " DF_HOLDER_SQL("$1", "$2") " AS h"
		"  UNION ALL"
		"  (SELECT f.run, 2 FROM dataflows.run AS f"
		"   WHERE f.workflow = $1 AND f.key = $2 AND NOT f.key_held AND f.key IS NOT NULL"
		"   ORDER BY f.run DESC LIMIT 1)) AS c"
		" JOIN dataflows.run AS r ON r.run = c.run"
		" LEFT JOIN dataflows.workflow AS w ON (w.name = r.workflow AND w.version = r.version)"
		" ORDER BY c.place LIMIT 1",
		SPI_OK_SELECT,
		DF_PARAMS(TEXTOID, TEXTOID)};
	/* clang-format on */
	Datum values[2] = {CStringGetTextDatum(workflow), CStringGetTextDatum(key)};
	DfStore store;
	bool found;

	df_store_enter(&store);
	found = df_plan_run_of_query(&plan, values, NULL, 1) > 0;
	if (found)
	{
		*run = df_copy_uuid(0, 0);
		df_seen_run_read(seen, 0, 1, cxt);
	}
	df_store_leave(&store);
	return found;
}
