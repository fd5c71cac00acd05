/*
 * ingress/signature.c
 *	  Verifies who sent a webhook.
 *
 * Called in the ingress process and in sessions that call receive_webhook(), in their
 * transaction.  Pure: the result depends only on body, headers, secret and time.  Compares
 * signatures in constant time.  Must never put a secret, or the right signature, into a
 * message.
 */
#include "postgres.h"

#include "common/base64.h"
#include "ingress/signature.h"
#include "shared/ecdsa.h"
#include "shared/header.h"
#include "shared/hex.h"
#include "shared/mac.h"

/* how far a signed time may be from now */
#define WINDOW_S 300
#define MAX_KEY 1024

static const char no_memory[] = "the signature could not be computed";
static const char bad_signature[] = "the signature does not match";

/* ---- headers -------------------------------------------------------------- */

static char *
header_of(const DfDelivery *delivery, const char *name)
{
	return delivery->header(delivery->headers, name);
}

/* lowers ASCII letters only, in any locale */
static char *
lowered(const char *text)
{
	char *copy = pstrdup(text);

	for (char *c = copy; *c != '\0'; c++)
		if (*c >= 'A' && *c <= 'Z')
			*c += 'a' - 'A';
	return copy;
}

bool
df_verify_parse(const char *text, DfVerify *scheme, char **header)
{
	static const char hmac[] = "hmac-sha256:";
	static const struct
	{
		const char *name;
		DfVerify scheme;
	} names[] = {
		{"none", DF_VERIFY_NONE},
		{"bearer", DF_VERIFY_BEARER},
		{"stripe", DF_VERIFY_STRIPE},
		{"github", DF_VERIFY_GITHUB},
		{"standard", DF_VERIFY_STANDARD},
		{"slack", DF_VERIFY_SLACK},
		{"hubspot", DF_VERIFY_HUBSPOT},
		{"sendgrid", DF_VERIFY_SENDGRID},
		{"basic", DF_VERIFY_BASIC},
	};

	*header = NULL;
	for (int i = 0; i < lengthof(names); i++)
		if (strcmp(text, names[i].name) == 0)
		{
			*scheme = names[i].scheme;
			return true;
		}
	if (strncmp(text, hmac, strlen(hmac)) != 0 || text[strlen(hmac)] == '\0')
		return false;
	*header = lowered(text + strlen(hmac));
	if (strspn(*header, "abcdefghijklmnopqrstuvwxyz0123456789-_") != strlen(*header))
		return false;
	*scheme = DF_VERIFY_HMAC;
	return true;
}

/* ---- codes ---------------------------------------------------------------- */

static bool
from_hex(const char *text, uint8 *mac)
{
	return strlen(text) == 2 * DF_MAC_LEN && df_hex_decode(text, DF_MAC_LEN, mac);
}

static bool
from_base64(const char *text, size_t len, uint8 *mac)
{
	char decoded[64];

	if (len != 44)
		return false;
	if (pg_b64_decode(text, (int) len, (void *) decoded, sizeof(decoded)) != DF_MAC_LEN)
		return false;
	memcpy(mac, decoded, DF_MAC_LEN);
	return true;
}

/* ---- schemes -------------------------------------------------------------- */

/* whether the signed time is valid and close to now */
static bool
in_window(const char *text, const DfDelivery *delivery)
{
	char *end;
	long long at;

	if (text[0] < '0' || text[0] > '9')
		return false;
	errno = 0;
	at = strtoll(text, &end, 10);
	if (errno != 0 || *end != '\0')
		return false;
	return at >= delivery->now - WINDOW_S && at <= delivery->now + WINDOW_S;
}

/*
 * NULL if they are the same.  Compares MACs of both, so that the time does not depend on the
 * length of the secret.
 */
