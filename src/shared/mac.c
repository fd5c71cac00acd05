/*
 * shared/mac.c
 *	  Message authentication codes: HMACs, made and compared.
 *
 * Runs in any process, transaction and role, with any key.  It must never raise, and
 * keeps nothing of a key.
 */
#include "postgres.h"

#include "common/hmac.h"
#include "shared/mac.h"

bool
df_mac_make_by(pg_cryptohash_type digest, const void *key, size_t key_len, const DfSigned *parts,
			   int nparts, uint8 *mac, size_t mac_len)
{
	pg_hmac_ctx *context = pg_hmac_create(digest);
	bool ok = context != NULL && pg_hmac_init(context, key, key_len) == 0;

	for (int i = 0; i < nparts && ok; i++)
		ok = pg_hmac_update(context, parts[i].bytes, parts[i].len) == 0;
	ok = ok && pg_hmac_final(context, mac, mac_len) == 0;
	pg_hmac_free(context);
	return ok;
}

bool
df_mac_make(const void *key, size_t key_len, const DfSigned *parts, int nparts,
			uint8 mac[DF_MAC_LEN])
{
	return df_mac_make_by(PG_SHA256, key, key_len, parts, nparts, mac, DF_MAC_LEN);
}

bool
df_mac_equal(const uint8 a[DF_MAC_LEN], const uint8 b[DF_MAC_LEN])
{
	volatile uint8 difference = 0;

	for (int i = 0; i < DF_MAC_LEN; i++)
		difference |= a[i] ^ b[i];
	return difference == 0;
}
