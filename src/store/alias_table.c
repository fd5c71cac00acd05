/*
 * store/alias_table.c
 *	  Further keys of runs.
 *
 * Runs in a worker, in its transaction, inside df_store_enter/leave.  The unique
 * index decides between two runs that want one key; an alias whose run has ended
 * is free.  The row is written in the transaction that records the step.
 */
#include "postgres.h"

#include "catalog/pg_type.h"
#include "utils/builtins.h"
#include "utils/guc.h"
#include "utils/uuid.h"

#include "shared/trouble.h"
#include "shared/uuid.h"
#include "store/alias_table.h"
#include "store/store.h"
#include "store/subxact.h"

/* how long an open transaction may keep all runs of this worker waiting */
#define KEY_WAIT "50ms"

static bool
held_by_another(const DfRun *run, Datum *values, MemoryContext cxt, char **holder)
{
	static DfPlan plan = {
		"SELECT h.run"
		" FROM ("
		"  SELECT r.run"
		"  FROM dataflows.run AS r"
		"  WHERE r.workflow = $1 AND r.key = $2 AND r.key_held AND r.key IS NOT NULL"
		"  AND r.finished_at IS NULL"
		"  UNION ALL"
		"  SELECT r.run"
		"  FROM dataflows.alias AS a"
		"  JOIN dataflows.run AS r ON r.run = a.run"
		"  WHERE a.workflow = $1 AND a.key = $2 AND r.finished_at IS NULL) h"
		" WHERE h.run <> $3",
		SPI_OK_SELECT,
		DF_PARAMS(TEXTOID, TEXTOID, UUIDOID)};
	pg_uuid_t id;

	if (df_plan_run(&plan, values, NULL, 1) == 0)
		return false;
	id = df_copy_uuid(0, 0);
	*holder = df_uuid_text(&id);
	*holder = MemoryContextStrdup(cxt, *holder);
	return true;
}

/* NULL, or the live run that has it, in `cxt`; a key that the run has is confirmed */
static char *
take(const DfRun *run, const char *key, MemoryContext cxt)
{
	static DfPlan plan = {
		"INSERT INTO dataflows.alias AS a (workflow, key, run)"
		" VALUES ($1, $2, $3)"
		" ON CONFLICT (workflow, key) DO UPDATE SET run = excluded.run"
		" WHERE a.run = excluded.run"
		" OR EXISTS ("
		"  SELECT FROM dataflows.run AS r"
		"  WHERE r.run = a.run AND r.finished_at IS NOT NULL)",
		SPI_OK_INSERT,
		DF_PARAMS(TEXTOID, TEXTOID, UUIDOID)};
	Datum values[3] = {CStringGetTextDatum(run->workflow_name), CStringGetTextDatum(key),
					   UUIDPGetDatum(&run->id)};
	char *holder = NULL;

	if (held_by_another(run, values, cxt, &holder) || df_plan_run(&plan, values, NULL, 0) == 1)
		return holder;
	/* another worker was quicker, and we waited for it */
	if (!held_by_another(run, values, cxt, &holder))
		holder = MemoryContextStrdup(cxt, "unknown");
	return holder;
}

typedef struct Taking
{
	const DfRun *run;
	const char *key;
	MemoryContext cxt;
	char *holder;
} Taking;

static void
take_soon(void *arg)
{
	Taking *taking = arg;
	int level = NewGUCNestLevel();

	(void) set_config_option("lock_timeout", KEY_WAIT, PGC_SUSET, PGC_S_SESSION, GUC_ACTION_SAVE,
							 true, 0, false);
	taking->holder = take(taking->run, taking->key, taking->cxt);
	AtEOXact_GUC(false, level);
}

bool
df_alias_try(const DfRun *run, const char *key, MemoryContext cxt, char **holder)
{
	Taking taking = {run, key, cxt, NULL};
	ErrorData *error;

	if (df_subxact(take_soon, &taking, true, &error))
	{
		*holder = taking.holder;
		return true;
	}
	if (!df_error_is_lock(error->sqlerrcode))
		ReThrowError(error);
	return false;
}

/*
 * The turn in which it was taken may have been lost, and the run be recorded in
 * another transaction: then it is taken again, or the run is not recorded.
 */
void
df_alias_confirm(List *runs)
{
	ListCell *lc;

	foreach (lc, runs)
	{
		DfRun *run = lfirst(lc);

		for (int i = 0; run->engine.awaits_commit && i < run->nsteps; i++)
		{
			DfStep *step = run->steps[i];

			if (step->kind == DF_STEP_ALIAS && step->row.state == DF_STEP_DONE &&
				df_step_differs(step) &&
				take(run, step->row.request, CurrentMemoryContext) != NULL)
				ereport(
					ERROR,
					(errcode(ERRCODE_OBJECT_NOT_IN_PREREQUISITE_STATE),
					 errmsg("another run has taken the alias \"%s\" meanwhile",
							step->row.request)));
		}
	}
}
