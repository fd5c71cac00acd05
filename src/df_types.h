/*
 * df_types.h
 *	  The plain structs and enums that every room shares.
 *
 * No functions, no behaviour: a struct here is a fact about a run, a step or
 * an answer.  Times are TimestampTz in the database's clock; 0 means "none"
 * (DF_NEVER).  Strings are NUL-terminated UTF-8/server encoding, NULL means
 * absent.
 */
#ifndef DF_TYPES_H
#define DF_TYPES_H

#include "postgres.h"

#include "datatype/timestamp.h"
#include "lib/ilist.h"
#include "nodes/pg_list.h"
#include "utils/jsonb.h"
#include "utils/uuid.h"

#define DF_NEVER ((TimestampTz) 0)

/* limits of what a name or key may be, in bytes */
#define DF_MAX_NAME 200
#define DF_MAX_KEY 1024
/* of a path with its query, and of a step's headers together: servers take less */
#define DF_MAX_HEAD 65536

/* SQLSTATEs of our own, docs/reference.md lists them */
#define DF_ERR_STEP_FAILED MAKE_SQLSTATE('D', 'F', '0', '0', '1')
#define DF_ERR_CANCELLED MAKE_SQLSTATE('D', 'F', '0', '0', '2')
#define DF_ERR_RECORD_MISMATCH MAKE_SQLSTATE('D', 'F', '0', '0', '3')
#define DF_ERR_OUTSIDE_WORKFLOW MAKE_SQLSTATE('D', 'F', '0', '0', '4')
#define DF_ERR_UNKNOWN MAKE_SQLSTATE('D', 'F', '0', '0', '5')
#define DF_ERR_LIMIT MAKE_SQLSTATE('D', 'F', '0', '0', '6')
#define DF_ERR_NOT_LOADED MAKE_SQLSTATE('D', 'F', '0', '0', '7')

/* ---- runs ----------------------------------------------------------------- */

typedef enum DfRunState
{
	DF_RUN_QUEUED,
	DF_RUN_RUNNING,
	DF_RUN_WAITING,
	DF_RUN_ROLLING_BACK,
	DF_RUN_STUCK,
	DF_RUN_COMPLETED, /* this and what follows is terminal */
	DF_RUN_ROLLED_BACK,
	DF_RUN_CANCELLED,
	DF_RUN_ABANDONED
} DfRunState;
#define DF_RUN_NSTATES (DF_RUN_ABANDONED + 1)

typedef enum DfRunEvent
{
	DF_RUN_ENTER, /* a worker enters the body */
	DF_RUN_WAIT, /* nothing to do before an event or a time */
	DF_RUN_COMPLETE, /* the body returned, all steps have ended */
	DF_RUN_FAIL, /* the body raised: undo what was done */
	DF_RUN_CANCEL, /* somebody asked for cancellation */
	DF_RUN_GET_STUCK, /* a person is needed */
	DF_RUN_RETRY, /* a person says: go on forwards */
	DF_RUN_RETRY_ROLLBACK, /* a person says: go on undoing */
	DF_RUN_UNDO, /* undo of a completed run */
	DF_RUN_ROLLBACK_DONE, /* everything is undone after a failure */
	DF_RUN_CANCEL_DONE, /* everything is undone after a cancel */
	DF_RUN_ABANDON /* a person takes the run off our hands */
} DfRunEvent;
#define DF_RUN_NEVENTS (DF_RUN_ABANDON + 1)

/* why a run is rolling back (or was); DF_CAUSE_NONE while it goes forward */
typedef enum DfCause
{
	DF_CAUSE_NONE,
	DF_CAUSE_FAILED,
	DF_CAUSE_CANCELLED,
	DF_CAUSE_UNDO
} DfCause;

/* ---- steps ---------------------------------------------------------------- */

typedef enum DfStepKind
{
	DF_STEP_HTTP,
	DF_STEP_WAIT, /* wait_for(): an event */
	DF_STEP_SLEEP,
	DF_STEP_UNDO, /* on_rollback(): nothing but an undo */
	DF_STEP_QUERY,
	DF_STEP_ONCE,
	DF_STEP_CALL,
	DF_STEP_MAIL,
	DF_STEP_PIVOT,
	DF_STEP_ALIAS, /* alias(): a further key of the run */
	DF_STEP_CONTINUE /* continue_with(): the end of a round */
} DfStepKind;
#define DF_STEP_NKINDS (DF_STEP_CONTINUE + 1)

typedef enum DfStepState
{
	DF_STEP_PENDING, /* to be sent, certainly not carried out yet */
	DF_STEP_SENT, /* committed before the bytes leave */
	DF_STEP_WAITING, /* for an event, a time or a child */
	DF_STEP_DOUBT, /* may have been carried out: in_doubt */
	DF_STEP_DONE,
	DF_STEP_FAILED
} DfStepState;
#define DF_STEP_NSTATES (DF_STEP_FAILED + 1)

