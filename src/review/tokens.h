/*
 * review/tokens.h
 *	  The tokens of a function's source in SQL or PL/pgSQL.
 */
#ifndef DF_REVIEW_TOKENS_H
#define DF_REVIEW_TOKENS_H

#include "nodes/pg_list.h"

typedef enum DfTokenKind
{
	DF_TOKEN_WORD, /* in lower case */
	DF_TOKEN_NAME, /* was in double quotes */
	DF_TOKEN_STRING, /* without its quotes, escapes as they are written */
	DF_TOKEN_MARK /* one character; numbers are marks, too */
} DfTokenKind;

typedef struct DfToken
{
	DfTokenKind kind;
	char *text;
	int line; /* from 1, as PL/pgSQL counts */
} DfToken;

typedef struct DfTokens
{
	DfToken *all;
	int n;
} DfTokens;

/* comments are left out; a source that ends within a string ends there */
extern void df_tokens_read(const char *source, DfTokens *tokens);

/* whether the token there is that word, or that mark; false outside of the source */
extern bool df_token_is_word(const DfTokens *tokens, int at, const char *word);
extern bool df_token_is_mark(const DfTokens *tokens, int at, char mark);

/* of an opening parenthesis the closing one; the number of tokens if there is none */
extern int df_token_closing(const DfTokens *tokens, int open);

#endif /* DF_REVIEW_TOKENS_H */
