/*
 * http/exchange_end.h
 *	  What the end of an exchange means, and in which words.
 */
#ifndef DF_HTTP_EXCHANGE_END_H
#define DF_HTTP_EXCHANGE_END_H

#include "http/exchange.h"

/* of an exchange that libcurl ended with this code */
extern DfFate df_exchange_fate(const DfExchange *exchange, CURLcode code);
extern void df_exchange_error(const DfExchange *exchange, CURLcode code, char *text, size_t room);

#endif /* DF_HTTP_EXCHANGE_END_H */
