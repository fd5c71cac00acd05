/*
 * store/schedule_table.h
 *	  Schedules: our rows, and the jobs of pg_cron that fire them.
 *
 * Between df_store_enter() and df_store_leave(); what a row points to is
 * allocated in `cxt`.
 */
#ifndef DF_STORE_SCHEDULE_TABLE_H
#define DF_STORE_SCHEDULE_TABLE_H

#include "df_types.h"

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

/* reads the row; with `lock` it waits for whoever fires or changes the schedule */
extern bool df_schedule_find(const char *name, bool lock, DfSchedule *schedule, MemoryContext cxt);

/* false if there is one of that name already */
extern bool df_schedule_insert(const DfSchedule *schedule, TimestampTz now);
extern void df_schedule_update(const DfSchedule *schedule, TimestampTz now);
extern void df_schedule_fired(const char *name, TimestampTz at, const pg_uuid_t *run);
extern void df_schedule_delete(const char *name);

typedef enum DfCron
{
	DF_CRON_HERE,
	DF_CRON_NOT_LOADED,
	DF_CRON_ELSEWHERE, /* in database *database */
	DF_CRON_NOT_CREATED,
	DF_CRON_TOO_OLD
} DfCron;

extern DfCron df_cron_where(const char **database);

/*
 * has pg_cron fire the schedule, instead of how it did before; its error if the text is no
 * schedule
 */
extern void df_cron_schedule(const DfSchedule *schedule);

/* does nothing if pg_cron is not here or has no such job */
extern void df_cron_unschedule(const char *name);

/* makes the jobs of all schedules that have none of this role and database */
extern void df_cron_adopt(void);

/* the statement by which somebody in pg_cron's database has this schedule fired here */
extern char *df_cron_statement(const DfSchedule *schedule, const char *database, const char *unit);

typedef struct DfCronJob
{
	bool active;
	char *status; /* of the last firing; NULL = none that pg_cron remembers */
	char *message;
} DfCronJob;

/* what pg_cron knows of it; false if it is not here or has no such job */
extern bool df_cron_look(const char *name, DfCronJob *job, MemoryContext cxt);

#endif /* DF_STORE_SCHEDULE_TABLE_H */
