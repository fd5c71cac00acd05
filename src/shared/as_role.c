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

static Oid acts_for = InvalidOid;

Oid
df_engine_role(void)
{
	return OidIsValid(acts_for) ? acts_for : GetSessionUserId();
}

void
df_engine_acts_for(Oid role)
{
	acts_for = role;
}

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
