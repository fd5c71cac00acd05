/*
 * flow/doubt.c
 *	  Decides what becomes of a step that may have been carried out.
 *
 * Called by a worker when there is news of a step (a response, a loss, a person's
 * word), or a request is about to be sent for it, in no transaction.  Pure: the case
 * and what came go in, a decision comes out.
 *
 * This file holds the names of its words.  doubt_response.c, doubt_probe.c and
 * doubt_undo.c decide what came, doubt_departure.c what leaves, doubt_person.c what people
 * ask. doubt_facts.c has what they share.
 *
 * What holds of every decision:
 *
 * - Success is never guessed.  What may have been carried out is harmless to repeat,
 *   or in doubt.
 * - A loss is remembered until something proves what became of that attempt: a
 *   response under the same key, what a probe finds, a person's word.  A refusal, fresh
 *   credentials, a renewal and a restart prove nothing.
 * - A system that replays a response which does not help will do so for ever: its key is
 *   spent, and what is sent after all has another one.
 * - A probe that finds nothing (may_resend) permits another attempt; it is no proof,
 *   for a system may carry a request out late.  So a conflict afterwards contradicts it.
 * - What existed before the first attempt is never taken over, "not there" is not
 *   believed before the system has settled, and what a 2xx once said was carried out is
 *   never sent again.
 */
#include "postgres.h"

#include "flow/doubt.h"
#include "flow/names.h"
#include "types/base.h"

static const char *const doubt_names[] = {
	[DF_DOUBT_STUCK] = "stuck",
	[DF_DOUBT_FAIL] = "fail",
	[DF_DOUBT_RESEND] = "resend",
	[DF_DOUBT_ACCEPT] = "accept",
};

StaticAssertDecl(lengthof(doubt_names) == DF_NDOUBTS, "every value of `doubt` has a name");

int
df_doubt_policy_of(const char *name)
{
	return df_value_of(doubt_names, lengthof(doubt_names), name);
}

static const char *const word_names[] = {
	[DF_WORD_NONE] = NULL,
	[DF_WORD_DONE] = "done",
	[DF_WORD_NOT_DONE] = "not_done",
	[DF_WORD_SKIPPED] = "skipped",
	[DF_WORD_UNDONE] = "undone",
	[DF_WORD_RESEND] = "resend",
};

StaticAssertDecl(lengthof(word_names) == DF_NWORDS, "every word has a name");

const char *
df_word_name(DfWord word)
{
	return df_name_of(word_names, lengthof(word_names), word);
}

int
df_word_of(const char *name)
{
	return df_value_of(word_names, lengthof(word_names), name);
}
