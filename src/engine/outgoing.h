/*
 * engine/outgoing.h
 *	  The requests of a step: its effect, its probe and its undo.
 */
#ifndef DF_OUTGOING_H
#define DF_OUTGOING_H

#include "types/run.h"

/* the request that is to leave next for its phase; NULL with *why set if none can be made */
typedef struct DfOutgoing
{
	const char *method;
	const char *path;
	const char *body;
	size_t body_len;
	const Jsonb *headers; /* over the step's own; null = this one is left out */
	const char *idempotency_key;
	const char *content_type;
	bool other_format; /* the step's body is not written as the system's requests are */
	const char *mail_from; /* a mail: the envelope; the body is the message */
	const char **mail_to; /* NULL-terminated */
	int64 timeout_ms; /* 0 = the system's */
} DfOutgoing;

extern bool df_step_outgoing(DfRun *run, DfStep *step, DfOutgoing *out, bool form, char **why);

/* ---- what the kinds of steps have in common that call a system ------------ */

/* its next request is due: its effect, or its probe */
extern void df_request_due(DfRun *run, DfStep *step);

extern bool df_request_outgoing(DfRun *run, DfStep *step, DfOutgoing *out, bool form, char **why);

/* the undo, rendered from its template and the step's output */
extern bool df_request_render_undo(DfRun *run, DfStep *step, char **why);

/* has the undo sent, or the probe for what it lacks; or finds that it cannot be undone */
extern void df_request_undo(DfRun *run, DfStep *step);

#endif /* DF_OUTGOING_H */
