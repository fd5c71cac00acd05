/*
 * worker/token.h
 *	  OAuth tokens of client credentials (RFC 6749, 4.4), one per system.
 */
#ifndef DF_TOKEN_H
#define DF_TOKEN_H

#include "worker/worker.h"

typedef struct DfToken DfToken;

/*
 * Whether a request may leave for the system now: it needs no token, or there is
 * one.  Else the step stays to_send, as a token is being asked for, or is held;
 * in both cases nothing more is to be done for it.  In the recording transaction.
 */
extern bool df_token_ready(DfRun *run, DfStep *step, const DfSystem *system);

/* notes in the flight which token it takes along; its text, NULL = none is needed */
extern const char *df_token_take(DfFlight *flight, const DfSystem *system);

/* after the commit: requests for tokens leave, or are dropped */
extern void df_token_depart(bool leave);

/* a result, outside of transactions; true: it was a token's, and is gone */
extern bool df_token_arrive(DfHttpResult *result);

/*
 * What an answer says about the token.  True: no more than that it was not valid
 * any more, so that the request is to be sent again with a fresh one.
 */
extern bool df_token_refused(DfFlight *flight, const DfHttpResult *result);

#endif /* DF_TOKEN_H */
