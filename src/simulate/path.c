/*
 * simulate/path.c
 *	  What explain() tells of the steps of a simulated run, beside its rows.
 *
 * Runs in a user's backend, in the subtransaction of simulate(), as the owner of the workflow or
 * on structs in memory; what is kept is copied into memory that outlives the runs.  Reads runs
 * and steps, and changes neither.  What would become of a lost response is asked of the engine.
 */
#include "postgres.h"

#include "engine/judge.h"
#include "engine/read_spec.h"
#include "engine/replay.h"
#include "engine/step_evidence.h"
#include "engine/step_key.h"
#include "fdw/policy.h"
#include "flow/flow.h"
#include "shared/encoding.h"
#include "shared/json.h"
#include "simulate/form_read.h"
#include "simulate/path.h"
#include "utils/memutils.h"

/* ---- words ----------------------------------------------------------------- */

static const char *
keep(const DfSim *sim, const char *text)
{
	return text != NULL ? MemoryContextStrdup(sim->cxt, text) : NULL;
}

/* what it is made from that leaves as no JSON; NULL = it is not known */
static const Jsonb *
body_made_from(const DfSim *sim, const DfStep *step, const DfOutgoing *out)
{
	const char *form = "application/x-www-form-urlencoded";

	if (out->content_type != NULL && strncmp(out->content_type, form, strlen(form)) == 0)
		return df_form_read(out->body, out->body_len, sim->cxt);
	/* of a mail its message, and of a body in parts the object */
	if (step->engine.phase != DF_PHASE_DO || step->row.body == NULL)
		return NULL;
	return df_json_parse(step->row.body, strlen(step->row.body), sim->cxt);
}

/* as it leaves, if that is JSON */
static const Jsonb *
body_of(const DfSim *sim, const DfStep *step, const DfOutgoing *out)
{
	const Jsonb *json = NULL;
	char *text;

	if (out->body == NULL)
		return NULL;
	if (out->mail_from == NULL)
		json = df_json_parse(out->body, out->body_len, sim->cxt);
	if (json == NULL)
		json = body_made_from(sim, step, out);
	if (json != NULL)
		return json;
	text = df_text_from_utf8(out->body, out->body_len);
	if (text == NULL)
		text = psprintf("(%zu bytes that are no text)", out->body_len);
	return df_json_string(text, strlen(text), sim->cxt);
}

static const char *
request_of(const DfSim *sim, const DfStep *step, const DfOutgoing *out)
{
	if (out->mail_from != NULL)
		return keep(sim, step->row.request);
	return keep(sim, psprintf("%s %s", out->method, out->path));
}

/* only what makes something carries a key in its body or its query */
static const char *
key_of(const DfSim *sim, const DfStepSpec *spec, const DfSystem *system, const DfOutgoing *out)
{
	if (out->idempotency_key == NULL || spec->method_class != DF_METHOD_EFFECT)
		return NULL;
	if (spec->key_place.field != NULL)
		return keep(sim, psprintf("field %s", spec->key_place.field));
	if (spec->key_place.parameter != NULL)
		return keep(sim, psprintf("parameter %s", spec->key_place.parameter));
	if (system->idempotency_header == NULL)
		return NULL;
	return keep(sim,
				psprintf("header %s%s", system->idempotency_header,
						 system->idempotency_trusted ? "" : ", not trusted"));
}

static const char *
doubt_of(const DfSim *sim, const DfStep *step, const DfStepSpec *spec)
{
	char *said = df_json_get_text(step->row.options, "doubt");

	if (spec->method_class == DF_METHOD_SAFE)
		return NULL;
	return said != NULL ? keep(sim, said) : "stuck";
}

/* ---- steps ----------------------------------------------------------------- */

static DfSimPathStep *
new_step(DfSim *sim, DfSimRun *of, DfStep *step)
{
	MemoryContext old = MemoryContextSwitchTo(sim->cxt);
	DfSimPathStep *entry = palloc0(sizeof(DfSimPathStep));

	entry->of = of;
	entry->known = df_sim_step(sim, of, step);
	entry->n = step->n;
	entry->index = list_length(sim->path);
	entry->name = psprintf("%s%s", of->path, step->name);
	entry->called = pstrdup(df_step_called_name(step));
	entry->in_handler = df_is_handler_step(step);
	entry->kind = step->kind == DF_STEP_UNDO ? "on_rollback" : df_step_kind_name(step->kind);
	entry->system = step->system != NULL ? pstrdup(step->system) : NULL;
	entry->request = step->row.request != NULL ? pstrdup(step->row.request) : NULL;
	entry->undo = df_json_get_text(step->row.options, "undo");
	entry->undo_of = df_json_get_text(step->row.options, "undo_of");
	entry->known->path = entry;
	sim->path = lappend(sim->path, entry);
	MemoryContextSwitchTo(old);
	return entry;
}

