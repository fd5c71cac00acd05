/* copies of a database */
CREATE FUNCTION dataflows.adopt() RETURNS bigint
	LANGUAGE c VOLATILE PARALLEL UNSAFE AS 'MODULE_PATHNAME', 'dataflows_adopt';
COMMENT ON FUNCTION dataflows.adopt() IS
'Makes this copy of the database the one whose runs move, and returns how many runs that are. '
'Call it only if nothing else runs them: their requests would be sent twice.
In a copy it looks up the owners of workflows, webhooks, schedules and their functions by name, '
'makes the jobs in pg_cron, ends the tokens for the page and renews the key of links; where the '
'database is no copy it updates the names of renamed owners, and what a dropped role owned goes '
'to the role that now has its name.
For members of the extension''s owner. Errors: 42501 (a missing right), 25006 (read-only '
'transaction).';
REVOKE ALL ON FUNCTION dataflows.adopt() FROM PUBLIC;

CREATE FUNCTION dataflows.renew_link_key() RETURNS void
	LANGUAGE c VOLATILE PARALLEL UNSAFE AS 'MODULE_PATHNAME', 'dataflows_renew_link_key';
COMMENT ON FUNCTION dataflows.renew_link_key() IS
'Makes a new key for the links of event_url(): links that were made before are not valid any '
'more. For when somebody else may know the key.
For members of the extension''s owner. Errors: 42501 (a missing right), 25006 (read-only '
'transaction).';
REVOKE ALL ON FUNCTION dataflows.renew_link_key() FROM PUBLIC;
