/*
 * shared/json.c
 *	  JSON, written and read: the one place for it.
 *
 * Runs in any process, transaction and role; it only allocates memory.
 * df_json_parse() and df_json_string() are for bytes from outside: they check
 * encoding and NUL before any function of the server sees them, and return NULL
 * for what is no JSON.  They must never raise for what is in the bytes.
 */
#include "postgres.h"

#include "shared/json.h"
#include "mb/pg_wchar.h"
#include "utils/builtins.h"
#include "utils/json.h"
#include "utils/memutils.h"
#include "utils/numeric.h"

void
df_json_begin(DfJson *json)
{
	initStringInfo(&json->text);
	appendStringInfoChar(&json->text, '{');
	json->some = false;
}

static void
add_key(DfJson *json, const char *key)
{
	if (json->some)
		appendStringInfoChar(&json->text, ',');
	json->some = true;
	if (key == NULL)
		return;
	escape_json(&json->text, key);
	appendStringInfoChar(&json->text, ':');
}

void
df_json_text(DfJson *json, const char *key, const char *value)
{
	if (value == NULL)
		return;
	add_key(json, key);
	escape_json(&json->text, value);
}

void
df_json_int(DfJson *json, const char *key, int64 value)
{
	add_key(json, key);
	appendStringInfo(&json->text, INT64_FORMAT, value);
}

void
df_json_bool(DfJson *json, const char *key, bool value)
{
	add_key(json, key);
	appendStringInfoString(&json->text, value ? "true" : "false");
}

void
df_json_value(DfJson *json, const char *key, const Jsonb *value)
{
	if (value == NULL)
		return;
	add_key(json, key);
	(void) JsonbToCString(&json->text, (JsonbContainer *) &value->root, VARSIZE(value));
}

void
df_json_null(DfJson *json, const char *key)
{
	add_key(json, key);
	appendStringInfoString(&json->text, "null");
}

static void
open_value(DfJson *json, const char *key, char bracket)
{
	add_key(json, key);
	appendStringInfoChar(&json->text, bracket);
	json->some = false;
}

static void
close_value(DfJson *json, char bracket)
{
	appendStringInfoChar(&json->text, bracket);
	json->some = true;
}

void
df_json_open_object(DfJson *json, const char *key)
{
	open_value(json, key, '{');
}

void
df_json_close_object(DfJson *json)
{
	close_value(json, '}');
}

void
df_json_open_array(DfJson *json, const char *key)
{
	open_value(json, key, '[');
}

void
df_json_close_array(DfJson *json)
{
	close_value(json, ']');
}

char *
df_json_end_text(DfJson *json)
{
	appendStringInfoChar(&json->text, '}');
	return json->text.data;
}

Jsonb *
df_json_end(DfJson *json, MemoryContext cxt)
{
	MemoryContext old = MemoryContextSwitchTo(cxt);
	Jsonb *result = df_json_read(df_json_end_text(json));

	MemoryContextSwitchTo(old);
	pfree(json->text.data);
	return result;
}

Jsonb *
df_json_empty(void)
{
	return df_json_read("{}");
}

char *
df_json_to_text(const Jsonb *value)
{
	return JsonbToCString(NULL, unconstify(JsonbContainer *, &value->root), VARSIZE(value));
}

bool
df_json_find(const Jsonb *object, const char *key, JsonbValue *value)
{
	if (object == NULL || !JB_ROOT_IS_OBJECT(object))
		return false;
	return getKeyJsonValueFromContainer((JsonbContainer *) &object->root, key, strlen(key),
										value) != NULL;
}

char *
df_json_string_of(const JsonbValue *value)
{
	return value->type == jbvString ? pnstrdup(value->val.string.val, value->val.string.len)
									: NULL;
}

char *
df_json_scalar_of(const JsonbValue *value)
{
	switch (value->type)
	{
		case jbvString:
			return df_json_string_of(value);
		case jbvNumeric:
			return DatumGetCString(
				DirectFunctionCall1(numeric_out, NumericGetDatum(value->val.numeric)));
		case jbvBool:
			return pstrdup(value->val.boolean ? "true" : "false");
		default:
			return NULL;
	}
}

char *
df_json_get_text(const Jsonb *object, const char *key)
{
	JsonbValue value;

	return df_json_find(object, key, &value) ? df_json_string_of(&value) : NULL;
}

char *
df_json_get_as_text(const Jsonb *object, const char *key)
{
	JsonbValue value;

	if (!df_json_find(object, key, &value) || value.type == jbvNull)
		return NULL;
	return value.type == jbvString ? df_json_string_of(&value)
								   : df_json_to_text(JsonbValueToJsonb(&value));
}

char *
df_json_scalar_text(const Jsonb *value)
{
	JsonbValue scalar;

	if (value == NULL ||
		!JsonbExtractScalar(unconstify(JsonbContainer *, &value->root), &scalar))
		return NULL;
	if (scalar.type == jbvNumeric)
		return DatumGetCString(
			DirectFunctionCall1(numeric_out, NumericGetDatum(scalar.val.numeric)));
	return df_json_string_of(&scalar);
}

void
df_json_walk(DfJsonWalk *walk, const Jsonb *value)
{
	walk->it = JsonbIteratorInit(unconstify(JsonbContainer *, &value->root));
	walk->key = NULL;
	walk->deep = false;
}

void
df_json_walk_deep(DfJsonWalk *walk, const Jsonb *value)
{
	df_json_walk(walk, value);
	walk->deep = true;
}

