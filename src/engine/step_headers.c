/*
 * engine/step_headers.c
 *	  Checks of the headers that a body gives to a request.
 *
 * Runs inside bodies, as the workflow's owner, when a step is called: what is let in here
 * can be sent.  Pure but for errors.
 */
#include "postgres.h"

#include "engine/http_args.h"
#include "fdw/options.h"
#include "engine/template.h"
#include "shared/header.h"
#include "shared/json.h"
#include "shared/limits.h"
#include "types/base.h"

/* servers accept only a short head of a request */
void
df_check_head_size(const char *what, size_t size, const char *step)
{
	if (size > DF_MAX_HEAD)
		ereport(ERROR,
				(errcode(DF_ERR_LIMIT),
				 errmsg("%s of step \"%s\" is too long", what, step),
				 errdetail("It has %zu bytes; %d are allowed.", size, DF_MAX_HEAD),
				 errhint("Send data in the body.")));
}

static void
check_header_name(const char *name, size_t len, const DfSystem *system, const char *step)
{
	DfHeaderKind kind = df_header_kind(name, len);
	const char *key_header = system->idempotency_header;

	if (len == 0)
		ereport(ERROR,
				(errcode(ERRCODE_INVALID_PARAMETER_VALUE),
				 errmsg("a header of step \"%s\" has no name", step),
				 errhint("Give names and values, such as '{\"X-Tenant\": \"7\"}'.")));
	if (!df_header_name_is_legal(name, len))
		ereport(ERROR,
				(errcode(ERRCODE_INVALID_PARAMETER_VALUE),
				 errmsg("the name of a header of step \"%s\" contains a character that names of "
						"headers must not have",
						step),
				 errhint("Write a name of letters, digits and hyphens.")));
	if (kind == DF_HEADER_TRANSPORT)
		ereport(
			ERROR,
			(errcode(ERRCODE_INVALID_PARAMETER_VALUE),
			 errmsg("step \"%s\" must not set header \"%s\", which the engine writes itself", step,
					pnstrdup(name, len)),
			 errhint("Leave it out: it belongs to the connection or says how the body is sent.")));
	if (key_header != NULL && df_header_is(name, len, key_header))
		ereport(ERROR,
				(errcode(ERRCODE_INVALID_PARAMETER_VALUE),
				 errmsg("step \"%s\" must not set header \"%s\", which the engine writes itself",
						step, pnstrdup(name, len)),
				 errhint("Leave it out; the idempotency key is set by the system's option "
						 "idempotency_header.")));
	if (df_system_writes_header(system, name, len))
		ereport(ERROR,
				(errcode(ERRCODE_INVALID_PARAMETER_VALUE),
				 errmsg("step \"%s\" must not set header \"%s\", which the engine writes itself",
						step, pnstrdup(name, len)),
				 errhint("Leave it out: it belongs to the signature of the request.")));
}

static void
check_header_value(const JsonbValue *value, const char *what, bool is_template, const char *step)
{
	/* of an undo or a probe: the step's own header is left out */
	if (is_template && value->type == jbvNull)
		return;
	if (value->type != jbvString)
		ereport(ERROR,
				(errcode(ERRCODE_INVALID_PARAMETER_VALUE),
				 errmsg("a header of step \"%s\" is not a string", step),
				 errhint("Give each header's value as a JSON string.")));
	if (!df_header_value_is_legal(value->val.string.val, value->val.string.len))
		ereport(ERROR,
				(errcode(ERRCODE_INVALID_PARAMETER_VALUE),
				 errmsg("a header of step \"%s\" contains a character that headers must not have",
						step),
				 errhint("Remove line breaks and control characters from headers.")));
	if (is_template)
		df_template_check(df_json_string_of(value), what);
}

/* names are the same in upper and lower case: only one of the two would be sent */
static void
check_given_once(const Jsonb *headers, const char *name, const char *step)
{
	DfJsonWalk walk;
	int times = 0;

	df_json_walk(&walk, headers);
	while (df_json_next(&walk))
		times += df_header_is(walk.key, strlen(walk.key), name);
	if (times > 1)
		ereport(ERROR,
				(errcode(ERRCODE_INVALID_PARAMETER_VALUE),
				 errmsg("header \"%s\" of step \"%s\" is given twice", name, step),
				 errhint("Names of headers are the same in upper and lower case; drop one of the "
						 "two.")));
}

void
df_check_headers(const Jsonb *headers, const char *what, bool is_template,
				 const DfSystem *system, const char *step)
{
	DfJsonWalk walk;

	if (!JB_ROOT_IS_OBJECT(headers))
		ereport(ERROR,
				(errcode(ERRCODE_INVALID_PARAMETER_VALUE),
				 errmsg("%s of step \"%s\" are not a JSON object", what, step),
				 errhint("Give names and values, such as '{\"X-Tenant\": \"7\"}'.")));
	df_check_head_size(what, VARSIZE(headers), step);
	df_json_walk(&walk, headers);
	while (df_json_next(&walk))
	{
		check_header_name(walk.key, strlen(walk.key), system, step);
		check_header_value(&walk.value, what, is_template, step);
		check_given_once(headers, walk.key, step);
	}
}
