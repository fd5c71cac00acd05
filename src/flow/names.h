/*
 * flow/names.h
 *	  Names of enum values, both ways; private to this room.
 *
 * A table of names is indexed by the enum's value, so a new value without a
 * name fails to compile where the table's length is asserted.
 */
#ifndef DF_NAMES_H
#define DF_NAMES_H

#include "flow/flow.h"

/* a value outside the enum comes from a broken row or a bug: it still prints */
static inline const char *
df_name_of(const char *const *names, int n, int value)
{
	return value >= 0 && value < n ? names[value] : "unknown";
}

/* -1 = no such name; NULL is a name of nothing */
static inline int
df_value_of(const char *const *names, int n, const char *name)
{
	int i;

	for (i = 0; name != NULL && i < n; i++)
	{
		if (names[i] != NULL && strcmp(names[i], name) == 0)
			return i;
	}
	return -1;
}

/* the arrow from a state with an event; NULL = the machine has none */
static inline const DfTransition *
df_transition_of(const DfTransition *transitions, int n, int from, int event)
{
	int i;

	for (i = 0; i < n; i++)
	{
		if (transitions[i].from == from && transitions[i].event == event)
			return &transitions[i];
	}
	return NULL;
}

#endif /* DF_NAMES_H */
