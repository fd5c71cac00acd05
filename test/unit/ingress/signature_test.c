/*
 * test/unit/ingress/signature_test.c
 *	  Tests of src/ingress/signature.c, without a server.
 *
 * What the senders' own libraries signed (signature_vectors.h) must be taken,
 * and nothing else: each vector is tried with every bit of trouble that one byte
 * can make, with another secret, and at the edges of its time.
 *
 * sources: test/unit/tap.c src/ingress/signature.c src/shared/ecdsa.c src/shared/mac.c
 * sources: src/shared/header.c
 */
#include "postgres.h"

#include "ingress/signature.h"
#include "tap.h"

typedef struct Pair
{
	const char *name;
	const char *value;
} Pair;

typedef struct Vector
{
	const char *library;
	const char *verify;
	const char *secret;
	const char *body;
	size_t body_len;
	Pair headers[4];
} Vector;

#include "ingress/signature_vectors.h"

static void
expect(bool condition, const char *what, const Vector *vector)
{
	char name[128];

	snprintf(name, sizeof(name), "%s (%s)", what, vector != NULL ? vector->library : "by hand");
	EXPECT(condition, "it is not so");
	end_test(name);
}

static char *
look_up(const void *headers, const char *name)
{
	const Pair *pairs = headers;

	for (int i = 0; i < 4 && pairs[i].name != NULL; i++)
		if (strcmp(pairs[i].name, name) == 0)
			return pstrdup(pairs[i].value);
	return NULL;
}

static const char *
verdict(const char *verify, const char *secret, const Pair *headers, const char *body, size_t len,
		int64 now)
{
	DfVerify scheme;
	char *header;
	DfDelivery delivery;

	if (!df_verify_parse(verify, &scheme, &header))
		return "unknown scheme";
	delivery.header = look_up;
	delivery.headers = headers;
	delivery.body = body;
	delivery.body_len = len;
	delivery.url = "https://flows.example.com/hooks/hubspot";
	delivery.now = now;
	return df_verify(scheme, header, secret, &delivery);
}

static bool
accepts(const Vector *v, const char *secret, const Pair *headers, const char *body, int64 now)
{
	return verdict(v->verify, secret, headers, body, v->body_len, now) == NULL;
}

/* one byte of the body, or of a header, is another one */
static void
try_changes(const Vector *v)
{
	char *body = malloc(v->body_len + 1);
	bool refused = true;

	for (size_t i = 0; i<v->body_len; i += v->body_len> 500 ? 97 : 1)
	{
		memcpy(body, v->body, v->body_len + 1);
		body[i] ^= 1;
		refused = refused && !accepts(v, v->secret, v->headers, body, VECTORS_AT);
	}
	expect(refused, "no other body is taken", v);
	free(body);
	refused = true;
	for (int h = 0; h < 4 && v->headers[h].name != NULL; h++)
	{
		Pair headers[4];
		char *value = strdup(v->headers[h].value);

		/* the delivery id of GitHub is not signed */
		if (strcmp(v->headers[h].name, "x-github-delivery") == 0)
			continue;
		memcpy(headers, v->headers, sizeof(headers));
		headers[h].value = value;
		for (size_t i = 0; i < strlen(v->headers[h].value); i++)
		{
			char before = value[i];

			/* '=' at the end of base64 and the case of hex digits say nothing */
			value[i] = before == 'Z' ? 'Y' : 'Z';
			if (before != '=')
				refused = refused && !accepts(v, v->secret, headers, v->body, VECTORS_AT);
			value[i] = before;
		}
		headers[h].name = "x-other";
		refused = refused && !accepts(v, v->secret, headers, v->body, VECTORS_AT);
		free(value);
	}
	expect(refused, "no other header is taken", v);
}

