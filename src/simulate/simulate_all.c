/*
 * simulate/simulate_all.c
 *	  simulate_all(): what is left behind if a request fails, a response is lost or late, or the
 *	  worker crashes, at each step in turn.
 *
 * Runs in a user's backend, in the caller's transaction and role.  Each scenario is a simulation
 * of its own, in memory that is freed before the next.  Nothing is decided here of what a run
 * does then: the simulation shows it.
 */
#include "postgres.h"

#include "catalog/pg_type.h"
#include "flow/flow.h"
#include "fmgr.h"
#include "miscadmin.h"
#include "session/rows.h"
#include "shared/json.h"
#include "simulate/left_behind.h"
#include "simulate/replies.h"
#include "simulate/simulate.h"
#include "simulate/simulation.h"
#include "simulate/story.h"
#include "store/store.h"
#include "utils/builtins.h"
#include "utils/memutils.h"

PG_FUNCTION_INFO_V1(dataflows_simulate_all);

/* the rows to be, in memory that lasts as long as they do */
typedef struct Review
{
	DfSimulation plain;
	TupleDesc desc;
	MemoryContext cxt;
	List *tuples;
} Review;

/* a step of the plain run that sends requests */
typedef struct Sender
{
	char *whole; /* with the path of its run */
	char *path;
	char *name;
} Sender;

/* ---- rows ------------------------------------------------------------------ */

static void
add_row(Review *result, const char *what, const DfSim *sim)
{
	const DfSimRun *first = linitial(sim->runs);
	List *left = df_sim_left_behind(sim);
	Datum values[3];
	bool nulls[3] = {false};
	MemoryContext old;

	values[0] = CStringGetTextDatum(what);
	values[1] = CStringGetTextDatum(df_run_state_name(first->was));
	values[2] = df_text_array(left);
	old = MemoryContextSwitchTo(result->cxt);
	result->tuples = lappend(result->tuples, heap_form_tuple(result->desc, values, nulls));
	MemoryContextSwitchTo(old);
}

/* what = NULL: a crash, which says itself where it was */
static void
try_scenario(Review *result, const char *what, List *overrides, int crash_after)
{
	MemoryContext cxt = AllocSetContextCreate(CurrentMemoryContext, "dataflows scenario",
											  ALLOCSET_DEFAULT_SIZES);
	MemoryContext old = MemoryContextSwitchTo(cxt);
	DfSimulation scenario = result->plain;
	DfSim *sim;
	ListCell *lc;

	scenario.overrides = overrides;
	scenario.crash_after = crash_after;
	sim = df_simulate(&scenario);
	foreach (lc, sim->rows)
	{
		const DfSimRow *row = lfirst(lc);

		if (what == NULL && strcmp(row->kind, "crash") == 0)
			what = psprintf("%s: crash after it was sent", row->step);
	}
	if (what != NULL)
		add_row(result, what, sim);
	MemoryContextSwitchTo(old);
	MemoryContextDelete(cxt);
}

/* ---- scenarios ------------------------------------------------------------- */

static DfReply *
reply_of_kind(DfReplyKind kind)
{
	DfReply *reply = palloc0(sizeof(DfReply));

	reply->kind = kind;
	return reply;
}

static DfReplyList *
override(const Sender *sender, const char *suffix, List *replies)
{
	DfReplyList *list = palloc0(sizeof(DfReplyList));

	list->key = psprintf("%s%s", sender->whole, suffix);
	list->replies = replies;
	return list;
}

/* what it is answered as it is, from the second attempt on */
static List *
usual_replies(const Review *result, const Sender *sender)
{
	DfReplyList *list =
		df_replies_of_step(result->plain.replies, sender->path, sender->name, "");

	return list != NULL ? list->replies : list_make1(reply_of_kind(DF_REPLY_ANSWER));
}

static bool
probe_is_named(const Review *result, const Sender *sender)
{
	return df_replies_of_step(result->plain.replies, sender->path, sender->name, "/probe") != NULL;
}

/* a probe finds what was made */
static List *
answer_lost(const Review *result, const Sender *sender)
{
	List *usual = usual_replies(result, sender);

	return list_make1(override(sender, "", lcons(reply_of_kind(DF_REPLY_LOST), list_copy(usual))));
}

