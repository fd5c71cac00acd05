/* systems are foreign servers, credentials are user mappings */
CREATE FUNCTION dataflows.fdw_validator(options text[], catalog oid) RETURNS void
	LANGUAGE c STRICT AS 'MODULE_PATHNAME', 'dataflows_fdw_validator';
COMMENT ON FUNCTION dataflows.fdw_validator(text[], oid) IS
	'Internal: checks the options of systems and of their user mappings';
REVOKE ALL ON FUNCTION dataflows.fdw_validator(text[], oid) FROM PUBLIC;

CREATE FOREIGN DATA WRAPPER dataflows VALIDATOR dataflows.fdw_validator;
COMMENT ON FOREIGN DATA WRAPPER dataflows IS
	'Systems that workflows call; GRANT USAGE on it lets a role create systems';
