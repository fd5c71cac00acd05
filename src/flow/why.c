/*
 * flow/why.c
 *	  Why a step that calls a system has failed.
 *
 * Called by a worker when flow/doubt.c has decided that the step fails, in no transaction.
 * Pure.  Never call a refusal what the system did not say: an uncaught one undoes customers.
 */
#include "postgres.h"

#include "flow/doubt.h"
#include "flow/flow.h"
#include "flow/names.h"

static DfWhy
limit(const DfDoubtCase *about)
{
	const DfStep *step = about->step;
	/* as for the next try: a poll that got a response is no failure */
	int attempts = step->engine.spec->until != NULL ? 1 : step->row.attempts;

	return df_retry_ends_by_own_limit(&about->retry, attempts) ? DF_WHY_OWN_LIMIT : DF_WHY_LIMIT;
}

DfWhy
df_why_failed(const DfDoubtCase *about, const DfDecision *made, DfFate fate)
{
	const DfStep *step = about->step;

	switch (made->verdict)
	{
		case DF_VERDICT_UNTIL_TIMEOUT:
			return DF_WHY_TIMEOUT;
		case DF_VERDICT_UNREADABLE:
		case DF_VERDICT_SAID_STUCK:
		case DF_VERDICT_KEPT_UNSEEN:
		case DF_VERDICT_PROBE_ASTRAY:
			return DF_WHY_ERROR;
		case DF_VERDICT_EXISTED:
			return DF_WHY_REFUSED;
		case DF_VERDICT_NOT_DONE:
			return df_was_refused(step) ? DF_WHY_REFUSED : limit(about);
		case DF_VERDICT_DOUBTFUL:
		case DF_VERDICT_STUCK:
			return DF_WHY_IN_DOUBT;
		default:
			break;
	}
	if (fate == DF_FATE_REFUSED)
		return DF_WHY_ERROR; /* we did */
	return made->meaning == DF_MEANS_FAIL ? DF_WHY_REFUSED : limit(about);
}

/* ---- names ---------------------------------------------------------------- */

static const char *const why_names[] = {
	[DF_WHY_NONE] = NULL,
	[DF_WHY_REFUSED] = "refused",
	[DF_WHY_OWN_LIMIT] = "own_limit",
	[DF_WHY_LIMIT] = "limit",
	[DF_WHY_IN_DOUBT] = "in_doubt",
	[DF_WHY_TIMEOUT] = "timeout",
	[DF_WHY_CHILD] = "child",
	[DF_WHY_ERROR] = "error",
};
StaticAssertDecl(lengthof(why_names) == DF_NWHYS, "a reason of DF001 has no name");

const char *
df_why_name(DfWhy why)
{
	return df_name_of(why_names, lengthof(why_names), why);
}

int
df_why_of(const char *name)
{
	return df_value_of(why_names, lengthof(why_names), name);
}
