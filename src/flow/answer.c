/*
 * flow/answer.c
 *	  What an answer of a system means for the step, or the undo, that asked.
 *
 * Called by a worker when an exchange has ended, in no transaction.  Pure: the
 * fate, the status and what is known of the step go in, a verdict comes out.
 * It must never guess success: what may have been carried out is either
 * harmless to repeat, or in doubt.
 *
 * Doubt is sticky.  Once an attempt of a step was lost, a later "not carried
 * out" speaks of the later attempt only, so with was_doubt the verdict is
 * never DF_VERDICT_RETRY: a step that went back to pending would drop out of
 * the undo plan with its effect in the world.  A probe that settles the doubt
 * clears was_doubt; was_lost stays, for a conflict may be with what was carried
 * out later than anybody believes.  A refusal (DF_VERDICT_FAILED) with was_doubt ends the
 * step but does not settle what the lost attempt did; the caller keeps such a
 * step in_doubt.
 */
#include "postgres.h"

#include "flow/flow.h"

static bool
is_success(int status)
{
	return status >= 200 && status <= 299;
}

/* the statuses by which a system says that it did nothing and may do it later */
static bool
is_come_later(int status)
{
	return status == 408 || status == 425 || status == 429 || status == 503;
}

static bool
is_accepted(const DfAnswer *answer)
{
	int i;

	for (i = 0; i < answer->naccept; i++)
	{
		if (answer->accept[i] == answer->status)
			return true;
	}
	return false;
}

/* GET, HEAD, PUT, DELETE are always re-sent; the others by a trusted key */
static bool
is_harmless(const DfAnswer *answer)
{
	return answer->method != DF_METHOD_EFFECT || answer->key_trusted;
}

static DfVerdict
may_be_carried_out(const DfAnswer *answer)
{
	return is_harmless(answer) ? DF_VERDICT_RETRY_SAME : DF_VERDICT_DOUBT;
}

static DfVerdict
not_carried_out(const DfAnswer *answer)
{
	return answer->was_doubt ? may_be_carried_out(answer) : DF_VERDICT_RETRY;
}

/*
 * After doubt, "conflict" may be our own earlier attempt that the system
 * stumbles over, or one with the same key that it is still working on.  A read
 * has nothing to conflict with.  An accepted 409 is an answer for the methods
 * that may be repeated; for a POST it would mean "somebody else's, nothing to
 * undo", and that is just what is not known.
 */
static bool
is_conflict_with_ourselves(const DfAnswer *answer)
{
	if (answer->status != 409 || !(answer->was_doubt || answer->was_lost) ||
		answer->method == DF_METHOD_SAFE)
		return false;
	return answer->method == DF_METHOD_EFFECT || !is_accepted(answer);
}

/*
 * the credentials are the system's fault and get repaired; the rest of 3xx and 4xx will be the
 * same tomorrow
 */
bool
df_status_is_refusal(int status)
{
	return status >= 300 && status <= 499 && status != 401 && status != 403 &&
		!is_come_later(status);
}

/* a 2xx is never "accepted": a list that names 200 too must not cost the undo */
static DfVerdict
status_verdict(const DfAnswer *answer)
{
	int status = answer->status;

	if (is_success(status))
		return answer->body_unusable ? DF_VERDICT_UNUSABLE : DF_VERDICT_DONE;
	if (is_conflict_with_ourselves(answer))
		return DF_VERDICT_DOUBT;
	if (is_accepted(answer))
		return DF_VERDICT_DONE_NO_UNDO;
	if (is_come_later(status))
		return not_carried_out(answer);
	if (status == 401 || status == 403)
		return DF_VERDICT_CREDENTIALS;
	if (status >= 300 && status <= 499)
		return DF_VERDICT_FAILED;

	/* 5xx; and what is no final answer of HTTP's, which is as good as none */
	return may_be_carried_out(answer);
}

DfVerdict
df_answer_verdict(const DfAnswer *answer)
{
	switch (answer->fate)
	{
		case DF_FATE_RESPONSE:
			return status_verdict(answer);
		case DF_FATE_TOO_LARGE:
			if (is_success(answer->status))
				return DF_VERDICT_UNUSABLE;
			return status_verdict(answer);
		case DF_FATE_NOT_SENT:
		case DF_FATE_STARVED:
			return not_carried_out(answer);
		case DF_FATE_LOST:
			return may_be_carried_out(answer);
		case DF_FATE_REFUSED:
			return DF_VERDICT_FAILED;
	}
	return DF_VERDICT_FAILED;
}

