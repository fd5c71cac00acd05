/*
 * worker/notify.c
 *	  Receives NOTIFY dataflows, '...' in a coordinator.
 *
 * Runs outside of transactions, except for those that the server opens to read its
 * queue.  The server hands notifications to "the client"; while it reads the queue,
 * the client is our putmessage callback, which copies them into a bounded list and
 * drops everything else.  The callback must never raise an error.
 *
 * Any role can send any payload.  It is parsed defensively, and a payload that makes
 * no sense costs at most a log line, not one each.
 */
#include "postgres.h"

#include "access/xact.h"
#include "commands/async.h"
#include "libpq/libpq.h"
#include "libpq/libpq-be.h"
#include "mb/pg_wchar.h"
#include "miscadmin.h"
#include "port/pg_bswap.h"
#include "tcop/dest.h"
#include "tcop/tcopprot.h"
#include "utils/builtins.h"
#include "utils/fmgrprotos.h"
#include "utils/jsonb.h"
#include "utils/memutils.h"
#include "utils/timestamp.h"
#include "utils/uuid.h"

#include "shared/clock.h"
#include "shared/json.h"
#include "shared/limits.h"
#include "shared/uuid.h"
#include "store/xact.h"
#include "types/base.h"
#include "worker/notify.h"

#define CHANNEL "dataflows"

/* the most that is kept between two turns of the coordinator */
#define MAX_ENTRIES 65536
#define MAX_BYTES (16 * 1024 * 1024)
#define COMPLAIN_EVERY_MS 60000

/* malloc'd: putmessage() may not raise "out of memory" */
typedef struct Entry
{
	int pid;
	TimestampTz at;
	char payload[FLEXIBLE_ARRAY_MEMBER];
} Entry;

/* first come, first served */
static Entry **entries = NULL;
static int n_entries = 0;
static int max_entries = 0;
static size_t n_bytes = 0;
static uint64 dropped = 0;

/* ---- the client that the server talks to ---------------------------------- */

/* NotificationResponse: int32 pid, channel, payload, both NUL-terminated */
static void
add_entry(const char *message, size_t length)
{
	uint32 pid;
	const char *channel = message + sizeof(pid);
	const char *end = message + length;
	const char *payload;
	Entry *entry;
	size_t size;

	if (length < sizeof(pid) + 2 || end[-1] != '\0' || strcmp(channel, CHANNEL) != 0)
		return;
	payload = channel + sizeof(CHANNEL);
	if (payload >= end)
		return;
	if (n_entries == max_entries && max_entries < MAX_ENTRIES)
	{
		int larger_max = Max(256, max_entries * 2);
		Entry **larger = realloc(entries, sizeof(Entry *) * larger_max);

		if (larger != NULL)
		{
			entries = larger;
			max_entries = larger_max;
		}
	}
	size = offsetof(Entry, payload) + (end - payload);
	entry = n_entries < max_entries && n_bytes + size <= MAX_BYTES ? malloc(size) : NULL;
	if (entry == NULL)
	{
		dropped++;
		return;
	}
	memcpy(&pid, message, sizeof(pid));
	entry->pid = (int) pg_ntoh32(pid);
	entry->at = df_now();
	memcpy(entry->payload, payload, end - payload);
	entries[n_entries++] = entry;
	n_bytes += size;
}

static int
put_message(char type, const char *message, size_t length)
{
	if (type == 'A')
		add_entry(message, length);
	return 0;
}

static void
put_message_noblock(char type, const char *message, size_t length)
{
	(void) put_message(type, message, length);
}

static void
do_nothing(void)
{
}

static int
succeed(void)
{
	return 0;
}

static bool
nothing_pending(void)
{
	return false;
}

static const PQcommMethods listener = {
	.comm_reset = do_nothing,
	.flush = succeed,
	.flush_if_writable = succeed,
	.is_send_pending = nothing_pending,
	.putmessage = put_message,
	.putmessage_noblock = put_message_noblock,
};

void
df_notify_listen(void)
{
	df_xact_begin();
	Async_Listen(CHANNEL);
	df_xact_commit();
}

void
df_notify_read(void)
{
	const PQcommMethods *methods = PqCommMethods;
	uint32 protocol = FrontendProtocol;

	if (!notifyInterruptPending)
		return;
	Assert(!IsTransactionState());
	PqCommMethods = &listener;
	FrontendProtocol = PG_PROTOCOL_LATEST;
	whereToSendOutput = DestRemote;
	PG_TRY();
	{
		ProcessNotifyInterrupt(false);
	}
	PG_FINALLY();
	{
		whereToSendOutput = DestNone;
		FrontendProtocol = protocol;
		PqCommMethods = methods;
	}
	PG_END_TRY();

	if (dropped > 0)
		ereport(LOG,
				(errcode(ERRCODE_PROGRAM_LIMIT_EXCEEDED),
				 errmsg(UINT64_FORMAT
						" notifications on channel \"%s\" were dropped: too many came at once",
						dropped, CHANNEL),
				 errhint("Send signals that must not be lost with dataflows.signal().")));
	dropped = 0;
}

