/*
 * fdw/options.h
 *	  The options of systems (SERVER) and of credentials (USER MAPPING).
 *
 * One table has all options: where they belong, what they may hold, and their field in
 * DfSystem.  Nothing here raises an error: a DfOptionProblem describes what is wrong, and
 * never contains an option's value.
 */
#ifndef DF_FDW_OPTIONS_H
#define DF_FDW_OPTIONS_H

#include "nodes/pg_list.h"
#include "shared/signing.h"
#include "types/system_options.h"

typedef enum DfOptionKind
{
	DF_OPTION_URL, /* of a system: http, https, smtp or smtps */
	DF_OPTION_HTTP_URL,
	DF_OPTION_ORIGINS, /* "https://host:port", separated by spaces */
	DF_OPTION_FORMERLY, /* urls of a system, separated by spaces */
	DF_OPTION_TEXT, /* no control characters */
	DF_OPTION_TOKEN, /* printable ASCII, no spaces */
	DF_OPTION_USERNAME, /* as text, without a colon */
	DF_OPTION_PASSWORD, /* as text, may be empty */
	DF_OPTION_PATH, /* absolute */
	DF_OPTION_HEADER_NAME, /* or '' */
	DF_OPTION_FIELD, /* the name of a field or a parameter: letters, digits and "_.-" */
	DF_OPTION_HEADER, /* the family "header.Name" */
	DF_OPTION_TOKEN_FIELD, /* the family "token.name" */
	DF_OPTION_CLAIM, /* the family "claim.name" */
	DF_OPTION_GRANT,
	DF_OPTION_PRIVATE_KEY, /* PEM */
	DF_OPTION_MS, /* a duration kept in an int */
	DF_OPTION_LONG_MS, /* a duration kept in an int64 */
	DF_OPTION_INT,
	DF_OPTION_BYTES,
	DF_OPTION_BOOL,
	DF_OPTION_ENCODING,
	DF_OPTION_FORM_ARRAYS,
	DF_OPTION_CONTENT_TYPE,
	DF_OPTION_STARTTLS,
	DF_OPTION_RATE,
	DF_OPTION_ANSWERS, /* what responses mean */
	DF_OPTION_PAUSE, /* what pause_system() writes */
	DF_OPTION_SIGN,
	DF_OPTION_SIGN_VALUE,
	DF_OPTION_AWS_SIGV4,
	DF_OPTION_PROXY,
	DF_OPTION_SOCKET_PATH,
	DF_OPTION_URL_PATH,
	DF_OPTION_QUERY /* the family "query.name" */
} DfOptionKind;

typedef struct DfOption
{
	const char *name;
	Oid catalog; /* ForeignServerRelationId or UserMappingRelationId */
	DfOptionKind kind;
	size_t offset; /* in DfSystem */
	double min; /* of numbers; durations in ms */
	double max;
	double preset; /* the default of numbers and durations */
	double mail_preset; /* the default for a mail server */
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

/* sets all defaults */
extern void df_options_preset(DfSystem *system);

/*
 * Applies the whole list of options (DefElems) of one object to the system; strings are
 * copied into the current memory context.  False at the first error, with *problem set.
 */
extern bool df_options_apply(DfSystem *system, Oid catalog, List *options,
							 DfOptionProblem *problem);

/*
 * Whether the options of a server and of a user mapping can be combined.  The validator
 * cannot check that, since it gets those of one object.
 */
extern bool df_options_fit(const DfSystem *system, DfOptionProblem *problem);

/*
 * The same of a foreign server in the catalogs and the mapping of a role for it (InvalidOid:
 * that of PUBLIC); true for servers that are no systems (fdw/system.c).
 */
extern bool df_system_options_fit(Oid serverid, Oid user, DfOptionProblem *problem);

/* overwrites the credentials in memory */
extern void df_options_forget(DfSystem *system);

/* the defaults, for a system whose server is gone; it has no url */
extern const DfSystem *df_system_presets(void);

/*
 * Whether a superuser allows private addresses for that URL.  What is allowed for a system
 * holds for its own origin only, because roles can set token URLs of their own.
 */
extern bool df_system_allows_private(const DfSystem *system, const char *url);

/* where it is and whose the credentials are, which are those of that mapping (fdw/where.c) */
extern void df_system_note_where(DfSystem *system, Oid mapping);

/* ---- what goes together (fdw/option_rules.c) ------------------------------ */

/* at which place of the headers one of that name is, -1 = none is */
extern int df_system_header(const DfSystem *system, const char *name);

/* whether those of one object fit together */
extern bool df_server_rules(const DfSystem *system, DfOptionProblem *problem);
extern bool df_mapping_rules(const DfSystem *system, DfOptionProblem *problem);

/* ---- what requests are signed with, and secrets in URLs (fdw/send_options.c) --- */

/* "query.name" */
extern bool df_query_set_named(DfNamedValues *to, const DfOption *option, const char *name,
							   const char *value, DfOptionProblem *problem);

/*
 * The parameters that the user mapping adds to URLs, encoded, NULL-terminated: secret with their
 * values, without them for who only looks for their names.
 */
extern char **df_query_pairs(const DfSystem *system, bool with_values);

/* the url, and the secret path; palloc'd */
extern char *df_system_base(const DfSystem *system);

/* the header that carries the time that is signed; NULL = none does */
extern char *df_sign_timestamp_header(const DfSystem *system, const DfSigning *signing);

/* whether a signature is, or needs, a header of that name */
extern bool df_system_writes_header(const DfSystem *system, const char *name, size_t len);

extern bool df_send_server_rules(const DfSystem *system, DfOptionProblem *problem);
extern bool df_send_mapping_rules(const DfSystem *system, DfOptionProblem *problem);

/* those of a server and of a user mapping together */
extern bool df_send_options_fit(const DfSystem *system, DfOptionProblem *problem);

/* ---- OAuth (fdw/oauth_options.c) ------------------------------------------ */

/* "token.name" or "claim.name", after what the server has */
extern bool df_oauth_set_named(DfNamedValues *to, const DfOption *option, Oid catalog,
							   const char *name, const char *value, DfOptionProblem *problem);

/* whether those of the user mapping fit together */
extern bool df_oauth_complete(const DfSystem *system, DfOptionProblem *problem);

extern void df_named_values_set(DfNamedValues *to, const char *name, const char *value);

/* overwrites the values in memory */
extern void df_named_values_forget(DfNamedValues *values);

/* always false */
extern bool df_refuse(DfOptionProblem *problem, int sqlstate, char *message, char *hint);
/* an option that needs another one; values are NULL if they are not set */
typedef struct DfOptionPair
{
	const char *name;
	const char *value;
	const char *needs;
	const char *needed;
} DfOptionPair;

extern bool df_pairs_complete(const DfOptionPair *pairs, int n, DfOptionProblem *problem);
extern bool df_needs_also(DfOptionProblem *problem, const char *option, const char *other);

/* ---- values (fdw/values.c) ------------------------------------------------ */

/* stores the value in *field; false if it is malformed, with *why where that is known */
extern bool df_option_parse(const DfOption *option, const char *value, void *field,
							const char **why);

/* a sentence that says what is valid */
extern char *df_option_valid(const DfOption *option);

/* "5min", as an option may be written */
extern char *df_duration_text(double ms);

#endif /* DF_FDW_OPTIONS_H */
