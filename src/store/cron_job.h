/*
 * store/cron_job.h
 *	  The jobs of pg_cron that fire our schedules.
 *
 * Between df_store_enter() and df_store_leave(); text is allocated in `cxt`.
 */
#ifndef DF_STORE_CRON_JOB_H
#define DF_STORE_CRON_JOB_H

#include "store/schedule_table.h"

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

/* the statement to run in pg_cron's database, so that this schedule fires here */
extern char *df_cron_statement(const DfSchedule *schedule, const char *database, const char *unit);

typedef struct DfCronJob
{
	bool active;
	char *status; /* of the last firing; NULL = none that pg_cron remembers */
	char *message;
} DfCronJob;

/* what pg_cron knows of it; false if it is not here or has no such job */
extern bool df_cron_job_read(const char *name, DfCronJob *job, MemoryContext cxt);

#endif /* DF_STORE_CRON_JOB_H */