static void
look_again(DfSim *sim, DfSimPathStep *entry, DfRun *run, DfStep *step)
{
	entry->came_to = step->row.state;
	entry->asks_other |= step->engine.asked_other != 0;
	if (step->row.undo != NULL && !entry->undo_rendered)
	{
		entry->undo = keep(sim, step->row.undo);
		entry->undo_rendered = true;
	}
	entry->undo_unrendered = step->row.undo == NULL && step->row.state == DF_STEP_DONE &&
		!step->row.evidence.kept && df_step_spec(run, step)->undo != NULL;
}

static bool
has_spec(const DfStep *step)
{
	return step->kind == DF_STEP_HTTP || step->kind == DF_STEP_QUERY ||
		step->kind == DF_STEP_UNDO || step->kind == DF_STEP_MAIL;
}

void
df_sim_path_of_turn(DfSim *sim, DfSimRun *of)
{
	DfRun *run = of->run;

	for (int i = 0; i < run->nsteps; i++)
	{
		DfStep *step = run->steps[i];
		DfSimPathStep *entry = df_sim_step(sim, of, step)->path;

		if (entry == NULL)
			entry = new_step(sim, of, step);
		if (has_spec(step))
			look_again(sim, entry, run, step);
		else
			entry->came_to = step->row.state;
	}
}

/* ---- requests -------------------------------------------------------------- */

/* what the engine would decide if nothing came back; the request counts as sent */
static bool
nobody_can_tell(DfRun *run, DfStep *step, const DfSystem *system)
{
	DfResponse response;
	DfSystemPolicy policy;
	DfDoubtCase about;
	DfCame came;
	Jsonb *output;

	memset(&response, 0, sizeof(response));
	response.fate = DF_FATE_LOST;
	response.retry_after_ms = -1;
	response.error = "";
	df_policy_of(system, &policy);
	about = df_step_case(run, step, &policy);
	came = df_judge_step(run, step, &response, &policy, &output);
	return df_decide_response(&about, &came).verdict == DF_VERDICT_ASK_PERSON;
}

static void
note_probe(DfSim *sim, DfSimPathStep *entry, DfRun *run, DfStep *step)
{
	DfRendered probe;
	char *why;

	if (df_step_spec(run, step)->probe != NULL)
		entry->probe = keep(sim,
							df_probe_render(run, step, &probe, &why)
								? probe.request
								: df_step_spec(run, step)->probe);
}

void
df_sim_path_request(DfSim *sim, DfSimRun *of, DfStep *step, const DfSystem *system,
					const DfOutgoing *out)
{
	const DfStepSpec *spec = df_step_spec(of->run, step);
	DfSimPathStep *entry;
	DfSimRequest *request;
	MemoryContext old;

	/* those before it come before it */
	df_sim_path_of_turn(sim, of);
	entry = df_sim_step(sim, of, step)->path;
	if (df_sim_request_of(sim, entry, step->engine.phase) != NULL)
		return;
	old = MemoryContextSwitchTo(sim->cxt);
	request = palloc(sizeof(DfSimRequest));
	sim->requests = lappend(sim->requests, request);
	MemoryContextSwitchTo(old);
	request->step = entry;
	request->phase = step->engine.phase;
	request->request = request_of(sim, step, out);
	request->body = body_of(sim, step, out);
	if (request->phase != DF_PHASE_DO)
		return;
	entry->request = request->request;
	entry->body = request->body;
	entry->key = key_of(sim, spec, system, out);
	entry->doubt = doubt_of(sim, step, spec);
	entry->nobody_can_tell = nobody_can_tell(of->run, step, system);
	note_probe(sim, entry, of->run, step);
}

const DfSimRequest *
df_sim_request_of(const DfSim *sim, const DfSimPathStep *step, DfPhase phase)
{
	ListCell *lc;

	foreach (lc, sim->requests)
	{
		const DfSimRequest *request = lfirst(lc);

		if (request->step == step && request->phase == phase)
			return request;
	}
	return NULL;
}
