/*
 * shared/ecdsa.h
 *	  Verifies what somebody signed with a private key.
 */
#ifndef DF_ECDSA_H
#define DF_ECDSA_H

#include "shared/mac.h"

/*
 * Whether these pieces, one after the other, have that signature (ASN.1) by ECDSA with
 * SHA-256; false also if the public key (a SubjectPublicKeyInfo) is none.
 */
extern bool df_ecdsa_verify(const unsigned char *public_key, size_t key_len,
							const DfSigned *parts, int nparts, const unsigned char *signature,
							size_t signature_len);

#endif /* DF_ECDSA_H */
