/*
 * ingress/link_page.c
 *	  The pages that people see who open a link of event_url(): the author's texts, checked
 *	  when the link is made, and what is sent to a browser.
 *
 * The check runs in a user's backend or in a body, and only reads; the rest runs in the
 * ingress process, in a request's subtransaction.  The texts are an author's, whom the reader
 * of a mail need not trust with markup: all of it is escaped, and the pages run no script.
 */
#include "postgres.h"

#include <ctype.h>

#include "compat.h"
#include "ingress/link_page.h"
#include "shared/encoding.h"
#include "shared/json.h"
#include "utils/builtins.h"
#include "utils/xml.h"

#define MAX_LANGUAGE 35

/* ---- the author's texts --------------------------------------------------- */

static const struct
{
	const char *key; /* of the author's text that replaces the title; NULL: there is none */
	int status;
	const char *title;
	const char *text;
} kinds[] = {
	[DF_LINK_ASK] = {"title", 200, "Please confirm", ""},
	[DF_LINK_DONE] = {"done", 200, "Thank you", "That was all. You can close this page."},
	[DF_LINK_USED] = {"used", 200, "This was confirmed already", "There is nothing left to do."},
	[DF_LINK_ENDED] = {"ended", 410, "There is nothing to confirm any more", ""},
	[DF_LINK_EXPIRED] = {"expired", 410, "This link has expired", "Ask for a new one."},
	[DF_LINK_INVALID] = {NULL, 404, "This link is not valid",
						 "It may have been cut off. Copy the whole of it."},
};

static const char *const others[] = {"text", "button", "language", "redirect"};

static bool
is_key(const char *key)
{
	for (int i = 0; i < lengthof(kinds); i++)
		if (kinds[i].key != NULL && strcmp(kinds[i].key, key) == 0)
			return true;
	for (int i = 0; i < lengthof(others); i++)
		if (strcmp(others[i], key) == 0)
			return true;
	return false;
}

pg_noreturn static void
refuse(const char *what, const char *hint)
{
	ereport(ERROR,
			(errcode(ERRCODE_INVALID_PARAMETER_VALUE), errmsg("the page of a link %s", what),
			 errhint("%s", hint)));
}

/* a tag as in BCP 47, such as de or pt-BR */
static bool
is_language(const char *text)
{
	int part = 0;

	for (const char *c = text; *c != '\0'; c++)
	{
		if (*c == '-' && part > 0)
			part = 0;
		else if (isalnum((unsigned char) *c) && ++part <= 8)
			continue;
		else
			return false;
	}
	return part > 0 && strlen(text) <= MAX_LANGUAGE;
}

/* it becomes a header and an attribute */
static bool
is_redirect(const char *text)
{
	if (strncmp(text, "https://", 8) != 0 && strncmp(text, "http://", 7) != 0)
		return false;
	for (const char *c = text; *c != '\0'; c++)
		if (*c <= ' ' || *c >= 127 || strchr("\"'<>\\`", *c) != NULL)
			return false;
	return strchr(text, ':')[3] != '\0';
}

static bool
is_text(const char *text)
{
	for (const char *c = text; *c != '\0'; c++)
		if ((unsigned char) *c < ' ' && *c != '\n')
			return false;
	return text[0] != '\0';
}

static void
check_value(const char *key, const char *value)
{
	if (value == NULL || !is_text(value))
		refuse(psprintf("has a \"%s\" that is empty, no string, or has a control character", key),
			   "Give a string. Of the control characters only line breaks may be in it.");
	if (strcmp(key, "language") == 0 && !is_language(value))
		refuse(psprintf("has the language \"%s\"", value),
			   "Give a tag such as \"de\" or \"pt-BR\".");
	if (strcmp(key, "redirect") == 0 && !is_redirect(value))
		refuse(psprintf("has the redirect \"%s\"", value),
			   "Give an address that begins with https:// and is percent-encoded.");
}

char *
df_link_page_text(const Jsonb *texts)
{
	DfJsonWalk walk;
	char *text = df_json_to_text(texts);

	if (!JB_ROOT_IS_OBJECT(texts))
		refuse("is no object", "Give an object such as {\"title\": \"Is this your address?\"}.");
	df_json_walk(&walk, texts);
	while (df_json_next(&walk))
	{
		if (!is_key(walk.key))
			refuse(psprintf("has an unknown key \"%s\"", walk.key),
				   "The keys are title, text, button, done, used, ended, expired, language and "
				   "redirect.");
		check_value(walk.key, df_json_string_of(&walk.value));
	}
	if (strlen(text) > DF_LINK_PAGE_MAX)
		refuse(psprintf("has %zu bytes of text", strlen(text)),
			   psprintf("The texts stand in the link: use at most %d bytes.", DF_LINK_PAGE_MAX));
	return text;
}

