/*
 * shared/as_role.c
 *	  Acting as another role for a while.
 *
 * Runs in any process, inside a transaction, whose abort restores the role after
 * an error.  Nobody else may call SetUserIdAndSecContext(), so that the flags
 * are the same everywhere: SET ROLE is refused in between.
 */
#include "postgres.h"

#include "miscadmin.h"

#include "shared/as_role.h"

void
df_as_role_begin(DfAsRole *before, Oid role, bool restricted)
{
	int flags;

	GetUserIdAndSecContext(&before->user, &before->security);
	flags = before->security | SECURITY_LOCAL_USERID_CHANGE;
	SetUserIdAndSecContext(role, restricted ? flags | SECURITY_RESTRICTED_OPERATION : flags);
}

void
df_as_role_end(const DfAsRole *before)
{
	SetUserIdAndSecContext(before->user, before->security);
}
