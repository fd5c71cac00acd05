/*
 * http/smtp.h
 *	  One mail: an exchange by SMTP.
 */
#ifndef DF_HTTP_SMTP_H
#define DF_HTTP_SMTP_H

#include "http/exchange.h"

typedef struct DfMail
{
	CURLM *multi; /* its own; NULL = not begun */
	int64 timer_us; /* when libcurl wants to be called for it, -1 = not */
	int fd; /* the connection once it is connected; -1 before */

	/* everything that is sent, turn by turn; the message is the last turn but one */
	const char *script;
	const size_t *ends; /* where each turn ends */
	int nturns;
	int turn;
	size_t written; /* of the script */
	bool asked; /* the turn is out, its reply is awaited */
	bool blocked; /* the socket can take no more at present */

	/* the last reply, complete or not */
	char reply[2048]; /* its lines, without CR, joined by LF */
	size_t reply_len;
	size_t line_len; /* of the present line, even where it is not kept */
	char line_head[5]; /* "250-" */
	bool whole;
	int code;
} DfMail;

/* NULL if the mail can be sent, else a constant sentence that says why not */
extern const char *df_mail_problem(const DfHttpRequest *request);

/* a malloc'd exchange with a copy of everything that is sent; NULL = no memory */
extern DfExchange *df_mail_new(const DfHttpRequest *request);

/* sets up the easy handle for connecting, TLS and authentication only */
extern CURLcode df_mail_apply(DfExchange *exchange, const DfHttpRequest *request);

/* what became of it */
typedef struct DfMailEnd
{
	DfFate fate;
	const char *error; /* NULL = libcurl's text */
} DfMailEnd;

/* libcurl has connected or failed; true = the end, else the dialogue begins */
extern bool df_mail_connected(DfExchange *exchange, CURLcode code, DfMailEnd *end);

/* reads and writes what is possible without waiting; true = the end */
extern bool df_mail_talk(DfExchange *exchange, DfMailEnd *end);

/* makes the last reply the body of the response, and its code the status */
extern void df_mail_keep_reply(DfExchange *exchange);

#endif /* DF_HTTP_SMTP_H */