/* and the probe finds nothing */
static List *
no_answer(const Review *result, const Sender *sender)
{
	List *usual = usual_replies(result, sender);
	List *overrides = list_make1(
		override(sender, "", lcons(reply_of_kind(DF_REPLY_TIMEOUT), list_copy(usual))));

	if (!probe_is_named(result, sender))
	{
		DfReply *nothing = reply_of_kind(DF_REPLY_ANSWER);

		/* as every system is taken to say: a 404 is believed of some paths only */
		nothing->body = df_json_read("[]");
		overrides = lappend(overrides, override(sender, "/probe", list_make1(nothing)));
	}
	return overrides;
}

static List *
always(const Sender *sender, DfReply *reply)
{
	return list_make1(override(sender, "", list_make1(reply)));
}

static DfReply *
refusal(void)
{
	DfReply *reply = reply_of_kind(DF_REPLY_ANSWER);

	reply->status = 422;
	reply->has_meaning = true;
	reply->answer.is = DF_MEANS_FAIL;
	return reply;
}

static void
try_sender(Review *result, const Sender *sender)
{
	const char *name = sender->whole;

	try_scenario(result, psprintf("%s: refused", name), always(sender, refusal()), 0);
	try_scenario(result, psprintf("%s: answer lost", name), answer_lost(result, sender), 0);
	try_scenario(result, psprintf("%s: no answer in time", name), no_answer(result, sender), 0);
	try_scenario(result, psprintf("%s: system down", name),
				 always(sender, reply_of_kind(DF_REPLY_DOWN)), 0);
}

/* its key is that of the replies, with "event:" */
static void
try_event(Review *result, const char *key)
{
	DfReplyList *list = palloc0(sizeof(DfReplyList));

	list->key = key;
	list->replies = list_make1(reply_of_kind(DF_REPLY_TIMEOUT));
	try_scenario(result, psprintf("%s: does not come", key), list_make1(list), 0);
}

/* ---- all of them ----------------------------------------------------------- */

static bool
is_known(List *senders, const char *whole)
{
	ListCell *lc;

	foreach (lc, senders)
		if (strcmp(((Sender *) lfirst(lc))->whole, whole) == 0)
			return true;
	return false;
}

/* those of the plain run, in the order of their first requests; copied */
static List *
senders_of(const DfSim *sim)
{
	List *senders = NIL;
	ListCell *lc;

	foreach (lc, sim->rows)
	{
		const DfSimRow *row = lfirst(lc);
		const char *last;
		const char *next;
		Sender *sender;

		if ((strcmp(row->kind, "http") != 0 && strcmp(row->kind, "mail") != 0) ||
			is_known(senders, row->step))
			continue;
		last = row->step;
		while ((next = strstr(last, " > ")) != NULL)
			last = next + strlen(" > ");
		sender = palloc(sizeof(Sender));
		sender->whole = pstrdup(row->step);
		sender->path = pnstrdup(row->step, last - row->step);
		sender->name = pstrdup(last);
		senders = lappend(senders, sender);
	}
	return senders;
}

static List *
simulate_all_rows(FunctionCallInfo fcinfo, TupleDesc desc)
{
	Review result = {.desc = desc, .cxt = CurrentMemoryContext};
	List *senders;
	DfSim *sim;
	ListCell *lc;

	df_simulate_arguments(fcinfo, &result.plain);
	sim = df_simulate(&result.plain);
	df_simulate_tell_unused(sim);
	if (sim->endless)
	{
		result.plain.most_rounds = DF_SIM_FEW_ROUNDS;
		sim = df_simulate(&result.plain);
	}
	add_row(&result, "as it is", sim);
	senders = senders_of(sim);
	foreach (lc, senders)
		try_sender(&result, lfirst(lc));
	foreach (lc, result.plain.replies)
	{
		const DfReplyList *list = lfirst(lc);

		if (list->used && strstr(list->key, "event:") != NULL)
			try_event(&result, list->key);
	}
	for (int n = 1; n <= sim->effects; n++)
		try_scenario(&result, NULL, NIL, n);
	return result.tuples;
}

Datum
dataflows_simulate_all(PG_FUNCTION_ARGS)
{
	return df_return_rows(fcinfo, simulate_all_rows,
						  "Call it as SELECT * FROM dataflows.simulate_all(...).");
}
