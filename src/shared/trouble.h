/*
 * shared/trouble.h
 *	  An error that stays: tried again later and later, said once a minute, and
 *	  told by status().
 */
#ifndef DF_TROUBLE_H
#define DF_TROUBLE_H

#include "df_types.h"
#include "lib/ilist.h"
#include "shared/slots.h"

/* one kind of work of a process; static, begins as {"what it is"} */
typedef struct DfTrouble
{
	const char *what; /* completes "could not ..." */
	int failures; /* in a row; 0 = there is no trouble */
	TimestampTz since;
	TimestampTz retry_at; /* before this it is not to be tried again */
	TimestampTz said_at; /* when the log was told last, also of an earlier trouble */
	int sqlerrcode;
	char message[160];
	dlist_node node; /* in the list of present troubles */
} DfTrouble;

/* whose status() tells of troubles; NULL = the launcher's */
extern void df_trouble_owner(DfSlot *slot);

/* somebody has locked what was needed */
extern bool df_error_is_lock(int sqlerrcode);

/* it passes by itself, or when somebody has made room: a lock, a conflict, no disk, no memory */
extern bool df_error_is_transient(int sqlerrcode);

/* it failed; the error was copied, and nothing of it is left */
extern void df_trouble_note(DfTrouble *trouble, const ErrorData *error);

/* it was done */
extern void df_trouble_over(DfTrouble *trouble);

/* is it to be left alone for now? */
extern bool df_trouble_waits(const DfTrouble *trouble, TimestampTz now);

#endif /* DF_TROUBLE_H */
