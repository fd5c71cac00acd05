/*
 * store/right_table.c
 *	  Statements on dataflows.workflow_right: who was given which right in which
 *	  workflow.
 *
 * Runs in users' sessions, in workers and in ingress, in the caller's transaction,
 * as the extension's owner; what tidies runs in a coordinator, what adopts in the
 * session of adopt().  A right belongs to the name of a workflow.  Rows hold the
 * oid of the role and its name: which of them tells the role says
 * df_role_is_there().  What the rows mean is decided in store/rights.c.
 */
#include "postgres.h"

#include "catalog/pg_type.h"
#include "utils/builtins.h"
#include "utils/timestamp.h"

#include "store/right_table.h"
#include "store/store.h"

List *
df_rights_list(const char *workflow, Oid role, bool of_query, MemoryContext cxt)
{
	static DfPlan plan = {
		"SELECT r.role, r.role_name, r.\"right\""
		" FROM dataflows.workflow_right AS r"
		" WHERE r.workflow = $1 AND (r.role = 0 OR pg_has_role($2, r.role, 'USAGE'))",
		SPI_OK_SELECT,
		DF_PARAMS(TEXTOID, OIDOID)};
	Datum values[2] = {CStringGetTextDatum(workflow), ObjectIdGetDatum(role)};
	uint64 n = of_query ? df_plan_run_of_query(&plan, values, NULL, 0)
						: df_plan_run_latest(&plan, values, NULL, 0);
	List *rows = NIL;

	for (uint64 i = 0; i < n; i++)
	{
		DfRightRow *row = MemoryContextAlloc(cxt, sizeof(DfRightRow));

		row->role = DatumGetObjectId(df_value(i, 0));
		row->role_name = df_copy_text(cxt, i, 1);
		row->right = df_copy_text(cxt, i, 2);
		rows = df_append(cxt, rows, row);
	}
	return rows;
}

void
df_right_insert(const DfNewRight *new)
{
	static DfPlan plan = {
		"INSERT INTO dataflows.workflow_right"
		"  (workflow, role, role_name, \"right\", granted_by, granted_at)"
		" SELECT $1, $2, $3, $4, $5, $6"
		" WHERE NOT EXISTS ("
		"  SELECT FROM dataflows.workflow_right AS r"
		"  WHERE r.workflow = $1 AND r.role = $2 AND r.\"right\" = $4"
		"  AND (r.role_name = $3 OR (r.role <> 0 AND NOT $7)))"
		" ON CONFLICT (workflow, role, role_name, \"right\") DO NOTHING",
		SPI_OK_INSERT,
		DF_PARAMS(TEXTOID, OIDOID, TEXTOID, TEXTOID, TEXTOID, TIMESTAMPTZOID, BOOLOID)};
	Datum values[7];

	values[0] = CStringGetTextDatum(new->workflow);
	values[1] = ObjectIdGetDatum(new->role);
	values[2] = CStringGetTextDatum(new->role_name);
	values[3] = CStringGetTextDatum(new->right);
	values[4] = CStringGetTextDatum(new->by);
	values[5] = TimestampTzGetDatum(new->now);
	values[6] = BoolGetDatum(new->held);
	(void) df_plan_run(&plan, values, NULL, 0);
}

void
df_right_delete(const DfNewRight *old)
{
	static DfPlan plan = {
		"DELETE FROM dataflows.workflow_right AS r"
		" WHERE r.workflow = $1"
		" AND ($4 IS NULL OR r.\"right\" = $4"
		"  OR ($4 = 'signal' AND starts_with(r.\"right\", '" DF_SIGNAL_PREFIX "')))"
		" AND CASE WHEN $5 THEN r.role_name = $3"
		"  ELSE (r.role = $2 AND (r.role <> 0 OR r.role_name = $3))"
		"   OR (r.role_name = $3"
		"    AND NOT EXISTS (SELECT FROM pg_roles AS a WHERE a.oid = r.role)) END",
		SPI_OK_DELETE,
		DF_PARAMS(TEXTOID, OIDOID, TEXTOID, TEXTOID, BOOLOID)};
	Datum values[5];
	char nulls[] = "     ";

	values[0] = CStringGetTextDatum(old->workflow);
	values[1] = ObjectIdGetDatum(old->role);
	values[2] = CStringGetTextDatum(old->role_name);
	values[3] = old->right == NULL ? (Datum) 0 : CStringGetTextDatum(old->right);
	nulls[3] = old->right == NULL ? 'n' : ' ';
	values[4] = BoolGetDatum(old->held);
	(void) df_plan_run(&plan, values, nulls, 0);
}

void
df_rights_drop(const char *workflow)
{
	static DfPlan plan = {
		"DELETE FROM dataflows.workflow_right AS r"
		" WHERE r.workflow = $1",
		SPI_OK_DELETE,
		DF_PARAMS(TEXTOID)};
	Datum values[1] = {CStringGetTextDatum(workflow)};

	(void) df_plan_run(&plan, values, NULL, 0);
}

