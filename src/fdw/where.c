/*
 * fdw/where.c
 *	  Hashes of where a system is, and of whose account its credentials open there.
 *
 * Runs in workers, as the owner of the runs they serve, inside a transaction.  What is
 * hashed is no secret: hashes are recorded with each step.  A new password, key or token is
 * the same account, for nothing tells them from another's; so what is the same is the
 * mapping that they are an option of, unless it names the account.
 */
#include "postgres.h"

#include "access/xlog.h"
#include "common/hashfn.h"
#include "fdw/options.h"
#include "lib/stringinfo.h"
#include "miscadmin.h"

/* 0 means that it is not known */
static uint32
hash_of(const StringInfoData *text)
{
	return Max(1, hash_bytes((const unsigned char *) text->data, text->len));
}

/* the same name may be another host there: way = the proxy or the socket, NULL = none */
static uint32
hash_of_url(const char *url, size_t len, const char *way)
{
	StringInfoData text;

	initStringInfo(&text);
	appendBinaryStringInfo(&text, url, len);
	if (way != NULL)
		appendStringInfo(&text, "\n%s", way);
	return hash_of(&text);
}

static void
note_former(DfSystem *system, const char *url, size_t len, const char *way)
{
	int n = system->nformer++;

	system->former = n == 0 ? palloc(sizeof(uint32))
							: repalloc(system->former, (n + 1) * sizeof(uint32));
	system->former[n] = hash_of_url(url, len, way);
}

static void
note_urls(DfSystem *system)
{
	const char *way = system->unix_socket != NULL ? system->unix_socket : system->proxy;
	const char *rest = system->formerly != NULL ? system->formerly : "";

	system->url_hash = hash_of_url(system->url, strlen(system->url), way);
	for (rest += strspn(rest, " "); *rest != '\0';)
	{
		size_t len = strcspn(rest, " ");

		note_former(system, rest, len, NULL);
		if (way != NULL)
			note_former(system, rest, len, way);
		rest += len + strspn(rest + len, " ");
	}
}

/* a header or a parameter of the mapping, too, is how some systems know who asks */
static bool
has_credentials(const DfSystem *system)
{
	for (int i = 0; i < system->nheaders; i++)
		if (system->header_is_secret[i])
			return true;
	return system->bearer_token != NULL || system->username != NULL ||
		system->client_cert != NULL || system->oauth_client_id != NULL || system->query.n > 0 ||
		system->secret_path != NULL || system->signing_secret != NULL ||
		system->aws_access_key != NULL;
}

static void
add_claim(StringInfo text, const DfNamedValues *claims, const char *name)
{
	for (int i = 0; i < claims->n; i++)
		if (strcmp(claims->names[i], name) == 0)
			appendStringInfo(text, "\n%s %s", name, claims->values[i]);
}

/*
 * True if these names tell the account.  A user without a password is a key that is written
 * as a user, and a refresh token is somebody's, whoever the client is.
 */
static bool
add_names(StringInfo text, const DfSystem *system)
{
	bool tells = false;

	if (system->username != NULL && (system->password == NULL || *system->password != '\0'))
	{
		appendStringInfo(text, "\nuser %s", system->username);
		tells = true;
	}
	if (system->oauth_client_id != NULL)
	{
		appendStringInfo(text, "\nclient %s %s", system->oauth_token_url, system->oauth_client_id);
		add_claim(text, &system->claims, "iss");
		add_claim(text, &system->claims, "sub");
		tells = tells || system->oauth_grant != DF_GRANT_REFRESH_TOKEN;
	}
	return tells;
}

static uint32
database_bits(void)
{
	uint64 cluster = GetSystemIdentifier();

	return hash_combine(hash_bytes((const unsigned char *) &cluster, sizeof(cluster)),
						hash_bytes_uint32(MyDatabaseId)) &
		DF_DATABASE_BITS;
}

void
df_system_note_where(DfSystem *system, Oid mapping)
{
	StringInfoData text;

	note_urls(system);
	initStringInfo(&text);
	if (has_credentials(system) && !add_names(&text, system))
		appendStringInfo(&text, "\nmapping %u", mapping);
	system->account_hash = (hash_of(&text) & ~DF_DATABASE_BITS) | database_bits();
}
