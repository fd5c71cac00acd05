/*
 * The page.  A token is known by its hash alone, is good for what its role may,
 * and is not dumped.  A physical copy (a base backup, a template) has it, too.
 */
CREATE TABLE dataflows.page_token (
	hash bytea NOT NULL PRIMARY KEY,
	owner oid NOT NULL,
	owner_name text NOT NULL,
	created_at timestamptz NOT NULL,
	expires_at timestamptz NOT NULL,
	password bytea
);
CREATE INDEX page_token_owner ON dataflows.page_token (owner);
CREATE INDEX page_token_expires ON dataflows.page_token (expires_at);
COMMENT ON TABLE dataflows.page_token IS
	'One row per token of dashboard_token() that has not expired';
COMMENT ON COLUMN dataflows.page_token.hash IS 'SHA-256 of the token';
COMMENT ON COLUMN dataflows.page_token.owner IS 'Role that made it; its requests run as this role';
COMMENT ON COLUMN dataflows.page_token.owner_name IS
	'Name of that role; oid and name must both match';
COMMENT ON COLUMN dataflows.page_token.created_at IS 'When dashboard_token() was called';
COMMENT ON COLUMN dataflows.page_token.expires_at IS 'When it expires';
COMMENT ON COLUMN dataflows.page_token.password IS
	'SHA-256 of the token and of the role''s password as stored by the server; NULL = the role '
	'had none. A new password ends the token';

CREATE FUNCTION dataflows.dashboard_token(expires interval DEFAULT '12 hours') RETURNS text
	LANGUAGE c VOLATILE STRICT PARALLEL UNSAFE AS 'MODULE_PATHNAME', 'dataflows_dashboard_token';
COMMENT ON FUNCTION dataflows.dashboard_token(interval) IS
'A token with which a person logs in at the page (dataflows.dashboard) and there sees and may do '
'what the current role sees and may do. It is shown this once: only its hash is kept. It ends '
'when it expires, with revoke_dashboard_tokens(), when the role is dropped, renamed or given '
'another password, and while it is a superuser, may not log in (NOLOGIN, VALID UNTIL) or may not '
'connect to the database; that is looked at for each request.
expires: from now, up to 30 days; default 12 hours. Errors: 22023 (a bad interval), 25006 '
'(read-only transaction), 42501 (a superuser, or a role without LOGIN or CONNECT).';

CREATE FUNCTION dataflows.revoke_dashboard_tokens() RETURNS bigint
	LANGUAGE c VOLATILE PARALLEL UNSAFE AS 'MODULE_PATHNAME', 'dataflows_revoke_dashboard_tokens';
COMMENT ON FUNCTION dataflows.revoke_dashboard_tokens() IS
	'Ends all tokens of the current role for the page, and says how many there were. Who is '
	'logged in with one is logged out. Errors: 25006 (read-only transaction).';
