/*
 * store/attempt_table.c
 *	  Statements on dataflows.attempt.
 *
 * Runs in workers and sql workers, in the transaction that records the turn, as
 * the extension's owner.  Rows are only added here: store/forget_run.c and
 * store/purge.c delete them.
 */
#include "postgres.h"

#include "catalog/pg_type.h"

#include "store/attempt_table.h"
#include "store/columns.h"

#define COLUMN(column, field, form) DF_COLUMN(DfAttempt, column, field, form, DF_IN_OTHER)

/* clang-format off */
static const DfColumn attempt_columns[] = {
	COLUMN("run",     run,     UUID),
	COLUMN("n",       n,       INT),
	COLUMN("seq",     seq,     INT),
	COLUMN("undo",    undo,    BOOL),
	COLUMN("at",      at,      TIME),
	COLUMN("took_ms", took_ms, FLOAT8),
	COLUMN("status",  status,  COUNT),
	COLUMN("outcome", outcome, TEXT),
	COLUMN("error",   error,   TEXT),
	COLUMN("next_at", next_at, TIME),
};
/* clang-format on */

static const DfTable attempt_table = {attempt_columns, lengthof(attempt_columns)};

/*
 * An attempt whose number is taken, after retry() say, which counts again, gets
 * the next one that is free.
 */
void
df_record_attempts(List *attempts)
{
	/* clang-format off */
	static DfPlan plan = {
		"INSERT INTO dataflows.attempt AS t ({*})"
		" SELECT u.run, u.n,"
		"  greatest(u.seq, ("
		"    SELECT max(a.seq) + 1"
		"    FROM dataflows.attempt AS a"
		"    WHERE a.run = u.run AND a.n = u.n AND a.undo = u.undo)), u.undo, u.at, u.took_ms,"
		"  u.status, u.outcome, u.error, u.next_at"
		" FROM unnest({$[]}) AS u ({*})",
		SPI_OK_INSERT,
		DF_NO_PARAMS,
		DF_COLUMNS(attempt_table, DF_IN_OTHER)};
	/* clang-format on */
	DfBatch batch;
	ListCell *lc;

	df_batch_begin(&batch, &plan, list_length(attempts));
	foreach (lc, attempts)
		df_batch_add(&batch, lfirst(lc), NULL);
	(void) df_batch_run(&batch, NULL);
}
