/*
 * flow/meaning.c
 *	  What a response means: what `answers` says, or else its status by itself.
 *
 * Called by a worker when an exchange has ended, in no transaction.  Pure: fate, status
 * and rules go in, a meaning comes out.  It never guesses success, and never calls "not
 * carried out" what may have been.  What follows from a meaning is decided in
 * flow/doubt.c.
 */
#include "postgres.h"

#include "flow/meaning.h"

/* ---- rules ----------------------------------------------------------------- */

static bool
has_method(const DfAnswer *rule, const char *method)
{
	for (const char **one = rule->methods; one != NULL && *one != NULL; one++)
		if (strcmp(*one, method) == 0)
			return true;
	return rule->methods == NULL;
}

static bool
has_status(const DfAnswer *rule, int status)
{
	for (int i = 0; i < rule->nstatuses; i++)
		if (status >= rule->statuses[i].first && status <= rule->statuses[i].last)
			return true;
	return rule->nstatuses == 0;
}

/* a rule that may fit must not be passed over: one behind it could call the response done */
DfSaid
df_answers_say(const DfAnswers *const *lists, int nlists, const char *method, int status,
			   DfHolds holds, void *arg)
{
	DfSaid said = {NULL, false};

	for (int i = 0; i < nlists; i++)
	{
		for (int n = 0; lists[i] != NULL && n < lists[i]->n; n++)
		{
			const DfAnswer *rule = &lists[i]->rules[n];
			DfTruth fits;

			if (!has_method(rule, method) || !has_status(rule, status))
				continue;
			fits = rule->condition == NULL ? DF_TRUE : holds(arg, rule->condition);
			if (fits == DF_FALSE)
				continue;
			said.rule = rule;
			said.unknown = fits == DF_UNKNOWN;
			return said;
		}
	}
	return said;
}

/* ---- statuses -------------------------------------------------------------- */

static bool
is_success(int status)
{
	return status >= 200 && status <= 299;
}

static bool
is_client_error(int status)
{
	return status >= 400 && status <= 499;
}

static bool
is_one_of(int status, const int *statuses, int n)
{
	for (int i = 0; i < n; i++)
		if (statuses[i] == status)
			return true;
	return false;
}

/* the system did nothing and says that it may do it later */
static bool
is_come_later(const DfCame *came)
{
	static const int statuses[] = {408, 425, 429};

	if (is_one_of(came->status, statuses, lengthof(statuses)))
		return true;
	if (came->retry_after_ms >= 0 && (is_client_error(came->status) || came->status == 503))
		return true;
	return came->status == 403 && came->limit_used_up;
}

/*
 * The request is not what the system expects, or we are not let in: an ordinary mistake of
 * whoever wrote the workflow or set up the system, and no word about the customer.  A 404
 * to a GET or a DELETE is about the resource; to a POST it is about the path.
 */
static bool
is_a_mistake(const DfCame *came)
{
	static const int statuses[] = {403, 405, 406, 407, 411, 414, 415, 431, 501};

	if (came->status >= 300 && came->status <= 399)
		return true;
	if (is_one_of(came->status, statuses, lengthof(statuses)))
		return true;
	if (came->status == 400)
		return !came->once_done;
	return came->status == 404 && strcmp(came->method, "GET") != 0 &&
		strcmp(came->method, "HEAD") != 0 && strcmp(came->method, "DELETE") != 0;
}

static bool
is_gone(const DfCame *came)
{
	return (came->status == 404 || came->status == 410) && strcmp(came->method, "DELETE") == 0;
}

DfMeaning
df_default_meaning(const DfCame *came)
{
	if (is_success(came->status))
		return DF_MEANS_DONE;
	if (is_gone(came))
		return DF_MEANS_KEPT;
	if (came->status == 401)
		return DF_MEANS_CREDENTIALS;
	if (is_come_later(came))
		return DF_MEANS_RETRY;
	if (is_a_mistake(came))
		return DF_MEANS_STUCK;
	if (is_client_error(came->status))
		return DF_MEANS_FAIL;

	/* 5xx; and what is no final response of HTTP's, which is as good as none */
	return DF_MEANS_DOUBT;
}

/* ---- responses ------------------------------------------------------------- */

static bool
is_answered(const DfCame *came)
{
	return came->fate == DF_FATE_RESPONSE || came->fate == DF_FATE_TOO_LARGE;
}

static DfMeaning
answered_meaning(const DfCame *came)
{
	if (came->said.unknown)
		return DF_MEANS_STUCK;
	return came->said.rule != NULL ? came->said.rule->is : df_default_meaning(came);
}

static DfMeaning
http_meaning(const DfCame *came)
{
	switch (came->fate)
	{
		case DF_FATE_RESPONSE:
		case DF_FATE_TOO_LARGE:
			return answered_meaning(came);
		case DF_FATE_NOT_SENT:
		case DF_FATE_STARVED:
			return DF_MEANS_RETRY;
		case DF_FATE_LOST:
			return DF_MEANS_DOUBT;
		case DF_FATE_REFUSED:
			break; /* by us: an url or an option that cannot be used */
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

	if (!is_answered(came))
		return http_meaning(came);
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
	DfMeaning meaning = spec->is_mail ? mail_meaning(came) : http_meaning(came);

	if (meaning == DF_MEANS_DONE && came->body_unusable && came->body_needed)
		return DF_MEANS_UNUSABLE;
	if (meaning == DF_MEANS_DONE && came->said.rule == NULL && came->denied)
		return DF_MEANS_FAIL;
	/* each time that it is sent again it would make another */
	if (meaning == DF_MEANS_RETRY && came->made && spec->method_class == DF_METHOD_EFFECT)
		return DF_MEANS_STUCK;
	return meaning;
}

/* a 2xx that the system's rules do not let pass: what it says now is no answer to a question */
static bool
is_not_good(const DfCame *came)
{
	return is_answered(came) && is_success(came->status) && came->said.rule != NULL &&
		!came->said.unknown && came->said.rule->is == DF_MEANS_FAIL;
}

DfMeaning
df_probe_meaning(const DfCame *came)
{
	return is_not_good(came) ? DF_MEANS_RETRY : http_meaning(came);
}

/*
 * A refusal of an undo that may pass with time: what it takes away is in
 * use or locked (an older step of the same customer may be undone by hand
 * meanwhile), or it is not permitted, which a person repairs.  Trying
 * until the undo's own budget ends costs nothing but requests; giving up costs
 * a person.  What a 400, 405 or 422 says will be the same tomorrow.
 */
static bool
may_be_lifted(int status)
{
	return status == 403 || status == 409 || status == 423;
}

DfMeaning
df_undo_meaning(const DfCame *came)
{
	if (is_not_good(came))
		return DF_MEANS_RETRY;
	if (is_answered(came) && came->said.rule == NULL)
	{
		if (is_success(came->status) && came->denied)
			return DF_MEANS_RETRY;
		if (came->status == 410)
			return DF_MEANS_KEPT;
		if (may_be_lifted(came->status))
			return DF_MEANS_RETRY;
	}
	return http_meaning(came);
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
