/*
 * engine/run_life.c
 *	  A run's life in this worker's memory: from the claim until it leaves memory.
 *
 * Runs in workers and sql workers, at any point of a turn, after an error too, on
 * structs in memory.  Never raise an error here: the callers may be cleaning up.
 *
 * What is true of a run in each state, and what may be done with it:
 *
 *	state		steps are		row.lease	in flight	may be
 *
 *	CLAIMED		loaded_steps	ours		nothing		loaded, and no more
 *	ACTIVE		filed			ours		anything	advanced, dispatched, recorded
 *	RETAINED	filed			ours		nothing		advanced, recorded
 *	RELEASED	filed			0			nothing		recorded, then let go of
 *	DEFERRED	filed			as it was	anything	recorded
 *	BROKEN		not trusted		not trusted	what is on	let go of, when nothing is
 *											the wire	in flight any more
 *
 * A run is CLAIMED when its row was read, and locked by the present transaction
 * (worker/intake.c); its row in the table has our lease once it is first recorded.
 * It is ACTIVE when its steps are filed under their names.  RETAINED is a run that
 * waits and could be released, but is kept in memory until retained_until (park.c);
 * it is ACTIVE again as soon as it is advanced.  RELEASED is what the engine has
 * done with; a sql worker alone takes such a run up again, in the same transaction,
 * to run its SQL.  DEFERRED is a run that could not be recorded, for a transient
 * error (worker/deferred.c): before it is, nothing else happens to it, and it is on
 * no turn list.  BROKEN is a run whose state in memory may be wrong, or can never be
 * recorded (worker/failure.c): its row alone counts.
 *
 * From each of them it leaves memory by df_run_let_go() (worker/run_list.c), and in
 * no other way but with the process: then the coordinator returns its lease.  What a
 * coordinator changes itself stays CLAIMED, without steps and lease, and its memory
 * goes with that of the whole batch (worker/resting_runs.c).
 */
#include "postgres.h"

#include "engine/run_life.h"

#ifdef USE_ASSERT_CHECKING
static bool
may_become(DfRunLife from, DfRunLife to)
{
	switch (to)
	{
		case DF_LIFE_CLAIMED:
			return false;
		case DF_LIFE_ACTIVE:
			return from != DF_LIFE_BROKEN;
		case DF_LIFE_RETAINED:
			return from == DF_LIFE_ACTIVE;
		case DF_LIFE_RELEASED:
			return from == DF_LIFE_ACTIVE || from == DF_LIFE_RELEASED || from == DF_LIFE_DEFERRED;
		case DF_LIFE_DEFERRED:
			return from != DF_LIFE_CLAIMED && from != DF_LIFE_BROKEN;
		case DF_LIFE_BROKEN:
			return from != DF_LIFE_BROKEN;
	}
	return false;
}

static void
check(const DfRun *run)
{
	switch (run->life)
	{
		case DF_LIFE_CLAIMED:
			Assert(run->nsteps == 0 && run->worker.in_flight == 0);
			break;
		case DF_LIFE_ACTIVE:
			Assert(run->row.lease != 0 && run->engine.loaded_steps == NIL);
			break;
		case DF_LIFE_RETAINED:
			Assert(run->row.lease != 0 && run->worker.in_flight == 0);
			Assert(run->engine.retained_until != DF_NEVER);
			break;
		case DF_LIFE_RELEASED:
			Assert(run->row.lease == 0 && run->worker.in_flight == 0);
			break;
		case DF_LIFE_DEFERRED:
		case DF_LIFE_BROKEN:
			Assert(!run->worker.on_turn_list);
			break;
	}
}
#endif

void
df_run_set_life(DfRun *run, DfRunLife to)
{
#ifdef USE_ASSERT_CHECKING
	Assert(may_become(run->life, to));
#endif
	run->life = to;
#ifdef USE_ASSERT_CHECKING
	check(run);
#endif
}

void
df_run_release(DfRun *run)
{
	run->row.lease = 0;
	run->engine.retained_until = DF_NEVER;
	run->engine.wants_inbox = run->engine.wants_alias = false;
	df_run_set_life(run, DF_LIFE_RELEASED);
}

void
df_run_take_up(DfRun *run, int64 lease)
{
	run->row.lease = lease;
	df_run_set_life(run, DF_LIFE_ACTIVE);
}

void
df_run_end_deferral(DfRun *run)
{
	df_run_set_life(run, run->row.lease == 0 ? DF_LIFE_RELEASED : DF_LIFE_ACTIVE);
}
