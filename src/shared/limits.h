/*
 * shared/limits.h
 *	  How large what a run is started or signalled with, and what it makes, may be.
 */
#ifndef DF_LIMITS_H
#define DF_LIMITS_H

#include "df_types.h"

/*
 * signals that a run, or a key without a run, has not taken: about as many may wait, then no more
 * are written (54000)
 */
#define DF_MAX_WAITING_SIGNALS 10000
#define DF_TOO_MANY_SIGNALS "10000 wait to be taken"
#define DF_TOO_MANY_SIGNALS_HINT \
	"Let the workflow take them by dataflows.wait_for(), end the run by dataflows.cancel(run), " \
	"or send fewer: what is now instead of each change."

/*
 * whether its text is no larger than dataflows.max_body: a jsonb of few bytes may be gigabytes of
 * text
 */
extern bool df_payload_fits(const Jsonb *value);

/* limits of what a run may be started or signalled with, and of what it makes: DF006, 22023 */
extern void df_check_payload(const Jsonb *value, const char *what);
extern void df_check_key(const char *key);

/* cuts a text to what is worth a row, 64 kB; NULL is left alone */
extern void df_text_cut(char *text);

/*
 * the same of what an error of user code says, but for the detail of DF001 up to
 * dataflows.max_body: it is JSON
 */
extern void df_error_cut(ErrorData *error);

#endif /* DF_LIMITS_H */
