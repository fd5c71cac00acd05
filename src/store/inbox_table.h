/*
 * store/inbox_table.h
 *	  What sessions ask of runs: the rows of the inbox, and pause and resume.
 *
 * Between df_store_enter() and df_store_leave().  Nothing here changes a run or
 * a step: the engine does, when it reads the row.
 */
#ifndef DF_STORE_INBOX_TABLE_H
#define DF_STORE_INBOX_TABLE_H

#include "datatype/timestamp.h"
#include "nodes/pg_list.h"
#include "types/message.h"
#include "types/states.h"
#include "utils/jsonb.h"
#include "utils/uuid.h"

/* the run that something is asked of, as it is now */
typedef struct DfInboxTarget
{
	pg_uuid_t run;
	DfRunState state;
	char *workflow;
	int version;
	char *key; /* NULL = none */
	bool held; /* a worker has it in memory */
} DfInboxTarget;

/* false if there is no such run, or none that holds the key; text in `cxt` */
extern bool df_inbox_find_run(const pg_uuid_t *run, DfInboxTarget *target, MemoryContext cxt);
extern bool df_inbox_find_key(const char *workflow, const char *key, DfInboxTarget *target,
							  MemoryContext cxt);

/* what a step may be resolved from; false if the run has no step of that name */
typedef struct DfStepStates
{
	DfStepState state;
	DfUndoState undo_state;
	bool may_be_resent; /* in doubt, of which the body has learned nothing */
	bool maybe_not_ours; /* its undo has failed because of that */
	int n; /* its number in the run */
} DfStepStates;

extern bool df_inbox_find_step(const pg_uuid_t *run, const char *step, DfStepStates *states);

/* what takes a step back, and is to be rendered yet: its own undo, or on_rollback() of it */
typedef struct DfOpenUndo
{
	char *step;
	Jsonb *options; /* with the templates */
} DfOpenUndo;

extern List *df_inbox_open_undos(const pg_uuid_t *run, int n, MemoryContext cxt);

/* the run is stuck because its body calls this step, or any, as one of another kind */
extern bool df_inbox_stuck_by_kind(const pg_uuid_t *run, const char *step);

/* whether the present round has a step of the first name, and of the second at most a wait */
extern bool df_inbox_may_rename(const pg_uuid_t *run, const char *recorded, const char *now);

/* the waits of a run that are open now, in the order of its steps: those of its last steps */
typedef struct DfOpenWait
{
	char *step;
	char *by; /* NULL = anybody */
	bool of_event; /* it waits for the event that was asked for */
} DfOpenWait;

extern List *df_inbox_open_waits(const pg_uuid_t *run, const char *event, MemoryContext cxt);

/* a row to be; NULL = not given */
typedef struct DfNewMessage
{
	const pg_uuid_t *run; /* NULL = known by key only, until expires_at */
	const char *workflow;
	const char *key;
	DfMessageKind kind;
	const char *event; /* of a signal; the step of a resolve, rename or accept */
	const Jsonb *payload;
	const char *note;
	const char *sent_by;
	const char *on_behalf_of; /* as the application says */
	int sent_pid; /* of a NOTIFY */
	TimestampTz now;
	TimestampTz expires_at; /* DF_NEVER = it goes with its run */
} DfNewMessage;

/* its columns, for the statements that insert many */
extern const struct DfTable df_new_message_table;
#define DF_IN_MESSAGE DF_IN_OTHER /* all of them but the last */
#define DF_IN_SIGNALS (DF_IN_OTHER << 1) /* but those in which the signals of a statement differ */
#define DF_IN_BEHALF (DF_IN_OTHER << 2) /* and the one that the schema of 0.1 has not */

extern void df_inbox_insert(const DfNewMessage *message);

/*
 * May a further signal be written for this run (NULL = there is none yet) or key?
 * Approximately: not seen are those of other sessions in the last second.  True
 * counts as one that is written.
 */
extern bool df_inbox_has_room(const pg_uuid_t *run, const char *workflow, const char *key);

/* a record of pause() or resume() of a workflow, NULL = the whole database */
typedef struct DfPauseNote
{
	DfMessageKind kind;
	const char *sent_by;
	const char *note; /* NULL = none, and so is the next */
	const char *on_behalf_of;
} DfPauseNote;

extern void df_inbox_note_paused(const char *workflow, const DfPauseNote *note);

/* true if that changed anything */
extern bool df_workflow_set_paused(const char *name, bool paused);
extern bool df_installation_set_paused(bool paused);

/* roles that own workflows, each once, in `cxt` */
extern List *df_inbox_owners(MemoryContext cxt);

#endif /* DF_STORE_INBOX_TABLE_H */
