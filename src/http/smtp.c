/*
 * http/smtp.c
 *	  One mail: an exchange by SMTP.
 *
 * Runs in workers, in no transaction.  libcurl resolves, connects, secures the
 * connection and authenticates (CURLOPT_CONNECT_ONLY); from MAIL FROM on, the
 * dialogue is ours, over curl_easy_send() and curl_easy_recv().  There are two
 * reasons.  libcurl's own upload waits for the reply to the message in a call
 * that blocks (smtp_done), so that one slow mail server would hold up every other
 * request of the worker.  And what a failure means depends on one fact alone,
 * whether the line with the dot may have left: here that is known.  Before it a
 * mail is certainly not accepted; after it, only a reply tells.
 *
 * Each mail has a multi handle of its own, because in a shared one libcurl may
 * close a connection that it takes for idle.  No connection is used twice: on a
 * stale one a reply can be lost.
 *
 * A recipient that is refused ends the mail before DATA: all of them get it, or
 * none.
 *
 * It must never raise, never palloc and never wait; the reply's reader is also a
 * callback below libcurl's frames.
 */
#include "postgres.h"

#include "http/connection.h"
#include "http/exchange_end.h"
#include "http/smtp.h"

#define MAX_PER_SEND 16384
#define MAX_READS 64
#define MAX_LINE 998
#define CODE_START_DATA 354

/* ---- checks --------------------------------------------------------------- */

static bool
is_path(const char *address)
{
	const char *at = strchr(address, '@');
	const char *c;

	for (c = address; *c != '\0'; c++)
		if (*c <= ' ' || *c >= 0x7F || strchr("<>\"\\,;:()", *c) != NULL)
			return false;
	return at != NULL && at != address && at[1] != '\0' && strchr(at + 1, '@') == NULL;
}

/* Checks once more that nothing given can end a line, or the message, early. */
static const char *
message_problem(const char *text, size_t len)
{
	size_t line = 0;
	size_t i;

	for (i = 0; i < len; i++)
	{
		unsigned char c = (unsigned char) text[i];

		if (c == '\0' || c > 0x7E)
			return "the message has a character that is not ASCII";
		if (c == '\n' || (c == '\r' && (i + 1 == len || text[i + 1] != '\n')))
			return "the message has a line that does not end in CR LF";
		if (c == '\r')
		{
			i++;
			line = 0;
		}
		else if (++line > MAX_LINE)
			return "the message has a line that is too long";
	}
	return len == 0 || line > 0 ? "the message does not end with a line" : NULL;
}

const char *
df_mail_problem(const DfHttpRequest *request)
{
	const char *const *to = request->mail_to;
	const char *problem;

	if (request->url == NULL)
		return "the URL is missing";
	if (!is_path(request->mail_from))
		return "the sender is not an address";
	if (to == NULL || *to == NULL)
		return "there is no recipient";
	for (; *to != NULL; to++)
		if (!is_path(*to))
			return "a recipient is not an address";
	if ((request->username == NULL) != (request->password == NULL && request->bearer_token == NULL))
		return "a user name needs a password or a token, and these a user name";
	if (request->body == NULL)
		return "there is no message";
	problem = message_problem(request->body, request->body_len);
	return problem != NULL ? problem : df_connection_problem(request);
}

/* ---- the script ----------------------------------------------------------- */

/* The message with dots doubled at the beginning of lines, and the line that ends it. */
static char *
put_message(char *to, const char *text, size_t len)
{
	bool start = true;
	size_t i;

	for (i = 0; i < len; i++)
	{
		if (start && text[i] == '.')
			*to++ = '.';
		*to++ = text[i];
		start = text[i] == '\n';
	}
	memcpy(to, ".\r\n", 3);
	return to + 3;
}

static size_t
script_bound(const DfHttpRequest *request, int *nturns)
{
	size_t total = strlen(request->mail_from) + 2 * request->body_len + 64;
	const char *const *to;

	*nturns = 4; /* MAIL, DATA, the message, QUIT */
	for (to = request->mail_to; *to != NULL; to++)
	{
		total += strlen(*to) + 16;
		(*nturns)++;
	}
	return total;
}

