/*
 * worker/token_response.c
 *	  What an authorization server responds, and what systems say of a token.
 *
 * Runs in a worker, between turns, without a transaction; df_token_refused() in a turn's.
 * What came for a refresh token is only noted here: the next turn records it.
 *
 * The client's credentials are sent by basic authentication first, as the standard
 * wants, and in the body if the server does not accept that.
 *
 * Never log a token or a text of the server's but known codes: it may be our secret.
 */
#include "postgres.h"

#include "http/oauth.h"
#include "shared/clock.h"
#include "utils/timestamp.h"
#include "worker/token_cache.h"
#include "worker/token_response.h"

#define DEFAULT_LIFE_S 300
#define LONGEST_LIFE_S (24 * 3600)

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
	if (!df_token_use(token, answer->token, answer->token_len, token->asked_us, life_of(answer)))
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
		strcmp(error, "access_denied") != 0 &&
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
	token->new_access_token = df_token_text(answer->token, answer->token_len);
	if (answer->refresh_token != NULL)
		token->new_refresh_token = df_token_text(answer->refresh_token, answer->refresh_token_len);
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

	if ((result->cookie & DF_TOKEN_COOKIE) == 0)
		return false;
	token = (DfToken *) (uintptr_t) (result->cookie & ~DF_TOKEN_COOKIE);
	token->asking = false;
	df_worker.token_arrived = true;
	judge(token, result);
	df_http_free(result);
	df_tokens_drop_expired(df_monotonic_us());
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
		df_token_text_free(&token->refused_text);
		token->refused_text = token->text;
		token->text = NULL;
		token->renewed = true;
		token->proven = false;
	}
	step->worker.unauthorized = !again;
	return !again;
}
