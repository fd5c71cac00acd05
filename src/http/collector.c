/*
 * http/collector.c
 *	  Collects headers and body of a response, within limits.
 *
 * Runs in workers, in callbacks of libcurl's, in no transaction.  The other side is not
 * trusted.  Headers have a size limit; the body has one that counts decoded bytes, against
 * compressed bodies that grow.  A body that cannot be decoded, or too many headers, do not
 * cost the status that came before them.  Buffers grow by doubling, so that a response
 * byte by byte costs no more than a large one.
 *
 * Must never raise an error and never palloc, because libcurl is the caller.  Returning
 * fewer bytes than given makes libcurl end the transfer; flags in the response say why.
 */
#include "postgres.h"

#include <curl/curl.h>

#include "http/collector.h"
#include "shared/header.h"

#define FIRST_HEADER_ROOM 1024
#define FIRST_BODY_ROOM 4096

void
df_response_init(DfResponse *response, size_t max_body)
{
	memset(response, 0, sizeof(DfResponse));
	response->max_body = max_body;
}

static void
forget_coding(DfResponse *response)
{
	df_inflate_end(response->inflate);
	response->inflate = NULL;
	response->coded = response->deflate = response->coding_known = response->broken = false;
}

void
df_response_free(DfResponse *response)
{
	forget_coding(response);
	free(response->headers.data);
	free(response->body.data);
	memset(response, 0, sizeof(DfResponse));
}

void
df_response_next(DfResponse *response)
{
	forget_coding(response);
	response->body.len = 0;
	response->expected = 0;
	response->header_bytes = 0;
}

/* Makes room for more bytes and a NUL: at once for the expected length, else by doubling. */
static bool
reserve(DfBuffer *buffer, size_t more, size_t first)
{
	size_t need = buffer->len + more + 1;
	size_t room = Max(buffer->room, first);
	char *grown;

	if (need <= buffer->room)
		return true;
	while (room < need)
		room *= 2;
	grown = realloc(buffer->data, room);
	if (grown == NULL)
		return false;
	buffer->data = grown;
	buffer->room = room;
	return true;
}

static void
append(DfBuffer *buffer, const char *data, size_t len)
{
	memcpy(buffer->data + buffer->len, data, len);
	buffer->len += len;
	buffer->data[buffer->len] = '\0';
}

static bool
is_space(char c)
{
	return c == ' ' || c == '\t' || c == '\r' || c == '\n';
}

/* A status line begins a response: forgets what an interim response or a redirect said. */
static void
begin_answer(DfResponse *response, const char *line, size_t len)
{
	const char *space = memchr(line, ' ', len);

	response->headers.len = 0;
	if (response->headers.data != NULL)
		response->headers.data[0] = '\0';
	forget_coding(response);
	response->body.len = 0;
	response->expected = 0;
	response->head_complete = false;
	response->content_type[0] = '\0';
	response->status = 0;
	if (space != NULL && line + len - space > 3)
		response->status = (space[1] - '0') * 100 + (space[2] - '0') * 10 + (space[3] - '0');
	if (response->status < 100 || response->status > 999)
		response->status = 0;
}

/* Copies a header's value, truncated to the size of the buffer. */
static void
copy_value(char *to, size_t room, const char *value, size_t len)
{
	len = Min(len, room - 1);
	memcpy(to, value, len);
	to[len] = '\0';
}

static void
note_header(DfResponse *response, const char *name, const char *value, size_t len)
{
	char text[64];

	if (strcmp(name, "content-type") == 0)
		copy_value(response->content_type, sizeof(response->content_type), value, len);
	else if (strcmp(name, "content-encoding") == 0 && len > 0 &&
			 !df_header_is(value, len, "identity"))
	{
		response->coded = true;
		response->deflate = df_header_is(value, len, "deflate");
	}
	else if (strcmp(name, "content-length") == 0)
	{
		copy_value(text, sizeof(text), value, len);
		response->expected = (size_t) strtoul(text, NULL, 10);
	}
}

/*
 * Appends "name: value\n" with the name in lower case; joins a folded line to the one
 * before.
 */
