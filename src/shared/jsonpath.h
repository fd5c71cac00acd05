/*
 * shared/jsonpath.h
 *	  Asking a document by jsonpath.
 */
#ifndef DF_JSONPATH_H
#define DF_JSONPATH_H

#include "df_types.h"

/* jsonpath, quiet: no match and errors at run time are false and NULL */
extern bool df_jsonpath_match(const Jsonb *value, const char *path);
extern Jsonb *df_jsonpath_first(const Jsonb *value, const char *path, int *matches);

/* a document as the datum of a strict jsonpath; raises if it is malformed */
extern void df_jsonpath_check(const char *path, const char *what);

#endif /* DF_JSONPATH_H */
