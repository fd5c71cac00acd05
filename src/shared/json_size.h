/*
 * shared/json_size.h
 *	  The length of a jsonb's text.
 */
#ifndef DF_JSON_SIZE_H
#define DF_JSON_SIZE_H

#include "utils/jsonb.h"

/* more levels than a sensible document has; parsers recurse once per level */
#define DF_MAX_JSON_DEPTH 1000

/* in bytes; any number above `most` if it is longer, or nested deeper than DF_MAX_JSON_DEPTH */
extern size_t df_jsonb_text_size(const Jsonb *value, size_t most);

#endif /* DF_JSON_SIZE_H */
