/*
 * engine/outgoing.c
 *	  The requests of a step: its effect, its probe and its undo; which is due, and
 *	  how it is rendered.
 *
 * Runs in a worker, in the transaction that commits the intent, before any byte is
 * sent.  Shared by the kinds of steps that call a system.  The effect is sent with
 * the bytes that were fixed with its intent.  Must never send.
 */
#include "postgres.h"

#include "engine/step_evidence.h"
#include "engine/key_place.h"
#include "engine/outgoing.h"
#include "engine/request_body.h"
#include "engine/step_error.h"
#include "engine/step_format.h"
#include "engine/step_key.h"
#include "engine/step_kind.h"
#include "engine/read_spec.h"
#include "engine/rollback_subject.h"
#include "engine/template.h"
#include "engine/transition.h"
#include "engine/undo_claim.h"
#include "engine/undo_outcome.h"
#include "shared/clock.h"
#include "shared/encoding.h"
#include "shared/json.h"
#include "types/base.h"
#include "utils/memutils.h"

/* wherever the system wants it */
static void
put_key(DfOutgoing *out, const DfKeyPlace *place, const DfBodyFormat *format, char *key,
		const char **recorded)
{
	out->idempotency_key = key;
	out->path = df_key_in_path(place, out->method, out->path, key);
	*recorded = df_key_in_body(place, out->method, format, *recorded, key);
}

static void
put_body(DfOutgoing *out, const DfBodyFormat *format, const char *recorded)
{
	DfBodyBytes bytes = df_body_bytes(format, recorded);

	out->body = bytes.data;
	out->body_len = bytes.len;
	out->content_type = bytes.content_type;
}

static bool
probe_request(DfRun *run, DfStep *step, DfOutgoing *out, char **why)
{
	const DfBodyFormat *format = &df_step_spec(run, step)->side_format;
	DfRendered probe;
	char *problem;
	char *method;
	char *path;

	if (!df_probe_render(run, step, &probe, &problem))
	{
		*why = psprintf("the probe of step \"%s\" cannot be rendered: %s", step->name, problem);
		return false;
	}
	df_template_split(probe.request, "probe", &method, &path);
	out->method = method;
	out->path = path;
	out->headers = probe.headers;
	if (probe.body != NULL)
		put_body(out, format, df_body_recorded(format, probe.body));
	return true;
}

bool
df_request_outgoing(DfRun *run, DfStep *step, DfOutgoing *out, bool form, char **why)
{
	const DfStepSpec *spec = df_step_spec(run, step);
	const char *body;
	char *method;
	char *path;

	out->timeout_ms = spec->timeout_ms;
	out->other_format = !df_format_same(&spec->format, &spec->side_format);
	switch (step->engine.phase)
	{
		case DF_PHASE_DO:
			out->method = spec->method;
			out->path = spec->path;
			body = step->row.body;
			put_key(out, &spec->key_place, &spec->format, df_step_key(run, step), &body);
			put_body(out, &spec->format, body);
			break;
		case DF_PHASE_PROBE:
			if (!probe_request(run, step, out, why))
				return false;
			break;
		case DF_PHASE_UNDO:
			df_template_split(step->row.undo, "undo", &method, &path);
			out->method = method;
			out->path = path;
			body = step->row.undo_body;
			put_key(out, &spec->key_place, &spec->side_format, df_step_undo_key(run, step), &body);
			put_body(out, &spec->side_format, body);
			out->headers = step->row.undo_headers;
			break;
	}
	out->path = df_text_to_utf8(out->path);
	if (form && spec->format.encoding == DF_ENCODING_JSON && !df_body_may_be_json(out->body))
		out->content_type = "application/x-www-form-urlencoded";
	return true;
}

bool
df_step_outgoing(DfRun *run, DfStep *step, DfOutgoing *out, bool form, char **why)
{
	memset(out, 0, sizeof(*out));
	return df_step_ops(step)->outgoing(run, step, out, form, why);
}

/* ---- the effect ----------------------------------------------------------- */

void
df_request_due(DfRun *run, DfStep *step)
{
	step->engine.phase = df_step_phase(run, step);
	step->engine.urgent = false;
	step->engine.not_before = DF_NEVER;
	step->engine.to_send = true;
}

/* ---- the undo ------------------------------------------------------------- */

bool
df_request_render_undo(DfRun *run, DfStep *step, char **why)
{
	const DfStepSpec *spec = df_step_spec(run, step);
	Jsonb *body = NULL;
	Jsonb *headers = NULL;
	DfTemplateVars vars;
	char *undo;

	df_step_vars(run, step, &vars);
	undo = df_template_path(spec->undo, &vars, why);
	if (undo == NULL)
		return false;
	if (spec->undo_body != NULL &&
		(body = df_template_body(spec->undo_body, &vars, why)) == NULL)
		return false;
	if (spec->undo_headers != NULL &&
		(headers = df_template_headers(spec->undo_headers, &vars, why)) == NULL)
		return false;
	step->row.undo = MemoryContextStrdup(run->cxt, undo);
	if (body != NULL)
		step->row.undo_body = MemoryContextStrdup(run->cxt,
												  df_body_recorded(&spec->side_format, body));
	if (headers != NULL)
		step->row.undo_headers = df_json_copy(headers, run->cxt);
	return true;
}

/* the response never came, but the probe may find the fields that the undo needs */
static void
ask_for_undo(DfRun *run, DfStep *step)
{
	if (step->row.undo_since == DF_NEVER)
	{
		step->row.undo_since = df_now();
		df_step_forget_holds(step);
	}
	if (step->row.wake_at > df_now() || step->worker.in_flight)
		return;
	step->engine.phase = DF_PHASE_PROBE;
	step->engine.to_send = true;
}

static void
undo_cannot_be_rendered(DfRun *run, DfStep *step, const char *why)
{
	const DfStep *subject = df_rollback_subject(run, step);
	bool responded = (subject != NULL ? subject : step)->row.output != NULL;
	char *words = df_step_undo_claim(run, step) == DF_CLAIM_OPEN
		? df_step_undo_claim_why(run, step)
		: psprintf("the undo cannot be rendered: %s%s", why != NULL ? why : "there is none",
				   responded ? "" : " of a response that was never received");

	step->row.undo_error = df_error_text(run, words, true);
	df_undo_transition(run, step, DF_UNDO_FAILED);
	step->row.wake_at = DF_NEVER;
}

/* what its condition says is known only now, of a step of another kind */
static void
nothing_to_undo(DfRun *run, DfStep *step)
{
	df_undo_transition(run, step, DF_UNDO_GONE);
	step->row.undo_error = NULL;
	step->row.wake_at = DF_NEVER;
}

void
df_request_undo(DfRun *run, DfStep *step)
{
	char *why = NULL;

	if (df_step_undo_needs_probe(run, step))
	{
		ask_for_undo(run, step);
		return;
	}
	if (!df_step_render_undo(run, step, &why) || step->row.undo == NULL)
	{
		if (step->row.evidence.kept)
			nothing_to_undo(run, step);
		else if (step->row.output == NULL && df_step_spec(run, step)->probe != NULL)
			ask_for_undo(run, step);
		else
			undo_cannot_be_rendered(run, step, why);
		return;
	}
	if (step->row.wake_at > df_now() || step->worker.in_flight)
		return;
	step->engine.phase = DF_PHASE_UNDO;
	step->engine.to_send = true;
}
