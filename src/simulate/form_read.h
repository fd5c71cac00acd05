/*
 * simulate/form_read.h
 *	  The fields of a form, as explain() shows them.
 */
#ifndef DF_SIMULATE_FORM_READ_H
#define DF_SIMULATE_FORM_READ_H

#include "utils/jsonb.h"

/*
 * {"name": "value"}, names as they are sent, such as "a[b]"; of a name that comes several times
 * an array.  NULL if the bytes are no form.
 */
extern Jsonb *df_form_read(const char *bytes, size_t len, MemoryContext cxt);

#endif /* DF_SIMULATE_FORM_READ_H */
