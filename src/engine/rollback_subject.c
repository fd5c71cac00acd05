/*
 * engine/rollback_subject.c
 *	  on_rollback() of another step: which one it is.
 *
 * Runs in a worker and inside bodies, on structs in memory, and changes none.  Said before
 * the step is called, it is known whatever happens to the run while the request is on its
 * way.  Never let one be forgotten because its step has another name than was said.
 */
#include "postgres.h"

#include "engine/read_spec.h"
#include "engine/replay.h"
#include "engine/rollback_subject.h"

static const char *
subject_name(DfRun *run, DfStep *step)
{
	return step->kind == DF_STEP_UNDO ? df_step_spec(run, step)->undo_of : NULL;
}

/* those of earlier rounds have been rendered, or are never */
DfStep *
df_rollback_subject(DfRun *run, DfStep *step)
{
	const char *name = subject_name(run, step);

	return name == NULL || step->n <= run->row.round_n ? NULL : df_replay_named(run, name);
}

static int
base_length(const char *name)
{
	return (int) strcspn(name, "#");
}

static bool
has_same_base(const char *name, const char *other)
{
	return base_length(name) == base_length(other) &&
		strncmp(name, other, base_length(name)) == 0;
}

/* whether on_rollback() of that name, but for what `name` itself is, has the step already */
static bool
is_taken(DfRun *run, const char *subject, const char *name)
{
	for (int i = run->engine.nearlier; run->engine.has_rollback && i < run->nsteps; i++)
	{
		DfStep *step = run->steps[i];
		const char *of = subject_name(run, step);

		if (strcmp(step->name, name) == 0)
			return false;
		if (of != NULL && strcmp(of, subject) == 0 && has_same_base(step->name, name))
			return true;
	}
	return false;
}

char *
df_rollback_subject_name(DfRun *run, const char *name, const char *of_step)
{
	const char *base = df_run_step_name(run, of_step);
	int calls = df_replay_calls(run, base);
	char *last = df_replay_whole_name(base, calls);

	if (strchr(of_step, '#') != NULL)
		return MemoryContextStrdup(run->cxt, base);
	if (calls == 0 || is_taken(run, last, name))
		last = df_replay_whole_name(base, calls + 1);
	return MemoryContextStrdup(run->cxt, last);
}

DfStep *
df_rollback_open(DfRun *run)
{
	for (int i = run->engine.nearlier; run->engine.has_rollback && i < run->nsteps; i++)
		if (subject_name(run, run->steps[i]) != NULL && run->steps[i]->row.undo == NULL &&
			df_rollback_subject(run, run->steps[i]) == NULL)
			return run->steps[i];
	return NULL;
}

bool
df_rollback_is_of(DfRun *run, const DfStep *subject)
{
	for (int i = run->engine.nearlier; run->engine.has_rollback && i < run->nsteps; i++)
	{
		const char *name = subject_name(run, run->steps[i]);

		if (name != NULL && strcmp(name, subject->name) == 0)
			return true;
	}
	return false;
}

void
df_rollback_check_next(DfRun *run, const char *name)
{
	for (int i = run->nsteps - 1; i >= run->engine.nearlier; i--)
	{
		DfStep *step = run->steps[i];
		const char *expected = subject_name(run, step);

		if (step->kind != DF_STEP_UNDO)
			return;
		if (expected == NULL || strcmp(expected, name) == 0 ||
			df_rollback_subject(run, step) != NULL)
			continue;
		ereport(ERROR,
				(errcode(ERRCODE_INVALID_PARAMETER_VALUE),
				 errmsg("step \"%s\" is called, but on_rollback(\"%s\") is of step \"%s\"", name,
						step->name, expected),
				 errhint("Call on_rollback() directly before the step that \"of_step\" names, or "
						 "after it.")));
	}
}

bool
df_rollback_is_last(const DfRun *run, const DfStep *step)
{
	for (int i = step->engine.index + 1; i < run->nsteps; i++)
		if (run->steps[i]->kind != DF_STEP_UNDO && !df_is_handler_step(run->steps[i]))
			return false;
	return true;
}
