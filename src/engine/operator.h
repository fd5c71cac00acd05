/*
 * engine/operator.h
 *	  What people ask of a run, and signals, taken from the inbox.
 */
#ifndef DF_OPERATOR_H
#define DF_OPERATOR_H

#include "types/run.h"

extern void df_run_message(DfRun *run, DfMessage *message); /* something new in the inbox */

/* the run ends as it is; its steps need not be here */
extern void df_run_abandon(DfRun *run, const DfMessage *message);

#endif /* DF_OPERATOR_H */