typedef enum DfStepEvent
{
	DF_STEP_SEND, /* the intent is written, the bytes follow */
	DF_STEP_HOLD, /* wait for an event, a time or a child */
	DF_STEP_AGAIN, /* not carried out: to be tried again */
	DF_STEP_SUCCEED,
	DF_STEP_FAIL,
	DF_STEP_LOSE, /* bytes left, no answer: in doubt */
	DF_STEP_RENEW /* retry(): a failed step is rendered anew */
} DfStepEvent;
#define DF_STEP_NEVENTS (DF_STEP_RENEW + 1)

typedef enum DfUndoState
{
	DF_UNDO_NONE, /* nothing to undo */
	DF_UNDO_DUE,
	DF_UNDO_SENT,
	DF_UNDO_UNDONE,
	DF_UNDO_GONE, /* 404 or 410: it is not there */
	DF_UNDO_FAILED /* undo_failed: a person must */
} DfUndoState;
#define DF_UNDO_NSTATES (DF_UNDO_FAILED + 1)

/* ---- retry policy --------------------------------------------------------- */

typedef struct DfRetry
{
	int max_attempts; /* 0 = no limit */
	int64 initial_ms; /* first back-off */
	int64 max_ms; /* longest back-off */
	int64 for_ms; /* total time since the first attempt, 0 = no limit */
} DfRetry;

/* ---- what came back from the network -------------------------------------- */

typedef enum DfFate
{
	DF_FATE_ANSWER, /* a whole HTTP answer: look at status */
	DF_FATE_NOT_SENT, /* DNS, connect or TLS failed: nothing left us */
	DF_FATE_LOST, /* bytes may have left, no whole answer */
	DF_FATE_TOO_LARGE, /* an answer larger than max_body (status known) */
	DF_FATE_REFUSED, /* we refused: bad URL, private address, bad option */
	DF_FATE_STARVED /* we had no descriptor, memory or thread for it: nothing left us */
} DfFate;

typedef enum DfMethodClass
{
	DF_METHOD_SAFE, /* GET, HEAD: no effect */
	DF_METHOD_IDEMPOTENT, /* PUT, DELETE: the same effect twice */
	DF_METHOD_EFFECT /* POST, PATCH: a second one may be a double */
} DfMethodClass;

/* ---- a run in a worker's memory ------------------------------------------- */

/* one version of a workflow, as the worker knows it */
typedef struct DfWorkflow
{
	char *name;
	int version;
	char *function; /* qualified signature */
	Oid function_owner;
	Oid owner;
	char *owner_name;
	char *on_failure; /* NULL = none */
	Jsonb *retry; /* NULL = the system's */
	bool stuck_on_error;
	bool has_deadline;
	Interval deadline; /* from the start of a run */
	/* ten failures in a row at one step with one status: stop undoing customers */
	char fail_step[DF_MAX_NAME + 1];
	int fail_status;
	int fail_count;
} DfWorkflow;

/* a signal or another request of the inbox that is for this run */
typedef struct DfMessage
{
	int64 id;
	char *kind;
	char *event;
	Jsonb *payload;
	char *note;
	char *sent_by;
	TimestampTz sent_at;
	bool is_new; /* its row says that nobody has looked at it */
	bool done; /* to be written */
	int consumed_by; /* step, 0 = none */
} DfMessage;

/* what is to be sent next for a step that is in flight or about to be */
typedef enum DfPhase
{
	DF_PHASE_DO,
	DF_PHASE_PROBE,
	DF_PHASE_UNDO
} DfPhase;

typedef struct DfStep
{
	int n;
	char *name; /* base#k */
	DfStepKind kind;
	char *system;
	char *request; /* "METHOD /path" or what else identifies it */
	Jsonb *headers;
	char *body;
	Jsonb *options;
	uint32 base_hash;
	TimestampTz started_at;

	DfStepState state;
	int attempts;
	int renewals;
	TimestampTz sent_at;
	TimestampTz wake_at;
	TimestampTz finished_at;
	int status;
	Jsonb *output;
	Jsonb *answer;
	Jsonb *error;
	char *undo;
	char *undo_body;
	DfUndoState undo_state;
	int undo_attempts;
	TimestampTz undo_since;
	Jsonb *undo_error;

	/* memory only */
	int index; /* in run->steps */
	bool traced; /* its span was put out */
	bool fresh; /* no row yet */
	bool dirty; /* differs from its row */
	bool rerendered; /* so does its intent */
	bool to_send; /* the dispatcher is to send `phase` */
	bool to_run; /* SQL: a sql worker is to run it, or its undo */
	bool to_start; /* its child run is to be inserted */
	bool own_child; /* it has a child run of its own, not an attached one */
	const char *ask; /* "cancel" or "undo": to be asked of the child run; NULL = nothing */
	bool in_flight;
	bool told; /* the body has learnt what came of it */
	bool cleared; /* in doubt, but a probe or the step itself says: send it again */
	/* its probe has just been answered: put off, it would be asked again, for ever perhaps */
	bool urgent;
	TimestampTz not_before; /* urgent, and has no place: when to look for one again */
	bool unauthorized; /* its token was refused, it is sent again with a fresh one */
	DfPhase phase;
	int called; /* number of the entry that last called it */
	int next_same; /* index of the next step of that base name, -1 */
	TimestampTz attempt_at; /* when the attempt in flight left */
	TimestampTz sent_before; /* sent_at before it did */
} DfStep;