static void
store_header(DfResponse *response, const char *line, size_t len)
{
	DfBuffer *headers = &response->headers;
	size_t start = headers->len;
	const char *colon = memchr(line, ':', len);
	const char *value;
	char *c;

	while (len > 0 && is_space(line[len - 1]))
		len--;
	if (len == 0)
		return;
	if (is_space(line[0]))
	{
		if (headers->len > 0)
			headers->len--; /* the newline of the line that is continued */
		append(headers, line, len);
		append(headers, "\n", 1);
		return;
	}
	if (colon == NULL || colon >= line + len)
		return;
	append(headers, line, colon - line);
	for (c = headers->data + start; *c != '\0'; c++)
		if (*c >= 'A' && *c <= 'Z')
			*c += 'a' - 'A';
	value = colon + 1;
	while (value < line + len && is_space(*value))
		value++;
	note_header(response, headers->data + start, value, line + len - value);
	append(headers, ": ", 2);
	append(headers, value, line + len - value);
	append(headers, "\n", 1);
}

static bool
begins_head(const char *line, size_t len)
{
	return len >= 5 && memcmp(line, "HTTP/", 5) == 0;
}

static bool
ends_head(const char *line, size_t len)
{
	return len <= 2 && is_space(line[0]);
}

size_t
df_response_header(char *data, size_t size, size_t count, void *arg)
{
	DfResponse *response = arg;
	size_t len = size * count;

	response->header_bytes += len;
	if (response->header_bytes > DF_MAX_HEADER_BYTES)
	{
		response->headers_too_large = true;
		return 0;
	}
	if (response->headers.len + len > DF_KEPT_HEADER_BYTES && !ends_head(data, len) &&
		!begins_head(data, len))
		return len;
	/* one more than was read, and a NUL: ": " may replace ":" */
	if (!reserve(&response->headers, len + 2, FIRST_HEADER_ROOM))
	{
		response->out_of_memory = true;
		return 0;
	}
	if (begins_head(data, len))
		begin_answer(response, data, len);
	else if (ends_head(data, len))
		response->head_complete = true;
	else
		store_header(response, data, len);
	return len;
}

/* false: the transfer is to end */
static bool
keep(void *arg, const char *data, size_t len)
{
	DfResponse *response = arg;
	DfBuffer *body = &response->body;
	size_t kept = Min(len, response->max_body - body->len);
	size_t first = response->expected > 0 ? Min(response->expected, response->max_body) + 1
										  : FIRST_BODY_ROOM;

	if (!reserve(body, kept, first))
	{
		response->out_of_memory = true;
		return false;
	}
	append(body, data, kept);
	response->too_large |= kept < len;
	return kept == len;
}

static bool
decode(DfResponse *response, const char *data, size_t len)
{
	DfInflated result = df_inflate_more(response->inflate, data, len, keep, response);

	response->broken |= result == DF_INFLATE_BROKEN;
	return result != DF_INFLATE_STOPPED;
}

/* the first two bytes of a body that was announced as coded tell what it is */
static bool
find_coding(DfResponse *response)
{
	DfBuffer *body = &response->body;
	char head[2];
	DfCoding coding;

	if (body->len < sizeof(head))
		return true;
	response->coding_known = true;
	coding = df_coding_of(body->data, body->len, response->deflate);
	if (coding == DF_CODING_NONE)
		return true;
	response->inflate = df_inflate_begin(coding);
	response->out_of_memory = response->inflate == NULL;
	if (response->out_of_memory)
		return false;
	memcpy(head, body->data, sizeof(head));
	body->len = 0;
	return decode(response, head, sizeof(head));
}

static bool
take(DfResponse *response, const char *data, size_t len)
{
	size_t begun;

	if (response->broken)
		return true;
	if (response->inflate != NULL)
		return decode(response, data, len);
	if (!response->coded || response->coding_known)
		return keep(response, data, len);
	begun = Min(len, 2 - response->body.len);
	return keep(response, data, begun) && find_coding(response) &&
		(begun == len || take(response, data + begun, len - begun));
}

size_t
df_response_body(char *data, size_t size, size_t count, void *arg)
{
	return take(arg, data, size * count) ? size * count : 0;
}

DfBodyForm
df_response_form(const DfResponse *response)
{
	if (response->broken ||
		(response->inflate != NULL && !df_inflate_is_whole(response->inflate)))
		return DF_BODY_BROKEN;
	return response->coded && response->inflate == NULL && response->body.len > 0 ? DF_BODY_CODED
																				  : DF_BODY_PLAIN;
}
