/*
 * worker/token.h
 *	  OAuth access tokens, one per system and role.
 */
#ifndef DF_TOKEN_H
#define DF_TOKEN_H

#include "worker/worker_state.h"

/*
 * True if a request may leave for the system now: it needs no token, or there is one.
 * Else the step waits for one, and nothing more is to be done for it in this turn.  In
 * the turn's transaction.
 */
extern bool df_token_ready(DfRun *run, DfStep *step, const DfSystem *system);

/* the token to send, NULL = none is needed; the flight keeps which one it was */
extern const char *df_token_take(DfFlight *flight, const DfSystem *system);

/* in the turn's transaction, before a token is asked for: writes what refresh tokens became */
extern void df_token_record(void);

/* what came for a refresh token is to be written; or a request with one is under way, too */
extern bool df_token_unrecorded(void);
extern bool df_token_refreshing(void);

/* after the commit: sends the token requests; else drops them, and writes again what was written */
extern void df_token_depart(bool leave);

#endif /* DF_TOKEN_H */
