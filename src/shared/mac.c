/*
 * shared/mac.c
 *	  Message authentication codes: HMAC-SHA256, made and compared.
 *
 * Runs in any process, transaction and role, with any key.  It must never raise, and
 * keeps nothing of a key.
 */
#include "postgres.h"

#include "common/hmac.h"
#include "shared/mac.h"

bool
df_mac_make(const void *key, size_t key_len, const DfSigned *parts, int nparts,
			uint8 mac[DF_MAC_LEN])
{
	pg_hmac_ctx *context = pg_hmac_create(PG_SHA256);
	bool ok = context != NULL && pg_hmac_init(context, key, key_len) == 0;

	for (int i = 0; i < nparts && ok; i++)
		ok = pg_hmac_update(context, parts[i].bytes, parts[i].len) == 0;
	ok = ok && pg_hmac_final(context, mac, DF_MAC_LEN) == 0;
	pg_hmac_free(context);
	return ok;
}

bool
df_mac_equal(const uint8 a[DF_MAC_LEN], const uint8 b[DF_MAC_LEN])
{
	volatile uint8 difference = 0;

	for (int i = 0; i < DF_MAC_LEN; i++)
		difference |= a[i] ^ b[i];
	return difference == 0;
}
