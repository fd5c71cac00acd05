/*
 * shared/limits.h
 *	  How large what a run is started or signalled with, and what it makes, may be.
 */
#ifndef DF_LIMITS_H
#define DF_LIMITS_H

#include "df_types.h"

/* whether its text is no larger than dataflows.max_body: a jsonb of few bytes may be gigabytes of text */
extern bool df_payload_fits(const Jsonb *value);

/* limits of what a run may be started or signalled with, and of what it makes: DF006, 22023 */
extern void df_check_payload(const Jsonb *value, const char *what);
extern void df_check_key(const char *key);

/* cuts what an error of user code says to what is worth a row: 64 kB each of message, detail, hint and context */
extern void df_error_cut(ErrorData *error);

#endif							/* DF_LIMITS_H */
