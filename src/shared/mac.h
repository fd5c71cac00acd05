/*
 * shared/mac.h
 *	  Message authentication codes: HMACs, made and compared.
 */
#ifndef DF_MAC_H
#define DF_MAC_H

#include "postgres.h"

#include "common/cryptohash.h"
#include "common/sha2.h"

#define DF_MAC_LEN PG_SHA256_DIGEST_LENGTH

/* one of the pieces that are signed one after the other */
typedef struct DfSigned
{
	const void *bytes;
	size_t len;
} DfSigned;

/* of any digest; false = there is no memory for it, or the server's library refuses the digest */
extern bool df_mac_make_by(pg_cryptohash_type digest, const void *key, size_t key_len,
						   const DfSigned *parts, int nparts, uint8 *mac, size_t mac_len);

/* HMAC-SHA256 */
extern bool df_mac_make(const void *key, size_t key_len, const DfSigned *parts, int nparts,
						uint8 mac[DF_MAC_LEN]);

/* takes the same time wherever they differ, so that nobody can find a code byte by byte */
extern bool df_mac_equal(const uint8 a[DF_MAC_LEN], const uint8 b[DF_MAC_LEN]);

#endif /* DF_MAC_H */
