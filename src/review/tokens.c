/*
 * review/tokens.c
 *	  The tokens of a function's source in SQL or PL/pgSQL.
 *
 * Runs in a user's backend, in its transaction and role; reads text and nothing else.  It
 * knows what a string, a comment and a name are, and no grammar.  Must never raise an error
 * because a source is odd.
 */
#include "postgres.h"

#include "mb/pg_wchar.h"
#include "miscadmin.h"
#include "review/tokens.h"

typedef struct Reader
{
	const char *p;
	int line;
	DfTokens *tokens;
	int room;
} Reader;

static bool
begins_word(char c)
{
	return c == '_' || (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z') || IS_HIGHBIT_SET(c);
}

static bool
is_digit(char c)
{
	return c >= '0' && c <= '9';
}

static void
add(Reader *reader, DfTokenKind kind, const char *from, size_t length, int line)
{
	DfTokens *tokens = reader->tokens;

	if (tokens->n == reader->room)
	{
		reader->room *= 2;
		tokens->all = repalloc(tokens->all, reader->room * sizeof(DfToken));
	}
	tokens->all[tokens->n++] = (DfToken){kind, pnstrdup(from, length), line};
}

/* goes on to `end`, and counts the lines on the way */
static void
skip_to(Reader *reader, const char *end)
{
	for (; reader->p < end; reader->p++)
		reader->line += *reader->p == '\n';
}

static bool
skip_comment(Reader *reader)
{
	const char *p = reader->p;
	int depth = 0;

	if (p[0] == '-' && p[1] == '-')
	{
		skip_to(reader, p + strcspn(p, "\n"));
		return true;
	}
	if (p[0] != '/' || p[1] != '*')
		return false;
	do
	{
		if (p[0] == '/' && p[1] == '*')
			depth++, p += 2;
		else if (p[0] == '*' && p[1] == '/')
			depth--, p += 2;
		else if (*p != '\0')
			p++;
	} while (depth > 0 && *p != '\0');
	skip_to(reader, p);
	return true;
}

/* reader->p is behind the opening quote */
static void
read_quoted(Reader *reader, DfTokenKind kind, char quote, bool escapes)
{
	const char *begin = reader->p;
	const char *p = begin;
	int line = reader->line;

	while (*p != '\0' && (*p != quote || p[1] == quote))
	{
		if ((escapes && *p == '\\' && p[1] != '\0') || *p == quote)
			p++;
		p++;
	}
	add(reader, kind, begin, p - begin, line);
	skip_to(reader, *p == '\0' ? p : p + 1);
}

/* $tag$ ... $tag$; false: it is no such string */
static bool
read_dollar_quoted(Reader *reader)
{
	const char *p = reader->p + 1;
	const char *end;
	char *tag;
	int line = reader->line;

	if (begins_word(*p))
		while (begins_word(*p) || is_digit(*p))
			p++;
	if (*p != '$')
		return false;
	p++;
	tag = pnstrdup(reader->p, p - reader->p);
	end = strstr(p, tag);
	if (end == NULL)
		end = p + strlen(p);
	add(reader, DF_TOKEN_STRING, p, end - p, line);
	skip_to(reader, *end == '\0' ? end : end + strlen(tag));
	return true;
}

static void
read_word(Reader *reader)
{
	const char *begin = reader->p;
	char *word;

	while (begins_word(*reader->p) || is_digit(*reader->p) || *reader->p == '$')
		reader->p++;
	add(reader, DF_TOKEN_WORD, begin, reader->p - begin, reader->line);
	word = reader->tokens->all[reader->tokens->n - 1].text;
	for (; *word != '\0'; word++)
		*word = (char) pg_ascii_tolower((unsigned char) *word);
}

static void
read_token(Reader *reader)
{
	char c = reader->p[0];

	if (c == '\'')
	{
		reader->p++;
		read_quoted(reader, DF_TOKEN_STRING, '\'', false);
	}
	else if ((c == 'e' || c == 'E') && reader->p[1] == '\'')
	{
		reader->p += 2;
		read_quoted(reader, DF_TOKEN_STRING, '\'', true);
	}
	else if (c == '"')
	{
		reader->p++;
		read_quoted(reader, DF_TOKEN_NAME, '"', false);
	}
	else if (c == '$' && read_dollar_quoted(reader))
		return;
	else if (begins_word(c))
		read_word(reader);
	else
	{
		add(reader, DF_TOKEN_MARK, reader->p, 1, reader->line);
		reader->p++;
	}
}

void
df_tokens_read(const char *source, DfTokens *tokens)
{
	Reader reader = {source, 1, tokens, 256};

	tokens->all = palloc(reader.room * sizeof(DfToken));
	tokens->n = 0;
	while (*reader.p != '\0')
	{
		CHECK_FOR_INTERRUPTS();
		if (strchr(" \t\r\n\f\v", *reader.p) != NULL)
			skip_to(&reader, reader.p + 1);
		else if (!skip_comment(&reader))
			read_token(&reader);
	}
}

bool
df_token_is_word(const DfTokens *tokens, int at, const char *word)
{
	return at >= 0 && at < tokens->n && tokens->all[at].kind == DF_TOKEN_WORD &&
		strcmp(tokens->all[at].text, word) == 0;
}

bool
df_token_is_mark(const DfTokens *tokens, int at, char mark)
{
	return at >= 0 && at < tokens->n && tokens->all[at].kind == DF_TOKEN_MARK &&
		tokens->all[at].text[0] == mark;
}

int
df_token_closing(const DfTokens *tokens, int open)
{
	int depth = 0;

	for (int at = open; at < tokens->n; at++)
	{
		if (df_token_is_mark(tokens, at, '('))
			depth++;
		else if (df_token_is_mark(tokens, at, ')') && --depth == 0)
			return at;
	}
	return tokens->n;
}
