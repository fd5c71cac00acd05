/*
 * store/local_time_trigger.h
 *	  Triggers from before the update whose keys show times as the session does.
 */
#ifndef DF_STORE_LOCAL_TIME_TRIGGER_H
#define DF_STORE_LOCAL_TIME_TRIGGER_H

#include "postgres.h"

/* the trigger, or the one of a partitioned table that it is a copy of; enters the store itself */
extern bool df_trigger_uses_local_time(Oid trigger);

#endif /* DF_STORE_LOCAL_TIME_TRIGGER_H */
