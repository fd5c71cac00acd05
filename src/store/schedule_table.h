/*
 * store/schedule_table.h
 *	  Schedules.
 *
 * Between df_store_enter() and df_store_leave(); what a row points to is
 * allocated in `cxt`.
 */
#ifndef DF_STORE_SCHEDULE_TABLE_H
#define DF_STORE_SCHEDULE_TABLE_H

#include "datatype/timestamp.h"
#include "nodes/pg_list.h"
#include "utils/jsonb.h"
#include "utils/uuid.h"

/* with the prefix of the job it must fit into what older versions of pg_cron call a name */
#define DF_MAX_SCHEDULE_NAME 50

typedef struct DfSchedule
{
	const char *name;
	const char *cron;
	const char *workflow;
	const Jsonb *input;
	Oid owner;
	const char *owner_name;
	TimestampTz last_at; /* DF_NEVER = has not fired */
	pg_uuid_t last_run;
} DfSchedule;

/* reads the row; with `lock` it waits for a session that fires or changes the schedule */
extern bool df_schedule_find(const char *name, bool lock, DfSchedule *schedule, MemoryContext cxt);

/* false if there is one of that name already */
extern bool df_schedule_insert(const DfSchedule *schedule, TimestampTz now);
extern void df_schedule_update(const DfSchedule *schedule, TimestampTz now);
extern void df_schedule_fired(const char *name, TimestampTz at, const pg_uuid_t *run);
extern void df_schedule_delete(const char *name);

/* the names of all, in order */
extern List *df_schedule_names(MemoryContext cxt);

#endif /* DF_STORE_SCHEDULE_TABLE_H */
