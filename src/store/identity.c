/*
 * store/identity.c
 *	  Which database this is, so that a copy of it does not send again.
 *
 * The identity is asked for in every process, in the caller's transaction, as
 * the extension's owner.  adopt() runs in the transaction of a superuser's or
 * of the extension owner's session and is, with forget(), the one place outside
 * of the engine that changes runs.  Nothing here may use an owner's name instead of
 * its oid where the database is not held, or its oid instead of its name where it
 * is held.
 */
#include "postgres.h"

#include "access/xlog.h"
#include "catalog/namespace.h"
#include "catalog/pg_type.h"
#include "common/hashfn.h"
#include "miscadmin.h"
#include "utils/builtins.h"
#include "utils/inval.h"
#include "utils/lsyscache.h"
#include "utils/timestamp.h"

#include "flow/flow.h"
#include "guc.h"
#include "shared/clock.h"
#include "store/identity.h"
#include "store/run_count_table.h"
#include "store/page_token_table.h"
#include "store/cron_job.h"
#include "store/right_table.h"
#include "store/store.h"

/* ---- the random part ------------------------------------------------------ */

/* kept until its table is changed by DDL or by adopt() */
static bool origin_known = false;
static Oid origin_table = InvalidOid;
static char origin[40];

static Oid
find_origin_table(void)
{
	return get_relname_relid("origin", get_namespace_oid("dataflows", true));
}

static void
forget_origin(Datum arg, Oid relation)
{
	if (relation == InvalidOid || relation == origin_table)
		origin_known = false;
}

/* if the table is empty the identity is one that no row has */
static void
read_origin(void)
{
	static DfPlan plan = {
		"SELECT o.random::text FROM dataflows.origin AS o",
		SPI_OK_SELECT, 0};
	DfStore store;

	df_store_enter(&store);
	if (df_plan_run(&plan, NULL, NULL, 1) == 0)
		strlcpy(origin, "none", sizeof(origin));
	else
		strlcpy(origin, df_copy_text(CurrentMemoryContext, 0, 0), sizeof(origin));
	df_store_leave(&store);
}

/* false: there is no such table */
static bool
learn_origin(void)
{
	static bool listening = false;

	if (origin_known)
		return true;
	if (!listening)
		CacheRegisterRelcacheCallback(forget_origin, (Datum) 0);
	listening = true;
	origin_table = find_origin_table();
	if (!OidIsValid(origin_table))
		return false;
	origin_known = true; /* unless it is changed while it is read */
	PG_TRY();
	{
		read_origin();
	}
	PG_CATCH();
	{
		origin_known = false;
		PG_RE_THROW();
	}
	PG_END_TRY();
	return true;
}

static const char *
system_text(void)
{
	return psprintf(UINT64_FORMAT, GetSystemIdentifier());
}

/* a schema of 0.1 has token or system identifier for it; the update takes runs of that along */
char *
df_identity_text(void)
{
	const char *first = learn_origin() ? origin : df_identity_token[0] != '\0' ? df_identity_token
																			   : system_text();

	return psprintf("%s/%u", first, MyDatabaseId);
}

int64
df_identity_hash(void)
{
	char *text = df_identity_text();
	uint64 hash = hash_bytes_extended((unsigned char *) text, strlen(text), 0);

	pfree(text);
	return (int64) hash;
}

/* where our tables were emptied, everything begins again */
static void
ensure_origin(void)
{
	static DfPlan plan = {
		"INSERT INTO dataflows.origin DEFAULT"
		" VALUES"
		" ON CONFLICT (one) DO NOTHING",
		SPI_OK_INSERT, 0};

	if (df_plan_run(&plan, NULL, NULL, 0) > 0)
		CacheInvalidateRelcacheByRelid(find_origin_table());
}

/* ---- whose this is -------------------------------------------------------- */

/*
 * A token that is set for the first time in a copy of the files is what holds
 * it; set by a reload of a server that runs, it is this server's.
 */
static bool
token_is_set_since_start(void)
{
	return df_identity_at_start != NULL && df_identity_at_start[0] == '\0' &&
		df_identity_token[0] != '\0';
}

