/*
 * ingress/stream.h
 *	  Responses that go on: a client stays connected and is told what is new.
 */
#ifndef DF_STREAM_H
#define DF_STREAM_H

struct MHD_Connection;
struct MHD_Response;

typedef struct DfStream DfStream;

/* NULL = out of memory */
extern DfStream *df_stream_make(struct MHD_Connection *connection);

/* what is to be sent; false = out of memory */
extern bool df_stream_write(DfStream *stream, const char *text, size_t len);

/* whether the client has taken all that was written */
extern bool df_stream_is_read(const DfStream *stream);

/* ends it after what was written; nothing may be written any more */
extern void df_stream_end(DfStream *stream);
extern bool df_stream_is_over(const DfStream *stream);

/* the listener does not watch a stream that has nothing to send: this does, and ends it */
extern void df_stream_check(DfStream *stream);
extern bool df_stream_has_gone(const DfStream *stream);
extern void df_stream_free(DfStream *stream);

/* for the listener: the response, and that its connection has ended */
extern struct MHD_Response *df_stream_response(DfStream *stream);
extern void df_stream_lost(DfStream *stream);

#endif /* DF_STREAM_H */
