/*
 * ingress/ingress.h
 *	  The ingress process: serves HTTP requests.
 */
#ifndef DF_INGRESS_H
#define DF_INGRESS_H

#include "postgres.h"

extern PGDLLEXPORT void dataflows_ingress_main(Datum arg);

#endif /* DF_INGRESS_H */
