/*
 * engine/step_key.c
 *	  The idempotency key of a step, and what its templates are rendered from.
 *
 * Runs in a worker, in its recording transaction, on structs in memory, and must never
 * change one of them: what a request is rendered from is the same at each attempt.
 */
#include "postgres.h"

#include "engine/step_key.h"
#include "engine/read_response.h"
#include "engine/read_spec.h"
#include "engine/rollback_subject.h"
#include "fdw/options.h"
#include "fdw/system.h"
#include "shared/idempotency_key.h"
#include "shared/json.h"
#include "types/base.h"
#include "utils/fmgrprotos.h"

static DfKeyOf
key_of(const DfRun *run, const DfStep *step, bool undo)
{
	return (DfKeyOf){.run = &run->id,
					 .n = step->n,
					 .renewals = step->row.renewals,
					 .undo = undo,
					 .form = step->key_form};
}

char *
df_step_key(const DfRun *run, const DfStep *step)
{
	DfKeyOf of = key_of(run, step, false);

	return df_idempotency_key(&of);
}

char *
df_step_undo_key(const DfRun *run, const DfStep *step)
{
	DfKeyOf of = key_of(run, step, true);

	return df_idempotency_key(&of);
}

bool
df_step_has_own_response(const DfStep *step)
{
	const DfEvidence *evidence = &step->row.evidence;

	if (evidence->carried_out)
		return step->row.status / 100 == 2;
	return step->kind == DF_STEP_HTTP && step->row.state == DF_STEP_DONE && !evidence->accepted &&
		evidence->resolved != DF_WORD_DONE && evidence->resolved != DF_WORD_SKIPPED &&
		!(evidence->probe_found == 1 && evidence->probed_at != DF_NEVER);
}

Jsonb *
df_step_response_headers(const DfStep *step)
{
	DfJson json;

	if (step->row.answer != NULL && df_json_get_text(step->row.answer, "content-type") != NULL)
		return step->row.answer;
	/* the usual content-type is not recorded */
	df_json_begin(&json);
	if (step->row.output != NULL)
		df_json_text(&json, "content-type", "application/json");
	if (step->row.answer != NULL)
		return DatumGetJsonbP(DirectFunctionCall2(
			jsonb_concat, JsonbPGetDatum(df_json_end(&json, CurrentMemoryContext)),
			JsonbPGetDatum(step->row.answer)));
	return df_json_end(&json, CurrentMemoryContext);
}

void
df_step_vars(DfRun *run, DfStep *step, DfTemplateVars *vars)
{
	char *why;
	DfSystem *system = step->system != NULL ? df_system_get(step->system, &why) : NULL;
	DfStep *subject = df_rollback_subject(run, step);
	const DfStepSpec *spec;

	memset(vars, 0, sizeof(*vars));
	/* what takes back another step knows what that one has asked, and what it got */
	if (subject != NULL)
		step = subject;
	spec = df_step_spec(run, step);
	vars->response = step->row.output;
	if (df_step_has_own_response(step))
	{
		vars->status = step->row.status;
		vars->headers = step->row.answer;
	}
	/* the fields that templates name were kept if the bytes are not JSON */
	vars->request = spec->request_fields;
	vars->request_text = spec->request_fields == NULL ? step->row.body : NULL;
	vars->asked = step->row.request != NULL ? spec->path : NULL;
	vars->asked_to_make = strcmp(spec->method, "POST") == 0;
	if (system != NULL)
	{
		vars->base = df_system_base(system);
		vars->secret_query = df_query_pairs(system, false);
	}
	vars->run = run->id_text;
	vars->run_key = run->key;
	vars->key = key_of(run, step, false);
}

bool
df_probe_render(DfRun *run, DfStep *step, DfRendered *probe, char **why)
{
	const DfStepSpec *spec = df_step_spec(run, step);
	DfTemplateVars vars;

	df_step_vars(run, step, &vars);
	memset(probe, 0, sizeof(*probe));
	*why = NULL;
	probe->request = df_template_path(spec->probe, &vars, why);
	if (*why == NULL && spec->probe_body != NULL)
		probe->body = df_template_body(spec->probe_body, &vars, why);
	if (*why == NULL && spec->probe_headers != NULL)
		probe->headers = df_template_headers(spec->probe_headers, &vars, why);
	return *why == NULL;
}

bool
df_undo_lacks_fields(DfRun *run, DfStep *step, const Jsonb *resource, const DfResponse *response)
{
	const DfStepSpec *spec = df_step_spec(run, step);
	DfTemplateVars vars;
	char *missing = NULL;

	df_step_vars(run, step, &vars);
	vars.response = resource;
	if (response != NULL)
	{
		vars.status = response->status;
		vars.headers = df_response_headers(response, CurrentMemoryContext);
	}
	return df_template_path(spec->undo, &vars, &missing) == NULL ||
		(spec->undo_body != NULL && df_template_body(spec->undo_body, &vars, &missing) == NULL) ||
		(spec->undo_headers != NULL &&
		 df_template_headers(spec->undo_headers, &vars, &missing) == NULL);
}
