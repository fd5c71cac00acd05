/*
 * session/define.h
 *	  Who may own a workflow.
 */
#ifndef DF_DEFINE_H
#define DF_DEFINE_H

/* raises an error if no worker can run as that role, or it is a superuser */
extern void df_check_new_owner(Oid owner, const char *owner_name, const char *workflow);

#endif /* DF_DEFINE_H */
