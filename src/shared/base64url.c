/*
 * shared/base64url.c
 *	  Base64 in the alphabet of URLs, without padding (RFC 4648, 5).
 *
 * Runs in any process, transaction and role; it reads its arguments only.  Must never raise
 * an error for what a text contains.
 */
#include "postgres.h"

#include "common/base64.h"
#include "shared/base64url.h"

char *
df_base64url(const void *bytes, int len)
{
	int room = pg_b64_enc_len(len);
	char *text = palloc(room + 1);
	int used = pg_b64_encode((const void *) bytes, len, text, room);

	while (used > 0 && text[used - 1] == '=')
		used--;
	text[Max(used, 0)] = '\0';
	for (char *c = text; *c != '\0'; c++)
		*c = *c == '+' ? '-' : *c == '/' ? '_'
										 : *c;
	return text;
}

int
df_base64url_decode(const char *text, size_t len, uint8 *bytes, int size)
{
	char *padded;
	int n;

	/* four characters say three bytes */
	if (len == 0 || len / 4 * 3 > (size_t) size)
		return -1;
	padded = palloc(len + 4);
	for (size_t i = 0; i < len; i++)
	{
		if (text[i] == '+' || text[i] == '/' || text[i] == '=')
		{
			pfree(padded);
			return -1;
		}
		padded[i] = text[i] == '-' ? '+' : text[i] == '_' ? '/'
														  : text[i];
	}
	while (len % 4 != 0)
		padded[len++] = '=';
	n = pg_b64_decode(padded, (int) len, (void *) bytes, size);
	pfree(padded);
	return n;
}
