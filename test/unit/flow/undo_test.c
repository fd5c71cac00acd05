/*
 * test/unit/flow/undo_test.c
 *	  Tests of the order of undoing: newest first, each once, none passed over.
 *
 * An ordinary program that prints TAP; test/unit/run builds it plain, with sanitizers and
 * under valgrind.
 *
 * sources: test/unit/tap.c src/flow
 */
#include "postgres.h"

#include "flow/flow.h"
#include "flow/random.h"
#include "tap.h"

#define MAX_STEPS 8

static DfUndoItem
random_item(int n)
{
	DfUndoItem item;

	item.n = n;
	item.state = next_random(DF_STEP_NSTATES);
	item.undo_state = DF_UNDO_NONE;
	item.has_undo = next_random(4) != 0;
	item.before_pivot = false;
	if (item.state == DF_STEP_DONE && item.has_undo && next_random(2))
		item.undo_state = DF_UNDO_DUE; /* stored with the outcome */
	return item;
}

/* a run at the moment at which it begins to roll back */
static int
random_run(DfUndoItem *items)
{
	int nitems = (int) next_random(MAX_STEPS + 1);
	int pivot = next_random(4) == 0 ? (int) next_random(MAX_STEPS) : 0;
	int i;

	for (i = 0; i < nitems; i++)
	{
		items[i] = random_item(i + 1);
		items[i].before_pivot = i < pivot;
	}
	return nitems;
}

static bool
may_have_effect(const DfUndoItem *item)
{
	return item->has_undo && !item->before_pivot &&
		(item->state == DF_STEP_DONE || item->state == DF_STEP_DOUBT);
}

/* something in flight comes to an end, or a killed engine finds it in doubt */
static void
end_flight(DfUndoItem *items, int nitems)
{
	int i;

	for (i = 0; i < nitems; i++)
	{
		if (items[i].state == DF_STEP_SENT)
			items[i].state = DF_STEP_DONE + next_random(2);
		else if (items[i].state == DF_STEP_WAITING && items[i].has_undo)
			items[i].state = next_random(2) ? DF_STEP_DONE : DF_STEP_FAILED;
		if (items[i].undo_state == DF_UNDO_SENT)
		{
			static const DfUndoState ends[] = {DF_UNDO_DUE, DF_UNDO_UNDONE, DF_UNDO_GONE,
											   DF_UNDO_FAILED};

			items[i].undo_state = ends[next_random(lengthof(ends))];
		}
	}
}

static void
move_undo(DfUndoItem *item, DfUndoState to)
{
	EXPECT(df_undo_allowed(item->undo_state, to), "the plan needs %s --> %s",
		   df_undo_state_name(item->undo_state), df_undo_state_name(to));
	item->undo_state = to;
}

/* the plan named items[index]: nothing newer may be open, nothing be in flight */
static void
check_choice(const DfUndoItem *items, int nitems, int index)
{
	int i;

	EXPECT(index >= 0 && index < nitems, "no such item: %d", index);
	EXPECT(may_have_effect(&items[index]), "step %d has nothing to undo", items[index].n);
	EXPECT(items[index].undo_state == DF_UNDO_NONE || items[index].undo_state == DF_UNDO_DUE,
		   "step %d is undone twice", items[index].n);
	for (i = 0; i < nitems; i++)
	{
		EXPECT(items[i].state != DF_STEP_SENT && items[i].undo_state != DF_UNDO_SENT,
			   "step %d is in flight", items[i].n);
		if (i > index && may_have_effect(&items[i]))
			EXPECT(items[i].undo_state >= DF_UNDO_UNDONE,
				   "step %d is newer than %d and not settled", items[i].n, items[index].n);
	}
}

static void
check_end(const DfUndoItem *items, int nitems, DfUndoNext next)
{
	bool failed = false;
	int i;

	for (i = 0; i < nitems; i++)
	{
		if (!may_have_effect(&items[i]))
		{
			EXPECT(items[i].undo_state == DF_UNDO_NONE || items[i].before_pivot,
				   "step %d was undone without need", items[i].n);
			continue;
		}
		EXPECT(items[i].undo_state >= DF_UNDO_UNDONE, "step %d was passed over", items[i].n);
		failed |= items[i].undo_state == DF_UNDO_FAILED;
	}
	EXPECT(next == (failed ? DF_PLAN_STUCK : DF_PLAN_DONE), "a rollback ends wrongly");
}

/*
 * Rolls a run back.  Every decision is taken on a copy of the "rows" alone, so
 * a crash between any two writes is the same as no crash; crash_at cuts off
 * the answer that belongs to one of them, which is then sent again.  Returns
 * the number of moves.
 */
static int
roll_back(DfUndoItem *items, int nitems, int crash_at)
{
	int moves;

	for (moves = 0; moves < 1000; moves++)
	{
		DfUndoItem rows[MAX_STEPS];
		int index;
		DfUndoNext next;

		memcpy(rows, items, sizeof(DfUndoItem) * nitems);
		next = df_undo_plan(rows, nitems, &index);
		if (next == DF_PLAN_WAIT)
		{
			EXPECT(index == -1, "an index without an undo");
			end_flight(items, nitems);
			continue;
		}
		if (next != DF_PLAN_UNDO)
		{
			check_end(items, nitems, next);
			return moves;
		}
		check_choice(items, nitems, index);
		if (items[index].undo_state == DF_UNDO_NONE)
			move_undo(&items[index], DF_UNDO_DUE);
		else
			move_undo(&items[index], DF_UNDO_SENT);
		if (moves == crash_at && items[index].undo_state == DF_UNDO_SENT)
			move_undo(&items[index], DF_UNDO_DUE);
	}
	EXPECT(false, "a rollback does not end");
	return moves;
}

