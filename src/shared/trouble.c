/*
 * shared/trouble.c
 *	  Errors that persist: retried at growing intervals, logged once a minute, shown
 *	  by status().
 *
 * Used by every process of the engine, in any role, after an error was caught and its
 * transaction aborted, or its subtransaction rolled back.  Work that fails notes the
 * error here and asks when to try again, so that no error, however long it lasts, can
 * fill the log or use up a processor.  Never raise an error here.
 */
#include "postgres.h"

#include "mb/pg_wchar.h"
#include "miscadmin.h"
#include "utils/timestamp.h"

#include "shared/clock.h"
#include "shared/trouble.h"
#include "types/base.h"

#define LONGEST_MS 60000
#define FIRST_MS 1000
#define LOG_EVERY_MS 60000

/*
 * A lock of another session is tried for more often: a try costs only a short wait,
 * and the work should go on soon after the lock is released.
 */
#define LONGEST_FOR_LOCK_MS 5000
#define FIRST_FOR_LOCK_MS 250
/* do not log a lock that is held for less than this: it is normal */
#define LOG_LOCK_AFTER_MS 10000

static DfSlot *owner = NULL;
static dlist_head troubles = DLIST_STATIC_INIT(troubles); /* of DfTrouble, the latest first */

void
df_trouble_owner(DfSlot *slot)
{
	owner = slot;
}

bool
df_error_is_lock(int sqlerrcode)
{
	return sqlerrcode == ERRCODE_LOCK_NOT_AVAILABLE || sqlerrcode == ERRCODE_T_R_DEADLOCK_DETECTED;
}

bool
df_error_is_transient(int sqlerrcode)
{
	int category = ERRCODE_TO_CATEGORY(sqlerrcode);

	return sqlerrcode == ERRCODE_LOCK_NOT_AVAILABLE ||
		category == ERRCODE_TO_CATEGORY(ERRCODE_TRANSACTION_ROLLBACK) ||
		category == ERRCODE_TO_CATEGORY(ERRCODE_INSUFFICIENT_RESOURCES) ||
		category == ERRCODE_TO_CATEGORY(ERRCODE_OPERATOR_INTERVENTION) ||
		sqlerrcode == ERRCODE_IO_ERROR;
}

/* for status(): the latest trouble of this process */
static void
publish(void)
{
	char text[lengthof(df_shared->launcher_trouble)] = "";
	TimestampTz since = DF_NEVER;

	if (!dlist_is_empty(&troubles))
	{
		DfTrouble *trouble = dlist_container(DfTrouble, node, dlist_head_node(&troubles));

		snprintf(text, sizeof(text), "could not %s: %s", trouble->what, trouble->message);
		text[pg_mbcliplen(text, strlen(text), sizeof(text) - 1)] = '\0';
		since = trouble->since;
	}
	LWLockAcquire(df_shared->lock, LW_EXCLUSIVE);
	strlcpy(owner != NULL ? owner->trouble : df_shared->launcher_trouble, text, sizeof(text));
	if (owner != NULL)
		owner->trouble_since = since;
	LWLockRelease(df_shared->lock);
}

static TimestampTz
next_try(const DfTrouble *trouble, bool lock, TimestampTz now)
{
	int64 ms = lock ? FIRST_FOR_LOCK_MS : FIRST_MS;

	ms <<= Min(trouble->failures - 1, 10);
	return TimestampTzPlusMilliseconds(now, Min(ms, lock ? LONGEST_FOR_LOCK_MS : LONGEST_MS));
}

static void
log_trouble(DfTrouble *trouble, const ErrorData *error, TimestampTz now)
{
	trouble->logged_at = now;
	ereport(LOG,
			(errcode(error->sqlerrcode),
			 errmsg("dataflows could not %s: %s", trouble->what,
					error->message != NULL ? error->message : "unknown error"),
			 trouble->failures > 1
				 ? errdetail("It has failed %d times since %s and is tried again automatically.",
							 trouble->failures, timestamptz_to_str(trouble->since))
				 : 0,
			 error->hint != NULL ? errhint("%s", error->hint) : 0,
			 error->context != NULL ? errcontext("%s", error->context) : 0, errhidestmt(true)));
}

void
df_trouble_note(DfTrouble *trouble, const ErrorData *error)
{
	TimestampTz now = df_now();
	bool lock = df_error_is_lock(error->sqlerrcode);

	if (trouble->failures++ == 0)
	{
		trouble->since = now;
		dlist_push_head(&troubles, &trouble->node);
	}
	trouble->sqlerrcode = error->sqlerrcode;
	trouble->retry_at = next_try(trouble, lock, now);
	strlcpy(trouble->message, error->message != NULL ? error->message : "unknown error",
			sizeof(trouble->message));
	trouble->message[pg_mbcliplen(trouble->message, strlen(trouble->message),
								  sizeof(trouble->message) - 1)] = '\0';
	publish();
	if (lock && !TimestampDifferenceExceeds(trouble->since, now, LOG_LOCK_AFTER_MS))
		return;
	if (trouble->logged_at == DF_NEVER ||
		TimestampDifferenceExceeds(trouble->logged_at, now, LOG_EVERY_MS))
		log_trouble(trouble, error, now);
}

void
df_trouble_over(DfTrouble *trouble)
{
	if (trouble->failures == 0)
		return;
	trouble->failures = 0;
	trouble->retry_at = DF_NEVER;
	dlist_delete(&trouble->node);
	publish();
}

bool
df_trouble_waits(const DfTrouble *trouble, TimestampTz now)
{
	return trouble->failures > 0 && trouble->retry_at > now;
}
