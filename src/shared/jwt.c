/*
 * shared/jwt.c
 *	  Assertions that are signed with a private key (RFC 7515, RFC 7523).
 *
 * Runs in workers, in a turn's transaction, and in sessions that give a key as an option.
 * libcrypto reads the key and signs.  Never log a key and never keep one: it is wiped by
 * the code that it belongs to.
 */
#include "postgres.h"

#include <openssl/bio.h>
#include <openssl/bn.h>
#include <openssl/ec.h>
#include <openssl/ecdsa.h>
#include <openssl/err.h>
#include <openssl/evp.h>
#include <openssl/pem.h>

#include "shared/base64url.h"
#include "shared/json.h"
#include "shared/jwt.h"

#define SHORTEST_RSA_BITS 2048
#define P256_BITS 256
/* of an ES256 signature: r and s as they are (RFC 7518, 3.4) */
#define HALF_SIGNATURE 32

/* a key that is encrypted has no passphrase here: never ask the terminal for one */
static int
no_passphrase(char *to, int size, int writing, void *arg)
{
	return -1;
}

static EVP_PKEY *
read_key(const char *pem)
{
	BIO *bio = BIO_new_mem_buf(pem, -1);
	EVP_PKEY *key;

	if (bio == NULL)
		return NULL;
	key = PEM_read_bio_PrivateKey(bio, NULL, no_passphrase, NULL);
	BIO_free(bio);
	ERR_clear_error();
	return key;
}

static bool
is_p256(const EVP_PKEY *key)
{
	return EVP_PKEY_base_id(key) == EVP_PKEY_EC && EVP_PKEY_bits(key) == P256_BITS;
}

static const char *
problem_of(const EVP_PKEY *key)
{
	if (key == NULL)
		return "it is no private key in PEM, or it is encrypted";
	if (EVP_PKEY_base_id(key) == EVP_PKEY_RSA)
		return EVP_PKEY_bits(key) < SHORTEST_RSA_BITS ? "an RSA key needs 2048 bits or more" : NULL;
	return is_p256(key) ? NULL : "it is neither an RSA key nor one of the curve P-256";
}

const char *
df_jwt_key_problem(const char *pem)
{
	EVP_PKEY *key = read_key(pem);
	const char *problem = problem_of(key);

	EVP_PKEY_free(key);
	return problem;
}

/* ECDSA signs in DER; the standard wants both numbers in a fixed length */
static bool
fixed_length(const unsigned char *der, size_t len, unsigned char *to)
{
	ECDSA_SIG *signature = d2i_ECDSA_SIG(NULL, &der, len);
	bool ok;

	if (signature == NULL)
		return false;
	ok = BN_bn2binpad(ECDSA_SIG_get0_r(signature), to, HALF_SIGNATURE) == HALF_SIGNATURE &&
		BN_bn2binpad(ECDSA_SIG_get0_s(signature), to + HALF_SIGNATURE, HALF_SIGNATURE) ==
			HALF_SIGNATURE;
	ECDSA_SIG_free(signature);
	return ok;
}

static char *
signature_of(EVP_PKEY *key, const char *text)
{
	EVP_MD_CTX *context = EVP_MD_CTX_new();
	size_t len = EVP_PKEY_size(key);
	unsigned char *bytes = palloc(len);
	unsigned char fixed[2 * HALF_SIGNATURE];
	char *result = NULL;

	if (context != NULL &&
		EVP_DigestSignInit(context, NULL, EVP_sha256(), NULL, key) == 1 &&
		EVP_DigestSign(context, bytes, &len, (const unsigned char *) text, strlen(text)) == 1)
	{
		if (!is_p256(key))
			result = df_base64url(bytes, len);
		else if (fixed_length(bytes, len, fixed))
			result = df_base64url(fixed, sizeof(fixed));
	}
	EVP_MD_CTX_free(context);
	ERR_clear_error();
	return result;
}

static char *
header_of(const EVP_PKEY *key, const char *key_id)
{
	DfJson json;

	df_json_begin(&json);
	df_json_text(&json, "alg", is_p256(key) ? "ES256" : "RS256");
	df_json_text(&json, "typ", "JWT");
	df_json_text(&json, "kid", key_id);
	return df_json_end_text(&json);
}

char *
df_jwt_sign(const char *pem, const char *key_id, const char *claims)
{
	EVP_PKEY *key = read_key(pem);
	char *result = NULL;

	if (problem_of(key) == NULL)
	{
		char *header = header_of(key, key_id);
		char *text = psprintf("%s.%s", df_base64url(header, strlen(header)),
							  df_base64url(claims, strlen(claims)));
		char *signature = signature_of(key, text);

		if (signature != NULL)
			result = psprintf("%s.%s", text, signature);
	}
	EVP_PKEY_free(key);
	return result;
}
