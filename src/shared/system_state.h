/*
 * shared/system_state.h
 *	  Shared memory: what is known of each system, by all workers of a database.
 *
 * A fixed number of entries, one per (database, foreign server).  Which entry
 * is whose is decided under systems->lock; what is in one, under its spinlock.
 * A server that is dropped and made again has another oid, so another entry.
 *
 * Places and rate belong to the system.  Breaker and pauses belong to the system
 * and one owner role: another owner has other credentials, paths and limits, and
 * must not be held for what this one asks for.
 */
#ifndef DF_SYSTEM_STATE_H
#define DF_SYSTEM_STATE_H

#include "df_types.h"
#include "storage/lwlock.h"
#include "storage/spin.h"

/* workers whose shares are told apart, and owners for whom not all is well */
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
	DF_HOLD_ASKED
} DfHoldReason;

/* what one worker has of a system */
typedef struct DfSystemShare
{
	int pid; /* 0 = unused */
	Oid owner; /* whose worker it is */
	int in_flight;
	TimestampTz since; /* it has been without the place it wants, DF_NEVER = it does not wait */
	TimestampTz wanted; /* when it last asked in vain */
} DfSystemShare;

/* the times that are given to steps which wait in the table */
typedef struct DfSystemQueue
{
	TimestampTz next_place; /* the last one */
	double beyond; /* from 0 to 1: where the last one without a place was put */
} DfSystemQueue;

/*
 * What one owner's requests have met with.  It is there only from the first
 * failure until all is well again.
 */
typedef struct DfSystemOwner
{
	Oid owner; /* InvalidOid = unused */
	DfBreaker breaker;
	DfHoldReason reason;
	int failures; /* in a row */
	int allowed; /* places while it recovers, 0 = as many as max_concurrency */
	int in_flight; /* of this owner's */
	TimestampTz hold_until;
	DfSystemQueue queue;
} DfSystemOwner;

typedef struct DfSystemState
{
	slock_t mutex;
	Oid database; /* InvalidOid = unused */
	Oid system;
	TimestampTz used; /* when it was last asked for a place */
	int in_flight; /* of all workers */
	DfSystemShare shares[DF_SYSTEM_SHARES];
	TimestampTz next_free; /* rate_limit: when the bucket would be full again */
	DfSystemQueue queue; /* of those for whom all is well */
	int max_concurrency; /* the rules by which places were given */
	double rate_per_second;
	double took_us; /* of an answer, smoothed */
	DfSystemOwner owners[DF_SYSTEM_OWNERS];
	/* for the view */
	uint64 requests;
	uint64 failed;
	TimestampTz window; /* start of the current half minute */
	int window_requests[2]; /* of it, and of the one before */
	int window_failed[2];
} DfSystemState;

/* the options that count, as they are now */
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
	DF_ENTRANCE_LATER /* come back at *until */
} DfEntrance;

typedef enum DfHealth
{
	DF_HEALTH_GOOD,
	DF_HEALTH_FAILED,
	DF_HEALTH_CREDENTIALS,
	DF_HEALTH_UNKNOWN /* says nothing of the system */
} DfHealth;

/* an answer, as far as it concerns the system */
typedef struct DfSystemNews
{
	DfHealth health;
	Oid owner; /* who asked */
	int64 took_us; /* 0 = do not count it */
	int64 hold_us; /* it asks for so much time, 0 = it does not */
} DfSystemNews;

extern Size df_systems_size(void);
extern void df_systems_startup(void);

/* the entry; NULL if all are in use */
extern DfSystemState *df_system_find(Oid database, Oid system);
extern void df_system_init(DfSystemState *state, Oid database, Oid system);

/* the server is no more */
extern void df_system_forget(Oid database, Oid system);

/* whether the entry still is that of the system */
extern bool df_system_is(const DfSystemState *state, Oid database, Oid system);

/* how who finds no place may wait */
typedef enum DfPatience
{
	DF_PATIENCE_TABLE, /* not in memory */
	DF_PATIENCE_MEMORY, /* in memory, if a request of this worker that ends will make room */
	DF_PATIENCE_URGENT /* in memory in any case, unless nobody is let in */
} DfPatience;

/* takes a place, or says when there may be one */
extern DfEntrance df_system_enter(DfSystemState *state, Oid owner, const DfSystemRules *rules,
								  DfPatience patience, TimestampTz *until);
extern bool df_system_held(DfSystemState *state, Oid owner, const DfSystemRules *rules,
						   TimestampTz *until);
extern void df_system_leave(DfSystemState *state, Oid owner, int n);

/* true: this opened the owner's breaker */
extern bool df_system_news(DfSystemState *state, const DfSystemRules *rules,
						   const DfSystemNews *news);

/* for who looks: a copy of entry i of this database, false = not one of them */
extern int df_systems_count(void);
extern bool df_system_copy(int i, Oid database, DfSystemState *copy);

#endif /* DF_SYSTEM_STATE_H */
