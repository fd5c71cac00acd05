/*
 * flow/probe.c
 *	  What a probe's answer means for a step that is in doubt, or not sent yet.
 *
 * Called by a worker when a probe was answered, or will not be, in no
 * transaction.  Pure: what was found and what is known of the step go in, a
 * verdict comes out.  It must never adopt what was there before the first send,
 * never believe "not there" before the system has settled, and never have
 * something sent again that a 2xx once said was carried out.
 */
#include "postgres.h"

#include "flow/flow.h"

static DfProbeVerdict
nothing_there(const DfProbeQuestion *question)
{
	if (!question->settled)
		return DF_PROBE_LATER;
	if (question->undoing || question->unwanted || question->refused || !question->budget_left)
		return DF_PROBE_NOT_DONE;
	return DF_PROBE_SEND;
}

/* as the key, the method or `doubt` says */
static DfProbeVerdict
cannot_tell(const DfProbeQuestion *question)
{
	bool again = question->budget_left && !question->refused && !question->carried_out;

	/* what has never left needs no guess: it is not sent without knowing what is there */
	if (!question->was_sent)
		return DF_PROBE_NOT_DONE;
	if (question->undoing)
		return DF_PROBE_DOUBTFUL;
	if (again && question->harmless)
		return DF_PROBE_SEND_SAME;
	if (again && question->doubt == DF_DOUBT_RESEND && !question->unwanted)
		return DF_PROBE_SEND_SAME;
	if (question->doubt == DF_DOUBT_ACCEPT)
		return DF_PROBE_ACCEPT;
	return question->carried_out && !question->unwanted ? DF_PROBE_STUCK : DF_PROBE_DOUBTFUL;
}

DfProbeVerdict
df_probe_verdict(const DfProbeQuestion *question)
{
	if (question->found == 1)
		return question->was_sent ? DF_PROBE_ADOPT : DF_PROBE_EXISTED;
	if (question->found != 0)
		return !question->was_sent && question->found > 1 ? DF_PROBE_EXISTED
														  : cannot_tell(question);
	if (!question->was_sent)
		return DF_PROBE_SEND;

	/* it was carried out, says the system, and is not there, says the system */
	if (question->carried_out && question->settled)
		return cannot_tell(question);
	return nothing_there(question);
}
