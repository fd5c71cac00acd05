/*
 * engine/body_log.c
 *	  What a body, or the SQL of a query step, says in the server's log.
 *
 * Runs in a worker or sql worker, inside user code: in callbacks of PostgreSQL's error
 * reporting, so that nothing here may raise.  RAISE NOTICE and WARNING get a line of context
 * that names the run; their own text stays as it is.  A body is entered again for each step
 * that ends, so what it has said before is not logged again.  Never touch an error: what is
 * recorded of it says whose it is.
 */
#include "postgres.h"

#include "engine/body_log.h"
#include "engine/replay.h"
#include "engine/run_steps.h"
#include "mb/pg_wchar.h"
#include "types/run.h"

/* a key may have 1024 bytes, but the beginning of it will do in a log */
#define SHOWN_KEY 200

static emit_log_hook_type next_hook = NULL;

/* the entry under way */
static DfLogEntry *current = NULL;

static void
say_run(const DfRun *run, const char *where, const char *step)
{
	int key = run->key != NULL ? pg_mbcliplen(run->key, strlen(run->key), SHOWN_KEY) : 0;

	errcontext("dataflows run \"%s\" of workflow \"%s\"%s%.*s%s, %s%s%s%s", run->id_text,
			   run->workflow_name, key > 0 ? ", key \"" : "", key, key > 0 ? run->key : "",
			   key > 0 ? "\"" : "", where, step != NULL ? " \"" : "", step != NULL ? step : "",
			   step != NULL ? "\"" : "");
}

void
df_log_say_entry(const DfRun *run)
{
	const DfStep *last = run->engine.last_called;

	if (last == NULL)
		say_run(run, "before its first step", NULL);
	else
		say_run(run, "after step", last->name);
}

void
df_log_say_step(void *arg)
{
	const DfLogStep *said = arg;
	int code = geterrcode();

	/* an error has a code of its own, but for one that says so on purpose */
	if (code == 0 || ERRCODE_TO_CATEGORY(code) == ERRCODE_WARNING)
		say_run(said->run, "in step", said->step->name);
}

/*
 * An earlier entry came as far as the last step that was recorded when this one began; one in
 * this process may have come further.
 */
static bool
was_said_before(const DfLogEntry *entry)
{
	const DfRun *run = entry->run;

	if (entry->calls < run->engine.told_calls &&
		entry->fingerprint == run->engine.told_fingerprint)
		return true;
	return entry->last_recorded != NULL && !run->row.drifted &&
		entry->last_recorded->engine.called != run->engine.entry_no;
}

static void
log_message(ErrorData *edata)
{
	if (current != NULL && edata->elevel >= INFO && edata->elevel < ERROR &&
		was_said_before(current))
		edata->output_to_server = false;
	else if (next_hook != NULL)
		next_hook(edata);
}

static DfStep *
last_recorded(const DfRun *run)
{
	bool handler = run->row.state == DF_RUN_ROLLING_BACK;

	for (int i = run->nsteps - 1; i >= run->engine.nearlier; i--)
		if (df_is_handler_step(run->steps[i]) == handler)
			return run->steps[i];
	return NULL;
}

void
df_log_entry_begins(DfLogEntry *entry, DfRun *run)
{
	static bool hooked = false;

	if (!hooked)
	{
		next_hook = emit_log_hook;
		emit_log_hook = log_message;
		hooked = true;
	}
	memset(entry, 0, sizeof(*entry));
	entry->run = run;
	entry->last_recorded = last_recorded(run);
	current = entry;
}

void
df_log_entry_ends(DfLogEntry *entry, bool suspended)
{
	DfRun *run = entry->run;

	run->engine.told_calls = suspended ? entry->calls : 0;
	run->engine.told_fingerprint = entry->fingerprint;
	current = NULL;
}

void
df_log_entry_forget(void)
{
	current = NULL;
}
