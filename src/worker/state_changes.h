/*
 * worker/state_changes.h
 *	  Tells the channels of workflows what became of their runs.
 */
#ifndef DF_STATE_CHANGES_H
#define DF_STATE_CHANGES_H

#include "datatype/timestamp.h"

/* sends some, if there may be any */
extern void df_state_changes_notify(bool woken);

/* when it is to be called again, DF_NEVER = when a worker has recorded one */
extern TimestampTz df_state_changes_due(void);

#endif /* DF_STATE_CHANGES_H */
