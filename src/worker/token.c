/*
 * worker/token.c
 *	  OAuth tokens: requested with the grant that the options say, kept in memory,
 *	  shared by all runs of the worker.
 *
 * Runs in a worker.  A token request belongs to no run.  It is made ready in the
 * turn's transaction, where the options are read, is sent after the commit, and its
 * response is read between turns, without a transaction.  At most one per system is
 * in flight; steps that need the token wait for it without using attempts.  A token
 * is requested again shortly before it expires, while the old one is still used, and
 * once when the system refuses it.
 *
 * A refresh token may be valid once only.  It is claimed in the table before it is sent, and
 * what came is recorded by the next turn, before this process may end.
 *
 * The client's credentials are sent by basic authentication first, as the standard
 * wants, and in the body if the server does not accept that.
 *
 * Tokens and secrets are passed to the HTTP room only.  Never log them; wipe
 * them when they are dropped.
 */
#include "postgres.h"

#include "common/hashfn.h"
#include "engine/outcome.h"
#include "fdw/options.h"
#include "http/oauth.h"
#include "http/url.h"
#include "miscadmin.h"
#include "shared/clock.h"
#include "store/refresh_token_table.h"
#include "store/store.h"
#include "utils/hsearch.h"
#include "utils/timestamp.h"
#include "worker/request_sign.h"
#include "worker/token.h"
#include "worker/token_form.h"

#define DEFAULT_LIFE_S 300
#define LONGEST_LIFE_S (24 * 3600)
#define SHORTEST_USE_US INT64CONST(500000)
/* a token is renewed a tenth of its life before its end, but no earlier than this */
#define MARGIN_US (30 * INT64CONST(1000000))
#define LONGEST_TIMEOUT_MS 30000
/* give up on a response: the HTTP room always returns one, unless it is out of memory */
#define LOST_US (600 * INT64CONST(1000000))
#define MAX_RESPONSE (64 * 1024)
/* steps that wait in memory for a token; others wait in the table */
#define MAX_WAITING 256
#define WAIT_IN_TABLE_US (500 * INT64CONST(1000))

/* cookies of the other requests are addresses, which are even */
#define COOKIE_MARK ((uint64) 1)

typedef struct TokenKey
{
	Oid user;
	Oid system;
} TokenKey;

typedef enum DfTokenWrite
{
	DF_WRITE_NOTHING,
	DF_WRITE_TOKENS,
	DF_WRITE_RELEASE /* nothing came: another worker may try */
} DfTokenWrite;

struct DfToken
{
	TokenKey key; /* must be first */
	char name[NAMEDATALEN]; /* of the system */
	uint64 options; /* hash of all options that it depends on */

	char *text; /* malloc'd, NULL = there is none */
	uint64 serial; /* of the text, unique */
	int64 renew_us; /* df_monotonic_us() */
	int64 expires_us;
	bool renewed; /* requested because the one before was refused */
	bool proven; /* some request with it was accepted */

	/* of the grant 'refresh_token': which row, under which claim, and what is to be written */
	bool by_refresh;
	unsigned char family[DF_FAMILY_BYTES];
	int64 claim;
	DfTokenWrite write;
	bool written; /* in this turn's transaction, which has not committed yet */
	char *new_access_token; /* malloc'd, as the next; both are wiped when they are written */
	char *new_refresh_token; /* NULL = it is the same */
	TimestampTz new_expires_at;
	char *refused_text; /* malloc'd: the access token that the system refused last */

	bool asking; /* a request is in flight, or about to be sent */
	uint64 asked_options;
	int64 asked_us;
	bool asked_in_body;
	bool in_body; /* the server wants the credentials in the body */

	int failures; /* in a row */
	bool refused; /* the server refuses our credentials */
	TimestampTz hold_until; /* do not request one before */
	bool shown; /* the view "systems" says that there is none */
	char why[400]; /* of the last failure */
	int64 retry_initial_ms;
	int64 cooldown_ms;
	int breaker_failures;

	uint64 turn; /* in which `waiting` steps wait */
	int waiting;
};

/* a token request that is sent after the commit, in df_turn_cxt */
typedef struct TokenRequest
{
	DfToken *token;
	DfHttpRequest request;
	char *body; /* these three are wiped after it was sent */
	char *username;
	char *password;
} TokenRequest;

static HTAB *tokens = NULL;
static List *token_requests = NIL;
static uint64 last_serial = 0;

