/*
 * fdw/send_options.c
 *	  The options by which requests are signed, and go by another way; secrets in URLs.
 *
 * Runs where fdw/options.c does: in a session that creates or alters a server or a user
 * mapping, and in workers.  Raises no errors.  Never quote a value here: it may be a secret.
 */
#include "postgres.h"

#include "fdw/options.h"
#include "http/url.h"
#include "shared/encoding.h"
#include "shared/header.h"
#include "shared/signing.h"

/* ---- parameters of URLs --------------------------------------------------- */

bool
df_query_set_named(DfNamedValues *to, const DfOption *option, const char *name,
				   const char *value, DfOptionProblem *problem)
{
	if (*name == '\0')
		return df_refuse(problem, ERRCODE_FDW_INVALID_OPTION_NAME,
						 pstrdup("an option that sets a parameter of URLs has no name"),
						 pstrdup("Write \"query.\" and the name of the parameter, such as "
								 "\"query.api_key\"."));
	if (*value == '\0')
		return df_refuse(problem, ERRCODE_INVALID_PARAMETER_VALUE,
						 psprintf("invalid value for option \"query.%s\"", name),
						 df_option_valid(option));
	df_named_values_set(to, name, value);
	return true;
}

char **
df_query_pairs(const DfSystem *system, bool with_values)
{
	char **pairs = palloc(sizeof(char *) * (system->query.n + 1));

	for (int i = 0; i < system->query.n; i++)
		pairs[i] = psprintf("%s=%s", df_url_encode(df_text_to_utf8(system->query.names[i])),
							with_values ? df_url_encode(df_text_to_utf8(system->query.values[i]))
										: "");
	pairs[system->query.n] = NULL;
	return pairs;
}

char *
df_system_base(const DfSystem *system)
{
	const char *why;
	char *base = system->secret_path == NULL
		? NULL
		: df_url_join(system->url, df_text_to_utf8(system->secret_path), &why);

	return base != NULL ? base : pstrdup(system->url);
}

/* ---- signatures ----------------------------------------------------------- */

char *
df_sign_timestamp_header(const DfSystem *system, const DfSigning *signing)
{
	if (!df_signing_names_time(signing->text))
		return NULL;
	if (system->sign_timestamp != NULL)
		return *system->sign_timestamp != '\0' ? pstrdup(system->sign_timestamp) : NULL;
	return df_signing_names_time(system->sign_value) ? NULL
													 : psprintf("%s-Timestamp", signing->header);
}

bool
df_system_writes_header(const DfSystem *system, const char *name, size_t len)
{
	DfSigning signing;
	const char *why;
	char *timestamp;

	if (system->aws_sigv4 != NULL)
		return df_header_is(name, len, "Authorization") || df_header_is(name, len, "X-Amz-Date") ||
			df_header_is(name, len, "X-Amz-Content-Sha256") ||
			df_header_is(name, len, "X-Amz-Security-Token");
	if (system->sign == NULL || !df_signing_parse(system->sign, &signing, &why))
		return false;
	timestamp = df_sign_timestamp_header(system, &signing);
	return df_header_is(name, len, signing.header) ||
		(timestamp != NULL && df_header_is(name, len, timestamp));
}

/* ---- of a server ---------------------------------------------------------- */

static bool
refuse_pair(DfOptionProblem *problem, const char *one, const char *other)
{
	return df_refuse(problem, ERRCODE_INVALID_PARAMETER_VALUE,
					 psprintf("option \"%s\" does not go with option \"%s\"", one, other),
					 pstrdup("Drop one of them."));
}

/* a header that the engine writes itself may have no option of its own */
static bool
header_is_free(const DfSystem *system, const char *option, const char *name,
			   DfOptionProblem *problem)
{
	bool is_key = system->idempotency_header != NULL &&
		df_header_is(name, strlen(name), system->idempotency_header);

	if (!is_key && df_system_header(system, name) < 0)
		return true;
	return df_refuse(problem, ERRCODE_INVALID_PARAMETER_VALUE,
					 psprintf("option \"%s\" names a header that another option sets", option),
					 pstrdup("Drop the other option, or name another header."));
}

static bool
signing_complete(const DfSystem *system, DfOptionProblem *problem)
{
	DfSigning signing;
	const char *why;

	if (system->sign == NULL)
		return system->sign_value != NULL ? df_needs_also(problem, "sign_value", "sign")
			: system->sign_timestamp != NULL
			? df_needs_also(problem, "sign_timestamp", "sign")
			: true;
	if (!df_signing_parse(system->sign, &signing, &why) ||
		!header_is_free(system, "sign", signing.header, problem))
		return false;
	if (system->sign_timestamp == NULL || *system->sign_timestamp == '\0')
		return true;
	if (df_header_kind(system->sign_timestamp, strlen(system->sign_timestamp)) != DF_HEADER_FREE)
		return df_refuse(problem, ERRCODE_INVALID_PARAMETER_VALUE,
						 pstrdup("invalid value for option \"sign_timestamp\""),
						 pstrdup("Name a header that has no other meaning, such as "
								 "\"X-Signature-Timestamp\", or write '' so that none is sent."));
	if (df_header_is(signing.header, strlen(signing.header), system->sign_timestamp))
		return refuse_pair(problem, "sign_timestamp", "sign");
	return header_is_free(system, "sign_timestamp", system->sign_timestamp, problem);
}

