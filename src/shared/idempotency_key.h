/*
 * shared/idempotency_key.h
 *	  The idempotency key of a step, and of its undo.
 */
#ifndef DF_IDEMPOTENCY_KEY_H
#define DF_IDEMPOTENCY_KEY_H

#include "postgres.h"

#include "utils/uuid.h"

/* the form of keys of steps that began under 0.1: "<run>/<n>/r<renewals>/undo" */
#define DF_KEY_FORM_TEXT "text"

/* which request of which run: whatever changes the request changes its key */
typedef struct DfKeyOf
{
	const pg_uuid_t *run;
	int n;
	int renewals;
	bool undo;
	const char *form; /* DF_KEY_FORM_TEXT; NULL = a UUID */
} DfKeyOf;

/* palloc'd */
extern char *df_idempotency_key(const DfKeyOf *of);

#endif /* DF_IDEMPOTENCY_KEY_H */
