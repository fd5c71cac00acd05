/*
 * ingress/event_link.c
 *	  Links that signal a run: event_url(), and the requests that open them.
 *
 * event_url() runs in a user's backend or in a body, and only reads; the rest runs in the
 * ingress process, in a request's subtransaction.  A link is a capability: a client that has
 * it may send this event to this run until it expires, and nothing else.  Opening it must
 * never signal: mail programs open links to check them.  So GET shows a page, and only its
 * button signals.
 */
#include "postgres.h"

#include "flow/flow.h"
#include "fmgr.h"
#include "guc.h"
#include "ingress/event_link.h"
#include "ingress/link_page.h"
#include "miscadmin.h"
#include "port/pg_bswap.h"
#include "session/node.h"
#include "store/rights.h"
#include "shared/base64url.h"
#include "shared/clock.h"
#include "shared/json.h"
#include "shared/mac.h"
#include "shared/uuid.h"
#include "shared/wake.h"
#include "store/inbox_table.h"
#include "store/store.h"
#include "store/identity.h"
#include "store/webhook_table.h"
#include "utils/builtins.h"
#include "utils/timestamp.h"
#include "utils/uuid.h"

PG_FUNCTION_INFO_V1(dataflows_event_url);

#define PREFIX "/event/"
#define DELIVERIES "/event"
/* the first byte of a link: then the run, when it expires and the event */
#define PLAIN_LINK 1
/* likewise, but the event's length stands before it, and the author's texts behind it */
#define LINK_WITH_PAGE 2
#define HEAD (1 + UUID_LEN + 8)
#define MAX_PAYLOAD (HEAD + 1 + DF_MAX_NAME + DF_LINK_PAGE_MAX)

/* recorded as the result of a link that had nothing to signal */
#define ALREADY_ENDED "{\"ignored\": \"the run has ended\"}"

/* what is encoded in a link */
typedef struct Link
{
	pg_uuid_t run;
	TimestampTz expires;
	char event[DF_MAX_NAME + 1];
	Jsonb *page; /* the author's texts, or NULL */
	uint8 mac[DF_MAC_LEN]; /* set when it is read; identifies it */
} Link;

/* ---- codes ---------------------------------------------------------------- */

static void
mac_of(const bytea *key, const uint8 *payload, int len, uint8 *mac)
{
	DfSigned part = {payload, len};

	if (!df_mac_make(VARDATA_ANY(key), VARSIZE_ANY_EXHDR(key), &part, 1, mac))
		ereport(ERROR,
				(errcode(ERRCODE_INTERNAL_ERROR),
				 errmsg("could not compute the code of a link")));
}

/* page: the texts as JSON, or NULL */
static int
payload_of(const Link *link, const char *page, uint8 *payload)
{
	uint64 expires = pg_hton64((uint64) link->expires);
	int len = strlen(link->event);
	int at = HEAD;

	payload[0] = page == NULL ? PLAIN_LINK : LINK_WITH_PAGE;
	memcpy(payload + 1, link->run.data, UUID_LEN);
	memcpy(payload + 1 + UUID_LEN, &expires, 8);
	if (page != NULL)
		payload[at++] = len;
	memcpy(payload + at, link->event, len);
	at += len;
	if (page == NULL)
		return at;
	memcpy(payload + at, page, strlen(page));
	return at + strlen(page);
}

/* what is behind the head; false if it was not written by payload_of() */
static bool
read_rest(const uint8 *payload, int len, Link *link, MemoryContext cxt)
{
	int at = HEAD;
	int event_len = len - HEAD;

	if (payload[0] == LINK_WITH_PAGE)
		event_len = payload[at++];
	if (event_len < 1 || event_len > DF_MAX_NAME || at + event_len > len)
		return false;
	memcpy(link->event, payload + at, event_len);
	link->event[event_len] = '\0';
	at += event_len;
	if (payload[0] == PLAIN_LINK)
		return true;
	link->page = df_json_parse((const char *) payload + at, len - at, cxt);
	return link->page != NULL;
}

/* the key of this installation; call it inside the store */
static bytea *
link_key(MemoryContext cxt)
{
	bytea *key = df_link_key(cxt);

	if (key == NULL)
		ereport(ERROR,
				(errcode(ERRCODE_OBJECT_NOT_IN_PREREQUISITE_STATE),
				 errmsg("this installation has no key to sign links with"),
				 errhint("Have a superuser call dataflows.renew_link_key().")));
	return key;
}