/* ---- the cache ------------------------------------------------------------ */

static void
wipe_and_free(char **text)
{
	if (*text == NULL)
		return;
	explicit_bzero(*text, strlen(*text));
	free(*text);
	*text = NULL;
}

static void
drop(DfToken *token)
{
	wipe_and_free(&token->text);
}

/* a C string of malloc, so that it can be wiped whatever becomes of memory contexts; or NULL */
static char *
keep_text(const char *text, size_t len)
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
	control.keysize = sizeof(TokenKey);
	control.entrysize = sizeof(DfToken);
	control.hcxt = df_process_cxt;
	tokens = hash_create("dataflows tokens", 16, &control, HASH_ELEM | HASH_BLOBS | HASH_CONTEXT);
}

/* the options have changed; a request in flight is recognised by their hash */
static void
reset_token(DfToken *token, uint64 options)
{
	drop(token);
	token->options = options;
	token->serial = 0;
	token->renewed = token->proven = token->in_body = token->refused = false;
	token->failures = 0;
	token->hold_until = DF_NEVER;
	token->why[0] = '\0';
}

/* the system's token; NULL if it needs none (any more) */
static DfToken *
token_of(const DfSystem *system)
{
	bool wanted = system->oauth_token_url != NULL;
	TokenKey key;
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
		memset((char *) token + sizeof(TokenKey), 0, sizeof(DfToken) - sizeof(TokenKey));
	options = hash_options(system);
	if (!found || token->options != options)
		reset_token(token, options);
	strlcpy(token->name, system->name, sizeof(token->name));
	token->retry_initial_ms = system->retry.initial_ms;
	token->cooldown_ms = system->breaker_cooldown_ms;
	token->breaker_failures = system->breaker_failures;
	return wanted ? token : NULL;
}

/* so that tokens that are no longer used do not stay in memory */
static void
drop_expired(int64 now)
{
	HASH_SEQ_STATUS scan;
	DfToken *token;

	hash_seq_init(&scan, tokens);
	while ((token = hash_seq_search(&scan)) != NULL)
		if (now >= token->expires_us)
			drop(token);
}

static void
wipe(char *text)
{
	if (text != NULL)
		explicit_bzero(text, strlen(text));
}

/* ---- requesting ----------------------------------------------------------- */

static void
request_token(DfToken *token, const DfSystem *system, const char *refresh_token)
{
	static const char *const headers[] = {"Content-Type: application/x-www-form-urlencoded",
										  "Cache-Control: no-store", NULL};
	MemoryContext old = MemoryContextSwitchTo(df_turn_cxt);
	TokenRequest *pending = palloc0(sizeof(TokenRequest));
	DfHttpRequest *request = &pending->request;

	pending->token = token;
	pending->body = df_token_form(system, refresh_token, token->in_body);
	if (!token->in_body && system->oauth_client_secret != NULL)
	{
		/* encoded (RFC 6749, 2.3.1), so neither contains a colon */
		pending->username = df_url_encode(system->oauth_client_id);
		pending->password = df_url_encode(system->oauth_client_secret);
	}
	request->cookie = (uint64) (uintptr_t) token | COOKIE_MARK;
	request->url = pstrdup(system->oauth_token_url);
	request->method = "POST";
	request->body = pending->body;
	request->body_len = strlen(pending->body);
	request->headers = headers;
	request->username = pending->username;
	request->password = pending->password;
	df_request_way(request, system);
	request->connect_timeout_ms = system->connect_timeout_ms;
	request->timeout_ms = Min(system->timeout_ms, LONGEST_TIMEOUT_MS);
	request->max_body = MAX_RESPONSE;
	request->allow_private = df_system_allows_private(system, system->oauth_token_url);
	token_requests = lappend(token_requests, pending);
	token->asking = true;
	token->asked_us = df_monotonic_us();
	token->asked_options = token->options;
	token->asked_in_body = token->in_body || system->oauth_client_secret == NULL;
	MemoryContextSwitchTo(old);
}

/* ---- recording refresh tokens --------------------------------------------- */

void
df_token_record(void)
{
	HASH_SEQ_STATUS scan;
	DfToken *token;
	DfStore store;

	if (!df_token_unrecorded())
		return;
	df_store_enter(&store);
	hash_seq_init(&scan, tokens);
	while ((token = hash_seq_search(&scan)) != NULL)
	{
		if (token->write == DF_WRITE_NOTHING)
			continue;
		if (token->write == DF_WRITE_TOKENS)
			df_refresh_keep(token->family, token->claim, token->new_refresh_token,
							token->new_access_token, token->new_expires_at, df_now());
		else
			df_refresh_release(token->family, token->claim);
		token->written = true;
	}
	df_store_leave(&store);
}

