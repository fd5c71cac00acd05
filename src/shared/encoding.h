/*
 * shared/encoding.h
 *	  Text between the database and the world, which speaks UTF-8.
 */
#ifndef DF_ENCODING_H
#define DF_ENCODING_H

#include "df_types.h"

/* the same text in UTF-8; palloc'd, or the text itself where nothing is to be done */
extern char *df_text_to_utf8(const char *text);

/*
 * Bytes of the world as text of the database, terminated by a NUL; NULL if they
 * are not valid or contain a NUL.  A character that the database's encoding does
 * not have becomes "?".
 */
extern char *df_text_from_utf8(const char *bytes, size_t len);

/* the same of JSON, where characters may be written as \uXXXX */
extern char *df_json_from_utf8(const char *bytes, size_t len);

#endif /* DF_ENCODING_H */
