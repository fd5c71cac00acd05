/*
 * simulate/form_read.c
 *	  The fields of a form, as explain() shows them.
 *
 * Runs in a user's backend, on bytes that the engine has rendered.  Raises nothing: what cannot
 * be read is no form.
 */
#include "postgres.h"

#include "nodes/pg_list.h"
#include "shared/encoding.h"
#include "shared/hex.h"
#include "shared/json.h"
#include "simulate/form_read.h"

typedef struct Field
{
	char *name;
	char *value;
	bool written;
} Field;

/* NULL = it cannot be */
static char *
decode(const char *from, size_t len)
{
	char *bytes = palloc(len + 1);
	size_t n = 0;

	for (size_t i = 0; i < len; i++)
	{
		if (from[i] == '+')
			bytes[n++] = ' ';
		else if (from[i] != '%')
			bytes[n++] = from[i];
		else if (i + 2 < len && df_hex_decode(from + i + 1, 1, (uint8 *) bytes + n))
		{
			n++;
			i += 2;
		}
		else
			return NULL;
	}
	return df_text_from_utf8(bytes, n);
}

static Field *
read_field(const char *from, size_t len)
{
	const char *equals = memchr(from, '=', len);
	Field *field = palloc0(sizeof(Field));

	if (equals == NULL)
		return NULL;
	field->name = decode(from, equals - from);
	field->value = decode(equals + 1, from + len - (equals + 1));
	return field->name != NULL && field->value != NULL ? field : NULL;
}

/* it, and those behind it that have its name */
static void
write_field(DfJson *json, List *fields, int at)
{
	Field *first = list_nth(fields, at);
	List *same = NIL;
	ListCell *lc;

	for (int i = at; i < list_length(fields); i++)
	{
		Field *field = list_nth(fields, i);

		if (strcmp(field->name, first->name) != 0)
			continue;
		field->written = true;
		same = lappend(same, field->value);
	}
	if (list_length(same) == 1)
	{
		df_json_text(json, first->name, first->value);
		return;
	}
	df_json_open_array(json, first->name);
	foreach (lc, same)
		df_json_text(json, NULL, lfirst(lc));
	df_json_close_array(json);
}

Jsonb *
df_form_read(const char *bytes, size_t len, MemoryContext cxt)
{
	const char *end = bytes + len;
	List *fields = NIL;
	DfJson json;

	while (bytes < end)
	{
		const char *next = memchr(bytes, '&', end - bytes);
		Field *field = read_field(bytes, (next != NULL ? next : end) - bytes);

		if (field == NULL)
			return NULL;
		fields = lappend(fields, field);
		bytes = next != NULL ? next + 1 : end;
	}
	df_json_begin(&json);
	for (int i = 0; i < list_length(fields); i++)
		if (!((Field *) list_nth(fields, i))->written)
			write_field(&json, fields, i);
	return df_json_end(&json, cxt);
}
