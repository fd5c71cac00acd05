/*
 * engine/step_key.c
 *	  The idempotency key of a step, and what its templates are rendered from.
 *
 * Runs in a worker, in its recording transaction, on structs in memory, and must never
 * change one of them: what a request is rendered from is the same at each attempt.
 */
#include "postgres.h"

#include "engine/step_key.h"
#include "engine/read_spec.h"
#include "shared/idempotency_key.h"
#include "shared/json.h"

static char *
key_of(const DfRun *run, const DfStep *step, bool undo)
{
	DfKeyOf of = {.run = &run->id,
				  .n = step->n,
				  .renewals = step->row.renewals,
				  .undo = undo,
				  .form = step->key_form};

	return df_idempotency_key(&of);
}

char *
df_step_key(const DfRun *run, const DfStep *step)
{
	return key_of(run, step, false);
}

char *
df_step_undo_key(const DfRun *run, const DfStep *step)
{
	return key_of(run, step, true);
}

void
df_step_vars(DfRun *run, DfStep *step, DfTemplateVars *vars)
{
	vars->response = step->row.output;
	vars->request = step->row.body == NULL
		? NULL
		: df_json_parse(step->row.body, strlen(step->row.body), CurrentMemoryContext);
	vars->run = run->id_text;
	vars->run_key = run->key;
	vars->idempotency_key = df_step_key(run, step);
}

bool
df_probe_render(DfRun *run, DfStep *step, char **path, Jsonb **body, char **missing)
{
	const DfStepSpec *spec = df_step_spec(run, step);
	DfTemplateVars vars;

	df_step_vars(run, step, &vars);
	*missing = NULL;
	*body = spec->probe_body;
	*path = df_template_path(spec->probe, &vars, missing);
	if (*path != NULL && *body != NULL)
		*body = df_template_body(*body, &vars, missing);
	return *missing == NULL;
}
