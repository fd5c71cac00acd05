/*
 * worker/aws_signature.c
 *	  AWS Signature Version 4, and its relatives of other providers.
 *
 * Runs in a worker, in the turn's transaction, when a request is made ready; so each attempt is
 * signed anew.  Pure but for memory.  libcurl can sign, too, but up to 8.x it signs paths with
 * escapes and queries that are not sorted in a way that AWS refuses, and names headers that it
 * was told to leave out; a signature must not depend on the version of a library.
 */
#include "postgres.h"

#include <ctype.h>
#include <time.h>

#include "lib/stringinfo.h"
#include "shared/digest.h"
#include "shared/header.h"
#include "shared/hex.h"
#include "shared/mac.h"
#include "shared/signing.h"
#include "utils/builtins.h"
#include "worker/aws_signature.h"

#define MAX_PART 64
#define DIGEST_DIGITS (2 * DF_DIGEST_LENGTH)

/* the parts of the option */
typedef struct Scope
{
	char provider[MAX_PART]; /* AWS */
	char vendor[MAX_PART]; /* amz */
	char region[MAX_PART];
	char service[MAX_PART];
} Scope;

static void
take_part(const char **from, char part[MAX_PART], int (*to_case)(int))
{
	size_t len = strcspn(*from, ":");

	len = Min(len, MAX_PART - 1);
	for (size_t i = 0; i < len; i++)
		part[i] = to_case != NULL ? (char) to_case((unsigned char) (*from)[i]) : (*from)[i];
	part[len] = '\0';
	*from += len;
	*from += **from == ':';
}

static void
read_scope(const char *option, Scope *scope)
{
	take_part(&option, scope->provider, toupper);
	take_part(&option, scope->vendor, tolower);
	take_part(&option, scope->region, NULL);
	take_part(&option, scope->service, NULL);
}

static char *
hex_of(const uint8 *bytes, size_t len)
{
	char *hex = palloc(2 * len + 1);

	hex[hex_encode((const char *) bytes, len, hex)] = '\0';
	return hex;
}

static char *
hex_digest(const char *text, size_t len)
{
	uint8 digest[DF_DIGEST_LENGTH];

	df_digest(text, len, digest);
	return hex_of(digest, sizeof(digest));
}

/* ---- the canonical request ------------------------------------------------ */

static void
put_encoded(StringInfo to, unsigned char c, const char *safe)
{
	if (isalnum(c) || strchr("-_.~", c) != NULL || strchr(safe, c) != NULL)
		appendStringInfoChar(to, c);
	else
		appendStringInfo(to, "%%%02X", c);
}

/* encoded once more than it is in the URL, but for S3 */
static void
put_path(StringInfo to, const char *target, bool as_it_is)
{
	size_t len = strcspn(target, "?");

	if (len == 0)
		appendStringInfoChar(to, '/');
	for (size_t i = 0; i < len; i++)
	{
		if (as_it_is)
			appendStringInfoChar(to, target[i]);
		else
			put_encoded(to, (unsigned char) target[i], "/");
	}
}

/* in one spelling, whatever the URL has; "+" is a plus sign here */
static char *
normalized(const char *text, size_t len)
{
	StringInfoData out;

	initStringInfo(&out);
	for (size_t i = 0; i < len; i++)
	{
		int byte = text[i] == '%' && i + 2 < len ? df_hex_byte(text + i + 1) : -1;

		put_encoded(&out, byte < 0 ? (unsigned char) text[i] : (unsigned char) byte, "");
		i += byte < 0 ? 0 : 2;
	}
	return out.data;
}

typedef struct Parameter
{
	char *name;
	char *value;
} Parameter;

static int
compare_parameters(const void *a, const void *b)
{
	const Parameter *one = a;
	const Parameter *other = b;
	int order = strcmp(one->name, other->name);

	return order != 0 ? order : strcmp(one->value, other->value);
}

