/*
 * shared/traceparent.c
 *	  Reads and writes the header traceparent of W3C Trace Context.
 *
 * Used by sessions (the setting dataflows.traceparent), by ingress and by workers.
 * Never accept an invalid one: ids of zeros are invalid, as the standard says.
 */
#include "postgres.h"

#include "common/hashfn.h"
#include "guc.h"
#include "shared/hex.h"
#include "shared/traceparent.h"
#include "utils/builtins.h"

/* n bytes of small hexadecimal digits */
static bool
read_bytes(const char *text, int n, uint8 *bytes)
{
	return strspn(text, "0123456789abcdef") >= 2 * n && df_hex_decode(text, n, bytes);
}

static bool
all_zero(const uint8 *bytes, int n)
{
	for (int i = 0; i < n; i++)
		if (bytes[i] != 0)
			return false;
	return true;
}

/* of a later version only the fields of this one are read */
bool
df_traceparent_parse(const char *text, DfTraceparent *traceparent)
{
	uint8 version;
	uint8 parent[8];
	uint8 flags;
	size_t len = strlen(text);

	if (len < DF_TRACEPARENT_LEN || text[2] != '-' || text[35] != '-' || text[52] != '-' ||
		!read_bytes(text, 1, &version) || !read_bytes(text + 3, 16, traceparent->trace) ||
		!read_bytes(text + 36, 8, parent) || !read_bytes(text + 53, 1, &flags))
		return false;
	if (version == 0xff || (version == 0 && len != DF_TRACEPARENT_LEN) ||
		(len > DF_TRACEPARENT_LEN && text[DF_TRACEPARENT_LEN] != '-') ||
		all_zero(traceparent->trace, 16) || all_zero(parent, 8))
		return false;
	traceparent->parent = 0;
	for (int i = 0; i < 8; i++)
		traceparent->parent = traceparent->parent << 8 | parent[i];
	traceparent->sampled = (flags & 1) != 0;
	return true;
}

void
df_traceparent_print(const DfTraceparent *traceparent, char *text)
{
	char trace[2 * sizeof(traceparent->trace) + 1];

	trace[hex_encode((const char *) traceparent->trace, sizeof(traceparent->trace), trace)] = '\0';
	snprintf(text, DF_TRACEPARENT_LEN + 1, "00-%s-%016llx-%02x", trace,
			 (unsigned long long) traceparent->parent, traceparent->sampled ? 1 : 0);
}

void
df_run_trace(const DfRun *run, DfTraceparent *trace)
{
	if (run->traceparent != NULL && df_traceparent_parse(run->traceparent, trace))
		return;
	memcpy(trace->trace, run->id.data, sizeof(trace->trace));
	trace->parent = 0;
	trace->sampled = true;
}

/* computed from the run, so that no id needs to be stored */
uint64
df_span_id(const DfRun *run, int n, int attempt)
{
	unsigned char bytes[UUID_LEN + 8];
	uint64 id;

	memcpy(bytes, run->id.data, UUID_LEN);
	memcpy(bytes + UUID_LEN, &n, 4);
	memcpy(bytes + UUID_LEN + 4, &attempt, 4);
	id = hash_bytes_extended(bytes, sizeof(bytes), 0);
	return id == 0 ? 1 : id;
}

char *
df_child_traceparent(const DfRun *run, const DfStep *step)
{
	DfTraceparent trace;
	char *text;

	if (run->traceparent == NULL && df_otlp_endpoint[0] == '\0')
		return NULL;
	df_run_trace(run, &trace);
	trace.parent = df_span_id(run, step->n, 0);
	text = palloc(DF_TRACEPARENT_LEN + 1);
	df_traceparent_print(&trace, text);
	return text;
}
