/*
 * shared/jsonpath.h
 *	  Evaluates a jsonpath on a document.
 */
#ifndef DF_JSONPATH_H
#define DF_JSONPATH_H

#include "utils/jsonb.h"

/* both silent: without a match, or after an error at run time, they return false or NULL */
extern bool df_jsonpath_match(const Jsonb *value, const char *path);
extern Jsonb *df_jsonpath_first(const Jsonb *value, const char *path, int *matches);

/* raises an error that names `what` if the path is empty or malformed */
extern void df_jsonpath_check(const char *path, const char *what);

#endif /* DF_JSONPATH_H */
