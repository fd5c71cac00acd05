/*
 * ingress/routes.h
 *	  Routes requests by their path.
 */
#ifndef DF_ROUTES_H
#define DF_ROUTES_H

#include "ingress/listener.h"

/* the handler of a request; NULL if it was answered at once, without a transaction */
extern DfRouteHandler df_route(DfRequest *request);

/* whether a person or a scraper sent it, who can wait longer than the sender of a webhook */
extern bool df_route_has_time(const DfRequest *request);

#endif /* DF_ROUTES_H */
