/*
 * fdw/policy.c
 *	  What the options of a system say about retry, key and settling.
 *
 * Runs in workers, and in sessions that simulate, in any transaction and role.  Reads a
 * DfSystem that somebody else has got; looks at no catalog and keeps nothing.
 */
#include "postgres.h"

#include "fdw/options.h"
#include "fdw/policy.h"

void
df_policy_of(const DfSystem *system, DfSystemPolicy *policy)
{
	bool gone = system == NULL;

	if (gone)
		system = df_system_presets();
	policy->retry = system->retry;
	policy->settle_ms = system->settle_ms;
	policy->answers = system->answers;
	policy->key_trusted = system->idempotency_trusted && system->idempotency_header != NULL;
	policy->key_header = gone ? NULL : system->idempotency_header;
	policy->key_ttl_ms = system->idempotency_ttl_ms;
	if (gone)
	{
		/* unknown now; checked again when the step is sent */
		policy->key_trusted = true;
		policy->key_ttl_ms = INT64CONST(366) * 24 * 3600 * 1000;
	}
}