static const char *
compared(const char *given, const char *secret, const char *wrong)
{
	uint8 a[DF_MAC_LEN];
	uint8 b[DF_MAC_LEN];
	DfSigned part = {given, strlen(given)};

	if (!df_mac_make("bearer", 6, &part, 1, a))
		return no_memory;
	part = (DfSigned){secret, strlen(secret)};
	if (!df_mac_make("bearer", 6, &part, 1, b))
		return no_memory;
	return df_mac_equal(a, b) ? NULL : wrong;
}

static const char *
verify_bearer(const char *secret, const DfDelivery *delivery)
{
	char *given = header_of(delivery, "authorization");
	const char *token = given != NULL ? df_header_credentials(given, "Bearer") : NULL;

	if (token == NULL)
		return "there is no bearer token";
	return compared(token, secret, "the bearer token is not the right one");
}

/* the secret is "user:password" */
static const char *
verify_basic(const char *secret, const DfDelivery *delivery)
{
	char *given = header_of(delivery, "authorization");
	const char *coded = given != NULL ? df_header_credentials(given, "Basic") : NULL;
	char user[MAX_KEY];
	int len;

	if (coded == NULL)
		return "there are no basic credentials";
	len = strlen(coded) >= MAX_KEY
		? -1
		: pg_b64_decode(coded, (int) strlen(coded), (void *) user, sizeof(user) - 1);
	if (len < 0 || memchr(user, '\0', len) != NULL)
		return "the basic credentials are malformed";
	user[len] = '\0';
	return compared(user, secret, "the basic credentials are not the right ones");
}

/* t=1492774577,v1=<hex>[,v1=<hex>...] over "t.body" */
static const char *
verify_stripe(const char *secret, const DfDelivery *delivery)
{
	char *header = header_of(delivery, "stripe-signature");
	char *time = NULL;
	char *state = NULL;
	uint8 mac[DF_MAC_LEN];
	bool found = false;
	DfSigned parts[3];

	if (header == NULL)
		return "there is no header Stripe-Signature";
	for (char *item = strtok_r(pstrdup(header), ",", &state); item != NULL;
		 item = strtok_r(NULL, ",", &state))
	{
		item += strspn(item, " ");
		if (strncmp(item, "t=", 2) == 0 && time == NULL)
			time = item + 2;
	}
	if (time == NULL || !in_window(time, delivery))
		return "the signed time is missing or too far from now";
	parts[0] = (DfSigned){time, strlen(time)};
	parts[1] = (DfSigned){".", 1};
	parts[2] = (DfSigned){delivery->body, delivery->body_len};
	if (!df_mac_make(secret, strlen(secret), parts, 3, mac))
		return no_memory;
	for (char *item = strtok_r(pstrdup(header), ",", &state); item != NULL;
		 item = strtok_r(NULL, ",", &state))
	{
		uint8 given[DF_MAC_LEN];

		item += strspn(item, " ");
		if (strncmp(item, "v1=", 3) == 0 && from_hex(item + 3, given))
			found |= df_mac_equal(mac, given);
	}
	return found ? NULL : bad_signature;
}

/* NULL if the code that was sent is that of the parts, one behind the other */
static const char *
compared_code(const uint8 *given, const char *secret, const DfSigned *parts, int nparts)
{
	uint8 mac[DF_MAC_LEN];

	if (!df_mac_make(secret, strlen(secret), parts, nparts, mac))
		return no_memory;
	return df_mac_equal(mac, given) ? NULL : bad_signature;
}

/* hex or base64, with or without "sha256=", over the body */
static const char *
verify_body(const char *name, const char *secret, const DfDelivery *delivery)
{
	char *header = header_of(delivery, name);
	DfSigned part;
	uint8 given[DF_MAC_LEN];

	if (header == NULL)
		return "the header with the signature is missing";
	if (strncmp(header, "sha256=", 7) == 0)
		header += 7;
	if (!from_hex(header, given) && !from_base64(header, strlen(header), given))
		return "the header with the signature is malformed";
	part.bytes = delivery->body;
	part.len = delivery->body_len;
	return compared_code(given, secret, &part, 1);
}

