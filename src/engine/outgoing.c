/*
 * engine/outgoing.c
 *	  The request that leaves next for a step: its effect, its probe or its undo.
 *
 * Runs in a worker, in the transaction that commits the intent, before any byte
 * leaves.  The effect's bytes are those that were frozen with the intent.
 */
#include "postgres.h"

#include "engine/mail_message.h"
#include "engine/outcome.h"
#include "engine/outgoing.h"
#include "engine/step_spec.h"
#include "shared/encoding.h"
#include "shared/json.h"
#include "utils/memutils.h"

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

static bool
probe_request(DfRun *run, DfStep *step, DfOutgoing *out, bool form, char **why)
{
	Jsonb *body;
	char *missing;
	char *rendered;
	char *method;
	char *path;

	if (!df_probe_render(run, step, &rendered, &body, &missing))
	{
		*why = psprintf("the probe of step \"%s\" cannot be rendered: there is no field \"%s\"",
						step->name, missing);
		return false;
	}
	df_template_split(rendered, "probe", &method, &path);
	out->method = method;
	out->path = path;
	if (body != NULL)
		out->body = form ? df_body_form(body) : df_body_json(body);
	return true;
}

bool
df_step_outgoing(DfRun *run, DfStep *step, DfOutgoing *out, bool form, char **why)
{
	const DfStepSpec *spec = df_step_spec(run, step);
	char *method;
	char *path;

	memset(out, 0, sizeof(*out));
	if (step->kind == DF_STEP_MAIL)
		return df_mail_outgoing(run, step, out, why);
	out->timeout_ms = spec->timeout_ms;
	switch (step->phase)
	{
		case DF_PHASE_DO:
			out->method = spec->method;
			out->path = spec->path;
			out->body = step->body;
			out->idempotency_key = df_step_key(run, step);
			break;
		case DF_PHASE_PROBE:
			if (!probe_request(run, step, out, form, why))
				return false;
			break;
		case DF_PHASE_UNDO:
			df_template_split(step->undo, "undo", &method, &path);
			out->method = method;
			out->path = path;
			out->body = step->undo_body;
			out->idempotency_key = psprintf("%s/undo", df_step_key(run, step));
			break;
	}
	out->path = df_text_to_utf8(out->path);
	out->body = df_text_to_utf8(out->body);
	if (out->body != NULL)
		out->content_type = form ? "application/x-www-form-urlencoded" : "application/json";
	return true;
}
