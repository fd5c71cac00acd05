/*
 * flow/classify.c
 *	  What an error of a body, or of a query step, means for its run.
 *
 * Called by a worker after the body's subtransaction was rolled back.  Pure: an
 * SQLSTATE and a message go in.  It must never call an error of the deployment
 * a failure of the run, since that would undo customers because of a typo.  An
 * SQLSTATE that it does not know counts as raised by the body on purpose.
 *
 * Our own suspension and our own body timeout are 57014 too; the caller knows
 * them by their flags and does not ask.
 */
#include "postgres.h"

#include "flow/flow.h"
#include "types/base.h"

/* classes that a deploy error has: a person is needed, nothing is undone */
static const char *const stuck_classes[] = {
	"0A", /* feature not supported */
	"25", /* a write in the read-only body */
	"2D", /* COMMIT or ROLLBACK in the body */
	"2F", /* SQL routine: not permitted to write */
	"39", /* external routine invocation */
	"42", /* syntax, a missing column, a missing right */
	"54", /* program limit: too complex, recursion */
	"58P", /* a file is missing, or there already */
	"F0", /* configuration file */
	"XX", /* internal error, corruption */
};

/* classes and states that pass by themselves */
static const char *const transient_states[] = {
	"08", /* a connection, of dblink or postgres_fdw */
	"40", /* serialization failure, deadlock */
	"53", /* out of memory, disk or connections */
	"55P03", /* lock not available: a migration holds it */
	"57014", /* somebody cancelled the query */
	"57P", /* shutdown, crash, cannot connect now */
	"580", /* the machine: input or output failed */
};

/*
 * How PL/Python begins the message of an exception that it wraps into class
 * 38: the typos and missing modules among them, with their subclasses, and its
 * own words for a function that does not compile.
 */
static const char *const stuck_messages[] = {
	"AttributeError:",
	"ImportError:",
	"IndentationError:",
	"ModuleNotFoundError:",
	"NameError:",
	"SyntaxError:",
	"TabError:",
	"UnboundLocalError:",
	"could not compile PL/Python ",
};

static bool
starts_with_any(const char *text, const char *const *prefixes, int nprefixes)
{
	int i;

	for (i = 0; i < nprefixes; i++)
	{
		if (strncmp(text, prefixes[i], strlen(prefixes[i])) == 0)
			return true;
	}
	return false;
}

static DfBodyError
own_error(int sqlstate)
{
	switch (sqlstate)
	{
		case DF_ERR_RECORD_MISMATCH: /* the body does not match its record */
		case DF_ERR_OUTSIDE_WORKFLOW: /* a step where none may be */
		case DF_ERR_UNKNOWN: /* a workflow that is not there, in call() or in a query's start() */
		case DF_ERR_LIMIT: /* an endless loop, a body too big: code, not data */
		case DF_ERR_NOT_LOADED: /* the server's configuration */
			return DF_BODY_STUCK;
		default:
			return DF_BODY_FAILED;
	}
}

/* the five characters of an SQLSTATE, as unpack_sql_state() would give them */
static void
spell(int sqlstate, char *text)
{
	int i;

	for (i = 0; i < 5; i++)
	{
		text[i] = PGUNSIXBIT(sqlstate);
		sqlstate >>= 6;
	}
	text[5] = '\0';
}

DfBodyError
df_classify_body_error(int sqlstate, const char *message)
{
	char text[6];

	spell(sqlstate, text);
	if (strncmp(text, "DF", 2) == 0)
		return own_error(sqlstate);
	if (starts_with_any(text, transient_states, lengthof(transient_states)))
		return DF_BODY_TRANSIENT;
	if (starts_with_any(text, stuck_classes, lengthof(stuck_classes)))
		return DF_BODY_STUCK;
	if (strncmp(text, "38", 2) == 0 && message != NULL &&
		starts_with_any(message, stuck_messages, lengthof(stuck_messages)))
		return DF_BODY_STUCK;
	return DF_BODY_FAILED;
}
