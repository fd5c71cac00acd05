/*
 * test/unit/types/step_test.c
 *	  Tests of what src/types/step.h says about a step that is to be written.
 *
 * An ordinary program that prints TAP.  Whatever byte of a row is another one, the
 * row is written, and its intent and what is rare only if the byte is theirs.
 *
 * sources: test/unit/tap.c
 */
#include "postgres.h"

#include "tap.h"
#include "types/step.h"

static void
test_new_step(void)
{
	DfStep step;

	memset(&step, 0, sizeof(step));
	EXPECT(df_step_is_new(&step), "a step without a row is not new");
	EXPECT(!df_step_differs(&step), "nothing is to be written, but the step differs");
	step.row.started_at = 1;
	EXPECT(df_step_is_new(&step), "a step that is not saved yet is not new");
	EXPECT(df_step_differs(&step), "a new step does not differ");
	EXPECT(!df_step_rare_differs(&step), "a new step has what an ordinary one has not");
	df_step_saved(&step);
	EXPECT(!df_step_is_new(&step), "a step that is saved is new");
	EXPECT(!df_step_differs(&step), "a step that is saved differs");
	end_test("a new step differs until it is saved");
}

static void
test_each_byte(void)
{
	DfStep step;

	memset(&step, 0, sizeof(step));
	step.row.started_at = 1;
	df_step_saved(&step);
	for (size_t at = 0; at < sizeof(DfStepRow); at++)
	{
		((char *) &step.row)[at] ^= 1;
		EXPECT(df_step_differs(&step), "byte %zu is another one, the step does not differ", at);
		EXPECT(df_step_intent_differs(&step) == (at < offsetof(DfStepRow, state)),
			   "byte %zu: intent", at);
		EXPECT(df_step_rare_differs(&step) == (at >= offsetof(DfStepRow, renewals)),
			   "byte %zu: what is rare", at);
		((char *) &step.row)[at] ^= 1;
		EXPECT(!df_step_differs(&step), "byte %zu is the same again, but the step differs", at);
	}
	end_test("a step differs if any byte of its row does");
}

/* which columns are written again when retry() renewed the step */
static void
test_intent(void)
{
	DfStep step;
	char text[] = "new";

#define RENEWED(field, value, expected) \
	do \
	{ \
		memset(&step, 0, sizeof(step)); \
		step.row.started_at = 1; \
		df_step_saved(&step); \
		step.row.field = (value); \
		EXPECT(df_step_intent_differs(&step) == (expected), "%s", #field); \
	} while (0)

	RENEWED(headers, (Jsonb *) text, true);
	RENEWED(body, text, true);
	RENEWED(request, text, true);
	RENEWED(options, (Jsonb *) text, true);
	RENEWED(started_at, 2, true);
	RENEWED(base_hash, 1, true);
	RENEWED(account_hash, 1, true);
	RENEWED(state, DF_STEP_SENT, false);
	RENEWED(attempts, 1, false);
	RENEWED(output, (Jsonb *) text, false);
	RENEWED(undo_error, (Jsonb *) text, false);
	RENEWED(evidence.lost, 1, false);
	end_test("the intent is what the body asks for");
}

int
main(void)
{
	test_new_step();
	test_each_byte();
	test_intent();
	return done_testing();
}