/* false if it was not made here; the comparison takes constant time */
static bool
read_link(const char *text, const bytea *key, Link *link, MemoryContext cxt)
{
	const char *dot = strchr(text, '.');
	uint8 payload[MAX_PAYLOAD];
	uint8 given[DF_MAC_LEN + 4];
	uint64 expires;
	int len;

	if (dot == NULL)
		return false;
	len = df_base64url_decode(text, dot - text, payload, sizeof(payload));
	if (len <= HEAD || (payload[0] != PLAIN_LINK && payload[0] != LINK_WITH_PAGE) ||
		df_base64url_decode(dot + 1, strlen(dot + 1), given, sizeof(given)) != DF_MAC_LEN)
		return false;
	mac_of(key, payload, len, link->mac);
	if (!df_mac_equal(link->mac, given))
		return false;
	memcpy(link->run.data, payload + 1, UUID_LEN);
	memcpy(&expires, payload + 1 + UUID_LEN, 8);
	link->expires = (TimestampTz) pg_ntoh64(expires);
	return read_rest(payload, len, link, cxt);
}

/* ---- event_url() ---------------------------------------------------------- */

static void
check_event(const char *event)
{
	if (event[0] == '\0' || strlen(event) > DF_MAX_NAME || !df_name_is_clean(event))
		ereport(
			ERROR,
			(errcode(ERRCODE_INVALID_PARAMETER_VALUE),
			 errmsg("event \"%s\" is empty, too long or has a character that events must not have",
					event),
			 errhint("Give the name that the workflow passes to dataflows.wait_for().")));
}

static void
check_public_url(void)
{
	if (df_public_url[0] != '\0')
		return;
	ereport(ERROR,
			(errcode(ERRCODE_OBJECT_NOT_IN_PREREQUISITE_STATE),
			 errmsg("dataflows.public_url is not set"),
			 errhint("Set it in postgresql.conf to the address under which people reach "
					 "dataflows.listen, such as 'https://hooks.example.com', and reload.")));
}

static void
require_right(Oid caller, const Link *link, MemoryContext cxt)
{
	DfInboxTarget target;
	DfWorkflowRow definition;

	if (!df_inbox_find_run(&link->run, &target, cxt) ||
		!df_workflow_version(target.workflow, target.version, &definition, cxt))
		df_refuse_unknown_run(&link->run);
	df_require_right(caller, &definition, DF_RIGHT_SIGNAL, link->event, "signal");
}

Datum
dataflows_event_url(PG_FUNCTION_ARGS)
{
	Oid caller = GetUserId();
	MemoryContext cxt = CurrentMemoryContext;
	Link link;
	uint8 payload[MAX_PAYLOAD];
	uint8 mac[DF_MAC_LEN];
	char *event;
	char *page = NULL;
	DfStore store;
	bytea *key;
	int len;

	if (PG_ARGISNULL(0) || PG_ARGISNULL(1) || PG_ARGISNULL(2))
		PG_RETURN_NULL();
	event = text_to_cstring(PG_GETARG_TEXT_PP(1));
	check_event(event);
	if (!PG_ARGISNULL(3))
		page = df_link_page_text(PG_GETARG_JSONB_P(3));
	check_public_url();
	memset(&link, 0, sizeof(link));
	link.run = *PG_GETARG_UUID_P(0);
	strlcpy(link.event, event, sizeof(link.event));
	link.expires = DatumGetTimestampTz(DirectFunctionCall2(
		timestamptz_pl_interval, TimestampTzGetDatum(df_now()), PG_GETARG_DATUM(2)));
	if (link.expires <= df_now() || TIMESTAMP_NOT_FINITE(link.expires))
		ereport(ERROR,
				(errcode(ERRCODE_INVALID_PARAMETER_VALUE),
				 errmsg("the link for event \"%s\" would %s", event,
						link.expires <= df_now() ? "have expired already" : "never expire"),
				 errhint("Give an interval such as '7 days'.")));
	df_store_enter(&store);
	require_right(caller, &link, cxt);
	key = link_key(cxt);
	df_store_leave(&store);
	len = payload_of(&link, page, payload);
	mac_of(key, payload, len, mac);
	explicit_bzero(key, VARSIZE_ANY(key));
	PG_RETURN_TEXT_P(
		cstring_to_text(psprintf("%s" PREFIX "%s.%s", df_public_url, df_base64url(payload, len),
								 df_base64url(mac, DF_MAC_LEN))));
}