/* the header names of the standard, or those of its first implementation */
static char *
standard_header(const DfDelivery *delivery, const char *what)
{
	char *value = header_of(delivery, psprintf("webhook-%s", what));

	return value != NULL ? value : header_of(delivery, psprintf("svix-%s", what));
}

/* the secret is "whsec_" and base64, or plain text */
static size_t
standard_key(const char *secret, char *key)
{
	int len;

	if (strncmp(secret, "whsec_", 6) != 0)
		return strlcpy(key, secret, MAX_KEY);
	len = pg_b64_decode(secret + 6, (int) strlen(secret + 6), (void *) key, MAX_KEY);
	return len < 0 ? 0 : (size_t) len;
}

/* "v1,<base64> v1,<base64>" over "id.timestamp.body" */
static const char *
verify_standard(const char *secret, const DfDelivery *delivery)
{
	char *id = standard_header(delivery, "id");
	char *time = standard_header(delivery, "timestamp");
	char *signatures = standard_header(delivery, "signature");
	char *state = NULL;
	char key[MAX_KEY];
	size_t key_len;
	uint8 mac[DF_MAC_LEN];
	bool found = false;
	DfSigned parts[5];

	if (id == NULL || time == NULL || signatures == NULL)
		return "the headers webhook-id, webhook-timestamp and webhook-signature are not all there";
	if (!in_window(time, delivery))
		return "the signed time is too far from now";
	key_len = standard_key(secret, key);
	if (key_len == 0 || key_len >= MAX_KEY)
	{
		explicit_bzero(key, sizeof(key));
		return "the secret is not usable";
	}
	parts[0] = (DfSigned){id, strlen(id)};
	parts[1] = (DfSigned){".", 1};
	parts[2] = (DfSigned){time, strlen(time)};
	parts[3] = (DfSigned){".", 1};
	parts[4] = (DfSigned){delivery->body, delivery->body_len};
	found = df_mac_make(key, key_len, parts, 5, mac);
	explicit_bzero(key, sizeof(key));
	if (!found)
		return no_memory;
	found = false;
	for (char *item = strtok_r(signatures, " ", &state); item != NULL;
		 item = strtok_r(NULL, " ", &state))
	{
		uint8 given[DF_MAC_LEN];

		if (strncmp(item, "v1,", 3) == 0 && from_base64(item + 3, strlen(item + 3), given))
			found |= df_mac_equal(mac, given);
	}
	return found ? NULL : bad_signature;
}

/* v0=<hex> over "v0:time:body" */
static const char *
verify_slack(const char *secret, const DfDelivery *delivery)
{
	char *header = header_of(delivery, "x-slack-signature");
	char *time = header_of(delivery, "x-slack-request-timestamp");
	uint8 given[DF_MAC_LEN];
	DfSigned parts[4];

	if (header == NULL || time == NULL)
		return "the headers X-Slack-Signature and X-Slack-Request-Timestamp are not all there";
	if (!in_window(time, delivery))
		return "the signed time is too far from now";
	if (strncmp(header, "v0=", 3) != 0 || !from_hex(header + 3, given))
		return "the header with the signature is malformed";
	parts[0] = (DfSigned){"v0:", 3};
	parts[1] = (DfSigned){time, strlen(time)};
	parts[2] = (DfSigned){":", 1};
	parts[3] = (DfSigned){delivery->body, delivery->body_len};
	return compared_code(given, secret, parts, 4);
}