/* ---- what is sent to a browser ------------------------------------------------ */

static char *
text_of(const Jsonb *texts, const char *key)
{
	return texts == NULL || key == NULL ? NULL : df_json_get_text(texts, key);
}

/* a redirect after the form is subject to form-action, too */
static void
add_headers(DfRequest *request, const char *redirect)
{
	(void) df_request_add_header(
		request, "Content-Security-Policy",
		psprintf("default-src 'none'; style-src 'self'; form-action 'self'%s; "
				 "frame-ancestors 'none'; base-uri 'none'",
				 redirect == NULL                          ? ""
					 : strncmp(redirect, "https:", 6) == 0 ? " https:"
														   : " http: https:"));
	(void) df_request_add_header(request, "Referrer-Policy", "no-referrer");
	(void) df_request_add_header(request, "Cache-Control", "no-store");
}

static void
add_paragraph(StringInfo html, const char *text)
{
	if (text != NULL && text[0] != '\0')
		appendStringInfo(html, "<p>%s</p>\n", escape_xml(text));
}

static void
add_form(StringInfo html, const char *button)
{
	appendStringInfo(html,
					 "<form method=\"post\"><p><button type=\"submit\">%s</button></p></form>\n",
					 escape_xml(button != NULL ? button : "Confirm"));
}

void
df_link_page_reply(DfRequest *request, DfLinkPageKind kind, const Jsonb *texts)
{
	char *own = text_of(texts, kinds[kind].key);
	char *redirect = text_of(texts, "redirect");
	char *language = own == NULL ? NULL : text_of(texts, "language");
	char *title = escape_xml(own != NULL ? own : kinds[kind].title);
	StringInfoData html;
	char *sent;

	if (kind == DF_LINK_DONE && redirect != NULL)
	{
		(void) df_request_reply(request, 303, "text/plain; charset=utf-8", "", 0);
		(void) df_request_add_header(request, "Location", redirect);
		add_headers(request, redirect);
		return;
	}
	initStringInfo(&html);
	appendStringInfo(&html,
					 "<!doctype html>\n<html lang=\"%s\" dir=\"auto\">\n<head>\n"
					 "<meta charset=\"utf-8\">\n"
					 "<meta name=\"viewport\" content=\"width=device-width, initial-scale=1\">\n"
					 "<meta name=\"robots\" content=\"noindex\">\n<title>%s</title>\n"
					 "<link rel=\"stylesheet\" href=\"/event/style.css\">\n</head>\n"
					 "<body>\n<main>\n<h1>%s</h1>\n",
					 language != NULL ? language : "en", title, title);
	if (kind == DF_LINK_ASK)
	{
		add_paragraph(&html, text_of(texts, "text"));
		add_form(&html, text_of(texts, "button"));
	}
	else if (own == NULL)
		add_paragraph(&html, kinds[kind].text);
	appendStringInfoString(&html, "</main>\n</body>\n</html>\n");
	sent = df_text_to_utf8(html.data);
	(void) df_request_reply(request, kinds[kind].status, "text/html; charset=utf-8", sent,
							strlen(sent));
	add_headers(request, redirect);
}

void
df_link_page_style(DfRequest *request)
{
	static const char style[] =
		":root{color-scheme:light dark}\n"
		"body{font:1.1rem/1.5 "
		"system-ui,sans-serif;margin:0;min-height:100vh;display:grid;place-items:center}\n"
		"main{max-width:26rem;padding:2rem;text-align:center}\n"
		"h1{font-size:1.4rem;font-weight:600;overflow-wrap:anywhere}\n"
		"p{white-space:pre-line;overflow-wrap:anywhere}\n"
		"button{font:inherit;font-weight:600;padding:.7rem "
		"2rem;border:0;border-radius:.5rem;background:#1d4ed8;color:#fff;cursor:pointer}\n"
		"button:focus-visible{outline:3px solid currentColor;outline-offset:3px}\n";

	(void) df_request_reply(request, 200, "text/css", style, strlen(style));
	(void) df_request_add_header(request, "Cache-Control", "max-age=86400");
}
