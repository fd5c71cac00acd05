/*
 * fdw/options.h
 *	  The options of systems (SERVER) and of credentials (USER MAPPING).
 *
 * One table says which options there are, where they belong, what they may hold
 * and where they go in a DfSystem.  Nothing here raises: what is wrong is
 * described in a DfOptionProblem, which never holds an option's value.
 */
#ifndef DF_FDW_OPTIONS_H
#define DF_FDW_OPTIONS_H

#include "fdw/system.h"
#include "nodes/pg_list.h"

typedef enum DfOptionKind
{
	DF_OPTION_URL, /* of a system: http, https, smtp or smtps */
	DF_OPTION_HTTP_URL,
	DF_OPTION_ORIGINS, /* "https://host:port", separated by spaces */
	DF_OPTION_TEXT, /* no control characters */
	DF_OPTION_TOKEN, /* printable ASCII, no spaces */
	DF_OPTION_USERNAME, /* as text, without a colon */
	DF_OPTION_PASSWORD, /* as text, may be empty */
	DF_OPTION_PATH, /* absolute */
	DF_OPTION_HEADER_NAME, /* or '' */
	DF_OPTION_HEADER, /* the family "header.Name" */
	DF_OPTION_MS, /* a duration kept in an int */
	DF_OPTION_LONG_MS, /* a duration kept in an int64 */
	DF_OPTION_INT,
	DF_OPTION_BYTES,
	DF_OPTION_BOOL,
	DF_OPTION_ENCODING,
	DF_OPTION_STARTTLS,
	DF_OPTION_RATE
} DfOptionKind;

typedef struct DfOption
{
	const char *name;
	Oid catalog; /* ForeignServerRelationId or UserMappingRelationId */
	DfOptionKind kind;
	size_t offset; /* in DfSystem */
	double min; /* of numbers; durations in ms */
	double max;
	double preset; /* where it is not set; of numbers and durations */
	double mail_preset; /* likewise, for a mail server */
	bool secret; /* zeroed when forgotten */
	bool superuser; /* only superusers may set it */
} DfOption;

typedef struct DfOptionProblem
{
	int sqlstate;
	char *message;
	char *detail; /* or NULL */
	char *hint;
} DfOptionProblem;

/* the option of that name in that catalog, or NULL */
extern const DfOption *df_option_find(const char *name, Oid catalog);

/* whether the option as set here may be set by superusers only */
extern bool df_option_needs_superuser(const DfOption *option, const char *value);

/* a system with nothing set */
extern void df_options_preset(DfSystem *system);

/*
 * Lays one object's whole list of options (DefElems) over the system; strings
 * are copied into the current memory context.  False, with *problem set, at the
 * first thing that is wrong.
 */
extern bool df_options_apply(DfSystem *system, Oid catalog, List *options,
							 DfOptionProblem *problem);

/*
 * Whether the options of a server and of a user mapping go together, which the
 * validator cannot see, as it is given those of one object at a time.
 */
extern bool df_options_fit(const DfSystem *system, DfOptionProblem *problem);

/* overwrites the credentials in memory */
extern void df_options_forget(DfSystem *system);

/* ---- values (fdw/values.c) ------------------------------------------------ */

/* puts the value into *field; false if it is malformed, maybe with *why */
extern bool df_option_parse(const DfOption *option, const char *value, void *field,
							const char **why);

/* what would be valid, as a sentence */
extern char *df_option_valid(const DfOption *option);

/* "5min", as an option may be written */
extern char *df_duration_text(double ms);

#endif /* DF_FDW_OPTIONS_H */
