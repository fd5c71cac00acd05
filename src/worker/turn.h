/*
 * worker/turn.h
 *	  The phases of a worker's turn, in the order in which turn.c runs them.
 *
 *	  responses.c	apply the responses that came
 *	  intake.c		claim runs that are due, read the inbox
 *	  advance.c		enter bodies; dispatch.c: make their requests ready
 *	  recording.c	write what became of the runs; then turn.c commits
 *	  flight.c		send the requests
 *	  failure.c		after an error: is it transient, which run is to blame
 *	  deferred.c	after an error: record runs one by one, now or later
 */
#ifndef DF_TURN_H
#define DF_TURN_H

#include "worker/worker_state.h"

/* ---- turn.c ----------------------------------------------------------------- */

extern void df_turn(void);
extern bool df_is_winding_down(void); /* begin nothing new */

/* ---- run_list.c -------------------------------------------------------------- */

extern DfRun *df_find_run(const pg_uuid_t *id); /* NULL = not in memory */
extern void df_turn_list_add(DfRun *run); /* it must be recorded in this turn */
extern void df_turn_list_remove(DfRun *run);
extern void df_run_let_go(DfRun *run); /* frees its memory; its row is right already */

/* ---- responses.c ------------------------------------------------------------ */

extern void df_apply_responses(void);
extern void df_apply_rest(void); /* after an error: those that the turn did not reach */
extern void df_free_responses(void); /* those that are applied */
extern bool df_have_responses(void); /* some that can be applied now */

/* ---- intake.c --------------------------------------------------------------- */

extern void df_wake_due_runs(void);
extern void df_add_claimed(List *runs, List *versions); /* inside the store */
extern void df_read_new_work(List **deliveries);
extern void df_finish_loading_all(void);
extern void df_deliver_messages(List *deliveries);
extern void df_release_unloaded(List *runs, bool transient);

/* ---- advance.c -------------------------------------------------------------- */

extern void df_choose_careful_run(void);
extern bool df_run_is_careful(const DfRun *run);
extern void df_commit_entry(DfRun *run);
extern void df_advance_run(DfRun *run);
extern void df_advance_all(void);
extern void df_dispatch_all(void);

/* ---- recording.c ------------------------------------------------------------ */

typedef enum DfRecorded
{
	DF_RECORDED,
	DF_RECORD_LATER, /* a transient error */
	DF_RECORD_NEVER
} DfRecorded;

extern void df_record_all(List *runs, List *attempts);
extern DfRecorded df_try_record(List *runs, List *attempts);
extern void df_after_commit(List *runs);
extern List *df_attempts_of(const DfRun *run);

/* ---- deferred.c ------------------------------------------------------------- */

extern void df_record_one_by_one(List *runs);
extern void df_record_deferred(void);
extern bool df_deferred_waits(void);
extern void df_deferred_note_error(ErrorData *error);
extern TimestampTz df_deferred_due(void); /* when to try them again, DF_NEVER = there are none */

/* ---- failure.c -------------------------------------------------------------- */

extern bool df_transaction_failed(void);
/*
 * Between the two, the state of `run` is being changed: an error is blamed on it,
 * and df_turn_failed() decides what becomes of it.  They are not nested.
 */
extern void df_blame_begin(DfRun *run);
extern void df_blame_end(void);
extern bool df_turn_failed(void);
extern void df_break_run(DfRun *run);
extern void df_release_broken_runs(void);
extern bool df_failed_for_lock(void);
extern bool df_failed_for_resources(void);
extern void df_count_failed_turn(bool failed);
extern void df_note_failures(bool early);
extern bool df_turn_waits(TimestampTz *until); /* errors delay the next turn until then */

/* ---- pauses.c --------------------------------------------------------------- */

/* the deadline, or the time of the step, has passed unless it stood still meanwhile */
extern void df_count_run_pauses(DfRun *run);
extern void df_count_step_pauses(DfRun *run, DfStep *step, const DfSystemPolicy *policy);

#endif /* DF_TURN_H */
