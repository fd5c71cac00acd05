/*
 * engine/form_fields.h
 *	  A jsonb object as the fields of a form: nested keys are a[b], arrays as asked for.
 */
#ifndef DF_FORM_FIELDS_H
#define DF_FORM_FIELDS_H

#include "types/body_format.h"
#include "utils/jsonb.h"

typedef void (*DfFieldSink)(void *arg, const char *name, const JsonbValue *value);

typedef struct DfFieldWalk
{
	DfFormArrays arrays;
	bool encoded; /* the parts of names are percent-encoded */
	bool files; /* a file is a value, not an object */
	DfFieldSink sink;
	void *arg;
} DfFieldWalk;

/* calls the sink for each scalar and file, in the order of the object */
extern void df_form_fields(const DfFieldWalk *walk, const Jsonb *body);

#endif /* DF_FORM_FIELDS_H */
