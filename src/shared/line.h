/*
 * shared/line.h
 *	  Who waits for a place among max_worker_processes, who is next, and who
 *	  gives its place away.
 *
 * The places of the server may be fewer than the processes that we want.  Then
 * all have one by turns: who has waited longest comes first, and as many are
 * asked to give way as wait.  What is decided here is decided by the launcher.
 */
#ifndef DF_LINE_H
#define DF_LINE_H

#include "shared/slots.h"

/* it wants a process, and has none; the caller holds the lock */
extern bool df_line_waits(const DfSlot *slot, TimestampTz now);

/* a copy of the slot whose process is to be started next; false = nobody waits */
extern bool df_line_next(DfSlot *next, int *index);

/*
 * there was no place for the next one: those whose turn is over are asked to give way; true =
 * this is new
 */
extern bool df_line_full(void);

/* does somebody wait? */
extern bool df_line_is_full(void);

/* nobody waits any more */
extern void df_line_clear(void);

/* in a process, before and after its wait: would it leave its place without a loss? */
extern void df_line_idle(DfSlot *slot, bool idle);

/* in a process, between two turns: is it to leave its place to somebody? */
extern bool df_line_is_asked(const DfSlot *slot);

#endif /* DF_LINE_H */
