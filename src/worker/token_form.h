/*
 * worker/token_form.h
 *	  What is sent to an authorization server for a token.
 */
#ifndef DF_TOKEN_FORM_H
#define DF_TOKEN_FORM_H

#include "types/system_options.h"

/*
 * The form of a token request; palloc'd, wiped by the caller.  refresh_token is the one to
 * send, for that grant.  With the client's credentials if in_body, or if it has no secret.
 */
extern char *df_token_form(const DfSystem *system, const char *refresh_token, bool in_body);

#endif /* DF_TOKEN_FORM_H */
