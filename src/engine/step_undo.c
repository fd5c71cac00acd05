/*
 * engine/step_undo.c
 *	  on_rollback(): a step that is nothing but an undo, of itself or of another step.
 *
 * Runs inside a body, in its read-only subtransaction, as the workflow's owner.
 * Nothing here sends; the undo is sent when the run is rolled back.
 */
#include "postgres.h"

#include "engine/body.h"
#include "engine/drift.h"
#include "engine/http_args.h"
#include "engine/key_place.h"
#include "engine/outgoing.h"
#include "engine/read_spec.h"
#include "engine/rollback_of.h"
#include "engine/rollback_subject.h"
#include "engine/step_evidence.h"
#include "engine/step_api.h"
#include "engine/step_format.h"
#include "engine/step_kind.h"
#include "engine/transition.h"
#include "engine/undo_outcome.h"
#include "fdw/system.h"
#include "shared/json.h"
#include "shared/limits.h"
#include "utils/builtins.h"
#include "utils/memutils.h"

PG_FUNCTION_INFO_V1(dataflows_on_rollback);

/* the arguments, in the order of the SQL declaration */
enum
{
	ARG_REQUEST = 2,
	ARG_SIDE_BODY,
	ARG_SIDE_HEADERS,
	ARG_SIDE_ANSWERS,
	ARG_OF_STEP
};

/* ---- the call ------------------------------------------------------------- */

static void
refuse_twice(const char *what)
{
	ereport(ERROR,
			(errcode(ERRCODE_INVALID_PARAMETER_VALUE),
			 errmsg("\"%s\" are given twice", what),
			 errhint("Give them as an argument or in the object of the request.")));
}

/* false: there is no request */
static bool
read_request(FunctionCallInfo fcinfo, DfSideRequest *side)
{
	char *text = NULL;
	Jsonb *answers = NULL;

	side->name = "undo";
	if (!df_side_read(fcinfo, ARG_REQUEST, ARG_SIDE_BODY, side))
		return false;
	if (side->headers != NULL && !PG_ARGISNULL(ARG_SIDE_HEADERS))
		refuse_twice("headers");
	if (!PG_ARGISNULL(ARG_SIDE_HEADERS))
		side->headers = df_arg_jsonb(fcinfo, ARG_SIDE_HEADERS);
	if (!df_arg_text_or_json(fcinfo, ARG_SIDE_ANSWERS, "answers", &text, &answers))
		return true;
	if (side->answers != NULL)
		refuse_twice("answers");
	side->answers =
		answers != NULL ? answers : df_json_string(text, strlen(text), CurrentMemoryContext);
	return true;
}

/* a response is another step's: which one it is has to be said */
static void
check_has_response(const DfSideRequest *side, const char *of)
{
	if (of != NULL || (side->condition == NULL && !df_side_needs_response(side)))
		return;
	ereport(ERROR,
			(errcode(ERRCODE_INVALID_PARAMETER_VALUE),
			 errmsg("the request \"%s\" is rendered, or sent, by a response", side->request),
			 errdetail("on_rollback() has none of its own."),
			 errhint("Name the step whose response it is: of_step => 'create-user'.")));
}

static Jsonb *
options_of(const DfSideRequest *side, const DfSystem *system, const char *of, const char *step,
		   MemoryContext cxt)
{
	DfJson json;

	df_json_begin(&json);
	df_json_text(&json, "undo", side->request);
	df_side_write(&json, side, system, step);
	df_json_text(&json, "undo_of", of);
	(void) df_format_write(&json, &system->body, &system->body);
	(void) df_key_place_write(&json, system);
	return df_json_end(&json, cxt);
}

/* done at once: it only keeps the undo */
static void
new_step(DfRun *run, char *name, const DfSystem *system, const DfSideRequest *side, const char *of)
{
	Jsonb *options = options_of(side, system, of, name, run->cxt);
	DfStep *step = df_step_new_effect(run, name, DF_STEP_UNDO, system->name, side->request, NULL);
	DfStep *subject;
	char *why = NULL;

	df_step_goes_to(step, system);
	step->row.options = options;
	df_step_transition(run, step, DF_STEP_SUCCEED);
	subject = df_rollback_subject(run, step);
	if (subject != NULL ? subject->row.state != DF_STEP_DONE ||
				df_rollback_render_of(run, subject, &step, &why)
						: of != NULL || df_step_render_undo(run, step, &why))
		return;
	df_fatal(ERRCODE_INVALID_PARAMETER_VALUE,
			 MemoryContextStrdup(run->cxt,
								 psprintf("the request of step \"%s\" cannot be rendered: %s",
										  name, why)),
			 NULL);
}

