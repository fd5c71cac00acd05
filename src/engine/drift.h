/*
 * engine/drift.h
 *	  What a body means that is not, or does not seem to be, the one that was recorded.
 */
#ifndef DF_DRIFT_H
#define DF_DRIFT_H

#include "engine/body.h"
#include "types/run.h"

/*
 * A new step is called: raises DF003 if it may be a recorded one under another name.  `asked`
 * is what it does in the world, NULL = nothing; `body` is what it sends, NULL = nothing.
 */
extern void df_drift_check_new(DfRun *run, const char *name, DfStepKind kind, const char *system,
							   const char *asked, const char *body);

/* the step was asked for by another function than the one that is being executed */
extern bool df_drift_is_other(const DfRun *run, const DfStep *step);

/* a person has said that what is recorded of the step counts, whatever this function asks for */
extern bool df_drift_is_accepted(const DfStep *step);

/* JSON that differs in the present time alone asks for the same */
extern bool df_step_asks_the_same(const DfStep *step, const char *recorded, const char *called);

/* the function that is being executed has rendered the step */
extern void df_drift_note_body(const DfRun *run, DfStep *step);

/* what to do about a recorded step that the body calls with something else; in run->cxt */
extern char *df_drift_remedy(DfRun *run, const DfStep *step);

/* the same about one that the body calls as a step of another kind */
extern char *df_drift_remedy_of_kind(DfRun *run, const DfStep *step);

/* ---- wherever there is a fingerprint at hand ------------------------------- */

/*
 * what the step did, or is about to do, in the world; NULL = nothing that the function of this
 * fingerprint has to call
 */
extern const char *df_drift_effect(const DfStep *step, int64 fingerprint);

/* how to call rename_step(), and accept_drift(), of one step or of all */
extern char *df_drift_rename_call(const DfRun *run, const char *recorded, const char *now);
extern char *df_drift_accept_call(const DfRun *run, const char *step);

#endif /* DF_DRIFT_H */
