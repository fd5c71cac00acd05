/*
 * store/alias_table.h
 *	  Further keys of runs, and which run a key means.
 *
 * Between df_store_enter() and df_store_leave().
 */
#ifndef DF_STORE_ALIAS_TABLE_H
#define DF_STORE_ALIAS_TABLE_H

#include "nodes/pg_list.h"
#include "types/run.h"

/*
 * The run that a signal by key is for, as a subquery: a live run with that key,
 * else a live one that has taken it as an alias, else the one that has completed
 * and still holds it.
 */
#define DF_HOLDER_SQL(workflow, key) \
	"(SELECT h.run, h.workflow, h.version, h.key, h.state, h.lease FROM (" \
	"  SELECT r.*, CASE WHEN r.finished_at IS NULL THEN 0 ELSE 2 END AS place" \
	"  FROM dataflows.run AS r" \
	"  WHERE r.workflow = " workflow " AND r.key = " key " AND r.key_held AND r.key IS NOT NULL" \
	"  UNION ALL" \
	"  SELECT r.*, 1" \
	"  FROM dataflows.alias AS a, dataflows.run AS r" \
	"  WHERE a.workflow = " workflow " AND a.key = " key \
	"  AND r.run = a.run AND r.finished_at IS NULL) AS h" \
	" ORDER BY h.place LIMIT 1)"

/*
 * Takes the key for the run, or confirms that it has it; *holder is NULL, or the
 * live run that has it, in `cxt`.  False: an open transaction holds the key, and
 * that was not waited for any longer.
 */
extern bool df_alias_try(const DfRun *run, const char *key, MemoryContext cxt, char **holder);

/* the aliases of these runs that are recorded in this turn are theirs, or an error */
extern void df_alias_confirm(List *runs);

#endif /* DF_STORE_ALIAS_TABLE_H */
