/*
 * worker/turn.h
 *	  The phases of a worker's turn, in the order in which they run.
 *
 *	  responses.c	apply the responses that came
 *	  intake.c		claim what is due, read the inbox
 *	  advance.c		enter bodies, make requests ready
 *	  recording.c	write what became of the runs; turn.c commits it
 *	  dispatch.c	let the requests leave
 *	  deferred.c	after an error: record one by one, now or later
 *	  failure.c		which errors pass, and what is done about the others
 */
#ifndef DF_TURN_H
#define DF_TURN_H

#include "worker/worker.h"

/* ---- turn.c ----------------------------------------------------------------- */

extern void df_turn(void);
extern bool df_is_winding_down(void);

/* ---- run_list.c: what is in memory ------------------------------------------ */

extern DfRun *df_find_run(const pg_uuid_t *id);
extern void df_turn_list_add(DfRun *run);
extern void df_release_run(DfRun *run);

/* ---- responses.c ------------------------------------------------------------ */

extern void df_apply_responses(void);
extern void df_apply_rest(void); /* after an error: those that the turn did not come to */
extern void df_free_responses(void); /* those that are applied */
extern bool df_turn_has_results(void); /* there are some that can be applied */

/* ---- intake.c --------------------------------------------------------------- */

extern void df_wake_due_runs(void);
extern void df_take(List *runs, List *versions); /* inside the store */
extern void df_adopt_loaded(DfRun *run);
extern void df_read_new_work(List **deliveries);
extern void df_adopt_all_loaded(void);
extern void df_hand_out(List *deliveries);
extern void df_put_back_unread(List *touched, bool passes);

/* ---- advance.c -------------------------------------------------------------- */

extern void df_choose_careful(void);
extern bool df_run_is_careful(const DfRun *run);
extern void df_commit_entry(DfRun *run);
extern void df_advance_run(DfRun *run);
extern void df_advance_all(void);
extern void df_dispatch_all(void);

/* ---- recording.c ------------------------------------------------------------ */

typedef enum DfRecorded
{
	DF_RECORDED,
	DF_RECORD_LATER, /* nothing has happened */
	DF_RECORD_NEVER
} DfRecorded;

extern void df_record_all(List *runs, List *attempts);
extern DfRecorded df_try_record(List *runs, List *attempts);
extern void df_after_commit(List *runs);
extern List *df_attempts_of(const DfRun *run);

/* ---- deferred.c ------------------------------------------------------------- */

extern void df_record_one_by_one(List *runs);
extern void df_record_aside(void);
extern bool df_aside_waits(void);
extern void df_aside_note(ErrorData *error);
extern TimestampTz df_turn_aside_due(void); /* when runs that are set aside are to be tried again */

/* ---- failure.c -------------------------------------------------------------- */

extern bool df_transaction_failed(void);
extern bool df_turn_failed(void);
extern void df_break_run(DfRun *run);
extern void df_give_back_broken(void);
extern bool df_failed_for_lock(void);
extern bool df_failed_for_room(void);
extern void df_count_failed_turn(bool failed);
extern void df_note_failures(bool blocked);
extern bool df_turn_waits(TimestampTz *until); /* the next one has no sense before */

#endif /* DF_TURN_H */
