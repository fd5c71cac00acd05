/*
 * shared/retry_options.h
 *	  Reads retry options as users write them.
 */
#ifndef DF_RETRY_OPTIONS_H
#define DF_RETRY_OPTIONS_H

#include "types/retry.h"
#include "utils/jsonb.h"

/*
 * Overrides the fields of *inout that '{"max_attempts", "initial", "max", "for"}' has.
 * Raises 22023, naming `what`, if it is malformed.
 */
extern void df_retry_from_jsonb(const Jsonb *retry, DfRetry *inout, const char *what);

/* the same where it is given: raises, too, if its parts contradict each other */
extern void df_retry_check(const Jsonb *retry, const char *what);

#endif /* DF_RETRY_OPTIONS_H */
