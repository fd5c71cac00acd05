/*
 * worker/launcher.h
 *	  The one static background worker, which starts all others.
 */
#ifndef DF_LAUNCHER_H
#define DF_LAUNCHER_H

#include "df_types.h"

extern void df_launcher_register(void); /* from _PG_init, when preloaded */
extern PGDLLEXPORT void dataflows_launcher_main(Datum arg);
extern PGDLLEXPORT void dataflows_probe_main(Datum arg);

#endif /* DF_LAUNCHER_H */
