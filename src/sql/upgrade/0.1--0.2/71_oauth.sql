/* refresh tokens that an authorization server has rotated */
CREATE TABLE dataflows.refresh_token (
	family bytea PRIMARY KEY,
	token text NOT NULL,
	access_token text,
	expires_at timestamptz,
	refreshed_at timestamptz,
	claim bigint,
	claimed_at timestamptz
);
