/*
 * worker/secrets.c
 *	  Hides the secrets of a request in what is kept of its response.
 *
 * Runs in a worker.  Some systems return what was sent when they refuse it: as it
 * is, or escaped as in JSON, URLs or HTML, or in base64 or hexadecimal digits.  So
 * the secrets of a request are kept while it is in flight, in one block that is wiped
 * when the response has come, and searched for in everything that goes into errors.
 * Never log what this file holds, and never pass it to another room.
 */
#include "postgres.h"

#include "common/base64.h"
#include "lib/stringinfo.h"
#include "shared/header.h"
#include "types/response.h"
#include "utils/builtins.h"
#include "worker/secrets.h"
#include "worker/unescape.h"

/* shorter ones would be found in every text, and protect nothing */
#define SHORTEST_SECRET 6

/* size of the hash of the pairs of characters that a form begins with */
#define PAIRS 1024

/* partial matches that are followed at a time */
#define MAX_WAYS 64

typedef enum DfForm
{
	DF_FORM_PLAIN,
	DF_FORM_BASE64, /* in either alphabet, possibly as a part of something longer */
	DF_FORM_HEX /* in either case */
} DfForm;

struct DfSecrets
{
	size_t size;
	size_t used;
	bool firsts[256]; /* some form begins with this character */
	bool pairs[PAIRS]; /* some form begins with a pair of this hash */
	char text[FLEXIBLE_ARRAY_MEMBER]; /* for each form a byte DfForm, then its text and a NUL */
};

/* ---- the secrets of a request --------------------------------------------- */

/* most texts hold no secret: this look-up alone determines how fast they are read */
static size_t
pair_of(char one, char other)
{
	return ((unsigned char) one * 37 + (unsigned char) other) % PAIRS;
}

/* the characters that stand for c in this form, one or two */
static size_t
other_spellings(DfForm form, char c, char spellings[2])
{
	spellings[0] = spellings[1] = c;
	if (form == DF_FORM_BASE64)
		spellings[1] = c == '+' ? '-' : c == '/' ? '_'
												 : c;
	else if (form == DF_FORM_HEX)
		spellings[1] = pg_ascii_toupper((unsigned char) c);
	return spellings[0] == spellings[1] ? 1 : 2;
}

static void
note_beginning(DfSecrets *secrets, DfForm form, const char *text)
{
	char one[2];
	char other[2];
	size_t n = other_spellings(form, text[0], one);
	size_t m = other_spellings(form, text[1], other);

	for (size_t i = 0; i < n; i++)
	{
		secrets->firsts[(unsigned char) one[i]] = true;
		for (size_t k = 0; k < m; k++)
			secrets->pairs[pair_of(one[i], other[k])] = true;
	}
}

/* the block was made large enough for all forms */
static char *
begin_form(DfSecrets *secrets, DfForm form, size_t len)
{
	Assert(secrets->used + len + 2 <= secrets->size);
	secrets->text[secrets->used] = (char) form;
	return secrets->text + secrets->used + 1;
}

static void
end_form(DfSecrets *secrets, DfForm form, char *text, size_t len)
{
	text[len] = '\0';
	secrets->used += len + 2;
	note_beginning(secrets, form, text);
}

/*
 * The secret as part of a longer text in base64, `ahead` bytes after a multiple of
 * three: those digits that depend on the secret alone.
 */
static void
add_base64(DfSecrets *secrets, const char *secret, size_t len, size_t ahead)
{
	size_t first = (8 * ahead + 5) / 6;
	size_t last = 8 * (ahead + len) / 6;
	int size = pg_b64_enc_len(ahead + len);
	char *bytes = palloc0(ahead + len);
	char *digits = palloc(size);
	char *to = begin_form(secrets, DF_FORM_BASE64, last - first);

	memcpy(bytes + ahead, secret, len);
	(void) pg_b64_encode((const void *) bytes, ahead + len, digits, size);
	memcpy(to, digits + first, last - first);
	end_form(secrets, DF_FORM_BASE64, to, last - first);
	explicit_bzero(bytes, ahead + len);
	explicit_bzero(digits, size);
	pfree(bytes);
	pfree(digits);
}

static void
add_hex(DfSecrets *secrets, const char *secret, size_t len)
{
	char *to = begin_form(secrets, DF_FORM_HEX, 2 * len);

	(void) hex_encode(secret, len, to);
	end_form(secrets, DF_FORM_HEX, to, 2 * len);
}

/* for all forms of a secret of that length */
static size_t
room_for_length(size_t len)
{
	return len + 3 * (4 * (len + 2) / 3) + 2 * len + 5 * 2;
}

