/*
 * store/refresh_token_table.c
 *	  Statements on dataflows.refresh_token.
 *
 * Runs in workers, in the transaction of a turn, inside df_store_enter/leave.  A refresh
 * token may be valid once only, so one worker at a time sends it: it claims the row, commits,
 * sends, and commits what came.  A claim that nobody gives back ends by itself.  Must never
 * log a token.
 */
#include "postgres.h"

#include "catalog/pg_type.h"
#include "lib/stringinfo.h"
#include "shared/digest.h"
#include "store/refresh_token_table.h"
#include "store/store.h"
#include "types/base.h"
#include "utils/builtins.h"
#include "utils/timestamp.h"

/* longer than a request for a token can take */
#define CLAIM_US (120 * INT64CONST(1000000))

void
df_refresh_family(const char *url, const char *client, const char *first, unsigned char *family)
{
	const char *const parts[] = {url, client, first};
	StringInfoData text;

	StaticAssertStmt(DF_FAMILY_BYTES == DF_DIGEST_LENGTH, "a family is a digest");
	initStringInfo(&text);
	/* a buffer that grows would leave copies of the token behind */
	enlargeStringInfo(&text, strlen(url) + strlen(client) + strlen(first) + lengthof(parts));
	for (int i = 0; i < lengthof(parts); i++)
		appendBinaryStringInfo(&text, parts[i], strlen(parts[i]) + 1);
	df_digest(text.data, text.len, family);
	explicit_bzero(text.data, text.len);
}

static Datum
family_datum(const unsigned char *family)
{
	bytea *value = palloc(VARHDRSZ + DF_FAMILY_BYTES);

	SET_VARSIZE(value, VARHDRSZ + DF_FAMILY_BYTES);
	memcpy(VARDATA(value), family, DF_FAMILY_BYTES);
	return PointerGetDatum(value);
}

static void
insert_first(const unsigned char *family, const char *first)
{
	static DfPlan plan = {
		"INSERT INTO dataflows.refresh_token (family, token)"
		" VALUES ($1, $2)"
		" ON CONFLICT (family) DO NOTHING",
		SPI_OK_INSERT, DF_PARAMS(BYTEAOID, TEXTOID)};
	Datum values[2] = {family_datum(family), CStringGetTextDatum(first)};

	(void) df_plan_run(&plan, values, NULL, 0);
}

static void
claim_row(const unsigned char *family, int64 claim, TimestampTz now)
{
	static DfPlan plan = {
		"UPDATE dataflows.refresh_token AS t"
		" SET claim = $2, claimed_at = $3"
		" WHERE t.family = $1",
		SPI_OK_UPDATE, DF_PARAMS(BYTEAOID, INT8OID, TIMESTAMPTZOID)};
	Datum values[3] = {family_datum(family), Int64GetDatum(claim), TimestampTzGetDatum(now)};

	(void) df_plan_run(&plan, values, NULL, 0);
}

DfRefreshState
df_refresh_claim(const unsigned char *family, const char *first, int64 claim, const char *refused,
				 TimestampTz now, TimestampTz usable_until, DfRefreshToken *found,
				 MemoryContext cxt)
{
	static DfPlan plan = {
		"SELECT t.token, t.access_token, t.expires_at, t.claimed_at"
		" FROM dataflows.refresh_token AS t"
		" WHERE t.family = $1"
		" FOR UPDATE SKIP LOCKED",
		SPI_OK_SELECT, DF_PARAMS(BYTEAOID)};
	Datum values[1] = {family_datum(family)};
	TimestampTz claimed_at;
	char *access_token;

	insert_first(family, first);
	if (df_plan_run(&plan, values, NULL, 1) == 0)
		return DF_REFRESH_BUSY;
	found->expires_at = df_time(0, 2);
	access_token = df_copy_text(cxt, 0, 1);
	if (access_token != NULL && found->expires_at > usable_until &&
		(refused == NULL || strcmp(refused, access_token) != 0))
	{
		found->token = access_token;
		return DF_REFRESH_FRESH;
	}
	claimed_at = df_time(0, 3);
	if (claimed_at != DF_NEVER && claimed_at > now - CLAIM_US)
		return DF_REFRESH_BUSY;
	found->token = df_copy_text(cxt, 0, 0);
	claim_row(family, claim, now);
	return DF_REFRESH_CLAIMED;
}

void
df_refresh_keep(const unsigned char *family, int64 claim, const char *next,
				const char *access_token, TimestampTz expires_at, TimestampTz now)
{
	static DfPlan plan = {
		"UPDATE dataflows.refresh_token AS t"
		" SET token = COALESCE($3, t.token), access_token = $4, expires_at = $5,"
		" refreshed_at = $6, claim = NULL, claimed_at = NULL"
		" WHERE t.family = $1 AND t.claim = $2",
		SPI_OK_UPDATE,
		DF_PARAMS(BYTEAOID, INT8OID, TEXTOID, TEXTOID, TIMESTAMPTZOID, TIMESTAMPTZOID)};
	Datum values[6] = {family_datum(family),
					   Int64GetDatum(claim),
					   next != NULL ? CStringGetTextDatum(next) : (Datum) 0,
					   CStringGetTextDatum(access_token),
					   TimestampTzGetDatum(expires_at),
					   TimestampTzGetDatum(now)};

	(void) df_plan_run(&plan, values, next == NULL ? "  n   " : NULL, 0);
}

void
df_refresh_release(const unsigned char *family, int64 claim)
{
	static DfPlan plan = {
		"UPDATE dataflows.refresh_token AS t"
		" SET claim = NULL, claimed_at = NULL"
		" WHERE t.family = $1 AND t.claim = $2",
		SPI_OK_UPDATE, DF_PARAMS(BYTEAOID, INT8OID)};
	Datum values[2] = {family_datum(family), Int64GetDatum(claim)};

	(void) df_plan_run(&plan, values, NULL, 0);
}
