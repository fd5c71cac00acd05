/*
 * shared/uuid.h
 *	  The ids of runs as text, and back.
 */
#ifndef DF_UUID_H
#define DF_UUID_H

#include "postgres.h"

#include "utils/uuid.h"

/* palloc'd */
extern char *df_uuid_text(const pg_uuid_t *uuid);

/* raises what uuid_in() raises */
extern pg_uuid_t df_uuid_read(const char *text);

#endif /* DF_UUID_H */
