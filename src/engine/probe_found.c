/*
 * engine/probe_found.c
 *	  What a probe's response shows: how many resources, and which.
 *
 * Runs in a worker, in its recording transaction, on structs in memory, and changes
 * none of them.  What is seen here may be adopted, and deleted later; what is not seen may
 * be made a second time.  So nothing is guessed: a page of something between us and the
 * system is no answer of the system's, and an object is the resource only if its author
 * said so (`probe_found`), or if it has what the undo needs.
 */
#include "postgres.h"

#include "engine/judge.h"
#include "engine/probe_found.h"
#include "engine/read_body.h"
#include "engine/read_response.h"
#include "engine/read_spec.h"
#include "engine/step_key.h"
#include "shared/jsonpath.h"

static bool
is_answered(const DfResponse *response)
{
	return response->fate == DF_FATE_RESPONSE || response->fate == DF_FATE_TOO_LARGE;
}

/*
 * A 404 or 410 says that it is not there, and so does what the rules call kept; but for a
 * 2xx, which has a body to be looked at.
 */
static bool
says_not_there(const DfCame *came)
{
	DfMeaning meaning = df_probe_meaning(came);

	if (came->status / 100 == 2)
		return false;
	if (meaning == DF_MEANS_KEPT)
		return true;
	return (came->status == 404 || came->status == 410) && meaning == DF_MEANS_FAIL;
}

static bool
says_something(const DfResponse *response, const DfCame *came)
{
	return response->fate == DF_FATE_RESPONSE &&
		(came->status / 100 == 2 ? df_probe_meaning(came) == DF_MEANS_DONE ||
				 df_probe_meaning(came) == DF_MEANS_KEPT
								 : df_probe_meaning(came) == DF_MEANS_DONE);
}

/* ---- the body -------------------------------------------------------------- */

/* nobody said which part of the response is the resource */
static bool
is_resource(DfRun *run, DfStep *step, const Jsonb *object)
{
	return JB_ROOT_IS_OBJECT(object) && df_step_spec(run, step)->undo_needs_response &&
		!df_undo_lacks_fields(run, step, object, NULL);
}

static int
found_by_shape(DfRun *run, DfStep *step, Jsonb *body, Jsonb **resource)
{
	int matches = 1;

	if (JB_ROOT_IS_SCALAR(body))
		return DF_FOUND_UNKNOWN;
	*resource = body;
	if (JB_ROOT_IS_ARRAY(body))
		*resource = df_jsonpath_first(body, "$[*]", NULL, &matches);
	if (matches == 1 && !is_resource(run, step, *resource))
		return DF_FOUND_UNKNOWN;
	return matches;
}

static int
found_in_body(DfRun *run, DfStep *step, const DfResponse *response, Jsonb *body, Jsonb **resource)
{
	char *path = df_step_spec(run, step)->probe_found;
	int matches;

	if (path == NULL)
		return found_by_shape(run, step, body, resource);
	*resource = df_jsonpath_first(body, path, df_response_variables(response), &matches);
	return matches == 0 && JB_ROOT_IS_SCALAR(body) ? DF_FOUND_UNKNOWN : matches;
}

static bool
names_mode(const char *condition)
{
	condition += strspn(condition, " \t\r\n");
	return strncmp(condition, "lax ", 4) == 0 || strncmp(condition, "strict ", 7) == 0;
}

/*
 * The probe's own condition, which may be about the status alone.  That it is false counts
 * only if what it names is there: to jsonpath, a body of another kind is as good as an empty
 * one.
 */
static DfTruth
is_there(const char *condition, const DfResponse *response, const Jsonb *body, bool unusable)
{
	Jsonb *variables;
	DfTruth holds;

	if (condition == NULL)
		return DF_TRUE;
	if (unusable && df_jsonpath_reads_body(condition))
		return DF_UNKNOWN;
	variables = df_response_variables(response);
	holds = df_jsonpath_holds(body, condition, variables);
	if (holds != DF_FALSE || names_mode(condition))
		return holds;
	return df_jsonpath_holds(body, psprintf("strict %s", condition), variables) == DF_FALSE
		? DF_FALSE
		: DF_UNKNOWN;
}

/* ---- the way in ------------------------------------------------------------ */

int
df_probe_found(DfRun *run, DfStep *step, const DfResponse *response, const DfCame *came,
			   Jsonb **resource)
{
	const DfStepSpec *spec = df_step_spec(run, step);
	bool unusable;
	Jsonb *body;

	*resource = NULL;
	if (!is_answered(response))
		return DF_FOUND_UNKNOWN;
	if (says_not_there(came))
		return df_probe_meaning(came) != DF_MEANS_KEPT && df_response_is_foreign(response, NULL)
			? DF_FOUND_UNKNOWN
			: 0;
	if (!says_something(response, came))
		return DF_FOUND_UNKNOWN;
	body = df_response_json(response, CurrentMemoryContext, &unusable);
	switch (is_there(spec->probe_if, response, body, unusable))
	{
		case DF_FALSE:
			return 0;
		case DF_UNKNOWN:
			return DF_FOUND_UNKNOWN;
		case DF_TRUE:
			break;
	}
	/* a 2xx without a body says nothing by itself, and is of no use to an undo */
	if (body == NULL && !unusable && spec->probe_if != NULL && spec->probe_found == NULL &&
		!spec->undo_needs_response)
		return 1;
	if (body == NULL || unusable)
		return DF_FOUND_UNKNOWN;
	/* its condition says whose it is, and nothing of it is needed */
	if (spec->probe_if != NULL && spec->probe_found == NULL && !spec->undo_needs_response)
	{
		*resource = body;
		return 1;
	}
	return found_in_body(run, step, response, body, resource);
}
