/*
 * fdw/oauth_options.c
 *	  The options that say how an access token is obtained.
 *
 * Runs where fdw/options.c does: in a session that creates or alters a user mapping, and in
 * workers.  Raises no errors.  Never quote a value here: it may be a secret.
 */
#include "postgres.h"

#include "catalog/pg_foreign_server.h"
#include "catalog/pg_user_mapping.h"
#include "fdw/options.h"

/* fields of the request, and claims of an assertion, that are made from other options */
static const char *const own_fields[][2] = {
	{"grant_type", "grant"},
	{"client_id", "client_id"},
	{"client_secret", "client_secret"},
	{"scope", "scope"},
	{"refresh_token", "refresh_token"},
	{"assertion", "jwt_key"},
};
static const char *const own_claims[][2] = {
	{"exp", "jwt_lifetime"},
	{"iat", "jwt_lifetime"},
};

/* what a name contains that is a secret's */
static const char *const secret_words[] = {"secret", "password", "assertion", "token", "key"};

static const char *
own_option(const DfOption *family, const char *name)
{
	const char *const(*own)[2] = family->kind == DF_OPTION_CLAIM ? own_claims : own_fields;
	int n = family->kind == DF_OPTION_CLAIM ? lengthof(own_claims) : lengthof(own_fields);

	for (int i = 0; i < n; i++)
		if (strcmp(name, own[i][0]) == 0)
			return own[i][1];
	return NULL;
}

static bool
looks_secret(const char *name)
{
	for (int i = 0; i < lengthof(secret_words); i++)
		if (strstr(name, secret_words[i]) != NULL)
			return true;
	return false;
}

/* no field of a token request and no claim has other characters */
static bool
name_is_valid(const char *name)
{
	size_t len = strlen(name);

	return len > 0 && len <= 100 &&
		strspn(name, "abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789_-.:/") == len;
}

void
df_named_values_set(DfNamedValues *to, const char *name, const char *value)
{
	int at = 0;

	while (at < to->n && strcmp(to->names[at], name) != 0)
		at++;
	if (at == to->n)
	{
		to->n++;
		to->names = to->names == NULL ? palloc(sizeof(char *))
									  : repalloc(to->names, to->n * sizeof(char *));
		to->values = to->values == NULL ? palloc(sizeof(char *))
										: repalloc(to->values, to->n * sizeof(char *));
		to->names[at] = pstrdup(name);
	}
	to->values[at] = pstrdup(value);
}

bool
df_oauth_set_named(DfNamedValues *to, const DfOption *option, Oid catalog, const char *name,
				   const char *value, DfOptionProblem *problem)
{
	const char *family = option->kind == DF_OPTION_CLAIM ? "claim" : "token";
	const char *own = own_option(option, name);

	if (!name_is_valid(name))
		return df_refuse(
			problem, ERRCODE_FDW_INVALID_OPTION_NAME,
			psprintf("an option \"%s.name\" has an invalid name", family),
			pstrdup("Write a name of letters, digits and _ - . : /, of at most 100 characters."));
	if (own != NULL)
		return df_refuse(problem, ERRCODE_FDW_INVALID_OPTION_NAME,
						 psprintf("option \"%s.%s\" is not allowed", family, name),
						 psprintf("Set the option \"%s\".", own));
	if (catalog == ForeignServerRelationId && looks_secret(name))
		return df_refuse(
			problem, ERRCODE_FDW_INVALID_OPTION_NAME,
			psprintf("option \"%s.%s\" is not allowed on a SERVER", family, name),
			pstrdup("Every role can read the options of a server; set it on a USER MAPPING."));
	if (*value == '\0')
		return df_refuse(problem, ERRCODE_INVALID_PARAMETER_VALUE,
						 psprintf("invalid value for option \"%s.%s\"", family, name),
						 df_option_valid(option));
	df_named_values_set(to, name, value);
	return true;
}

void
df_named_values_forget(DfNamedValues *values)
{
	for (int i = 0; i < values->n; i++)
		explicit_bzero(values->values[i], strlen(values->values[i]));
	values->n = 0;
}

/* an option of another grant would have no effect, and somebody would rely on it */
static bool
no_other_grants(const DfSystem *system, DfOptionProblem *problem)
{
	const struct
	{
		const char *name;
		bool given;
		DfGrant grant;
		const char *grant_name;
	} options[] = {
		{"refresh_token", system->refresh_token != NULL, DF_GRANT_REFRESH_TOKEN, "refresh_token"},
		{"jwt_key", system->jwt_key != NULL, DF_GRANT_JWT_BEARER, "jwt_bearer"},
		{"jwt_key_id", system->jwt_key_id != NULL, DF_GRANT_JWT_BEARER, "jwt_bearer"},
		{"claim.name", system->claims.n > 0, DF_GRANT_JWT_BEARER, "jwt_bearer"},
	};

	for (int i = 0; i < lengthof(options); i++)
		if (options[i].given && system->oauth_grant != options[i].grant)
			return df_refuse(problem, ERRCODE_FDW_OPTION_NAME_NOT_FOUND,
							 psprintf("option \"%s\" requires option \"grant\" '%s'",
									  options[i].name, options[i].grant_name),
							 psprintf("Set \"grant\" to '%s', or drop \"%s\".",
									  options[i].grant_name, options[i].name));
	return true;
}

static bool
has_claim(const DfSystem *system, const char *name)
{
	for (int i = 0; i < system->claims.n; i++)
		if (strcmp(system->claims.names[i], name) == 0)
			return true;
	return false;
}

/* without a token URL none of them has an effect */
static bool
no_token_options(const DfSystem *system, DfOptionProblem *problem)
{
	const struct
	{
		const char *name;
		bool given;
	} options[] = {
		{"client_id", system->oauth_client_id != NULL},
		{"client_secret", system->oauth_client_secret != NULL},
		{"scope", system->oauth_scope != NULL},
		{"grant", system->oauth_grant != DF_GRANT_CLIENT_CREDENTIALS},
	};

	for (int i = 0; i < lengthof(options); i++)
		if (options[i].given)
			return df_needs_also(problem, options[i].name, "oauth_token_url");
	return true;
}

bool
df_oauth_complete(const DfSystem *system, DfOptionProblem *problem)
{
	if (!no_other_grants(system, problem))
		return false;
	if (system->oauth_token_url == NULL)
		return no_token_options(system, problem);
	switch (system->oauth_grant)
	{
		case DF_GRANT_CLIENT_CREDENTIALS:
			if (system->oauth_client_id == NULL)
				return df_needs_also(problem, "oauth_token_url", "client_id");
			if (system->oauth_client_secret == NULL)
				return df_needs_also(problem, "client_id", "client_secret");
			return true;
		case DF_GRANT_REFRESH_TOKEN:
			if (system->oauth_client_id == NULL)
				return df_needs_also(problem, "grant", "client_id");
			if (system->refresh_token == NULL)
				return df_needs_also(problem, "grant", "refresh_token");
			return true;
		case DF_GRANT_JWT_BEARER:
			if (system->jwt_key == NULL)
				return df_needs_also(problem, "grant", "jwt_key");
			if (system->oauth_client_id == NULL && !has_claim(system, "iss"))
				return df_needs_also(problem, "grant", "client_id");
			if (system->oauth_client_secret != NULL && system->oauth_client_id == NULL)
				return df_needs_also(problem, "client_secret", "client_id");
			return true;
	}
	return true;
}
