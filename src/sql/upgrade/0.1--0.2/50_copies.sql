/*
 * What makes a database another one than its copies is a random part in a table
 * that is not dumped.  Runs that move go on to do so, and a copy that is held
 * stays held: the identity of 0.1 is the token or the system identifier, with
 * the database's oid, and runs carry its hash.
 */
CREATE TABLE dataflows.origin (
	one boolean PRIMARY KEY DEFAULT true CHECK (one),
	random uuid NOT NULL DEFAULT pg_catalog.gen_random_uuid(),
	link_key bytea NOT NULL DEFAULT pg_catalog.uuid_send(pg_catalog.gen_random_uuid()) OPERATOR(pg_catalog.||) pg_catalog.uuid_send(pg_catalog.gen_random_uuid())
);
COMMENT ON TABLE dataflows.origin IS 'One row, written by CREATE EXTENSION and in no dump: what makes this database another one than its copies';
COMMENT ON COLUMN dataflows.origin.one IS 'Always true: there is one row';
COMMENT ON COLUMN dataflows.origin.random IS 'Random part of the identity';
COMMENT ON COLUMN dataflows.origin.link_key IS 'What the links of event_url() are signed with: random, of this installation alone; see renew_link_key()';
INSERT INTO dataflows.origin DEFAULT VALUES;
/* links that are in mails stay valid; in a copy they never were */
UPDATE dataflows.origin AS o SET link_key = i.link_key FROM dataflows.installation AS i WHERE i.link_key IS NOT NULL;

ALTER TABLE dataflows.installation ADD COLUMN token text, ADD COLUMN system text, ALTER COLUMN link_key DROP NOT NULL, ALTER COLUMN link_key DROP DEFAULT;
COMMENT ON TABLE dataflows.installation IS 'One row, written by the first define_workflow(): which database the runs belong to; dumped with them';
COMMENT ON COLUMN dataflows.installation.identity IS 'The random part in dataflows.origin, with the database oid; runs move only where it is the same';
COMMENT ON COLUMN dataflows.installation.token IS 'dataflows.identity of the server; NULL = none was set';
COMMENT ON COLUMN dataflows.installation.system IS 'System identifier of the cluster; looked at where there is no token';
COMMENT ON COLUMN dataflows.installation.link_key IS 'Not used: only a dump of version 0.1 fills it. The key of links is in dataflows.origin';
UPDATE dataflows.installation SET link_key = NULL;

DO $$
DECLARE
	present text := NULLIF(pg_catalog.current_setting('dataflows.identity', true), '');
	cluster text := (SELECT c.system_identifier::text FROM pg_catalog.pg_control_system() c);
	place text := (SELECT d.oid::text FROM pg_catalog.pg_database d WHERE d.datname = pg_catalog.current_database());
	before text := pg_catalog.concat(COALESCE(present, cluster), '/', place);
	after text := (SELECT pg_catalog.concat(o.random, '/', place) FROM dataflows.origin o);
BEGIN
	UPDATE dataflows.run SET identity = pg_catalog.hashtextextended(after COLLATE "C", 0)
		WHERE identity = pg_catalog.hashtextextended(before COLLATE "C", 0) AND (finished_at IS NULL OR state = 'completed');
	UPDATE dataflows.installation SET identity = after, token = present, system = cluster WHERE identity = before;
END $$;

COMMENT ON FUNCTION dataflows.adopt() IS
'Says that this copy of the database is the one whose runs move from now on, and returns how many it took over. Only if nothing else runs them: a customer would be called twice.
In a copy it looks up the owners of workflows, webhooks, schedules and their functions by name, makes the jobs in pg_cron, ends the tokens for the page and renews the key of links; where the database is no copy it brings the names of renamed owners up to date and gives what belongs to a role that is gone to the role that has its name now.
For members of the extension''s owner. Errors: 42501 (a missing right), 25006 (read-only transaction).';

CREATE FUNCTION dataflows.renew_link_key() RETURNS void
	LANGUAGE c VOLATILE PARALLEL UNSAFE AS 'MODULE_PATHNAME', 'dataflows_renew_link_key';
COMMENT ON FUNCTION dataflows.renew_link_key() IS
'Makes a new key for the links of event_url(): links that were made before are not valid any more. For when somebody else may know the key.
For members of the extension''s owner. Errors: 42501 (a missing right), 25006 (read-only transaction).';
REVOKE ALL ON FUNCTION dataflows.renew_link_key() FROM PUBLIC;

CREATE INDEX inbox_abandon ON dataflows.inbox (run) WHERE kind = 'abandon' AND state = 'new';
COMMENT ON COLUMN dataflows.inbox.payload IS 'Payload of a signal; what a child came to, until its parent has taken it over; of an abandon: the run was at rest';
COMMENT ON FUNCTION dataflows.abandon(uuid, text) IS
'A person takes a run off the engine''s hands: nothing more is done or undone, it ends as abandoned, and so do the runs that it called and that have not ended. Works for a stuck run, and in any state while its workflow or the database is paused or held: for runs that a restored backup shows as under way and that were done since. Returns false for any other.
note: why; recorded with who and when. For members of the workflow''s owner. Errors: DF005 (unknown run), 22023 (no note), 42501 (a missing right), 25006 (read-only transaction).';
