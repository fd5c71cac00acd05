/*
 * shared/ecdsa.c
 *	  Verifies what somebody signed with a private key, by OpenSSL.
 *
 * Runs in any process, transaction and role.  It must never raise, and leaves no errors in
 * OpenSSL's queue, where the server would find them.
 */
#include "postgres.h"

#include <openssl/err.h>
#include <openssl/evp.h>
#include <openssl/x509.h>

#include "shared/ecdsa.h"

static bool
verify_by(EVP_PKEY *key, EVP_MD_CTX *context, const DfSigned *parts, int nparts,
		  const unsigned char *signature, size_t signature_len)
{
	if (EVP_PKEY_base_id(key) != EVP_PKEY_EC ||
		EVP_DigestVerifyInit(context, NULL, EVP_sha256(), NULL, key) != 1)
		return false;
	for (int i = 0; i < nparts; i++)
		if (EVP_DigestVerifyUpdate(context, parts[i].bytes, parts[i].len) != 1)
			return false;
	return EVP_DigestVerifyFinal(context, signature, signature_len) == 1;
}

bool
df_ecdsa_verify(const unsigned char *public_key, size_t key_len, const DfSigned *parts,
				int nparts, const unsigned char *signature, size_t signature_len)
{
	EVP_PKEY *key = d2i_PUBKEY(NULL, &public_key, (long) key_len);
	EVP_MD_CTX *context = EVP_MD_CTX_new();
	bool good = key != NULL && context != NULL &&
		verify_by(key, context, parts, nparts, signature, signature_len);

	EVP_MD_CTX_free(context);
	EVP_PKEY_free(key);
	ERR_clear_error();
	return good;
}
