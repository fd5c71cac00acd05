/*
 * worker/token_cache.c
 *	  What a worker knows of the tokens of its systems.
 *
 * Runs in a worker, in a turn's transaction and between turns.  Tokens are kept in memory of
 * malloc, so that they can be wiped, and shared by all runs of the worker.  An entry is never
 * removed: a request in flight has its address.  Never log a token; wipe it when it is dropped.
 */
#include "postgres.h"

#include "common/hashfn.h"
#include "miscadmin.h"
#include "shared/clock.h"
#include "utils/hsearch.h"
#include "worker/token_cache.h"

#define SHORTEST_USE_US INT64CONST(500000)
/* a token is renewed a tenth of its life before its end, but no earlier than this */
#define MARGIN_US (30 * INT64CONST(1000000))

static HTAB *tokens = NULL;
static uint64 last_serial = 0;

void
df_token_text_free(char **text)
{
	if (*text == NULL)
		return;
	explicit_bzero(*text, strlen(*text));
	free(*text);
	*text = NULL;
}

void
df_token_drop(DfToken *token)
{
	df_token_text_free(&token->text);
}

char *
df_token_text(const char *text, size_t len)
{
	char *copy = malloc(len + 1);

	if (copy == NULL)
		return NULL;
	memcpy(copy, text, len);
	copy[len] = '\0';
	return copy;
}

static uint64
hash_text(uint64 hash, const char *text)
{
	if (text == NULL)
		return hash * 31 + 1;
	return hash_bytes_extended((const unsigned char *) text, strlen(text), hash);
}

static uint64
hash_named(uint64 hash, const DfNamedValues *values)
{
	for (int i = 0; i < values->n; i++)
		hash = hash_text(hash_text(hash, values->names[i]), values->values[i]);
	return hash;
}

static uint64
hash_options(const DfSystem *system)
{
	uint64 hash = system->allow_private;

	hash = hash_text(hash, system->url);
	hash = hash_text(hash, system->private_origins);
	hash = hash_text(hash, system->ca_file);
	hash = hash_text(hash, system->proxy);
	hash = hash_text(hash, system->proxy_ca_file);
	hash = hash_text(hash, system->proxy_username);
	hash = hash_text(hash, system->proxy_password);
	hash = hash_text(hash, system->unix_socket);
	hash = hash_text(hash, system->oauth_token_url);
	hash = hash_text(hash, system->oauth_client_id);
	hash = hash_text(hash, system->oauth_client_secret);
	hash = hash_text(hash, system->refresh_token) + system->oauth_grant;
	hash = hash_text(hash, system->jwt_key);
	hash = hash_text(hash, system->jwt_key_id) + system->jwt_lifetime_ms;
	hash = hash_named(hash, &system->token_fields);
	hash = hash_named(hash, &system->claims);
	return hash_text(hash, system->oauth_scope);
}

static void
create_cache(void)
{
	HASHCTL control;

	memset(&control, 0, sizeof(control));
	control.keysize = sizeof(DfTokenKey);
	control.entrysize = sizeof(DfToken);
	control.hcxt = df_process_cxt;
	tokens = hash_create("dataflows tokens", 16, &control, HASH_ELEM | HASH_BLOBS | HASH_CONTEXT);
}

/* the options have changed; a request in flight is recognised by their hash */
static void
reset_token(DfToken *token, uint64 options)
{
	df_token_drop(token);
	df_token_text_free(&token->refused_text);
	token->options = options;
	token->serial = 0;
	token->renewed = token->proven = token->in_body = token->refused = false;
	token->failures = 0;
	token->hold_until = DF_NEVER;
	token->why[0] = '\0';
}

DfToken *
df_token_of(const DfSystem *system)
{
	bool wanted = system->oauth_token_url != NULL;
	DfTokenKey key;
	DfToken *token;
	bool found;
	uint64 options;

	if (tokens == NULL && !wanted)
		return NULL;
	if (tokens == NULL)
		create_cache();
	memset(&key, 0, sizeof(key));
	key.user = GetUserId();
	key.system = system->oid;
	token = hash_search(tokens, &key, wanted ? HASH_ENTER : HASH_FIND, &found);
	if (token == NULL)
		return NULL;
	if (!found)
		memset((char *) token + sizeof(DfTokenKey), 0, sizeof(DfToken) - sizeof(DfTokenKey));
	options = hash_options(system);
	if (!found || token->options != options)
		reset_token(token, options);
	strlcpy(token->name, system->name, sizeof(token->name));
	token->retry_initial_ms = system->retry.initial_ms;
	token->cooldown_ms = system->breaker_cooldown_ms;
	token->breaker_failures = system->breaker_failures;
	return wanted ? token : NULL;
}

bool
df_token_use(DfToken *token, const char *text, size_t len, int64 began_us, int64 life_s)
{
	char *copy = df_token_text(text, len);

	if (copy == NULL)
		return false;
	df_token_drop(token);
	token->text = copy;
	token->serial = ++last_serial;
	token->proven = false;
	/* its life may have begun when it was requested; but use it once, however long that took */
	token->expires_us = Max(began_us + life_s * 1000000, df_monotonic_us() + SHORTEST_USE_US);
	token->renew_us = token->expires_us - Min(life_s * 100000, MARGIN_US);
	return true;
}

void
df_tokens_each(void (*act)(DfToken *token))
{
	HASH_SEQ_STATUS scan;
	DfToken *token;

	if (tokens == NULL)
		return;
	hash_seq_init(&scan, tokens);
	while ((token = hash_seq_search(&scan)) != NULL)
		act(token);
}

bool
df_tokens_any(bool (*is)(const DfToken *token))
{
	HASH_SEQ_STATUS scan;
	DfToken *token;

	if (tokens == NULL)
		return false;
	hash_seq_init(&scan, tokens);
	while ((token = hash_seq_search(&scan)) != NULL)
	{
		if (!is(token))
			continue;
		hash_seq_term(&scan);
		return true;
	}
	return false;
}

void
df_tokens_drop_expired(int64 now)
{
	HASH_SEQ_STATUS scan;
	DfToken *token;

	hash_seq_init(&scan, tokens);
	while ((token = hash_seq_search(&scan)) != NULL)
		if (now >= token->expires_us)
			df_token_drop(token);
}
