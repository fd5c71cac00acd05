/*
 * flow/meaning.c
 *	  What a response says by itself, whatever is known of the step.
 *
 * Called by a worker when an exchange has ended, in no transaction.  Pure: fate and
 * status go in, a meaning comes out.  It never guesses success, and never calls "not
 * carried out" what may have been.  What follows from a meaning is decided in
 * flow/doubt.c.
 */
#include "postgres.h"

#include "flow/meaning.h"

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

bool
df_status_is_accepted(const DfStepSpec *spec, int status)
{
	for (int i = 0; i < spec->naccept; i++)
	{
		if (spec->accept[i] == status)
			return true;
	}
	return false;
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
static DfMeaning
status_meaning(const DfStepSpec *spec, const DfCame *came)
{
	int status = came->status;

	if (is_success(status))
		return came->body_unusable ? DF_MEANS_UNUSABLE : DF_MEANS_DONE;
	if (spec != NULL && df_status_is_accepted(spec, status))
		return DF_MEANS_KEPT;
	if (is_come_later(status))
		return DF_MEANS_RETRY;
	if (status == 401 || status == 403)
		return DF_MEANS_CREDENTIALS;
	if (df_status_is_refusal(status))
		return DF_MEANS_FAIL;

	/* 5xx; and what is no final response of HTTP's, which is as good as none */
	return DF_MEANS_DOUBT;
}

static DfMeaning
http_meaning(const DfStepSpec *spec, const DfCame *came)
{
	switch (came->fate)
	{
		case DF_FATE_RESPONSE:
		case DF_FATE_TOO_LARGE:
			return status_meaning(spec, came);
		case DF_FATE_NOT_SENT:
		case DF_FATE_STARVED:
			return DF_MEANS_RETRY;
		case DF_FATE_LOST:
			return DF_MEANS_DOUBT;
		case DF_FATE_REFUSED:
			break;
	}
	return DF_MEANS_FAIL;
}

/* the codes by which a mail server refuses who we are, not what we send (RFC 4954, RFC 3207) */
static bool
is_about_credentials(int code)
{
	return code == 530 || code == 534 || code == 535 || code == 538;
}

/*
 * A mail server says by its codes whether it has accepted the message, and one that
 * has not been asked to (the line with the dot was never sent) has not: that is
 * DF_FATE_NOT_SENT, however many bytes were sent before.
 */
static DfMeaning
mail_meaning(const DfCame *came)
{
	int code = came->status;

	if (came->fate != DF_FATE_RESPONSE && came->fate != DF_FATE_TOO_LARGE)
		return http_meaning(NULL, came);
	if (is_success(code))
		return DF_MEANS_DONE;
	if (code >= 400 && code <= 499)
		return DF_MEANS_RETRY;
	if (is_about_credentials(code))
		return DF_MEANS_CREDENTIALS;
	return code >= 500 && code <= 599 ? DF_MEANS_FAIL : DF_MEANS_DOUBT;
}

DfMeaning
df_response_meaning(const DfStepSpec *spec, const DfCame *came)
{
	return spec->is_mail ? mail_meaning(came) : http_meaning(spec, came);
}

/* what a step accepts is about the step */
DfMeaning
df_probe_meaning(const DfCame *came)
{
	return http_meaning(NULL, came);
}

/*
 * A refusal of an undo that may pass with time: what it takes away is in
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
 * What the step accepts is about the step: a 409 that counts as done for a POST does
 * not for the DELETE that undoes it.  The body of a 2xx does not matter.
 */
DfMeaning
df_undo_meaning(const DfCame *came)
{
	bool answered = came->fate == DF_FATE_RESPONSE || came->fate == DF_FATE_TOO_LARGE;
	DfMeaning meaning = http_meaning(NULL, came);

	if (!answered)
		return meaning;
	if (meaning == DF_MEANS_UNUSABLE)
		return DF_MEANS_DONE;
	if (came->status == 404 || came->status == 410)
		return DF_MEANS_KEPT;
	return may_be_lifted(came->status) ? DF_MEANS_RETRY : meaning;
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
