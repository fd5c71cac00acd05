/*
 * worker/token.c
 *	  OAuth tokens: requested with the grant that the options say.
 *
 * Runs in a worker.  A token request belongs to no run.  It is made ready in the
 * turn's transaction, where the options are read, is sent after the commit, and its
 * response is read between turns (worker/token_response.c).  At most one per system is
 * in flight; steps that need the token wait for it without using attempts.  A token
 * is requested again shortly before it expires, while the old one is still used, and
 * once when the system refuses it.
 *
 * A refresh token may be valid once only.  It is claimed in the table before it is sent, and
 * what came is recorded by the next turn, before this process may end.
 *
 * Tokens and secrets are passed to the HTTP room only.  Never log them; wipe
 * them when they are dropped.
 */
#include "postgres.h"

#include "engine/outcome.h"
#include "fdw/options.h"
#include "http/url.h"
#include "shared/clock.h"
#include "store/refresh_token_table.h"
#include "store/store.h"
#include "utils/timestamp.h"
#include "worker/request_sign.h"
#include "worker/token.h"
#include "worker/token_cache.h"
#include "worker/token_form.h"

/* of an access token that another worker has obtained */
#define SHORTEST_USE_US INT64CONST(500000)
#define LONGEST_TIMEOUT_MS 30000
/* give up on a response: the HTTP room always returns one, unless it is out of memory */
#define LOST_US (600 * INT64CONST(1000000))
#define MAX_RESPONSE (64 * 1024)
/* steps that wait in memory for a token; others wait in the table */
#define MAX_WAITING 256
#define WAIT_IN_TABLE_US (500 * INT64CONST(1000))

/* a token request that is sent after the commit, in df_turn_cxt */
typedef struct TokenRequest
{
	DfToken *token;
	DfHttpRequest request;
	char *body; /* these three are wiped after it was sent */
	char *username;
	char *password;
} TokenRequest;

static List *token_requests = NIL;

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
	request->cookie = (uint64) (uintptr_t) token | DF_TOKEN_COOKIE;
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
	token->by_refresh = refresh_token != NULL;
	token->asked_us = df_monotonic_us();
	token->asked_options = token->options;
	token->asked_in_body = token->in_body || system->oauth_client_secret == NULL;
	MemoryContextSwitchTo(old);
}

/* ---- recording refresh tokens --------------------------------------------- */

static bool
is_unrecorded(const DfToken *token)
{
	return token->write != DF_WRITE_NOTHING;
}

static bool
is_refreshing(const DfToken *token)
{
	return (token->asking && token->by_refresh) || is_unrecorded(token);
}

bool
df_token_unrecorded(void)
{
	return df_tokens_any(is_unrecorded);
}

bool
df_token_refreshing(void)
{
	return df_tokens_any(is_refreshing);
}

static void
record(DfToken *token)
{
	if (!is_unrecorded(token))
		return;
	if (token->write == DF_WRITE_TOKENS)
		df_refresh_keep(token->family, token->claim, token->new_refresh_token,
						token->new_access_token, token->new_expires_at, df_now());
	else
		df_refresh_release(token->family, token->claim);
	token->written = true;
}

void
df_token_record(void)
{
	DfStore store;

	if (!df_token_unrecorded())
		return;
	df_store_enter(&store);
	df_tokens_each(record);
	df_store_leave(&store);
}

static void
note_committed(DfToken *token)
{
	if (!token->written)
		return;
	token->written = false;
	token->write = DF_WRITE_NOTHING;
	df_token_text_free(&token->new_access_token);
	df_token_text_free(&token->new_refresh_token);
}

static void
note_rolled_back(DfToken *token)
{
	token->written = false;
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
			df_worker.token_arrived = true; /* the steps that wait for it ask again */
		wipe(pending->body);
		wipe(pending->username);
		wipe(pending->password);
		wipe(unconstify(char *, pending->request.proxy_password));
	}
	token_requests = NIL;
	df_tokens_each(leave ? note_committed : note_rolled_back);
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
		token->claim = claim;
		request_token(token, system, found.token);
	}
	else
		(void) df_token_use(token, found.token, strlen(found.token), df_monotonic_us(),
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
	DfToken *token = df_token_of(system);
	int64 now = df_monotonic_us();
	bool by_us;

	if (token == NULL)
		return true;
	if (token->text != NULL && now >= token->expires_us)
		df_token_drop(token);
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
	DfToken *token = df_token_of(system);

	if (token == NULL)
		return NULL;
	flight->token = token;
	flight->token_serial = token->serial;
	return token->text;
}
