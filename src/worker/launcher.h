/*
 * worker/launcher.h
 *	  The launcher, our one static background worker, and the check of a database.
 */
#ifndef DF_LAUNCHER_H
#define DF_LAUNCHER_H

extern void df_launcher_register(void); /* from _PG_init, when preloaded */
extern PGDLLEXPORT void dataflows_launcher_main(Datum arg);
extern PGDLLEXPORT void dataflows_database_check_main(Datum arg);

#endif /* DF_LAUNCHER_H */
