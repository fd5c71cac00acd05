/*
 * engine/mail_message.h
 *	  The message of a mail: read from what a body gave send_mail(), and written.
 */
#ifndef DF_MAIL_MESSAGE_H
#define DF_MAIL_MESSAGE_H

#include "engine/file_value.h"
#include "engine/mime.h"
#include "types/run.h"

/* servers take a hundred (RFC 5321); with more, some would come back as "try again" for ever */
#define DF_MAX_RECIPIENTS 100

typedef struct DfMailMessage
{
	DfMailbox from;
	DfMailbox *to; /* to, cc and bcc, one behind the other */
	int nto;
	int ncc;
	int nbcc;
	char *subject; /* NULL = none; likewise below */
	char *text;
	char *html;
	Jsonb *headers;
	DfFileValue *attachments;
	int nattachments;
	char *doubt;
} DfMailMessage;

typedef struct DfMailProblem
{
	int sqlstate;
	char *message; /* "key \"to\" is missing" */
	char *hint;
} DfMailProblem;

/* reads and checks it; strings become UTF-8.  False with *problem */
extern bool df_mail_read(const Jsonb *message, DfMailMessage *mail, DfMailProblem *problem);

/* what identifies the step: "MAIL ada@example.com, bob@example.com" */
extern char *df_mail_request(const DfMailMessage *mail);

/* the message as it is sent; the same for all attempts */
extern char *df_mail_render(const DfMailMessage *mail, const char *key, TimestampTz at);

/* its Message-ID, which the key decides */
extern char *df_mail_id(const DfMailMessage *mail, const char *key);

#endif /* DF_MAIL_MESSAGE_H */
