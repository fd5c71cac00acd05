/*
 * shared/json.h
 *	  JSON, written and read: the one place for it.
 *
 * What is not here: templates (engine/template.c) and parameters and rows of users'
 * SQL (store/user_sql.c) are values of any depth that are newly built, and the size of a
 * value (shared/json_size.c) is counted without printing it.  These three use
 * PostgreSQL's own functions.
 */
#ifndef DF_JSON_H
#define DF_JSON_H

#include "lib/stringinfo.h"
#include "utils/jsonb.h"

/* the body of a response that says what is wrong, as a constant; plain words only */
#define DF_JSON_ERROR(why) "{\"error\": \"" why "\"}"

/* ---- writing --------------------------------------------------------------- */

typedef struct DfJson
{
	StringInfoData text;
	bool some; /* the object or array that is open has members */
} DfJson;

/*
 * An object is written key by key.  A value that is absent (NULL) is left out.
 * In an array the key is NULL.
 */
extern void df_json_begin(DfJson *json);
extern void df_json_text(DfJson *json, const char *key, const char *value);
extern void df_json_int(DfJson *json, const char *key, int64 value);
extern void df_json_bool(DfJson *json, const char *key, bool value);
extern void df_json_value(DfJson *json, const char *key, const Jsonb *value);
extern void df_json_null(DfJson *json, const char *key);
extern void df_json_open_object(DfJson *json, const char *key);
extern void df_json_close_object(DfJson *json);
extern void df_json_open_array(DfJson *json, const char *key);
extern void df_json_close_array(DfJson *json);
extern Jsonb *df_json_end(DfJson *json, MemoryContext cxt);
extern char *df_json_end_text(DfJson *json); /* not checked as jsonb is */

/* {} */
extern Jsonb *df_json_empty(void);

extern char *df_json_to_text(const Jsonb *value);

/* ---- reading --------------------------------------------------------------- */

/* a field of an object; NULL, if_absent or false if it is absent or of another type */
extern char *df_json_get_text(const Jsonb *object, const char *key);
extern int64 df_json_get_int(const Jsonb *object, const char *key, int64 if_absent);
extern bool df_json_get_bool(const Jsonb *object, const char *key);
extern Jsonb *df_json_get(const Jsonb *object, const char *key);
extern Jsonb *df_json_get_or_null(const Jsonb *object, const char *key); /* null is a value */

/* likewise, as it is stored: for who asks for its type, null included */
extern bool df_json_find(const Jsonb *object, const char *key, JsonbValue *value);

/* likewise; a string as it is, any other value as JSON; NULL if absent or null */
extern char *df_json_get_as_text(const Jsonb *object, const char *key);

/* the value at a path such as a.b.0.c, of that length; NULL = none */
extern JsonbValue *df_json_descend(const Jsonb *json, const char *path, int len);

/* a value that is a string or a number, as text; NULL for any other */
extern char *df_json_scalar_text(const Jsonb *value);

/*
 * The fields of an object or the items of an array, one level deep:
 *
 *		df_json_walk(&walk, value);
 *		while (df_json_next(&walk))
 *			... walk.key, walk.value ...
 */
typedef struct DfJsonWalk
{
	JsonbIterator *it;
	char *key; /* palloc'd; NULL in an array */
	JsonbValue value;
	bool deep; /* what is in objects and arrays is met, not they themselves */
} DfJsonWalk;

extern void df_json_walk(DfJsonWalk *walk, const Jsonb *value);
extern void df_json_walk_deep(DfJsonWalk *walk, const Jsonb *value);
extern bool df_json_next(DfJsonWalk *walk);
extern Jsonb *df_json_of(const JsonbValue *value);
extern char *df_json_string_of(const JsonbValue *value); /* NULL if it is no string */
/* numbers with all their digits, true and false; NULL for null, objects and arrays */
extern char *df_json_scalar_of(const JsonbValue *value);

/* raises what jsonb_in() raises */
extern Jsonb *df_json_read(const char *text);

/* bytes from outside as jsonb; NULL if they are not JSON that jsonb can hold */
extern Jsonb *df_json_parse(const char *bytes, size_t len, MemoryContext cxt);
extern Jsonb *df_json_string(const char *bytes, size_t len, MemoryContext cxt);
extern Jsonb *df_json_copy(const Jsonb *value, MemoryContext cxt);

#endif /* DF_JSON_H */
