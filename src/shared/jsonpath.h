/*
 * shared/jsonpath.h
 *	  Evaluates a jsonpath on a document.
 */
#ifndef DF_JSONPATH_H
#define DF_JSONPATH_H

#include "types/truth.h"
#include "utils/jsonb.h"

/* of a response: `$` is its body, $status and $headers are variables */
#define DF_RESPONSE_VARIABLES "status headers"

/* silent: what cannot be evaluated counts as no match */
extern bool df_jsonpath_match(const Jsonb *value, const char *path);

/*
 * The first of the *matches, NULL if there is none; silent.  vars: an object with a member
 * for each variable, or NULL.
 */
extern Jsonb *df_jsonpath_first(const Jsonb *value, const char *path, const Jsonb *vars,
								int *matches);

/*
 * Whether a predicate holds.  It is unknown if it does not evaluate to true or false, as
 * where values of different types are compared, if `$` is text in which members are named,
 * and if `!=` is false only because there is nothing to compare.  value NULL: there is no
 * body, which is null to a path that does not go into it.
 */
extern DfTruth df_jsonpath_holds(const Jsonb *value, const char *path, const Jsonb *vars);

/*
 * The same, but what the path compares must be there: a "no" because of an absent member is
 * unknown, unless the path asks by exists() what there is, or begins with "lax".
 */
extern DfTruth df_jsonpath_surely(const Jsonb *value, const char *path, const Jsonb *vars);

/* the path names `$`, so that its result depends on the body */
extern bool df_jsonpath_reads_body(const char *path);

/*
 * Raises an error that names `what` if the path is empty or malformed, or names a variable
 * that is not one of `variables`, which are separated by spaces.
 */
extern void df_jsonpath_check(const char *path, const char *what, const char *variables);

/* the same without an error: a sentence that says what is wrong, NULL = nothing */
extern char *df_jsonpath_problem(const char *path, const char *variables);

#endif /* DF_JSONPATH_H */