static void
put_query(StringInfo to, const char *target)
{
	const char *at = strchr(target, '?');
	Parameter *parameters = palloc(sizeof(Parameter) * (strlen(target) + 1));
	int n = 0;

	for (at = at != NULL ? at + 1 : ""; *at != '\0';)
	{
		size_t len = strcspn(at, "&");
		const char *equals = memchr(at, '=', len);
		size_t name = equals != NULL ? equals - at : len;

		if (len > 0)
		{
			parameters[n].name = normalized(at, name);
			parameters[n++].value = equals != NULL ? normalized(equals + 1, len - name - 1)
												   : pstrdup("");
		}
		at += len + (at[len] == '&');
	}
	qsort(parameters, n, sizeof(Parameter), compare_parameters);
	for (int i = 0; i < n; i++)
		appendStringInfo(to, "%s%s=%s", i > 0 ? "&" : "", parameters[i].name, parameters[i].value);
}

char *
df_aws_url(const char *url)
{
	StringInfoData out;

	initStringInfo(&out);
	appendBinaryStringInfo(&out, url, strcspn(url, "?"));
	if (strchr(url, '?') != NULL)
	{
		appendStringInfoChar(&out, '?');
		put_query(&out, url);
	}
	return out.data;
}

/* as libcurl writes it: without the port that the scheme has anyway */
static char *
host_of(const char *url)
{
	const char *host = strstr(url, "://") + 3;
	char *text = pnstrdup(host, strcspn(host, "/?#"));
	const char *port = pg_strncasecmp(url, "https:", 6) == 0 ? ":443" : ":80";
	size_t len = strlen(text);

	if (len > strlen(port) && strcmp(text + len - strlen(port), port) == 0)
		text[len - strlen(port)] = '\0';
	return text;
}

/* "name: value" in lower case and without further spaces */
static char *
canonical_header(const char *line)
{
	size_t name = df_header_name_length(line);
	StringInfoData out;
	bool space = false;

	initStringInfo(&out);
	for (size_t i = 0; i < name; i++)
		appendStringInfoChar(&out, pg_ascii_tolower((unsigned char) line[i]));
	appendStringInfoChar(&out, ':');
	name = out.len;
	for (const char *c = strchr(line, ':') + 1; *c != '\0'; c++)
	{
		if (*c == ' ' || *c == '\t')
		{
			space = out.len > name;
			continue;
		}
		if (space)
			appendStringInfoChar(&out, ' ');
		space = false;
		appendStringInfoChar(&out, *c);
	}
	return out.data;
}

/* those that the provider demands, and the type of the body */
static bool
is_signed(const char *line, const Scope *scope)
{
	char *prefix = psprintf("x-%s-", scope->vendor);

	return df_header_line_is(line, "content-type") ||
		pg_strncasecmp(line, prefix, strlen(prefix)) == 0;
}

static bool
is_in(const char *line, const char *const *lines)
{
	size_t len = df_header_name_length(line) + 1;

	for (; *lines != NULL; lines++)
		if (pg_strncasecmp(line, *lines, len) == 0)
			return true;
	return false;
}

static int
compare_lines(const void *a, const void *b)
{
	const char *one = *(char *const *) a;
	const char *other = *(char *const *) b;
	size_t len = strcspn(one, ":");
	size_t other_len = strcspn(other, ":");
	int order = strncmp(one, other, Min(len, other_len));

	return order != 0 ? order : (int) len - (int) other_len;
}

/* the lines that are signed, in order; returns how many */
static int
signed_lines(const DfAwsRequest *request, const Scope *scope, const char *const *own, char ***lines)
{
	int n = 0;
	int room = DF_AWS_HEADERS + 1;

	for (const char *const *line = request->headers; *line != NULL; line++)
		room++;
	*lines = palloc(sizeof(char *) * room);
	(*lines)[n++] = psprintf("host:%s", host_of(request->url));
	/* of headers of one name the last one is sent */
	for (const char *const *line = request->headers; *line != NULL; line++)
		if (is_signed(*line, scope) && !is_in(*line, line + 1) && !is_in(*line, own))
			(*lines)[n++] = canonical_header(*line);
	for (; *own != NULL; own++)
		(*lines)[n++] = canonical_header(*own);
	qsort(*lines, n, sizeof(char *), compare_lines);
	return n;
}

