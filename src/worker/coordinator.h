/*
 * worker/coordinator.h
 *	  One process per database that has the extension.
 */
#ifndef DF_COORDINATOR_H
#define DF_COORDINATOR_H

#include "df_types.h"

extern PGDLLEXPORT void dataflows_coordinator_main(Datum arg);

#endif /* DF_COORDINATOR_H */
