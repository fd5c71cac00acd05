/*
 * engine/call_order.h
 *	  Whether the calls of one name come in the order in which they are recorded.
 *
 * Inside bodies only.
 */
#ifndef DF_CALL_ORDER_H
#define DF_CALL_ORDER_H

#include "types/run.h"

/* what a call asks for, beside its name; NULL = it has none */
typedef struct DfAsked
{
	const char *request;
	const char *body;
	const char *headers;
} DfAsked;

/* what this call of a recorded step asks for is to be looked at, by the following */
extern bool df_order_matters(const DfStep *step, const Jsonb *body);

/*
 * DF003 if the call of a recorded step asks for exactly what another recorded call of its name
 * asked for, and not for what its own did.
 */
extern void df_order_check(DfRun *run, DfStep *step, const DfAsked *called);

/*
 * The same of a call that is new, and would be carried out once more: the call in whose place
 * it is recorded has asked for something else in this entry.
 */
extern void df_order_check_new(DfRun *run, const char *name, DfStepKind kind,
							   const DfAsked *called);

#endif /* DF_CALL_ORDER_H */
