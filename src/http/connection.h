/*
 * http/connection.h
 *	  How an exchange is connected: TLS, certificates, which addresses it may reach.
 */
#ifndef DF_HTTP_CONNECTION_H
#define DF_HTTP_CONNECTION_H

#include "http/exchange.h"

/* sets URL, TLS and allowed addresses, for any protocol */
extern CURLcode df_connection_apply(DfExchange *exchange, const DfHttpRequest *request);

/* CURLOPT_PREREQFUNCTION of HTTP requests */
extern int df_connection_is_there(void *arg, char *address, char *local, int port, int local_port);

#endif /* DF_HTTP_CONNECTION_H */