/* a failed try, to be written */
typedef struct DfAttempt
{
	pg_uuid_t run;
	int n;
	int seq;
	bool undo;
	TimestampTz at;
	double took_ms;
	int status; /* 0 = none */
	const char *outcome;
	char *error;
	TimestampTz next_at;
} DfAttempt;

/*
 * Everything of a run lives in run->cxt, which goes away when the worker lets
 * go of the run.
 */
typedef struct DfRun
{
	dlist_node node; /* the worker's list */
	pg_uuid_t id;
	char id_text[40];
	MemoryContext cxt;
	char *workflow_name;
	DfWorkflow *workflow;
	char *key;
	char *started_by;
	char *traceparent; /* of who started it, NULL = none */
	TimestampTz started_at;
	Jsonb *input;
	pg_uuid_t parent; /* of a child run */
	int parent_n; /* step of the parent, 0 = nobody called it */

	DfRunState state;
	TimestampTz wake_at;
	int64 lease; /* 0 = none */
	int64 db_lease; /* what the row has, the guard of our update */
	bool sql; /* parked for a sql worker, not for a worker */
	TimestampTz finished_at;
	char *waiting_for;
	int entries;
	int body_retries;
	int64 body_hash; /* 0 = not entered yet */
	bool drifted;
	DfCause cause;
	int round; /* continue_with() began it anew so many times */
	int round_n; /* last step of the rounds before this one */
	int pivot_n; /* last point of no return in them, 0 = none */
	TimestampTz deadline; /* given anew by retry(); DF_NEVER = what the workflow says */
	Jsonb *result;
	Jsonb *error;
	Jsonb *stuck;

	DfStep **steps; /* steps[i]->index == i, n ascends */
	int nsteps;
	int maxsteps;
	struct df_name_hash *names;
	struct df_whole_hash *whole_names; /* made when it is first asked for */
	int nwhole; /* so many steps are in it */
	List *messages; /* of DfMessage, oldest first */
	bool inbox_loaded; /* for all that it waits for now */
	List *loaded_steps; /* what the store has read, until the engine takes it */
	List *loaded_messages;

	TimestampTz fails_at; /* its deadline, DF_NEVER = none */
	bool dirty; /* the row differs */
	bool alert; /* it got stuck, and dataflows.on_stuck has not been told */
	bool advance; /* something happened: look at it */
	bool touched; /* is on the turn's list */
	bool want_inbox; /* a wait was begun: read the inbox, look again */
	int nformer; /* so many of the steps are of rounds before this one */
	bool former_loaded; /* those of them that may have to be undone are here, */
	bool former_more; /* but for older ones, */
	bool former_failed; /* and the undo of one that is not here has failed */
	bool new_round; /* to be written */
	bool want_alias; /* a step asks for a key: try to take it, look again */
	bool next_turn; /* an alias was taken: the body goes on once that is committed */
	bool released; /* the worker is to let go of it after the commit */
	bool adopted; /* its recorded steps are all here */
	bool broken; /* not to be trusted any more: only to be let go of, at wake_at */
	bool family; /* some step has to_start or ask */
	bool keyed_start; /* one of them by key: whether it starts is known after the recording */
	bool tell_parent; /* it has ended: whoever called it is to know */
	bool may_linger; /* there is room to keep it while its children end */
	bool urgent; /* some step may be */
	TimestampTz linger_until; /* it is kept, though nothing of it is in flight */
	int depth; /* callers above it, -1 = not known yet */
	int entry_no; /* counts entries into the body */
	int calls; /* recorded steps called in this entry */
	int *blocked; /* indexes of the steps that the body waits for */
	int nblocked;
	bool blocked_any;
	int in_flight;
	int upsets; /* errors in a row, not of its making, that came while it was looked at */
	bool answered; /* an answer was applied that is not recorded yet */
	bool aside; /* it could not be recorded yet: nothing is done with it before it is */
	List *attempts_aside; /* of DfAttempt, to be recorded with it */
} DfRun;

/* there is nothing to be done with it for now */
static inline bool
df_run_rests(const DfRun *run)
{
	return run->broken || run->aside;
}

/*
 * Whether a step or an event may have this name: '#' is the engine's, in name#n,
 * so that no body could ever wait for an event that has one.
 */
static inline bool
df_name_is_clean(const char *name)
{
	for (const char *c = name; *c != '\0'; c++)
		if ((unsigned char) *c < ' ' || *c == '#' || *c == 0x7f)
			return false;
	return true;
}

#endif /* DF_TYPES_H */
