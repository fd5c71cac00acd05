/*
 * session/signal_notice.c
 *	  Says to who signals that the signal does not count now: another role is waited for, or
 *	  another event.
 *
 * Runs in a user's backend, in the caller's transaction, inside the store.  The signal is kept
 * all the same, for a later wait: the run is read as it is now, without a lock, so that this is
 * a hint to a person and never a reason to refuse.  Must never raise an error.
 */
#include "postgres.h"

#include "lib/stringinfo.h"
#include "miscadmin.h"
#include "session/signal_notice.h"
#include "shared/uuid.h"
#include "utils/acl.h"

/* as the engine judges it when it reads the signal */
static bool
counts_from(Oid sender, const DfOpenWait *wait)
{
	Oid by = wait->by == NULL ? InvalidOid : get_role_oid(wait->by, true);

	return wait->by == NULL || (OidIsValid(by) && is_member_of_role(sender, by));
}

static void
append_once(StringInfo words, const char *word)
{
	appendStringInfo(words, "%s\"%s\"", words->len == 0 ? "" : ", ", word);
}

static void
notice_role(const DfInboxTarget *target, const char *event, Oid sender, const char *roles)
{
	ereport(NOTICE,
			(errmsg("signal \"%s\" by role \"%s\" does not count for what run \"%s\" waits for",
					event, GetUserNameFromId(sender, false), df_uuid_text(&target->run)),
			 errdetail("It waits for this event from members of role %s. The signal is kept for a "
					   "later wait.",
					   roles),
			 errhint("Signal as a member of that role, with SET ROLE if need be.")));
}

static void
notice_event(const DfInboxTarget *target, const char *event, const char *steps)
{
	ereport(NOTICE,
			(errmsg("run \"%s\" does not wait for event \"%s\" now",
					df_uuid_text(&target->run), event),
			 steps[0] != '\0'
				 ? errdetail("It waits at %s. The signal is kept for a later wait.", steps)
				 : errdetail("The signal is kept for a later wait."),
			 errhint("Check the name of the event; if it is right, nothing has to be done.")));
}

void
df_signal_notice(const DfInboxTarget *target, const char *event, Oid sender, bool sees)
{
	StringInfoData roles;
	StringInfoData steps;
	ListCell *cell;
	bool any = false;

	if (target->state != DF_RUN_WAITING)
		return;
	initStringInfo(&roles);
	initStringInfo(&steps);
	foreach (cell, df_inbox_open_waits(&target->run, event, CurrentMemoryContext))
	{
		const DfOpenWait *wait = lfirst(cell);

		if (sees)
			append_once(&steps, wait->step);
		if (!wait->of_event)
			continue;
		if (counts_from(sender, wait))
			return;
		any = true;
		append_once(&roles, wait->by);
	}
	if (any)
		notice_role(target, event, sender, roles.data);
	else
		notice_event(target, event, steps.data);
}
