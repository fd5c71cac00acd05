/*
 * engine/multipart.h
 *	  A body as multipart/form-data (RFC 7578).
 */
#ifndef DF_MULTIPART_H
#define DF_MULTIPART_H

#include "lib/stringinfo.h"
#include "types/body_format.h"
#include "utils/jsonb.h"

/* NULL, or what is wrong with it ('field "a" ...') and *hint */
extern char *df_multipart_problem(const Jsonb *body, char **hint);

/*
 * Fields first, then files, as some systems read them.  The same body gives the same bytes,
 * the boundary included, which is palloc'd.
 */
extern void df_multipart_write(StringInfo to, const Jsonb *body, DfFormArrays arrays,
							   char **boundary);

#endif /* DF_MULTIPART_H */
