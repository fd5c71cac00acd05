/*
 * engine/mime.h
 *	  Mail as text: addresses, header fields, encoded words, bodies.
 *
 * Pure functions over UTF-8.  What is written is ASCII, and every line of it
 * ends in CR LF, whatever the values hold.
 */
#ifndef DF_MIME_H
#define DF_MIME_H

#include "datatype/timestamp.h"
#include "lib/stringinfo.h"

typedef struct DfMailbox
{
	char *name; /* NULL = none */
	char *address;
} DfMailbox;

/* 'ada@example.com', 'Ada <ada@example.com>' or '"Lovelace, Ada" <...>'; false with *why */
extern bool df_mailbox_parse(const char *text, DfMailbox *box, const char **why);

/* NULL if it may stand in a header, else a constant sentence why not */
extern const char *df_mime_value_problem(const char *value);
extern const char *df_mime_name_problem(const char *name);

/* "Name: value", folded, in encoded words where it is not ASCII */
extern void df_mime_header(StringInfo to, const char *name, const char *value);
extern void df_mime_mailboxes(StringInfo to, const char *name, const DfMailbox *boxes, int n);
extern void df_mime_date(StringInfo to, TimestampTz at);

/* Content-Type, Content-Transfer-Encoding, an empty line and the text */
extern void df_mime_text(StringInfo to, const char *type, const char *text);

/* a file that is attached, in base64; name = NULL: it has none */
extern void df_mime_file(StringInfo to, const char *type, const char *name, const char *bytes,
						 size_t len);

#endif /* DF_MIME_H */
