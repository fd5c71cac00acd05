/* first of all: whose schema is it, and what else is in it */
CREATE FUNCTION dataflows._guard_schema(installed boolean) RETURNS void
	LANGUAGE c VOLATILE STRICT PARALLEL UNSAFE AS 'MODULE_PATHNAME', 'dataflows_guard_schema';
SELECT dataflows._guard_schema(true);
COMMENT ON FUNCTION dataflows._guard_schema(boolean) IS
'Internal: refuses a schema of the extension that others own, may create in or have objects in; true: takes it over, for an update. Errors: 42501 (others'' rights), 42P06 (not empty).';
REVOKE ALL ON FUNCTION dataflows._guard_schema(boolean) FROM PUBLIC;
