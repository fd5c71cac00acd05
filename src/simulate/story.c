/*
 * simulate/story.c
 *	  What simulate() tells of a run: a row for each thing that happened.
 *
 * Runs in a user's backend, in the subtransaction of simulate(), on structs in memory; what a
 * row holds is copied into memory that outlives it.  Reads runs and steps, and changes neither.
 */
#include "postgres.h"

#include "engine/replay.h"
#include "engine/rollback_subject.h"
#include "engine/run_steps.h"
#include "flow/flow.h"
#include "shared/clock.h"
#include "shared/json.h"
#include "shared/uuid.h"
#include "simulate/path.h"
#include "simulate/story.h"
#include "utils/memutils.h"

static void
add_at(DfSim *sim, TimestampTz at, const char *step, const char *kind, const char *outcome,
	   const Jsonb *output)
{
	MemoryContext old = MemoryContextSwitchTo(sim->cxt);
	DfSimRow *row = palloc0(sizeof(DfSimRow));

	row->step = step != NULL ? pstrdup(step) : NULL;
	row->kind = kind;
	row->outcome = pstrdup(outcome);
	row->at = at;
	row->output = output != NULL ? df_json_copy(output, sim->cxt) : NULL;
	sim->rows = lappend(sim->rows, row);
	MemoryContextSwitchTo(old);
}

/* "call > step" of a run that was called */
static const char *
name_of(const DfSimRun *of, const DfStep *step)
{
	return of->path[0] == '\0' ? step->name : psprintf("%s%s", of->path, step->name);
}

static void
add(DfSim *sim, DfSimRun *of, const DfStep *step, const char *kind, const char *outcome,
	const Jsonb *output)
{
	add_at(sim, df_now(), name_of(of, step), kind, outcome, output);
	((DfSimRow *) llast(sim->rows))->about = df_sim_step(sim, of, step);
}

/* the call of a run that was called */
static const char *
call_of(const DfSimRun *of)
{
	return pnstrdup(of->path, strlen(of->path) - strlen(" > "));
}

/* "undo" is what takes back a step: on_rollback() only says so */
static const char *
kind_of(const DfStep *step)
{
	return step->kind == DF_STEP_UNDO ? "on_rollback" : df_step_kind_name(step->kind);
}

static bool
undo_has_ended(const DfStep *step)
{
	return step->row.undo_state == DF_UNDO_UNDONE || step->row.undo_state == DF_UNDO_GONE ||
		step->row.undo_state == DF_UNDO_FAILED;
}

/* ---- outcomes -------------------------------------------------------------- */

static const char *
outcome_of_step(const DfRun *run, const DfStep *step)
{
	switch (step->row.state)
	{
		case DF_STEP_DONE:
			if (step->row.evidence.kept)
				return "kept";
			if (step->row.evidence.accepted)
				return "accepted";
			/* its timeout has passed, unless it says who has sent its event */
			if (step->kind == DF_STEP_WAIT && step->row.answer == NULL)
				return "timed_out";
			return "done";
		case DF_STEP_FAILED:
			return "failed";
		case DF_STEP_DOUBT:
			return "in_doubt";
		default:
			return run->row.state == DF_RUN_STUCK ? "stuck" : "retry";
	}
}

static const Jsonb *
output_of_step(const DfStep *step)
{
	return step->row.state == DF_STEP_DONE ? step->row.output : step->row.error;
}

static const char *
outcome_of_probe(const DfStep *step)
{
	if (step->row.state == DF_STEP_DONE || step->row.evidence.existed)
		return "found";
	return step->row.evidence.probed_at == df_now() && step->row.evidence.probe_found == 0
		? "not_found"
		: "retry";
}

static const char *
outcome_of_undo(const DfRun *run, const DfStep *step)
{
	if (undo_has_ended(step))
		return df_undo_state_name(step->row.undo_state);
	return run->row.state == DF_RUN_STUCK ? "stuck" : "retry";
}

