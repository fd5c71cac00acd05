/*
 * shared/wake.h
 *	  Wakes the engine's processes when a transaction commits.
 *
 * Call these in a transaction.  After its commit the latch of the owner's workers is
 * set, or the coordinator's if there are none.  A rollback wakes nobody.
 */
#ifndef DF_WAKE_H
#define DF_WAKE_H

#include "storage/condition_variable.h"
#include "utils/uuid.h"

/* this transaction wrote work for workflows of that owner role */
extern void df_wake_owner(Oid owner);

/* it is unknown what this transaction makes visible, and for whom */
extern void df_wake_everybody(void);

/* this transaction wrote what the coordinator sends */
extern void df_wake_coordinator(void);

/* this run stopped moving, or several did (NULL): sessions in await() are to check */
extern void df_wake_awaiters(const pg_uuid_t *run);

/* what such sessions sleep on */
extern ConditionVariable *df_awaited(const pg_uuid_t *run);

/* CREATE EXTENSION: the launcher is to check this database */
extern void df_wake_launcher(void);

#endif /* DF_WAKE_H */
