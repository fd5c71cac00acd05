/*
 * session/language_check.c
 *	  What the checker of a language finds in a workflow's function.
 *
 * Runs in a user's backend, in the caller's transaction and role.  PL/pgSQL finds a wrong
 * column or a missing function when a statement is executed, which may be the step after the
 * one that has charged the customer; plpgsql_check finds it when the workflow is defined.
 * Must never fail a definition: a checker may be wrong.
 */
#include "postgres.h"

#include "commands/proclang.h"
#include "nodes/pg_list.h"
#include "session/language_check.h"
#include "shared/function.h"
#include "store/plpgsql_check.h"
#include "utils/builtins.h"

/* one WARNING each; of the others only their number */
#define MOST_WARNINGS 10

static int
sqlstate_of(const DfFinding *finding)
{
	const char *given = finding->sqlstate;

	/* a code of class 00 would say that all is well */
	if (given == NULL || strlen(given) != 5 || strncmp(given, "00", 2) == 0)
		return ERRCODE_WARNING;
	return MAKE_SQLSTATE(given[0], given[1], given[2], given[3], given[4]);
}

static char *
how_to_look(const char *schema, const char *function)
{
	return psprintf("Repair it, or see all that is found: SELECT * FROM "
					"%s.plpgsql_check_function(%s);",
					quote_identifier(schema), quote_literal_cstr(function));
}

static void
warn(const char *function, const DfFinding *finding, const char *look)
{
	char *place = finding->line > 0 ? psprintf(", line %d", finding->line) : pstrdup("");

	if (finding->line > 0 && finding->statement != NULL)
		place = psprintf("%s at %s", place, finding->statement);
	ereport(WARNING,
			(errcode(sqlstate_of(finding)),
			 errmsg("function %s%s: %s", function, place,
					finding->message != NULL ? finding->message : "plpgsql_check finds a fault"),
			 finding->detail != NULL ? errdetail_internal("%s", finding->detail) : 0,
			 finding->hint != NULL ? errhint("%s %s", finding->hint, look)
								   : errhint("%s", look)));
}

/* who trusts in being warned must know it */
static void
tell_unchecked(const char *function, const char *why)
{
	ereport(NOTICE,
			(errmsg("function %s was not checked by plpgsql_check", function),
			 errdetail_internal("%s", why),
			 errhint("The workflow is defined all the same. Have the extension repaired, or the "
					 "right to use its schema and function granted, and define it again.")));
}

static void
tell_findings(const char *function, List *findings, const char *look)
{
	ListCell *lc;
	int n = 0;

	foreach (lc, findings)
	{
		if (n++ == MOST_WARNINGS)
			break;
		warn(function, lfirst(lc), look);
	}
	if (list_length(findings) > MOST_WARNINGS)
		ereport(WARNING,
				(errmsg("function %s: plpgsql_check finds %d more faults", function,
						list_length(findings) - MOST_WARNINGS),
				 errhint("%s", look)));
}

void
df_language_check(const char *function)
{
	Oid oid = df_function_oid(function);
	char *schema;
	List *findings;
	char *why;

	if (df_function_language(oid) != get_language_oid("plpgsql", true) ||
		!df_plpgsql_check_is_there())
		return;
	schema = df_plpgsql_check_schema();
	if (schema == NULL)
	{
		tell_unchecked(function, "The extension has no function "
								 "plpgsql_check_function_tb(regprocedure, ...).");
		return;
	}
	findings = df_plpgsql_check(schema, oid, &why);
	if (why != NULL)
		tell_unchecked(function, why);
	tell_findings(function, findings, how_to_look(schema, function));
}
