/*
 * engine/mail_message.c
 *	  The message of a mail: read from what a body gave send_mail(), and written.
 *
 * Runs in workers: within a body, where a call is checked, and in the recording
 * transaction, where the message is rendered from what was recorded.  Pure but
 * for memory.  Message-ID, Date and the boundary come from the step's key and
 * the time of its intent, so that every attempt sends the same bytes and a
 * reader's mail program recognizes a second delivery of the same mail.
 */
#include "postgres.h"

#include "engine/mail_message.h"
#include "flow/doubt.h"
#include "mb/pg_wchar.h"
#include "shared/header.h"
#include "shared/json.h"
#include "utils/builtins.h"
#include "utils/varlena.h"

/* how many bytes of an unknown key an error shows */
#define SHOWN_KEY 40

static const char *const keys[] = {
	"from",
	"to",
	"cc",
	"bcc",
	"subject",
	"text",
	"html",
	"headers",
	"attachments",
	"doubt",
};

static bool
refuse(DfMailProblem *problem, char *message, char *hint)
{
	problem->sqlstate = ERRCODE_INVALID_PARAMETER_VALUE;
	problem->message = message;
	problem->hint = hint;
	return false;
}

/* ---- reading -------------------------------------------------------------- */

static char *
string_of(const JsonbValue *value)
{
	char *text = df_json_string_of(value);

	return pg_server_to_any(text, strlen(text), PG_UTF8);
}

static bool
refuse_key(const char *key, DfMailProblem *problem)
{
	const char *nearest = NULL;
	int distance = Min(4, (int) strlen(key) / 2 + 1) + 1;

	key = pnstrdup(key, pg_mbcliplen(key, strlen(key), SHOWN_KEY));
	for (int i = 0; i < lengthof(keys); i++)
	{
		int d = varstr_levenshtein_less_equal(key, strlen(key), keys[i], strlen(keys[i]), 1, 1, 1,
											  distance - 1, true);

		if (d < distance)
		{
			distance = d;
			nearest = keys[i];
		}
	}
	return refuse(problem, psprintf("has the unknown key \"%s\"", key),
				  nearest != NULL
					  ? psprintf("Perhaps you meant the key \"%s\".", nearest)
					  : pstrdup("The keys are from, to, cc, bcc, subject, text, html, headers, "
								"attachments and doubt; other headers go into \"headers\"."));
}

static bool
check_keys(const Jsonb *message, DfMailProblem *problem)
{
	DfJsonWalk walk;

	df_json_walk(&walk, message);
	while (df_json_next(&walk))
	{
		bool known = false;

		for (int i = 0; i < lengthof(keys); i++)
			known = known || strcmp(keys[i], walk.key) == 0;
		if (!known)
			return refuse_key(walk.key, problem);
	}
	return true;
}

/* a string, or absent; *text is NULL then */
static bool
read_text(const Jsonb *message, const char *key, char **text, DfMailProblem *problem)
{
	JsonbValue value;

	*text = NULL;
	if (!df_json_find(message, key, &value) || value.type == jbvNull)
		return true;
	if (value.type != jbvString)
		return refuse(problem, psprintf("has a \"%s\" that is not a string", key),
					  pstrdup("Give it as a JSON string."));
	*text = string_of(&value);
	return true;
}

static char *
address_hint(const char *key)
{
	return psprintf("Give an address such as \"ada@example.com\" or \"Ada <ada@example.com>\"%s.",
					strcmp(key, "from") == 0 ? "" : ", or an array of them");
}

static bool
refuse_address(const char *key, DfMailProblem *problem)
{
	return refuse(problem, psprintf("has an address in \"%s\" that is not a string", key),
				  address_hint(key));
}

static bool
read_mailbox(const JsonbValue *value, const char *key, DfMailbox *box, DfMailProblem *problem)
{
	const char *why;

	if (value->type != jbvString)
		return refuse_address(key, problem);
	if (df_mailbox_parse(string_of(value), box, &why))
		return true;
	return refuse(problem, psprintf("has an address in \"%s\" that cannot be used: %s", key, why),
				  address_hint(key));
}

