/*
 * http/inflate.h
 *	  Decodes the compressed body of a response, piece by piece.
 */
#ifndef DF_HTTP_INFLATE_H
#define DF_HTTP_INFLATE_H

/* how the bytes of a body are written, as far as they themselves tell */
typedef enum DfCoding
{
	DF_CODING_NONE,
	DF_CODING_GZIP,
	DF_CODING_ZLIB,
	DF_CODING_RAW_DEFLATE
} DfCoding;

typedef struct DfInflate DfInflate; /* malloc'd */

/* takes decoded bytes; false ends the decoding */
typedef bool (*DfInflateSink)(void *arg, const char *data, size_t len);

typedef enum DfInflated
{
	DF_INFLATED, /* all of the piece */
	DF_INFLATE_BROKEN, /* it is not what it should be */
	DF_INFLATE_STOPPED /* the sink returned false */
} DfInflated;

/* NULL = no memory */
extern DfInflate *df_inflate_begin(DfCoding coding);
extern DfInflated df_inflate_more(DfInflate *state, const char *data, size_t len,
								  DfInflateSink sink, void *arg);
extern bool df_inflate_is_whole(const DfInflate *state);
extern void df_inflate_end(DfInflate *state);

/* by its first bytes; if they do not tell, as what it was announced */
extern DfCoding df_coding_of(const char *data, size_t len, bool deflate_announced);

#endif /* DF_HTTP_INFLATE_H */
