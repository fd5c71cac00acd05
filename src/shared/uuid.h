/*
 * shared/uuid.h
 *	  The ids of runs as text, and back; the node in them.
 */
#ifndef DF_UUID_H
#define DF_UUID_H

#include "postgres.h"

#include "utils/uuid.h"

/* palloc'd */
extern char *df_uuid_text(const pg_uuid_t *uuid);

/* raises what uuid_in() raises */
extern pg_uuid_t df_uuid_read(const char *text);

/*
 * The node that made an id of a run: in the low ten bits of bytes 8 and 9.  The four bits above
 * them are zero then, and never all of them in an id that was made without a node.  Of ids from
 * before there were nodes one in sixteen seems to have one: look the run up first.
 */
extern void df_uuid_put_node(pg_uuid_t *uuid, int node);

/* 0 = none */
extern int df_uuid_node(const pg_uuid_t *uuid);

/*
 * The node whose run this is, if that is for sure another one than this; else 0.  For runs that
 * are not found here.
 */
extern int df_uuid_other_node(const pg_uuid_t *uuid);

#endif /* DF_UUID_H */
