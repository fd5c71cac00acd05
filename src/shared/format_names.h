/*
 * shared/format_names.h
 *	  The names of encodings and of forms of arrays, and which types of content fit them.
 */
#ifndef DF_SHARED_FORMAT_NAMES_H
#define DF_SHARED_FORMAT_NAMES_H

#include "types/body_format.h"

/* false = there is none of that name */
extern bool df_encoding_named(const char *name, DfEncoding *encoding);
extern bool df_form_arrays_named(const char *name, DfFormArrays *arrays);

extern const char *df_encoding_name(DfEncoding encoding);
extern const char *df_form_arrays_name(DfFormArrays arrays);

/* sentences that name all of them */
#define DF_ENCODINGS_HINT "Write \"json\", \"form\", \"text\" or \"multipart\"."
#define DF_FORM_ARRAYS_HINT \
	"Write \"indices\" (a[0]=1), \"brackets\" (a[]=1) or \"repeat\" (a=1&a=2)."

/* NULL if it is a type of content, else a constant sentence that says why not */
extern const char *df_media_type_problem(const char *value);

/* the same of that of a body, which is sent in UTF-8 */
extern const char *df_content_type_problem(const char *value);

/* the same of what was said of one body: whether it goes together */
extern const char *df_body_format_problem(const DfBodyFormat *format);

/* "application/json" ... ; of a multipart body without its boundary */
extern const char *df_body_content_type(const DfBodyFormat *format);

#endif /* DF_SHARED_FORMAT_NAMES_H */