static void
add(DfSecrets *secrets, const char *secret)
{
	size_t len = secret != NULL ? strlen(secret) : 0;

	if (len < SHORTEST_SECRET)
		return;
	memcpy(begin_form(secrets, DF_FORM_PLAIN, len), secret, len);
	end_form(secrets, DF_FORM_PLAIN, secrets->text + secrets->used + 1, len);
	for (size_t ahead = 0; ahead < 3; ahead++)
		add_base64(secrets, secret, len, ahead);
	add_hex(secrets, secret, len);
}

/* "user:password", and the password by itself */
static void
add_pair(DfSecrets *secrets, const char *pair)
{
	const char *colon = strchr(pair, ':');

	add(secrets, pair);
	if (colon != NULL)
		add(secrets, colon + 1);
}

/* the decoded value of a header is a secret, too, and no longer than the encoded one */
static void
add_decoded(DfSecrets *secrets, const char *word)
{
	int room = pg_b64_dec_len(strlen(word));
	char *pair = palloc(room + 1);
	int len = pg_b64_decode(word, strlen(word), (void *) pair, room);

	if (len > 0)
	{
		pair[len] = '\0';
		add_pair(secrets, pair);
		explicit_bzero(pair, len);
	}
	pfree(pair);
}

/* "X: Token abc", "Cookie: a=1; b=2": the value, its last word, the part after the last "=" */
static void
add_header(DfSecrets *secrets, const char *line)
{
	const char *value = strchr(line, ':');
	const char *word;
	const char *equals;
	const char *pair;

	if (value == NULL)
		return;
	value += 1 + strspn(value + 1, " ");
	add(secrets, value);
	word = strrchr(value, ' ');
	if (word != NULL)
		add(secrets, word + 1);
	equals = strrchr(value, '=');
	if (equals != NULL)
		add(secrets, equals + 1);
	pair = df_header_credentials(value, "Basic");
	if (pair != NULL)
		add_decoded(secrets, pair);
}

static size_t
room_for(const char *secret)
{
	return secret != NULL ? room_for_length(strlen(secret)) : 0;
}

static size_t
room_for_pair(const DfSystem *system)
{
	return room_for_length(strlen(system->username) + 1 + strlen(system->password));
}

/* what is in the URL, and what else the system or a proxy could send back */
static void
add_way(DfSecrets *secrets, const DfSystem *system)
{
	for (int i = 0; i < system->query.n; i++)
		add(secrets, system->query.values[i]);
	add(secrets, system->aws_session_token);
	add(secrets, system->proxy_password);
	add(secrets, system->secret_path);
	/* also a segment of the path, by itself */
	for (const char *at = system->secret_path; at != NULL; at = strchr(at + 1, '/'))
	{
		char *segment = pnstrdup(at + 1, strcspn(at + 1, "/"));

		add(secrets, segment);
		explicit_bzero(segment, strlen(segment));
		pfree(segment);
	}
}

static size_t
room_for_way(const DfSystem *system)
{
	size_t room = room_for(system->aws_session_token) + room_for(system->proxy_password) +
		room_for(system->secret_path);

	for (int i = 0; i < system->query.n; i++)
		room += room_for(system->query.values[i]);
	for (const char *at = system->secret_path; at != NULL; at = strchr(at + 1, '/'))
		room += room_for(system->secret_path);
	return room;
}