static void
test_undo_plan(void)
{
	int round;

	for (round = 0; round < 20000; round++)
	{
		DfUndoItem start[MAX_STEPS];
		DfUndoItem items[MAX_STEPS];
		int nitems = random_run(start);
		int moves;
		int crash_at;

		memcpy(items, start, sizeof(start));
		moves = roll_back(items, nitems, -1);
		for (crash_at = 0; crash_at < moves; crash_at++)
		{
			memcpy(items, start, sizeof(start));
			roll_back(items, nitems, crash_at);
		}
	}
	end_test("random rollbacks, cut off at every point: newest first, each once, none passed over");
}

/* all items that there can be */
static void
test_undo_candidates(void)
{
	int i;

	for (i = 0; i < DF_STEP_NSTATES * DF_UNDO_NSTATES * 4; i++)
	{
		DfUndoItem item = {1, i / 4 % DF_STEP_NSTATES, i / 4 / DF_STEP_NSTATES, i % 2, i / 2 % 2};
		bool child = item.state == DF_STEP_WAITING && item.has_undo && !item.before_pivot;
		int index;
		DfUndoNext next = df_undo_plan(&item, 1, &index);
		DfUndoNext expected = DF_PLAN_DONE;

		EXPECT(df_undo_candidate(&item) == may_have_effect(&item), "candidate: %s",
			   df_step_state_name(item.state));
		if (item.state == DF_STEP_SENT || item.undo_state == DF_UNDO_SENT || child)
			expected = DF_PLAN_WAIT;
		else if (may_have_effect(&item) && item.undo_state <= DF_UNDO_DUE)
			expected = DF_PLAN_UNDO;
		else if (may_have_effect(&item) && item.undo_state == DF_UNDO_FAILED)
			expected = DF_PLAN_STUCK;
		EXPECT(next == expected, "plan for %s, undo %s: %d", df_step_state_name(item.state),
			   df_undo_state_name(item.undo_state), next);
		EXPECT((index == 0) == (next == DF_PLAN_UNDO), "index %d with plan %d", index, next);
	}
	i = 7;
	EXPECT(df_undo_plan(NULL, 0, &i) == DF_PLAN_DONE && i == -1, "a run without steps");
	end_test("every single step in the plan");
}

static void
test_undo_order(void)
{
	DfUndoItem items[] = {
		{1, DF_STEP_DONE, DF_UNDO_DUE, true, false},
		{2, DF_STEP_DOUBT, DF_UNDO_NONE, true, false},
		{3, DF_STEP_DONE, DF_UNDO_DUE, true, false},
		{4, DF_STEP_PENDING, DF_UNDO_NONE, true, false},
		{5, DF_STEP_WAITING, DF_UNDO_NONE, false, false},
	};
	int index;

	EXPECT(df_undo_plan(items, 5, &index) == DF_PLAN_UNDO && index == 2,
		   "the newest done step first");
	items[2].undo_state = DF_UNDO_SENT;
	EXPECT(df_undo_plan(items, 5, &index) == DF_PLAN_WAIT, "one at a time");
	items[2].undo_state = DF_UNDO_FAILED;
	EXPECT(df_undo_plan(items, 5, &index) == DF_PLAN_UNDO && index == 1,
		   "the others are still undone, doubt too");
	items[1].undo_state = DF_UNDO_GONE;
	EXPECT(df_undo_plan(items, 5, &index) == DF_PLAN_UNDO && index == 0, "the oldest last");
	items[0].undo_state = DF_UNDO_UNDONE;
	EXPECT(df_undo_plan(items, 5, &index) == DF_PLAN_STUCK, "one could not be undone");
	items[2].undo_state = DF_UNDO_DUE;
	EXPECT(df_undo_plan(items, 5, &index) == DF_PLAN_UNDO && index == 2,
		   "retry() tries that one only");
	items[2].undo_state = DF_UNDO_UNDONE;
	EXPECT(df_undo_plan(items, 5, &index) == DF_PLAN_DONE, "all is undone");
	end_test("one rollback by hand");
}

/* an old customer is never deleted, and a new one never left behind without a word */
static void
test_undo_claims(void)
{
	for (int n = 0; n < 3 * 3 * 2; n++)
	{
		DfTruth truth = (DfTruth) (n % 3);
		DfUndoWitness witness = (DfUndoWitness) (n / 3 % 3);
		bool others = n / 9;
		DfUndoClaim claim = df_undo_claim(truth, witness, others);
		bool heard = witness != DF_WITNESS_NOBODY;
		bool sure = witness == DF_WITNESS_RESPONSE && !others;

		EXPECT((claim == DF_CLAIM_OURS) == (heard && truth == DF_TRUE), "case %d: sent", n);
		EXPECT((claim == DF_CLAIM_NOT_OURS) == (sure && truth == DF_FALSE), "case %d: dropped",
			   n);
	}
	end_test("an undo with a condition is sent, or dropped, only for certain");
}

int
main(void)
{
	test_undo_candidates();
	test_undo_order();
	test_undo_plan();
	test_undo_claims();
	return done_testing();
}
