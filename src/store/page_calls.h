/*
 * store/page_calls.h
 *	  What the page reads and asks for.
 */
#ifndef DF_STORE_PAGE_CALLS_H
#define DF_STORE_PAGE_CALLS_H

#include "postgres.h"

#define DF_PAGE_MAX_ARGS 8

/* a question or an action: its parameters are texts, by these names, NULL-terminated */
typedef struct DfPageCall
{
	const char *name;
	bool writes; /* to be POSTed */
	const char *args[DF_PAGE_MAX_ARGS + 1];
} DfPageCall;

/* NULL if there is none of that name */
extern const DfPageCall *df_page_call_find(const char *name);

/*
 * What it comes to, as JSON, copied to the present context.  Runs as the role,
 * and raises errors for that role.  values: one per argument, NULL = not given.
 */
extern char *df_page_call_run(const DfPageCall *call, Oid role, char **values);

#endif /* DF_STORE_PAGE_CALLS_H */
