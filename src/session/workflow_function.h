/*
 * session/workflow_function.h
 *	  Which functions can be the body of a workflow.
 */
#ifndef DF_SESSION_WORKFLOW_FUNCTION_H
#define DF_SESSION_WORKFLOW_FUNCTION_H

/*
 * The qualified signature of a function that can be a body, and its owner: looked up in the
 * caller's search_path, as a name or a signature.  Raises 42883, 42P13, or 42501 if `role`, the
 * workflow's owner, may not execute it.
 */
extern char *df_workflow_function(const char *given, Oid role, Oid *owner);

/* raises 42P13 if the functions of a workflow have different owners */
extern void df_check_function_owners(const char *function, Oid owner, const char *on_failure,
									 Oid on_failure_owner);

#endif /* DF_SESSION_WORKFLOW_FUNCTION_H */
