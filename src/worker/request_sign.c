/*
 * worker/request_sign.c
 *	  What is added to a request when it is made ready: signatures, secrets in its URL, its way.
 *
 * Runs in a worker, in the turn's transaction, at each attempt.  Copies of credentials are wiped
 * after the request was sent (worker/flight.c).  Never log one, and never keep one elsewhere.
 */
#include "postgres.h"

#include "fdw/options.h"
#include "http/url.h"
#include "http/url_secrets.h"
#include "shared/clock.h"
#include "shared/encoding.h"
#include "utils/timestamp.h"
#include "worker/aws_signature.h"
#include "worker/request_sign.h"

static int64
ms_since_1970(void)
{
	return df_now() / 1000 +
		(POSTGRES_EPOCH_JDATE - UNIX_EPOCH_JDATE) * (int64) SECS_PER_DAY * 1000;
}

/* ---- the URL -------------------------------------------------------------- */

/* "/" alone is the end of the secret path */
static char *
join(const DfSystem *system, const char *path, const char **problem)
{
	char *base = df_system_base(system);
	char *url;

	if (system->secret_path != NULL && path[0] == '/' &&
		(path[1] == '\0' || path[1] == '?'))
		path++;
	url = df_url_join(base, path, problem);
	explicit_bzero(base, strlen(base));
	return url;
}

char *
df_secret_url(const DfSystem *system, const char *path, const char **problem)
{
	char *url = join(system, path, problem);
	char **pairs;
	char *longer;

	if (url == NULL || system->query.n == 0)
		return url;
	pairs = df_query_pairs(system, true);
	longer = df_url_with_query(url, (const char *const *) pairs, true);
	explicit_bzero(url, strlen(url));
	url = NULL;
	if (longer != NULL)
	{
		url = pstrdup(longer);
		explicit_bzero(longer, strlen(longer));
	}
	free(longer);
	for (char **pair = pairs; *pair != NULL; pair++)
		explicit_bzero(*pair, strlen(*pair));
	if (url == NULL)
		*problem = "there is no memory for its URL";
	return url;
}

/* what the HTTP room must know of them, to keep them from other origins */
static void
name_url_secrets(DfDeparture *departure, const DfSystem *system)
{
	DfHttpRequest *request = &departure->request;
	char **secrets = palloc0(sizeof(char *) * (system->query.n + 2));
	int n = 0;

	if (system->query.n > 0)
	{
		char **pairs = df_query_pairs(system, true);

		for (char **pair = pairs; *pair != NULL; pair++)
			departure->secrets = lappend(departure->secrets, *pair);
		request->query_secrets = (const char *const *) pairs;
	}
	for (; n < system->query.n; n++)
		secrets[n] = df_departure_secret(departure, df_text_to_utf8(system->query.values[n]));
	if (system->secret_path != NULL)
		secrets[n++] = df_departure_secret(departure, df_text_to_utf8(system->secret_path));
	if (n > 0)
		request->url_secrets = (const char *const *) secrets;
}

/* ---- the way -------------------------------------------------------------- */

static char *
copy(const char *text)
{
	return text != NULL ? pstrdup(text) : NULL;
}

void
df_request_way(DfHttpRequest *request, const DfSystem *system)
{
	request->ca_file = copy(system->ca_file);
	request->proxy = copy(system->proxy);
	request->proxy_ca_file = copy(system->proxy_ca_file);
	request->proxy_username = copy(system->proxy_username);
	request->proxy_password = copy(system->proxy_password);
	/* the socket stands for the origin of the url */
	if (system->unix_socket != NULL && df_url_same_origin(system->url, request->url))
		request->unix_socket = copy(system->unix_socket);
}

/* ---- signatures ----------------------------------------------------------- */

static void
add(const char ***headers, int *n, const char *header)
{
	(*headers)[(*n)++] = header;
	(*headers)[*n] = NULL;
}

static void
sign_by_hmac(DfHttpRequest *request, const DfSystem *system, const char *key,
			 const char ***headers, int *n)
{
	DfSignedRequest what = {.method = request->method,
							.url = request->url,
							.key = key,
							.body = request->body,
							.body_len = request->body_len,
							.ms = ms_since_1970()};
	DfSigning signing;
	const char *why;
	char *header = NULL;
	char *timestamp;

	if (df_signing_parse(system->sign, &signing, &why))
		header = df_signing_header(&signing, system->sign_value, system->signing_secret, &what);
	if (header == NULL)
		ereport(ERROR,
				(errcode(ERRCODE_INTERNAL_ERROR),
				 errmsg("could not sign a request to system \"%s\"", system->name),
				 errhint("Check whether the server's cryptographic library has the digest.")));
	add(headers, n, header);
	timestamp = df_sign_timestamp_header(system, &signing);
	if (timestamp != NULL)
		add(headers, n,
			psprintf("%s: " INT64_FORMAT, timestamp,
					 df_signing_names_ms(signing.text) ? what.ms : what.ms / 1000));
}

static void
sign_for_aws(DfDeparture *departure, const DfSystem *system, const char ***headers, int *n)
{
	DfHttpRequest *request = &departure->request;
	bool own = system->aws_access_key != NULL;
	DfAwsRequest what = {.option = system->aws_sigv4,
						 .access_key = own ? system->aws_access_key : system->username,
						 .secret_key = own ? system->aws_secret_key : system->password,
						 .session_token = system->aws_session_token,
						 .method = request->method,
						 .url = request->url,
						 .headers = *headers,
						 .body = request->body,
						 .body_len = request->body_len,
						 .seconds = ms_since_1970() / 1000};
	const char *signature[DF_AWS_HEADERS + 1];
	char *url = df_aws_url(request->url);
	int made;

	departure->secrets = lappend(departure->secrets, url);
	request->url = what.url = url;
	made = df_aws_sign(&what, signature);

	for (int i = 0; i < made; i++)
	{
		departure->secrets = lappend(departure->secrets, unconstify(char *, signature[i]));
		add(headers, n, signature[i]);
	}
	/* libcurl's way to name them is taken, too: they are no basic authentication then */
	request->username = request->password = NULL;
}

void
df_request_sign(DfDeparture *departure, const DfSystem *system, const char *key)
{
	DfHttpRequest *request = &departure->request;
	const char **headers;
	int n = 0;

	name_url_secrets(departure, system);
	df_request_way(request, system);
	if (request->proxy_password != NULL)
		departure->secrets = lappend(departure->secrets,
									 unconstify(char *, request->proxy_password));
	if (system->sign == NULL && system->aws_sigv4 == NULL)
		return;
	while (request->headers[n] != NULL)
		n++;
	headers = palloc(sizeof(char *) * (n + DF_AWS_HEADERS + 2));
	memcpy(headers, request->headers, sizeof(char *) * (n + 1));
	if (system->aws_sigv4 != NULL)
		sign_for_aws(departure, system, &headers, &n);
	else
		sign_by_hmac(request, system, key != NULL ? df_text_to_utf8(key) : NULL, &headers, &n);
	request->headers = headers;
}
