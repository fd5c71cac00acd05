/*
 * worker/sql_worker.h
 *	  The process that runs the SQL of query steps.
 */
#ifndef DF_SQL_WORKER_H
#define DF_SQL_WORKER_H

#include "postgres.h"

extern PGDLLEXPORT void dataflows_sql_worker_main(Datum arg);

#endif /* DF_SQL_WORKER_H */
