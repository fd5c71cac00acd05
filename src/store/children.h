/*
 * store/children.h
 *	  Statements between a run and those that it called.
 *
 * Between df_store_enter() and df_store_leave().  Owners are those who have
 * something to do because of what was written, as a list of oids.
 */
#ifndef DF_STORE_CHILDREN_H
#define DF_STORE_CHILDREN_H

#include "nodes/pg_list.h"
#include "store/rights.h"
#include "types/message.h"
#include "types/run.h"

/* a child run that is to be inserted; `run` and `step` are the caller's */
typedef struct DfNewChild
{
	DfRun *run;
	DfStep *step;
	pg_uuid_t id;
	const char *workflow;
	int version;
	const char *key; /* NULL = none */
	const Jsonb *input;
	bool inserted;
	bool busy; /* an open transaction holds the key */
} DfNewChild;

/* all of them in one statement; sets `inserted`, false where another run holds the key */
extern List *df_children_insert(List *children, int64 identity, const char *started_by);

/*
 * The same for children with keys, which it sorts; waits 50 ms for an open
 * transaction that holds one of the keys, then does without: `busy`.
 */
extern List *df_children_insert_keyed(List **children, int64 identity, const char *started_by);

/* an inbox row for a parent or a child */
typedef struct DfChildMessage
{
	pg_uuid_t run;
	DfMessageKind kind; /* CHILD, CANCEL or UNDO */
	Jsonb *payload;
	const char *note;
} DfChildMessage;

extern List *df_child_messages_insert(List *rows, const char *sent_by);

/* what a parent reads of a run that it did not start, or is to undo */
typedef struct DfChildRun
{
	bool found;
	DfRunState state;
	Jsonb *result;
	Jsonb *error;
	bool forgotten;
	DfSeenRun seen;
} DfChildRun;

extern void df_child_read(const pg_uuid_t *run, DfChildRun *child, MemoryContext cxt);

/* how many runs stand above this one, and whether `other` is it or one of those */
extern int df_run_depth(const pg_uuid_t *run, const pg_uuid_t *other, bool *related);

/*
 * Whether the run, which has called the other by its key, waits by that for itself,
 * and the youngest run of such a circle that has called by a key.
 */
extern bool df_run_in_circle(const pg_uuid_t *run, const pg_uuid_t *called, pg_uuid_t *youngest);

#endif /* DF_STORE_CHILDREN_H */
