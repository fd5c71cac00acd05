/*
 * ingress/stream.c
 *	  Responses that go on: what is written is sent, and in between the connection sleeps.
 *
 * Runs in the ingress process, outside any transaction or inside one; libmicrohttpd calls the
 * reader from df_listener_run().  A connection without anything to send is suspended, so that
 * it costs nothing.  All memory is malloc's.  Must never raise an error, palloc, or call
 * libmicrohttpd for a connection that has ended.
 */
#include "postgres.h"

#include <microhttpd.h>
#include <sys/socket.h>

#include "ingress/stream.h"

#define BLOCK 4096

struct DfStream
{
	struct MHD_Connection *connection; /* NULL = the client has gone */
	char *bytes; /* from sent to len they are to be sent */
	size_t size;
	size_t len;
	size_t sent;
	bool asleep; /* suspended, because there was nothing to send */
	bool over; /* ends after what was written */
};

/* called by libmicrohttpd */
static ssize_t
read_bytes(void *cls, uint64_t pos, char *buffer, size_t max)
{
	DfStream *stream = cls;
	size_t n = Min(max, stream->len - stream->sent);

	if (n > 0)
	{
		memcpy(buffer, stream->bytes + stream->sent, n);
		stream->sent += n;
		return (ssize_t) n;
	}
	if (stream->over)
		return MHD_CONTENT_READER_END_OF_STREAM;
	stream->asleep = true;
	MHD_suspend_connection(stream->connection);
	return 0;
}

static void
wake(DfStream *stream)
{
	if (!stream->asleep || stream->connection == NULL)
		return;
	stream->asleep = false;
	MHD_resume_connection(stream->connection);
}

DfStream *
df_stream_make(struct MHD_Connection *connection)
{
	DfStream *stream = calloc(1, sizeof(DfStream));

	if (stream != NULL)
		stream->connection = connection;
	return stream;
}

bool
df_stream_write(DfStream *stream, const char *text, size_t len)
{
	if (stream->sent == stream->len)
		stream->sent = stream->len = 0;
	if (stream->len + len > stream->size)
	{
		size_t size = Max(stream->len + len, 2 * stream->size);
		char *grown = realloc(stream->bytes, size);

		if (grown == NULL)
			return false;
		stream->bytes = grown;
		stream->size = size;
	}
	memcpy(stream->bytes + stream->len, text, len);
	stream->len += len;
	wake(stream);
	return true;
}

bool
df_stream_is_read(const DfStream *stream)
{
	return stream->sent == stream->len;
}

void
df_stream_end(DfStream *stream)
{
	stream->over = true;
	wake(stream);
}

bool
df_stream_is_over(const DfStream *stream)
{
	return stream->over || stream->connection == NULL;
}

void
df_stream_check(DfStream *stream)
{
	const union MHD_ConnectionInfo *info;
	char byte;

	if (!stream->asleep || stream->connection == NULL)
		return;
	info = MHD_get_connection_info(stream->connection, MHD_CONNECTION_INFO_CONNECTION_FD);
	if (info != NULL && recv(info->connect_fd, &byte, 1, MSG_PEEK | MSG_DONTWAIT) == 0)
		df_stream_end(stream);
}

bool
df_stream_has_gone(const DfStream *stream)
{
	return stream->connection == NULL;
}

void
df_stream_free(DfStream *stream)
{
	Assert(stream->connection == NULL);
	free(stream->bytes);
	free(stream);
}

struct MHD_Response *
df_stream_response(DfStream *stream)
{
	return MHD_create_response_from_callback(MHD_SIZE_UNKNOWN, BLOCK, read_bytes, stream, NULL);
}

void
df_stream_lost(DfStream *stream)
{
	stream->connection = NULL;
}
