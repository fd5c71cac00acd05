/*
 * ingress/preset.h
 *	  What is known of the webhooks of vendors.
 */
#ifndef DF_PRESET_H
#define DF_PRESET_H

#include "utils/jsonb.h"

#define DF_PRESET_IDS 5

typedef struct DfPreset
{
	const char *name; /* of the system, too, unless another one is said */
	const char *verify;
	const char *event; /* jsonpaths; NULL = there is none that fits all */
	const char *key;
	const char *id[DF_PRESET_IDS]; /* what together is one event's id */
	bool each; /* a delivery is an array of events */
	bool challenged; /* the vendor first asks whether the address is ours */
} DfPreset;

/* NULL = there is none of that name */
extern const DfPreset *df_preset_find(const char *name);

/* for a hint */
extern char *df_preset_names(void);

/* the id of an event; NULL = it has none */
extern char *df_preset_event_id(const DfPreset *preset, const Jsonb *event);

#endif /* DF_PRESET_H */
