/*
 * worker/token_form.c
 *	  What is sent to an authorization server for a token.
 *
 * Runs in a worker, in a turn's transaction, in memory of the turn.  Builds the form of each
 * grant (RFC 6749, 4.4.2 and 6; RFC 7523, 2.1).  Secrets are wiped from all memory but the
 * result.  Never log any of it.
 */
#include "postgres.h"

#include "http/url.h"
#include "lib/stringinfo.h"
#include "shared/clock.h"
#include "shared/encoding.h"
#include "shared/json.h"
#include "shared/jwt.h"
#include "utils/timestamp.h"
#include "worker/token_form.h"

#define JWT_BEARER "urn:ietf:params:oauth:grant-type:jwt-bearer"

static void
wipe(char *text)
{
	explicit_bzero(text, strlen(text));
	pfree(text);
}

static void
add_field(StringInfo form, const char *name, const char *value)
{
	char *encoded;

	if (value == NULL)
		return;
	encoded = df_url_encode(value);
	appendStringInfo(form, "%s%s=%s", form->len > 0 ? "&" : "", df_url_encode(name), encoded);
	wipe(encoded);
}

static bool
is_claimed(const DfSystem *system, const char *name)
{
	for (int i = 0; i < system->claims.n; i++)
		if (strcmp(system->claims.names[i], name) == 0)
			return true;
	return false;
}

static void
add_claim(DfJson *json, const DfSystem *system, const char *name, const char *value)
{
	if (!is_claimed(system, name))
		df_json_text(json, name, value);
}

/* unique, so that a server that remembers assertions accepts each */
static char *
random_id(void)
{
	unsigned char bytes[16];
	char *text = palloc(2 * sizeof(bytes) + 1);

	if (!pg_strong_random(bytes, sizeof(bytes)))
		ereport(ERROR,
				(errcode(ERRCODE_INTERNAL_ERROR),
				 errmsg("could not generate random bytes")));
	for (int i = 0; i < sizeof(bytes); i++)
		snprintf(text + 2 * i, 3, "%02x", bytes[i]);
	return text;
}

static char *
assertion(const DfSystem *system)
{
	int64 now = timestamptz_to_time_t(df_now());
	DfJson json;
	char *jwt;

	df_json_begin(&json);
	add_claim(&json, system, "iss", system->oauth_client_id);
	add_claim(&json, system, "aud", system->oauth_token_url);
	add_claim(&json, system, "scope", system->oauth_scope);
	add_claim(&json, system, "jti", random_id());
	df_json_int(&json, "iat", now);
	df_json_int(&json, "exp", now + system->jwt_lifetime_ms / 1000);
	for (int i = 0; i < system->claims.n; i++)
		df_json_text(&json, system->claims.names[i], system->claims.values[i]);
	jwt = df_jwt_sign(system->jwt_key, system->jwt_key_id,
					  df_text_to_utf8(df_json_end_text(&json)));
	/* the key was checked when it was set */
	if (jwt == NULL)
		ereport(ERROR,
				(errcode(ERRCODE_EXTERNAL_ROUTINE_EXCEPTION),
				 errmsg("could not sign with the \"jwt_key\" of system \"%s\"", system->name),
				 errhint("Set another key with ALTER USER MAPPING.")));
	return jwt;
}

static void
add_grant(StringInfo form, const DfSystem *system, const char *refresh_token)
{
	char *jwt;

	switch (system->oauth_grant)
	{
		case DF_GRANT_CLIENT_CREDENTIALS:
			add_field(form, "grant_type", "client_credentials");
			return;
		case DF_GRANT_REFRESH_TOKEN:
			add_field(form, "grant_type", "refresh_token");
			add_field(form, "refresh_token", refresh_token);
			return;
		case DF_GRANT_JWT_BEARER:
			jwt = assertion(system);
			add_field(form, "grant_type", JWT_BEARER);
			add_field(form, "assertion", jwt);
			wipe(jwt);
			return;
	}
}

char *
df_token_form(const DfSystem *system, const char *refresh_token, bool in_body)
{
	StringInfoData form;

	initStringInfo(&form);
	/* a buffer that grows would leave copies behind */
	enlargeStringInfo(&form, 64 * 1024);
	add_grant(&form, system, refresh_token);
	add_field(&form, "scope", system->oauth_scope);
	for (int i = 0; i < system->token_fields.n; i++)
		add_field(&form, system->token_fields.names[i], system->token_fields.values[i]);
	if (in_body || system->oauth_client_secret == NULL)
		add_field(&form, "client_id", system->oauth_client_id);
	if (in_body)
		add_field(&form, "client_secret", system->oauth_client_secret);
	return form.data;
}
