/*
 * review/explain.h
 *	  What explain() says of a workflow: its path, what would be undone, and what is wrong.
 */
#ifndef DF_REVIEW_EXPLAIN_H
#define DF_REVIEW_EXPLAIN_H

#include "fmgr.h"
#include "simulate/path.h"
#include "simulate/story.h"

typedef enum DfExplainPart
{
	DF_EXPLAIN_PATH,
	DF_EXPLAIN_UNDO,
	DF_EXPLAIN_LINT
} DfExplainPart;
#define DF_EXPLAIN_NPARTS (DF_EXPLAIN_LINT + 1)

/* NULL = there is none */
typedef struct DfExplainRow
{
	DfExplainPart part;
	const DfSimPathStep *about;
	const char *step;
	int line; /* of the function, 0 = not known */
	const char *kind; /* of a finding its rule */
	const char *system;
	const char *request;
	const Jsonb *body;
	const char *key;
	const char *probe;
	const char *doubt;
	const char *undo;
	const char *finding;
	const char *remedy;
} DfExplainRow;

/* all of it, in the present memory context */
typedef struct DfExplanation
{
	const DfSim *sim;
	Oid function; /* the body, InvalidOid = it is not there; and so with the next one */
	Oid on_failure;
	List *calls; /* of DfLintCall, of the body */
	List *rows; /* of DfExplainRow */
} DfExplanation;

/* the arguments are those of simulate(), and so are the errors */
extern void df_explain(FunctionCallInfo fcinfo, DfExplanation *explanation);

/* ---- explain_lint.c -------------------------------------------------------- */

/* adds what is wrong, along the path and in the source */
extern void df_explain_lint(DfExplanation *explanation);

/* ---- explain_line.c -------------------------------------------------------- */

/* where the body calls the step; 0 = it is another's, or not known */
extern int df_explain_line(const DfExplanation *explanation, const DfSimPathStep *step);

/* whether the body itself calls steps of that name, without what follows '#' */
extern bool df_explain_is_called(const DfExplanation *explanation, const char *base);

/* ---- for all of them ------------------------------------------------------- */

extern DfExplainRow *df_explain_add(DfExplanation *explanation, DfExplainPart part,
									const DfSimPathStep *step);

/* of which step the row is, if the run came to that by itself; NULL = of none */
extern const DfSimPathStep *df_explain_step(const DfExplanation *explanation,
											const DfSimRow *row);

/* a point of no return came after it */
extern bool df_explain_is_before_pivot(const DfExplanation *explanation,
									   const DfSimPathStep *step);

/* it is there in the end, of a mail that it was sent */
extern bool df_explain_stays(const DfSimPathStep *step);

#endif /* DF_REVIEW_EXPLAIN_H */
