/*
 * shared/digest.h
 *	  SHA-256 of some bytes.
 */
#ifndef DF_DIGEST_H
#define DF_DIGEST_H

#include "postgres.h"

#define DF_DIGEST_LENGTH 32

/* an error only if the server's cryptographic library fails: XX000 */
extern void df_digest(const void *bytes, size_t len, uint8 *digest);

#endif /* DF_DIGEST_H */
