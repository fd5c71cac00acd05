/*
 * shared/trouble.h
 *	  Errors that persist: retried at growing intervals, logged once a minute, shown
 *	  by status().
 */
#ifndef DF_TROUBLE_H
#define DF_TROUBLE_H

#include "lib/ilist.h"
#include "shared/slots.h"

/* one kind of work of a process; a static variable, initialized as {"what it does"} */
typedef struct DfTrouble
{
	const char *what; /* completes "could not ..." */
	int failures; /* in a row; 0 = no trouble */
	TimestampTz since;
	TimestampTz retry_at; /* do not try again before */
	TimestampTz logged_at; /* last time, also of an earlier trouble of this kind */
	int sqlerrcode;
	char message[160];
	dlist_node node; /* in the list of all present troubles */
} DfTrouble;

/* the slot in which status() finds troubles of this process; NULL = it is the launcher */
extern void df_trouble_owner(DfSlot *slot);

/* another session has locked what was needed */
extern bool df_error_is_lock(int sqlerrcode);

/* it may succeed when tried again: a lock, a conflict, no disk space, no memory */
extern bool df_error_is_transient(int sqlerrcode);

/* the work failed; the error was copied, and its transaction aborted */
extern void df_trouble_note(DfTrouble *trouble, const ErrorData *error);

/* the work succeeded */
extern void df_trouble_over(DfTrouble *trouble);

/* true: it failed, and must not be tried again yet */
extern bool df_trouble_waits(const DfTrouble *trouble, TimestampTz now);

#endif /* DF_TROUBLE_H */
