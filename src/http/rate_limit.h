/*
 * http/rate_limit.h
 *	  How long a system asks to be left alone.
 */
#ifndef DF_HTTP_RATE_LIMIT_H
#define DF_HTTP_RATE_LIMIT_H

#include "datatype/timestamp.h"

/*
 * What the headers of a response ("name: value\n", names in lower case, may be NULL) ask
 * for, in ms from now and at most DF_MAX_ASKED_MS; -1 = nothing.
 */
extern int64 df_rate_limit_ms(int status, const char *headers, TimestampTz now);

#endif /* DF_HTTP_RATE_LIMIT_H */
