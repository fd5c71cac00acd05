/*
 * shared/hex.h
 *	  Reads hexadecimal digits; the server's hex_encode() writes them.
 *
 * Inline, so that rooms that are built alone (tests of http/) need nothing else
 * of this one.  For base64 the server's pg_b64_encode() and pg_b64_decode() are
 * called, for that of URLs shared/base64url.c; their bytes are of another type from
 * PostgreSQL 18 on, so they are passed as void *.
 */
#ifndef DF_HEX_H
#define DF_HEX_H

#include "postgres.h"

/* -1 = it is not one */
static inline int
df_hex_digit(char c)
{
	if (c >= '0' && c <= '9')
		return c - '0';
	if (c >= 'A' && c <= 'F')
		return c - 'A' + 10;
	if (c >= 'a' && c <= 'f')
		return c - 'a' + 10;
	return -1;
}

/* two digits as a byte; -1 = they are not two digits, or the text ends before */
static inline int
df_hex_byte(const char *text)
{
	int high = df_hex_digit(text[0]);
	int low = high < 0 ? -1 : df_hex_digit(text[1]);

	return low < 0 ? -1 : high * 16 + low;
}

/* the code of an escape of JSON's, \uXXXX; -1 if there is none */
static inline int
df_hex_escape(const char *text)
{
	int code = 0;

	if (text[0] != '\\' || text[1] != 'u')
		return -1;
	for (int i = 2; i < 6; i++)
	{
		int digit = df_hex_digit(text[i]);

		if (digit < 0)
			return -1;
		code = code * 16 + digit;
	}
	return code;
}

/* reads n bytes, of two digits each; false = there is something else */
static inline bool
df_hex_decode(const char *text, int n, uint8 *bytes)
{
	for (int i = 0; i < n; i++)
	{
		int byte = df_hex_byte(text + 2 * i);

		if (byte < 0)
			return false;
		bytes[i] = (uint8) byte;
	}
	return true;
}

#endif /* DF_HEX_H */
