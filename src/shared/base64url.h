/*
 * shared/base64url.h
 *	  Base64 in the alphabet of URLs, without padding (RFC 4648, 5).
 */
#ifndef DF_BASE64URL_H
#define DF_BASE64URL_H

#include "postgres.h"

/* palloc'd */
extern char *df_base64url(const void *bytes, int len);

/* the number of bytes; -1 if the text is invalid, or says more than `size` bytes */
extern int df_base64url_decode(const char *text, size_t len, uint8 *bytes, int size);

#endif /* DF_BASE64URL_H */
