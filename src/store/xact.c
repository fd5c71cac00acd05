/*
 * store/xact.c
 *	  The only place where a transaction of the engine begins and ends.
 *
 * Runs in launcher, coordinators and workers, in their own session; never in a
 * user's.  It knows no tables, and no process may wait for a socket between begin
 * and end.
 */
#include "postgres.h"

#include <signal.h>

#include "access/xact.h"
#include "access/xlog.h"
#include "mb/pg_wchar.h"
#include "miscadmin.h"
#include "pgstat.h"
#include "replication/syncrep.h"
#include "storage/proc.h"
#include "utils/backend_status.h"
#include "utils/guc.h"
#include "utils/memutils.h"
#include "utils/snapmgr.h"

#include "shared/watchdog.h"
#include "store/xact.h"

#define LOCK_WAIT_MS 1000

static MemoryContext callers_context = NULL;
static volatile sig_atomic_t busy = 0;
static bool statistics_pending = false;
static int longest_lock_wait_ms = LOCK_WAIT_MS;

void
df_xact_begin(void)
{
	Assert(!IsTransactionState());
	callers_context = CurrentMemoryContext;
	busy = 1;
	df_watchdog_arm();
	SetCurrentStatementStartTimestamp();
	StartTransactionCommand();
	PushActiveSnapshot(GetTransactionSnapshot());
	pgstat_report_activity(STATE_RUNNING, NULL);
}

static void
after_end(void)
{
	busy = 0;
	MemoryContextSwitchTo(callers_context == NULL ? TopMemoryContext : callers_context);
	pgstat_report_stat(false);
	statistics_pending = true;
	pgstat_report_activity(STATE_IDLE, NULL);
}

static void
commit(void)
{
	if (ActiveSnapshotSet())
		PopActiveSnapshot();
	CommitTransactionCommand();
	after_end();
}

/*
 * A cancel ends the server's wait for a synchronous standby, and the commit
 * returns as if it was there.  Cancels are not handled outside of users' code
 * (shared/watchdog.c), but one that came just in time, or the late alarm of a lock,
 * may still be pending: so the wait is begun once more, which costs nothing if
 * there is nothing to wait for.  A process that must end does not wait: it sends nothing.
 */
void
df_xact_commit(void)
{
	commit();
	QueryCancelPending = false;
	if (ProcDiePending)
		return;
	HOLD_INTERRUPTS();
	SyncRepWaitForLSN(XactLastCommitEnd, true);
	RESUME_INTERRUPTS();
}

void
df_xact_commit_locally(void)
{
	(void) set_config_option("synchronous_commit", "local", PGC_USERSET, PGC_S_SESSION,
							 GUC_ACTION_LOCAL, true, 0, false);
	commit();
}

void
df_xact_abort(void)
{
	AbortCurrentTransaction();
	after_end();
}

void
df_xact_idle(void)
{
	if (statistics_pending)
		pgstat_report_stat(true);
	statistics_pending = false;
}

bool
df_xact_busy(void)
{
	return busy != 0;
}

/*
 * No open transaction may stop the engine: a wait for a lock is given up after this
 * time, and the work is tried again later.  Nor may a session of a user fail with a
 * deadlock because of us: it checks for a deadlock once, deadlock_timeout after its
 * wait began.  We wait no longer than half of that, so we have given up by then,
 * unless our wait began in the second half.
 */
void
df_xact_limit_locks(void)
{
	char text[16];

	snprintf(text, sizeof(text), "%d", Max(1, Min(longest_lock_wait_ms, DeadlockTimeout / 2)));
	SetConfigOption("lock_timeout", text, PGC_SUSET, PGC_S_OVERRIDE);
}

/*
 * A user id or a setting that was given to the role by ALTER ROLE ... SET must
 * neither weaken what we promise nor end our sessions.  PGC_S_OVERRIDE makes
 * these the values that RESET returns to, too.
 */
void
df_session_pin(void)
{
	static const char *const pins[][2] = {
		{"role", "none"},
		{"default_transaction_isolation", "read committed"},
		{"default_transaction_read_only", "off"},
		{"default_transaction_deferrable", "off"},
		{"session_replication_role", "origin"},
		{"row_security", "on"},
		{"statement_timeout", "0"},
		{"idle_in_transaction_session_timeout", "0"},
		{"idle_session_timeout", "0"},
		{"transaction_timeout", "0"}, /* 17 and later */
		{"datestyle", "ISO, MDY"},
		{"intervalstyle", "postgres"},
		{"jit", "off"},
		{"exit_on_error", "off"},
		/* they would fill the log with statements of ours */
		{"debug_print_parse", "off"},
		{"debug_print_rewritten", "off"},
		{"debug_print_plan", "off"},
	};
	const char *flush = GetConfigOption("synchronous_commit", false, false);

	for (int i = 0; i < lengthof(pins); i++)
		if (GetConfigOption(pins[i][0], true, false) != NULL)
			SetConfigOption(pins[i][0], pins[i][1], PGC_SUSET, PGC_S_OVERRIDE);
	SetConfigOption("client_encoding", GetDatabaseEncodingName(), PGC_SUSET, PGC_S_OVERRIDE);
	if (strcmp(flush, "remote_apply") != 0)
		SetConfigOption("synchronous_commit", "on", PGC_SUSET, PGC_S_OVERRIDE);
	df_xact_limit_locks();
}

/*
 * A handler of a webhook runs as the webhook's creator in a session of another
 * role, which may set these for itself: names would lead to its objects, and SQL
 * would mean something else.  The handler gets PostgreSQL's own defaults, until the
 * subtransaction that it runs in ends.
 */
void
df_settings_of_others_pin(void)
{
	static const char *const pins[][2] = {
		{"search_path", "\"$user\", public, pg_temp"},
		{"datestyle", "ISO, MDY"},
		{"intervalstyle", "postgres"},
		{"standard_conforming_strings", "on"},
		{"backslash_quote", "safe_encoding"},
		{"transform_null_equals", "off"},
		{"array_nulls", "on"},
		{"bytea_output", "hex"},
		{"extra_float_digits", "1"},
		{"xmlbinary", "base64"},
		{"xmloption", "content"},
		{"row_security", "on"},
		{"quote_all_identifiers", "off"},
		{"plpgsql.check_asserts", "on"},
		{"plpgsql.extra_errors", "none"},
		{"plpgsql.extra_warnings", "none"},
	};

	for (int i = 0; i < lengthof(pins); i++)
	{
		const char *present = GetConfigOption(pins[i][0], true, false);

		if (present != NULL && strcmp(present, pins[i][1]) != 0)
			(void) set_config_option(pins[i][0], pins[i][1], PGC_SUSET, PGC_S_SESSION,
									 GUC_ACTION_SAVE, true, 0, false);
	}
}

void
df_xact_lock_timeout(int ms)
{
	longest_lock_wait_ms = ms > 0 ? ms : LOCK_WAIT_MS;
	df_xact_limit_locks();
}
