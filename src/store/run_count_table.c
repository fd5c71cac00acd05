/*
 * store/run_count_table.c
 *	  Statements on dataflows.run_count: how many runs have ended.
 *
 * Runs in workers and coordinators, in the transaction that writes or deletes the runs, inside
 * df_store_enter/leave, so that the counts are exact.  Each process has rows of its own, which
 * are added up when they are read: otherwise workers would wait for each other's commits.
 */
#include "postgres.h"

#include "catalog/pg_type.h"
#include "flow/flow.h"
#include "storage/proc.h"
#include "store/run_count_table.h"
#include "store/store.h"
#include "utils/builtins.h"

/* processes that have the same rows wait for each other, which costs time and nothing else */
#define NSHARES 32
#define SHARE_OF_CORRECTIONS NSHARES

typedef struct Change
{
	const char *workflow;
	DfRunState ended_as;
	int64 by;
} Change;

void
df_run_counts_add(DfRunCounts *counts, const char *workflow, DfRunState state, int64 by)
{
	Change *change;
	ListCell *cell;

	if (!df_run_is_terminal(state))
		return;
	foreach (cell, counts->changes)
	{
		change = lfirst(cell);
		if (change->ended_as != state || strcmp(change->workflow, workflow) != 0)
			continue;
		change->by += by;
		return;
	}
	change = palloc(sizeof(Change));
	change->workflow = workflow;
	change->ended_as = state;
	change->by = by;
	counts->changes = lappend(counts->changes, change);
}

/* always in the same order, so that two processes with the same rows do not deadlock */
static int
by_name(const ListCell *a, const ListCell *b)
{
	const Change *one = lfirst(a);
	const Change *other = lfirst(b);
	int order = strcmp(one->workflow, other->workflow);

	return order != 0 ? order : (int) one->ended_as - (int) other->ended_as;
}

static void
write_share(const DfRunCounts *counts, int32 share)
{
	static DfPlan plan = {
		"INSERT INTO dataflows.run_count AS c (workflow, state, share, runs)"
		" SELECT u.workflow, u.state, $4, u.runs"
		" FROM unnest($1, $2, $3) WITH ORDINALITY AS u (workflow, state, runs, place)"
		" ORDER BY u.place"
		" ON CONFLICT (workflow, state, share) DO UPDATE SET runs = c.runs + excluded.runs",
		SPI_OK_INSERT, DF_PARAMS(TEXTARRAYOID, TEXTARRAYOID, INT8ARRAYOID, INT4OID)};
	int n = 0;
	List *changes = list_copy(counts->changes);
	Datum *workflows = palloc(sizeof(Datum) * Max(1, list_length(changes)));
	Datum *states = palloc(sizeof(Datum) * Max(1, list_length(changes)));
	Datum *runs = palloc(sizeof(Datum) * Max(1, list_length(changes)));
	Datum values[4];
	ListCell *cell;

	list_sort(changes, by_name);
	foreach (cell, changes)
	{
		const Change *change = lfirst(cell);

		if (change->by == 0)
			continue;
		workflows[n] = CStringGetTextDatum(change->workflow);
		states[n] = CStringGetTextDatum(df_run_state_name(change->ended_as));
		runs[n++] = Int64GetDatum(change->by);
	}
	if (n == 0)
		return;
	values[0] = df_array(TEXTOID, workflows, NULL, n);
	values[1] = df_array(TEXTOID, states, NULL, n);
	values[2] = df_array(INT8OID, runs, NULL, n);
	values[3] = Int32GetDatum(share);
	(void) df_plan_run(&plan, values, NULL, 0);
}

void
df_run_counts_write(const DfRunCounts *counts)
{
	write_share(counts, (int32) ((MyProc - ProcGlobal->allProcs) % NSHARES));
}

/*
 * A run's end and its count are committed together, so in one snapshot their difference is the
 * error.  Its own share keeps a transaction that stays open from holding up who ends runs.
 */
void
df_run_counts_correct(void)
{
	static DfPlan plan = {
		"SELECT COALESCE(t.workflow, c.workflow), COALESCE(t.state, c.state),"
		" COALESCE(t.runs, 0) - COALESCE(c.runs, 0)"
		" FROM (SELECT r.workflow, r.state, count(*) AS runs FROM dataflows.run AS r"
		" WHERE r.finished_at IS NOT NULL GROUP BY r.workflow, r.state) AS t"
		" FULL JOIN (SELECT k.workflow, k.state, sum(k.runs)::int8 AS runs"
		" FROM dataflows.run_count AS k GROUP BY k.workflow, k.state) AS c"
		" ON c.workflow = t.workflow AND c.state = t.state",
		SPI_OK_SELECT, DF_NO_PARAMS};
	DfRunCounts counts = {NIL};
	uint64 n = df_plan_run_latest(&plan, NULL, NULL, 0);

	for (uint64 row = 0; row < n; row++)
		df_run_counts_add(&counts, TextDatumGetCString(df_value(row, 0)),
						  (DfRunState) df_run_state_of(TextDatumGetCString(df_value(row, 1))),
						  df_int64(row, 2, 0));
	write_share(&counts, SHARE_OF_CORRECTIONS);
}
