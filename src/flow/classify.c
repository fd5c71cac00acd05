/*
 * flow/classify.c
 *	  What an error of a body means for its run: it fails, is stuck, or is entered again.
 *
 * Called by a worker after the body's subtransaction was rolled back.  Pure: what is known
 * of the error goes in.  A run that fails is undone, so it must fail only by what the author
 * or a system said on purpose: an ordinary mistake, and every error that is not known here,
 * is a person's.
 *
 * Our own suspension and our own body timeout are 57014 too; the caller knows them by their
 * flags and does not ask.
 */
#include "postgres.h"

#include "flow/flow.h"
#include "flow/names.h"
#include "types/base.h"

/* what a body raises on purpose: RAISE EXCEPTION, dataflows.fail() */
static const char *const failing_states[] = {"P0001", "DF008"};

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

/* what is wrong with the deployment: it fails no run, not even with undo_on => 'error' */
static const char *const deploy_states[] = {
	"0A", /* feature not supported */
	"25", /* a write in the read-only body */
	"2D", /* COMMIT or ROLLBACK in the body */
	"2F", /* SQL routine: not permitted to write */
	"39", /* external routine invocation */
	"42", /* syntax, a missing column, a missing right */
	"54", /* program limit: too complex, recursion */
	"58P", /* a file is missing, or there already */
	"DF003", /* the body does not match its record */
	"DF004", /* a step where none may be */
	"DF005", /* a workflow that is not there, in call() or in a query's start() */
	"DF006", /* an endless loop, a body too big: code, not data */
	"DF007", /* the server's configuration */
	"F0", /* configuration file */
	"XX", /* internal error, corruption */
};

/*
 * How PL/Python begins the message of an exception that it wraps into class
 * 38: the typos and missing modules among them, with their subclasses, and its
 * own words for a function that does not compile.
 */
static const char *const deploy_messages[] = {
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

static bool
is_about_deployment(const char *state, const char *message)
{
	return starts_with_any(state, deploy_states, lengthof(deploy_states)) ||
		(strncmp(state, "38", 2) == 0 && message != NULL &&
		 starts_with_any(message, deploy_messages, lengthof(deploy_messages)));
}

DfBodyError
df_classify_body_error(int sqlstate, const char *message, DfUndoOn undo_on)
{
	char text[6];

	spell(sqlstate, text);
	if (starts_with_any(text, failing_states, lengthof(failing_states)))
		return DF_BODY_FAILED;
	if (starts_with_any(text, transient_states, lengthof(transient_states)))
		return DF_BODY_TRANSIENT;
	if (undo_on != DF_UNDO_ON_ERROR || is_about_deployment(text, message))
		return DF_BODY_STUCK;
	return DF_BODY_FAILED;
}

/* ---- an uncaught DF001 ---------------------------------------------------- */

/*
 * A constraint refuses data as a system refuses a request, and a RAISE or fail() in a function
 * of the SQL is said on purpose.
 */
DfWhy
df_why_sql_failed(int sqlstate)
{
	char text[6];

	spell(sqlstate, text);
	if (strncmp(text, "23", 2) == 0 ||
		starts_with_any(text, failing_states, lengthof(failing_states)))
		return DF_WHY_REFUSED;
	/* what is transient has used up its time by now */
	if (starts_with_any(text, transient_states, lengthof(transient_states)))
		return DF_WHY_LIMIT;
	return DF_WHY_ERROR;
}

/* of what fails the run with undo_on => 'error' alone */
static DfBodyError
classify_error(const DfFailure *failure)
{
	return failure->sqlstate == 0 ||
			df_classify_body_error(failure->sqlstate, NULL, DF_UNDO_ON_ERROR) != DF_BODY_STUCK
		? DF_BODY_FAILED
		: DF_BODY_STUCK;
}

DfBodyError
df_classify_failure(const DfFailure *failure, DfUndoOn undo_on)
{
	switch (failure->why)
	{
		case DF_WHY_REFUSED:
		case DF_WHY_OWN_LIMIT:
		case DF_WHY_TIMEOUT:
			return DF_BODY_FAILED;
		case DF_WHY_IN_DOUBT:
			if (failure->doubt_fails)
				return DF_BODY_FAILED;
			break;
		case DF_WHY_CHILD:
			/* that it failed was said on purpose; that it was cancelled is a person's word */
			if (failure->child_state == DF_RUN_ROLLED_BACK)
				return DF_BODY_FAILED;
			break;
		case DF_WHY_NONE:
		case DF_WHY_LIMIT:
		case DF_WHY_ERROR:
			break;
	}
	return undo_on == DF_UNDO_ON_ERROR ? classify_error(failure) : DF_BODY_STUCK;
}

/* ---- names ---------------------------------------------------------------- */

static const char *const undo_on_names[] = {
	[DF_UNDO_ON_FAILURE] = "failure",
	[DF_UNDO_ON_ERROR] = "error",
	[DF_UNDO_ON_NEVER] = "never",
};
StaticAssertDecl(lengthof(undo_on_names) == DF_NUNDO_ON, "a value of undo_on has no name");

int
df_undo_on_of(const char *name)
{
	return df_value_of(undo_on_names, lengthof(undo_on_names), name);
}
