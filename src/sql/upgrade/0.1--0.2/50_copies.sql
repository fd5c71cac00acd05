/*
 * What makes a database another one than its copies is a random part in a table
 * that is not dumped.  Runs that move go on to do so, and a copy that is held
 * stays held: the identity of 0.1 is the token or the system identifier, with
 * the database's oid, and runs carry its hash.
 */
CREATE TABLE dataflows.origin (
	one boolean PRIMARY KEY DEFAULT true CHECK (one),
	random uuid NOT NULL DEFAULT pg_catalog.gen_random_uuid(),
	link_key bytea NOT NULL DEFAULT pg_catalog.uuid_send(pg_catalog.gen_random_uuid())
		OPERATOR(pg_catalog.||) pg_catalog.uuid_send(pg_catalog.gen_random_uuid())
);
INSERT INTO dataflows.origin DEFAULT VALUES;
/* links that are in mails stay valid; in a copy they never were */
UPDATE dataflows.origin AS o SET link_key = i.link_key FROM dataflows.installation AS i
  WHERE i.link_key IS NOT NULL;

ALTER TABLE dataflows.installation ADD COLUMN token text, ADD COLUMN system text,
  ALTER COLUMN link_key DROP NOT NULL, ALTER COLUMN link_key DROP DEFAULT;
UPDATE dataflows.installation SET link_key = NULL;

DO $$
DECLARE
	present text := NULLIF(pg_catalog.current_setting('dataflows.identity', true), '');
	cluster text := (SELECT c.system_identifier::text FROM pg_catalog.pg_control_system() c);
	place text := (SELECT d.oid::text FROM pg_catalog.pg_database d
		WHERE d.datname = pg_catalog.current_database());
	before text := pg_catalog.concat(COALESCE(present, cluster), '/', place);
	after text := (SELECT pg_catalog.concat(o.random, '/', place) FROM dataflows.origin o);
BEGIN
	UPDATE dataflows.run SET identity = pg_catalog.hashtextextended(after COLLATE "C", 0)
		WHERE identity = pg_catalog.hashtextextended(before COLLATE "C", 0) AND (finished_at IS NULL
			OR state = 'completed');
	UPDATE dataflows.installation SET identity = after, token = present, system = cluster
		WHERE identity = before;
END $$;

CREATE FUNCTION dataflows.renew_link_key() RETURNS void
	LANGUAGE c VOLATILE PARALLEL UNSAFE AS 'MODULE_PATHNAME', 'dataflows_renew_link_key';
REVOKE ALL ON FUNCTION dataflows.renew_link_key() FROM PUBLIC;

CREATE INDEX inbox_abandon ON dataflows.inbox (run) WHERE kind = 'abandon' AND state = 'new';