int
df_notify_count(void)
{
	return n_entries;
}

bool
df_notify_has_some(void)
{
	return n_entries > 0;
}

void
df_notify_drop(int n)
{
	for (int i = 0; i < n; i++)
	{
		n_bytes -= offsetof(Entry, payload) + strlen(entries[i]->payload) + 1;
		free(entries[i]);
	}
	n_entries -= n;
	memmove(entries, entries + n, sizeof(Entry *) * n_entries);
}

/* ---- parsing payloads ------------------------------------------------------ */

/* NULL unless it is a string of 1 to `limit` bytes */
static char *
string_field(const Jsonb *object, const char *name, size_t limit)
{
	char *text = df_json_get_text(object, name);

	return text != NULL && text[0] != '\0' && strlen(text) <= limit ? text : NULL;
}

/* returns what is wrong, NULL = nothing; raises an error for text that is not JSON */
static const char *
parse(const char *text, DfNotifySignal *signal)
{
	Jsonb *jsonb = df_json_read(text);
	char *run;

	if (!JB_ROOT_IS_OBJECT(jsonb))
		return "the payload is not a JSON object";
	signal->event = string_field(jsonb, "event", DF_MAX_NAME);
	if (signal->event == NULL || !df_name_is_clean(signal->event))
		return "\"event\" is not a name";
	signal->payload = df_json_get_or_null(jsonb, "payload");
	if (signal->payload == NULL)
		signal->payload = df_json_empty();
	if (!df_payload_fits(signal->payload))
		return "\"payload\" is too large with its numbers written out";
	run = string_field(jsonb, "run", DF_MAX_NAME);
	if (run != NULL)
	{
		signal->run = df_uuid_read(run);
		return NULL;
	}
	signal->by_key = true;
	signal->workflow = string_field(jsonb, "workflow", DF_MAX_NAME);
	signal->key = string_field(jsonb, "key", DF_MAX_KEY);
	if (signal->workflow == NULL || signal->key == NULL)
		return "it has neither \"run\" nor \"workflow\" and \"key\"";
	return NULL;
}

/*
 * jsonb_in() and uuid_in() raise errors for bad input.  Without a transaction they
 * hold nothing but memory, so the errors can be caught here.
 */
bool
df_notify_parse(int i, MemoryContext cxt, DfNotifySignal *signal)
{
	MemoryContext old = MemoryContextSwitchTo(cxt);
	const char *volatile wrong = NULL;

	Assert(!IsTransactionState());
	memset(signal, 0, sizeof(*signal));
	signal->pid = entries[i]->pid;
	signal->at = entries[i]->at;
	PG_TRY();
	{
		wrong = parse(entries[i]->payload, signal);
	}
	PG_CATCH();
	{
		ErrorData *error;

		MemoryContextSwitchTo(cxt);
		error = CopyErrorData();
		FlushErrorState();
		if (ERRCODE_TO_CATEGORY(error->sqlerrcode) != ERRCODE_DATA_EXCEPTION &&
			ERRCODE_TO_CATEGORY(error->sqlerrcode) != ERRCODE_PROGRAM_LIMIT_EXCEEDED)
		{
			MemoryContextSwitchTo(old);
			ReThrowError(error);
		}
		wrong = error->message;
	}
	PG_END_TRY();
	MemoryContextSwitchTo(old);
	if (wrong == NULL)
		return true;
	df_notify_complain(entries[i]->pid, wrong);
	return false;
}

/* ---- complaints ----------------------------------------------------------- */

static TimestampTz last_complaint = DF_NEVER;
static uint64 not_logged = 0;

static bool
may_complain(void)
{
	TimestampTz now = df_now();

	if (last_complaint != DF_NEVER &&
		!TimestampDifferenceExceeds(last_complaint, now, COMPLAIN_EVERY_MS))
		return false;
	last_complaint = now;
	return true;
}

void
df_notify_complain(int pid, const char *why)
{
	if (!may_complain())
	{
		not_logged++;
		return;
	}
	ereport(LOG,
			(errcode(ERRCODE_INVALID_PARAMETER_VALUE),
			 errmsg("a notification on channel \"%s\" from process %d was ignored: %s", CHANNEL,
					pid, why),
			 not_logged == 0
				 ? 0
				 : errdetail("Another " UINT64_FORMAT " were ignored before it.", not_logged),
			 errhint("Send {\"run\": ..., \"event\": ..., \"payload\": ...} for a workflow that "
					 "accepts NOTIFY.")));
	not_logged = 0;
}

void
df_notify_flush_complaints(void)
{
	if (not_logged == 0 || !may_complain())
		return;
	ereport(LOG,
			(errcode(ERRCODE_INVALID_PARAMETER_VALUE),
			 errmsg(UINT64_FORMAT " more notifications on channel \"%s\" were ignored", not_logged,
					CHANNEL)));
	not_logged = 0;
}
