/*
 * engine/proven.c
 *	  Whether a step, its undo or its probe has once succeeded in its workflow as it is.
 *
 * Runs in a worker, in its recording transaction, as the owner of the workflow.  What is
 * new is marked here and written with the turn.
 */
#include "postgres.h"

#include "common/hashfn.h"
#include "engine/proven.h"
#include "engine/read_spec.h"
#include "lib/stringinfo.h"
#include "store/proven_table.h"
#include "store/store.h"

static uint64
hash_of(const char *text, size_t len)
{
	return hash_bytes_extended((const unsigned char *) text, (int) len, 0);
}

/* the same for all calls of one name: without #k */
static uint64
hash_of_step(const DfStep *step)
{
	return hash_of(step->name, strcspn(step->name, "#"));
}

static bool
looks_like_id(const char *text, size_t len)
{
	for (size_t i = 0; i < len; i++)
		if (strchr("0123456789@%", text[i]) != NULL)
			return true;
	return false;
}

/* a body may have put an id into its request by itself: all such requests are the same */
static void
append_shape(StringInfo out, const char *request)
{
	while (*request != '\0')
	{
		size_t len = strcspn(request, "/?&=");

		if (looks_like_id(request, len))
			appendStringInfoChar(out, '#');
		else
			appendBinaryStringInfo(out, request, (int) len);
		request += len;
		if (*request != '\0')
			appendStringInfoChar(out, *request++);
	}
}

/* what: "undo", "probe"; request: a template */
static uint64
hash_of_side(const DfStep *step, const char *what, const char *request)
{
	StringInfoData text;

	initStringInfo(&text);
	appendStringInfo(&text, "%s %.*s %s ", what, (int) strcspn(step->name, "#"), step->name,
					 step->system);
	append_shape(&text, request);
	return hash_of(text.data, text.len);
}

static uint64
hash_of_undo(DfRun *run, DfStep *step)
{
	return hash_of_side(step, "undo", df_step_spec(run, step)->undo);
}

static uint64
hash_of_probe(DfRun *run, DfStep *step)
{
	return hash_of_side(step, "probe", df_step_spec(run, step)->probe);
}

/* asked only where it matters, which is rare */
static bool
was_proven(const DfRun *run, uint64 what)
{
	DfStore store;
	bool was;

	df_store_enter(&store);
	was = df_proven_find(run, what);
	df_store_leave(&store);
	return was;
}

static void
prove(DfRun *run, uint64 what, uint64 *mark)
{
	if (df_proven_is_known(run, what))
		return;
	*mark = what;
	run->engine.proves = true;
}

void
df_step_proven(DfRun *run, DfStep *step)
{
	prove(run, hash_of_step(step), &step->engine.proves);
}

bool
df_step_was_proven(DfRun *run, DfStep *step)
{
	return was_proven(run, hash_of_step(step));
}

void
df_undo_proven(DfRun *run, DfStep *step)
{
	prove(run, hash_of_undo(run, step), &step->engine.proves_undo);
}

bool
df_undo_was_proven(DfRun *run, DfStep *step)
{
	return was_proven(run, hash_of_undo(run, step));
}

void
df_probe_proven(DfRun *run, DfStep *step)
{
	prove(run, hash_of_probe(run, step), &step->engine.proves_probe);
}

bool
df_probe_was_proven(DfRun *run, DfStep *step)
{
	return was_proven(run, hash_of_probe(run, step));
}
