/*
 * worker/secrets.h
 *	  Hides the secrets of a request in what is kept of its response.
 */
#ifndef DF_SECRETS_H
#define DF_SECRETS_H

#include "fdw/system.h"

typedef struct DfSecrets DfSecrets;

/* malloc'd; of a system, and of the token that is sent or NULL; NULL = there are none */
extern DfSecrets *df_secrets_of(const DfSystem *system, const char *token);

/* wipes and frees; NULL is allowed */
extern void df_secrets_forget(DfSecrets *secrets);

/*
 * A palloc'd copy of the text with "[redacted]" for each secret, *len is updated;
 * NULL if there is no secret in it.
 */
extern char *df_secrets_redact(const DfSecrets *secrets, const char *text, size_t *len);

#endif /* DF_SECRETS_H */
