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
	static const char digits[] = "0123456789abcdef";
	char *text = palloc(2 * UUID_LEN + 5);
	char *to = text;

	for (int i = 0; i < UUID_LEN; i++)
	{
		if (i == 4 || i == 6 || i == 8 || i == 10)
			*to++ = '-';
		*to++ = digits[uuid->data[i] >> 4];
		*to++ = digits[uuid->data[i] & 15];
	}
	*to = '\0';
	return text;
}

pg_uuid_t
df_uuid_read(const char *text)
{
	return *DatumGetUUIDP(DirectFunctionCall1(uuid_in, CStringGetDatum(text)));
}