/* adds a string, or an array of strings, to the recipients */
static bool
read_recipients(const Jsonb *message, const char *key, DfMailMessage *mail, int *n,
				DfMailProblem *problem)
{
	Jsonb *value = df_json_get(message, key);
	int at = mail->nto + mail->ncc + mail->nbcc;
	DfJsonWalk walk;

	*n = 0;
	if (value == NULL)
		return true;
	if (JB_ROOT_IS_OBJECT(value))
		return refuse_address(key, problem);
	df_json_walk(&walk, value);
	while (df_json_next(&walk))
	{
		if (at + *n >= DF_MAX_RECIPIENTS)
		{
			refuse(problem, psprintf("has more than %d recipients", DF_MAX_RECIPIENTS),
				   pstrdup("Send it in several steps."));
			problem->sqlstate = DF_ERR_LIMIT;
			return false;
		}
		if (!read_mailbox(&walk.value, key, &mail->to[at + (*n)++], problem))
			return false;
	}
	return true;
}

static bool
check_header_name(const char *name, DfMailProblem *problem)
{
	const char *why = df_mime_name_problem(name);

	if (why != NULL)
		return refuse(
			problem, psprintf("has a header that cannot be used: %s", why),
			pstrdup("Give names and values, such as '{\"Reply-To\": \"help@example.com\"}'."));
	if (df_header_is_reserved_in_mails(name))
		return refuse(problem,
					  psprintf("has the header \"%s\", which the engine writes itself", name),
					  pstrdup("Leave it out; addresses and the subject have keys of their own."));
	return true;
}

static bool
check_headers(const Jsonb *headers, DfMailProblem *problem)
{
	DfJsonWalk walk;
	size_t size = 0;

	if (headers == NULL)
		return true;
	if (!JB_ROOT_IS_OBJECT(headers))
		return refuse(
			problem, pstrdup("has \"headers\" that are not a JSON object"),
			pstrdup("Give names and values, such as '{\"Reply-To\": \"help@example.com\"}'."));
	df_json_walk(&walk, headers);
	while (df_json_next(&walk))
	{
		if (!check_header_name(walk.key, problem))
			return false;
		if (walk.value.type != jbvString ||
			df_mime_value_problem(string_of(&walk.value)) != NULL)
			return refuse(
				problem, pstrdup("has a header whose value is not a string without line breaks"),
				pstrdup("Give each header's value as a JSON string without control characters."));
		size += walk.value.val.string.len;
	}
	if (size <= DF_MAX_HEAD)
		return true;
	refuse(problem, pstrdup("has headers that are too long"), pstrdup("Send data in the text."));
	problem->sqlstate = DF_ERR_LIMIT;
	return false;
}

/* a mail encodes neither of these as a whole (RFC 2045, 6.4) */
static bool
can_be_attached(const char *type)
{
	return pg_strncasecmp(type, "multipart/", strlen("multipart/")) != 0 &&
		pg_strncasecmp(type, "message/", strlen("message/")) != 0;
}

static bool
read_attachment(const JsonbValue *value, int n, DfFileValue *file, DfMailProblem *problem)
{
	char *why;
	char *hint;

	if (value->type != jbvBinary)
		return refuse(problem, psprintf("has an attachment (number %d) that is not an object", n),
					  pstrdup("Give {\"filename\", \"content_type\", \"base64\"}."));
	if (!df_file_value_read(value, file, &why, &hint))
		return refuse(problem, psprintf("has an attachment (number %d) that %s", n, why), hint);
	if (can_be_attached(file->content_type))
		return true;
	return refuse(problem,
				  psprintf("has an attachment (number %d) of the type \"%s\", which mails cannot "
						   "encode",
						   n, file->content_type),
				  pstrdup("Leave out \"content_type\", or give it another one."));
}

