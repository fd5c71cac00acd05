/*
 * engine/outgoing.h
 *	  The request that leaves next for a step: its effect, its probe or its undo.
 */
#ifndef DF_OUTGOING_H
#define DF_OUTGOING_H

#include "types/run.h"

/* the request that is to leave next for step->phase; NULL with *why set if none can be made */
typedef struct DfOutgoing
{
	const char *method;
	const char *path;
	const char *body;
	const char *idempotency_key;
	const char *content_type;
	const char *mail_from; /* a mail: the envelope; the body is the message */
	const char **mail_to; /* NULL-terminated */
	int64 timeout_ms; /* 0 = the system's */
} DfOutgoing;

extern bool df_step_outgoing(DfRun *run, DfStep *step, DfOutgoing *out, bool form, char **why);

#endif /* DF_OUTGOING_H */
