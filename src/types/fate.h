/*
 * types/fate.h
 *	  What became of a request, and what a method does when it is sent twice.
 *
 * The worker says what came back from the network (worker/flight.c); flow/
 * classifies it.
 */
#ifndef DF_TYPES_FATE_H
#define DF_TYPES_FATE_H

#include "postgres.h"

typedef enum DfFate
{
	DF_FATE_RESPONSE, /* a whole HTTP answer: look at status */
	DF_FATE_NOT_SENT, /* DNS, connect or TLS failed: nothing left us */
	DF_FATE_LOST, /* bytes may have left, no whole answer */
	DF_FATE_TOO_LARGE, /* an answer larger than max_body (status known) */
	DF_FATE_REFUSED, /* we refused: bad URL, private address, bad option */
	DF_FATE_STARVED /* we had no descriptor, memory or thread for it: nothing left us */
} DfFate;

typedef enum DfMethodClass
{
	DF_METHOD_SAFE, /* GET, HEAD: no effect */
	DF_METHOD_IDEMPOTENT, /* PUT, DELETE: the same effect twice */
	DF_METHOD_EFFECT /* POST, PATCH: a second one may be a double */
} DfMethodClass;

#endif /* DF_TYPES_FATE_H */