static bool
read_attachments(const Jsonb *message, DfMailMessage *mail, DfMailProblem *problem)
{
	Jsonb *value = df_json_get(message, "attachments");
	DfJsonWalk walk;

	if (value == NULL)
		return true;
	if (!JB_ROOT_IS_ARRAY(value) || JB_ROOT_IS_SCALAR(value))
		return refuse(problem, pstrdup("has \"attachments\" that are not an array"),
					  pstrdup("Give an array of {\"filename\", \"content_type\", "
							  "\"base64\"}."));
	mail->attachments = palloc0(sizeof(DfFileValue) * (JB_ROOT_COUNT(value) + 1));
	df_json_walk(&walk, value);
	while (df_json_next(&walk))
	{
		if (!read_attachment(&walk.value, mail->nattachments + 1,
							 &mail->attachments[mail->nattachments], problem))
			return false;
		mail->nattachments++;
	}
	return true;
}

static bool
check_words(const DfMailMessage *mail, DfMailProblem *problem)
{
	if (mail->subject != NULL && df_mime_value_problem(mail->subject) != NULL)
		return refuse(problem,
					  pstrdup("has a \"subject\" with a line break or another control character"),
					  pstrdup("Give a subject of one line."));
	if (mail->subject != NULL && strlen(mail->subject) > DF_MAX_HEAD)
	{
		refuse(problem, pstrdup("has a \"subject\" that is too long"),
			   pstrdup("Send data in the text."));
		problem->sqlstate = DF_ERR_LIMIT;
		return false;
	}
	if (mail->text == NULL && mail->html == NULL)
		return refuse(problem, pstrdup("has neither \"text\" nor \"html\""),
					  pstrdup("Give one of them, or both."));
	if (mail->nto + mail->ncc + mail->nbcc == 0)
		return refuse(problem, pstrdup("has no recipient"),
					  pstrdup("Give \"to\", \"cc\" or \"bcc\": an address, or an array of them."));
	if (mail->doubt != NULL && df_doubt_policy_of(mail->doubt) < 0)
		return refuse(problem, psprintf("has the unknown \"doubt\" \"%s\"", mail->doubt),
					  pstrdup("Use 'stuck', 'fail', 'resend' or 'accept'."));
	return true;
}

bool
df_mail_read(const Jsonb *message, DfMailMessage *mail, DfMailProblem *problem)
{
	JsonbValue from;

	memset(mail, 0, sizeof(*mail));
	if (message == NULL || !JB_ROOT_IS_OBJECT(message))
		return refuse(problem, pstrdup("is not a JSON object"),
					  pstrdup("Give from, to, subject and text, such as jsonb_build_object('from', "
							  "'shop@example.com', ...)."));
	if (!check_keys(message, problem))
		return false;
	mail->to = palloc0(sizeof(DfMailbox) * DF_MAX_RECIPIENTS);
	if (!df_json_find(message, "from", &from) || from.type == jbvNull)
		return refuse(problem, pstrdup("has no \"from\""),
					  pstrdup("Give the address of the sender."));
	mail->headers = df_json_get(message, "headers");
	return read_mailbox(&from, "from", &mail->from, problem) &&
		read_recipients(message, "to", mail, &mail->nto, problem) &&
		read_recipients(message, "cc", mail, &mail->ncc, problem) &&
		read_recipients(message, "bcc", mail, &mail->nbcc, problem) &&
		read_text(message, "subject", &mail->subject, problem) &&
		read_text(message, "text", &mail->text, problem) &&
		read_text(message, "html", &mail->html, problem) &&
		read_text(message, "doubt", &mail->doubt, problem) &&
		check_headers(mail->headers, problem) &&
		read_attachments(message, mail, problem) &&
		check_words(mail, problem);
}

char *
df_mail_request(const DfMailMessage *mail)
{
	StringInfoData request;

	initStringInfo(&request);
	appendStringInfoString(&request, "MAIL ");
	for (int i = 0; i < mail->nto + mail->ncc + mail->nbcc; i++)
		appendStringInfo(&request, "%s%s", i > 0 ? ", " : "", mail->to[i].address);
	return request.data;
}

/* ---- rendering ------------------------------------------------------------ */

