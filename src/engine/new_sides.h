/*
 * engine/new_sides.h
 *	  The undo and the probe that a changed function gives to a step that is recorded.
 */
#ifndef DF_NEW_SIDES_H
#define DF_NEW_SIDES_H

#include "types/run.h"

/*
 * Takes them from the options `called`, which the function that is being executed gives to the
 * step, in place of the recorded ones.  Raises DF003 if the undo cannot be rendered from what is
 * recorded.
 */
extern void df_take_new_sides(DfRun *run, DfStep *step, const Jsonb *called);

#endif /* DF_NEW_SIDES_H */
