/* copies of a database */
CREATE FUNCTION dataflows.adopt() RETURNS bigint
	LANGUAGE c VOLATILE PARALLEL UNSAFE AS 'MODULE_PATHNAME', 'dataflows_adopt';
COMMENT ON FUNCTION dataflows.adopt() IS
'Says that this copy of the database is the one whose runs move from now on, and returns how many it took over. Only if nothing else runs them: a customer would be called twice.
In a copy it looks up the owners of workflows, webhooks, schedules and their functions by name, makes the jobs in pg_cron, ends the tokens for the page and renews the key of links; where the database is no copy it brings the names of renamed owners up to date and gives what belongs to a role that is gone to the role that has its name now.
For members of the extension''s owner. Errors: 42501 (a missing right), 25006 (read-only transaction).';
REVOKE ALL ON FUNCTION dataflows.adopt() FROM PUBLIC;

CREATE FUNCTION dataflows.renew_link_key() RETURNS void
	LANGUAGE c VOLATILE PARALLEL UNSAFE AS 'MODULE_PATHNAME', 'dataflows_renew_link_key';
COMMENT ON FUNCTION dataflows.renew_link_key() IS
'Makes a new key for the links of event_url(): links that were made before are not valid any more. For when somebody else may know the key.
For members of the extension''s owner. Errors: 42501 (a missing right), 25006 (read-only transaction).';
REVOKE ALL ON FUNCTION dataflows.renew_link_key() FROM PUBLIC;