static void
end_writing(bool committed)
{
	HASH_SEQ_STATUS scan;
	DfToken *token;

	if (!df_token_unrecorded())
		return;
	hash_seq_init(&scan, tokens);
	while ((token = hash_seq_search(&scan)) != NULL)
	{
		if (token->written && committed)
		{
			token->write = DF_WRITE_NOTHING;
			wipe_and_free(&token->new_access_token);
			wipe_and_free(&token->new_refresh_token);
		}
		token->written = false;
	}
}

bool
df_token_unrecorded(void)
{
	HASH_SEQ_STATUS scan;
	DfToken *token;

	if (tokens == NULL)
		return false;
	hash_seq_init(&scan, tokens);
	while ((token = hash_seq_search(&scan)) != NULL)
	{
		if (token->write == DF_WRITE_NOTHING)
			continue;
		hash_seq_term(&scan);
		return true;
	}
	return false;
}

bool
df_token_refreshing(void)
{
	HASH_SEQ_STATUS scan;
	DfToken *token;

	if (tokens == NULL)
		return false;
	hash_seq_init(&scan, tokens);
	while ((token = hash_seq_search(&scan)) != NULL)
	{
		if (!token->asking || !token->by_refresh)
			continue;
		hash_seq_term(&scan);
		return true;
	}
	return df_token_unrecorded();
}

void
df_token_depart(bool leave)
{
	ListCell *lc;

	foreach (lc, token_requests)
	{
		TokenRequest *pending = lfirst(lc);

		pending->token->asked_us = df_monotonic_us();
		pending->token->asking = leave;
		if (leave)
			df_http_submit(&pending->request);
		else
		{
			/* its claim is rolled back; the steps that wait for the token ask again */
			pending->token->by_refresh = false;
			df_worker.token_arrived = true;
		}
		wipe(pending->body);
		wipe(pending->username);
		wipe(pending->password);
		wipe(unconstify(char *, pending->request.proxy_password));
	}
	token_requests = NIL;
	end_writing(leave);
}

/* takes over an access token; false = out of memory */
static bool
use_token(DfToken *token, const char *text, size_t len, int64 began_us, int64 life_s)
{
	char *copy = keep_text(text, len);

	if (copy == NULL)
		return false;
	drop(token);
	token->text = copy;
	token->serial = ++last_serial;
	token->proven = false;
	/* its life may have begun when it was requested; but use it once, however long that took */
	token->expires_us = Max(began_us + life_s * 1000000, df_monotonic_us() + SHORTEST_USE_US);
	token->renew_us = token->expires_us - Min(life_s * 100000, MARGIN_US);
	return true;
}

/*
 * A refresh token may be valid once only: the worker that has claimed it sends it, after the
 * commit, and the others use the access token that comes.  False: another worker is at it.
 */
static bool
request_by_refresh(DfToken *token, const DfSystem *system)
{
	DfRefreshToken found;
	DfRefreshState state;
	TimestampTz now = df_now();
	int64 claim;
	DfStore store;

	if (token->write != DF_WRITE_NOTHING)
		return false; /* what came is not recorded yet */
	if (!pg_strong_random(&claim, sizeof(claim)))
		ereport(ERROR,
				(errcode(ERRCODE_INTERNAL_ERROR),
				 errmsg("could not generate a random number")));
	df_refresh_family(system->oauth_token_url, system->oauth_client_id, system->refresh_token,
					  token->family);
	df_store_enter(&store);
	state = df_refresh_claim(token->family, system->refresh_token, claim, token->refused_text, now,
							 now + SHORTEST_USE_US, &found, store.result_context);
	df_store_leave(&store);
	if (state == DF_REFRESH_BUSY)
		return false;
	if (state == DF_REFRESH_CLAIMED)
	{
		token->by_refresh = true;
		token->claim = claim;
		request_token(token, system, found.token);
	}
	else
		(void) use_token(token, found.token, strlen(found.token), df_monotonic_us(),
						 (found.expires_at - now) / USECS_PER_SEC);
	wipe(found.token);
	return true;
}

