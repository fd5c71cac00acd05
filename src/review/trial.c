/*
 * review/trial.c
 *	  One run, entered to see what would become of it.
 *
 * Runs in a user's backend, in a subtransaction of the caller's transaction that is rolled
 * back, as the workflow's owner.  engine/entry.c enters the body and judges it as in a worker;
 * here its judgement is put into words.  Never write, lock or send anything.
 */
#include "postgres.h"

#include "engine/blocked.h"
#include "engine/body.h"
#include "engine/drift.h"
#include "engine/entry.h"
#include "engine/operator.h"
#include "engine/replay.h"
#include "engine/run_life.h"
#include "engine/run_steps.h"
#include "flow/flow.h"
#include "review/trial.h"
#include "shared/as_role.h"
#include "shared/json.h"
#include "store/step_table.h"
#include "store/store.h"
#include "store/subxact.h"
#include "types/base.h"
#include "utils/memutils.h"

#define SAME "same"
#define DRIFTED "drifted"
#define STUCK "stuck"
#define FAILS "fails"
#define NEEDS_RETRY "needs retry"
#define NEEDS_ANOTHER_TRY "needs another try"
#define ENDED "ended"

/* anything: nothing of the run is recorded */
#define LEASE 1

typedef struct Trial
{
	DfRun *run;
	Oid owner;
	MemoryContext cxt; /* of the verdict */
	Jsonb *stuck; /* why it is stuck now; NULL = it is not */
	bool queued; /* it was never entered */
	int first; /* its steps of this round before the entry: from here */
	int before; /* up to here */
	const char *verdict;
	char *detail;
} Trial;

/* ---- the entry --------------------------------------------------------------- */

static void
load_steps(DfRun *run)
{
	DfStore store;
	ListCell *lc;

	if (run->row.state != DF_RUN_QUEUED)
	{
		df_store_enter_reading(&store);
		df_load_steps(list_make1(run));
		df_store_leave(&store);
	}
	foreach (lc, run->engine.loaded_steps)
		df_run_add_step(run, lfirst(lc));
	run->engine.loaded_steps = NIL;
	df_run_loaded(run);
}

/* what retry() would do first */
static void
retry(DfRun *run)
{
	DfMessage *message = MemoryContextAllocZero(run->cxt, sizeof(DfMessage));

	message->kind = DF_MESSAGE_RETRY;
	message->sent_by = "";
	df_run_message(run, message);
}

/* action of df_subxact() */
static void
enter(void *arg)
{
	Trial *trial = arg;
	DfRun *run = trial->run;
	DfAsRole before;

	load_steps(run);
	run->row.lease = LEASE;
	df_run_set_life(run, DF_LIFE_ACTIVE);
	trial->first = run->engine.nearlier;
	trial->before = run->nsteps;
	df_as_role_begin(&before, trial->owner, true);
	if (trial->stuck != NULL)
		retry(run);
	/* a mismatch is looked at once more by a worker, since it may have seen half of a deploy */
	run->row.body_retries = 1;
	df_run_enter(run, false);
	df_as_role_end(&before);
}

/* ---- what it means ----------------------------------------------------------- */

static bool
was_called(const Trial *trial, const DfStep *step)
{
	return df_is_handler_step(step) || step->engine.called == trial->run->engine.entry_no;
}

/* the recorded steps that it has not called; *first is one of them, *effect: one did something */
static int
count_uncalled(const Trial *trial, const DfStep **first, bool *effect)
{
	int n = 0;

	*first = NULL;
	*effect = false;
	for (int i = trial->first; i < trial->before; i++)
	{
		const DfStep *step = trial->run->steps[i];

		if (was_called(trial, step))
			continue;
		if (n++ == 0)
			*first = step;
		*effect |= df_drift_effect(step, 0) != NULL;
	}
	return n;
}

static const char *
more(int n)
{
	return n > 1 ? psprintf(" and %d more", n - 1) : "";
}

/* NULL = it goes the way that is recorded */
static char *
drift_of(const Trial *trial)
{
	const DfRun *run = trial->run;
	bool astray = run->engine.astray == run->engine.entry_no;
	const DfStep *added = astray && run->nsteps > trial->before ? run->steps[trial->before] : NULL;
	const DfStep *uncalled;
	bool effect;
	int n = count_uncalled(trial, &uncalled, &effect);

	/* what retry() renews is waited for before what was called behind it */
	if (trial->stuck != NULL && run->row.state == DF_RUN_RUNNING)
		return NULL;
	if (added != NULL && n > 0)
		return psprintf("it calls the new step \"%s\" before the recorded step \"%s\"%s",
						added->name, uncalled->name, more(n));
	if (added != NULL)
		return psprintf("it calls the new step \"%s\" before steps that are recorded",
						added->name);
	if (n > 0)
		return psprintf("it does not call the recorded step \"%s\"%s%s", uncalled->name, more(n),
						effect ? "; if it does not do so later, the run gets stuck when its body "
								 "returns"
							   : "");
	return NULL;
}

