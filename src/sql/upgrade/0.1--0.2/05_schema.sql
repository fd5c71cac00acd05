/* first of all: whose schema is it, and what else is in it */
CREATE FUNCTION dataflows._guard_schema(installed boolean) RETURNS void
	LANGUAGE c VOLATILE STRICT PARALLEL UNSAFE AS 'MODULE_PATHNAME', 'dataflows_guard_schema';
SELECT dataflows._guard_schema(true);
REVOKE ALL ON FUNCTION dataflows._guard_schema(boolean) FROM PUBLIC;