/* the step waits in the table, so that other runs have the memory */
static void
wait_in_table(DfRun *run, DfStep *step)
{
	step->engine.to_send = false;
	step->row.wake_at = df_now() + WAIT_IN_TABLE_US + (int64) (df_random() * WAIT_IN_TABLE_US);
	run->engine.advance = true;
}

/* the step waits in memory for the token; if many do so already, in the table */
static void
wait_for_token(DfToken *token, DfRun *run, DfStep *step)
{
	if (token->turn != df_worker.slot->turns)
	{
		token->turn = df_worker.slot->turns;
		token->waiting = 0;
	}
	if (token->waiting++ >= MAX_WAITING)
		wait_in_table(run, step);
}

/* begins what leads to a token, if nothing does; false: another worker is at it */
static bool
request_if_needed(DfToken *token, const DfSystem *system, int64 now)
{
	if (token->asking || token->hold_until > df_now() ||
		(token->text != NULL && now < token->renew_us))
		return true;
	if (system->oauth_grant == DF_GRANT_REFRESH_TOKEN)
		return request_by_refresh(token, system);
	request_token(token, system, NULL);
	return true;
}

/* in the view "systems": until when there is none, NEVER = there is one */
static void
show(DfToken *token, const DfSystem *system, TimestampTz until)
{
	bool is_missing = until != DF_NEVER;

	if (is_missing || token->shown)
		df_system_token_held(df_system_use(system), token->refused, until);
	token->shown = is_missing;
}

bool
df_token_ready(DfRun *run, DfStep *step, const DfSystem *system)
{
	DfToken *token = token_of(system);
	int64 now = df_monotonic_us();
	bool by_us;

	if (token == NULL)
		return true;
	if (token->text != NULL && now >= token->expires_us)
		drop(token);
	if (now - token->asked_us > LOST_US)
		token->asking = false;
	by_us = request_if_needed(token, system, now);
	if (token->text != NULL)
	{
		show(token, system, DF_NEVER);
		return true;
	}
	if (!by_us)
		wait_in_table(run, step);
	else if (token->asking)
		wait_for_token(token, run, step);
	else
	{
		df_step_hold(run, step, token->why, token->hold_until);
		show(token, system, token->hold_until);
	}
	return false;
}

const char *
df_token_take(DfFlight *flight, const DfSystem *system)
{
	DfToken *token = token_of(system);

	if (token == NULL)
		return NULL;
	flight->token = token;
	flight->token_serial = token->serial;
	return token->text;
}

/* ---- responses ------------------------------------------------------------ */

static void
hold(DfToken *token, int64 ms)
{
	token->hold_until = df_now() + ms * 1000;
}

/* request one again later, at intervals that double up to the breaker's cooldown */
static void
failed(DfToken *token, const DfHttpResult *result, const char *problem)
{
	int64 ms = token->cooldown_ms;

	token->failures++;
	if ((token->breaker_failures == 0 || token->failures < token->breaker_failures) &&
		token->failures < 30)
		ms = Min(token->retry_initial_ms << (token->failures - 1), ms);
	hold(token, Max(ms, result->retry_after_ms));
	snprintf(token->why, sizeof(token->why), "no token from the authorization server: %s", problem);
	if (token->failures == 1)
		ereport(
			LOG,
			(errmsg("dataflows system \"%s\" gets no token from its authorization server: %s",
					token->name, problem),
			 errhint("Steps that need it wait, without using attempts, until there is one.")));
}

static void
credentials_refused(DfToken *token, const DfHttpResult *result, const char *error)
{
	hold(token, token->cooldown_ms);
	token->in_body = false;
	snprintf(token->why, sizeof(token->why),
			 "no token from the authorization server: credentials refused (status %d%s%s)",
			 result->status, error != NULL ? ", " : "", error != NULL ? error : "");
	if (!token->refused)
		ereport(LOG,
				(errmsg("dataflows system \"%s\": its authorization server refuses our credentials "
						"(status %d%s%s): its steps wait",
						token->name, result->status, error != NULL ? ", " : "",
						error != NULL ? error : ""),
				 errhint("Correct \"client_id\", \"client_secret\", \"refresh_token\", "
						 "\"jwt_key\" or "
						 "\"scope\" with ALTER USER MAPPING; the steps then go on by "
						 "themselves.")));
	token->refused = true;
}

static int64
life_of(const DfTokenAnswer *answer)
{
	return answer->expires_in > 0 ? Min(answer->expires_in, LONGEST_LIFE_S) : DEFAULT_LIFE_S;
}

