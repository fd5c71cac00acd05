/*
 * engine/home_path.h
 *	  Whether an undo or a probe is sent to where its step was made.
 */
#ifndef DF_ENGINE_HOME_PATH_H
#define DF_ENGINE_HOME_PATH_H

#include "flow/doubt.h"
#include "types/run.h"

extern bool df_undo_is_at_home(DfRun *run, DfStep *step);

/* by its path alone, as it is rendered now */
extern DfPathKnown df_probe_path(DfRun *run, DfStep *step);

#endif /* DF_ENGINE_HOME_PATH_H */
