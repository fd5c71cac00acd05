/*
 * shared/charset.h
 *	  Bytes in the charset that a system announces, as UTF-8.
 */
#ifndef DF_CHARSET_H
#define DF_CHARSET_H

/*
 * Palloc'd UTF-8 without NULs, whatever the bytes are: U+FFFD stands for what cannot be
 * read, and *exact is false then.  charset: its name, NULL or unknown = UTF-8; a mark of
 * byte order says more than it, and is left out.
 */
extern char *df_charset_to_utf8(const char *bytes, size_t len, const char *charset, bool *exact);

#endif /* DF_CHARSET_H */