DfExchange *
df_mail_new(const DfHttpRequest *request)
{
	int nturns;
	size_t room = script_bound(request, &nturns);
	DfExchange *exchange = df_exchange_new(request,
										   MAXALIGN(sizeof(DfMail)) + MAXALIGN(room) +
											   MAXALIGN(nturns * sizeof(size_t)) + MAXIMUM_ALIGNOF);
	const char *const *to;
	DfMail *mail;
	char *script;
	char *at;
	size_t *ends;
	int n = 0;

	if (exchange == NULL)
		return NULL;
	mail = df_exchange_take(exchange, sizeof(DfMail));
	script = df_exchange_take(exchange, room);
	ends = df_exchange_take(exchange, nturns * sizeof(size_t));
	memset(mail, 0, sizeof(DfMail));
	at = script + snprintf(script, room, "MAIL FROM:<%s>\r\n", request->mail_from);
	ends[n++] = at - script;
	for (to = request->mail_to; *to != NULL; to++)
	{
		at += snprintf(at, room - (at - script), "RCPT TO:<%s>\r\n", *to);
		ends[n++] = at - script;
	}
	at += snprintf(at, room - (at - script), "DATA\r\n");
	ends[n++] = at - script;
	at = put_message(at, request->body, request->body_len);
	ends[n++] = at - script;
	at += snprintf(at, room - (at - script), "QUIT\r\n");
	ends[n++] = at - script;
	mail->script = script;
	mail->ends = ends;
	mail->nturns = n;
	mail->fd = -1;
	mail->timer_us = -1;
	exchange->mail = mail;
	return exchange;
}

/* ---- replies -------------------------------------------------------------- */

static void
keep_char(DfMail *mail, char c)
{
	if (mail->reply_len + 1 < sizeof(mail->reply))
	{
		mail->reply[mail->reply_len++] = c;
		mail->reply[mail->reply_len] = '\0';
	}
}

/* The code of the reply if this line is its last; 0 = the line has no valid code. */
static void
end_line(DfMail *mail)
{
	const char *head = mail->line_head;
	bool good = mail->line_len >= 3 && head[0] >= '2' && head[0] <= '5' &&
		head[1] >= '0' && head[1] <= '9' && head[2] >= '0' && head[2] <= '9' &&
		(mail->line_len == 3 || head[3] == ' ' || head[3] == '-');

	mail->code = good ? (head[0] - '0') * 100 + (head[1] - '0') * 10 + (head[2] - '0') : 0;
	mail->whole = !good || mail->line_len == 3 || head[3] == ' ';
	mail->line_len = 0;
}

/* Adds one character; true if it completes a reply. */
static bool
read_char(DfMail *mail, char c)
{
	if (mail->line_len == 0 && c != '\r' && c != '\n')
	{
		memset(mail->line_head, 0, sizeof(mail->line_head));
		if (mail->whole)
		{
			mail->whole = false;
			mail->reply_len = 0;
		}
		else if (mail->reply_len > 0)
			keep_char(mail, '\n');
	}
	if (c == '\n')
	{
		end_line(mail);
		return mail->whole;
	}
	if (c == '\r')
		return false;
	if (mail->line_len < 4)
		mail->line_head[mail->line_len] = c;
	mail->line_len++;
	keep_char(mail, c);
	return false;
}

/* CURLOPT_HEADERFUNCTION: receives the replies while libcurl connects. */
static size_t
on_reply(char *data, size_t size, size_t count, void *arg)
{
	DfExchange *exchange = arg;
	size_t len = size * count;
	size_t i;

	for (i = 0; i < len; i++)
		(void) read_char(exchange->mail, data[i]);
	return len;
}

