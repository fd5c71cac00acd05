/*
 * worker/notify_insert.c
 *	  Writes signals that came by NOTIFY into the inbox.
 *
 * Runs in a coordinator, in transactions of its own, as the extension's owner.  A
 * turn writes a few batches only: never keep the coordinator from its other duties.
 */
#include "postgres.h"

#include "utils/memutils.h"

#include "shared/clock.h"
#include "shared/limits.h"
#include "shared/wake.h"
#include "store/notify_signal.h"
#include "store/xact.h"
#include "types/base.h"
#include "worker/coordinator.h"
#include "worker/guarded.h"
#include "worker/notify.h"
#include "worker/process.h"

/* notifications per transaction, and such transactions per turn */
#define NOTIFY_BATCH 500
#define NOTIFY_BATCHES 4

static DfTrouble notify_trouble = {"write signals that came by NOTIFY"};

static DfNotifySignal *signals = NULL;
static int first_signal;
static int end_signal;

static const char *const fate_texts[] = {
	[DF_NOTIFY_TAKEN] = NULL,
	[DF_NOTIFY_UNKNOWN] = "there is no such run or workflow",
	[DF_NOTIFY_REFUSED] = "the workflow does not accept it (see accept_notify)",
	[DF_NOTIFY_TOO_LATE] = "the run has ended",
	[DF_NOTIFY_TOO_MANY] = DF_TOO_MANY_SIGNALS,
};

/* signals[first_signal .. end_signal) in one transaction */
static void
insert_signals(void)
{
	DfStore store;

	df_xact_begin();
	if (df_extension_usable())
	{
		df_store_enter(&store);
		for (int i = first_signal; i < end_signal; i++)
		{
			Oid owner = InvalidOid;
			DfNotifyFate fate = df_insert_notify(&signals[i], &owner);

			if (fate == DF_NOTIFY_TAKEN)
				df_wake_owner(owner);
			else
				df_notify_complain(signals[i].pid, fate_texts[fate]);
		}
		df_store_leave(&store);
	}
	df_xact_commit();
}

/* after a batch failed: write those that can be written, drop the others */
static void
insert_one_by_one(int n)
{
	static DfTrouble trouble = {"write a signal that came by NOTIFY"};

	for (int i = 0; i < n; i++)
	{
		first_signal = i;
		end_signal = i + 1;
		if (!df_guarded(insert_signals, &trouble))
			df_notify_complain(signals[i].pid, trouble.message);
	}
	df_trouble_over(&trouble);
}

/* false: a transient error, the batch is kept for later */
static bool
take_batch(void)
{
	int n = Min(df_notify_count(), NOTIFY_BATCH);
	int good = 0;

	signals = MemoryContextAlloc(df_turn_cxt, sizeof(DfNotifySignal) * n);
	for (int i = 0; i < n; i++)
		if (df_notify_parse(i, df_turn_cxt, &signals[good]))
			good++;
	first_signal = 0;
	end_signal = good;
	if (good > 0 && !df_guarded(insert_signals, &notify_trouble))
	{
		/* one that can never be written must not cost the others */
		if (!df_error_is_transient(notify_trouble.sqlerrcode))
		{
			insert_one_by_one(good);
			df_trouble_over(&notify_trouble);
		}
		else
			n = 0;
	}
	df_notify_drop(n);
	df_reset_turn_memory();
	return n > 0;
}

void
df_insert_notifications(void)
{
	for (int i = 0;
		 i < NOTIFY_BATCHES && df_notify_has_some() && !df_trouble_waits(&notify_trouble, df_now());
		 i++)
	{
		if (!take_batch())
			return;
		df_process_interrupts();
	}
}

/* when to write the next one, DF_NEVER = there is none */
TimestampTz
df_notify_due(void)
{
	if (!df_notify_has_some())
		return DF_NEVER;
	return notify_trouble.failures > 0 ? notify_trouble.retry_at : df_now();
}
