/*
 * shared/signing.h
 *	  Signatures of requests by HMAC, as the option "sign" of a system describes them.
 *
 * "hmac-sha256:X-Signature:{timestamp}.{body}": the digest, the header, and the text that is
 * signed.  "hmac-sha256-base64:..." writes the signature in base64 instead of hexadecimal digits.
 */
#ifndef DF_SHARED_SIGNING_H
#define DF_SHARED_SIGNING_H

#include "postgres.h"

#include "common/cryptohash.h"

typedef struct DfSigning
{
	pg_cryptohash_type digest;
	int mac_len;
	bool base64;
	char *header; /* palloc'd */
	const char *text; /* a template, the end of the option */
} DfSigning;

/* false, with *why = a constant sentence, if the option cannot be used */
extern bool df_signing_parse(const char *option, DfSigning *signing, const char **why);

/* NULL if the template of a header's value can be used, else a constant sentence */
extern const char *df_signing_value_problem(const char *tmpl);

/* whether a template has the time; in milliseconds */
extern bool df_signing_names_time(const char *tmpl);
extern bool df_signing_names_ms(const char *tmpl);

/* what the fields of the templates stand for */
typedef struct DfSignedRequest
{
	const char *method;
	const char *url;
	const char *key; /* the idempotency key, NULL = none */
	const char *body; /* NULL = none */
	size_t body_len;
	int64 ms; /* since 1970 */
} DfSignedRequest;

/*
 * "Name: value", palloc'd, for a value template (NULL = the signature alone) and a secret, which
 * is text, or "whsec_" and base64.  NULL if the server's library cannot make it.
 */
extern char *df_signing_header(const DfSigning *signing, const char *value, const char *secret,
							   const DfSignedRequest *request);

/* "path?query" of an absolute URL, as it is on the request line */
extern const char *df_signing_target(const char *url);

#endif /* DF_SHARED_SIGNING_H */