static const char *
field(const Jsonb *json, const char *name)
{
	const char *text = json == NULL ? NULL : df_json_get_text(json, name);

	return text != NULL ? text : "";
}

/* "reason. remedy", with the SQLSTATE before it */
static char *
stuck_text(const Jsonb *stuck)
{
	return psprintf("%s: %s. %s", field(stuck, "sqlstate"), field(stuck, "reason"),
					field(stuck, "remedy"));
}

static void
judge_going_on(Trial *trial, const char *end)
{
	char *drift = drift_of(trial);

	if (trial->stuck != NULL)
	{
		trial->verdict = NEEDS_RETRY;
		trial->detail = psprintf("it is stuck now: %s; after SELECT dataflows.retry('%s'); it "
								 "goes on%s%s",
								 field(trial->stuck, "reason"), trial->run->id_text,
								 drift != NULL ? ", but " : "", drift != NULL ? drift : "");
		return;
	}
	trial->verdict = drift != NULL ? DRIFTED : SAME;
	if (drift != NULL && end != NULL)
		trial->detail = psprintf("%s; %s", drift, end);
	else if (drift != NULL || end != NULL)
		trial->detail = pstrdup(drift != NULL ? drift : end);
	else if (trial->queued)
		trial->detail = pstrdup("it was not entered before");
}

static void
judge(Trial *trial)
{
	const DfRun *run = trial->run;

	if (run->row.state == DF_RUN_STUCK)
	{
		trial->verdict = STUCK;
		trial->detail = stuck_text(run->row.stuck);
	}
	else if (run->row.state == DF_RUN_ROLLING_BACK)
	{
		trial->verdict = FAILS;
		trial->detail = psprintf("%s: %s", field(run->row.error, "sqlstate"),
								 field(run->row.error, "message"));
	}
	else if (run->row.state == DF_RUN_COMPLETED)
		judge_going_on(trial, "it completes");
	else if (run->row.round != run->saved.round)
		judge_going_on(trial, "it begins its next round");
	else if (run->row.body_retries > 1)
	{
		trial->verdict = NEEDS_ANOTHER_TRY;
		trial->detail = psprintf("its body could not be entered now: %s",
								 run->row.waiting_for != NULL ? run->row.waiting_for : "");
	}
	else
		judge_going_on(trial, NULL);
}

/* ---- the way in -------------------------------------------------------------- */

/* what cannot be said of the run or its body: the session's own end, or its resources */
static bool
is_callers(const ErrorData *error)
{
	return error->sqlerrcode == ERRCODE_QUERY_CANCELED ||
		ERRCODE_TO_CATEGORY(error->sqlerrcode) == ERRCODE_INSUFFICIENT_RESOURCES ||
		error->sqlerrcode == ERRCODE_ADMIN_SHUTDOWN;
}

static void
try_entry(Trial *trial)
{
	ErrorData *error;

	if (df_subxact(enter, trial, false, &error))
	{
		judge(trial);
		return;
	}
	/* else the time limit that it would end is the caller's, such as that of a query step */
	if (df_entry != NULL)
		df_body_forget();
	if (is_callers(error))
		ThrowErrorData(error);
	trial->verdict = STUCK;
	trial->detail = psprintf("%s: it cannot be entered: %s", unpack_sql_state(error->sqlerrcode),
							 error->message);
}

static void
try_run(Trial *trial)
{
	const DfRun *run = trial->run;

	if (run->workflow == NULL)
	{
		trial->verdict = STUCK;
		trial->detail = psprintf("%s: its version of the workflow is missing",
								 unpack_sql_state(DF_ERR_UNKNOWN));
	}
	else if (run->row.cause != DF_CAUSE_NONE)
	{
		trial->verdict = SAME;
		trial->detail = pstrdup("it rolls back: its body is not entered any more");
	}
	else
		try_entry(trial);
}

DfVerdict *
df_try_run(DfRun *run, Oid owner, bool ended)
{
	Trial trial = {run, owner, CurrentMemoryContext};
	DfWorkflow workflow;
	DfVerdict *verdict;

	trial.queued = run->row.state == DF_RUN_QUEUED;
	trial.stuck = run->row.state == DF_RUN_STUCK ? run->row.stuck : NULL;
	if (run->workflow != NULL)
	{
		/* what it counts of one run must not judge the next */
		workflow = *run->workflow;
		workflow.fail_count = 0;
		run->workflow = &workflow;
	}
	try_run(&trial);
	MemoryContextSwitchTo(trial.cxt);
	if (ended && (strcmp(trial.verdict, STUCK) != 0 && strcmp(trial.verdict, FAILS) != 0))
		return NULL;
	verdict = palloc(sizeof(DfVerdict));
	verdict->run = run->id;
	verdict->key = run->key == NULL ? NULL : pstrdup(run->key);
	verdict->verdict = ended ? ENDED : trial.verdict;
	verdict->detail = ended ? psprintf("it has completed; this function would not have let it: %s",
									   trial.detail)
							: trial.detail;
	return verdict;
}