/* on_rollback() takes back the step that it is of, or else the one before that has no undo */
static DfSimStep *
taken_back_by(DfSim *sim, DfSimRun *of, DfStep *step)
{
	DfStep *subject = df_rollback_subject(of->run, step);

	if (step->kind != DF_STEP_UNDO)
		return df_sim_step(sim, of, step);
	if (subject != NULL)
		return df_sim_step(sim, of, subject);
	for (int n = step->n - 1; n > 0; n--)
	{
		DfSimStep *before = list_nth(of->steps, n - 1);

		if (before->made > 0 && !before->has_undo && !before->taken_back)
			return before;
	}
	return df_sim_step(sim, of, step);
}

static void
add_undo(DfSim *sim, DfSimRun *of, DfStep *step)
{
	if (step->row.undo_state == DF_UNDO_UNDONE || step->row.undo_state == DF_UNDO_GONE)
		taken_back_by(sim, of, step)->taken_back = true;
	add(sim, of, step, "undo", outcome_of_undo(of->run, step),
		step->row.undo_state == DF_UNDO_UNDONE ? NULL : step->row.undo_error);
}

/* ---- rows ------------------------------------------------------------------ */

void
df_sim_row_of_response(DfSim *sim, DfSimRun *of, DfStep *step, DfPhase phase)
{
	DfSimStep *known = df_sim_step(sim, of, step);

	switch (phase)
	{
		case DF_PHASE_DO:
			add(sim, of, step, kind_of(step), outcome_of_step(of->run, step),
				output_of_step(step));
			known->shown = step->row.state;
			break;
		case DF_PHASE_PROBE:
			add(sim, of, step, "probe", outcome_of_probe(step),
				step->row.state == DF_STEP_DONE ? step->row.output : step->row.error);
			break;
		case DF_PHASE_UNDO:
			add_undo(sim, of, step);
			known->undo_shown = step->row.undo_state;
			break;
	}
}

bool
df_sim_sql_is_question(const char *sql)
{
	return pg_strncasecmp(sql + strspn(sql, " \t\r\n"), "select", strlen("select")) == 0;
}

static bool
changes_something(const DfStep *step)
{
	return step->kind == DF_STEP_QUERY && step->row.request != NULL &&
		!df_sim_sql_is_question(step->row.request);
}

/* SQL that is run again has no response of its own */
static void
rows_of_attempts(DfSim *sim, DfSimRun *of, const DfStep *step, List *attempts)
{
	ListCell *lc;

	foreach (lc, attempts)
	{
		const DfAttempt *attempt = lfirst(lc);

		if (memcmp(&attempt->run, &of->id, sizeof(pg_uuid_t)) != 0 || attempt->n != step->n ||
			strcmp(attempt->outcome, "retry") != 0)
			continue;
		add(sim, of, step, attempt->undo ? "undo" : kind_of(step), "retry",
			attempt->undo ? step->row.undo_error : step->row.error);
	}
}

void
df_sim_rows_of_turn(DfSim *sim, DfSimRun *of, List *attempts)
{
	DfRun *run = of->run;

	for (int i = 0; i < run->nsteps; i++)
	{
		DfStep *step = run->steps[i];
		DfSimStep *known = df_sim_step(sim, of, step);

		if (step->kind == DF_STEP_QUERY && attempts != NIL)
			rows_of_attempts(sim, of, step, attempts);
		if (step->row.state != known->shown && df_step_ended(step))
		{
			add(sim, of, step, kind_of(step), outcome_of_step(run, step),
				output_of_step(step));
			known->shown = step->row.state;
			if (step->row.state == DF_STEP_DONE && changes_something(step))
			{
				known->made = 1;
				df_sim_note_effect(sim, of, step);
			}
		}
		if (step->row.undo_state != known->undo_shown && undo_has_ended(step))
		{
			add_undo(sim, of, step);
			known->undo_shown = step->row.undo_state;
		}
	}
	if (sim->explains)
		df_sim_path_of_turn(sim, of);
}

