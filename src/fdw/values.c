/*
 * fdw/values.c
 *	  The values of options: what is valid, and how it is parsed.
 *
 * Runs in whichever process validates or uses a system, in its transaction; it only
 * allocates memory.  Never raise an error and never quote a value here: it may be a secret.
 */
#include "postgres.h"

#include <ctype.h>
#include <math.h>

#include "fdw/options.h"
#include "shared/json.h"
#include "shared/jwt.h"
#include "http/url.h"
#include "shared/format_names.h"
#include "shared/header.h"
#include "shared/signing.h"
#include "utils/builtins.h"
#include "utils/guc.h"

/* of sockaddr_un.sun_path */
#define LONGEST_SOCKET_PATH 108
#define LONGEST_AWS_PART 60

/* the highest and the lowest rate_limit */
#define MAX_RATE_PER_SECOND 1000000.0
#define MIN_RATE_PER_SECOND (1.0 / 86400.0)

static bool
has_control_character(const char *value)
{
	for (const char *p = value; *p != '\0'; p++)
		if ((unsigned char) *p < ' ' || *p == 0x7f)
			return true;
	return false;
}

static bool
parse_token(const char *value)
{
	for (const char *p = value; *p != '\0'; p++)
		if (*p <= ' ' || *p >= 0x7f)
			return false;
	return *value != '\0';
}

static bool
parse_port(const char *port)
{
	char *end;
	long number;

	if (!isdigit((unsigned char) *port))
		return false;
	number = strtol(port, &end, 10);
	return *end == '\0' && number > 0 && number <= 65535;
}

/* what follows "://" in the url of a mail server; http/url.c parses http URLs only */
static const char *
smtp_url_problem(const char *host)
{
	const char *end;
	const char *colon;
	size_t len;

	len = strlen(host);
	if (len > 0 && host[len - 1] == '/')
		host = pnstrdup(host, len - 1);
	if (*host == '[')
	{
		end = host + 1 + strspn(host + 1, "0123456789abcdefABCDEF:.");
		if (end == host + 1 || *end != ']')
			return "it contains an address in brackets that is not closed or not an address";
		colon = end + 1;
	}
	else
	{
		for (colon = host;
			 isalnum((unsigned char) *colon) || *colon == '.' || *colon == '-' || *colon == '_';)
			colon++;
		if (colon == host)
			return "it has no host";
	}
	if (*colon == '\0' || (*colon == ':' && parse_port(colon + 1)))
		return NULL;
	return "it has something other than a port after the host";
}

static const char *
url_problem(const char *value, bool of_system)
{
	if (of_system && df_url_is_mail(value))
		return smtp_url_problem(strstr(value, "://") + strlen("://"));
	return df_url_base_problem(value);
}

static bool
parse_url(const DfOption *option, const char *value, char **field, const char **why)
{
	*why = url_problem(value, option->kind == DF_OPTION_URL);
	if (*why != NULL)
		return false;
	*field = pstrdup(value);
	return true;
}

static bool
parse_urls(const char *value, char **field, const char **why)
{
	const char *rest = value + strspn(value, " ");

	*why = *rest == '\0' ? "it names none" : NULL;
	while (*why == NULL && *rest != '\0')
	{
		size_t len = strcspn(rest, " ");

		*why = url_problem(pnstrdup(rest, len), true);
		rest += len + strspn(rest + len, " ");
	}
	if (*why == NULL)
		*field = pstrdup(value);
	return *why == NULL;
}

static bool
parse_origins(const char *value, char **field, const char **why)
{
	*why = df_url_origins_problem(value);
	if (*why != NULL)
		return false;
	*field = pstrdup(value + strspn(value, " "));
	return true;
}

/* what needs no escapes, wherever it is written */
static bool
is_field_name(const char *value)
{
	size_t len = strlen(value);

	return len > 0 && len < NAMEDATALEN &&
		strspn(value, "abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789_.-") == len;
}