/* why runs must not move; NULL = they may */
static const char *
judge(DfInstallation *known)
{
	if (known->identity == NULL)
		return "its row in dataflows.installation is gone";
	if (strcmp(known->identity, df_identity_text()) != 0)
		return "it was restored from a dump, or made from a template";
	if (known->token != NULL)
		return strcmp(known->token, df_identity_token) == 0 ? NULL
			: df_identity_token[0] == '\0'
			? "dataflows.identity is not set, and the runs were made under one"
			: "dataflows.identity is another one";
	if (known->system == NULL || strcmp(known->system, system_text()) != 0)
		return "the system identifier of the cluster is another one";
	known->new_token = df_identity_token[0] != '\0';
	if (known->new_token && !token_is_set_since_start())
		return "dataflows.identity was set before the server started, and the runs were made under "
			   "none";
	return NULL;
}

void
df_installation_read(MemoryContext cxt, DfInstallation *installation)
{
	static DfPlan plan = {
		"SELECT i.identity, i.token, i.system, coalesce(i.paused, false)"
		" FROM (SELECT 1) AS x"
		" LEFT JOIN dataflows.installation AS i ON true"
		" WHERE i.one OR EXISTS (SELECT FROM dataflows.workflow)",
		SPI_OK_SELECT, 0};

	memset(installation, 0, sizeof(*installation));
	(void) learn_origin();
	if (df_plan_run(&plan, NULL, NULL, 1) == 0)
		return;
	installation->defined = true;
	installation->identity = df_copy_text(cxt, 0, 0);
	installation->token = df_copy_text(cxt, 0, 1);
	installation->system = df_copy_text(cxt, 0, 2);
	installation->paused = df_bool(0, 3, false);
	installation->why_held = judge(installation);
	installation->ours = installation->why_held == NULL;
}

bool
df_identity_is_ours(void)
{
	DfInstallation installation;
	DfStore store;

	df_store_enter(&store);
	df_installation_read(store.result_context, &installation);
	df_store_leave(&store);
	return !installation.defined || installation.ours;
}

bool
df_role_is_there(Oid role, const char *name)
{
	char *present = GetUserNameFromId(role, true);

	return present != NULL && (strcmp(present, name) == 0 || df_identity_is_ours());
}

/* identity, token and system of this database, for statements with $1 to $3 */
static void
present_values(Datum *values, char *nulls)
{
	values[0] = CStringGetTextDatum(df_identity_text());
	values[1] = CStringGetTextDatum(df_identity_token);
	values[2] = CStringGetTextDatum(system_text());
	memset(nulls, ' ', 3);
	if (df_identity_token[0] == '\0')
		nulls[1] = 'n';
}

void
df_installation_insert(void)
{
	static DfPlan find = {
		"SELECT FROM dataflows.installation",
		SPI_OK_SELECT, 0};
	static DfPlan plan = {
		"INSERT INTO dataflows.installation (identity, token, system)"
		" VALUES ($1, $2, $3)"
		" ON CONFLICT (one) DO NOTHING",
		SPI_OK_INSERT,
		DF_PARAMS(TEXTOID, TEXTOID, TEXTOID)};
	Datum values[3];
	char nulls[3];

	if (df_plan_run(&find, NULL, NULL, 1) > 0)
		return;
	ensure_origin();
	present_values(values, nulls);
	(void) df_plan_run(&plan, values, nulls, 0);
}

/* a session that has called pause() and not committed is waited for at the next check */
void
df_installation_take_token(void)
{
	static DfPlan plan = {
		"UPDATE dataflows.installation AS i"
		" SET token = $1"
		" WHERE i.one = ANY (ARRAY("
		"   SELECT k.one"
		"   FROM dataflows.installation AS k"
		"   WHERE k.token IS NULL"
		"   FOR UPDATE SKIP LOCKED))",
		SPI_OK_UPDATE,
		DF_PARAMS(TEXTOID)};
	Datum values[1] = {CStringGetTextDatum(df_identity_token)};

	if (df_plan_run(&plan, values, NULL, 0) > 0)
		ereport(LOG,
				(errmsg("the runs of this database belong to dataflows.identity \"%s\" from now on",
						df_identity_token)));
}

/* ---- owners --------------------------------------------------------------- */

/*
 * $1 = the database is held: then names tell who was meant, else only where there is no role of
 * that oid
 */