/* the step's key with dots for slashes */
static char *
dotted(const char *key)
{
	char *result = pstrdup(key);

	for (char *c = result; *c != '\0'; c++)
		if (*c == '/')
			*c = '.';
	return result;
}

char *
df_mail_id(const DfMailMessage *mail, const char *key)
{
	return psprintf("<%s%s>", dotted(key), strrchr(mail->from.address, '@'));
}

static void
put_headers(StringInfo to, const DfMailMessage *mail)
{
	DfJsonWalk walk;
	bool auto_submitted = false;

	if (mail->headers != NULL)
		df_json_walk(&walk, mail->headers);
	while (mail->headers != NULL && df_json_next(&walk))
	{
		df_mime_header(to, walk.key, string_of(&walk.value));
		auto_submitted = auto_submitted ||
			df_header_is(walk.key, strlen(walk.key), "Auto-Submitted");
	}
	if (!auto_submitted)
		df_mime_header(to, "Auto-Submitted", "auto-generated");
}

/* no encoded body contains "=_"; a body that is sent as it is may contain the boundary */
static char *
boundary_of(const DfMailMessage *mail, const char *key, const char *what)
{
	char *boundary = psprintf("=_%s%s", dotted(key), what);

	while ((mail->text != NULL && strstr(mail->text, boundary) != NULL) ||
		   (mail->html != NULL && strstr(mail->html, boundary) != NULL))
		boundary = psprintf("%s_", boundary);
	return boundary;
}

/* text, HTML, or both */
static void
put_words(StringInfo to, const DfMailMessage *mail, const char *key)
{
	char *boundary = boundary_of(mail, key, "");

	if (mail->text == NULL || mail->html == NULL)
	{
		df_mime_text(to, mail->text != NULL ? "text/plain" : "text/html",
					 mail->text != NULL ? mail->text : mail->html);
		return;
	}
	appendStringInfo(to, "Content-Type: multipart/alternative;\r\n boundary=\"%s\"\r\n\r\n--%s\r\n",
					 boundary, boundary);
	df_mime_text(to, "text/plain", mail->text);
	appendStringInfo(to, "\r\n--%s\r\n", boundary);
	df_mime_text(to, "text/html", mail->html);
	appendStringInfo(to, "\r\n--%s--\r\n", boundary);
}

static void
put_body(StringInfo to, const DfMailMessage *mail, const char *key)
{
	/* one boundary must not be the beginning of the other */
	char *boundary = boundary_of(mail, key, ".files");

	appendStringInfoString(to, "MIME-Version: 1.0\r\n");
	if (mail->nattachments == 0)
	{
		put_words(to, mail, key);
		return;
	}
	appendStringInfo(to, "Content-Type: multipart/mixed;\r\n boundary=\"%s\"\r\n\r\n--%s\r\n",
					 boundary, boundary);
	put_words(to, mail, key);
	for (int i = 0; i < mail->nattachments; i++)
	{
		const DfFileValue *file = &mail->attachments[i];

		appendStringInfo(to, "\r\n--%s\r\n", boundary);
		df_mime_file(to, file->content_type, file->filename, file->bytes, file->len);
	}
	appendStringInfo(to, "\r\n--%s--\r\n", boundary);
}

char *
df_mail_render(const DfMailMessage *mail, const char *key, TimestampTz at)
{
	StringInfoData out;

	initStringInfo(&out);
	df_mime_mailboxes(&out, "From", &mail->from, 1);
	if (mail->nto > 0)
		df_mime_mailboxes(&out, "To", mail->to, mail->nto);
	if (mail->ncc > 0)
		df_mime_mailboxes(&out, "Cc", mail->to + mail->nto, mail->ncc);
	if (mail->nto + mail->ncc == 0)
		appendStringInfoString(&out, "To: undisclosed-recipients:;\r\n");
	if (mail->subject != NULL)
		df_mime_header(&out, "Subject", mail->subject);
	df_mime_date(&out, at);
	appendStringInfo(&out, "Message-ID: %s\r\n", df_mail_id(mail, key));
	put_headers(&out, mail);
	put_body(&out, mail, key);
	return out.data;
}