void
df_mail_keep_reply(DfExchange *exchange)
{
	DfMail *mail = exchange->mail;
	size_t len = Min(mail->reply_len, exchange->response.max_body);

	exchange->response.status = mail->code;
	if (len > 0)
		(void) df_response_body(mail->reply, 1, len, &exchange->response);
}

/* ---- connecting ----------------------------------------------------------- */

CURLcode
df_mail_apply(DfExchange *exchange, const DfHttpRequest *request)
{
	CURL *easy = exchange->easy;
	CURLcode code = df_connection_apply(exchange, request);

	if (code != CURLE_OK)
		return code;
#if LIBCURL_VERSION_NUM >= 0x075500
	DF_SET(CURLOPT_PROTOCOLS_STR, "smtp,smtps");
#else
	DF_SET(CURLOPT_PROTOCOLS, (long) (CURLPROTO_SMTP | CURLPROTO_SMTPS));
#endif
	DF_SET(CURLOPT_CONNECT_ONLY, 1L);
	DF_SET(CURLOPT_USE_SSL, (long) (request->mail_in_clear ? CURLUSESSL_NONE : CURLUSESSL_ALL));
	DF_SET(CURLOPT_HEADERFUNCTION, on_reply);
	DF_SET(CURLOPT_HEADERDATA, exchange);
	/* after the URL, which must not contain credentials */
	if (request->username != NULL)
	{
		DF_SET(CURLOPT_USERNAME, request->username);
		if (request->bearer_token != NULL)
		{
			/* nothing else: libcurl would try an empty password */
			DF_SET(CURLOPT_XOAUTH2_BEARER, request->bearer_token);
			DF_SET(CURLOPT_LOGIN_OPTIONS, "AUTH=XOAUTH2;AUTH=OAUTHBEARER");
		}
		else
			DF_SET(CURLOPT_PASSWORD, request->password);
		DF_SET(CURLOPT_SASL_IR, 1L);
	}
	return CURLE_OK;
}

static bool
ended(DfMailEnd *end, DfFate fate, const char *error)
{
	end->fate = fate;
	end->error = error;
	return true;
}

/* Forgets the last reply, which is not the reason for this end. */
static void
forget_reply(DfMail *mail)
{
	mail->code = 0;
	mail->reply_len = 0;
}

/* Ends because the connection failed; the last reply may say why. */
static bool
not_connected(DfExchange *exchange, CURLcode code, DfMailEnd *end)
{
	DfMail *mail = exchange->mail;
	bool refused = mail->whole && mail->code >= 400;

	switch (code)
	{
		case CURLE_LOGIN_DENIED:
			if (!refused)
				mail->code = 535; /* as if each of its addresses had failed like this */
			return ended(end, DF_FATE_RESPONSE, NULL);
		case CURLE_USE_SSL_FAILED:
			forget_reply(mail);
			return ended(end, DF_FATE_NOT_SENT,
						 "the server does not offer STARTTLS, without which nothing is sent");
		case CURLE_REMOTE_ACCESS_DENIED:
		case CURLE_WEIRD_SERVER_REPLY:
			if (refused)
				return ended(end, DF_FATE_RESPONSE, NULL);
			forget_reply(mail);
			return ended(end, DF_FATE_NOT_SENT, "the server does not speak SMTP");
		default:
			forget_reply(mail);
			return ended(end, df_exchange_fate(exchange, code), NULL);
	}
}

bool
df_mail_connected(DfExchange *exchange, CURLcode code, DfMailEnd *end)
{
	DfMail *mail = exchange->mail;
	curl_socket_t fd = CURL_SOCKET_BAD;

	if (code != CURLE_OK)
		return not_connected(exchange, code, end);
	(void) curl_easy_getinfo(exchange->easy, CURLINFO_ACTIVESOCKET, &fd);
	forget_reply(mail);
	mail->line_len = 0;
	mail->whole = true;
	if (fd == CURL_SOCKET_BAD)
		return ended(end, DF_FATE_NOT_SENT, "the connection was closed by the mail server");
	mail->fd = fd;
	return false;
}