bool
df_json_next(DfJsonWalk *walk)
{
	JsonbIteratorToken token;

	while ((token = JsonbIteratorNext(&walk->it, &walk->value, !walk->deep)) != WJB_DONE)
	{
		if (token == WJB_KEY)
			walk->key = df_json_string_of(&walk->value);
		else if (token == WJB_VALUE || token == WJB_ELEM)
			return true;
	}
	return false;
}

Jsonb *
df_json_of(const JsonbValue *value)
{
	return JsonbValueToJsonb(unconstify(JsonbValue *, value));
}

Jsonb *
df_json_read(const char *text)
{
	return DatumGetJsonbP(DirectFunctionCall1(jsonb_in, CStringGetDatum(text)));
}

int64
df_json_get_int(const Jsonb *object, const char *key, int64 if_absent)
{
	JsonbValue value;

	char *text;

	if (!df_json_find(object, key, &value) || value.type != jbvNumeric)
		return if_absent;
	/* numeric_int8() raises for what is out of range */
	text = DatumGetCString(DirectFunctionCall1(numeric_out, NumericGetDatum(value.val.numeric)));
	if (strcspn(text, ".") > 18)
		return if_absent;
	return DatumGetInt64(DirectFunctionCall1(numeric_int8, NumericGetDatum(value.val.numeric)));
}

bool
df_json_get_bool(const Jsonb *object, const char *key)
{
	JsonbValue value;

	return df_json_find(object, key, &value) && value.type == jbvBool && value.val.boolean;
}

Jsonb *
df_json_get_or_null(const Jsonb *object, const char *key)
{
	JsonbValue value;

	return df_json_find(object, key, &value) ? JsonbValueToJsonb(&value) : NULL;
}

Jsonb *
df_json_get(const Jsonb *object, const char *key)
{
	JsonbValue value;

	if (!df_json_find(object, key, &value) || value.type == jbvNull)
		return NULL;
	return JsonbValueToJsonb(&value);
}

static bool
valid_text(const char *bytes, size_t len)
{
	return memchr(bytes, '\0', len) == NULL &&
		pg_verify_mbstr(GetDatabaseEncoding(), bytes, len, true);
}

/*
 * jsonb_in() raises an error for text that is not JSON, or that jsonb cannot hold
 * (\u0000).  It takes no lock, buffer or snapshot, so the error can be caught without
 * a subtransaction.
 */
Jsonb *
df_json_parse(const char *bytes, size_t len, MemoryContext cxt)
{
	MemoryContext old = CurrentMemoryContext;
	Jsonb *volatile result = NULL;
	char *text;

	if (!valid_text(bytes, len))
		return NULL;
	text = pnstrdup(bytes, len);
	PG_TRY();
	{
		MemoryContextSwitchTo(cxt);
		result = df_json_read(text);
		MemoryContextSwitchTo(old);
	}
	PG_CATCH();
	{
		int code = geterrcode();

		MemoryContextSwitchTo(old);
		if (ERRCODE_TO_CATEGORY(code) != ERRCODE_DATA_EXCEPTION &&
			ERRCODE_TO_CATEGORY(code) != ERRCODE_PROGRAM_LIMIT_EXCEEDED &&
			ERRCODE_TO_CATEGORY(code) != ERRCODE_SYNTAX_ERROR_OR_ACCESS_RULE_VIOLATION)
			PG_RE_THROW();
		FlushErrorState();
		result = NULL;
	}
	PG_END_TRY();
	pfree(text);
	return result;
}

static JsonbValue *
member(JsonbContainer *container, const char *name, int len)
{
	uint64 index = 0;

	if (JsonContainerIsObject(container))
		return getKeyJsonValueFromContainer(container, name, len, NULL);
	if (!JsonContainerIsArray(container) || JsonContainerIsScalar(container) || len > 9)
		return NULL;
	for (int i = 0; i < len; i++)
	{
		if (name[i] < '0' || name[i] > '9')
			return NULL;
		index = index * 10 + (name[i] - '0');
	}
	return getIthJsonbValueFromContainer(container, (uint32) index);
}

static JsonbValue *
whole_value(const Jsonb *json)
{
	JsonbValue *value;

	if (JB_ROOT_IS_SCALAR(json))
		return getIthJsonbValueFromContainer((JsonbContainer *) &json->root, 0);
	value = palloc(sizeof(JsonbValue));
	JsonbToJsonbValue((Jsonb *) json, value);
	return value;
}

JsonbValue *
df_json_descend(const Jsonb *json, const char *path, int len)
{
	JsonbValue *value;

	if (json == NULL)
		return NULL;
	value = whole_value(json);
	while (len > 0)
	{
		const char *dot = memchr(path, '.', len);
		int part = dot == NULL ? len : dot - path;

		if (value == NULL || value->type != jbvBinary)
			return NULL;
		value = member(value->val.binary.data, path, part);
		path += Min(part + 1, len);
		len -= Min(part + 1, len);
	}
	return value;
}

/* text as a jsonb string; NULL if it is not valid in the database's encoding */
Jsonb *
df_json_string(const char *bytes, size_t len, MemoryContext cxt)
{
	MemoryContext old;
	JsonbValue value;
	Jsonb *result;

	if (!valid_text(bytes, len))
		return NULL;
	old = MemoryContextSwitchTo(cxt);
	value.type = jbvString;
	value.val.string.val = (char *) bytes;
	value.val.string.len = len;
	result = JsonbValueToJsonb(&value);
	MemoryContextSwitchTo(old);
	return result;
}

Jsonb *
df_json_copy(const Jsonb *value, MemoryContext cxt)
{
	Jsonb *result;

	if (value == NULL)
		return NULL;
	result = MemoryContextAlloc(cxt, VARSIZE(value));
	memcpy(result, value, VARSIZE(value));
	return result;
}
