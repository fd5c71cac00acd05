/*
 * engine/undo_path.h
 *	  Whether an undo is sent to where its step was made.
 */
#ifndef DF_ENGINE_UNDO_PATH_H
#define DF_ENGINE_UNDO_PATH_H

#include "types/run.h"

extern bool df_undo_is_at_home(DfRun *run, DfStep *step);

#endif /* DF_ENGINE_UNDO_PATH_H */
