/*
 * review/explain_line.c
 *	  Which line of its function a step of a simulated run comes from.
 *
 * Runs in a user's backend, for explain(), on what df_lint() has read of the source.  A name
 * that is a literal is found by itself; another one by its beginning, if only one call has that.
 */
#include "postgres.h"

#include "review/explain.h"
#include "review/lint.h"

static bool
has_base(const char *name, const char *base)
{
	size_t len = strcspn(name, "#");

	return strlen(base) == len && strncmp(name, base, len) == 0;
}

bool
df_explain_is_called(const DfExplanation *explanation, const char *base)
{
	ListCell *lc;

	foreach (lc, explanation->calls)
	{
		const DfLintCall *call = lfirst(lc);

		if (call->step != NULL && has_base(base, call->step))
			return true;
	}
	return false;
}

/* the k-th call of a name is the k-th in the text, or else the last */
static int
line_of_literal(const DfExplanation *explanation, const DfSimPathStep *step)
{
	const char *number = strchr(step->called, '#');
	int wanted = number != NULL ? (int) strtol(number + 1, NULL, 10) : 1;
	int line = 0;
	ListCell *lc;

	foreach (lc, explanation->calls)
	{
		const DfLintCall *call = lfirst(lc);

		if (call->step == NULL || !has_base(step->called, call->step))
			continue;
		line = call->line;
		if (--wanted <= 0)
			break;
	}
	return line;
}

/* whether a call of that function may be the step */
static bool
may_be(const DfLintCall *call, const DfSimPathStep *step)
{
	const char *function = call->function;

	if (strcmp(step->kind, "mail") == 0)
		return strcmp(function, "send_mail") == 0;
	if (strcmp(step->kind, "sleep") == 0)
		return strncmp(function, "sleep", strlen("sleep")) == 0;
	if (strcmp(step->kind, "http") != 0)
		return strcmp(function, step->kind) == 0;
	if (strcmp(function, "http") == 0)
		return true;
	return step->request != NULL &&
		pg_strncasecmp(step->request, function, strlen(function)) == 0 &&
		step->request[strlen(function)] == ' ';
}

static int
line_of_other(const DfExplanation *explanation, const DfSimPathStep *step)
{
	int line = 0;
	ListCell *lc;

	foreach (lc, explanation->calls)
	{
		const DfLintCall *call = lfirst(lc);

		if (call->step_begins == NULL || !may_be(call, step) ||
			strncmp(step->called, call->step_begins, strlen(call->step_begins)) != 0)
			continue;
		if (line != 0)
			return 0;
		line = call->line;
	}
	return line;
}

int
df_explain_line(const DfExplanation *explanation, const DfSimPathStep *step)
{
	int line;

	if (step->of->caller != NULL || step->in_handler)
		return 0;
	line = line_of_literal(explanation, step);
	return line != 0 ? line : line_of_other(explanation, step);
}