/* <base64> over method, URL, body and time, which is in milliseconds */
static const char *
verify_hubspot(const char *secret, const DfDelivery *delivery)
{
	char *header = header_of(delivery, "x-hubspot-signature-v3");
	char *time = header_of(delivery, "x-hubspot-request-timestamp");
	uint8 given[DF_MAC_LEN];
	DfSigned parts[4];

	if (header == NULL || time == NULL)
		return "the headers X-HubSpot-Signature-v3 and X-HubSpot-Request-Timestamp are not all "
			   "there";
	if (strlen(time) < 4 || !in_window(pnstrdup(time, strlen(time) - 3), delivery))
		return "the signed time is too far from now";
	if (!from_base64(header, strlen(header), given))
		return "the header with the signature is malformed";
	if (delivery->url == NULL)
		return "dataflows.public_url is not set";
	parts[0] = (DfSigned){"POST", 4};
	parts[1] = (DfSigned){delivery->url, strlen(delivery->url)};
	parts[2] = (DfSigned){delivery->body, delivery->body_len};
	parts[3] = (DfSigned){time, strlen(time)};
	return compared_code(given, secret, parts, 4);
}

/*
 * <base64> over time and body, by a private key.  The time is no reason to refuse: events are
 * delivered again for a day, and each has an id.
 */
static const char *
verify_sendgrid(const char *public_key, const DfDelivery *delivery)
{
	char *header = header_of(delivery, "x-twilio-email-event-webhook-signature");
	char *time = header_of(delivery, "x-twilio-email-event-webhook-timestamp");
	uint8 key[MAX_KEY];
	uint8 signature[MAX_KEY];
	int key_len = -1;
	int len = -1;
	DfSigned parts[2];

	if (header == NULL || time == NULL)
		return "the headers X-Twilio-Email-Event-Webhook-Signature and -Timestamp are not all "
			   "there";
	if (strlen(public_key) < MAX_KEY)
		key_len =
			pg_b64_decode(public_key, (int) strlen(public_key), (void *) key, sizeof(key));
	if (strlen(header) < MAX_KEY)
		len = pg_b64_decode(header, (int) strlen(header), (void *) signature, sizeof(signature));
	if (key_len <= 0)
		return "the secret is not usable";
	if (len <= 0)
		return "the header with the signature is malformed";
	parts[0] = (DfSigned){time, strlen(time)};
	parts[1] = (DfSigned){delivery->body, delivery->body_len};
	return df_ecdsa_verify(key, key_len, parts, 2, signature, len) ? NULL : bad_signature;
}

const char *
df_verify(DfVerify scheme, const char *header, const char *secret, const DfDelivery *delivery)
{
	if (scheme == DF_VERIFY_NONE)
		return NULL;
	if (secret == NULL || secret[0] == '\0')
		return "there is no secret to check it with";
	switch (scheme)
	{
		case DF_VERIFY_NONE:
			return NULL;
		case DF_VERIFY_BEARER:
			return verify_bearer(secret, delivery);
		case DF_VERIFY_STRIPE:
			return verify_stripe(secret, delivery);
		case DF_VERIFY_GITHUB:
			return verify_body("x-hub-signature-256", secret, delivery);
		case DF_VERIFY_STANDARD:
			return verify_standard(secret, delivery);
		case DF_VERIFY_SLACK:
			return verify_slack(secret, delivery);
		case DF_VERIFY_HUBSPOT:
			return verify_hubspot(secret, delivery);
		case DF_VERIFY_SENDGRID:
			return verify_sendgrid(secret, delivery);
		case DF_VERIFY_BASIC:
			return verify_basic(secret, delivery);
		case DF_VERIFY_HMAC:
			return verify_body(header, secret, delivery);
	}
	return bad_signature;
}

char *
df_event_id(DfVerify scheme, const DfDelivery *delivery)
{
	switch (scheme)
	{
		case DF_VERIFY_STRIPE:
			return NULL; /* it is in the body */
		case DF_VERIFY_GITHUB:
			return header_of(delivery, "x-github-delivery");
		case DF_VERIFY_STANDARD:
			return standard_header(delivery, "id");
		case DF_VERIFY_NONE:
		case DF_VERIFY_BEARER:
		case DF_VERIFY_SLACK:
		case DF_VERIFY_HUBSPOT:
		case DF_VERIFY_SENDGRID:
		case DF_VERIFY_BASIC:
		case DF_VERIFY_HMAC:
			return header_of(delivery, "idempotency-key");
	}
	return NULL;
}
