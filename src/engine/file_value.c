/*
 * engine/file_value.c
 *	  A file as a body gives it: {"filename", "content_type", "base64"}.
 *
 * Runs in workers, within a body, where it is checked, and in the recording transaction, where
 * it is sent; pure but for memory.  Must never raise: the callers name the step.
 */
#include "postgres.h"

#include "common/base64.h"
#include "engine/file_value.h"
#include "shared/format_names.h"
#include "shared/encoding.h"
#include "shared/header.h"
#include "shared/json.h"

#define LONGEST_NAME 255
#define KEYS_HINT "A file has the keys \"filename\", \"content_type\" and \"base64\"."

bool
df_is_file_value(const JsonbValue *value)
{
	JsonbValue base64;

	return value->type == jbvBinary && JsonContainerIsObject(value->val.binary.data) &&
		df_json_find(df_json_of(value), "base64", &base64);
}

static bool
refuse(char **why, char **hint, char *what, const char *remedy)
{
	*why = what;
	*hint = pstrdup(remedy);
	return false;
}

/* encode(..., 'base64') breaks lines, which the decoder takes for a mistake */
static char *
without_spaces(const char *text)
{
	char *result = palloc(strlen(text) + 1);
	char *to = result;

	for (; *text != '\0'; text++)
		if (strchr(" \t\r\n", *text) == NULL)
			*to++ = *text;
	*to = '\0';
	return result;
}

static bool
decode(const char *base64, DfFileValue *file)
{
	char *text = without_spaces(base64);
	int room = pg_b64_dec_len(strlen(text));
	int len;

	file->bytes = palloc(room + 1);
	len = pg_b64_decode(text, strlen(text), (void *) file->bytes, room);
	pfree(text);
	file->len = Max(len, 0);
	file->bytes[file->len] = '\0';
	return len >= 0;
}

static bool
read_member(const DfJsonWalk *member, DfFileValue *file, char **why, char **hint)
{
	char *text = df_json_string_of(&member->value);

	if (strcmp(member->key, "filename") != 0 && strcmp(member->key, "content_type") != 0 &&
		strcmp(member->key, "base64") != 0)
		return refuse(why, hint, psprintf("has the unknown key \"%s\"", member->key), KEYS_HINT);
	if (text == NULL)
		return refuse(why, hint, psprintf("has a \"%s\" that is not a string", member->key),
					  KEYS_HINT);
	if (strcmp(member->key, "base64") == 0)
	{
		if (decode(text, file))
			return true;
		return refuse(why, hint, pstrdup("has a \"base64\" that cannot be decoded"),
					  "Give encode(bytes, 'base64').");
	}
	text = df_text_to_utf8(text);
	if (*text == '\0' || !df_header_value_is_legal(text, strlen(text)))
		return refuse(why, hint,
					  psprintf("has a \"%s\" that is empty or has a control character",
							   member->key),
					  "Give text of one line, or leave it out.");
	if (strcmp(member->key, "filename") == 0 && strlen(text) > LONGEST_NAME)
		return refuse(why, hint, pstrdup("has a \"filename\" of more than 255 bytes"),
					  "Give a shorter one.");
	if (strcmp(member->key, "filename") == 0)
		file->filename = text;
	else
		file->content_type = text;
	return true;
}

bool
df_file_value_read(const JsonbValue *value, DfFileValue *file, char **why, char **hint)
{
	const char *problem;
	DfJsonWalk walk;

	memset(file, 0, sizeof(*file));
	if (!df_is_file_value(value))
		return refuse(why, hint, pstrdup("has no \"base64\""), KEYS_HINT);
	df_json_walk(&walk, df_json_of(value));
	while (df_json_next(&walk))
		if (!read_member(&walk, file, why, hint))
			return false;
	if (file->content_type == NULL)
		file->content_type = pstrdup("application/octet-stream");
	problem = df_media_type_problem(file->content_type);
	if (problem != NULL)
		return refuse(why, hint,
					  psprintf("has a \"content_type\" that cannot be used: %s", problem),
					  "Give a type such as \"application/pdf\".");
	return true;
}
