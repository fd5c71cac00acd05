/*
 * engine/operator.h
 *	  What people ask of a run, and signals, taken from the inbox.
 */
#ifndef DF_OPERATOR_H
#define DF_OPERATOR_H

#include "types/run.h"

extern void df_run_message(DfRun *run, DfMessage *message); /* something new in the inbox */

#endif /* DF_OPERATOR_H */
