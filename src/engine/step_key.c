/*
 * engine/step_key.c
 *	  The idempotency key of a step, and what its templates are rendered from.
 *
 * Runs in a worker, in its recording transaction, on structs in memory, and changes
 * none of them.  Never make a key of anything but the run and the number of the step:
 * it has to be the same after a restart.
 */
#include "postgres.h"

#include "engine/step_key.h"
#include "engine/read_spec.h"
#include "shared/json.h"

char *
df_step_key(const DfRun *run, const DfStep *step)
{
	if (step->row.renewals > 0)
		return psprintf("%s/%d/r%d", run->id_text, step->n, step->row.renewals);
	return psprintf("%s/%d", run->id_text, step->n);
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
