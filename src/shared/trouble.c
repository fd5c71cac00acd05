/*
 * shared/trouble.c
 *	  An error that stays: tried again later and later, said once a minute, and
 *	  told by status().
 *
 * Used by every process of the engine, after an error was caught and its
 * transaction aborted, or its subtransaction rolled back.  The role does not
 * matter.  Whoever fails notes it here and asks when to try again: so no fault,
 * however long it stays, can fill the log or use up a processor.  It must never
 * raise an error.
 */
#include "postgres.h"

#include "mb/pg_wchar.h"
#include "miscadmin.h"
#include "utils/timestamp.h"

#include "shared/clock.h"
#include "shared/trouble.h"

#define LONGEST_MS 60000
#define FIRST_MS 1000
#define SAY_EVERY_MS 60000

/*
 * Somebody's lock costs no more to ask for again than the short wait for it, and
 * is gone when it is gone: the work goes on soon after.
 */
#define LONGEST_FOR_LOCK_MS 5000
#define FIRST_FOR_LOCK_MS 250
/* a lock that is held no longer than this is nobody's mistake */
#define LOCK_IS_NEWS_MS 10000

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

/* what status() tells of this process; cut between characters */
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
say(DfTrouble *trouble, const ErrorData *error, TimestampTz now)
{
	trouble->said_at = now;
	ereport(LOG,
			(errcode(error->sqlerrcode),
			 errmsg("dataflows could not %s: %s", trouble->what,
					error->message != NULL ? error->message : "unknown error"),
			 trouble->failures > 1
				 ? errdetail("It has failed %d times since %s and is tried again by itself.",
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
	if (lock && !TimestampDifferenceExceeds(trouble->since, now, LOCK_IS_NEWS_MS))
		return;
	if (trouble->said_at == DF_NEVER ||
		TimestampDifferenceExceeds(trouble->said_at, now, SAY_EVERY_MS))
		say(trouble, error, now);
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
