/*
 * review/explain.c
 *	  explain(): the path of a workflow, and what would be undone in which order.
 *
 * Runs in a user's backend, in the caller's transaction and role.  The run is simulated, and
 * then taken back as undo() or cancel() would take it back: what is told here was done by the
 * engine, on requests that were never sent.  Decides nothing; reads what the simulation left.
 */
#include "postgres.h"

#include "flow/flow.h"
#include "review/explain.h"
#include "review/lint.h"
#include "shared/function.h"
#include "shared/json.h"
#include "simulate/simulate.h"

/* ---- what all parts need --------------------------------------------------- */

DfExplainRow *
df_explain_add(DfExplanation *explanation, DfExplainPart part, const DfSimPathStep *step)
{
	DfExplainRow *row = palloc0(sizeof(DfExplainRow));

	row->part = part;
	row->about = step;
	if (step != NULL)
	{
		row->step = step->name;
		row->line = df_explain_line(explanation, step);
	}
	explanation->rows = lappend(explanation->rows, row);
	return row;
}

const DfSimPathStep *
df_explain_step(const DfExplanation *explanation, const DfSimRow *row)
{
	const DfSimPathStep *step = row->about != NULL ? row->about->path : NULL;

	return step != NULL && step->index < explanation->sim->forward_path ? step : NULL;
}

/* "outcome", or "outcome: message" */
static const char *
words_of(const DfSimRow *row)
{
	char *message = NULL;

	if (strcmp(row->outcome, "done") == 0 || strcmp(row->outcome, "completed") == 0)
		return row->outcome;
	if (row->output != NULL && JB_ROOT_IS_OBJECT(row->output))
	{
		/* of a stuck run, and of an error */
		message = df_json_get_text(row->output, "reason");
		if (message == NULL)
			message = df_json_get_text(row->output, "message");
	}
	if (message == NULL)
		return row->outcome;
	return psprintf("%s: %s", row->outcome, message);
}

/* the call that has made the run that this step is of */
static const DfSimPathStep *
call_of(const DfExplanation *explanation, const DfSimPathStep *step)
{
	ListCell *lc;

	foreach (lc, explanation->sim->path)
	{
		const DfSimPathStep *other = lfirst(lc);

		if (other->of == step->of->caller &&
			strcmp(psprintf("%s > ", other->name), step->of->path) == 0)
			return other;
	}
	return NULL;
}

bool
df_explain_is_before_pivot(const DfExplanation *explanation, const DfSimPathStep *step)
{
	ListCell *lc;

	for (; step != NULL; step = call_of(explanation, step))
		foreach (lc, explanation->sim->path)
		{
			const DfSimPathStep *other = lfirst(lc);

			if (other->of == step->of && other->n > step->n && !other->in_handler &&
				strcmp(other->kind, "pivot") == 0)
				return true;
		}
	return false;
}

bool
df_explain_stays(const DfSimPathStep *step)
{
	const DfSimStep *known = step->known;

	if (step->in_handler || known->name == NULL || known->taken_back)
		return false;
	if (strcmp(step->kind, "mail") == 0)
		return step->came_to == DF_STEP_DONE;
	return known->made > 0;
}

/* ---- the path -------------------------------------------------------------- */

/* what the run came to by itself, of the step and not of its probe */
static const DfSimRow *
last_row_of(const DfSim *sim, const DfSimPathStep *step)
{
	const DfSimRow *last = NULL;
	ListCell *lc;

	foreach (lc, sim->rows)
	{
		const DfSimRow *row = lfirst(lc);

		if (foreach_current_index(lc) >= sim->forward_rows)
			break;
		if (row->about == step->known && strcmp(row->kind, step->kind) == 0)
			last = row;
	}
	return last;
}

/* on_rollback() that takes back the step */
static const char *
rollback_of(const DfSim *sim, const DfSimPathStep *step)
{
	ListCell *lc;

	foreach (lc, sim->path)
	{
		const DfSimPathStep *other = lfirst(lc);

		if (other->undo_of != NULL && other->of == step->of &&
			strcmp(psprintf("%s%s", other->of->path, other->undo_of), step->name) == 0)
			return psprintf("on_rollback \"%s\"", other->called);
	}
	return NULL;
}

static void
add_path_step(DfExplanation *explanation, const DfSimPathStep *step)
{
	const DfSimRow *last = last_row_of(explanation->sim, step);
	const char *other = rollback_of(explanation->sim, step);
	DfExplainRow *row = df_explain_add(explanation, DF_EXPLAIN_PATH, step);

	row->kind = step->kind;
	row->system = step->system;
	row->request = step->request;
	row->body = step->body;
	row->key = step->key;
	row->probe = step->probe;
	row->doubt = step->doubt;
	row->undo = step->undo;
	if (other != NULL)
		row->undo = step->undo != NULL ? psprintf("%s; %s", step->undo, other) : other;
	row->finding = last != NULL ? words_of(last) : "has not ended";
}

