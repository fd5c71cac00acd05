-- complain if script is sourced in psql, rather than via CREATE EXTENSION
\echo Use "CREATE EXTENSION dataflows_auth0" to load this file. \quit

SELECT dataflows._guard_connector('auth0');
GRANT USAGE ON SCHEMA auth0 TO PUBLIC;
COMMENT ON SCHEMA auth0 IS
	'Auth0 in workflows, see connectors/auth0/README.md of dataflows';

CREATE FUNCTION auth0.connect(server name DEFAULT 'auth0', domain text DEFAULT NULL,
	client_id text DEFAULT NULL, client_secret text DEFAULT NULL,
	webhook_secret text DEFAULT NULL, audience text DEFAULT NULL, url text DEFAULT NULL,
	options jsonb DEFAULT '{}')
	RETURNS void LANGUAGE sql VOLATILE SET search_path = pg_catalog, pg_temp AS $$
	SELECT dataflows.connect_system(server,
		jsonb_strip_nulls(jsonb_build_object('url', coalesce(url, 'https://' || domain),
			'token.audience', coalesce(audience, 'https://' || domain || '/api/v2/'),
			'idempotency_header', '', 'rate_limit', '10/s', 'settle', '60s',
			'answers', '429=retry')) || coalesce(options, '{}'),
		nullif(jsonb_strip_nulls(jsonb_build_object('client_id', client_id,
			'client_secret', client_secret, 'oauth_token_url', CASE WHEN client_id IS NOT NULL
				THEN coalesce(url, 'https://' || domain) || '/oauth/token' END,
			'webhook_secret', webhook_secret)), '{}'))
$$;
COMMENT ON FUNCTION auth0.connect(name, text, text, text, text, text, text, jsonb) IS
'Makes the system, a SERVER with what Auth0 documents of its Management API, and your USER '
'MAPPING; called again, it brings both up to date. Grants nothing: another owner needs USAGE on '
'the server and a mapping.
server: its name. domain: of the tenant (acme.eu.auth0.com). client_id, client_secret: of a '
'machine-to-machine application that may use the Management API; its token is asked for with '
'the audience. NULL leaves those that are there. webhook_secret: the bearer token of an event '
'stream. audience: of the Management API; NULL: https://<domain>/api/v2/, which a custom domain '
'needs to name. url: another one than https://<domain>. options: further options of the SERVER, '
'over those of this function; null drops one.
Errors: those of dataflows.connect_system().';

CREATE FUNCTION auth0.create_user(step text, email text, name text DEFAULT NULL,
	connection text DEFAULT 'Username-Password-Authentication', user_metadata jsonb DEFAULT NULL,
	app_metadata jsonb DEFAULT NULL, existing text DEFAULT 'fail', more jsonb DEFAULT NULL,
	undo text DEFAULT NULL, wait boolean DEFAULT true, system name DEFAULT 'auth0')
	RETURNS jsonb LANGUAGE plpgsql VOLATILE SET search_path = pg_catalog, pg_temp AS $$
DECLARE
	made jsonb;
