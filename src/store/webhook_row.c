/*
 * store/webhook_row.c
 *	  Deliveries that become rows of a user's table.
 *
 * Runs in sessions that create webhooks, in the ingress process and in sessions that call
 * receive_webhook(), in their transaction, as the webhook's creator and never as the extension's
 * owner: casts and triggers of the table are user code.  The caller limits its time.
 */
#include "postgres.h"

#include "access/htup_details.h"
#include "catalog/namespace.h"
#include "catalog/pg_class.h"
#include "compat.h"
#include "lib/stringinfo.h"
#include "miscadmin.h"
#include "shared/json.h"
#include "store/webhook_row.h"
#include "utils/acl.h"
#include "utils/builtins.h"
#include "utils/lsyscache.h"
#include "utils/varlena.h"

static const char *const columns[] = {"key", "event", "payload", "path", "event_id"};

static Oid
find_table(const char *name)
{
	List *names = stringToQualifiedNameList(name, NULL);
	Oid table = RangeVarGetRelid(makeRangeVarFromNameList(names), NoLock, true);

	if (!OidIsValid(table))
		ereport(ERROR,
				(errcode(ERRCODE_UNDEFINED_TABLE), errmsg("table \"%s\" does not exist", name),
				 errhint("Create it with the columns key text, event text and payload jsonb, "
						 "or name the one that is there.")));
	return table;
}

char *
df_webhook_table(const char *given)
{
	Oid table = find_table(given);
	char kind = get_rel_relkind(table);
	char *name = quote_qualified_identifier(get_namespace_name(get_rel_namespace(table)),
											get_rel_name(table));

	if ((kind != RELKIND_RELATION && kind != RELKIND_PARTITIONED_TABLE &&
		 kind != RELKIND_FOREIGN_TABLE && kind != RELKIND_VIEW) ||
		isAnyTempNamespace(get_rel_namespace(table)))
		ereport(ERROR,
				(errcode(ERRCODE_WRONG_OBJECT_TYPE),
				 errmsg("deliveries cannot be inserted into \"%s\"", given),
				 errhint("Name a table or view that is not temporary.")));
	if (pg_class_aclcheck(table, GetUserId(), ACL_INSERT) != ACLCHECK_OK &&
		pg_attribute_aclcheck_all(table, GetUserId(), ACL_INSERT, ACLMASK_ANY) != ACLCHECK_OK)
		ereport(ERROR,
				(errcode(ERRCODE_INSUFFICIENT_PRIVILEGE),
				 errmsg("role \"%s\" may not insert into table %s",
						GetUserNameFromId(GetUserId(), false), name),
				 errhint("GRANT INSERT ON %s TO %s", name,
						 quote_identifier(GetUserNameFromId(GetUserId(), false)))));
	if (get_attnum(table, "payload") == InvalidAttrNumber)
		ereport(ERROR,
				(errcode(ERRCODE_UNDEFINED_COLUMN),
				 errmsg("table %s has no column \"payload\"", name),
				 errhint("A delivery fills the columns key, event, payload, path and event_id, as "
						 "far as they are there; payload, of type jsonb, must be.")));
	return name;
}

/* {"args": [{"key": ..., ...}]}, of which the array is the arguments of the statement */
static Jsonb *
arguments(const DfWebhookRow *row)
{
	DfJson json;

	df_json_begin(&json);
	df_json_open_array(&json, "args");
	df_json_open_object(&json, NULL);
	df_json_text(&json, "key", row->key);
	df_json_text(&json, "event", row->event);
	df_json_value(&json, "payload", row->payload);
	df_json_text(&json, "path", row->path);
	df_json_text(&json, "event_id", row->event_id);
	df_json_close_object(&json);
	df_json_close_array(&json);
	return df_json_get(df_json_end(&json, CurrentMemoryContext), "args");
}

void
df_webhook_row_insert(const char *table, const DfWebhookRow *row, int lock_ms,
					  DfSqlOutcome *outcome)
{
	Oid oid = find_table(table);
	StringInfoData there;
	StringInfoData values;
	const char *sql;

	initStringInfo(&there);
	initStringInfo(&values);
	for (int i = 0; i < lengthof(columns); i++)
	{
		if (get_attnum(oid, columns[i]) == InvalidAttrNumber)
			continue;
		appendStringInfo(&there, "%s\"%s\"", there.len > 0 ? ", " : "", columns[i]);
		appendStringInfo(&values, "%sr.\"%s\"", values.len > 0 ? ", " : "", columns[i]);
	}
	sql = psprintf("INSERT INTO %s (%s)"
				   " SELECT %s FROM jsonb_populate_record(NULL::%s, $1) AS r",
				   table, there.data, values.data, table);
	df_user_sql_run(sql, arguments(row), false, lock_ms, outcome);
}
