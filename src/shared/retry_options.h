/*
 * shared/retry_options.h
 *	  Retry policies as users write them.
 */
#ifndef DF_RETRY_OPTIONS_H
#define DF_RETRY_OPTIONS_H

#include "df_types.h"

/*
 * Lays '{"max_attempts","initial","max","for"}' over a policy; raises 22023,
 * naming `what`, if it is malformed.
 */
extern void df_retry_from_jsonb(const Jsonb *retry, DfRetry *inout, const char *what);

#endif /* DF_RETRY_OPTIONS_H */
