/*
 * shared/idempotency_key.c
 *	  The idempotency key of a step, and of its undo.
 *
 * Asked by workers when a request is sent, and by sessions that show the key; any
 * transaction and role.  Reads its arguments only.  Never make a key of anything that
 * may be changed while the step lives, such as its name: a system would take the same
 * request for another one.
 *
 * Many systems demand a UUID, and none refuses one.  It is of version 8 (RFC 9562),
 * whose bits are free for whoever makes it: a digest, so that the same step has the
 * same key on each attempt, in each process, and after a restart.
 */
#include "postgres.h"

#include "lib/stringinfo.h"
#include "port/pg_bswap.h"

#include "shared/digest.h"
#include "shared/idempotency_key.h"
#include "shared/uuid.h"

/* what is hashed: a fixed layout, without padding */
typedef struct KeyBytes
{
	char what[16];
	pg_uuid_t run;
	uint32 n; /* this and the next in network order */
	uint32 renewals;
	uint32 undo;
} KeyBytes;

StaticAssertDecl(sizeof(KeyBytes) == 44, "a key is made of these bytes and no others");

static char *
as_text(const DfKeyOf *of)
{
	StringInfoData key;

	initStringInfo(&key);
	appendStringInfo(&key, "%s/%d", df_uuid_text(of->run), of->n);
	if (of->renewals > 0)
		appendStringInfo(&key, "/r%d", of->renewals);
	if (of->undo)
		appendStringInfoString(&key, "/undo");
	return key.data;
}

static char *
as_uuid(const DfKeyOf *of)
{
	KeyBytes bytes = {.what = "dataflows key 1"};
	uint8 digest[DF_DIGEST_LENGTH];
	pg_uuid_t key;

	bytes.run = *of->run;
	bytes.n = pg_hton32((uint32) of->n);
	bytes.renewals = pg_hton32((uint32) of->renewals);
	bytes.undo = pg_hton32(of->undo ? 1 : 0);
	df_digest(&bytes, sizeof(bytes), digest);
	memcpy(key.data, digest, UUID_LEN);
	key.data[6] = (key.data[6] & 0x0f) | 0x80;
	key.data[8] = (key.data[8] & 0x3f) | 0x80;
	return df_uuid_text(&key);
}

char *
df_idempotency_key(const DfKeyOf *of)
{
	bool text = of->form != NULL && strcmp(of->form, DF_KEY_FORM_TEXT) == 0;

	return text ? as_text(of) : as_uuid(of);
}
