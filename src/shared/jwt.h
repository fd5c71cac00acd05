/*
 * shared/jwt.h
 *	  Assertions that are signed with a private key (RFC 7515, RFC 7523).
 */
#ifndef DF_JWT_H
#define DF_JWT_H

/* NULL if such assertions can be signed with the key, else a constant clause that says why not */
extern const char *df_jwt_key_problem(const char *pem);

/*
 * The claims, a JSON object in UTF-8, signed with RS256 or ES256, as the key is; palloc'd.
 * key_id may be NULL.  NULL if the key cannot be used.
 */
extern char *df_jwt_sign(const char *pem, const char *key_id, const char *claims);

#endif /* DF_JWT_H */
