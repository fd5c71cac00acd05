/*
 * engine/step_undo.c
 *	  on_rollback(): a step that is nothing but an undo.
 *
 * Runs inside a body, in its read-only subtransaction, as the workflow's owner.
 * Nothing here sends; the undo is sent when the run is rolled back.
 */
#include "postgres.h"

#include "engine/body.h"
#include "engine/key_place.h"
#include "engine/drift.h"
#include "engine/outgoing.h"
#include "engine/step_api.h"
#include "engine/step_format.h"
#include "engine/step_kind.h"
#include "engine/template.h"
#include "engine/transition.h"
#include "engine/undo_outcome.h"
#include "fdw/system.h"
#include "shared/json.h"
#include "shared/limits.h"
#include "utils/builtins.h"
#include "utils/memutils.h"

PG_FUNCTION_INFO_V1(dataflows_on_rollback);

static DfSystem *
checked_system(const char *name, const char *step, const char *request)
{
	DfSystem *system;

	df_template_check_request(request, "request");
	system = df_step_http_system(name, step);
	df_template_check_stays(system->url, request, "request");
	return system;
}

/* done at once: it only keeps the undo, for which nothing but the run is known */
static void
new_step(DfRun *run, char *name, const DfSystem *system, const char *request, const Jsonb *body)
{
	DfStep *step;
	DfJson json;
	char *why = NULL;

	df_json_begin(&json);
	df_json_text(&json, "undo", request);
	df_json_value(&json, "undo_body", body);
	(void) df_format_write(&json, &system->body, &system->body);
	(void) df_key_place_write(&json, system);
	step = df_step_new_effect(run, name, DF_STEP_UNDO, system->name, request);
	step->row.base_hash = system->url_hash;
	step->row.options = df_json_end(&json, run->cxt);
	df_step_transition(run, step, DF_STEP_SUCCEED);
	if (!df_step_render_undo(run, step, &why))
		df_fatal(ERRCODE_INVALID_PARAMETER_VALUE,
				 MemoryContextStrdup(run->cxt,
									 psprintf("the request of step \"%s\" cannot be rendered: %s",
											  name, why)),
				 NULL);
}

static void
check_recorded(const DfStep *step, const char *system, const char *request, const Jsonb *body)
{
	Jsonb *recorded = df_json_get_or_null(step->row.options, "undo_body");

	if (!df_drift_is_other(df_entry->run, step))
		return;
	df_step_compare(step, "system", step->system, system);
	df_step_compare(step, "request", df_json_get_text(step->row.options, "undo"), request);
	df_step_compare(step, "body", recorded == NULL ? NULL : df_json_to_text(recorded),
					body == NULL ? NULL : df_json_to_text(body));
}

Datum
dataflows_on_rollback(PG_FUNCTION_ARGS)
{
	DfRun *run = df_entry_run("on_rollback");
	char *base = df_checked_name(fcinfo, 0, "step");
	char *request = df_arg_text(fcinfo, 2);
	Jsonb *body = df_arg_jsonb(fcinfo, 3);
	char *name;
	DfStep *step = df_step_recorded(run, base, DF_STEP_UNDO, &name);
	DfSystem *system;

	if (step != NULL)
	{
		check_recorded(step, PG_ARGISNULL(1) ? NULL : NameStr(*PG_GETARG_NAME(1)), request, body);
		(void) df_step_result(fcinfo, step);
		PG_RETURN_VOID();
	}
	if (PG_ARGISNULL(1) || request == NULL)
		ereport(ERROR,
				(errcode(ERRCODE_NULL_VALUE_NOT_ALLOWED),
				 errmsg("system and request of step \"%s\" must not be NULL", base),
				 errhint("Name a system and a request such as 'DELETE /users/7'.")));
	system = checked_system(NameStr(*PG_GETARG_NAME(1)), base, request);
	if (body != NULL)
		df_check_payload(body, psprintf("the body of step \"%s\"", base));
	df_key_place_check(system, &system->body, request, body,
					   psprintf("the request of step \"%s\"", base));
	new_step(run, name, system, request, body);
	PG_RETURN_VOID();
}

static const char *
effect(const DfStep *step)
{
	return df_json_get_text(step->row.options, "undo");
}

const DfStepOps df_undo_ops = {
	.kind = DF_STEP_UNDO,
	.sends_requests = true,
	.outgoing = df_request_outgoing,
	.undo = df_request_undo,
	.render_undo = df_request_render_undo,
	.effect = effect,
};