/* how the run has ended, or where it stays */
static void
add_path_end(DfExplanation *explanation)
{
	const DfSim *sim = explanation->sim;
	const DfSimRow *end = list_nth(sim->rows, sim->forward_rows - 1);
	DfExplainRow *row = df_explain_add(explanation, DF_EXPLAIN_PATH, NULL);

	row->kind = "run";
	row->finding = words_of(end);
	if (end->output != NULL && strcmp(end->outcome, "stuck") == 0)
		row->remedy = df_json_get_text(end->output, "remedy");
}

static void
add_path(DfExplanation *explanation)
{
	const DfSim *sim = explanation->sim;

	for (int i = 0; i < sim->forward_path; i++)
		add_path_step(explanation, list_nth(sim->path, i));
	add_path_end(explanation);
}

/* ---- the undo order -------------------------------------------------------- */

static DfExplainRow *
undo_row_of(const DfExplanation *explanation, const DfSimPathStep *step)
{
	ListCell *lc;

	foreach (lc, explanation->rows)
	{
		DfExplainRow *row = lfirst(lc);

		if (row->part == DF_EXPLAIN_UNDO && row->about == step)
			return row;
	}
	return NULL;
}

static void
add_undo(DfExplanation *explanation, const DfSimPathStep *step, const DfSimRow *undo)
{
	const DfSimRequest *sent = df_sim_request_of(explanation->sim, step, DF_PHASE_UNDO);
	DfExplainRow *row = undo_row_of(explanation, step);

	if (row == NULL)
	{
		row = df_explain_add(explanation, DF_EXPLAIN_UNDO, step);
		row->kind = step->kind;
		row->system = step->system;
		row->request = sent != NULL ? sent->request : step->undo;
		row->body = sent != NULL ? sent->body : NULL;
	}
	row->finding = words_of(undo);
	row->remedy = undo->output != NULL && JB_ROOT_IS_OBJECT(undo->output)
		? df_json_get_text(undo->output, "hint")
		: NULL;
}

static const char *
why_it_stays(const DfExplanation *explanation, const DfSimPathStep *step)
{
	if (strcmp(step->kind, "mail") == 0)
		return "stays: a mail cannot be taken back";
	if (step->undo != NULL && strcmp(step->undo, "none") == 0)
		return "stays: undo => 'none'";
	if (df_explain_is_before_pivot(explanation, step))
		return "stays: a point of no return comes after it";
	if (explanation->sim->endless)
		return "not known: the simulation gave up before";
	return "stays: it has no undo";
}

static void
add_undo_order(DfExplanation *explanation)
{
	const DfSim *sim = explanation->sim;
	ListCell *lc;

	foreach (lc, sim->rows)
	{
		const DfSimRow *row = lfirst(lc);
		const DfSimPathStep *step = df_explain_step(explanation, row);

		if (step != NULL && strcmp(row->kind, "undo") == 0)
			add_undo(explanation, step, row);
	}
	for (int i = sim->forward_path - 1; i >= 0; i--)
	{
		const DfSimPathStep *step = list_nth(sim->path, i);
		DfExplainRow *row;

		if (!df_explain_stays(step) || undo_row_of(explanation, step) != NULL)
			continue;
		row = df_explain_add(explanation, DF_EXPLAIN_UNDO, step);
		row->kind = step->kind;
		row->system = step->system;
		row->finding = why_it_stays(explanation, step);
	}
}

/* ---- the way in ------------------------------------------------------------ */

void
df_explain(FunctionCallInfo fcinfo, DfExplanation *explanation)
{
	DfSimulation what;
	const DfWorkflow *workflow;
	DfSim *sim;
	List *lints;

	df_simulate_arguments(fcinfo, &what);
	what.explains = true;
	sim = df_simulate(&what);
	df_simulate_tell_unused(sim);
	memset(explanation, 0, sizeof(*explanation));
	explanation->sim = sim;
	/* the run that was started was claimed first */
	workflow = linitial(sim->workflows);
	explanation->function = df_function_oid(workflow->function);
	if (workflow->on_failure != NULL)
		explanation->on_failure = df_function_oid(workflow->on_failure);
	if (OidIsValid(explanation->function))
		df_lint(explanation->function, &lints, &explanation->calls);
	add_path(explanation);
	add_undo_order(explanation);
	df_explain_lint(explanation);
}