BEGIN
	IF existing = 'keep' THEN
		made := auth0.find_user(step || '/find', email, connection, system);
		IF made IS NOT NULL THEN
			RETURN made;
		END IF;
	END IF;
	RETURN dataflows.post(step, system, '/api/v2/users',
		jsonb_strip_nulls(jsonb_build_object('connection', connection, 'email', lower(email),
			'name', name, 'user_metadata', user_metadata,
			'password', CASE WHEN connection <> 'email'
				THEN dataflows.once(step || '/password', 'SELECT ''Aa1!''
					|| pg_catalog.gen_random_uuid() || pg_catalog.gen_random_uuid()') END))
			|| coalesce(more, '{}')
			|| jsonb_build_object('app_metadata', coalesce(app_metadata, '{}')
				|| jsonb_strip_nulls(jsonb_build_object('dataflows_run', dataflows.run_id(),
					'dataflows_key', dataflows.run_key()))),
		undo => coalesce(undo, 'DELETE /api/v2/users/{user_id}'),
		probe => '{"request": "GET /api/v2/users-by-email?email={request.email}"}'::jsonb
			|| CASE existing WHEN 'keep' THEN '{}'
				ELSE '{"headers": {"X-Dataflows-Run": "{run}"}}'::jsonb END,
		probe_found => format('$[*] ? (@.identities[*].connection == %s%s)',
			to_json(connection), CASE existing WHEN 'keep' THEN ''
				ELSE format(' && @.app_metadata.dataflows_run == "%s"',
					dataflows.run_id()) END),
		answers => CASE existing WHEN 'keep' THEN '409=kept' WHEN 'fail' THEN '409=fail'
			ELSE 'existing must be fail or keep' END, wait => wait);
EXCEPTION WHEN SQLSTATE 'DF001' THEN
	/* it came after the search: the probe before the first send has found it */
	IF existing = 'keep' AND (dataflows.failure() ->> 'existed')::boolean THEN
		made := auth0.find_user(step || '/found', email, connection, system);
	END IF;
	IF made IS NULL THEN
		RAISE;
	END IF;
	RETURN made;
END
$$;
COMMENT ON FUNCTION auth0.create_user(text, text, text, text, jsonb, jsonb, text, jsonb, text,
	boolean, name) IS
'Makes a user (POST /api/v2/users) and returns it, with user_id. Undo: it is deleted. The '
'address is written in small letters, as Auth0 keeps it.
step: name of the step. email, name: of the user. connection: the database, or email for '
'passwordless ones. A user of a database gets a random password, which is recorded (as the step '
'<step>/password); let it be changed by password_ticket(). user_metadata: what the user may see. '
'app_metadata: what it may not; dataflows_run and dataflows_key (the run''s key, for webhooks) '
'are added. existing: what is done if there is one (409): fail, or keep: it is looked for '
'before (as the step <step>/find; once more, as <step>/found, if it comes meanwhile), returned, '
'and never deleted by an undo. more: further fields of the request ({"verify_email": false}). '
'undo: another one, or none. wait: false: go on at once. system: the SERVER. Errors: those of '
'dataflows.http().';

CREATE FUNCTION auth0.find_user(step text, email text, connection text DEFAULT NULL,
	system name DEFAULT 'auth0')
	RETURNS jsonb LANGUAGE sql VOLATILE SET search_path = pg_catalog, pg_temp AS $$
	SELECT jsonb_path_query_first(dataflows.get(step, system, '/api/v2/users-by-email',
			query => jsonb_build_object('email', lower(email))),
		CASE WHEN connection IS NULL THEN '$[*]'::jsonpath
			ELSE '$[*] ? (@.identities[*].connection == $c)' END,
		jsonb_build_object('c', connection))
$$;
COMMENT ON FUNCTION auth0.find_user(text, text, text, name) IS
'The user with this email (GET /api/v2/users-by-email, which does not lag, unlike a search), '
'NULL if there is none.
step: name of the step. email: the address. connection: NULL: that of any, the first. system: '
'the SERVER. Errors: those of dataflows.http().';

CREATE FUNCTION auth0.get_user(step text, user_id text, system name DEFAULT 'auth0')
	RETURNS jsonb LANGUAGE sql VOLATILE SET search_path = pg_catalog, pg_temp AS $$
	SELECT dataflows.get(step, system, dataflows.url('/api/v2/users/%s', user_id),
		answers => '404=kept')
$$;
COMMENT ON FUNCTION auth0.get_user(text, text, name) IS
'A user by its id (GET /api/v2/users/{id}); if there is none, what Auth0 says of it, with '
'"statusCode": 404.
step: name of the step. user_id: auth0|... system: the SERVER. Errors: those of '
'dataflows.http().';

CREATE FUNCTION auth0.update_user(step text, user_id text, changes jsonb,
	previous jsonb DEFAULT NULL, wait boolean DEFAULT true, system name DEFAULT 'auth0')
	RETURNS jsonb LANGUAGE sql VOLATILE SET search_path = pg_catalog, pg_temp AS $$
	SELECT dataflows.patch(step, system, dataflows.url('/api/v2/users/%s', user_id), changes,
		undo => CASE WHEN previous IS NULL THEN 'none'
			ELSE 'PATCH ' || dataflows.url('/api/v2/users/%s', user_id) END,
		undo_body => dataflows.verbatim(previous), doubt => 'resend', wait => wait)
$$;
COMMENT ON FUNCTION auth0.update_user(text, text, jsonb, jsonb, boolean, name) IS
'Changes a user (PATCH /api/v2/users/{id}) and returns it. Undo: what previous says, without it '
'none. Metadata are merged, null removes a field. Sent again in doubt: twice is as once.
step: name of the step. user_id: the user. changes: fields of the request. previous: the '
'values to which a rollback sets them back. wait: false: go on at once. system: the SERVER. '
'Errors: those of dataflows.http().';

CREATE FUNCTION auth0.block_user(step text, user_id text, wait boolean DEFAULT true,
	system name DEFAULT 'auth0')
	RETURNS jsonb LANGUAGE sql VOLATILE SET search_path = pg_catalog, pg_temp AS $$
	SELECT dataflows.patch(step, system, dataflows.url('/api/v2/users/%s', user_id),
		'{"blocked": true}', undo => 'PATCH ' || dataflows.url('/api/v2/users/%s', user_id),
		undo_body => '{"blocked": false}', doubt => 'resend', wait => wait)
$$;
COMMENT ON FUNCTION auth0.block_user(text, text, boolean, name) IS
'Deactivates a user (PATCH /api/v2/users/{id}, "blocked": true), who cannot log in any more. '
'Undo: it can again. Access tokens that were issued are valid until they expire.
step: name of the step. user_id: the user. wait: false: go on at once. system: the SERVER. '
'Errors: those of dataflows.http().';

CREATE FUNCTION auth0.unblock_user(step text, user_id text, wait boolean DEFAULT true,
	system name DEFAULT 'auth0')
	RETURNS jsonb LANGUAGE sql VOLATILE SET search_path = pg_catalog, pg_temp AS $$
	SELECT dataflows.patch(step, system, dataflows.url('/api/v2/users/%s', user_id),
		'{"blocked": false}', undo => 'PATCH ' || dataflows.url('/api/v2/users/%s', user_id),
		undo_body => '{"blocked": true}', doubt => 'resend', wait => wait)
$$;
COMMENT ON FUNCTION auth0.unblock_user(text, text, boolean, name) IS
'Lets a user log in again (PATCH /api/v2/users/{id}, "blocked": false). Undo: it is blocked.
step: name of the step. user_id: the user. wait: false: go on at once. system: the SERVER. '
'Errors: those of dataflows.http().';

CREATE FUNCTION auth0.delete_user(step text, user_id text, wait boolean DEFAULT true,
	system name DEFAULT 'auth0')
	RETURNS jsonb LANGUAGE sql VOLATILE SET search_path = pg_catalog, pg_temp AS $$
	SELECT dataflows.delete(step, system, dataflows.url('/api/v2/users/%s', user_id),
		wait => wait)
$$;
COMMENT ON FUNCTION auth0.delete_user(text, text, boolean, name) IS
'Deletes a user (DELETE /api/v2/users/{id}), for good: nothing takes it back. Access tokens '
'that were issued are valid until they expire, and the tenant''s logs keep what they say of the '
'user. One that is gone already is no error.
step: name of the step. user_id: the user. wait: false: go on at once. system: the SERVER. '
'Errors: those of dataflows.http().';

CREATE FUNCTION auth0.assign_roles(step text, user_id text, roles text[],
	wait boolean DEFAULT true, system name DEFAULT 'auth0')
	RETURNS jsonb LANGUAGE sql VOLATILE SET search_path = pg_catalog, pg_temp AS $$
	SELECT dataflows.post(step, system, dataflows.url('/api/v2/users/%s/roles', user_id),
		jsonb_build_object('roles', roles),
		undo => 'DELETE ' || dataflows.url('/api/v2/users/%s/roles', user_id),
		undo_body => dataflows.verbatim(jsonb_build_object('roles', roles)), doubt => 'resend',
		wait => wait)
$$;
COMMENT ON FUNCTION auth0.assign_roles(text, text, text[], boolean, name) IS
'Gives a user roles (POST /api/v2/users/{id}/roles). Undo: they are removed, also those that it '
'had before. Sent again in doubt: twice is as once. Returns NULL: the response has no body.
step: name of the step. user_id: the user. roles: ids, rol_... wait: false: go on at once. '
'system: the SERVER. Errors: those of dataflows.http().';

CREATE FUNCTION auth0.remove_roles(step text, user_id text, roles text[],
	wait boolean DEFAULT true, system name DEFAULT 'auth0')
	RETURNS jsonb LANGUAGE sql VOLATILE SET search_path = pg_catalog, pg_temp AS $$
	SELECT dataflows.delete(step, system, dataflows.url('/api/v2/users/%s/roles', user_id),
		jsonb_build_object('roles', roles),
		undo => 'POST ' || dataflows.url('/api/v2/users/%s/roles', user_id),
		undo_body => dataflows.verbatim(jsonb_build_object('roles', roles)), wait => wait)
$$;
COMMENT ON FUNCTION auth0.remove_roles(text, text, text[], boolean, name) IS
'Takes roles from a user (DELETE /api/v2/users/{id}/roles). Undo: it has them again.
step: name of the step. user_id: the user. roles: ids, rol_... wait: false: go on at once. '
'system: the SERVER. Errors: those of dataflows.http().';

CREATE FUNCTION auth0.send_verification_email(step text, user_id text, doubt text DEFAULT 'stuck',
	wait boolean DEFAULT true, system name DEFAULT 'auth0')
	RETURNS jsonb LANGUAGE sql VOLATILE SET search_path = pg_catalog, pg_temp AS $$
	SELECT dataflows.post(step, system, '/api/v2/jobs/verification-email',
		jsonb_build_object('user_id', user_id), undo => 'none', doubt => doubt, wait => wait)
$$;
COMMENT ON FUNCTION auth0.send_verification_email(text, text, text, boolean, name) IS
'Sends the mail by which a user confirms its address (POST /api/v2/jobs/verification-email) and '
'returns the job. Nothing takes it back.
step: name of the step. user_id: the user. doubt: what to do if the response is lost: stuck, '
'or resend, by which the user may get two mails. wait: false: go on at once. system: the '
'SERVER. Errors: those of dataflows.http().';

CREATE FUNCTION auth0.password_ticket(step text, user_id text, ttl interval DEFAULT '5 days',
	result_url text DEFAULT NULL, system name DEFAULT 'auth0')
	RETURNS text LANGUAGE sql VOLATILE SET search_path = pg_catalog, pg_temp AS $$
	SELECT dataflows.post(step, system, '/api/v2/tickets/password-change',
		jsonb_strip_nulls(jsonb_build_object('user_id', user_id, 'result_url', result_url,
			'ttl_sec', extract(epoch FROM ttl)::int)), undo => 'none', doubt => 'resend')
		->> 'ticket'
$$;
COMMENT ON FUNCTION auth0.password_ticket(text, text, interval, text, name) IS
'A link by which a user sets its password (POST /api/v2/tickets/password-change), for a mail of '
'your own. Who has the link may use it, and it is recorded with the step. Sent again in doubt: '
'the link that was lost is unused.
step: name of the step. user_id: the user. ttl: how long it is valid. result_url: where it '
'leads afterwards. system: the SERVER. Errors: those of dataflows.http().';
