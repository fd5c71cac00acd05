/*
 * shared/encoding.h
 *	  Converts text between the database's encoding and UTF-8, which systems use.
 */
#ifndef DF_ENCODING_H
#define DF_ENCODING_H

/* palloc'd, or the text itself if nothing is to be converted */
extern char *df_text_to_utf8(const char *text);

/* bytes of any encoding of the server's: what cannot be read becomes "?", and *exact false */
extern char *df_text_to_utf8_from(const char *bytes, size_t len, int encoding, bool *exact);

/*
 * Bytes from outside as a NUL-terminated string in the database's encoding; NULL if
 * they are not valid UTF-8 or contain a NUL.  A character that the database's encoding
 * lacks becomes "?".
 */
extern char *df_text_from_utf8(const char *bytes, size_t len);

/* the same for JSON, where characters may be written as \uXXXX */
extern char *df_json_from_utf8(const char *bytes, size_t len);

#endif /* DF_ENCODING_H */
