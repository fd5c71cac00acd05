/*
 * shared/slot_queue.h
 *	  If max_worker_processes is too small: which process is started next, and
 *	  which running ones are asked to give way.
 *
 * The server may allow fewer background workers than we want.  Then processes take
 * turns: the one that has waited longest is started next, and as many are asked to
 * give way as wait.  The launcher decides.
 */
#ifndef DF_SLOT_QUEUE_H
#define DF_SLOT_QUEUE_H

#include "shared/slots.h"

/* it is due and has no process; the caller holds the lock */
extern bool df_queue_waits(const DfSlot *slot, TimestampTz now);

/* a copy of the slot to start next; false = the queue is empty */
extern bool df_queue_next(DfSlot *next, int *index);

/*
 * The next one could not be started: ask processes whose turn is over to give way.
 * True: all could be started until now.
 */
extern bool df_queue_make_room(void);

/* max_worker_processes is used up, and processes wait */
extern bool df_queue_has_waiters(void);

/* all could be started */
extern void df_queue_clear(void);

/* in a process, before and after its wait: could it end without loss? */
extern void df_queue_set_idle(DfSlot *slot, bool idle);

/* in a process, between turns: has it been asked to end so that others can run? */
extern bool df_must_give_way(const DfSlot *slot);

#endif /* DF_SLOT_QUEUE_H */