static bool
parse_text(const DfOption *option, const char *value, char **field)
{
	bool valid;

	switch (option->kind)
	{
		case DF_OPTION_TOKEN:
			valid = parse_token(value);
			break;
		case DF_OPTION_USERNAME:
			valid = *value != '\0' && !has_control_character(value) && strchr(value, ':') == NULL;
			break;
		case DF_OPTION_PASSWORD:
			valid = !has_control_character(value);
			break;
		case DF_OPTION_PATH:
			valid = *value == '/' && !has_control_character(value);
			break;
		case DF_OPTION_HEADER_NAME:
			valid = *value == '\0' || df_header_name_is_legal(value, strlen(value));
			break;
		case DF_OPTION_FIELD:
			valid = is_field_name(value);
			break;
		default:
			valid = *value != '\0' && !has_control_character(value);
			break;
	}
	if (valid)
		*field = pstrdup(value);
	return valid;
}

/* written like a setting of the server, but a number without unit is in seconds */
static bool
parse_duration(const DfOption *option, const char *value, int64 *ms)
{
	double seconds;
	const char *ignored;

	if (!parse_real(value, &seconds, GUC_UNIT_S, &ignored))
		return false;
	seconds = rint(seconds * 1000.0);
	if (!(seconds >= option->min && seconds <= option->max))
		return false;
	*ms = (int64) seconds;
	return true;
}

static bool
parse_number(const DfOption *option, const char *value, int *number)
{
	int flags = option->kind == DF_OPTION_BYTES ? GUC_UNIT_BYTE : 0;
	const char *ignored;

	return parse_int(value, number, flags, &ignored) &&
		*number >= option->min && *number <= option->max;
}

/* 'N/s', 'N/min' or 'N/h' */
static bool
parse_rate(const char *value, double *per_second)
{
	static const struct
	{
		const char *name;
		double seconds;
	} units[] = {{"/s", 1}, {"/min", 60}, {"/h", 3600}};
	char *end;
	double count;

	if (strspn(value, "0123456789.") == 0 || *value == '.')
		return false;
	count = strtod(value, &end);
	if (end != value + strspn(value, "0123456789."))
		return false;
	for (int i = 0; i < lengthof(units); i++)
	{
		double rate = count / units[i].seconds;

		if (strcmp(end, units[i].name) != 0)
			continue;
		if (!(rate >= MIN_RATE_PER_SECOND && rate <= MAX_RATE_PER_SECOND))
			return false;
		*per_second = rate;
		return true;
	}
	return false;
}

static bool
parse_content_type(const char *value, char **field)
{
	if (df_content_type_problem(value) != NULL)
		return false;
	*field = pstrdup(value);
	return true;
}

static bool
parse_grant(const char *value, DfGrant *grant)
{
	static const char *const names[] = {
		[DF_GRANT_CLIENT_CREDENTIALS] = "client_credentials",
		[DF_GRANT_REFRESH_TOKEN] = "refresh_token",
		[DF_GRANT_JWT_BEARER] = "jwt_bearer",
	};

	for (int i = 0; i < lengthof(names); i++)
	{
		if (strcmp(value, names[i]) != 0)
			continue;
		*grant = (DfGrant) i;
		return true;
	}
	return false;
}

static bool
parse_private_key(const char *value, char **field, const char **why)
{
	*why = df_jwt_key_problem(value);
	if (*why != NULL)
		return false;
	*field = pstrdup(value);
	return true;
}

/* in the year 5138 */
#define LATEST_PAUSE INT64CONST(99999999999)

/* {"by": a role, "at": seconds of Unix time, "note": why, if it was said} */
static bool
parse_pause(const char *value, char **field)
{
	Jsonb *pause = df_json_parse(value, strlen(value), CurrentMemoryContext);
	int64 at = df_json_get_int(pause, "at", -1);

	if (df_json_get_text(pause, "by") == NULL || at < 0 || at > LATEST_PAUSE)
		return false;
	*field = pstrdup(value);
	return true;
}

static bool
parse_starttls(const char *value, bool *in_clear)
{
	*in_clear = strcmp(value, "off") == 0;
	return *in_clear || strcmp(value, "require") == 0;
}

/* provider:provider:region:service */
static const char *
aws_problem(const char *value)
{
	int parts = 1;
	size_t len = 0;

	for (const char *c = value; *c != '\0'; c++)
	{
		if (*c == ':' ? len == 0 : !isalnum((unsigned char) *c) && strchr("-_", *c) == NULL)
			return "it has an empty part, or a character other than letters, digits and hyphens";
		parts += *c == ':';
		len = *c == ':' ? 0 : len + 1;
		if (len > LONGEST_AWS_PART)
			return "it has a part that is too long";
	}
	return parts == 4 && len > 0 ? NULL : "it does not have four parts";
}