/*
 * A refusal of an undo that another time may lift: what it takes away is in
 * use or locked (an older step of the same customer may be undone by hand
 * meanwhile), or the credentials are refused, which a person repairs.  Trying
 * until the undo's own budget ends costs nothing but requests; giving up costs
 * a person.  What a 400, 405 or 422 says will be the same tomorrow.
 */
static bool
may_be_lifted(int status)
{
	return status == 401 || status == 403 || status == 409 || status == 423;
}

/*
 * An undo that may have been carried out is as much in doubt as any other
 * request: a DELETE may be repeated, its second 404 or 410 means gone; a POST, a
 * refund say, only with a key that the system honours.  What the step accepts is
 * about the step: a 409 that is an answer to a POST is none to the DELETE that
 * undoes it.
 */
static DfVerdict
undo_may_be_carried_out(const DfAnswer *answer)
{
	return is_harmless(answer) ? DF_VERDICT_RETRY : DF_VERDICT_DOUBT;
}

static DfVerdict
undo_status_verdict(const DfAnswer *answer)
{
	int status = answer->status;

	if (is_success(status))
		return DF_VERDICT_DONE;
	if (status == 404 || status == 410)
		return DF_VERDICT_DONE_NO_UNDO;
	if (is_come_later(status) || may_be_lifted(status))
		return DF_VERDICT_RETRY;
	if (status >= 300 && status <= 499)
		return DF_VERDICT_FAILED;
	return undo_may_be_carried_out(answer);
}

/* method and key_trusted are those of the undo's request */
DfVerdict
df_answer_undo_verdict(const DfAnswer *answer)
{
	switch (answer->fate)
	{
		case DF_FATE_RESPONSE:
		case DF_FATE_TOO_LARGE:
			return undo_status_verdict(answer);
		case DF_FATE_NOT_SENT:
		case DF_FATE_STARVED:
			return DF_VERDICT_RETRY;
		case DF_FATE_LOST:
			return undo_may_be_carried_out(answer);
		case DF_FATE_REFUSED:
			return DF_VERDICT_FAILED;
	}
	return DF_VERDICT_FAILED;
}

/* the codes by which a mail server refuses who we are, not what we send (RFC 4954, RFC 3207) */
static bool
is_about_credentials(int code)
{
	return code == 530 || code == 534 || code == 535 || code == 538;
}

/*
 * There is no key and no probe for a mail.  But a mail server says by its codes
 * whether it has accepted the message, and one that has not been asked to (the
 * line with the dot never left) has not: that is DF_FATE_NOT_SENT, however many
 * bytes were sent before.
 */
DfVerdict
df_answer_mail_verdict(const DfAnswer *answer)
{
	DfVerdict not_accepted = answer->was_doubt ? DF_VERDICT_DOUBT : DF_VERDICT_RETRY;

	switch (answer->fate)
	{
		case DF_FATE_RESPONSE:
		case DF_FATE_TOO_LARGE:
			if (is_success(answer->status))
				return DF_VERDICT_DONE;
			if (answer->status >= 400 && answer->status <= 499)
				return not_accepted;
			if (is_about_credentials(answer->status))
				return DF_VERDICT_CREDENTIALS;
			if (answer->status >= 500 && answer->status <= 599)
				return DF_VERDICT_FAILED;
			return DF_VERDICT_DOUBT;
		case DF_FATE_NOT_SENT:
		case DF_FATE_STARVED:
			return not_accepted;
		case DF_FATE_LOST:
			return DF_VERDICT_DOUBT;
		case DF_FATE_REFUSED:
			return DF_VERDICT_FAILED;
	}
	return DF_VERDICT_FAILED;
}

/* methods are case-sensitive in HTTP; one that is not known may do anything */
DfMethodClass
df_method_class(const char *method)
{
	if (strcmp(method, "GET") == 0 || strcmp(method, "HEAD") == 0)
		return DF_METHOD_SAFE;
	if (strcmp(method, "PUT") == 0 || strcmp(method, "DELETE") == 0)
		return DF_METHOD_IDEMPOTENT;
	return DF_METHOD_EFFECT;
}
