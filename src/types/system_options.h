/*
 * types/system_options.h
 *	  A system as its options describe it, with the credentials of one role.
 */
#ifndef DF_TYPES_SYSTEM_OPTIONS_H
#define DF_TYPES_SYSTEM_OPTIONS_H

#include "types/answers.h"
#include "types/body_format.h"
#include "types/retry.h"

/* values of options whose names the user chooses, such as "token.audience" */
typedef struct DfNamedValues
{
	int n;
	char **names; /* without the prefix */
	char **values;
} DfNamedValues;

/* how an access token is obtained (RFC 6749, 4.4 and 6; RFC 7523, 2.1) */
typedef enum DfGrant
{
	DF_GRANT_CLIENT_CREDENTIALS,
	DF_GRANT_REFRESH_TOKEN,
	DF_GRANT_JWT_BEARER
} DfGrant;

/* of an account_hash: which database it was made in, whose mappings have other oids */
#define DF_DATABASE_BITS 0xffU

typedef struct DfSystem
{
	Oid oid;
	char *name;
	char *url;
	bool mail; /* smtp or smtps: for send_mail() and nothing else */
	bool mail_in_clear; /* starttls 'off' */
	/* fdw/where.c; recorded with each intent, to notice that either has changed */
	uint32 url_hash;
	uint32 account_hash;
	char *formerly; /* urls at which the same system was before, separated by spaces */
	int nformer;
	uint32 *former; /* hashes of these */
	int timeout_ms;
	int connect_timeout_ms;
	const DfAnswers *answers; /* what its responses mean; NULL = what their statuses say */
	DfBodyFormat body; /* of requests */
	char *idempotency_header; /* NULL = not sent */
	bool idempotency_trusted; /* its options name the header */
	char *idempotency_body; /* the field of the body that carries the key, too; NULL = none */
	char *idempotency_query; /* the parameter of the query, likewise */
	int64 idempotency_ttl_ms;
	int max_concurrency;
	double rate_per_second; /* 0 = no limit */
	int breaker_failures;
	int64 breaker_cooldown_ms;
	DfRetry retry;
	int64 settle_ms;
	int64 max_body; /* 0 = dataflows.max_body */
	bool allow_private; /* of the url's origin */
	char *private_origins; /* further private origins, separated by spaces; NULL = none */
	int follow_redirects;
	char *ca_file;
	char *proxy; /* NULL = none; likewise below */
	char *proxy_ca_file;
	char *unix_socket;
	char *sign; /* shared/signing.h */
	char *sign_value;
	char *sign_timestamp;
	char *aws_sigv4;
	int nheaders; /* public and secret ones, "Name: value" */
	char **headers;
	bool *header_is_secret; /* from the user mapping; every role may read the server's */
	/* credentials: only ever handed to the HTTP room, zeroed when forgotten */
	char *bearer_token;
	char *username;
	char *password;
	char *client_cert;
	char *client_key;
	char *oauth_token_url;
	char *oauth_client_id;
	char *oauth_client_secret;
	char *oauth_scope;
	DfGrant oauth_grant;
	DfNamedValues token_fields; /* further fields of the token request, the server's too */
	char *refresh_token; /* the first one; store/refresh_token_table.c has those that followed */
	char *jwt_key; /* PEM */
	char *jwt_key_id;
	int64 jwt_lifetime_ms;
	DfNamedValues claims;
	char *paused; /* by pause_system(): {"by", "at", "note"}; NULL = it is not */
	DfNamedValues query; /* parameters of each URL */
	char *secret_path; /* follows the path of the url */
	char *signing_secret;
	char *aws_access_key;
	char *aws_secret_key;
	char *aws_session_token;
	char *proxy_username;
	char *proxy_password;
	char *webhook_secret; /* the secret that senders of webhooks sign with */
	char *webhook_secret_old; /* accepted too while rotating */
} DfSystem;

#endif /* DF_TYPES_SYSTEM_OPTIONS_H */
