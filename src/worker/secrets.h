/*
 * worker/secrets.h
 *	  The secrets of one request, to be hidden in what is kept of its answer.
 */
#ifndef DF_SECRETS_H
#define DF_SECRETS_H

#include "fdw/system.h"

typedef struct DfSecrets DfSecrets;

/* malloc'd, of a system and the token that is sent, if any; NULL = there is nothing to hide */
extern DfSecrets *df_secrets_of(const DfSystem *system, const char *token);

/* wipes and frees; NULL is allowed */
extern void df_secrets_forget(DfSecrets *secrets);

/*
 * A palloc'd copy of the text with "[redacted]" in the place of each secret, its
 * length in *len; NULL if there is none in it.
 */
extern char *df_secrets_redact(const DfSecrets *secrets, const char *text, size_t *len);

#endif /* DF_SECRETS_H */
