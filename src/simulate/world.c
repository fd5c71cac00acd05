/*
 * simulate/world.c
 *	  What simulate() knows of the runs that it moves, beside what the engine knows.
 *
 * Runs in a user's backend, in the subtransaction of simulate(), on structs in memory that
 * last as long as its result.  No table is read here.
 */
#include "postgres.h"

#include "engine/replay.h"
#include "shared/json.h"
#include "simulate/world.h"
#include "utils/memutils.h"

DfSimRun *
df_sim_add_run(DfSim *sim, const pg_uuid_t *id, DfSimRun *caller, const char *path)
{
	MemoryContext old = MemoryContextSwitchTo(sim->cxt);
	DfSimRun *of = palloc0(sizeof(DfSimRun));

	of->id = *id;
	of->caller = caller;
	of->path = pstrdup(path);
	of->at_rest = true;
	of->was = DF_RUN_QUEUED;
	sim->runs = lappend(sim->runs, of);
	MemoryContextSwitchTo(old);
	return of;
}

DfSimRun *
df_sim_find_run(DfSim *sim, const pg_uuid_t *id)
{
	ListCell *lc;

	foreach (lc, sim->runs)
		if (memcmp(&((DfSimRun *) lfirst(lc))->id, id, sizeof(pg_uuid_t)) == 0)
			return lfirst(lc);
	return NULL;
}

/* they are met in about the order of their numbers */
DfSimStep *
df_sim_step(DfSim *sim, DfSimRun *of, const DfStep *step)
{
	MemoryContext old;
	DfSimStep *known;

	/* numbers are dense, so that it is found at once */
	if (step->n <= list_length(of->steps))
		return list_nth(of->steps, step->n - 1);
	old = MemoryContextSwitchTo(sim->cxt);
	do
	{
		known = palloc0(sizeof(DfSimStep));
		known->n = list_length(of->steps) + 1;
		known->shown = DF_STEP_PENDING;
		known->undo_shown = DF_UNDO_NONE;
		of->steps = lappend(of->steps, known);
	} while (known->n < step->n);
	MemoryContextSwitchTo(old);
	return known;
}

void
df_sim_note_effect(DfSim *sim, DfSimRun *of, DfStep *step)
{
	DfSimStep *known = df_sim_step(sim, of, step);
	char *undo = df_json_get_text(step->row.options, "undo");

	if (known->name == NULL)
		known->name = MemoryContextStrdup(sim->cxt, psprintf("%s%s", of->path, step->name));
	known->kept = (undo != NULL && strcmp(undo, "none") == 0) || step->kind == DF_STEP_MAIL ||
		df_is_handler_step(step);
	known->has_undo = undo != NULL;
}

/* code of another role than the caller's must leave nothing behind in this session */
void
df_sim_act_as_owner(DfSim *sim, const DfSimRun *of, DfAsRole *before)
{
	df_engine_acts_for(of->owner);
	df_as_role_begin(before, of->owner, of->owner != sim->caller);
}

void
df_sim_act_as_before(const DfAsRole *before)
{
	df_as_role_end(before);
	df_engine_acts_for(InvalidOid);
}

void
df_sim_touch(DfSim *sim, DfSimRun *of)
{
	MemoryContext old;

	if (of->run->worker.on_turn_list)
		return;
	old = MemoryContextSwitchTo(sim->turn_cxt);
	sim->turn_list = lappend(sim->turn_list, of);
	of->run->worker.on_turn_list = true;
	MemoryContextSwitchTo(old);
}
