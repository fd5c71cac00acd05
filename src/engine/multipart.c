/*
 * engine/multipart.c
 *	  A body as multipart/form-data (RFC 7578).
 *
 * Runs in workers, within a body, where it is checked and measured, and in the recording
 * transaction, where it is sent; pure but for memory.  Written here and not by libcurl's MIME
 * functions, whose boundary is random: every attempt of a step has to send the same bytes,
 * since a system compares them when it has seen the idempotency key before.
 */
#include "postgres.h"

#include "engine/file_value.h"
#include "engine/form_fields.h"
#include "engine/multipart.h"
#include "shared/digest.h"
#include "shared/encoding.h"
#include "shared/json.h"
#include "utils/builtins.h"

/* bytes of the body's digest that are in a boundary */
#define BOUNDARY_BYTES 15

/* ---- checks --------------------------------------------------------------- */

typedef struct Problem
{
	char *why; /* the first one */
	char *hint;
} Problem;

static void
check_field(void *arg, const char *name, const JsonbValue *value)
{
	Problem *problem = arg;
	DfFileValue file;
	char *why;

	if (problem->why != NULL || value->type != jbvBinary)
		return;
	if (df_file_value_read(value, &file, &why, &problem->hint))
		pfree(file.bytes);
	else
		problem->why = psprintf("field \"%s\" %s", name, why);
}

char *
df_multipart_problem(const Jsonb *body, char **hint)
{
	Problem problem = {NULL, NULL};
	DfFieldWalk walk = {.files = true, .sink = check_field, .arg = &problem};

	if (!JB_ROOT_IS_OBJECT(body))
	{
		*hint = pstrdup("Give names and values; a file is {\"filename\", \"content_type\", "
						"\"base64\"}.");
		return pstrdup("the body is not a JSON object");
	}
	df_form_fields(&walk, body);
	*hint = problem.hint;
	return problem.why;
}

/* ---- writing -------------------------------------------------------------- */

typedef struct Parts
{
	StringInfo to; /* each part begins behind a boundary */
	const char *boundary;
	bool files; /* of these two, what is written now */
} Parts;

/* as browsers do; a value cannot end its quotes or its line */
static void
put_quoted(StringInfo to, const char *text)
{
	appendStringInfoChar(to, '"');
	for (; *text != '\0'; text++)
	{
		if (*text == '"')
			appendStringInfoString(to, "%22");
		else if (*text == '\r')
			appendStringInfoString(to, "%0D");
		else if (*text == '\n')
			appendStringInfoString(to, "%0A");
		else
			appendStringInfoChar(to, *text);
	}
	appendStringInfoChar(to, '"');
}

static void
begin_part(const Parts *parts, const char *name)
{
	appendStringInfo(parts->to, "--%s\r\nContent-Disposition: form-data; name=", parts->boundary);
	put_quoted(parts->to, name);
}

static void
put_file(const Parts *parts, const char *name, const JsonbValue *value)
{
	DfFileValue file;
	char *why;
	char *hint;

	if (!df_file_value_read(value, &file, &why, &hint))
		return; /* it was checked when the step was called */
	begin_part(parts, name);
	if (file.filename != NULL)
	{
		appendStringInfoString(parts->to, "; filename=");
		put_quoted(parts->to, file.filename);
	}
	appendStringInfo(parts->to, "\r\nContent-Type: %s\r\n\r\n", file.content_type);
	appendBinaryStringInfo(parts->to, file.bytes, file.len);
	appendStringInfoString(parts->to, "\r\n");
	pfree(file.bytes);
}

static void
put_field(void *arg, const char *name, const JsonbValue *value)
{
	Parts *parts = arg;
	bool is_file = value->type == jbvBinary;
	char *text = is_file ? NULL : df_json_scalar_of(value);

	if (is_file != parts->files)
		return;
	if (is_file)
		put_file(parts, name, value);
	else if (text != NULL)
	{
		begin_part(parts, name);
		appendStringInfo(parts->to, "\r\n\r\n%s\r\n", df_text_to_utf8(text));
	}
}

/* of what the body holds, so that it is the same at each attempt */
static char *
boundary_of(const Jsonb *body)
{
	char *text = df_json_to_text(body);
	uint8 digest[DF_DIGEST_LENGTH];
	char hex[2 * BOUNDARY_BYTES + 1];

	df_digest(text, strlen(text), digest);
	hex[hex_encode((const char *) digest, BOUNDARY_BYTES, hex)] = '\0';
	return psprintf("dataflows-%s", hex);
}

void
df_multipart_write(StringInfo to, const Jsonb *body, DfFormArrays arrays, char **boundary)
{
	Parts parts = {.to = to, .boundary = boundary_of(body)};
	DfFieldWalk walk = {.arrays = arrays, .files = true, .sink = put_field, .arg = &parts};

	/* nobody can write a file that holds the digest of itself, so no part holds the boundary */
	df_form_fields(&walk, body);
	parts.files = true;
	df_form_fields(&walk, body);
	appendStringInfo(to, "--%s--\r\n", parts.boundary);
	*boundary = unconstify(char *, parts.boundary);
}
