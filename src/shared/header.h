/*
 * shared/header.h
 *	  Facts about headers: who may set which, what is recorded, what is legal.
 */
#ifndef DF_SHARED_HEADER_H
#define DF_SHARED_HEADER_H

/* the header with the idempotency key, unless a system names another */
#define DF_IDEMPOTENCY_HEADER "Idempotency-Key"

typedef enum DfHeaderKind
{
	DF_HEADER_FREE, /* anybody may set it */
	DF_HEADER_PUBLIC, /* so is this; it describes the request, so another origin may see it */
	DF_HEADER_SECRET, /* so is this; it belongs into a USER MAPPING */
	DF_HEADER_KEY, /* the engine sets it, for each step */
	DF_HEADER_TRANSPORT /* nobody may set it: it is libcurl's, or concerns the connection */
} DfHeaderKind;

/* of a request */
extern DfHeaderKind df_header_kind(const char *name, size_t len);

/*
 * Of a request: it says in which state the thing is expected, or which part of it is wanted.
 * Another request about the same thing, such as the undo, must not carry it.
 */
extern bool df_header_is_condition(const char *name, size_t len);

/* of a response: whether response() is to show it */
extern bool df_header_is_recorded(const char *name, size_t len);

/* of a response: the system says that it is its first one to the same key, once more */
extern bool df_header_says_replayed(const char *name, const char *value);

/* of a mail: whether a workflow may not give it */
extern bool df_header_is_reserved_in_mails(const char *name);

/* compares names without regard to case */
extern bool df_header_is(const char *name, size_t len, const char *other);
extern bool df_header_line_is(const char *line, const char *name); /* "Name: value" */

/* what follows "Bearer " or another scheme in an Authorization; NULL = it is another scheme */
extern const char *df_header_credentials(const char *value, const char *scheme);

/* names are tokens of RFC 9110: the length of the one at the beginning of a text; is it one? */
extern size_t df_header_name_length(const char *text);
extern bool df_header_name_is_legal(const char *name, size_t len);

/* no control characters, which could begin another header or end the headers */
extern bool df_header_value_is_legal(const char *value, size_t len);

#endif /* DF_SHARED_HEADER_H */
