/*
 * engine/file_value.h
 *	  A file as a body gives it: {"filename", "content_type", "base64"}.
 */
#ifndef DF_FILE_VALUE_H
#define DF_FILE_VALUE_H

#include "postgres.h"

#include "utils/jsonb.h"

typedef struct DfFileValue
{
	char *filename; /* UTF-8; NULL = none was given */
	char *content_type; /* application/octet-stream if none was given */
	char *bytes;
	size_t len;
} DfFileValue;

/* an object with the key "base64" is one */
extern bool df_is_file_value(const JsonbValue *value);

/*
 * False, with *why = what is wrong and *hint, if it cannot be used.  What is decoded is
 * allocated in the current memory context.
 */
extern bool df_file_value_read(const JsonbValue *value, DfFileValue *file, char **why,
							   char **hint);

#endif /* DF_FILE_VALUE_H */
