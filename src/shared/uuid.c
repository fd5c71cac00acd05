/*
 * shared/uuid.c
 *	  The ids of runs as text, and back; the node in them.
 *
 * Runs in any process, transaction and role; it only allocates memory.  shared/clock.c
 * makes new ids.  Must never be given text from outside where an error is not caught.
 */
#include "postgres.h"

#include "fmgr.h"
#include "utils/fmgrprotos.h"

#include "guc.h"
#include "shared/uuid.h"

#define NODE_VERSION 7
#define NODE_HIGH 0x03
#define NODE_MARK 0x3c

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

void
df_uuid_put_node(pg_uuid_t *uuid, int node)
{
	if (node != 0)
	{
		uuid->data[8] = (unsigned char) (0x80 | (node >> 8));
		uuid->data[9] = (unsigned char) node;
	}
	else if ((uuid->data[8] & NODE_MARK) == 0)
		uuid->data[8] |= NODE_MARK;
}

int
df_uuid_node(const pg_uuid_t *uuid)
{
	if ((uuid->data[6] >> 4) != NODE_VERSION || (uuid->data[8] & ~NODE_HIGH) != 0x80)
		return 0;
	return ((uuid->data[8] & NODE_HIGH) << 8) | uuid->data[9];
}

int
df_uuid_other_node(const pg_uuid_t *uuid)
{
	int node = df_node == 0 ? 0 : df_uuid_node(uuid);

	return node == df_node ? 0 : node;
}