bool
df_send_server_rules(const DfSystem *system, DfOptionProblem *problem)
{
	if (system->sign != NULL && system->aws_sigv4 != NULL)
		return refuse_pair(problem, "sign", "aws_sigv4");
	/* what is signed is one request to one address */
	if (system->follow_redirects > 0 && (system->sign != NULL || system->aws_sigv4 != NULL))
		return refuse_pair(problem, "follow_redirects",
						   system->sign != NULL ? "sign" : "aws_sigv4");
	if (system->proxy != NULL && system->unix_socket != NULL)
		return refuse_pair(problem, "proxy", "unix_socket");
	if (system->proxy_ca_file != NULL &&
		(system->proxy == NULL || df_url_scheme(system->proxy) != DF_URL_HTTPS))
		return df_refuse(problem, ERRCODE_INVALID_PARAMETER_VALUE,
						 pstrdup("option \"proxy_ca_file\" is for a proxy by https"),
						 pstrdup("Drop it, or give a \"proxy\" that begins with https."));
	if (system->aws_sigv4 != NULL && df_system_header(system, "X-Amz-Date") >= 0)
		return refuse_pair(problem, "header.X-Amz-Date", "aws_sigv4");
	return signing_complete(system, problem);
}

/* ---- of a user mapping ---------------------------------------------------- */

bool
df_send_mapping_rules(const DfSystem *system, DfOptionProblem *problem)
{
	const DfOptionPair pairs[] = {
		{"aws_access_key_id", system->aws_access_key, "aws_secret_access_key",
		 system->aws_secret_key},
		{"aws_secret_access_key", system->aws_secret_key, "aws_access_key_id",
		 system->aws_access_key},
		{"aws_session_token", system->aws_session_token, "aws_access_key_id",
		 system->aws_access_key},
		{"proxy_username", system->proxy_username, "proxy_password", system->proxy_password},
		{"proxy_password", system->proxy_password, "proxy_username", system->proxy_username},
	};

	return df_pairs_complete(pairs, lengthof(pairs), problem);
}

/* ---- of both -------------------------------------------------------------- */

static bool
refuse_without(DfOptionProblem *problem, const char *option, const char *other, const char *where)
{
	return df_refuse(problem, ERRCODE_FDW_OPTION_NAME_NOT_FOUND,
					 psprintf("option \"%s\" requires option \"%s\" of the %s", option, other,
							  where),
					 psprintf("Set \"%s\" on the %s, or drop \"%s\".", other, where, option));
}

/* two would set one header twice */
static bool
authorization_is_free(const DfSystem *system, const char *option, DfOptionProblem *problem)
{
	if (system->bearer_token == NULL && system->oauth_token_url == NULL &&
		df_system_header(system, "Authorization") < 0)
		return true;
	return df_refuse(problem, ERRCODE_INVALID_PARAMETER_VALUE,
					 psprintf("option \"%s\" writes the header Authorization, and the user mapping "
							  "has another way to authenticate",
							  option),
					 pstrdup("Drop the one or the other."));
}

static bool
aws_fits(const DfSystem *system, DfOptionProblem *problem)
{
	if (system->aws_sigv4 == NULL)
		return system->aws_access_key == NULL
			? true
			: refuse_without(problem, "aws_access_key_id", "aws_sigv4", "SERVER");
	if (system->aws_access_key == NULL && system->username == NULL)
		return refuse_without(problem, "aws_sigv4", "aws_access_key_id", "USER MAPPING");
	if (system->aws_access_key != NULL && system->username != NULL)
		return refuse_pair(problem, "username", "aws_access_key_id");
	return authorization_is_free(system, "aws_sigv4", problem);
}

static bool
signing_fits(const DfSystem *system, DfOptionProblem *problem)
{
	DfSigning signing;
	const char *why;

	if (system->sign == NULL)
		return system->signing_secret == NULL
			? true
			: refuse_without(problem, "signing_secret", "sign", "SERVER");
	if (system->signing_secret == NULL)
		return refuse_without(problem, "sign", "signing_secret", "USER MAPPING");
	if (!df_signing_parse(system->sign, &signing, &why))
		return true; /* the validator has refused it */
	if (df_header_is(signing.header, strlen(signing.header), "Authorization"))
		return system->username != NULL
			? refuse_pair(problem, "username", "sign")
			: authorization_is_free(system, "sign", problem);
	return header_is_free(system, "sign", signing.header, problem);
}

static bool
mail_fits(const DfSystem *system, DfOptionProblem *problem)
{
	if (system->query.n == 0 && system->secret_path == NULL && system->signing_secret == NULL &&
		system->aws_access_key == NULL)
		return true;
	return df_refuse(problem, ERRCODE_FDW_INVALID_OPTION_NAME,
					 pstrdup("the user mapping of a mail server has options for HTTP"),
					 pstrdup("Drop \"query.name\", \"secret_path\", \"signing_secret\" and "
							 "\"aws_access_key_id\"."));
}

bool
df_send_options_fit(const DfSystem *system, DfOptionProblem *problem)
{
	if (system->proxy_username != NULL && system->proxy == NULL)
		return refuse_without(problem, "proxy_username", "proxy", "SERVER");
	if (system->mail)
		return mail_fits(system, problem);
	for (int i = 0; i < system->query.n; i++)
		if (system->idempotency_query != NULL &&
			strcmp(system->query.names[i], system->idempotency_query) == 0)
			return refuse_pair(problem, psprintf("query.%s", system->query.names[i]),
							   "idempotency_query");
	return aws_fits(system, problem) && signing_fits(system, problem);
}
