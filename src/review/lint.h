/*
 * review/lint.h
 *	  What the source of a workflow's function says of how it will fare.
 */
#ifndef DF_REVIEW_LINT_H
#define DF_REVIEW_LINT_H

#include "nodes/pg_list.h"

typedef enum DfLintRule
{
	DF_LINT_CLOCK, /* another time at each entry */
	DF_LINT_RANDOM, /* another value at each entry */
	DF_LINT_WRITE, /* a body is read-only: it would raise */
	DF_LINT_LOOP_NAME, /* a step in a loop over items, whose name has not the item */
	DF_LINT_NO_UNDO /* it makes something that a rollback leaves */
} DfLintRule;

/* a finding, of a line of the source */
typedef struct DfLint
{
	DfLintRule rule;
	int line;
	char *step; /* the step that it is about, as its call names it; NULL = none, or not known */
	char *finding; /* a sentence without an end */
	const char *remedy; /* sentences */
} DfLint;

/* a call of a function of ours; of these the steps are those that explain may meet */
typedef struct DfLintCall
{
	const char *function; /* "post", ... */
	int line;
	char *step; /* its first argument, if that is a literal; else NULL */
	char *step_begins; /* else what the step's name begins with, if that is a literal */
	char *system; /* its second one, likewise */
	char *doubt; /* of a named argument, likewise */
	bool has_undo; /* it is given, whatever its value */
	bool has_probe;
	bool in_item_loop; /* in FOR ... IN a query, or FOREACH */
	bool behind_pivot; /* behind point_of_no_return() in the text */
} DfLintCall;

extern const char *df_lint_rule_name(DfLintRule rule);

/*
 * Reads the source of the function, of it alone and not of those that it calls.  Gives lists of
 * DfLint and of DfLintCall, by line, in the present memory context.  SQL and PL/pgSQL are
 * understood; of other languages, calls of clocks and random numbers are found and no more.
 */
extern void df_lint(Oid function, List **lints, List **calls);

#endif /* DF_REVIEW_LINT_H */
