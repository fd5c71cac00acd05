/*
 * shared/signing.c
 *	  Signatures of requests by HMAC, as the option "sign" of a system describes them.
 *
 * Options are checked in sessions that set them, signatures are made in workers when a request
 * is made ready, at each attempt; in any transaction and role.  Never raise an error here, and
 * never quote a secret.
 */
#include "postgres.h"

#include "common/base64.h"
#include "common/sha1.h"
#include "common/sha2.h"
#include "lib/stringinfo.h"
#include "shared/header.h"
#include "shared/mac.h"
#include "shared/signing.h"
#include "utils/builtins.h"

#define SECRET_IN_BASE64 "whsec_"

static const struct
{
	const char *name;
	pg_cryptohash_type digest;
	int mac_len;
} digests[] = {
	{"hmac-sha1", PG_SHA1, SHA1_DIGEST_LENGTH},
	{"hmac-sha256", PG_SHA256, PG_SHA256_DIGEST_LENGTH},
	{"hmac-sha384", PG_SHA384, PG_SHA384_DIGEST_LENGTH},
	{"hmac-sha512", PG_SHA512, PG_SHA512_DIGEST_LENGTH},
};

/* ---- templates ------------------------------------------------------------ */

typedef enum Field
{
	FIELD_TIMESTAMP,
	FIELD_TIMESTAMP_MS,
	FIELD_METHOD,
	FIELD_PATH,
	FIELD_URL,
	FIELD_KEY,
	FIELD_BODY,
	FIELD_SIGNATURE,
	FIELD_UNKNOWN
} Field;

static const char *const fields[] = {
	[FIELD_TIMESTAMP] = "timestamp",
	[FIELD_TIMESTAMP_MS] = "timestamp_ms",
	[FIELD_METHOD] = "method",
	[FIELD_PATH] = "path",
	[FIELD_URL] = "url",
	[FIELD_KEY] = "idempotency_key",
	[FIELD_BODY] = "body",
	[FIELD_SIGNATURE] = "signature",
};

static Field
field_named(const char *name, size_t len)
{
	for (int i = 0; i < FIELD_UNKNOWN; i++)
		if (strlen(fields[i]) == len && memcmp(fields[i], name, len) == 0)
			return (Field) i;
	return FIELD_UNKNOWN;
}

/*
 * The next piece of a template, which has no end of its own: literal text, or a field.  Returns
 * where the one after it begins; NULL if a brace is not closed.
 */
static const char *
next_piece(const char *at, size_t *len, bool *is_field)
{
	const char *end;

	*is_field = false;
	*len = strcspn(at, "{}");
	if (*len > 0)
		return at + *len;
	*len = 1;
	if (at[1] == at[0])
		return at + 2;
	end = *at == '{' ? strchr(at, '}') : NULL;
	if (end == NULL)
		return NULL;
	*is_field = true;
	*len = end - at - 1;
	return end + 1;
}

static bool
names(const char *tmpl, Field wanted)
{
	bool is_field;
	size_t len;

	for (const char *at = tmpl; at != NULL && *at != '\0';)
	{
		const char *next = next_piece(at, &len, &is_field);

		if (next != NULL && is_field && field_named(at + 1, len) == wanted)
			return true;
		at = next;
	}
	return false;
}

bool
df_signing_names_ms(const char *tmpl)
{
	return tmpl != NULL && names(tmpl, FIELD_TIMESTAMP_MS);
}

bool
df_signing_names_time(const char *tmpl)
{
	return tmpl != NULL && (names(tmpl, FIELD_TIMESTAMP) || df_signing_names_ms(tmpl));
}

/* `is_value`: of a header's value, not of the text that is signed */
static const char *
template_problem(const char *tmpl, bool is_value)
{
	for (const char *at = tmpl; *at != '\0';)
	{
		bool is_field;
		size_t len;
		const char *next = next_piece(at, &len, &is_field);
		Field field = is_field && next != NULL ? field_named(at + 1, len) : FIELD_METHOD;

		if (next == NULL)
			return "it has a brace that is not closed, or not opened; write a brace as {{ or }}";
		if (field == FIELD_UNKNOWN)
			return "it has a field that is not known";
		if (is_field && is_value && (field == FIELD_BODY || field == FIELD_URL))
			return "the value of a header can have neither {body} nor {url}";
		if (is_field && !is_value && field == FIELD_SIGNATURE)
			return "the text that is signed cannot have the {signature}";
		at = next;
	}
	return NULL;
}

const char *
df_signing_value_problem(const char *tmpl)
{
	if (!df_header_value_is_legal(tmpl, strlen(tmpl)) || *tmpl == '\0' || *tmpl == ' ')
		return "it is empty, begins with a space, or has a control character";
	if (!names(tmpl, FIELD_SIGNATURE))
		return "it does not have the {signature}";
	return template_problem(tmpl, true);
}

/* ---- the option ----------------------------------------------------------- */

static bool
parse_digest(const char *name, size_t len, DfSigning *signing)
{
	for (int i = 0; i < lengthof(digests); i++)
	{
		size_t known = strlen(digests[i].name);
		char *digits;

		if (len < known || memcmp(name, digests[i].name, known) != 0)
			continue;
		digits = pnstrdup(name + known, len - known);
		signing->base64 = strcmp(digits, "-base64") == 0;
		signing->digest = digests[i].digest;
		signing->mac_len = digests[i].mac_len;
		if (*digits == '\0' || signing->base64 || strcmp(digits, "-hex") == 0)
			return true;
	}
	return false;
}

