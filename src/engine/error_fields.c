/*
 * engine/error_fields.c
 *	  What PostgreSQL knows of an error, as fields of a JSON object.
 *
 * Runs in workers and sql workers, after the error was caught and its subtransaction rolled
 * back.  Reads a copy of the error, which was cut to a size that can be recorded.  Never
 * raise here.
 */
#include "postgres.h"

#include "engine/error_fields.h"

void
df_error_fields(DfJson *json, const ErrorData *error)
{
	df_json_text(json, "hint", error->hint);
	df_json_text(json, "context", error->context);
	df_json_text(json, "schema", error->schema_name);
	df_json_text(json, "table", error->table_name);
	df_json_text(json, "column", error->column_name);
	df_json_text(json, "datatype", error->datatype_name);
	df_json_text(json, "constraint", error->constraint_name);
}
