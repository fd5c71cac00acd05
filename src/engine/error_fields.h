/*
 * engine/error_fields.h
 *	  What PostgreSQL knows of an error, as fields of a JSON object.
 */
#ifndef DF_ERROR_FIELDS_H
#define DF_ERROR_FIELDS_H

#include "shared/json.h"

/* hint, context, and which schema, table, column, datatype, constraint; absent if unknown */
extern void df_error_fields(DfJson *json, const ErrorData *error);

#endif /* DF_ERROR_FIELDS_H */
