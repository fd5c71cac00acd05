/*
 * engine/step_format.h
 *	  How the bodies of a step's requests are written: read from its call, recorded, read again.
 */
#ifndef DF_STEP_FORMAT_H
#define DF_STEP_FORMAT_H

#include "shared/json.h"
#include "types/system_options.h"

/*
 * What the argument "options" of a call says, over what the system says; raises 22023 for what
 * is not known or does not go together.
 */
extern void df_format_of_call(const Jsonb *options, const DfSystem *system, DfBodyFormat *format);

/* the paths of the step's requests end in a slash */
extern bool df_slash_is_meant(const Jsonb *options);

extern bool df_format_same(const DfBodyFormat *a, const DfBodyFormat *b);

/*
 * To and from the options of a step.  Undo and probe are written as the system says, whatever
 * the step says of itself.
 */
extern bool df_format_write(DfJson *json, const DfBodyFormat *format, const DfBodyFormat *side);
extern void df_format_read(const Jsonb *options, DfBodyFormat *format, DfBodyFormat *side);

#endif /* DF_STEP_FORMAT_H */
