/*
 * fdw/option_rules.c
 *	  Which options go together: of a server, of a user mapping, and of both.
 *
 * Runs where fdw/options.c does: in a session that creates or alters a server or a user
 * mapping, and in workers.  Raises no errors.  Never quote a value here: it may be a secret.
 */
#include "postgres.h"

#include "fdw/options.h"
#include "http/url.h"
#include "shared/format_names.h"
#include "shared/header.h"

int
df_system_header(const DfSystem *system, const char *name)
{
	for (int i = 0; i < system->nheaders; i++)
		if (df_header_line_is(system->headers[i], name))
			return i;
	return -1;
}

/* ---- of a server ---------------------------------------------------------- */

bool
df_needs_also(DfOptionProblem *problem, const char *option, const char *other)
{
	return df_refuse(problem, ERRCODE_FDW_OPTION_NAME_NOT_FOUND,
					 psprintf("option \"%s\" requires option \"%s\"", option, other),
					 psprintf("Set both \"%s\" and \"%s\", or neither.", option, other));
}

bool
df_pairs_complete(const DfOptionPair *pairs, int n, DfOptionProblem *problem)
{
	for (int i = 0; i < n; i++)
		if (pairs[i].value != NULL && pairs[i].needed == NULL)
			return df_needs_also(problem, pairs[i].name, pairs[i].needs);
	return true;
}

/* the type of content is said once, and goes with the encoding */
static bool
body_format_complete(const DfSystem *system, DfOptionProblem *problem)
{
	const char *why = df_body_format_problem(&system->body);

	if (why == NULL && system->body.encoding == DF_ENCODING_MULTIPART &&
		df_system_header(system, "Content-Type") >= 0)
		why = "that of a multipart body is written by the engine, with its boundary";
	if (why != NULL)
		return df_refuse(problem, ERRCODE_INVALID_PARAMETER_VALUE,
						 pstrdup("option \"content_type\" does not go with option \"encoding\""),
						 psprintf("Drop the type of content: %s.", why));
	if (system->body.content_type == NULL || df_system_header(system, "Content-Type") < 0)
		return true;
	return df_refuse(problem, ERRCODE_INVALID_PARAMETER_VALUE,
					 pstrdup("the type of content is set twice"),
					 pstrdup("Drop \"content_type\" or \"header.Content-Type\"."));
}

bool
df_server_rules(const DfSystem *system, DfOptionProblem *problem)
{
	if (system->url == NULL)
		return df_refuse(
			problem, ERRCODE_FDW_OPTION_NAME_NOT_FOUND, pstrdup("option \"url\" is required"),
			pstrdup("Say where the system is: OPTIONS (url 'https://api.example.com/v1')."));
	if (system->retry.initial_ms > system->retry.max_ms)
		return df_refuse(problem, ERRCODE_INVALID_PARAMETER_VALUE,
						 pstrdup("option \"retry_initial\" is longer than \"retry_max\""),
						 psprintf("Set \"retry_max\" to at least \"retry_initial\"; where they "
								  "are not set, they are %s and %s.",
								  df_duration_text(df_system_presets()->retry.max_ms),
								  df_duration_text(df_system_presets()->retry.initial_ms)));
	if (system->idempotency_header != NULL &&
		df_system_header(system, system->idempotency_header) >= 0)
		return df_refuse(
			problem, ERRCODE_INVALID_PARAMETER_VALUE,
			pstrdup("option \"idempotency_header\" names a header that has an option of its own"),
			pstrdup("Each step has its own key; drop the option that sets this header."));
	return body_format_complete(system, problem) && df_send_server_rules(system, problem);
}

/* ---- of a user mapping ---------------------------------------------------- */

static bool
mapping_pairs_complete(const DfSystem *system, DfOptionProblem *problem)
{
	const DfOptionPair pairs[] = {
		{"password", system->password, "username", system->username},
		{"client_cert", system->client_cert, "client_key", system->client_key},
		{"client_key", system->client_key, "client_cert", system->client_cert},
	};

	if (!df_pairs_complete(pairs, lengthof(pairs), problem))
		return false;
	/* a mail server wants to know whose token it is */
	if (system->username != NULL && system->password == NULL && system->oauth_token_url == NULL)
		return df_needs_also(problem, "username", "password");
	if (system->webhook_secret_old != NULL && system->webhook_secret == NULL)
		return df_refuse(problem, ERRCODE_FDW_OPTION_NAME_NOT_FOUND,
						 pstrdup("option \"webhook_secret_old\" requires option "
								 "\"webhook_secret\""),
						 pstrdup("Set \"webhook_secret\" to the present secret and "
								 "\"webhook_secret_old\" to the one before."));
	return true;
}

