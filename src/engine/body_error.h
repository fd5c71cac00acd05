/*
 * engine/body_error.h
 *	  What an error that the body raised makes of the run.
 */
#ifndef DF_BODY_ERROR_H
#define DF_BODY_ERROR_H

#include "engine/body.h"

extern void df_body_raised(DfRun *run, DfBodyExit *exit, bool handler);
extern void df_body_retry_later(DfRun *run, const char *message);

#endif /* DF_BODY_ERROR_H */
