/*
 * ingress/preset.c
 *	  What is known of the webhooks of vendors: how they sign, where event and key are.
 *
 * Called in sessions that create webhooks, in the ingress process and in sessions that call
 * receive_webhook(), in their transaction.  Only reads what a sender wrote.
 */
#include "postgres.h"

#include "ingress/preset.h"
#include "lib/stringinfo.h"
#include "shared/json.h"
#include "shared/jsonpath.h"

/* the keys are where the connectors write the key of the run that made something */
static const DfPreset presets[] = {
	{.name = "stripe",
	 .verify = "stripe",
	 .event = "$.type",
	 .key = "$.data.object.metadata.dataflows_key",
	 .id = {"$.id"}},
	/* an eventId is not unique; attemptNumber differs each time */
	{.name = "hubspot",
	 .verify = "hubspot",
	 .event = "$.subscriptionType",
	 .key = "$.objectId",
	 .id = {"$.eventId", "$.subscriptionId", "$.occurredAt"},
	 .each = true},
	{.name = "sendgrid",
	 .verify = "sendgrid",
	 .event = "$.event",
	 .key = "$.dataflows_key",
	 .id = {"$.sg_event_id"},
	 .each = true},
	{.name = "auth0",
	 .verify = "bearer",
	 .event = "$.type",
	 .key = "$.data.object.app_metadata.dataflows_key",
	 .id = {"$.id"}},
	/* it has no id of an event, only those of messages and of bounces */
	{.name = "postmark",
	 .verify = "basic",
	 .event = "$.RecordType",
	 .key = "$.Metadata.dataflows_key",
	 .id = {"$.MessageID", "$.RecordType", "$.ID", "$.ReceivedAt", "$.ChangedAt"}},
	{.name = "slack",
	 .verify = "slack",
	 .event = "$.event.type",
	 .id = {"$.event_id"},
	 .challenged = true},
};

const DfPreset *
df_preset_find(const char *name)
{
	for (int i = 0; i < lengthof(presets); i++)
		if (strcmp(presets[i].name, name) == 0)
			return &presets[i];
	return NULL;
}

char *
df_preset_names(void)
{
	StringInfoData names;

	initStringInfo(&names);
	for (int i = 0; i < lengthof(presets); i++)
		appendStringInfo(&names, "%s%s", i > 0 ? ", " : "", presets[i].name);
	return names.data;
}

char *
df_preset_event_id(const DfPreset *preset, const Jsonb *event)
{
	StringInfoData id;
	int matches;

	initStringInfo(&id);
	for (int i = 0; i < DF_PRESET_IDS && preset->id[i] != NULL; i++)
	{
		char *part = df_json_scalar_text(df_jsonpath_first(event, preset->id[i], NULL, &matches));

		if (part == NULL && i == 0)
			return NULL;
		appendStringInfo(&id, "%s%s", i > 0 ? ":" : "", part != NULL ? part : "");
	}
	return id.data;
}
