/*
 * simulate/story.h
 *	  What simulate() tells of a run: a row for each thing that happened.
 */
#ifndef DF_SIMULATE_STORY_H
#define DF_SIMULATE_STORY_H

#include "simulate/world.h"

typedef struct DfSimRow
{
	const char *step; /* NULL = it is of the run */
	const DfSimStep *about; /* likewise */
	const char *kind;
	const char *outcome;
	TimestampTz at;
	Jsonb *output; /* NULL = none */
} DfSimRow;

/* a response of that phase has just been applied to the step */
extern void df_sim_row_of_response(DfSim *sim, DfSimRun *of, DfStep *step, DfPhase phase);

/* what else has ended since; the run is not saved yet */
extern void df_sim_rows_of_turn(DfSim *sim, DfSimRun *of, List *attempts);

/* the worker crashed after the step had left */
extern void df_sim_row_of_crash(DfSim *sim, DfSimRun *of, const DfStep *step);

/* the step would be sent for ever */
/* a run that goes on for ever: by rounds, by calls, or because its body cannot be entered */
extern void df_sim_row_of_rounds(DfSim *sim, const DfSimRun *of);
extern void df_sim_row_of_calls(DfSim *sim, const DfSimRun *of);
extern void df_sim_row_of_body(DfSim *sim, const DfSimRun *of);

extern void df_sim_row_of_endless(DfSim *sim, DfSimRun *of, const DfStep *step, DfPhase phase);

/* nothing happens any more: what is still waited for, and how the run has ended */
extern void df_sim_rows_of_end(DfSim *sim);

/* what begins with SELECT is taken for one: it changes nothing */
extern bool df_sim_sql_is_question(const char *sql);

#endif /* DF_SIMULATE_STORY_H */
