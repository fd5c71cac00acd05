/* copies of a database */
CREATE FUNCTION dataflows.adopt() RETURNS bigint
	LANGUAGE c VOLATILE PARALLEL UNSAFE AS 'MODULE_PATHNAME', 'dataflows_adopt';
COMMENT ON FUNCTION dataflows.adopt() IS 'Says that this copy of the database is the one whose runs move from now on; returns how many runs it took over';
REVOKE ALL ON FUNCTION dataflows.adopt() FROM PUBLIC;
