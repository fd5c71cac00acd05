/*
 * types/step_spec.h
 *	  What a body asked for with an HTTP request, a mail or a query, parsed.
 *
 * Made once by engine/read_spec.c from the step's request and options, which are
 * frozen with its intent; in run->cxt, and changed by nobody.  Decisions (flow/)
 * take it as it is.
 */
#ifndef DF_TYPES_STEP_SPEC_H
#define DF_TYPES_STEP_SPEC_H

#include "postgres.h"

#include "types/answers.h"
#include "types/body_format.h"
#include "types/fate.h"
#include "types/retry.h"
#include "utils/jsonb.h"

/* what is to become of a step of which nobody can tell whether it was carried out */
typedef enum DfDoubtPolicy
{
	DF_DOUBT_STUCK, /* the run is stuck: a person looks */
	DF_DOUBT_FAIL, /* DF001 in the body: it decides */
	DF_DOUBT_RESEND, /* twice is better than not at all */
	DF_DOUBT_ACCEPT /* taken for done, without an output */
} DfDoubtPolicy;
#define DF_NDOUBTS (DF_DOUBT_ACCEPT + 1)

/* where the idempotency key is: the system knows it there, and nowhere else */
typedef struct DfKeyPlace
{
	const char *header; /* "" = none, NULL = not known */
	char *field; /* of the body, NULL = none */
	char *parameter; /* of the query, NULL = none */
} DfKeyPlace;

typedef struct DfStepSpec
{
	/* what it was parsed from: retry() may have the step rendered again */
	const char *from_request;
	const Jsonb *from_options;

	bool is_mail; /* no key and no probe can tell */
	bool has_key; /* a request to a system, which may know it by its idempotency key */
	DfKeyPlace key_place; /* of a POST or PATCH, the undo included */
	const char *method;
	const char *path;
	DfMethodClass method_class;
	DfBodyFormat format; /* of its body */
	DfBodyFormat side_format; /* of the bodies of undo and probe */
	Jsonb *request_fields; /* of a body that is not recorded as JSON, for templates */

	/* a template, of a query SQL; NULL = nothing to undo, also for 'none' */
	char *undo;
	Jsonb *undo_body;
	bool undo_needs_response; /* it names a field of the response */
	Jsonb *undo_headers; /* over the step's own, templates */
	char *undo_of; /* of on_rollback(): the step whose effect it takes back; NULL = none */
	char *undo_if; /* a jsonpath: false = there is nothing to undo; NULL = none */

	char *probe; /* a template, NULL = none */
	Jsonb *probe_body;
	Jsonb *probe_headers;
	char *probe_if;
	char *probe_found; /* a jsonpath, NULL = the whole response */
	bool probe_names_run; /* what it finds is this run's */
	bool probe_names_key; /* what it finds is this step's */

	DfDoubtPolicy doubt;
	const DfAnswers *answers; /* with what `accept` says, behind them; NULL = none, as below */
	const DfAnswers *undo_answers;
	const DfAnswers *probe_answers;

	char *until; /* a jsonpath: asked again until it is met; NULL = none */
	int64 every_ms;
	int64 until_timeout_ms; /* 0 = no limit */

	DfRetry retry; /* -1 in a field = as the workflow or the system says */
	int64 timeout_ms; /* 0 = the system's */
} DfStepSpec;

#endif /* DF_TYPES_STEP_SPEC_H */