DfSecrets *
df_secrets_of(const DfSystem *system, const char *token)
{
	bool basic = system->username != NULL && system->password != NULL;
	size_t size = room_for(system->bearer_token) + room_for(system->oauth_client_secret) +
		room_for(token) + (basic ? 2 * room_for_pair(system) : 0) + room_for_way(system);
	DfSecrets *secrets;

	/* add_header() adds up to five parts of each */
	for (int i = 0; i < system->nheaders; i++)
		size += system->header_is_secret[i] ? 5 * room_for(system->headers[i]) : 0;
	if (size == 0)
		return NULL;
	secrets = malloc(offsetof(DfSecrets, text) + size);
	if (secrets == NULL)
		ereport(ERROR,
				(errcode(ERRCODE_OUT_OF_MEMORY),
				 errmsg("out of memory")));
	memset(secrets, 0, offsetof(DfSecrets, text));
	secrets->size = size;
	for (int i = 0; i < system->nheaders; i++)
		if (system->header_is_secret[i])
			add_header(secrets, system->headers[i]);
	if (basic)
	{
		char *pair = psprintf("%s:%s", system->username, system->password);

		add_pair(secrets, pair);
		explicit_bzero(pair, strlen(pair));
		pfree(pair);
	}
	add(secrets, token);
	add(secrets, system->bearer_token);
	add(secrets, system->oauth_client_secret);
	add_way(secrets, system);
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

/* ---- searching for them ---------------------------------------------------- */

/* a partial match: so many characters of the form were found, the text is read up to `at` */
typedef struct Way
{
	size_t found;
	size_t at;
} Way;

typedef struct Ways
{
	Way ways[MAX_WAYS];
	int n;
	long left; /* steps that may still be tried: no text may take long */
} Ways;

static void
try_way(Ways *ways, size_t found, size_t at)
{
	if (ways->n >= MAX_WAYS || ways->left-- <= 0)
		return;
	ways->ways[ways->n].found = found;
	ways->ways[ways->n++].at = at;
}

static bool
may_be_escape(char c)
{
	return c == '\\' || c == '%' || c == '&' || c == '+';
}

static bool
same_character(DfForm form, unsigned char c, char wanted)
{
	char spellings[2];

	if (c == (unsigned char) wanted)
		return true;
	(void) other_spellings(form, wanted, spellings);
	return c == (unsigned char) spellings[1];
}

/* adds the ways in which the text continues the match; false: the text ends within an escape */
static bool
go_on(Ways *ways, DfForm form, const char *wanted, size_t wanted_len, Way way, const char *text,
	  size_t len)
{
	const char *here = text + way.at;
	size_t left = len - way.at;
	bool escaped = false;

	if (same_character(form, (unsigned char) *here, wanted[way.found]))
		try_way(ways, way.found + 1, way.at + 1);
	for (int layers = 1; may_be_escape(*here) && layers <= DF_ESCAPE_LAYERS; layers++)
	{
		unsigned char bytes[4];
		int n;
		int k = 0;
		size_t used = df_unescape(here, Min(left, DF_LONGEST_ESCAPE), layers, bytes, &n);

		if (used == 0)
			continue;
		escaped = true;
		while (k < n && way.found + k < wanted_len &&
			   same_character(form, bytes[k], wanted[way.found + k]))
			k++;
		if (k == n)
			try_way(ways, way.found + n, way.at + used);
	}
	return escaped || !may_be_escape(*here) || left >= DF_LONGEST_ESCAPE;
}

/*
 * The length of this form of a secret at the beginning of the text, 0 = it is not
 * there.  A text that ends within the secret matches, because it may have been cut.
 */
static size_t
matches(DfForm form, const char *wanted, const char *text, size_t len)
{
	size_t wanted_len = strlen(wanted);
	Ways ways;

	ways.n = 0;
	ways.left = 16 * (long) wanted_len;
	try_way(&ways, 0, 0);
	while (ways.n > 0)
	{
		Way way = ways.ways[--ways.n];

		if (way.found == wanted_len)
			return way.at;
		if (way.at < len && go_on(&ways, form, wanted, wanted_len, way, text, len))
			continue;
		if (way.found >= SHORTEST_SECRET)
			return len;
	}
	return 0;
}

/* a fast filter: false at nearly every position of a text */
static bool
may_begin(const DfSecrets *secrets, const char *text, size_t len)
{
	unsigned char bytes[4];
	int n;

	if (len < 2)
		return false;
	if (secrets->firsts[(unsigned char) text[0]] &&
		(may_be_escape(text[1]) || secrets->pairs[pair_of(text[0], text[1])]))
		return true;
	for (int layers = 1; may_be_escape(text[0]) && layers <= DF_ESCAPE_LAYERS; layers++)
		if (df_unescape(text, Min(len, DF_LONGEST_ESCAPE), layers, bytes, &n) > 0 &&
			secrets->firsts[bytes[0]])
			return true;
	return false;
}

static size_t
find_secret(const DfSecrets *secrets, const char *text, size_t len)
{
	size_t found = 0;

	if (!may_begin(secrets, text, len))
		return 0;
	for (size_t at = 0; at < secrets->used; at += 2 + strlen(secrets->text + at + 1))
		found = Max(found, matches((DfForm) secrets->text[at], secrets->text + at + 1, text, len));
	return found;
}

char *
df_secrets_redact(const DfSecrets *secrets, const char *text, size_t *len)
{
	StringInfoData shown;
	size_t copied = 0;
	bool found_any = false;

	if (secrets == NULL || text == NULL)
		return NULL;
	for (size_t i = 0; i < *len;)
	{
		size_t found = find_secret(secrets, text + i, *len - i);

		if (found == 0)
		{
			i++;
			continue;
		}
		if (!found_any)
			initStringInfo(&shown);
		found_any = true;
		appendBinaryStringInfo(&shown, text + copied, i - copied);
		appendStringInfoString(&shown, DF_REDACTED);
		i += found;
		copied = i;
	}
	if (!found_any)
		return NULL;
	appendBinaryStringInfo(&shown, text + copied, *len - copied);
	*len = shown.len;
	return shown.data;
}
