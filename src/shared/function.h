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
extern Oid df_function_oid(const char *signature);

/* the same for "schema.name(jsonb,jsonb)", the handler of a webhook */
extern Oid df_handler_oid(const char *signature);

/* InvalidOid if it is gone */
extern Oid df_function_owner(Oid function);

#endif /* DF_FUNCTION_H */
