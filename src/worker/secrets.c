/*
 * worker/secrets.c
 *	  Hides the secrets of a request in what is kept of its answer.
 *
 * Runs in a worker.  Some systems send back what they were sent when they refuse
 * it.  So the secrets of a request are kept while it is on the wire, in one
 * block that is wiped when the answer has come, and are looked for in all that
 * goes into errors.  Nothing beyond this room ever sees them.  It must never
 * log what it holds.
 */
#include "postgres.h"

#include "common/base64.h"
#include "lib/stringinfo.h"
#include "worker/secrets.h"

#define REDACTED "[redacted]"

/* what is shorter is in every text, and guarded by nothing anyway */
#define SHORTEST_SECRET 6

struct DfSecrets
{
	size_t		size;
	size_t		used;
	bool		begins[256];	/* whether some secret begins with that character */
	char		text[FLEXIBLE_ARRAY_MEMBER];	/* one behind the other, NUL-terminated */
};

/* "user:password" as the header has it */
static size_t
basic_length(const DfSystem *system)
{
	if (system->username == NULL || system->password == NULL)
		return 0;
	return pg_b64_enc_len(strlen(system->username) + 1 + strlen(system->password));
}

static size_t
room_for(const char *secret)
{
	/* a header's value and its last word */
	return secret != NULL ? 2 * (strlen(secret) + 1) : 0;
}

/* most texts hold none, and are read at the pace of this one look-up */
static void
note_beginning(DfSecrets *secrets, char c)
{
	secrets->begins[(unsigned char) c] = true;
	if (strchr("\"\\/", c) != NULL)
		secrets->begins[(unsigned char) '\\'] = true;
}

static void
add(DfSecrets *secrets, const char *secret)
{
	size_t		len = secret != NULL ? strlen(secret) : 0;

	if (len < SHORTEST_SECRET)
		return;
	Assert(secrets->used + len + 1 <= secrets->size);
	memcpy(secrets->text + secrets->used, secret, len + 1);
	note_beginning(secrets, *secret);
	secrets->used += len + 1;
}

/* "Authorization: Token abc": its value, and what is behind the scheme */
static void
add_header(DfSecrets *secrets, const char *line)
{
	const char *value = strchr(line, ':');
	const char *word;

	if (value == NULL)
		return;
	value += 1 + strspn(value + 1, " ");
	add(secrets, value);
	word = strrchr(value, ' ');
	if (word != NULL)
		add(secrets, word + 1);
}

static void
add_basic(DfSecrets *secrets, const DfSystem *system)
{
	char	   *pair;
	char	   *end = secrets->text + secrets->used;
	int			len;

	if (basic_length(system) == 0)
		return;
	pair = psprintf("%s:%s", system->username, system->password);
	len = pg_b64_encode((void *) pair, strlen(pair), end, basic_length(system) + 1);
	explicit_bzero(pair, strlen(pair));
	if (len < 0)
		return;
	end[len] = '\0';
	note_beginning(secrets, *end);
	secrets->used += len + 1;
}

DfSecrets *
df_secrets_of(const DfSystem *system, const char *token)
{
	size_t		size = room_for(system->bearer_token) + room_for(system->password) +
		room_for(system->oauth_client_secret) + room_for(token) + basic_length(system) + 1;
	DfSecrets  *secrets;

	for (int i = 0; i < system->nheaders; i++)
		size += system->header_is_secret[i] ? room_for(system->headers[i]) : 0;
	if (size == 1)
		return NULL;
	secrets = malloc(offsetof(DfSecrets, text) + size);
	if (secrets == NULL)
		ereport(ERROR,
				(errcode(ERRCODE_OUT_OF_MEMORY),
				 errmsg("out of memory")));
	memset(secrets, 0, offsetof(DfSecrets, text));
	secrets->size = size;
	/* longer ones first where one may hold another */
	for (int i = 0; i < system->nheaders; i++)
		if (system->header_is_secret[i])
			add_header(secrets, system->headers[i]);
	add_basic(secrets, system);
	add(secrets, token);
	add(secrets, system->bearer_token);
	add(secrets, system->password);
	add(secrets, system->oauth_client_secret);
	return secrets;
}

void
df_secrets_forget(DfSecrets *secrets)
{
	if (secrets == NULL)
		return;
	explicit_bzero(secrets->text, secrets->size);
	free(secrets);
}

/*
 * How much of the text is this secret, 0 = it does not begin with it.  Characters
 * may be escaped by a backslash, as JSON has it.  A text that ends within the
 * secret counts: it was cut there.
 */
static size_t
matches(const char *text, size_t len, const char *secret)
{
	size_t		i = 0;
	size_t		k;

	for (k = 0; secret[k] != '\0' && i < len; k++)
	{
		if (text[i] == '\\' && i + 1 < len && text[i + 1] == secret[k])
			i += 2;
		else if (text[i] == secret[k])
			i++;
		else
			return 0;
	}
	return secret[k] == '\0' || k >= SHORTEST_SECRET ? i : 0;
}

static size_t
find_secret(const DfSecrets *secrets, const char *text, size_t len)
{
	size_t		found = 0;

	if (!secrets->begins[(unsigned char) *text])
		return 0;
	for (size_t at = 0; at < secrets->used; at += strlen(secrets->text + at) + 1)
	{
		found = Max(found, matches(text, len, secrets->text + at));
	}
	return found;
}

char *
df_secrets_redact(const DfSecrets *secrets, const char *text, size_t *len)
{
	StringInfoData shown;
	size_t		copied = 0;
	bool		some = false;

	if (secrets == NULL || text == NULL)
		return NULL;
	for (size_t i = 0; i < *len;)
	{
		size_t		found = find_secret(secrets, text + i, *len - i);

		if (found == 0)
		{
			i++;
			continue;
		}
		if (!some)
			initStringInfo(&shown);
		some = true;
		appendBinaryStringInfo(&shown, text + copied, i - copied);
		appendStringInfoString(&shown, REDACTED);
		i += found;
		copied = i;
	}
	if (!some)
		return NULL;
	appendBinaryStringInfo(&shown, text + copied, *len - copied);
	*len = shown.len;
	return shown.data;
}
