/*
 * worker/worker_state.h
 *	  What the files of the worker process share: its state, and what one asks of another.
 */
#ifndef DF_WORKER_STATE_H
#define DF_WORKER_STATE_H

#include "engine/outgoing.h"
#include "fdw/system.h"
#include "flow/flow.h"
#include "flow/meaning.h"
#include "http/client.h"
#include "shared/slots.h"
#include "shared/system_state.h"
#include "worker/process.h"
#include "types/response.h"
#include "types/run.h"
#include "types/system_policy.h"

/* a system as this worker uses it; see breaker.c */
typedef struct DfSystemUse DfSystemUse;

/*
 * The permit for one request in flight to a system.  Its owner gives it back, or hands
 * it over by copying it and setting `use` to NULL.
 */
typedef struct DfPlace
{
	DfSystemUse *use; /* NULL = none */
} DfPlace;

/* one request in flight, in its run's memory */
typedef struct DfFlight
{
	DfRun *run;
	DfStep *step;
	DfPlace place; /* given back when it lands */
	DfSystemPolicy policy;
	struct DfToken *token; /* that it was sent with, NULL = none */
	uint64 token_serial;
	struct DfSecrets *secrets; /* to hide in what is kept of its response; malloc'd, NULL = none */
} DfFlight;

/* a request that is ready to leave once its intent is committed; in df_turn_cxt */
typedef struct DfDeparture
{
	DfFlight *flight;
	DfHttpRequest request;
	struct DfSecrets *hidden; /* the flight's, freed here if the request does not leave */
	List *secrets; /* of char *: wiped after the request has left */
} DfDeparture;

typedef struct DfWorker
{
	DfSlot *slot;
	int64 lease;
	int64 identity;

	/* the runs in memory */
	dlist_head runs; /* all that are claimed */
	int nruns;
	int nretained; /* of these, kept though nothing of them is in flight */
	int ndeferred; /* of these, not recorded yet: see deferred.c */

	/* requests */
	int in_flight;
	int request_limit; /* requests at a time for which there seem to be descriptors */
	int max_request_limit; /* the most that request_limit can be */
	List *responses; /* of DfHttpResult, not applied yet */
	bool token_arrived; /* or will not arrive: check the runs that wait for it */

	/* what to read */
	List *workflow_names; /* of this owner, those that are not paused */
	bool check_tables; /* read the inbox and claim what is due */
	int64 inbox_after; /* id of the last row read, 0 = start at the oldest */
	bool inbox_changed; /* a row came since the inbox was read from the oldest */
	bool more_due; /* the last claim left due runs in the table */
	TimestampTz next_due; /* of the runs in the table */
	int one_at_a_time; /* so many of the next claims take a single run each */

	/* how it ends */
	bool giving_way; /* another process waits for the slot: record responses, begin nothing */
	bool obsolete; /* the extension or the role was dropped: end */
	TimestampTz idle_since;

	/* this turn */
	DfRun *careful_run; /* its entry is counted, so no other body is entered; NULL = all are */
	List *turn_list; /* runs to record */
	List *departures; /* requests to send after the commit */

	/* beside df_process_cxt and df_turn_cxt */
	MemoryContext runs_cxt; /* parent of each run's own */
	MemoryContext error_cxt; /* has a block of its own, for when there is no more memory */
} DfWorker;

extern DfWorker df_worker;

/* ---- dispatch.c ------------------------------------------------------------- */

/* makes ready the steps that are to be sent, or only the urgent ones */
extern void df_dispatch(DfRun *run, bool urgent);

/* ---- request_build.c -------------------------------------------------------- */

extern void df_build_request(DfDeparture *departure, const DfSystem *system, const DfStep *step,
							 const DfOutgoing *out);
extern char *df_request_url(const DfStep *step, const DfSystem *system, const DfOutgoing *out,
							const char **problem); /* NULL = see *problem */

/* ---- flight.c --------------------------------------------------------------- */

extern void df_depart(void); /* after the commit */
extern List *df_departures_take_back(void); /* instead: nothing leaves; returns the changed runs */
/* before, if the turn failed: those of deferred runs do not leave, nor requests for tokens */
extern void df_departures_withdraw(void);
extern void df_arrive(DfHttpResult *result); /* in a turn's transaction */

/* ---- shortage.c ------------------------------------------------------------- */

/* why nothing is sent meanwhile */
#define DF_SHORTAGE_WORDS "the worker is short of descriptors or memory"

extern void df_shortage_met(DfRun *run, DfStep *step, const char *why); /* it could not leave */
extern void df_shortage_over(void); /* a request has left */
extern bool df_shortage_waits(TimestampTz *until);

/* ---- breaker.c: what all workers know of each system, and our places in it ---- */

extern DfSystemUse *df_system_use(const DfSystem *system);

/*
 * OPEN: *place has a place for one request.  Else *until is when there may be one, and
 * the step waits in memory (FULL) or in the table (LATER), so that one slow system
 * does not fill the worker's memory.
 */
extern DfEntrance df_place_take(DfPlace *place, DfSystemUse *use, const DfSystem *system,
								DfPatience patience, TimestampTz *until);
extern void df_place_give_back(DfPlace *place); /* does nothing if there is none */
extern bool df_system_is_held(DfSystemUse *use, const DfSystem *system, TimestampTz *until);
/* in words */
extern const char *df_system_why_held(DfSystemUse *use, const DfSystem *system);
/* of one that is paused by hand: about after pause_us */
extern TimestampTz df_system_looks_again(DfSystemUse *use, const DfSystem *system,
										 int64 pause_us);
/* it has no token until then, because it is refused or for another reason; NEVER: it has one */
extern void df_system_token_held(DfSystemUse *use, bool refused, TimestampTz until);
extern void df_system_answered(DfSystemUse *use, const DfResponse *response, DfMeaning meaning,
							   const DfSystem *system);

extern PGDLLEXPORT void dataflows_worker_main(Datum arg);

#endif /* DF_WORKER_STATE_H */
