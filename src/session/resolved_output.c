/*
 * session/resolved_output.c
 *	  The output that resolve() gives a step: whether its undo can be rendered from it.
 *
 * Runs in user sessions, in the caller's transaction, as the extension's owner.  The person who
 * looked is there now, and at the rollback nobody may remember.  Must never write, and never let
 * an undo be sent: it only refuses.
 */
#include "postgres.h"

#include "session/resolved_output.h"
#include "shared/json.h"
#include "shared/jsonpath.h"
#include "shared/template_piece.h"

/* of an undo with a condition that is not met, or unknown, nothing is rendered from it */
static bool
is_rendered(const Jsonb *options, const Jsonb *output)
{
	const char *condition = df_json_get_text(options, "undo_if");
	DfJson json;

	if (condition == NULL)
		return true;
	df_json_begin(&json);
	df_json_null(&json, "status");
	df_json_null(&json, "headers");
	return df_jsonpath_surely(output, condition, df_json_end(&json, CurrentMemoryContext)) ==
		DF_TRUE;
}

/* in any string of a template in JSON */
static char *
lacks_below(const Jsonb *tmpl, const Jsonb *output)
{
	char *field = NULL;
	DfJsonWalk walk;

	if (tmpl == NULL)
		return NULL;
	df_json_walk_deep(&walk, tmpl);
	while (df_json_next(&walk))
		if (field == NULL && walk.value.type == jbvString)
			field = df_template_lacks(df_json_string_of(&walk.value), output, false);
	return field;
}

static char *
lacking_field(const Jsonb *options, const Jsonb *output)
{
	char *field = df_template_lacks(df_json_get_text(options, "undo"), output, true);

	if (field == NULL)
		field = lacks_below(df_json_get(options, "undo_body"), output);
	if (field == NULL)
		field = lacks_below(df_json_get(options, "undo_headers"), output);
	return field;
}

void
df_check_resolved_output(const pg_uuid_t *run, const DfStepStates *step, const Jsonb *output,
						 MemoryContext cxt)
{
	ListCell *lc;

	foreach (lc, df_inbox_open_undos(run, step->n, cxt))
	{
		DfOpenUndo *undo = lfirst(lc);
		char *field;

		if (!is_rendered(undo->options, output))
			continue;
		field = lacking_field(undo->options, output);
		if (field == NULL)
			continue;
		ereport(ERROR,
				(errcode(ERRCODE_INVALID_PARAMETER_VALUE),
				 errmsg("the output has no field \"%s\", which the undo of step \"%s\" names",
						field, undo->step),
				 errdetail("The undo is \"%s\".", df_json_get_text(undo->options, "undo")),
				 errhint("Give the resource as the system shows it, with \"%s\". If that is not "
						 "known, leave the output out: the undo is a person's then. If there is "
						 "nothing to undo, say \"skipped\".",
						 field)));
	}
}
