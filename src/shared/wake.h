/*
 * shared/wake.h
 *	  Wake at commit: a hint, never the truth.
 *
 * Sessions call these in their transaction; at its commit (once, after the rows
 * are visible) the latch of the owner's worker is set, or the coordinator's if
 * there is none.  A rollback wakes nobody.
 */
#ifndef DF_WAKE_H
#define DF_WAKE_H

#include "df_types.h"

/* work for workflows of that owner role was written in this transaction */
extern void df_wake_owner(Oid owner);

/* it is not known what this transaction makes visible, nor for whom */
extern void df_wake_everybody(void);

/* a run stopped moving: those in await() look again, after the commit */
extern void df_wake_awaiters(void);

/* CREATE EXTENSION: the launcher is to look at this database */
extern void df_wake_launcher(void);

#endif /* DF_WAKE_H */
