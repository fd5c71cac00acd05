/*
 * shared/digest.c
 *	  SHA-256 of some bytes.
 *
 * Runs in any process, transaction and role; it reads its arguments only.  Never call
 * it where an error may not be raised, such as in a callback of a library.
 */
#include "postgres.h"

#include "common/cryptohash.h"
#include "common/sha2.h"

#include "shared/digest.h"

StaticAssertDecl(DF_DIGEST_LENGTH == PG_SHA256_DIGEST_LENGTH, "a digest fits");

void
df_digest(const void *bytes, size_t len, uint8 *digest)
{
	pg_cryptohash_ctx *sha = pg_cryptohash_create(PG_SHA256);
	bool made = sha != NULL && pg_cryptohash_init(sha) >= 0 &&
		pg_cryptohash_update(sha, bytes, len) >= 0 &&
		pg_cryptohash_final(sha, digest, DF_DIGEST_LENGTH) >= 0;

	pg_cryptohash_free(sha);
	if (!made)
		ereport(ERROR,
				(errcode(ERRCODE_INTERNAL_ERROR),
				 errmsg("could not compute a digest"),
				 errhint("Check the settings of the server's cryptographic library.")));
}
