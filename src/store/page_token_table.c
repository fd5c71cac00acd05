/*
 * store/page_token_table.c
 *	  Statements on dataflows.page_token, and what ends a token.
 *
 * Runs in sessions that make tokens, in coordinators and in the ingress process,
 * in the caller's transaction, as the extension's owner.  A token or a password
 * must never be kept or logged: what is stored is a hash.
 */
#include "postgres.h"

#include "access/htup_details.h"
#include "catalog/pg_authid.h"
#include "catalog/pg_database.h"
#include "catalog/pg_type.h"
#include "miscadmin.h"
#include "utils/acl.h"
#include "utils/builtins.h"
#include "utils/fmgrprotos.h"
#include "utils/syscache.h"
#include "utils/timestamp.h"

#include "compat.h"
#include "store/page_token_table.h"
#include "store/store.h"

static bytea *
hash_text(const char *token)
{
	bytea *text = (bytea *) cstring_to_text(token);
	bytea *hash = DatumGetByteaPP(DirectFunctionCall1(sha256_bytea, PointerGetDatum(text)));

	explicit_bzero(VARDATA(text), VARSIZE(text) - VARHDRSZ);
	return hash;
}

/*
 * A hash of the token together with what the server stores of the role's password:
 * useless without the token.  NULL = the role has none.
 */
static bytea *
hash_password(Oid role, const char *token)
{
	HeapTuple tuple = SearchSysCache1(AUTHOID, ObjectIdGetDatum(role));
	bytea *hash = NULL;
	Datum password;
	bool none;

	if (!HeapTupleIsValid(tuple))
		return NULL;
	password = SysCacheGetAttr(AUTHOID, tuple, Anum_pg_authid_rolpassword, &none);
	if (!none)
	{
		char *kept = TextDatumGetCString(password);
		char *both = psprintf("%s%s", token, kept);

		hash = hash_text(both);
		explicit_bzero(both, strlen(both));
		explicit_bzero(kept, strlen(kept));
	}
	ReleaseSysCache(tuple);
	return hash;
}

void
df_page_token_insert(const char *token, Oid owner, const char *owner_name, TimestampTz now,
					 TimestampTz expires)
{
	static DfPlan plan = {
		"INSERT INTO dataflows.page_token"
		" (hash, owner, owner_name, created_at, expires_at, password)"
		" VALUES ($1, $2, $3, $4, $5, $6)",
		SPI_OK_INSERT,
		DF_PARAMS(BYTEAOID, OIDOID, TEXTOID, TIMESTAMPTZOID, TIMESTAMPTZOID, BYTEAOID)};
	bytea *password = hash_password(owner, token);
	Datum values[6];

	values[0] = PointerGetDatum(hash_text(token));
	values[1] = ObjectIdGetDatum(owner);
	values[2] = CStringGetTextDatum(owner_name);
	values[3] = TimestampTzGetDatum(now);
	values[4] = TimestampTzGetDatum(expires);
	values[5] = PointerGetDatum(password);
	(void) df_plan_run(&plan, values, password == NULL ? "     n" : NULL, 0);
}

uint64
df_page_token_delete(Oid owner)
{
	static DfPlan plan = {
		"DELETE FROM dataflows.page_token AS t WHERE t.owner = $1",
		SPI_OK_DELETE,
		DF_PARAMS(OIDOID)};
	Datum values[1];

	values[0] = ObjectIdGetDatum(owner);
	return df_plan_run(&plan, values, NULL, 0);
}

/* for adopt(): tokens in a copy of the files were made for the original */
uint64
df_page_tokens_drop(void)
{
	static DfPlan plan = {
		"DELETE FROM dataflows.page_token",
		SPI_OK_DELETE, 0};

	return df_plan_run(&plan, NULL, NULL, 0);
}

/*
 * A superuser would see and stop everybody's runs from a browser; a role that
 * cannot log in to the server (any more) does not do so by the page.
 */
const char *
df_page_role_refused(Oid role, const char *name, TimestampTz now)
{
	HeapTuple tuple = SearchSysCache1(AUTHOID, ObjectIdGetDatum(role));
	const char *why = NULL;
	Form_pg_authid form;
	Datum until;
	bool forever;

	if (!HeapTupleIsValid(tuple))
		return "does not exist";
	form = (Form_pg_authid) GETSTRUCT(tuple);
	until = SysCacheGetAttr(AUTHOID, tuple, Anum_pg_authid_rolvaliduntil, &forever);
	if (strcmp(NameStr(form->rolname), name) != 0)
		why = "was renamed";
	else if (form->rolsuper)
		why = "is a superuser";
	else if (!form->rolcanlogin)
		why = "may not log in";
	else if (!forever && DatumGetTimestampTz(until) <= now)
		why = "may not log in any more (VALID UNTIL)";
	else if (object_aclcheck(DatabaseRelationId, MyDatabaseId, role, ACL_CONNECT) != ACLCHECK_OK)
		why = "may not connect to this database";
	ReleaseSysCache(tuple);
	return why;
}

static bool
same_bytes(const bytea *one, const bytea *other)
{
	if (one == NULL || other == NULL)
		return one == other;
	return VARSIZE_ANY_EXHDR(one) == VARSIZE_ANY_EXHDR(other) &&
		memcmp(VARDATA_ANY(one), VARDATA_ANY(other), VARSIZE_ANY_EXHDR(one)) == 0;
}

/* asked for each request: what has ended the role's right to log in has ended the token */
Oid
df_page_token_role(const char *token, TimestampTz now)
{
	static DfPlan plan = {
		"SELECT t.owner, t.owner_name, t.password FROM dataflows.page_token AS t"
		" WHERE t.hash = $1 AND t.expires_at > $2",
		SPI_OK_SELECT,
		DF_PARAMS(BYTEAOID, TIMESTAMPTZOID)};
	Datum values[2];
	DfStore store;
	Oid role = InvalidOid;

	values[0] = PointerGetDatum(hash_text(token));
	values[1] = TimestampTzGetDatum(now);
	df_store_enter(&store);
	if (df_plan_run_latest(&plan, values, NULL, 1) == 1)
	{
		bytea *password = df_is_null(0, 2) ? NULL : DatumGetByteaPP(df_value(0, 2));

		role = DatumGetObjectId(df_value(0, 0));
		if (df_page_role_refused(role, df_copy_text(CurrentMemoryContext, 0, 1), now) != NULL ||
			!same_bytes(password, hash_password(role, token)))
			role = InvalidOid;
	}
	df_store_leave(&store);
	return role;
}
