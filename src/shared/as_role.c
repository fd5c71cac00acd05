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
	GetUserIdAndSecContext(&before->user, &before->security);
	SetUserIdAndSecContext(role, before->security | SECURITY_LOCAL_USERID_CHANGE | (restricted ? SECURITY_RESTRICTED_OPERATION : 0));
}

void
df_as_role_end(const DfAsRole *before)
{
	SetUserIdAndSecContext(before->user, before->security);
}