/* ---- requests ------------------------------------------------------------- */

/* reads the link; if it is invalid or has expired, answers the request and returns false */
static bool
open_link(DfRequest *request, Link *link, MemoryContext cxt)
{
	DfStore store;
	bytea *key;
	bool ok;

	memset(link, 0, sizeof(*link));
	df_store_enter(&store);
	key = df_link_key(cxt);
	df_store_leave(&store);
	ok = key != NULL && read_link(request->path + strlen(PREFIX), key, link, cxt);
	if (key != NULL)
		explicit_bzero(key, VARSIZE_ANY(key));
	if (!ok)
		df_link_page_reply(request, DF_LINK_INVALID, NULL);
	else if (link->expires <= df_now())
	{
		df_link_page_reply(request, DF_LINK_EXPIRED, link->page);
		ok = false;
	}
	return ok;
}

/*
 * encoded again, because different last characters of a code can decode to the same bytes
 */
static char *
code_of(const Link *link)
{
	return df_base64url(link->mac, DF_MAC_LEN);
}

/* whether the button has been pressed; then *useful says whether it signalled */
static bool
was_used(const Link *link, bool *useful, MemoryContext cxt)
{
	Jsonb *before;

	if (!df_delivery_find(DELIVERIES, code_of(link), &before, cxt))
		return false;
	*useful = before == NULL || JB_ROOT_COUNT(before) == 0;
	return true;
}

/* call it inside the store; false if the run has ended or does not exist any more */
static bool
find_live(const Link *link, DfInboxTarget *target, DfWorkflowRow *definition, MemoryContext cxt)
{
	return df_inbox_find_run(&link->run, target, cxt) && !df_run_is_terminal(target->state) &&
		df_workflow_version(target->workflow, target->version, definition, cxt);
}

void
df_event_link_show(DfRequest *request)
{
	MemoryContext cxt = CurrentMemoryContext;
	DfLinkPageKind kind = DF_LINK_ASK;
	DfInboxTarget target;
	DfWorkflowRow definition;
	Link link;
	DfStore store;
	bool useful;

	if (!open_link(request, &link, cxt))
		return;
	df_store_enter(&store);
	if (was_used(&link, &useful, cxt))
		kind = useful ? DF_LINK_USED : DF_LINK_ENDED;
	else if (!find_live(&link, &target, &definition, cxt))
		kind = DF_LINK_ENDED;
	df_store_leave(&store);
	df_link_page_reply(request, kind, link.page);
}

/* call it inside the store; false if the run has ended or does not exist any more */
static bool
signal_run(const Link *link, MemoryContext cxt)
{
	DfInboxTarget target;
	DfWorkflowRow definition;
	DfNewMessage message;
	DfJson payload;

	if (!find_live(link, &target, &definition, cxt))
		return false;
	memset(&message, 0, sizeof(message));
	message.run = &target.run;
	message.workflow = target.workflow;
	message.key = target.key;
	message.kind = DF_MESSAGE_SIGNAL;
	message.event = link->event;
	df_json_begin(&payload);
	df_json_bool(&payload, "confirmed", true);
	message.payload = df_json_end(&payload, cxt);
	message.note = "link";
	message.sent_by = "link";
	message.now = df_now();
	df_inbox_insert(&message);
	df_wake_owner(definition.owner);
	return true;
}

/* a link works once; pressing the button again shows the same page */
void
df_event_link_follow(DfRequest *request)
{
	MemoryContext cxt = CurrentMemoryContext;
	Link link;
	DfStore store;
	Jsonb *before = NULL;
	int64 id;
	bool useful = true;

	if (!open_link(request, &link, cxt))
		return;
	df_store_enter(&store);
	/*
	 * Its retention begins when the link expires: if the record were purged earlier, the
	 * link could be used again.
	 */
	if (df_delivery_insert(DELIVERIES, code_of(&link), link.expires, &id, &before, cxt))
	{
		useful = signal_run(&link, cxt);
		df_delivery_answered(
			id, useful ? "signalled" : "ignored", &link.run,
			useful ? df_json_empty() : df_json_read(ALREADY_ENDED));
	}
	else
		useful = before == NULL || JB_ROOT_COUNT(before) == 0;
	df_store_leave(&store);
	df_link_page_reply(request, useful ? DF_LINK_DONE : DF_LINK_ENDED, link.page);
}
