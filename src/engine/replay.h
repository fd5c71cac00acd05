/*
 * engine/replay.h
 *	  The memory of a body: which recorded step a call means.
 */
#ifndef DF_REPLAY_H
#define DF_REPLAY_H

#include "types/run.h"

extern DfStep *df_replay_find(DfRun *run, const char *base, char **name);
/* how often this entry has called it so far, and the whole name of that call */
extern int df_replay_calls(DfRun *run, const char *base);
/* the recorded calls of the same name, "base#k" of every k; NULL = no more */
extern DfStep *df_replay_first(DfRun *run, const char *name);
extern DfStep *df_replay_next_same(const DfRun *run, const DfStep *step);
extern char *df_replay_whole_name(const char *base, int call);
extern void df_replay_begin(DfRun *run);
extern void df_replay_index(DfRun *run, DfStep *step);
extern DfStep *df_replay_named(DfRun *run, const char *name); /* by its whole name; NULL = none */
extern void df_replay_rename(DfRun *run, DfStep *step, const char *name);
extern bool df_replay_has_uncalled(const DfRun *run);
extern bool df_replay_is_uncalled(const DfRun *run, const DfStep *step);

/* the name under which a call of `name` is recorded, of the body or of on_failure */
extern const char *df_run_step_name(const DfRun *run, const char *name);
/* and back */
extern const char *df_step_called_name(const DfStep *step);
/* of on_failure, not of the body */
extern bool df_is_handler_step(const DfStep *step);

#endif /* DF_REPLAY_H */
