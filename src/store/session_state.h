/*
 * store/session_state.h
 *	  What a body that is entered in a user's session may leave behind there.
 */
#ifndef DF_STORE_SESSION_STATE_H
#define DF_STORE_SESSION_STATE_H

#include "nodes/pg_list.h"

/* what is in this session, in the present memory context */
typedef struct DfSessionState
{
	List *locks; /* of LockInstanceData: advisory ones */
	List *temporary; /* of ObjectAddress: what is in pg_temp; by df_session_note_objects() */
	List *cursors; /* names; likewise */
} DfSessionState;

extern void df_session_note(DfSessionState *state);

/*
 * releases the locks that the session has now and had not when it was noted, and takes again
 * those that it had
 */
extern void df_session_restore(const DfSessionState *state);

/* notes what a worker's session loses after each query step, beside locks */
extern void df_session_note_objects(DfSessionState *state);

/* closes the cursors and drops the temporary objects that were not there then */
extern void df_session_drop_objects(const DfSessionState *state);

/*
 * Gives this session the settings that a new session of the role would have, as far as code of
 * the role may depend on them, and keeps its messages to itself; until the caller's level of
 * settings ends.
 */
extern void df_settings_of_role(Oid role);

#endif /* DF_STORE_SESSION_STATE_H */
