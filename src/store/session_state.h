/*
 * store/session_state.h
 *	  What a body that is entered in a user's session may leave behind there.
 */
#ifndef DF_STORE_SESSION_STATE_H
#define DF_STORE_SESSION_STATE_H

#include "nodes/pg_list.h"

/* the advisory locks of this session, in the present memory context */
typedef struct DfSessionState
{
	List *locks; /* of LockInstanceData */
} DfSessionState;

extern void df_session_note(DfSessionState *state);

/* releases those that the session has now and had not when it was noted */
extern void df_session_restore(const DfSessionState *state);

/*
 * Gives this session the settings that a new session of the role would have, as far as code of
 * the role may depend on them, and keeps its messages to itself; until the caller's level of
 * settings ends.
 */
extern void df_settings_of_role(Oid role);

#endif /* DF_STORE_SESSION_STATE_H */
