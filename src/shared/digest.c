/*
 * shared/digest.c
 *	  SHA-256 of some bytes.
 *
 * Runs in any process, transaction and role; it reads its arguments only.  Never call
 * it where an error may not be raised, such as in a callback of a library.
 */
#include "postgres.h"

#include <openssl/err.h>
#include <openssl/evp.h>

#include "shared/digest.h"

/*
 * A process keeps its context: to look the algorithm up, as each new one does, takes several
 * times as long as the digest of a key.  NULL = there is none yet.
 */
static EVP_MD_CTX *kept = NULL;

static bool
begin(void)
{
	if (kept != NULL)
		return EVP_DigestInit_ex(kept, NULL, NULL) == 1;
	kept = EVP_MD_CTX_new();
	return kept != NULL && EVP_DigestInit_ex(kept, EVP_sha256(), NULL) == 1;
}

void
df_digest(const void *bytes, size_t len, uint8 *digest)
{
	unsigned int made = 0;
	bool ok = begin() && EVP_DigestUpdate(kept, bytes, len) == 1 &&
		EVP_DigestFinal_ex(kept, digest, &made) == 1;

	if (!ok || made != DF_DIGEST_LENGTH)
	{
		EVP_MD_CTX_free(kept);
		kept = NULL;
		/* what is left there would be taken for an error of the next connection by TLS */
		ERR_clear_error();
		ereport(ERROR,
				(errcode(ERRCODE_INTERNAL_ERROR),
				 errmsg("could not compute a digest"),
				 errhint("Check the settings of the server's cryptographic library.")));
	}
}
