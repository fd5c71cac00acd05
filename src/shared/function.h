/*
 * shared/function.h
 *	  Finds the function of a workflow by its stored signature.
 */
#ifndef DF_FUNCTION_H
#define DF_FUNCTION_H

/*
 * The function "schema.name(jsonb)", names quoted as needed, whatever the search_path
 * is and whether or not the user has USAGE on the schema; InvalidOid = none.
 */
extern Oid df_function_oid(const char *signature);

/* the same for "schema.name(jsonb,jsonb)", the handler of a webhook */
extern Oid df_handler_oid(const char *signature);

/* InvalidOid = it was dropped */
extern Oid df_function_owner(Oid function);
extern Oid df_function_language(Oid function);

#endif /* DF_FUNCTION_H */
