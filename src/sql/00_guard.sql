/* dataflows: the schema, concatenated from src/sql in name order. */

-- complain if script is sourced in psql, rather than via CREATE EXTENSION
\echo Use "CREATE EXTENSION dataflows" to load this file. \quit

/*
 * a schema that was there before must be empty, and nobody else's: what is in it could be
 * called instead of what follows
 */
CREATE FUNCTION dataflows._guard_schema(installed boolean) RETURNS void
	LANGUAGE c VOLATILE STRICT PARALLEL UNSAFE AS 'MODULE_PATHNAME', 'dataflows_guard_schema';
SELECT dataflows._guard_schema(false);
COMMENT ON FUNCTION dataflows._guard_schema(boolean) IS
	'Internal: refuses a schema of the extension that others own, may create in or have objects '
	'in; true: takes it over, for an update. Errors: 42501 (others'' rights), 42P06 (not empty).';
REVOKE ALL ON FUNCTION dataflows._guard_schema(boolean) FROM PUBLIC;

GRANT USAGE ON SCHEMA dataflows TO PUBLIC;
