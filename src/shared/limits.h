/*
 * shared/limits.h
 *	  How large what a run is started or signalled with may be.
 */
#ifndef DF_LIMITS_H
#define DF_LIMITS_H

#include "df_types.h"

/* limits of what a run may be started or signalled with: DF006, 22023 */
extern void df_check_payload(const Jsonb *value, const char *what);
extern void df_check_key(const char *key);

#endif							/* DF_LIMITS_H */