static void
compare(const DfStep *step, const char *what, const char *option, const Jsonb *called)
{
	Jsonb *recorded = df_json_get_or_null(step->row.options, option);

	df_step_compare(step, what, recorded == NULL ? NULL : df_json_to_text(recorded),
					called == NULL ? NULL : df_json_to_text(called));
}

/* nothing has been rendered: a function that was corrected may say it anew */
static bool
is_open(DfRun *run, DfStep *step)
{
	return step->row.undo == NULL && step->row.undo_state == DF_UNDO_NONE &&
		df_step_spec(run, step)->undo_of != NULL && df_rollback_subject(run, step) == NULL;
}

static void
check_recorded(FunctionCallInfo fcinfo, DfRun *run, DfStep *step, char *of)
{
	const char *system = PG_ARGISNULL(1) ? NULL : NameStr(*PG_GETARG_NAME(1));
	DfSideRequest side = {.name = NULL};

	if (!df_drift_is_other(run, step))
		return;
	(void) read_request(fcinfo, &side);
	df_step_compare(step, "system", step->system, system);
	if (is_open(run, step) && side.request != NULL)
	{
		step->row.options =
			options_of(&side, df_step_http_system(system, step->name), of, step->name, run->cxt);
		return;
	}
	df_step_compare(step, "request", df_json_get_text(step->row.options, "undo"), side.request);
	compare(step, "body", "undo_body", side.body);
	compare(step, "set of headers", "undo_headers", side.headers);
	compare(step, "set of answers", "undo_answers", side.answers);
	df_step_compare(step, "condition", df_json_get_text(step->row.options, "undo_if"),
					side.condition);
	df_step_compare(step, "of_step", df_json_get_text(step->row.options, "undo_of"), of);
}

/* NULL = it is nobody's */
static char *
subject_argument(FunctionCallInfo fcinfo, DfRun *run, const char *name)
{
	char *of = df_arg_text(fcinfo, ARG_OF_STEP);
	char *base = of == NULL ? NULL : pnstrdup(of, strcspn(of, "#"));

	if (of == NULL)
		return NULL;
	(void) df_check_name(base, "of_step");
	return df_rollback_subject_name(run, name, of);
}

Datum
dataflows_on_rollback(PG_FUNCTION_ARGS)
{
	DfRun *run = df_entry_run("on_rollback");
	char *base = df_checked_name(fcinfo, 0, "step");
	char *name;
	DfStep *step = df_step_recorded(run, base, DF_STEP_UNDO, &name);
	char *of = subject_argument(fcinfo, run, name);
	DfSideRequest side;

	if (step != NULL)
	{
		check_recorded(fcinfo, run, step, of);
		(void) df_step_result(fcinfo, step);
		PG_RETURN_VOID();
	}
	memset(&side, 0, sizeof(side));
	if (PG_ARGISNULL(1) || !read_request(fcinfo, &side))
		ereport(ERROR,
				(errcode(ERRCODE_NULL_VALUE_NOT_ALLOWED),
				 errmsg("system and request of step \"%s\" must not be NULL", base),
				 errhint("Name a system and a request such as 'DELETE /users/7'.")));
	check_has_response(&side, of);
	new_step(run, name, df_step_http_system(NameStr(*PG_GETARG_NAME(1)), base), &side, of);
	PG_RETURN_VOID();
}

/* ---- in the worker -------------------------------------------------------- */

/* the step that it takes back was not carried out, and never will be */
static bool
has_nothing_to_undo(DfRun *run, DfStep *step)
{
	DfStep *subject = df_rollback_subject(run, step);

	if (df_step_spec(run, step)->undo_of == NULL || step->row.undo != NULL)
		return false;
	if (subject == NULL)
		return df_rollback_is_last(run, step);
	/* from then on counts what the system says of it */
	step->row.finished_at = Max(step->row.finished_at, subject->row.finished_at);
	return (subject->row.state == DF_STEP_FAILED && !subject->row.evidence.carried_out) ||
		subject->row.evidence.kept;
}

static void
undo(DfRun *run, DfStep *step)
{
	if (!has_nothing_to_undo(run, step))
	{
		df_request_undo(run, step);
		return;
	}
	df_undo_transition(run, step, DF_UNDO_GONE);
	step->row.undo_error = NULL;
	step->row.wake_at = DF_NEVER;
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
	.undo = undo,
	.render_undo = df_request_render_undo,
	.effect = effect,
};
