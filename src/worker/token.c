/*
 * worker/token.c
 *	  OAuth tokens: requested with client credentials, kept in memory, shared by
 *	  all runs of the worker.
 *
 * Runs in a worker.  A token request belongs to no run.  It is made ready in the
 * turn's transaction, where the options are read, is sent after the commit, and its
 * response is read between turns, without a transaction.  At most one per system is
 * in flight; steps that need the token wait for it without using attempts.  A token
 * is requested again shortly before it expires, while the old one is still used, and
 * once when the system refuses it.
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
#include "utils/hsearch.h"
#include "worker/token.h"

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

	bool asking; /* a request is in flight, or about to be sent */
	uint64 asked_options;
	int64 asked_us;
	bool asked_in_body;
	bool in_body; /* the server wants the credentials in the body */

	int failures; /* in a row */
	bool refused; /* the server refuses our credentials */
	TimestampTz hold_until; /* do not request one before */
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
drop(DfToken *token)
{
	if (token->text == NULL)
		return;
	explicit_bzero(token->text, strlen(token->text));
	free(token->text);
	token->text = NULL;
}

static uint64
hash_text(uint64 hash, const char *text)
{
	if (text == NULL)
		return hash * 31 + 1;
	return hash_bytes_extended((const unsigned char *) text, strlen(text), hash);
}

static uint64
hash_options(const DfSystem *system)
{
	uint64 hash = system->allow_private;

	hash = hash_text(hash, system->url);
	hash = hash_text(hash, system->private_origins);
	hash = hash_text(hash, system->ca_file);
	hash = hash_text(hash, system->oauth_token_url);
	hash = hash_text(hash, system->oauth_client_id);
	hash = hash_text(hash, system->oauth_client_secret);
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

/* ---- requesting ----------------------------------------------------------- */

/* with the credentials as form fields, or without them */
static char *
form_body(const DfSystem *system, bool in_body)
{
	char *body = pstrdup("grant_type=client_credentials");
	char *secret;

	if (system->oauth_scope != NULL)
		body = psprintf("%s&scope=%s", body, df_url_encode(system->oauth_scope));
	if (in_body)
	{
		secret = df_url_encode(system->oauth_client_secret);
		body = psprintf("%s&client_id=%s&client_secret=%s", body,
						df_url_encode(system->oauth_client_id), secret);
		explicit_bzero(secret, strlen(secret));
	}
	return body;
}

static void
request_token(DfToken *token, const DfSystem *system)
{
	static const char *const headers[] = {"Content-Type: application/x-www-form-urlencoded",
										  "Cache-Control: no-store", NULL};
	MemoryContext old = MemoryContextSwitchTo(df_turn_cxt);
	TokenRequest *pending = palloc0(sizeof(TokenRequest));
	DfHttpRequest *request = &pending->request;

	pending->token = token;
	pending->body = form_body(system, token->in_body);
	if (!token->in_body)
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
	request->ca_file = system->ca_file != NULL ? pstrdup(system->ca_file) : NULL;
	request->connect_timeout_ms = system->connect_timeout_ms;
	request->timeout_ms = Min(system->timeout_ms, LONGEST_TIMEOUT_MS);
	request->max_body = MAX_RESPONSE;
	request->allow_private = df_system_allows_private(system, system->oauth_token_url);
	token_requests = lappend(token_requests, pending);
	token->asking = true;
	token->asked_us = df_monotonic_us();
	token->asked_options = token->options;
	token->asked_in_body = token->in_body;
	MemoryContextSwitchTo(old);
}

static void
wipe(char *text)
{
	if (text != NULL)
		explicit_bzero(text, strlen(text));
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
		wipe(pending->body);
		wipe(pending->username);
		wipe(pending->password);
	}
	token_requests = NIL;
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
	if (token->waiting++ < MAX_WAITING)
		return;
	step->engine.to_send = false;
	step->row.wake_at = df_now() + WAIT_IN_TABLE_US + (int64) (df_random() * WAIT_IN_TABLE_US);
	run->engine.advance = true;
}

bool
df_token_ready(DfRun *run, DfStep *step, const DfSystem *system)
{
	DfToken *token = token_of(system);
	int64 now = df_monotonic_us();
	bool held;

	if (token == NULL)
		return true;
	held = token->hold_until > df_now();
	if (token->text != NULL && now >= token->expires_us)
		drop(token);
	if (now - token->asked_us > LOST_US)
		token->asking = false;
	if (!token->asking && !held && (token->text == NULL || now >= token->renew_us))
		request_token(token, system);
	if (token->text != NULL)
		return true;
	if (token->asking)
		wait_for_token(token, run, step);
	else
		df_step_hold(run, step, token->why, token->hold_until);
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
				 errhint("Correct \"client_id\", \"client_secret\" and \"scope\" with ALTER USER "
						 "MAPPING; the steps then go on by themselves.")));
	token->refused = true;
}

static void
keep(DfToken *token, const DfHttpResult *result, const DfTokenAnswer *answer)
{
	int64 life = answer->expires_in > 0 ? Min(answer->expires_in, LONGEST_LIFE_S) : DEFAULT_LIFE_S;
	char *text = malloc(answer->token_len + 1);

	if (text == NULL)
	{
		failed(token, result, "out of memory");
		return;
	}
	memcpy(text, answer->token, answer->token_len);
	text[answer->token_len] = '\0';
	token->renewed = token->renewed && !token->proven;
	drop(token);
	token->text = text;
	token->serial = ++last_serial;
	token->proven = false;
	/* its life may have begun when it was requested; but use it once, however long that took */
	token->expires_us = Max(token->asked_us + life * 1000000, df_monotonic_us() + SHORTEST_USE_US);
	token->renew_us = token->expires_us - Min(life * 100000, MARGIN_US);
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

static void
judge(DfToken *token, DfHttpResult *result)
{
	DfTokenAnswer answer;
	const char *problem;
	char status[64];

	if (result->fate != DF_FATE_RESPONSE)
	{
		failed(token, result, result->error[0] != '\0' ? result->error : "no response");
		return;
	}
	problem = df_oauth_read(result->body, result->body_len, &answer);
	if (result->status / 100 == 2 && problem == NULL)
		keep(token, result, &answer);
	else if (result->status / 100 == 2)
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
	if (token->asked_options == token->options)
		judge(token, result);
	df_http_free(result);
	drop_expired(df_monotonic_us());
	return true;
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
	if (result->status != 401)
	{
		if (current)
			token->proven = true;
		return false;
	}
	if (current)
	{
		again |= token->renewed && !token->proven;
		drop(token);
		token->renewed = true;
		token->proven = false;
	}
	step->worker.unauthorized = !again;
	return !again;
}
