/* last of all, for what the whole script has made */
CREATE FUNCTION dataflows._guard_grants(installed boolean) RETURNS void
	LANGUAGE c VOLATILE STRICT PARALLEL UNSAFE AS 'MODULE_PATHNAME', 'dataflows_guard_grants';
REVOKE ALL ON FUNCTION dataflows._guard_grants(boolean) FROM PUBLIC;
SELECT dataflows._guard_grants(true);
