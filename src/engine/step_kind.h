/*
 * engine/step_kind.h
 *	  What the engine asks of a step without looking at its kind.
 *
 * Each kind fills in one DfStepOps at the end of its own file, step_<kind>.c;
 * step_kind.c has the table of them.  A function that is NULL means what its
 * comment says; most kinds need few of them.
 */
#ifndef DF_STEP_KIND_H
#define DF_STEP_KIND_H

#include "flow/flow.h"
#include "flow/meaning.h"
#include "shared/json.h"
#include "types/response.h"
#include "types/run.h"

struct DfOutgoing; /* engine/outgoing.h */

typedef struct DfStepOps
{
	DfStepKind kind;

	/* it has just been read from its row.  NULL: nothing to do */
	void (*loaded)(DfStep *step);

	/* ---- going forward --------------------------------------------------- */

	/*
	 * Its next try is due: marks it to_send or to_run_sql.  NULL: it is not tried; it ends when
	 * the body has called it, when its wait ends, or when it is recorded.
	 */
	void (*due)(DfRun *run, DfStep *step);

	/* it is `waiting`: ends it if its event or its time has come.  NULL: it never waits */
	void (*settle)(DfRun *run, DfStep *step, TimestampTz now);

	/* what it or its undo waits for, in words; NULL = only for its next try */
	char *(*waits_for)(const DfStep *step);

	/* ---- requests -------------------------------------------------------- */

	/* the step or its undo is a request that this worker sends: if the worker dies, it is lost */
	bool sends_requests;

	/* the request for its phase; false with *why if it cannot be made.  NULL: it has none */
	bool (*outgoing)(DfRun *run, DfStep *step, struct DfOutgoing *out, bool form, char **why);

	/* the output in a response of 2xx; *unusable = the body cannot be read */
	Jsonb *(*output)(DfRun *run, DfStep *step, const DfResponse *response, bool *unusable);

	/* the status that the breaker counts, in terms of HTTP.  NULL: that of the response */
	int (*http_status)(const DfResponse *response, DfMeaning meaning);

	/* ---- undo and retry() ----------------------------------------------- */

	/* its undo is due: marks it to_send or to_run_sql, or ends the undo.  NULL: it has none */
	void (*undo)(DfRun *run, DfStep *step);

	/* corrects the item that stands for the step in the undo order.  NULL: nothing to correct */
	void (*undo_item)(const DfStep *step, DfUndoItem *item);

	/* fills in its undo from its template; false with *why.  NULL: it has no template */
	bool (*render_undo)(DfRun *run, DfStep *step, char **why);

	/* retry() may have it carried out again */
	bool renewable;

	/* retry() begins it again: forgets what the last time left.  NULL: nothing to forget */
	void (*renewed)(DfStep *step);

	/* ---- a body that has changed ----------------------------------------- */

	/*
	 * what it does in the world, in the words by which another step may be taken for it under a
	 * new name; NULL of this one: nothing.  NULL: no step of the kind does anything
	 */
	const char *(*effect)(const DfStep *step);

	/* rename_step() gave it another name.  NULL: its name is not part of what it asked for */
	void (*renamed)(DfRun *run, DfStep *step);

	/* ---- what a body is told --------------------------------------------- */

	/* adds to the DETAIL of DF001.  NULL: nothing to add */
	void (*error_detail)(const DfStep *step, DfJson *json);

	/* what response() returns.  NULL: status, headers and body */
	Jsonb *(*response)(const DfStep *step);
} DfStepOps;

/* of a step whose row was damaged: functions that do nothing for it, and fail its undo */
extern const DfStepOps *df_step_ops(const DfStep *step);
extern bool df_step_kind_is_known(const DfStep *step);

/* the body is to render the step again: with a new request and a new key */
extern void df_step_render_anew(DfStep *step);

extern const DfStepOps df_http_ops;
extern const DfStepOps df_mail_ops;
extern const DfStepOps df_query_ops;
extern const DfStepOps df_once_ops;
extern const DfStepOps df_call_ops;
extern const DfStepOps df_wait_ops;
extern const DfStepOps df_sleep_ops;
extern const DfStepOps df_undo_ops;
extern const DfStepOps df_pivot_ops;
extern const DfStepOps df_alias_ops;
extern const DfStepOps df_continue_ops;

#endif /* DF_STEP_KIND_H */