static const char *
url_path_problem(const char *value)
{
	const char *why = "it does not begin with a slash, ends with one, or has a query";

	if (*value != '/' || value[strlen(value) - 1] == '/' || strchr(value, '?') != NULL)
		return why;
	(void) df_url_join("https://system", value, &why);
	return why;
}

static const char *
socket_problem(const char *value)
{
	if (*value != '/' || has_control_character(value))
		return "it is not an absolute path";
	return strlen(value) < LONGEST_SOCKET_PATH ? NULL : "it is longer than a socket's path may be";
}

static const char *
way_problem(DfOptionKind kind, const char *value)
{
	DfSigning signing;
	const char *why;

	switch (kind)
	{
		case DF_OPTION_SIGN:
			return df_signing_parse(value, &signing, &why) ? NULL : why;
		case DF_OPTION_SIGN_VALUE:
			return df_signing_value_problem(value);
		case DF_OPTION_AWS_SIGV4:
			return aws_problem(value);
		case DF_OPTION_PROXY:
			return df_url_proxy_problem(value);
		case DF_OPTION_URL_PATH:
			return url_path_problem(value);
		default:
			return socket_problem(value);
	}
}

bool
df_option_parse(const DfOption *option, const char *value, void *field, const char **why)
{
	int64 ms;
	int number;

	*why = NULL;
	switch (option->kind)
	{
		case DF_OPTION_URL:
		case DF_OPTION_HTTP_URL:
			return parse_url(option, value, field, why);
		case DF_OPTION_ORIGINS:
			return parse_origins(value, field, why);
		case DF_OPTION_FORMERLY:
			return parse_urls(value, field, why);
		case DF_OPTION_SIGN:
		case DF_OPTION_SIGN_VALUE:
		case DF_OPTION_AWS_SIGV4:
		case DF_OPTION_PROXY:
		case DF_OPTION_SOCKET_PATH:
		case DF_OPTION_URL_PATH:
			*why = way_problem(option->kind, value);
			if (*why == NULL)
				*(char **) field = pstrdup(value);
			return *why == NULL;
		case DF_OPTION_MS:
			if (!parse_duration(option, value, &ms))
				return false;
			*(int *) field = (int) ms;
			return true;
		case DF_OPTION_LONG_MS:
			return parse_duration(option, value, field);
		case DF_OPTION_INT:
			return parse_number(option, value, field);
		case DF_OPTION_BYTES:
			if (!parse_number(option, value, &number))
				return false;
			*(int64 *) field = number;
			return true;
		case DF_OPTION_BOOL:
			return parse_bool(value, field);
		case DF_OPTION_ENCODING:
			return df_encoding_named(value, field);
		case DF_OPTION_FORM_ARRAYS:
			return df_form_arrays_named(value, field);
		case DF_OPTION_CONTENT_TYPE:
			return parse_content_type(value, field);
		case DF_OPTION_STARTTLS:
			return parse_starttls(value, field);
		case DF_OPTION_RATE:
			return parse_rate(value, field);
		case DF_OPTION_PAUSE:
			return parse_pause(value, field);
		case DF_OPTION_GRANT:
			return parse_grant(value, field);
		case DF_OPTION_PRIVATE_KEY:
			return parse_private_key(value, field, why);
		default:
			return parse_text(option, value, field);
	}
}

char *
df_duration_text(double ms)
{
	static const struct
	{
		const char *name;
		int64 ms;
	} units[] = {{"d", 86400000}, {"h", 3600000}, {"min", 60000}, {"s", 1000}, {"ms", 1}};

	for (int i = 0; i < lengthof(units); i++)
		if ((int64) ms >= units[i].ms && (int64) ms % units[i].ms == 0)
			return psprintf(INT64_FORMAT "%s", (int64) ms / units[i].ms, units[i].name);
	return pstrdup("0");
}

