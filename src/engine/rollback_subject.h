/*
 * engine/rollback_subject.h
 *	  on_rollback() of another step: which one it is.
 */
#ifndef DF_ROLLBACK_SUBJECT_H
#define DF_ROLLBACK_SUBJECT_H

#include "types/run.h"

/* the step whose effect it takes back; NULL = it is nobody's, or that step is not there */
extern DfStep *df_rollback_subject(DfRun *run, DfStep *step);

/*
 * The whole name of the step that a call of on_rollback() means, which is recorded as `name`:
 * of several calls with one name the last, or the next one if that has this on_rollback()
 * already, as in a loop.  In run->cxt.
 */
extern char *df_rollback_subject_name(DfRun *run, const char *name, const char *of_step);

/* on_rollback() whose step has not been called when the body returns; NULL = none */
extern DfStep *df_rollback_open(DfRun *run);

/* whether there is such a one of this step */
extern bool df_rollback_is_of(DfRun *run, const DfStep *subject);

/* a new step is called: raises 22023 if the last on_rollback() waits for another one */
extern void df_rollback_check_next(DfRun *run, const char *name);

/* whether the step that it waits for may still be called, for nothing came after it */
extern bool df_rollback_is_last(const DfRun *run, const DfStep *step);

#endif /* DF_ROLLBACK_SUBJECT_H */