#define BY_NAME_SQL \
	"$1 OR NOT EXISTS (SELECT FROM pg_roles AS a WHERE a.oid = t.owner)"
#define OWNER_SQL \
	" owner = CASE WHEN " BY_NAME_SQL \
	"  THEN coalesce((SELECT a.oid FROM pg_roles AS a WHERE a.rolname = t.owner_name), 0)" \
	"  ELSE t.owner END," \
	" owner_name = CASE WHEN $1 THEN t.owner_name" \
	"  ELSE coalesce((SELECT a.rolname FROM pg_roles AS a WHERE a.oid = t.owner)," \
	"   t.owner_name) END"
/* who owns the function of that signature, 0 = there is none */
#define FUNCTION_OWNER_SQL(column, signature) \
	" " column " = CASE WHEN " BY_NAME_SQL " OR t." column " = 0" \
	"  THEN coalesce((SELECT p.proowner FROM pg_proc AS p" \
	"   WHERE p.oid = to_regprocedure(t." signature ")), 0)" \
	"  ELSE t." column " END"

/*
 * In another cluster the same names have other oids, and these oids may be
 * other roles'.  A role that calls adopt() says that the roles and functions of
 * this cluster are the ones that were meant; what has no owner here gets owner 0
 * until adopt() is called again.
 */
static void
adopt_owners(bool held)
{
	/* clang-format off */
	static DfPlan plans[] = {
		{"UPDATE dataflows.workflow AS t SET"
		 OWNER_SQL "," FUNCTION_OWNER_SQL("function_owner", "function"),
		 SPI_OK_UPDATE, DF_PARAMS(BOOLOID)},
		{"UPDATE dataflows.webhook AS t SET"
		 OWNER_SQL "," FUNCTION_OWNER_SQL("handler_owner", "handler"),
		 SPI_OK_UPDATE, DF_PARAMS(BOOLOID)},
		{"UPDATE dataflows.schedule AS t SET" OWNER_SQL,
		 SPI_OK_UPDATE, DF_PARAMS(BOOLOID)},
	};
	/* clang-format on */
	Datum values[1] = {BoolGetDatum(held)};

	for (int i = 0; i < lengthof(plans); i++)
		(void) df_plan_run(&plans[i], values, NULL, 0);
	df_rights_adopt(held);
}

#define NAMES_SQL(table) \
	"UPDATE dataflows." table " AS t SET owner_name = a.rolname" \
	" FROM pg_roles AS a" \
	" WHERE a.oid = t.owner AND t.ctid = ANY (ARRAY(" \
	"  SELECT k.ctid FROM dataflows." table " AS k, pg_roles AS b" \
	"  WHERE b.oid = k.owner AND b.rolname <> k.owner_name" \
	"  FOR UPDATE OF k SKIP LOCKED))"

/* a dump takes the names along, and another cluster has nothing else to go by */
bool
df_update_owner_names(TimestampTz now)
{
	static DfPlan plans[] = {
		{NAMES_SQL("workflow"), SPI_OK_UPDATE, 0},
		{NAMES_SQL("webhook"), SPI_OK_UPDATE, 0},
		{NAMES_SQL("schedule"), SPI_OK_UPDATE, 0},
	};

	for (int i = 0; i < lengthof(plans); i++)
		(void) df_plan_run(&plans[i], NULL, NULL, 0);
	df_rights_tidy();
	return false;
}

static List *
workflow_owners(MemoryContext cxt)
{
	static DfPlan plan = {
		"SELECT DISTINCT w.owner FROM dataflows.workflow AS w",
		SPI_OK_SELECT, 0};

	return df_plan_oids(&plan, cxt);
}

/* 0.1 knew rights as grants on functions; its dump alone fills link_key */
static bool
is_dump_of_0_1(void)
{
	static DfPlan plan = {
		"SELECT FROM dataflows.installation AS i WHERE i.link_key IS NOT NULL",
		SPI_OK_SELECT, 0};

	return df_plan_run(&plan, NULL, NULL, 1) > 0;
}

/* ---- adopt() -------------------------------------------------------------- */