char *
df_option_valid(const DfOption *option)
{
	switch (option->kind)
	{
		case DF_OPTION_URL:
			return pstrdup(
				"Write an absolute URL such as \"https://api.example.com/v1\" or "
				"\"smtp://mail.example.com:587\"; credentials belong in a USER MAPPING.");
		case DF_OPTION_HTTP_URL:
			return pstrdup("Write an absolute URL such as \"https://auth.example.com/token\".");
		case DF_OPTION_ORIGINS:
			return pstrdup("Write scheme, host and port of each, separated by spaces, such as "
						   "\"https://auth.internal:8443\".");
		case DF_OPTION_FORMERLY:
			return pstrdup("Write the urls that the server had before, separated by spaces, such "
						   "as \"https://old.example.com/v1\".");
		case DF_OPTION_TOKEN:
			return pstrdup("Write printable ASCII characters without spaces.");
		case DF_OPTION_USERNAME:
			return pstrdup("Write text without control characters and without a colon.");
		case DF_OPTION_PASSWORD:
			return pstrdup("Write text without control characters; some systems want it empty.");
		case DF_OPTION_PAUSE:
			return pstrdup("Leave this option to dataflows.pause_system() and "
						   "dataflows.resume_system().");
		case DF_OPTION_PATH:
			return pstrdup("Write the absolute path of a file on the server.");
		case DF_OPTION_FIELD:
			return pstrdup("Write a name of letters, digits, \"_\", \".\" and \"-\", such as "
						   "\"idempotency_key\".");
		case DF_OPTION_HEADER_NAME:
			return pstrdup("Write the name of a header, of letters, digits and hyphens, or '' so "
						   "that none is sent.");
		case DF_OPTION_HEADER:
			return pstrdup(
				"Write text without control characters, not empty and not beginning with a space.");
		case DF_OPTION_MS:
		case DF_OPTION_LONG_MS:
			return psprintf("Write a duration from %s to %s, such as \"100ms\", \"30s\", \"5min\" "
							"or \"24h\"; a plain number is seconds.",
							df_duration_text(option->min), df_duration_text(option->max));
		case DF_OPTION_INT:
			return psprintf("Write a whole number from %d to %d.", (int) option->min,
							(int) option->max);
		case DF_OPTION_BYTES:
			return psprintf("Write a size from %d to %d bytes, such as \"64kB\" or \"10MB\"; a "
							"plain number is bytes.",
							(int) option->min, (int) option->max);
		case DF_OPTION_BOOL:
			return pstrdup("Write \"true\" or \"false\".");
		case DF_OPTION_GRANT:
			return pstrdup(
				"Write \"client_credentials\", \"refresh_token\" or \"jwt_bearer\".");
		case DF_OPTION_PRIVATE_KEY:
			return pstrdup("Write a private key in PEM, unencrypted: RSA with at least 2048 bits, "
						   "or an elliptic curve key of P-256.");
		case DF_OPTION_ENCODING:
			return pstrdup(DF_ENCODINGS_HINT);
		case DF_OPTION_SIGN:
			return pstrdup("Write the digest, the header and the text that is signed, such as "
						   "\"hmac-sha256:X-Signature:{timestamp}.{body}\"; the text may have "
						   "{timestamp}, {timestamp_ms}, {method}, {path}, {url}, "
						   "{idempotency_key} and {body}.");
		case DF_OPTION_SIGN_VALUE:
			return pstrdup("Write the value of the header, such as "
						   "\"t={timestamp},v1={signature}\".");
		case DF_OPTION_AWS_SIGV4:
			return pstrdup("Write provider, provider, region and service, such as "
						   "\"aws:amz:eu-west-1:ses\".");
		case DF_OPTION_PROXY:
			return pstrdup("Write scheme, host and port, such as \"http://proxy.internal:3128\" or "
						   "\"socks5h://proxy.internal:1080\"; credentials belong in a USER "
						   "MAPPING.");
		case DF_OPTION_SOCKET_PATH:
			return psprintf("Write the absolute path of a Unix socket, of less than %d bytes.",
							LONGEST_SOCKET_PATH);
		case DF_OPTION_URL_PATH:
			return pstrdup("Write a path such as \"/bot123:abc\", which follows that of the url.");
		case DF_OPTION_FORM_ARRAYS:
			return pstrdup(DF_FORM_ARRAYS_HINT);
		case DF_OPTION_CONTENT_TYPE:
			return pstrdup("Write a type such as \"text/xml; charset=utf-8\"; bodies are sent in "
						   "UTF-8.");
		case DF_OPTION_STARTTLS:
			return pstrdup("Write \"require\" or \"off\".");
		case DF_OPTION_RATE:
			return pstrdup("Write a number above 0 per second, minute or hour, such as \"100/s\", "
						   "\"600/min\" or \"1000/h\".");
		default:
			return pstrdup("Write text that is not empty and has no control characters.");
	}
}
