/*
 * test/unit/http/server.h
 *	  A small TCP server that misbehaves as the path of a request tells it to.
 */
#ifndef UNIT_SERVER_H
#define UNIT_SERVER_H

#include "postgres.h"

/* what the server tells the test, in memory that both see */
typedef struct Seen
{
	volatile int requests;
	volatile int connections;
} Seen;

extern Seen *seen;
extern int server_port;
extern int closed_port; /* nobody listens there */

extern void start_server(void);
extern void stop_server(void);
extern void rest(int ms);

#endif
