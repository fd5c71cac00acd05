/*
 * shared/json_size.h
 *	  How long a jsonb is as text.
 */
#ifndef DF_JSON_SIZE_H
#define DF_JSON_SIZE_H

#include "df_types.h"

/* more levels than a document has; parsers recurse once per level */
#define DF_MAX_JSON_DEPTH 1000

/*
 * The bytes of its text, or any number above `most` if it has more, or if it is
 * nested deeper than DF_MAX_JSON_DEPTH.
 */
extern size_t df_jsonb_text_size(const Jsonb *value, size_t most);

#endif /* DF_JSON_SIZE_H */
