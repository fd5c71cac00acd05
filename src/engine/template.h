/*
 * engine/template.h
 *	  Undo and probe templates: '{id}', '{a.b}', '{a.0.id}', '{request.x}',
 *	  '{run}', '{run_key}', '{idempotency_key}', '{x|quoted}', '{{'.
 *
 * Pure functions over jsonb: no SQL, no state.
 */
#ifndef DF_ENGINE_TEMPLATE_H
#define DF_ENGINE_TEMPLATE_H

#include "postgres.h"

#include "utils/jsonb.h"

typedef struct DfTemplateVars
{
	const Jsonb *response; /* the step's output, NULL = none was received */
	const Jsonb *request; /* the step's request body, NULL = none */
	const char *run;
	const char *run_key; /* NULL = the run has no key */
	const char *idempotency_key;
} DfTemplateVars;

/*
 * Renders a path or 'METHOD /path' template; values are percent-encoded.
 * NULL, with *missing set to the first field that has no scalar value.
 */
extern char *df_template_path(const char *tmpl, const DfTemplateVars *vars, char **missing);

/*
 * Renders a jsonb template: a string that is only '{x}' becomes the value
 * itself, others are filled in as text.  NULL, with *missing set, as above.
 */
extern Jsonb *df_template_body(const Jsonb *tmpl, const DfTemplateVars *vars, char **missing);

/*
 * Splits 'METHOD /path' into its parts; raises 22023 naming `what` ("undo") and
 * the text if it is not of that form.
 */
extern void df_template_split(const char *request, const char *what, char **method, char **path);

/* whether it has a field that only the step's answer can fill */
extern bool df_template_needs_response(const char *tmpl);

/* whether a field of that name is in it, quoted or not */
extern bool df_template_names(const char *tmpl, const char *field);

/* raises 22023 if the template is malformed (unclosed brace, empty field) */
extern void df_template_check(const char *tmpl, const char *what);

/* an undo or a probe must not lead to another host than that of the url: 22023 */
extern void df_template_check_stays(const char *url, const char *text, const char *key);

/* the same for all strings of a body template */
extern void df_template_check_body(const Jsonb *tmpl, const char *what);

/* a step's body as bytes: JSON text, or form encoding with a[b] for nested keys */
extern char *df_body_json(const Jsonb *body);
extern char *df_body_form(const Jsonb *body);

#endif /* DF_ENGINE_TEMPLATE_H */
