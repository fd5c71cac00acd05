/*
 * types/body_format.h
 *	  How the body of a request is written: from a jsonb value to bytes.
 *
 * A system has one (fdw/options.c), and a step may say otherwise (engine/step_options.c).
 */
#ifndef DF_TYPES_BODY_FORMAT_H
#define DF_TYPES_BODY_FORMAT_H

#include "postgres.h"

typedef enum DfEncoding
{
	DF_ENCODING_JSON,
	DF_ENCODING_FORM,
	DF_ENCODING_TEXT, /* a jsonb string, as it is */
	DF_ENCODING_MULTIPART
} DfEncoding;

/* how the items of an array are named as fields of a form */
typedef enum DfFormArrays
{
	DF_ARRAYS_INDICES, /* a[0]=1&a[1]=2 */
	DF_ARRAYS_BRACKETS, /* a[]=1&a[]=2 */
	DF_ARRAYS_REPEAT /* a=1&a=2 */
} DfFormArrays;

/* zeros are the default */
typedef struct DfBodyFormat
{
	DfEncoding encoding;
	DfFormArrays form_arrays;
	char *content_type; /* NULL = that of the encoding */
} DfBodyFormat;

#endif /* DF_TYPES_BODY_FORMAT_H */