static char *
names_of(char **lines, int n)
{
	StringInfoData names;

	initStringInfo(&names);
	for (int i = 0; i < n; i++)
		appendStringInfo(&names, "%s%.*s", i > 0 ? ";" : "", (int) strcspn(lines[i], ":"),
						 lines[i]);
	return names.data;
}

/* ---- the signature -------------------------------------------------------- */

static void
chain(uint8 key[DF_MAC_LEN], const char *text)
{
	DfSigned part = {text, strlen(text)};
	uint8 next[DF_MAC_LEN];

	if (!df_mac_make(key, DF_MAC_LEN, &part, 1, next))
		ereport(ERROR,
				(errcode(ERRCODE_INTERNAL_ERROR),
				 errmsg("could not sign a request"),
				 errhint("Check the settings of the server's cryptographic library.")));
	memcpy(key, next, DF_MAC_LEN);
	explicit_bzero(next, sizeof(next));
}

static char *
signature_of(const DfAwsRequest *request, const Scope *scope, const char *day, const char *end,
			 const char *to_sign)
{
	char *first = psprintf("%s4%s", scope->provider, request->secret_key);
	DfSigned part = {day, strlen(day)};
	uint8 key[DF_MAC_LEN];
	char *signature;

	if (!df_mac_make(first, strlen(first), &part, 1, key))
		memset(key, 0, sizeof(key)); /* chain() will say so */
	explicit_bzero(first, strlen(first));
	chain(key, scope->region);
	chain(key, scope->service);
	chain(key, end);
	chain(key, to_sign);
	signature = hex_of(key, sizeof(key));
	explicit_bzero(key, sizeof(key));
	return signature;
}

int
df_aws_sign(const DfAwsRequest *request, const char **headers)
{
	const char *target = df_signing_target(request->url);
	char *body_digest = hex_digest(request->body != NULL ? request->body : "", request->body_len);
	char day[9];
	char at[17];
	time_t seconds = request->seconds;
	struct tm utc;
	StringInfoData canonical;
	Scope scope;
	char **lines;
	char *end;
	char *names;
	char *to_sign;
	char *where;
	bool s3;
	int nlines;
	int n = 0;

	read_scope(request->option, &scope);
	s3 = strcmp(scope.service, "s3") == 0;
	(void) gmtime_r(&seconds, &utc);
	strftime(day, sizeof(day), "%Y%m%d", &utc);
	strftime(at, sizeof(at), "%Y%m%dT%H%M%SZ", &utc);
	headers[n++] = psprintf("X-%c%s-Date: %s", toupper((unsigned char) scope.vendor[0]),
							scope.vendor[0] != '\0' ? scope.vendor + 1 : "", at);
	if (s3)
		headers[n++] = psprintf("X-Amz-Content-Sha256: %s", body_digest);
	if (request->session_token != NULL)
		headers[n++] = psprintf("X-Amz-Security-Token: %s", request->session_token);
	headers[n] = NULL;
	nlines = signed_lines(request, &scope, headers, &lines);
	names = names_of(lines, nlines);

	initStringInfo(&canonical);
	appendStringInfo(&canonical, "%s\n", request->method);
	put_path(&canonical, target, s3);
	appendStringInfoChar(&canonical, '\n');
	put_query(&canonical, target);
	appendStringInfoChar(&canonical, '\n');
	for (int i = 0; i < nlines; i++)
		appendStringInfo(&canonical, "%s\n", lines[i]);
	appendStringInfo(&canonical, "\n%s\n%s", names, body_digest);

	end = psprintf("%s4_request", scope.provider);
	for (char *c = end; *c != '\0'; c++)
		*c = pg_ascii_tolower((unsigned char) *c);
	where = psprintf("%s/%s/%s/%s", day, scope.region, scope.service, end);
	to_sign = psprintf("%s4-HMAC-SHA256\n%s\n%s\n%s", scope.provider, at, where,
					   hex_digest(canonical.data, canonical.len));
	headers[n++] = psprintf(
		"Authorization: %s4-HMAC-SHA256 Credential=%s/%s, SignedHeaders=%s, Signature=%s",
		scope.provider, request->access_key, where, names,
		signature_of(request, &scope, day, end, to_sign));
	return n;
}
