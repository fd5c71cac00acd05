/* state belongs to the database: it is dumped with it */
SELECT pg_catalog.pg_extension_config_dump('dataflows.installation', '');
SELECT pg_catalog.pg_extension_config_dump('dataflows.workflow', '');
SELECT pg_catalog.pg_extension_config_dump('dataflows.run', '');
SELECT pg_catalog.pg_extension_config_dump('dataflows.run_count', '');
SELECT pg_catalog.pg_extension_config_dump('dataflows.step', '');
SELECT pg_catalog.pg_extension_config_dump('dataflows.proven_step', '');
SELECT pg_catalog.pg_extension_config_dump('dataflows.alias', '');
SELECT pg_catalog.pg_extension_config_dump('dataflows.attempt', '');
SELECT pg_catalog.pg_extension_config_dump('dataflows.inbox', '');
SELECT pg_catalog.pg_extension_config_dump('dataflows.inbox_id_seq', '');

/* tell the launcher, at commit, that this database has an engine now */
CREATE FUNCTION dataflows._created() RETURNS void
	LANGUAGE c STRICT AS 'MODULE_PATHNAME', 'dataflows_created';
COMMENT ON FUNCTION dataflows._created() IS
	'Internal: wakes the launcher for this database at commit';
REVOKE ALL ON FUNCTION dataflows._created() FROM PUBLIC;
SELECT dataflows._created();
