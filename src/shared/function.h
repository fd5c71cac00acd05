/*
 * shared/function.h
 *	  The function of a workflow, found by its stored signature.
 */
#ifndef DF_FUNCTION_H
#define DF_FUNCTION_H

#include "df_types.h"

/*
 * The function "schema.name(jsonb)", quoted as needed, whatever the search_path
 * is and whether or not the user may look into the schema; InvalidOid = none.
 */
extern Oid	df_function_oid(const char *signature);

#endif							/* DF_FUNCTION_H */