/* ---- the dialogue --------------------------------------------------------- */

static bool
is_message(const DfMail *mail)
{
	return mail->turn == mail->nturns - 2;
}

/* Sends QUIT if that needs no waiting, and does not wait for the reply. */
static void
quit(DfExchange *exchange)
{
	DfMail *mail = exchange->mail;
	size_t start = mail->ends[mail->nturns - 2];
	size_t sent;

	(void) curl_easy_send(exchange->easy, mail->script + start,
						  mail->ends[mail->nturns - 1] - start, &sent);
}

/* Acts on a complete reply: the next turn, or the end. */
static bool
take_reply(DfExchange *exchange, DfMailEnd *end)
{
	DfMail *mail = exchange->mail;
	int code = mail->code;

	/* a refusal counts at any time: a server need not read the message to its end */
	if (code >= 400 && code <= 599)
	{
		if (mail->asked)
			quit(exchange);
		return ended(end, DF_FATE_RESPONSE, NULL);
	}
	if (mail->asked && is_message(mail) && code / 100 == 2)
	{
		quit(exchange);
		return ended(end, DF_FATE_RESPONSE, NULL);
	}
	if (mail->asked && !is_message(mail) &&
		(mail->turn == mail->nturns - 3 ? code == CODE_START_DATA : code / 100 == 2))
	{
		mail->asked = false;
		mail->turn++;
		return false;
	}
	mail->code = 0;
	return ended(end, exchange->sent ? DF_FATE_LOST : DF_FATE_NOT_SENT,
				 "the mail server gave a reply that does not belong there");
}

static bool
lost(DfExchange *exchange, DfMailEnd *end)
{
	forget_reply(exchange->mail);
	return ended(end, exchange->sent ? DF_FATE_LOST : DF_FATE_NOT_SENT,
				 exchange->sent
					 ? "the connection was lost after the message, before the reply to it"
					 : "the connection was lost before the message was sent");
}

/* Reads what has arrived; true = the end. */
static bool
read_replies(DfExchange *exchange, DfMailEnd *end)
{
	char bytes[1024];
	int reads;

	for (reads = 0; reads < MAX_READS; reads++)
	{
		size_t len = 0;
		CURLcode code = curl_easy_recv(exchange->easy, bytes, sizeof(bytes), &len);
		size_t i;

		if (code == CURLE_AGAIN)
			return false;
		if (code != CURLE_OK || len == 0)
			return lost(exchange, end);
		for (i = 0; i < len; i++)
			if (read_char(exchange->mail, bytes[i]) && take_reply(exchange, end))
				return true;
	}
	return false;
}

/* Writes this turn's lines; true = the end. */
static bool
write_turn(DfExchange *exchange, DfMailEnd *end)
{
	DfMail *mail = exchange->mail;

	mail->blocked = false;
	while (!mail->asked)
	{
		size_t rest = mail->ends[mail->turn] - mail->written;
		size_t chunk = Min(rest, MAX_PER_SEND);
		size_t sent = 0;
		CURLcode code;

		/* from here on the final dot may have been sent */
		if (is_message(mail) && chunk == rest)
			exchange->sent = true;
		code = curl_easy_send(exchange->easy, mail->script + mail->written, chunk, &sent);
		if (code == CURLE_AGAIN)
		{
			mail->blocked = true;
			return false;
		}
		/* a server that refuses early says why before it closes: read that */
		if (code != CURLE_OK)
			return read_replies(exchange, end) || lost(exchange, end);
		mail->written += sent;
		mail->asked = mail->written == mail->ends[mail->turn];
	}
	return false;
}

bool
df_mail_talk(DfExchange *exchange, DfMailEnd *end)
{
	DfMail *mail = exchange->mail;
	int turn;

	do
	{
		turn = mail->turn;
		if (read_replies(exchange, end))
			return true;
		if (!mail->asked && write_turn(exchange, end))
			return true;
	} while (mail->turn != turn);
	return false;
}
