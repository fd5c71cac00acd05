/*
 * shared/uuid.c
 *	  The ids of runs as text, and back.
 *
 * Runs in any process, transaction and role; it only allocates memory.  shared/clock.c
 * makes new ids.  Must never be given text from outside where an error is not caught.
 */
#include "postgres.h"

#include "fmgr.h"
#include "utils/fmgrprotos.h"

#include "shared/uuid.h"

char *
df_uuid_text(const pg_uuid_t *uuid)
{
	return DatumGetCString(DirectFunctionCall1(uuid_out, UUIDPGetDatum(uuid)));
}

pg_uuid_t
df_uuid_read(const char *text)
{
	return *DatumGetUUIDP(DirectFunctionCall1(uuid_in, CStringGetDatum(text)));
}
