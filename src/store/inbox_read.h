/*
 * store/inbox_read.h
 *	  What a worker reads of the inbox, and what it writes of it.
 *
 * Between df_store_enter() and df_store_leave().
 */
#ifndef DF_STORE_INBOX_READ_H
#define DF_STORE_INBOX_READ_H

#include "types/run.h"

/* an event that a run waits for */
typedef struct DfWantedSignal
{
	DfRun *run;
	const char *event;
	bool by; /* not everybody's counts */
} DfWantedSignal;

/*
 * of these runs: what was sent of these events (a List of DfWantedSignal), by id or by key, and
 * is not consumed
 */
extern void df_load_signals(List *runs, List *wanted);

/* requests to cancel the run that have not taken effect */
extern void df_load_cancels(DfRun *run);

/* a new row; the run as found by id or key */
typedef struct DfInboxRow
{
	DfMessage message;
	bool has_run;
	pg_uuid_t run;
	bool waiting; /* the run, or its on_failure, may be waiting for a signal */
	bool held; /* it is claimed */
} DfInboxRow;

/*
 * Up to `each` of each workflow, the oldest of it first, from behind the id
 * *after on.  *after becomes the id behind which there may be more, 0 = there is
 * no more.
 */
extern List *df_load_new_inbox(List *names, int each, int64 *after, MemoryContext cxt);

/* all new rows of these runs (a List of pg_uuid_t *), as DfInboxRow, the oldest first; in cxt */
extern List *df_load_inbox_of(List *runs, MemoryContext cxt);

/* messages of these runs that were consumed or took effect */
extern void df_record_messages(List *runs);

/* new rows that were read: signals are kept for a later wait, the rest is done */
extern void df_record_kept(List *rows);

/* of these, in the order of ids or not, those that nobody has consumed since; in cxt */
extern List *df_inbox_still_new(List *rows, MemoryContext cxt);

/* these runs have ended: their rows are done */
extern void df_inbox_close(List *runs);

#endif /* DF_STORE_INBOX_READ_H */
