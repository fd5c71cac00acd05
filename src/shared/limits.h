/*
 * shared/limits.h
 *	  Limits on the size of what runs are started or signalled with, and produce.
 */
#ifndef DF_LIMITS_H
#define DF_LIMITS_H

#include "utils/jsonb.h"

/* signals that may wait for a run, or for a key without a run; more are refused (54000) */
#define DF_MAX_WAITING_SIGNALS 10000
#define DF_TOO_MANY_SIGNALS "10000 wait to be taken"
#define DF_TOO_MANY_SIGNALS_HINT \
	"Let the workflow take them by dataflows.wait_for(), end the run by dataflows.cancel(run), " \
	"or send fewer: what is now instead of each change."

/* its text is not longer than dataflows.max_body; a small jsonb may have gigabytes of text */
extern bool df_payload_fits(const Jsonb *value);

/* raise DF006 or 22023 if it is too large or, of a key, empty */
extern void df_check_payload(const Jsonb *value, const char *what);
/* the name of an event, as signal() takes it: 22023, DF006 */
extern void df_check_event(const char *event);

extern void df_check_key(const char *key);

/* cuts a text to 64 kB, enough to store; it may be NULL */
extern void df_text_cut(char *text);

/* the same for an error of user code; the detail of DF001, which is JSON, may have max_body */
extern void df_error_cut(ErrorData *error);

#endif /* DF_LIMITS_H */
