/*
 * shared/json.h
 *	  Builds and reads small jsonb objects.
 */
#ifndef DF_JSON_H
#define DF_JSON_H

#include "df_types.h"
#include "lib/stringinfo.h"

typedef struct DfJson
{
	StringInfoData text;
	bool some;
} DfJson;

/* builds an object key by key; keys whose value is NULL are left out */
extern void df_json_begin(DfJson *json);
extern void df_json_text(DfJson *json, const char *key, const char *value);
extern void df_json_int(DfJson *json, const char *key, int64 value);
extern void df_json_bool(DfJson *json, const char *key, bool value);
extern void df_json_value(DfJson *json, const char *key, const Jsonb *value);
extern Jsonb *df_json_end(DfJson *json, MemoryContext cxt);

/* a field of an object; NULL, if_absent or false if it is absent or of another type */
extern char *df_json_get_text(const Jsonb *object, const char *key);
extern int64 df_json_get_int(const Jsonb *object, const char *key, int64 if_absent);
extern bool df_json_get_bool(const Jsonb *object, const char *key);
extern Jsonb *df_json_get(const Jsonb *object, const char *key);

/* bytes from outside as jsonb; NULL if they are not JSON that jsonb can hold */
extern Jsonb *df_json_parse(const char *bytes, size_t len, MemoryContext cxt);
extern Jsonb *df_json_string(const char *bytes, size_t len, MemoryContext cxt);
extern Jsonb *df_json_copy(const Jsonb *value, MemoryContext cxt);

#endif /* DF_JSON_H */