void
df_sim_row_of_crash(DfSim *sim, DfSimRun *of, const DfStep *step)
{
	add(sim, of, step, "crash", "lost", NULL);
}

void
df_sim_row_of_endless(DfSim *sim, DfSimRun *of, const DfStep *step, DfPhase phase)
{
	bool undo = phase == DF_PHASE_UNDO;
	const char *kind = undo ? "undo" : phase == DF_PHASE_PROBE ? "probe"
															   : kind_of(step);

	add(sim, of, step, kind, "retries forever",
		undo ? step->row.undo_error : step->row.error);
}

void
df_sim_row_of_rounds(DfSim *sim, const DfSimRun *of)
{
	add_at(sim, df_now(), psprintf("%scontinue_with", of->path), "continue", "goes on forever",
		   NULL);
}

void
df_sim_row_of_calls(DfSim *sim, const DfSimRun *of)
{
	add_at(sim, df_now(), call_of(of), "call", "goes on forever", NULL);
}

/* it raises an error that may pass */
void
df_sim_row_of_body(DfSim *sim, const DfSimRun *of)
{
	const char *why = of->run->row.waiting_for;
	DfJson json;

	df_json_begin(&json);
	df_json_text(&json, "reason", why != NULL ? why : "");
	add_at(sim, df_now(), of->path[0] != '\0' ? call_of(of) : NULL, "body", "retries forever",
		   df_json_end(&json, CurrentMemoryContext));
}

/* ---- the end --------------------------------------------------------------- */

static void
rows_of_waits(DfSim *sim, DfSimRun *of)
{
	for (int i = 0; of->run != NULL && i < of->run->nsteps; i++)
	{
		const DfStep *step = of->run->steps[i];

		if (step->row.state == DF_STEP_WAITING)
			add(sim, of, step, kind_of(step), "waits forever", NULL);
	}
}

static bool
is_at_its_end(const DfSimRun *of)
{
	return df_run_is_terminal(of->was) || of->was == DF_RUN_STUCK;
}

/*
 * What a person would be told, of runs that will never exist: "retry(run)", as it is called for
 * the rows of the view stuck.
 */
static const Jsonb *
without_ids(const DfSim *sim, const Jsonb *ending)
{
	const char *text = df_json_to_text(unconstify(Jsonb *, ending));
	bool some = false;
	ListCell *lc;

	foreach (lc, sim->runs)
	{
		const char *id = df_uuid_text(&((DfSimRun *) lfirst(lc))->id);
		const char *at;
		StringInfoData without;

		id = psprintf("'%s'", id);
		if (strstr(text, id) == NULL)
			continue;
		some = true;
		initStringInfo(&without);
		for (; (at = strstr(text, id)) != NULL; text = at + strlen(id))
			appendStringInfo(&without, "%.*srun", (int) (at - text), text);
		appendStringInfoString(&without, text);
		text = without.data;
	}
	return some ? df_json_read(text) : ending;
}

/* how it has ended, and when, though something may have come for it later */
static void
add_run(DfSim *sim, const DfSimRun *of, const char *call)
{
	const Jsonb *ending = of->ending;

	if (ending != NULL && of->was == DF_RUN_STUCK)
		ending = without_ids(sim, ending);
	add_at(sim, is_at_its_end(of) ? of->since : df_now(), call, "run",
		   df_run_state_name(of->was), ending);
}

void
df_sim_rows_of_end(DfSim *sim)
{
	DfSimRun *first = linitial(sim->runs);
	ListCell *lc;

	foreach (lc, sim->runs)
	{
		DfSimRun *of = lfirst(lc);

		if (!is_at_its_end(of) && !sim->endless)
			rows_of_waits(sim, of);
		/* the call that it is of does not say so */
		if (of != first && of->was == DF_RUN_STUCK)
			add_run(sim, of, call_of(of));
	}
	add_run(sim, first, NULL);
}
