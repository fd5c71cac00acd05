/*
 * ingress/form.c
 *	  Parses forms (application/x-www-form-urlencoded) into jsonb.
 *
 * Called in the ingress process and in sessions that call receive_webhook(), in their
 * transaction; it only allocates memory.  Raises an error for a broken escape instead of
 * guessing what was meant.
 */
#include "postgres.h"

#include "ingress/form.h"
#include "nodes/pg_list.h"
#include "shared/encoding.h"
#include "shared/hex.h"
#include "shared/json.h"

#define MAX_NAMES 1000
/* the names are searched for each of them: a megabyte of pairs would take a second */
#define MAX_PAIRS 10000

typedef struct Entry
{
	char *name;
	List *values; /* of char * */
} Entry;

static void
raise_malformed(void)
{
	ereport(ERROR,
			(errcode(ERRCODE_INVALID_TEXT_REPRESENTATION),
			 errmsg("the form is malformed")));
}

/* decodes in place, then converts the encoding */
static char *
decoded(char *text)
{
	char *to = text;
	char *result;

	for (char *from = text; *from != '\0'; from++)
	{
		if (*from == '+')
			*to++ = ' ';
		else if (*from == '%')
		{
			int byte = df_hex_byte(from + 1);

			if (byte <= 0)
				raise_malformed();
			*to++ = (char) byte;
			from += 2;
		}
		else
			*to++ = *from;
	}
	*to = '\0';
	result = df_text_from_utf8(text, strlen(text));
	if (result == NULL)
		raise_malformed();
	return result;
}

static Entry *
entry_of(List **entries, const char *name)
{
	Entry *entry;
	ListCell *lc;

	foreach (lc, *entries)
		if (strcmp(((Entry *) lfirst(lc))->name, name) == 0)
			return lfirst(lc);
	if (list_length(*entries) >= MAX_NAMES)
		raise_malformed();
	entry = palloc(sizeof(Entry));
	entry->name = pstrdup(name);
	entry->values = NIL;
	*entries = lappend(*entries, entry);
	return entry;
}

Jsonb *
df_form_parse(char *text)
{
	DfJson json;
	List *entries = NIL;
	char *rest = NULL;
	ListCell *lc;
	ListCell *vc;
	int n = 0;

	for (char *pair = strtok_r(text, "&", &rest); pair != NULL; pair = strtok_r(NULL, "&", &rest))
	{
		char *equals = strchr(pair, '=');
		Entry *entry;

		if (++n > MAX_PAIRS)
			raise_malformed();
		if (equals != NULL)
			*equals = '\0';
		entry = entry_of(&entries, decoded(pair));
		entry->values = lappend(entry->values, equals != NULL ? decoded(equals + 1) : pstrdup(""));
	}
	df_json_begin(&json);
	foreach (lc, entries)
	{
		Entry *entry = lfirst(lc);

		if (list_length(entry->values) == 1)
		{
			df_json_text(&json, entry->name, linitial(entry->values));
			continue;
		}
		df_json_open_array(&json, entry->name);
		foreach (vc, entry->values)
			df_json_text(&json, NULL, lfirst(vc));
		df_json_close_array(&json);
	}
	return df_json_end(&json, CurrentMemoryContext);
}
