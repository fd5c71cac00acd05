/*
 * flow/message_kind.c
 *	  The names of what can be in the inbox.
 *
 * Any process, pure: no memory, no errors.  The names are those of the column
 * dataflows.inbox.kind.  SQL text in src/store and src/sql spells them out; C
 * code must compare the enum's values, never the names.
 */
#include "postgres.h"

#include "flow/names.h"

static const char *const names[] = {
	[DF_MESSAGE_SIGNAL] = "signal",
	[DF_MESSAGE_CHILD] = "child",
	[DF_MESSAGE_CANCEL] = "cancel",
	[DF_MESSAGE_RETRY] = "retry",
	[DF_MESSAGE_UNDO] = "undo",
	[DF_MESSAGE_ABANDON] = "abandon",
	[DF_MESSAGE_RESOLVE] = "resolve",
	[DF_MESSAGE_RENAME] = "rename",
	[DF_MESSAGE_ACCEPT] = "accept",
	[DF_MESSAGE_PAUSE] = "pause",
	[DF_MESSAGE_RESUME] = "resume",
};

StaticAssertDecl(lengthof(names) == DF_MESSAGE_NKINDS, "every kind of message has a name");

const char *
df_message_kind_name(DfMessageKind kind)
{
	return kind == DF_MESSAGE_NONE ? "unknown" : df_name_of(names, DF_MESSAGE_NKINDS, kind);
}

DfMessageKind
df_message_kind_of(const char *name)
{
	int kind = df_value_of(names, DF_MESSAGE_NKINDS, name);

	return kind < 0 ? DF_MESSAGE_NONE : (DfMessageKind) kind;
}
