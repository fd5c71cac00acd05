/*
 * shared/system_state.h
 *	  Shared memory: limits, breaker and counters of each system, for all workers of
 *	  a database.
 *
 * A fixed number of entries, one per (database, foreign server).  systems->lock
 * protects which entry belongs to which server, each entry's spinlock what is in it.
 * A server that is dropped and created again has another oid, so another entry.
 *
 * Places and rate belong to the system.  Breaker and pauses belong to the system and
 * one owner role: another owner has other credentials, paths and limits, and must not
 * be held because of this one's requests.
 */
#ifndef DF_SYSTEM_STATE_H
#define DF_SYSTEM_STATE_H

#include "datatype/timestamp.h"
#include "storage/lwlock.h"
#include "storage/spin.h"

/* workers whose shares are counted apart, and owners with failures, per system */
#define DF_SYSTEM_SHARES 16
#define DF_SYSTEM_OWNERS 16

typedef enum DfBreaker
{
	DF_BREAKER_CLOSED,
	DF_BREAKER_OPEN
} DfBreaker;

typedef enum DfHoldReason
{
	DF_HOLD_NONE,
	DF_HOLD_FAILING,
	DF_HOLD_CREDENTIALS,
	DF_HOLD_ASKED,
	DF_HOLD_TOKEN /* no token comes from the authorization server */
} DfHoldReason;

/* one worker's part of a system's places */
typedef struct DfSystemShare
{
	int pid; /* 0 = unused */
	Oid owner; /* whose worker it is */
	int in_flight;
	TimestampTz since; /* it waits for a place, DF_NEVER = it does not */
	TimestampTz wanted; /* when it last got none */
} DfSystemShare;

/* spreads the times at which steps that wait in the table try again */
typedef struct DfSystemQueue
{
	TimestampTz next_place; /* the last time that was given */
	double beyond; /* 0 to 1: position of the last one that was put beyond LONGEST_US */
} DfSystemQueue;

/* of one owner's requests; used from its first failure until it has recovered */
typedef struct DfSystemOwner
{
	Oid owner; /* InvalidOid = unused */
	DfBreaker breaker;
	DfHoldReason reason;
	int failures; /* in a row */
	int asked; /* times in a row that it asked for time without saying how much */
	bool recovers; /* the breaker was open; until `allowed` is 0 again */
	int allowed; /* places while it recovers, 0 = up to max_concurrency */
	int in_flight;
	TimestampTz hold_until;
	DfHoldReason token_reason; /* for views: why there is no token; nothing is held by it */
	TimestampTz token_until;
	DfSystemQueue queue;
} DfSystemOwner;

typedef struct DfSystemState
{
	slock_t mutex;
	Oid database; /* InvalidOid = unused */
	Oid system;
	TimestampTz used; /* when a place was last asked for */
	int in_flight; /* of all workers */
	DfSystemShare shares[DF_SYSTEM_SHARES];
	TimestampTz next_free; /* rate_limit: when the bucket will be full again */
	DfSystemQueue queue; /* of all owners without failures */
	DfSystemQueue paused; /* of all owners, while it is paused by hand */
	int max_concurrency; /* the rules by which `queue` was filled */
	double rate_per_second;
	double took_us; /* smoothed time of a response */
	DfSystemOwner owners[DF_SYSTEM_OWNERS];
	/* for the view */
	uint64 requests;
	uint64 failed;
	TimestampTz window; /* start of the current half minute */
	int window_requests[2]; /* of it, and of the one before */
	int window_failed[2];
} DfSystemState;

/* the present options of the system */
typedef struct DfSystemRules
{
	int max_concurrency;
	double rate_per_second; /* 0 = no limit */
	int breaker_failures;
	int64 cooldown_us;
} DfSystemRules;

typedef enum DfEntrance
{
	DF_ENTRANCE_OPEN, /* a place is taken */
	DF_ENTRANCE_FULL, /* wait in memory */
	DF_ENTRANCE_LATER, /* come back at *until */
	DF_ENTRANCE_HELD /* the same, because the owner's requests are held */
} DfEntrance;

typedef enum DfHealth
{
	DF_HEALTH_GOOD,
	DF_HEALTH_FAILED,
	DF_HEALTH_CREDENTIALS,
	DF_HEALTH_ASKED, /* it responds, and asks for time */
	DF_HEALTH_UNKNOWN /* says nothing about the system */
} DfHealth;

/* what a response says about the system */
typedef struct DfSystemReport
{
	DfHealth health;
	Oid owner; /* whose request it was */
	int64 took_us; /* 0 = do not count it */
	int64 hold_us; /* ASKED: for how much, -1 = it does not say */
} DfSystemReport;

extern Size df_systems_size(void);
extern void df_systems_startup(void);

/* the entry; NULL if all are in use */
extern DfSystemState *df_system_find(Oid database, Oid system);
extern void df_system_init(DfSystemState *state, Oid database, Oid system);

/* the server was dropped */
extern void df_system_forget(Oid database, Oid system);

/* false: the entry has been given to another system */
extern bool df_system_is(const DfSystemState *state, Oid database, Oid system);

/* how a step may wait if it gets no place */
typedef enum DfPatience
{
	DF_PATIENCE_TABLE, /* in the table */
	DF_PATIENCE_MEMORY, /* in memory, if a request of this worker will free a place */
	DF_PATIENCE_URGENT /* in memory in any case, unless the system is held */
} DfPatience;

/* takes a place, or sets *until to when there may be one */
extern DfEntrance df_system_enter(DfSystemState *state, Oid owner, const DfSystemRules *rules,
								  DfPatience patience, TimestampTz *until);
extern bool df_system_held(DfSystemState *state, Oid owner, const DfSystemRules *rules,
						   TimestampTz *until);
/* why the requests of an owner are held; NONE: it recovers, or nothing is known */
extern DfHoldReason df_system_hold_reason(DfSystemState *state, Oid owner);
/* it is paused by hand: when a step looks again, about after pause_us; they come one by one */
extern TimestampTz df_system_paused_until(DfSystemState *state, const DfSystemRules *rules,
										  int64 pause_us);
extern void df_system_leave(DfSystemState *state, Oid owner, int n);

/* true: this opened the owner's breaker */
extern bool df_system_report(DfSystemState *state, const DfSystemRules *rules,
							 const DfSystemReport *report);

/* the owner's steps wait for a token until then; NONE: there is one again */
extern void df_system_report_token(DfSystemState *state, Oid owner, DfHoldReason reason,
								   TimestampTz until);

/* NONE: there is a token, or nobody has asked for one lately */
extern DfHoldReason df_system_token_reason(const DfSystemOwner *own, TimestampTz now);

/* for views: a copy of entry i; false: it is not of this database */
extern int df_systems_count(void);
extern bool df_system_copy(int i, Oid database, DfSystemState *copy);

#endif /* DF_SYSTEM_STATE_H */
