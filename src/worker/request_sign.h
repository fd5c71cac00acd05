/*
 * worker/request_sign.h
 *	  What is added to a request when it is made ready: signatures, secrets in its URL, its way.
 */
#ifndef DF_REQUEST_SIGN_H
#define DF_REQUEST_SIGN_H

#include "worker/worker_state.h"

/* the URL of a path, with all secrets; NULL with *problem.  The caller has it wiped. */
extern char *df_secret_url(const DfSystem *system, const char *path, const char **problem);

/* how the system is reached: proxy, socket, authorities; request->url is set */
extern void df_request_way(DfHttpRequest *request, const DfSystem *system);

/* adds all that to a request that is complete but for it; key: the idempotency key, or NULL */
extern void df_request_sign(DfDeparture *departure, const DfSystem *system, const char *key);

/* request_build.c: a copy that is wiped after the request has left; NULL for NULL */
extern char *df_departure_secret(DfDeparture *departure, const char *value);

#endif /* DF_REQUEST_SIGN_H */
