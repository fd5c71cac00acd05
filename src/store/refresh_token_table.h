/*
 * store/refresh_token_table.h
 *	  Refresh tokens that an authorization server has put in the place of others.
 */
#ifndef DF_STORE_REFRESH_TOKEN_TABLE_H
#define DF_STORE_REFRESH_TOKEN_TABLE_H

#include "postgres.h"

#include "datatype/timestamp.h"

#define DF_FAMILY_BYTES 32

typedef enum DfRefreshState
{
	DF_REFRESH_CLAIMED, /* `token` is ours to send */
	DF_REFRESH_FRESH, /* another worker has obtained the access token `token` */
	DF_REFRESH_BUSY /* another worker is obtaining one */
} DfRefreshState;

typedef struct DfRefreshToken
{
	char *token; /* in `cxt`; the caller wipes it */
	TimestampTz expires_at; /* of an access token */
} DfRefreshToken;

/* all tokens that descend from `first` are one family */
extern void df_refresh_family(const char *url, const char *client, const char *first,
							  unsigned char *family);

/*
 * The newest token of the family, claimed until it is kept or released.  An access token counts
 * if it does not expire before `usable_until` and is not `refused` (NULL = none was).
 */
extern DfRefreshState df_refresh_claim(const unsigned char *family, const char *first, int64 claim,
									   const char *refused, TimestampTz now,
									   TimestampTz usable_until, DfRefreshToken *found,
									   MemoryContext cxt);

/* what came for it; next = NULL: the refresh token is still the same */
extern void df_refresh_keep(const unsigned char *family, int64 claim, const char *next,
							const char *access_token, TimestampTz expires_at, TimestampTz now);
extern void df_refresh_release(const unsigned char *family, int64 claim);

#endif /* DF_STORE_REFRESH_TOKEN_TABLE_H */
