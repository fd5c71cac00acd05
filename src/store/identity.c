/*
 * store/identity.c
 *	  Which database this is, so that a copy of it does not send again.
 *
 * The text is computed wherever it is needed; adopt() runs in the transaction
 * of a superuser's or of the extension owner's session, as the extension's
 * owner, and is the one place outside of the engine that changes runs.
 */
#include "postgres.h"

#include "access/xlog.h"
#include "catalog/pg_type.h"
#include "common/hashfn.h"
#include "miscadmin.h"
#include "utils/builtins.h"
#include "utils/timestamp.h"

#include "flow/flow.h"
#include "guc.h"
#include "shared/clock.h"
#include "store/identity.h"
#include "store/store.h"

#define EQ " OPERATOR(pg_catalog.=) "
#define NE " OPERATOR(pg_catalog.<>) "

char *
df_identity_text(void)
{
	if (df_identity_token != NULL && df_identity_token[0] != '\0')
		return psprintf("%s/%u", df_identity_token, MyDatabaseId);
	return psprintf(UINT64_FORMAT "/%u", GetSystemIdentifier(), MyDatabaseId);
}

int64
df_identity_hash(void)
{
	char	   *text = df_identity_text();
	uint64		hash = hash_bytes_extended((unsigned char *) text, strlen(text), 0);

	pfree(text);
	return (int64) hash;
}

static void
adopt_installation(void)
{
	static DfPlan plan = {
		"UPDATE dataflows.installation SET identity = $1, live = false",
		SPI_OK_UPDATE, 1, {TEXTOID}
	};
	Datum		values[1];

	values[0] = CStringGetTextDatum(df_identity_text());
	(void) df_plan_run(&plan, values, NULL, 0);
}

/* whoever held these runs in the original does not exist here */
static uint64
adopt_runs(void)
{
	static DfPlan plan = {
		"UPDATE dataflows.run AS r SET identity = $1,"
		" wake_at = CASE WHEN r.lease IS NULL THEN r.wake_at ELSE $2 END, lease = NULL"
		" WHERE r.identity" NE "$1 AND r.state" EQ "ANY ($3)",
		SPI_OK_UPDATE, 3, {INT8OID, TIMESTAMPTZOID, TEXTARRAYOID}
	};
	Datum		names[DF_RUN_NSTATES];
	Datum		values[3];
	int			n = 0;

	for (int state = 0; state < DF_RUN_NSTATES; state++)
		if (!df_run_is_terminal(state))
			names[n++] = CStringGetTextDatum(df_run_state_name(state));
	values[0] = Int64GetDatum(df_identity_hash());
	values[1] = TimestampTzGetDatum(df_now());
	values[2] = df_array(TEXTOID, names, NULL, n);
	return df_plan_run(&plan, values, NULL, 0);
}

/*
 * In another cluster the same names have other oids.  Who adopts a copy says
 * that its roles and functions are the ones that were meant.
 */
static void
adopt_workflows(void)
{
	static DfPlan plan = {
		"UPDATE dataflows.workflow AS w SET owner = o.oid, function_owner = coalesce(p.proowner, w.function_owner)"
		" FROM pg_catalog.pg_authid AS o, dataflows.workflow AS v"
		" LEFT JOIN pg_catalog.pg_proc AS p ON p.oid" EQ "pg_catalog.to_regprocedure(v.function)"
		" WHERE o.rolname" EQ "w.owner_name AND v.name" EQ "w.name AND v.version" EQ "w.version",
		SPI_OK_UPDATE, 0
	};

	(void) df_plan_run(&plan, NULL, NULL, 0);
}

static List *
workflow_owners(MemoryContext cxt)
{
	static DfPlan plan = {
		"SELECT DISTINCT w.owner FROM dataflows.workflow AS w",
		SPI_OK_SELECT, 0
	};
	uint64		n = df_plan_run(&plan, NULL, NULL, 0);
	MemoryContext old = MemoryContextSwitchTo(cxt);
	List	   *owners = NIL;

	for (uint64 row = 0; row < n; row++)
		owners = lappend_oid(owners, DatumGetObjectId(df_value(row, 0)));
	MemoryContextSwitchTo(old);
	return owners;
}

int64
df_identity_adopt(List **owners)
{
	DfStore		store;
	uint64		n;

	df_store_enter(&store);
	adopt_installation();
	adopt_workflows();
	n = adopt_runs();
	*owners = workflow_owners(store.result_context);
	df_store_leave(&store);
	return (int64) n;
}
