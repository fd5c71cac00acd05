/*
 * worker/token_response.h
 *	  What an authorization server responds, and what systems say of a token.
 */
#ifndef DF_TOKEN_RESPONSE_H
#define DF_TOKEN_RESPONSE_H

#include "worker/worker_state.h"

/* outside of transactions; true: it was the response to a token request, and is freed */
extern bool df_token_arrive(DfHttpResult *result);

/* true: the response only says that the token is no longer valid; send again with a new one */
extern bool df_token_refused(DfFlight *flight, const DfHttpResult *result);

#endif /* DF_TOKEN_RESPONSE_H */