/* two ways to authenticate would set one header twice */
bool
df_mapping_rules(const DfSystem *system, DfOptionProblem *problem)
{
	int ways = (system->bearer_token != NULL) + (system->password != NULL) +
		(system->oauth_token_url != NULL) + (df_system_header(system, "Authorization") >= 0) +
		(system->aws_access_key != NULL);

	if (!mapping_pairs_complete(system, problem) || !df_oauth_complete(system, problem) ||
		!df_send_mapping_rules(system, problem))
		return false;
	if (ways > 1)
		return df_refuse(problem, ERRCODE_INVALID_PARAMETER_VALUE,
						 pstrdup("more than one way to authenticate is set"),
						 pstrdup("Set only one of \"bearer_token\", \"username\" with "
								 "\"password\", \"oauth_token_url\" with its options, or "
								 "\"header.Authorization\"."));
	return true;
}

/* ---- of both -------------------------------------------------------------- */

/*
 * Credentials are never sent in clear, unless a superuser has set both that there is no TLS
 * and that private addresses are allowed.
 */
static bool
mail_options_fit(const DfSystem *system, DfOptionProblem *problem)
{
	if (system->bearer_token != NULL || system->nheaders > 0)
		return df_refuse(problem, ERRCODE_FDW_INVALID_OPTION_NAME,
						 pstrdup("the user mapping of a mail server may have no token and no "
								 "headers"),
						 pstrdup("Set \"username\" and \"password\", or none of them."));
	if (system->oauth_token_url != NULL && system->username == NULL)
		return df_needs_also(problem, "oauth_token_url", "username");
	if (system->username != NULL && system->mail_in_clear && !system->allow_private)
		return df_refuse(problem, ERRCODE_INVALID_PARAMETER_VALUE,
						 pstrdup("the password would be sent in clear (\"starttls\" is off)"),
						 pstrdup("Drop the option \"starttls\", or the user mapping's "
								 "credentials."));
	return true;
}

static bool
is_https(const char *url)
{
	return df_url_scheme(url) == DF_URL_HTTPS;
}

bool
df_system_allows_private(const DfSystem *system, const char *url)
{
	if (system->allow_private && df_url_same_origin(system->url, url))
		return true;
	return df_url_origin_in(system->private_origins, url);
}

/* the client's secrets, and the tokens that they are worth, are never sent in clear */
static bool
token_url_fits(const DfSystem *system, DfOptionProblem *problem)
{
	if (is_https(system->oauth_token_url) ||
		df_system_allows_private(system, system->oauth_token_url))
		return true;
	return df_refuse(problem, ERRCODE_INVALID_PARAMETER_VALUE,
					 pstrdup("the client's secret would go out in the clear, as "
							 "\"oauth_token_url\" is not https"),
					 pstrdup("Use https, or have a superuser name its origin in "
							 "\"private_origins\" of the server."));
}

bool
df_options_fit(const DfSystem *system, DfOptionProblem *problem)
{
	if (system->oauth_token_url != NULL && !token_url_fits(system, problem))
		return false;
	if (!df_send_options_fit(system, problem))
		return false;
	if (system->mail)
		return mail_options_fit(system, problem);
	if (system->username != NULL && system->password == NULL)
		return df_refuse(
			problem, ERRCODE_FDW_INVALID_OPTION_NAME,
			pstrdup("\"username\" without \"password\" is for mail servers only"),
			pstrdup("Drop \"username\": an HTTP system gets the token alone."));
	if (system->oauth_token_url == NULL || is_https(system->url) || system->allow_private ||
		system->unix_socket != NULL)
		return true;
	return df_refuse(
		problem, ERRCODE_INVALID_PARAMETER_VALUE,
		pstrdup("its token would go out in the clear, as \"url\" is not https"),
		pstrdup("Use https, or have a superuser set \"allow_private\" on the server."));
}
