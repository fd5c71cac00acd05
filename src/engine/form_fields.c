/*
 * engine/form_fields.c
 *	  A jsonb object as the fields of a form: nested keys are a[b], arrays as asked for.
 *
 * Runs in workers, within a body and in the recording transaction; pure but for memory.  The
 * same arguments give the same fields in the same order, always.
 */
#include "postgres.h"

#include "engine/file_value.h"
#include "engine/form_fields.h"
#include "http/url.h"
#include "miscadmin.h"
#include "shared/encoding.h"
#include "shared/json.h"

/* of a key of an object */
static char *
name_of_key(const DfFieldWalk *walk, const char *prefix, const char *key)
{
	char *part = df_text_to_utf8(key);

	if (walk->encoded)
		part = df_url_encode(part);
	return prefix == NULL ? part : psprintf("%s[%s]", prefix, part);
}

/* of an item of an array; that of a body itself has nothing but its index */
static char *
name_of_item(const DfFieldWalk *walk, const char *prefix, int index)
{
	if (prefix == NULL)
		return psprintf("%d", index);
	switch (walk->arrays)
	{
		case DF_ARRAYS_BRACKETS:
			return psprintf("%s[]", prefix);
		case DF_ARRAYS_REPEAT:
			return pstrdup(prefix);
		case DF_ARRAYS_INDICES:
			break;
	}
	return psprintf("%s[%d]", prefix, index);
}

static void
fields_of(const DfFieldWalk *walk, const char *prefix, const Jsonb *value)
{
	DfJsonWalk members;
	int index = 0;

	check_stack_depth();
	df_json_walk(&members, value);
	while (df_json_next(&members))
	{
		char *name = members.key != NULL ? name_of_key(walk, prefix, members.key)
										 : name_of_item(walk, prefix, index++);

		if (members.value.type != jbvBinary || (walk->files && df_is_file_value(&members.value)))
			walk->sink(walk->arg, name, &members.value);
		else
			fields_of(walk, name, df_json_of(&members.value));
	}
}

void
df_form_fields(const DfFieldWalk *walk, const Jsonb *body)
{
	fields_of(walk, NULL, body);
}
