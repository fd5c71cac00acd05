/*
 * engine/polling.h
 *	  Steps with `until`: asked again until the response meets it.
 */
#ifndef DF_POLLING_H
#define DF_POLLING_H

#include "types/response.h"
#include "types/run.h"

extern bool df_step_until_met(DfRun *run, DfStep *step, const Jsonb *output);
extern void df_step_poll_again(DfRun *run, DfStep *step, const DfResponse *response);

#endif /* DF_POLLING_H */