/* the key in a dump of 0.1 is of no use to anybody from here on */
static void
adopt_installation(void)
{
	static DfPlan plan = {
		"UPDATE dataflows.installation"
		" SET identity = $1, token = $2, system = $3, link_key = NULL",
		SPI_OK_UPDATE,
		DF_PARAMS(TEXTOID, TEXTOID, TEXTOID)};
	Datum values[3];
	char nulls[3];

	present_values(values, nulls);
	(void) df_plan_run(&plan, values, nulls, 0);
}

/*
 * The workers that held these runs in the original do not exist here.  A completed run
 * comes along, since it can still be undone.
 */
static uint64
adopt_runs(void)
{
	static DfPlan plan = {
		"WITH u AS ("
		"  UPDATE dataflows.run AS r"
		"  SET identity = $1, wake_at = CASE WHEN r.lease IS NULL THEN r.wake_at ELSE $2 END,"
		"   lease = NULL"
		"  WHERE r.identity <> $1 AND r.state = ANY ($3)"
		"  RETURNING r.finished_at)"
		" SELECT count(*)"
		" FROM u"
		" WHERE u.finished_at IS NULL",
		SPI_OK_SELECT,
		DF_PARAMS(INT8OID, TIMESTAMPTZOID, TEXTARRAYOID)};
	Datum names[DF_RUN_NSTATES];
	Datum values[3];
	int n = 0;

	for (int state = 0; state < DF_RUN_NSTATES; state++)
		if (!df_run_is_terminal(state) || df_run_next(state, DF_RUN_UNDO) >= 0)
			names[n++] = CStringGetTextDatum(df_run_state_name(state));
	values[0] = Int64GetDatum(df_identity_hash());
	values[1] = TimestampTzGetDatum(df_now());
	values[2] = df_array(TEXTOID, names, NULL, n);
	(void) df_plan_run(&plan, values, NULL, 0);
	return df_int64(0, 0, 0);
}

/* the runs of a copy of the files are of the same identity: they were held by the token */
static uint64
count_live(void)
{
	static DfPlan plan = {
		"SELECT count(*)"
		" FROM dataflows.run AS r"
		" WHERE r.identity = $1 AND r.finished_at IS NULL",
		SPI_OK_SELECT,
		DF_PARAMS(INT8OID)};
	Datum values[1] = {Int64GetDatum(df_identity_hash())};

	(void) df_plan_run(&plan, values, NULL, 0);
	return df_int64(0, 0, 0);
}

int64
df_identity_adopt(List **owners)
{
	DfStore store;
	DfInstallation before;
	bool same_files;
	bool of_0_1;
	uint64 n = 0;

	*owners = NIL;
	df_store_enter(&store);
	df_installation_read(store.result_context, &before);
	if (before.defined)
	{
		same_files = !before.ours &&
			(before.identity == NULL || strcmp(before.identity, df_identity_text()) == 0);
		n = same_files ? count_live() : 0;
		ensure_origin();
		df_installation_insert();
		of_0_1 = is_dump_of_0_1();
		adopt_installation();
		adopt_owners(!before.ours);
		if (of_0_1)
			df_rights_from_grants(false); /* all oids are of this cluster now */
		if (!before.ours)
		{
			df_link_key_renew();
			(void) df_page_tokens_drop();
			df_cron_adopt();
		}
		n += adopt_runs();
		/* what was restored beside other rows, or deleted by hand, has not been counted */
		df_run_counts_correct();
		*owners = workflow_owners(store.result_context);
	}
	df_store_leave(&store);
	return (int64) n;
}

/* ---- the key of links ----------------------------------------------------- */

bytea *
df_link_key(MemoryContext cxt)
{
	static DfPlan plan = {
		"SELECT o.link_key FROM dataflows.origin AS o",
		SPI_OK_SELECT, 0};
	MemoryContext old;
	bytea *key;

	if (df_plan_run(&plan, NULL, NULL, 1) == 0)
		return NULL;
	old = MemoryContextSwitchTo(cxt);
	key = DatumGetByteaPCopy(df_value(0, 0));
	MemoryContextSwitchTo(old);
	return key;
}

void
df_link_key_renew(void)
{
	static DfPlan plan = {
		"UPDATE dataflows.origin SET link_key = DEFAULT",
		SPI_OK_UPDATE, 0};

	ensure_origin();
	(void) df_plan_run(&plan, NULL, NULL, 0);
}