static void
keep(DfToken *token, const DfHttpResult *result, const DfTokenAnswer *answer)
{
	token->renewed = token->renewed && !token->proven;
	if (!use_token(token, answer->token, answer->token_len, token->asked_us, life_of(answer)))
	{
		failed(token, result, "out of memory");
		return;
	}
	if (token->failures > 0 || token->refused)
		ereport(LOG,
				(errmsg("dataflows system \"%s\" gets tokens from its authorization server again",
						token->name)));
	token->failures = 0;
	token->refused = false;
	token->hold_until = DF_NEVER;
	token->why[0] = '\0';
}

/* the server has accepted our identity, or says that sending it in the body would not help */
static bool
knows_us(const char *error)
{
	return error != NULL && strcmp(error, "invalid_client") != 0 &&
		strcmp(error, "invalid_request") != 0;
}

/* the next turn records what came for a refresh token, even if the options changed meanwhile */
static void
note_refreshed(DfToken *token, const DfTokenAnswer *answer)
{
	token->by_refresh = false;
	token->write = DF_WRITE_RELEASE;
	if (answer == NULL)
		return;
	token->new_access_token = keep_text(answer->token, answer->token_len);
	if (answer->refresh_token != NULL)
		token->new_refresh_token = keep_text(answer->refresh_token, answer->refresh_token_len);
	token->new_expires_at = df_now() + life_of(answer) * USECS_PER_SEC;
	if (token->new_access_token != NULL)
		token->write = DF_WRITE_TOKENS;
}

static void
judge(DfToken *token, DfHttpResult *result)
{
	bool current = token->asked_options == token->options;
	bool good = result->fate == DF_FATE_RESPONSE && result->status / 100 == 2;
	DfTokenAnswer answer;
	const char *problem = NULL;
	char status[64];

	if (result->fate == DF_FATE_RESPONSE)
		problem = df_oauth_read(result->body, result->body_len, &answer);
	if (token->by_refresh)
		note_refreshed(token, good && problem == NULL ? &answer : NULL);
	if (!current)
		return;
	if (result->fate != DF_FATE_RESPONSE)
		failed(token, result, result->error[0] != '\0' ? result->error : "no response");
	else if (good && problem == NULL)
		keep(token, result, &answer);
	else if (good)
		failed(token, result, problem);
	else if ((result->status == 400 || result->status == 401) && !token->asked_in_body &&
			 !knows_us(answer.error))
		token->in_body = true;
	else if (result->status == 400 || result->status == 401 || result->status == 403)
		credentials_refused(token, result, answer.error);
	else
	{
		snprintf(status, sizeof(status), "it answered with status %d", result->status);
		failed(token, result, status);
	}
}

bool
df_token_arrive(DfHttpResult *result)
{
	DfToken *token;

	if ((result->cookie & COOKIE_MARK) == 0)
		return false;
	token = (DfToken *) (uintptr_t) (result->cookie & ~COOKIE_MARK);
	token->asking = false;
	df_worker.token_arrived = true;
	judge(token, result);
	df_http_free(result);
	drop_expired(df_monotonic_us());
	return true;
}

/* by a mail server: RFC 4954, 6 */
static bool
is_unauthorized(const DfStep *step, int status)
{
	return status == (step->kind == DF_STEP_MAIL ? 535 : 401);
}

/*
 * If a step was refused twice, or a renewed token was never accepted, the token's age
 * is not the reason, and the 401 counts as the system's response.  The next try, after
 * the breaker's cooldown, uses another token.
 */
bool
df_token_refused(DfFlight *flight, const DfHttpResult *result)
{
	DfToken *token = flight->token;
	DfStep *step = flight->step;
	bool current = token != NULL && token->text != NULL && token->serial == flight->token_serial;
	bool again = step->worker.unauthorized;

	step->worker.unauthorized = false;
	if (token == NULL || result->status == 0)
		return false;
	if (!is_unauthorized(step, result->status))
	{
		if (current)
			token->proven = true;
		return false;
	}
	if (current)
	{
		again |= token->renewed && !token->proven;
		/* it may be in the table, too */
		wipe_and_free(&token->refused_text);
		token->refused_text = token->text;
		token->text = NULL;
		token->renewed = true;
		token->proven = false;
	}
	step->worker.unauthorized = !again;
	return !again;
}
