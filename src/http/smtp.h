/*
 * http/smtp.h
 *	  One mail: an exchange by SMTP.
 */
#ifndef DF_HTTP_SMTP_H
#define DF_HTTP_SMTP_H

#include "http/request.h"

typedef struct DfMail
{
	CURLM *multi; /* its own; NULL = not begun */
	int64 timer_us; /* when libcurl wants to be called for it, -1 = not */
	int fd; /* the connection, once the dialogue is ours; -1 before */

	/* all that we say, turn by turn; the last turn but one is the message */
	const char *script;
	const size_t *ends; /* where each turn ends */
	int nturns;
	int turn;
	size_t written; /* of the script */
	bool asked; /* the turn is out, its reply is awaited */
	bool blocked; /* the socket takes no more at the moment */

	/* the reply that is being read, or was read last */
	char reply[2048]; /* its lines, without CR, joined by LF */
	size_t reply_len;
	size_t line_start; /* of the present line, in reply */
	size_t line_len; /* of the present line, even where it is not kept */
	char line_head[5]; /* "250-" */
	bool whole;
	int code;
} DfMail;

/* NULL if the mail can be sent, else a constant sentence why not */
extern const char *df_mail_problem(const DfHttpRequest *request);

/* a malloc'd exchange with a copy of all that is said; NULL = no memory */
extern DfExchange *df_mail_new(const DfHttpRequest *request);

/* sets the exchange's easy handle up: connection, TLS, authentication, and no more */
extern CURLcode df_mail_apply(DfExchange *exchange, const DfHttpRequest *request);

/* what became of it */
typedef struct DfMailEnd
{
	DfFate fate;
	const char *error; /* NULL = libcurl's words */
} DfMailEnd;

/* libcurl is done with connecting; true if that is the end, else the dialogue begins */
extern bool df_mail_connected(DfExchange *exchange, CURLcode code, DfMailEnd *end);

/* reads and writes what can be without waiting; true = the end */
extern bool df_mail_talk(DfExchange *exchange, DfMailEnd *end);

/* the text of the last reply becomes the body of the answer, its code the status */
extern void df_mail_keep_reply(DfExchange *exchange);

#endif /* DF_HTTP_SMTP_H */
