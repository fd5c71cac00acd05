/*
 * http/inflate.c
 *	  Decodes the compressed body of a response, piece by piece.
 *
 * Runs in workers, in callbacks of libcurl's, in no transaction.  libcurl could decode by
 * itself, but it takes a Content-Encoding that it does not know ("utf-8" is a frequent
 * mistake), or a body that is not compressed as announced, for a broken transfer: the
 * status that has come would be lost with it.  So the bytes are asked for as they are
 * sent, and what they are is judged by themselves.
 *
 * Must never raise an error and never palloc.
 */
#include "postgres.h"

#include <zlib.h>

#include "http/inflate.h"

#define PIECE 16384

/* inflateInit2()'s bits of the window, and what it adds to them to expect a header of gzip's */
#define WINDOW_BITS 15
#define EXPECT_GZIP 16

struct DfInflate
{
	z_stream stream;
	DfCoding coding;
	bool at_end; /* of a whole stream; gzip may begin another one */
	bool done; /* what follows is no stream, and is ignored as all clients do */
};

static int
window_bits(DfCoding coding)
{
	if (coding == DF_CODING_GZIP)
		return WINDOW_BITS + EXPECT_GZIP;
	return coding == DF_CODING_ZLIB ? WINDOW_BITS : -WINDOW_BITS;
}

DfInflate *
df_inflate_begin(DfCoding coding)
{
	DfInflate *state = calloc(1, sizeof(DfInflate));

	if (state == NULL)
		return NULL;
	state->coding = coding;
	if (inflateInit2(&state->stream, window_bits(coding)) == Z_OK)
		return state;
	free(state);
	return NULL;
}

/* a gzip file may be several, one behind the other */
static bool
begin_next(DfInflate *state)
{
	state->done = state->coding != DF_CODING_GZIP || state->stream.next_in[0] != 0x1f;
	state->at_end = state->done;
	return !state->done && inflateReset(&state->stream) == Z_OK;
}

DfInflated
df_inflate_more(DfInflate *state, const char *data, size_t len, DfInflateSink sink, void *arg)
{
	z_stream *stream = &state->stream;
	char piece[PIECE];
	size_t got;
	int code;

	stream->next_in = (Bytef *) data;
	stream->avail_in = (uInt) len;
	for (;;)
	{
		if (state->done || (state->at_end && stream->avail_in == 0))
			return DF_INFLATED;
		if (state->at_end && !begin_next(state))
			continue;
		stream->next_out = (Bytef *) piece;
		stream->avail_out = sizeof(piece);
		code = inflate(stream, Z_NO_FLUSH);
		got = sizeof(piece) - stream->avail_out;
		if (got > 0 && !sink(arg, piece, got))
			return DF_INFLATE_STOPPED;
		state->at_end = code == Z_STREAM_END;
		if (code != Z_OK && code != Z_STREAM_END && code != Z_BUF_ERROR)
			return DF_INFLATE_BROKEN;
		if (!state->at_end && stream->avail_in == 0 && stream->avail_out > 0)
			return DF_INFLATED;
	}
}

bool
df_inflate_is_whole(const DfInflate *state)
{
	return state->at_end;
}

void
df_inflate_end(DfInflate *state)
{
	if (state == NULL)
		return;
	(void) inflateEnd(&state->stream);
	free(state);
}

/* of two bytes that may begin a zlib stream: the method, and a check sum */
static bool
is_zlib_head(const unsigned char *bytes)
{
	return (bytes[0] & 0x0f) == Z_DEFLATED && ((bytes[0] << 8) + bytes[1]) % 31 == 0;
}

DfCoding
df_coding_of(const char *data, size_t len, bool deflate_announced)
{
	const unsigned char *bytes = (const unsigned char *) data;

	if (len < 2)
		return DF_CODING_NONE;
	if (bytes[0] == 0x1f && bytes[1] == 0x8b)
		return DF_CODING_GZIP;
	if (!deflate_announced)
		return DF_CODING_NONE;
	if (is_zlib_head(bytes))
		return DF_CODING_ZLIB;
	/* some servers leave the head of zlib out; what is text was not compressed at all */
	return strchr("{[<\" \t\r\n", bytes[0]) != NULL ? DF_CODING_NONE : DF_CODING_RAW_DEFLATE;
}
