/*
 * engine/template.h
 *	  Undo and probe templates: '{id}', '{a.b}', '{a.0.id}', '{request.x}',
 *	  '{response.status}', '{response.headers.location}', '{run}', '{run_key}',
 *	  '{idempotency_key}', '{x|path}', '{x|last}', '{x|quoted}', '{{'.
 *
 * Pure functions over jsonb: no SQL, no state.
 */
#ifndef DF_ENGINE_TEMPLATE_H
#define DF_ENGINE_TEMPLATE_H

#include "postgres.h"

#include "shared/idempotency_key.h"
#include "utils/jsonb.h"

typedef struct DfTemplateVars
{
	const Jsonb *response; /* the step's output, NULL = none was received */
	int status; /* of the response to the step itself, 0 = none was received */
	const Jsonb *headers; /* likewise, by their names in small letters */
	const Jsonb *request; /* the step's request body, NULL = none, or it is a text */
	const char *request_text; /* the same, where it is recorded as JSON; NULL = none */
	const char *asked; /* the path of its request, NULL = it has none */
	bool asked_to_make; /* a POST: what it makes has another path */
	const char *base; /* the url of its system, NULL = that is not there */
	char **secret_query; /* parameters that are not recorded (df_query_pairs()); NULL = none */
	const char *run;
	const char *run_key; /* NULL = the run has no key */
	DfKeyOf key; /* its idempotency key; no run = the step is not recorded yet, and will have one */
} DfTemplateVars;

/*
 * Renders a path or 'METHOD /path' template; values are percent-encoded.  NULL, with *why set
 * to what is wrong with the first field that cannot be filled in.
 */
extern char *df_template_path(const char *tmpl, const DfTemplateVars *vars, char **why);

/*
 * Renders a jsonb template: a string that is only '{x}' becomes the value
 * itself, others are filled in as text.  NULL, with *why set, as above.
 */
extern Jsonb *df_template_body(const Jsonb *tmpl, const DfTemplateVars *vars, char **why);

/* renders the values of an object of headers; null stays null.  NULL, with *why set, as above */
extern Jsonb *df_template_headers(const Jsonb *tmpl, const DfTemplateVars *vars, char **why);

/* what is wrong with the first field that is known when the step is called; NULL = nothing */
extern char *df_template_problem(const char *tmpl, const DfTemplateVars *vars, bool is_path);

/* ---- template_check.c ----------------------------------------------------- */

/*
 * Splits 'METHOD /path' into its parts; raises 22023 naming `what` ("undo") and
 * the text if it is not of that form.
 */
extern void df_template_split(const char *request, const char *what, char **method, char **path);

/* whether it has a field that only the step's response can fill */
extern bool df_template_needs_response(const char *tmpl);

/* whether a field of that name is in it, with a filter or without; or one below it, too */
extern bool df_template_names(const char *tmpl, const char *field);
extern bool df_template_names_below(const char *tmpl, const char *field);

/* whether the test holds of any string in it; false for NULL */
extern bool df_template_any(const Jsonb *value, bool (*test)(const char *tmpl));

/* raises 22023 if the template is malformed (unclosed brace, empty field) */
extern void df_template_check(const char *tmpl, const char *what);

/* the same for all strings of a body template */
extern void df_template_check_body(const Jsonb *tmpl, const char *what);

/* the same for 'METHOD /path' */
extern void df_template_check_request(const char *request, const char *what);

/* the fields that are known when the step is called must be there: 22023 */
extern void df_template_check_known(const char *tmpl, const DfTemplateVars *vars, bool is_path,
									const char *what);

/* an undo or a probe must not lead to another host than that of the url: 22023 */
extern void df_template_check_stays(const char *url, const char *text, const char *key);

/* ---- bodies --------------------------------------------------------------- */

#endif /* DF_ENGINE_TEMPLATE_H */