bool
df_signing_parse(const char *option, DfSigning *signing, const char **why)
{
	size_t digest = strcspn(option, ":");
	const char *header = option + digest + 1;
	size_t header_len = option[digest] == ':' ? strcspn(header, ":") : 0;

	memset(signing, 0, sizeof(*signing));
	*why = "it is not of the form digest:header:text";
	if (option[digest] == '\0' || header[header_len] == '\0')
		return false;
	*why = "its digest is none of hmac-sha1, hmac-sha256, hmac-sha384 and hmac-sha512, which may "
		   "be followed by -hex or -base64";
	if (!parse_digest(option, digest, signing))
		return false;
	*why = "its header is not the name of a header that may be set";
	if (!df_header_name_is_legal(header, header_len) ||
		df_header_kind(header, header_len) == DF_HEADER_TRANSPORT ||
		df_header_kind(header, header_len) == DF_HEADER_KEY ||
		df_header_kind(header, header_len) == DF_HEADER_PUBLIC)
		return false;
	signing->header = pnstrdup(header, header_len);
	signing->text = header + header_len + 1;
	*why = *signing->text == '\0' ? "it signs no text" : template_problem(signing->text, false);
	return *why == NULL;
}

/* ---- the signature -------------------------------------------------------- */

const char *
df_signing_target(const char *url)
{
	const char *host = strstr(url, "://");
	const char *path = host == NULL ? url : host + 3 + strcspn(host + 3, "/?");

	return *path == '\0' ? "/" : path;
}

static void
put_field(StringInfo to, Field field, const DfSignedRequest *request, const char *signature)
{
	const char *target = df_signing_target(request->url);

	switch (field)
	{
		case FIELD_TIMESTAMP:
			appendStringInfo(to, INT64_FORMAT, request->ms / 1000);
			break;
		case FIELD_TIMESTAMP_MS:
			appendStringInfo(to, INT64_FORMAT, request->ms);
			break;
		case FIELD_METHOD:
			appendStringInfoString(to, request->method);
			break;
		case FIELD_PATH:
			/* as libcurl writes it when a URL has nothing in front of its query */
			appendStringInfo(to, "%s%s", *target == '?' ? "/" : "", target);
			break;
		case FIELD_URL:
			appendStringInfoString(to, request->url);
			break;
		case FIELD_KEY:
			appendStringInfoString(to, request->key != NULL ? request->key : "");
			break;
		case FIELD_BODY:
			if (request->body != NULL)
				appendBinaryStringInfo(to, request->body, request->body_len);
			break;
		case FIELD_SIGNATURE:
			appendStringInfoString(to, signature);
			break;
		case FIELD_UNKNOWN:
			break;
	}
}

static void
render(StringInfo to, const char *tmpl, const DfSignedRequest *request, const char *signature)
{
	initStringInfo(to);
	for (const char *at = tmpl; at != NULL && *at != '\0';)
	{
		bool is_field;
		size_t len;
		const char *next = next_piece(at, &len, &is_field);

		if (next != NULL && is_field)
			put_field(to, field_named(at + 1, len), request, signature);
		else if (next != NULL)
			appendBinaryStringInfo(to, at, len);
		at = next;
	}
}

/* in digits; NULL = it cannot be made */
static char *
signature_of(const DfSigning *signing, const char *secret, const StringInfoData *text)
{
	DfSigned part = {text->data, text->len};
	uint8 mac[PG_SHA512_DIGEST_LENGTH];
	size_t key_len = strlen(secret);
	char *key = palloc(key_len + 4);
	char *digits = palloc0(2 * sizeof(mac) + 1);
	int len = -1;

	memcpy(key, secret, key_len);
	if (strncmp(secret, SECRET_IN_BASE64, strlen(SECRET_IN_BASE64)) == 0)
		len = pg_b64_decode(secret + strlen(SECRET_IN_BASE64),
							(int) (key_len - strlen(SECRET_IN_BASE64)), (void *) key,
							(int) key_len + 4);
	if (len > 0)
		key_len = len;
	else
		memcpy(key, secret, key_len);
	len = -1;
	if (df_mac_make_by(signing->digest, key, key_len, &part, 1, mac, signing->mac_len))
		len = signing->base64
			? pg_b64_encode((const void *) mac, signing->mac_len, digits, 2 * sizeof(mac))
			: (int) hex_encode((const char *) mac, signing->mac_len, digits);
	explicit_bzero(key, key_len);
	return len < 0 ? NULL : digits;
}

char *
df_signing_header(const DfSigning *signing, const char *value, const char *secret,
				  const DfSignedRequest *request)
{
	StringInfoData text;
	StringInfoData rendered;
	char *signature;

	render(&text, signing->text, request, NULL);
	signature = signature_of(signing, secret, &text);
	pfree(text.data);
	if (signature == NULL)
		return NULL;
	if (value == NULL)
		return psprintf("%s: %s", signing->header, signature);
	render(&rendered, value, request, signature);
	return psprintf("%s: %s", signing->header, rendered.data);
}
