/*
 * engine/step_error.h
 *	  The error of a step, as users and bodies see it.
 */
#ifndef DF_STEP_ERROR_H
#define DF_STEP_ERROR_H

#include "types/response.h"
#include "types/run.h"

/*
 * What was answered, or that nothing was; message NULL = in the usual words.  whole: with
 * all of the body, not its beginning.
 */
extern Jsonb *df_step_error(DfRun *run, const DfResponse *response, const char *message,
							bool in_doubt, bool whole);

/* {"message", "in_doubt"}: what the engine itself has to say */
extern Jsonb *df_error_text(DfRun *run, const char *message, bool in_doubt);

extern Jsonb *df_error_with(DfRun *run, Jsonb *error, const Jsonb *more);
extern Jsonb *df_error_why(DfRun *run, Jsonb *error, DfWhy why);
extern Jsonb *df_error_flag(DfRun *run, Jsonb *error, const char *flag, bool value);

/* why the body gets DF001 for it */
extern DfWhy df_step_why(const DfStep *step);

#endif /* DF_STEP_ERROR_H */
