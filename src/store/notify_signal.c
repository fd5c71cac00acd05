/*
 * store/notify_signal.c
 *	  Statements for signals that come by NOTIFY.
 *
 * Runs in a coordinator, in its transaction, as the extension's owner.  Every role
 * that can connect can notify: a signal is taken only if the workflow accepts it,
 * and the payload must never be more than a value.
 */
#include "postgres.h"

#include "catalog/pg_type.h"
#include "utils/builtins.h"
#include "utils/timestamp.h"

#include "flow/flow.h"
#include "guc.h"
#include "shared/metrics.h"
#include "store/alias_table.h"
#include "store/inbox_table.h"
#include "store/notify_signal.h"
#include "store/store.h"

/* what a NOTIFY is about: the run if there is one, and what its workflow allows */
typedef struct Target
{
	bool has_run;
	pg_uuid_t run;
	char *workflow;
	char *key; /* may be NULL */
	char *state; /* of the run */
	char *accept;
	Oid owner;
} Target;

static bool
copy_target(Target *target, uint64 n)
{
	if (n == 0)
		return false;
	target->has_run = !df_is_null(0, 0);
	target->run = df_copy_uuid(0, 0);
	target->workflow = df_copy_text(CurrentMemoryContext, 0, 1);
	target->key = df_copy_text(CurrentMemoryContext, 0, 2);
	target->state = df_copy_text(CurrentMemoryContext, 0, 3);
	target->accept = df_copy_text(CurrentMemoryContext, 0, 4);
	target->owner = DatumGetObjectId(df_value(0, 5));
	return true;
}

static bool
find_by_run(pg_uuid_t run, Target *target)
{
	static DfPlan plan = {
		"SELECT r.run, r.workflow, r.key, r.state, w.accept_notify, w.owner"
		" FROM dataflows.run AS r, dataflows.workflow AS w"
		" WHERE r.run = $1 AND w.name = r.workflow AND w.version = r.version",
		SPI_OK_SELECT,
		DF_PARAMS(UUIDOID)};
	Datum values[1];

	values[0] = UUIDPGetDatum(&run);
	return copy_target(target, df_plan_run(&plan, values, NULL, 1));
}

/* the run that holds the key, under its own version; else the newest version */
static bool
find_by_key(const char *workflow, const char *key, Target *target)
{
	/* clang-format off */
	static DfPlan plan = {
		"SELECT r.run, w.name, $2, r.state, w.accept_notify, w.owner"
		" FROM dataflows.workflow AS w"
		" LEFT JOIN LATERAL " DF_HOLDER_SQL("w.name", "$2") " AS r ON true"
		" WHERE w.name = $1 AND (r.run IS NULL AND NOT w.dropped OR r.version = w.version)"
		" ORDER BY w.version DESC"
		" LIMIT 1",
		SPI_OK_SELECT,
		DF_PARAMS(TEXTOID, TEXTOID)};
	/* clang-format on */
	Datum values[2];

	values[0] = CStringGetTextDatum(workflow);
	values[1] = CStringGetTextDatum(key);
	return copy_target(target, df_plan_run(&plan, values, NULL, 1));
}

static void
insert_signal(const DfNotifySignal *signal, const Target *target)
{
	DfNewMessage message = {
		.workflow = target->workflow,
		.key = target->key,
		.kind = DF_MESSAGE_SIGNAL,
		.event = signal->event,
		.payload = signal->payload,
		.sent_by = "NOTIFY",
		.sent_pid = signal->pid,
		.now = signal->at,
	};

	if (target->has_run)
		message.run = &target->run;
	else
		message.expires_at =
			TimestampTzPlusMilliseconds(signal->at, df_signal_ttl * INT64CONST(1000));
	df_inbox_insert(&message);
}

/* by the partial indexes: what is due or will be, and what only an event moves */
bool
df_some_accept_notify(void)
{
	static DfPlan plan = {
		"SELECT FROM ("
		"  SELECT DISTINCT w.name FROM dataflows.workflow AS w"
		"  WHERE w.accept_notify <> 'none') AS g"
		" WHERE EXISTS ("
		"  SELECT FROM dataflows.run AS r"
		"  WHERE r.workflow = g.name AND r.sql = ANY ('{f,t}') AND r.wake_at IS NOT NULL)"
		" OR EXISTS ("
		"  SELECT FROM dataflows.run AS r"
		"  WHERE r.workflow = g.name AND r.wake_at IS NULL AND r.finished_at IS NULL)"
		" LIMIT 1",
		SPI_OK_SELECT, 0};

	return df_plan_run(&plan, NULL, NULL, 1) > 0;
}

/*
 * A signal by key for which there is no run yet is written as new, not as kept:
 * a run may be starting in a transaction that we cannot see, and the engine
 * tries the key once more.
 */
DfNotifyFate
df_insert_notify(const DfNotifySignal *signal, Oid *owner)
{
	Target target;
	bool found;

	found = signal->by_key ? find_by_key(signal->workflow, signal->key, &target)
						   : find_by_run(signal->run, &target);
	if (!found)
		return DF_NOTIFY_UNKNOWN;
	if (strcmp(target.accept, "key") != 0 && (signal->by_key || strcmp(target.accept, "run") != 0))
		return DF_NOTIFY_REFUSED;
	if (target.has_run && df_run_is_terminal(df_run_state_of(target.state)))
		return DF_NOTIFY_TOO_LATE;
	if (!df_inbox_has_room(target.has_run ? &target.run : NULL, target.workflow, target.key))
	{
		df_metric_add(DF_METRIC_SIGNALS_REFUSED, target.workflow, "notify", NULL, 1);
		return DF_NOTIFY_TOO_MANY;
	}
	insert_signal(signal, &target);
	*owner = target.owner;
	return DF_NOTIFY_TAKEN;
}