void
df_rights_drop_of_role(Oid role)
{
	static DfPlan plan = {
		"DELETE FROM dataflows.workflow_right AS r"
		" WHERE r.role = $1 AND r.role <> 0",
		SPI_OK_DELETE,
		DF_PARAMS(OIDOID)};
	Datum values[1] = {ObjectIdGetDatum(role)};

	(void) df_plan_run(&plan, values, NULL, 0);
}

/*
 * In 0.1 EXECUTE on the function of the newest version, granted by name and
 * neither to PUBLIC nor to the function's owner, was the right to start, signal
 * and cancel.  A function of another owner than at the definition did not count; in a copy
 * oids may be another cluster's, and the function that is there is the one that is meant.
 */
void
df_rights_from_grants(bool held)
{
	static DfPlan plan = {
		"INSERT INTO dataflows.workflow_right"
		"  (workflow, role, role_name, \"right\", granted_by, granted_at)"
		" SELECT DISTINCT w.name, g.oid, g.rolname::text, x.\"right\","
		"  coalesce((SELECT b.rolname::text FROM pg_roles AS b WHERE b.oid = a.grantor),"
		"   w.owner_name),"
		"  now()"
		" FROM ("
		"  SELECT DISTINCT ON (v.name) v.name, v.function, v.function_owner, v.owner,"
		"   v.owner_name"
		"  FROM dataflows.workflow AS v"
		"  ORDER BY v.name, v.version DESC) AS w"
		" JOIN pg_proc AS p"
		"  ON p.oid = to_regprocedure(w.function) AND ($1 OR p.proowner = w.function_owner),"
		" LATERAL aclexplode(p.proacl) AS a"
		" JOIN pg_roles AS g ON g.oid = a.grantee,"
		" unnest('{start,signal,cancel}'::text[]) AS x (\"right\")"
		" WHERE a.privilege_type = 'EXECUTE' AND a.grantee <> p.proowner"
		"  AND CASE WHEN $1 THEN g.rolname <> w.owner_name ELSE g.oid <> w.owner END"
		" ON CONFLICT (workflow, role, role_name, \"right\") DO NOTHING",
		SPI_OK_INSERT,
		DF_PARAMS(BOOLOID)};
	Datum values[1] = {BoolGetDatum(held)};

	(void) df_plan_run(&plan, values, NULL, 0);
}

/*
 * A name that was no role's in this cluster gets oid 0, until adopt() is called
 * again.  What a dropped role had is not given to a role that has its name now.
 * Of two rows that come to be the same one goes first.
 */
void
df_rights_adopt(bool held)
{
	/* clang-format off */
	static DfPlan plans[] = {
		{"DELETE FROM dataflows.workflow_right AS r"
		 " USING dataflows.workflow_right AS k"
		 " WHERE k.workflow = r.workflow AND k.role_name = r.role_name"
		 " AND k.\"right\" = r.\"right\" AND k.ctid < r.ctid"
		 " AND ($1 OR k.role = 0 OR r.role = 0)",
		 SPI_OK_DELETE, DF_PARAMS(BOOLOID)},
		{"UPDATE dataflows.workflow_right AS r"
		 " SET role ="
		 "  coalesce((SELECT a.oid FROM pg_roles AS a WHERE a.rolname = r.role_name), 0)"
		 " WHERE $1 OR r.role = 0",
		 SPI_OK_UPDATE, DF_PARAMS(BOOLOID)},
	};
	/* clang-format on */
	Datum values[1] = {BoolGetDatum(held)};

	for (int i = 0; i < lengthof(plans); i++)
		(void) df_plan_run(&plans[i], values, NULL, 0);
}

/* only where the database is not held: else oids say nothing */
void
df_rights_tidy(void)
{
	/* clang-format off */
	static DfPlan plans[] = {
		{"UPDATE dataflows.workflow_right AS r"
		 " SET role_name = a.rolname"
		 " FROM pg_roles AS a"
		 " WHERE a.oid = r.role AND r.ctid = ANY (ARRAY("
		 "  SELECT k.ctid"
		 "  FROM dataflows.workflow_right AS k, pg_roles AS b"
		 "  WHERE b.oid = k.role AND b.rolname <> k.role_name"
		 "  FOR UPDATE OF k SKIP LOCKED))",
		 SPI_OK_UPDATE, 0},
		{"DELETE FROM dataflows.workflow_right AS r"
		 " WHERE r.ctid = ANY (ARRAY("
		 "  SELECT k.ctid"
		 "  FROM dataflows.workflow_right AS k"
		 "  WHERE k.role <> 0 AND NOT EXISTS (SELECT FROM pg_roles AS b WHERE b.oid = k.role)"
		 "  FOR UPDATE OF k SKIP LOCKED))",
		 SPI_OK_DELETE, 0},
	};
	/* clang-format on */

	for (int i = 0; i < lengthof(plans); i++)
		(void) df_plan_run(&plans[i], NULL, NULL, 0);
}
