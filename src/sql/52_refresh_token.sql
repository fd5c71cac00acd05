/*
 * What authorization servers give in the place of a refresh token that was used.  Granted to
 * nobody and never dumped: these are credentials, and a copy of them would use them up.
 */
CREATE TABLE dataflows.refresh_token (
	family bytea PRIMARY KEY,
	token text NOT NULL,
	access_token text,
	expires_at timestamptz,
	refreshed_at timestamptz,
	claim bigint,
	claimed_at timestamptz
);
COMMENT ON TABLE dataflows.refresh_token IS
	'Refresh tokens of user mappings with grant ''refresh_token'', and the access token that was '
	'obtained last; granted to nobody and never dumped';
COMMENT ON COLUMN dataflows.refresh_token.family IS
	'SHA-256 of oauth_token_url, client_id and refresh_token of the user mapping; another token '
	'in the mapping begins another row';
COMMENT ON COLUMN dataflows.refresh_token.token IS
	'Refresh token that is sent next; at first that of the user mapping';
COMMENT ON COLUMN dataflows.refresh_token.access_token IS
	'Access token that all workers use; NULL = none was obtained';
COMMENT ON COLUMN dataflows.refresh_token.expires_at IS 'When the access token expires';
COMMENT ON COLUMN dataflows.refresh_token.refreshed_at IS
	'When both were obtained; rows are deleted 400 days later';
COMMENT ON COLUMN dataflows.refresh_token.claim IS
	'Random number of the request that is under way; NULL = none is';
COMMENT ON COLUMN dataflows.refresh_token.claimed_at IS
	'When that request was begun; after two minutes another worker may begin one';