static void
try_vector(const Vector *v)
{
	bool timed = strcmp(v->verify, "github") != 0;

	expect(accepts(v, v->secret, v->headers, v->body, VECTORS_AT),
		   "what the library signed is taken", v);
	expect(!accepts(v, "whsec_b3RoZXI=", v->headers, v->body, VECTORS_AT),
		   "with another secret it is not", v);
	expect(!accepts(v, "", v->headers, v->body, VECTORS_AT) &&
			   !accepts(v, NULL, v->headers, v->body, VECTORS_AT),
		   "nor without one", v);
	expect(accepts(v, v->secret, v->headers, v->body, VECTORS_AT + 300) &&
			   accepts(v, v->secret, v->headers, v->body, VECTORS_AT - 300),
		   "five minutes off is near enough", v);
	expect(timed != accepts(v, v->secret, v->headers, v->body, VECTORS_AT + 301) &&
			   timed != accepts(v, v->secret, v->headers, v->body, VECTORS_AT - 301),
		   "a second more is not, where time is signed", v);
	try_changes(v);
}

static void
try_own_schemes(void)
{
	/* RFC 4231, test case 2, and the same in base64 */
	static const char body[] = "what do ya want for nothing?";
	Pair hex[4] = {
		{"x-sig", "sha256=5bdcc146bf60754e6a042426089575c75a003f089d2739839dec58b964ec3843"}};
	Pair upper[4] = {{"x-sig", "5BDCC146BF60754E6A042426089575C75A003F089D2739839DEC58B964EC3843"}};
	Pair base64[4] = {{"x-sig", "W9zBRr9gdU5qBCQmCJV1x1oAPwidJzmDnexYuWTsOEM="}};
	Pair cut[4] = {{"x-sig", "5bdcc146bf60754e6a042426089575c75a003f089d2739839dec58b964ec38"}};
	Pair bearer[4] = {{"authorization", "Bearer s3cret"}};
	Pair lower[4] = {{"authorization", "bearer s3cret"}};
	Pair longer[4] = {{"authorization", "Bearer s3cret2"}};
	Pair basic[4] = {{"authorization", "Basic s3cret"}};
	size_t len = strlen(body);

	expect(verdict("hmac-sha256:X-Sig", "Jefe", hex, body, len, 0) == NULL, "an HMAC in hex", NULL);
	expect(verdict("hmac-sha256:X-Sig", "Jefe", upper, body, len, 0) == NULL, "in capitals", NULL);
	expect(verdict("hmac-sha256:x-sig", "Jefe", base64, body, len, 0) == NULL, "in base64", NULL);
	expect(verdict("hmac-sha256:X-Sig", "Jefe", cut, body, len, 0) != NULL, "a part of it is none",
		   NULL);
	expect(verdict("hmac-sha256:X-Sig", "jefe", hex, body, len, 0) != NULL, "with another secret",
		   NULL);
	expect(verdict("hmac-sha256:X-Other", "Jefe", hex, body, len, 0) != NULL, "in another header",
		   NULL);
	expect(verdict("bearer", "s3cret", bearer, body, len, 0) == NULL, "a bearer token", NULL);
	expect(verdict("bearer", "s3cret", lower, body, len, 0) == NULL,
		   "the scheme's case does not matter", NULL);
	expect(verdict("bearer", "s3cret", longer, body, len, 0) != NULL,
		   "a longer token is another one", NULL);
	expect(verdict("bearer", "s3cret2", bearer, body, len, 0) != NULL, "and so is a shorter one",
		   NULL);
	expect(verdict("bearer", "s3cret", basic, body, len, 0) != NULL, "basic is not bearer", NULL);
	expect(verdict("none", NULL, basic, body, len, 0) == NULL, "none verifies nothing", NULL);
	expect(verdict("hmac-sha256:", "x", hex, body, len, 0) != NULL, "a header must be named", NULL);
	expect(verdict("hmac-sha256:X Sig", "x", hex, body, len, 0) != NULL,
		   "by a name that headers have", NULL);
	expect(verdict("md5", "x", hex, body, len, 0) != NULL, "an unknown scheme", NULL);
}

int
main(void)
{
	for (int i = 0; i < lengthof(vectors); i++)
		try_vector(&vectors[i]);
	try_own_schemes();
	return done_testing();
}
