/*
 * review/explain_lint.c
 *	  What explain() finds wrong: along the path of a run, and in the source of its function.
 *
 * Runs in a user's backend, after a simulation.  What the path shows is said by the engine or
 * by the simulation; what the source says (lint.c) is left out where the path shows better.
 */
#include "postgres.h"

#include "review/explain.h"
#include "review/lint.h"

static void
report(DfExplanation *explanation, const DfSimPathStep *step, const char *rule,
	   const char *finding, const char *remedy)
{
	DfExplainRow *row = df_explain_add(explanation, DF_EXPLAIN_LINT, step);

	row->kind = rule;
	row->finding = finding;
	row->remedy = remedy;
}

/* ---- in the source --------------------------------------------------------- */

/* a step of this line was carried out: what would become of it was seen */
static bool
was_seen(const DfExplanation *explanation, int line)
{
	const DfSim *sim = explanation->sim;

	for (int i = 0; i < sim->forward_path; i++)
	{
		const DfSimPathStep *step = list_nth(sim->path, i);

		if (step->came_to == DF_STEP_DONE && df_explain_line(explanation, step) == line)
			return true;
	}
	return false;
}

static void
lint_source(DfExplanation *explanation, Oid function, bool is_body)
{
	List *lints;
	List *calls;
	ListCell *lc;

	if (!OidIsValid(function))
		return;
	df_lint(function, &lints, &calls);
	foreach (lc, lints)
	{
		const DfLint *lint = lfirst(lc);
		DfExplainRow *row;

		/* what on_failure does is not undone */
		if (lint->rule == DF_LINT_NO_UNDO && (!is_body || was_seen(explanation, lint->line)))
			continue;
		row = df_explain_add(explanation, DF_EXPLAIN_LINT, NULL);
		row->step = lint->step;
		row->line = lint->line;
		row->kind = df_lint_rule_name(lint->rule);
		row->finding = is_body ? lint->finding : psprintf("in on_failure: %s", lint->finding);
		row->remedy = lint->remedy;
	}
}

/* ---- along the path -------------------------------------------------------- */

static const DfExplainRow *
failed_undo_of(const DfExplanation *explanation, const DfSimPathStep *step)
{
	ListCell *lc;

	foreach (lc, explanation->rows)
	{
		const DfExplainRow *row = lfirst(lc);

		if (row->part == DF_EXPLAIN_UNDO && row->about == step &&
			step->known->undo_shown == DF_UNDO_FAILED)
			return row;
	}
	return NULL;
}

static void
lint_undo(DfExplanation *explanation, const DfSimPathStep *step)
{
	const DfExplainRow *failed = failed_undo_of(explanation, step);

	if (failed != NULL)
		report(explanation, step, step->undo_unrendered ? "template" : "undo",
			   psprintf("the undo of step \"%s\" does not succeed: %s", step->name,
						strchr(failed->finding, ':') != NULL
							? strchr(failed->finding, ':') + 2
							: failed->finding),
			   step->undo_unrendered
				   ? "Name a field that the reply has; or give the reply of the step as its "
					 "system sends it."
				   : "Give the undo what its system needs; or say by its \"answers\" what that "
					 "means.");
	else if (df_explain_stays(step) && !step->known->kept && !step->known->has_undo &&
			 !df_explain_is_before_pivot(explanation, step))
		report(explanation, step, "no_undo",
			   psprintf("a rollback leaves what step \"%s\" has done", step->name),
			   "Give it undo, or call dataflows.on_rollback() before it with of_step; if what it "
			   "does may stay, say undo => 'none'.");
}

/* the body's own calls in a loop over items are found in the source */
static void
lint_name(DfExplanation *explanation, const DfSimPathStep *step)
{
	const char *number = strchr(step->called, '#');
	char *base;

	if (number == NULL || strcmp(number, "#2") != 0 || step->of->caller != NULL ||
		step->known->name == NULL)
		return;
	base = pnstrdup(step->called, number - step->called);
	if (!df_explain_is_called(explanation, base))
		report(explanation, step, "loop_name",
			   psprintf("steps of the name \"%s\" are told apart by their order alone", base),
			   "Put into the name what the step is for, such as 'name:' || id; or make sure that "
			   "they are called in the same order at each entry.");
}

static void
lint_step(DfExplanation *explanation, const DfSimPathStep *step)
{
	if (step->nobody_can_tell && strcmp(step->kind, "mail") != 0)
		report(explanation, step, "doubt",
			   psprintf("if the response to step \"%s\" is lost, nothing can tell whether it was "
						"carried out: the run gets stuck until a person looks",
						step->name),
			   "Give it a probe; or, if its system honours idempotency keys, say so by "
			   "idempotency_header of the server; or say by doubt what is to become of it.");
	if (step->asks_other)
		report(explanation, step, "changes",
			   psprintf("step \"%s\" asks for something else at each entry of the body",
						step->name),
			   "Take times and random values from dataflows.once(), and give queries an ORDER BY.");
	lint_name(explanation, step);
	lint_undo(explanation, step);
}

/* where the run stays */
static void
lint_rows(DfExplanation *explanation)
{
	const DfSim *sim = explanation->sim;

	for (int i = 0; i < sim->forward_rows; i++)
	{
		const DfSimRow *row = list_nth(sim->rows, i);
		const DfSimPathStep *step = df_explain_step(explanation, row);

		if (strcmp(row->outcome, "waits forever") == 0)
			report(explanation, step, "waits",
				   psprintf("step \"%s\" waits forever", row->step),
				   "Give it a timeout; or give the reply of its event, as \"event:name\".");
		else if (strcmp(row->outcome, "retries forever") == 0)
			report(explanation, step, "retries",
				   psprintf("step \"%s\" is sent again and again without end", row->step),
				   "Give it a retry or until_timeout that ends; or give it another reply.");
	}
}

static void
lint_end(DfExplanation *explanation)
{
	ListCell *lc;

	foreach (lc, explanation->rows)
	{
		const DfExplainRow *row = lfirst(lc);

		if (row->part == DF_EXPLAIN_PATH && strcmp(row->kind, "run") == 0 &&
			strncmp(row->finding, "stuck", strlen("stuck")) == 0)
		{
			report(explanation, NULL, "stuck", psprintf("the run gets %s", row->finding),
				   row->remedy);
			return;
		}
	}
}

void
df_explain_lint(DfExplanation *explanation)
{
	lint_source(explanation, explanation->function, true);
	lint_source(explanation, explanation->on_failure, false);
	for (int i = 0; i < explanation->sim->forward_path; i++)
		lint_step(explanation, list_nth(explanation->sim->path, i));
	lint_rows(explanation);
	lint_end(explanation);
}
