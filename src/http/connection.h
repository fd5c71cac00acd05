/*
 * http/connection.h
 *	  How an exchange is connected: TLS, certificates, which addresses it may reach.
 */
#ifndef DF_HTTP_CONNECTION_H
#define DF_HTTP_CONNECTION_H

#include "http/exchange.h"

/* NULL if it may be tried, else a constant sentence that says why not */
extern const char *df_connection_problem(const DfHttpRequest *request);

/* whether the host of a URL is an address that a proxy must not be asked for */
extern bool df_connection_is_private(const char *url);

/* sets URL, TLS and allowed addresses, for any protocol */
extern CURLcode df_connection_apply(DfExchange *exchange, const DfHttpRequest *request);

/* CURLOPT_PREREQFUNCTION of HTTP requests */
extern int df_connection_is_there(void *arg, char *address, char *local, int port, int local_port);

#endif /* DF_HTTP_CONNECTION_H */
