/*
 * worker/state_changes.c
 *	  Tells the channels of workflows what became of their runs.
 *
 * Runs in a coordinator, in transactions of its own, as the extension's owner.  What cannot be
 * sent stays in the table and is tried again.  One coordinator per database sends, so that a
 * run's states come in their order.
 */
#include "postgres.h"

#include "shared/clock.h"
#include "shared/trouble.h"
#include "store/state_change_table.h"
#include "store/store.h"
#include "store/xact.h"
#include "types/base.h"
#include "worker/guarded.h"
#include "worker/process.h"
#include "worker/state_changes.h"

/* per transaction, and such transactions per turn */
#define BATCH 500
#define BATCHES 4

static DfTrouble trouble = {"notify the channels of workflows"};
static int sent;
static bool wanted = true; /* some may be there from before */

static void
send_batch(void)
{
	DfStore store;

	sent = 0;
	df_xact_begin();
	if (df_extension_usable())
	{
		df_store_enter(&store);
		sent = df_state_changes_send(BATCH);
		df_store_leave(&store);
	}
	df_xact_commit();
}

void
df_state_changes_notify(bool woken)
{
	wanted |= woken;
	for (int i = 0; i < BATCHES && wanted && !df_trouble_waits(&trouble, df_now()); i++)
	{
		if (!df_guarded(send_batch, &trouble))
			return;
		wanted = sent == BATCH;
		df_process_interrupts();
	}
}

TimestampTz
df_state_changes_due(void)
{
	if (!wanted)
		return DF_NEVER;
	return trouble.failures > 0 ? trouble.retry_at : df_now();
}
