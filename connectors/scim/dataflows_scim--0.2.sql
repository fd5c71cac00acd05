-- complain if script is sourced in psql, rather than via CREATE EXTENSION
\echo Use "CREATE EXTENSION dataflows_scim" to load this file. \quit

SELECT dataflows._guard_connector('scim');
GRANT USAGE ON SCHEMA scim TO PUBLIC;
COMMENT ON SCHEMA scim IS
	'SCIM 2.0 in workflows, see connectors/scim/README.md of dataflows';

CREATE FUNCTION scim.connect(server name DEFAULT 'scim', url text DEFAULT NULL,
	token text DEFAULT NULL, token_url text DEFAULT NULL, client_id text DEFAULT NULL,
	client_secret text DEFAULT NULL, scope text DEFAULT NULL, options jsonb DEFAULT '{}')
	RETURNS void LANGUAGE sql VOLATILE SET search_path = pg_catalog, pg_temp AS $$
	SELECT dataflows.connect_system(server,
		jsonb_strip_nulls(jsonb_build_object('url', url))
			|| jsonb_build_object('content_type', 'application/scim+json',
				'header.Accept', 'application/scim+json', 'idempotency_header', '',
				'settle', '60s')
			|| coalesce(options, '{}'),
		nullif(jsonb_strip_nulls(jsonb_build_object('bearer_token', token,
			'oauth_token_url', token_url, 'client_id', client_id,
			'client_secret', client_secret, 'scope', scope)), '{}'))
$$;
COMMENT ON FUNCTION scim.connect(name, text, text, text, text, text, text, jsonb) IS
'Makes the system, a SERVER for a SCIM 2.0 service (RFC 7644) such as those of Entra and '
'Keycloak, and your USER MAPPING; called again, it brings both up to date. Grants nothing: '
'another owner needs USAGE on the server and a mapping.
server: its name. url: the base, to which /Users is appended; required at first. token: a '
'bearer token. token_url, client_id, client_secret, scope: instead of it, of OAuth client '
'credentials. NULL leaves what is there. options: further options of the SERVER, over those of '
'this function ({"settle": "5min"} for a service whose searches lag); null drops one.
Errors: those of dataflows.connect_system().';

CREATE FUNCTION scim._patch(changes jsonb)
	RETURNS jsonb LANGUAGE sql VOLATILE SET search_path = pg_catalog, pg_temp AS $$
	SELECT CASE WHEN changes IS NOT NULL THEN jsonb_build_object(
		'schemas', '["urn:ietf:params:scim:api:messages:2.0:PatchOp"]'::jsonb,
		'Operations', (SELECT jsonb_agg(jsonb_build_object('op', 'replace', 'path', c.key,
			'value', c.value)) FROM jsonb_each(changes) AS c)) END
$$;
COMMENT ON FUNCTION scim._patch(jsonb) IS
'Internal: the body of a PATCH that replaces attributes.';

CREATE FUNCTION scim._members(op text, member text)
	RETURNS jsonb LANGUAGE sql IMMUTABLE SET search_path = pg_catalog, pg_temp AS $$
	SELECT jsonb_build_object(
		'schemas', '["urn:ietf:params:scim:api:messages:2.0:PatchOp"]'::jsonb,
		'Operations', jsonb_build_array(jsonb_build_object('op', op) || CASE op
			WHEN 'add' THEN jsonb_build_object('path', 'members',
				'value', jsonb_build_array(jsonb_build_object('value', member)))
			ELSE jsonb_build_object('path', format('members[value eq %s]', to_json(member))) END))
$$;
COMMENT ON FUNCTION scim._members(text, text) IS
'Internal: the body of a PATCH that adds a member to a group, or removes it.';

CREATE FUNCTION scim._not_a_member()
	RETURNS jsonb LANGUAGE sql IMMUTABLE SET search_path = pg_catalog, pg_temp AS $$
	SELECT '[{"status": 400, "if": "$.scimType == \"noTarget\"", "is": "kept"}]'::jsonb
$$;
COMMENT ON FUNCTION scim._not_a_member() IS
'Internal: some services refuse to remove a member that is not in the group.';

CREATE FUNCTION scim.find_user(step text, user_name text, system name DEFAULT 'scim')
	RETURNS jsonb LANGUAGE sql VOLATILE SET search_path = pg_catalog, pg_temp AS $$
	SELECT dataflows.get(step, system, '/Users', query => jsonb_build_object('filter',
		format('userName eq %s', to_json(user_name)))) -> 'Resources' -> 0
$$;
COMMENT ON FUNCTION scim.find_user(text, text, name) IS
'The user with this userName (GET /Users?filter=userName eq "..."), NULL if there is none.
step: name of the step. user_name: the name, often an address. system: the SERVER. Errors: '
'those of dataflows.http().';

CREATE FUNCTION scim.create_user(step text, user_name text, email text DEFAULT NULL,
	given_name text DEFAULT NULL, family_name text DEFAULT NULL, external_id text DEFAULT NULL,
	existing text DEFAULT 'fail', id_from text DEFAULT 'body', more jsonb DEFAULT NULL,
	undo text DEFAULT NULL, system name DEFAULT 'scim')
	RETURNS jsonb LANGUAGE plpgsql VOLATILE SET search_path = pg_catalog, pg_temp AS $$
DECLARE
	made jsonb;
BEGIN
	IF existing IS NULL OR existing NOT IN ('fail', 'keep')
		OR id_from IS NULL OR id_from NOT IN ('body', 'location') THEN
		RAISE invalid_parameter_value USING
			MESSAGE = format('step "%s": existing or id_from is not known', step),
			HINT = 'existing is fail or keep, id_from is body or location.';
	END IF;
	IF existing = 'keep' THEN
		made := scim.find_user(step || '/find', user_name, system);
		IF made IS NOT NULL THEN
			RETURN made;
		END IF;
	END IF;
	BEGIN
		made := dataflows.post(step, system, '/Users',
			jsonb_strip_nulls(jsonb_build_object(
				'schemas', '["urn:ietf:params:scim:schemas:core:2.0:User"]'::jsonb,
				'userName', user_name, 'active', true,
				'externalId', coalesce(external_id, dataflows.run_id()::text),
				'name', nullif(jsonb_strip_nulls(jsonb_build_object('givenName', given_name,
					'familyName', family_name)), '{}'),
				'emails', CASE WHEN email IS NOT NULL THEN jsonb_build_array(
					jsonb_build_object('value', email, 'primary', true)) END))
				|| coalesce(more, '{}'),
			undo => coalesce(undo, CASE id_from WHEN 'body' THEN 'DELETE /Users/{id}'
				ELSE 'DELETE {response.headers.location|path}' END),
			probe => jsonb_build_object('request',
					'GET /Users?filter=userName%20eq%20%22{request.userName|quoted}%22')
				|| CASE WHEN existing = 'fail' THEN jsonb_build_object('if',
					format('$.totalResults > 0 && $.Resources[0].externalId == %s',
						to_json(coalesce(external_id, dataflows.run_id()::text)))) ELSE '{}' END
				|| CASE WHEN existing = 'fail' AND external_id IS NULL
					THEN '{"headers": {"X-Dataflows-Run": "{run}"}}'::jsonb ELSE '{}' END,
			probe_found => '$.Resources[*]',
			answers => CASE existing WHEN 'keep' THEN '409=kept' ELSE '409=fail' END);
	EXCEPTION WHEN SQLSTATE 'DF001' THEN
		/* it came after the search: the probe before the first send has found it */
		IF existing = 'keep' AND (dataflows.failure() ->> 'existed')::boolean THEN
			made := scim.find_user(step || '/found', user_name, system);
		END IF;
		IF made IS NULL THEN
			RAISE;
		END IF;
		RETURN made;
	END;
	IF NOT coalesce(made ? 'id', false) THEN
		made := coalesce(made, '{}') || jsonb_strip_nulls(jsonb_build_object('id', regexp_replace(
			dataflows.response(step) -> 'headers' ->> 'location', '^.*/', '')));
	END IF;
	RETURN made;
END
$$;
COMMENT ON FUNCTION scim.create_user(text, text, text, text, text, text, text, text, jsonb, text,
	name) IS
'Makes a user (POST /Users) and returns it, at least its id. Undo: it is deleted.
step: name of the step. user_name: userName, which only one user has; the case of letters does '
'not count. email, given_name, family_name: of the user. external_id: externalId; NULL: the '
'run''s id, by which a user whose response was lost is known as the run''s own. With another one '
'it is found, but a person is asked before an undo deletes it; likewise if the service does not '
'keep it. existing: what is done if there is one (409): fail, or keep: it is looked for before '
'(as the step <step>/find; once more, as <step>/found, if it comes meanwhile), returned as it '
'is, active or not, and never deleted by an undo. '
'id_from: body, or location: for a service whose 201 has a header Location and no body. more: '
'further attributes. undo: another one, or none. system: the SERVER.
Errors: 22023 existing or id_from is not known; those of dataflows.http().';

CREATE FUNCTION scim.get_user(step text, id text, system name DEFAULT 'scim')
	RETURNS jsonb LANGUAGE sql VOLATILE SET search_path = pg_catalog, pg_temp AS $$
	SELECT dataflows.get(step, system, dataflows.url('/Users/%s', id), answers => '404=kept')
$$;
COMMENT ON FUNCTION scim.get_user(text, text, name) IS
'A user by its id (GET /Users/{id}); if there is none, what the service says of it, with '
'"status": "404".
step: name of the step. id: the user''s. system: the SERVER. Errors: those of dataflows.http().';

CREATE FUNCTION scim.update_user(step text, id text, changes jsonb, previous jsonb DEFAULT NULL,
	wait boolean DEFAULT true, system name DEFAULT 'scim')
	RETURNS jsonb LANGUAGE sql VOLATILE SET search_path = pg_catalog, pg_temp AS $$
	SELECT dataflows.patch(step, system, dataflows.url('/Users/%s', id), scim._patch(changes),
		undo => CASE WHEN previous IS NULL THEN 'none'
			ELSE 'PATCH ' || dataflows.url('/Users/%s', id) END,
		undo_body => dataflows.verbatim(scim._patch(previous)), doubt => 'resend', wait => wait)
$$;
COMMENT ON FUNCTION scim.update_user(text, text, jsonb, jsonb, boolean, name) IS
'Replaces attributes of a user (PATCH /Users/{id}) and returns the user, or NULL where the '
'service responds with 204. Undo: what previous says, without it none. Sent again in doubt: '
'twice is as once.
step: name of the step. id: the user''s. changes: an object of attributes ({"displayName": '
'"Ada"}). previous: the values to which a rollback sets them back. wait: false: go on at once. '
'system: the SERVER. Errors: those of dataflows.http().';

CREATE FUNCTION scim.deactivate_user(step text, id text, wait boolean DEFAULT true,
	system name DEFAULT 'scim')
	RETURNS jsonb LANGUAGE sql VOLATILE SET search_path = pg_catalog, pg_temp AS $$
	SELECT dataflows.patch(step, system, dataflows.url('/Users/%s', id),
		scim._patch('{"active": false}'), undo => 'PATCH ' || dataflows.url('/Users/%s', id),
		undo_body => scim._patch('{"active": true}'), doubt => 'resend', wait => wait)
$$;
COMMENT ON FUNCTION scim.deactivate_user(text, text, boolean, name) IS
'Deactivates a user (PATCH /Users/{id}, active: false), who cannot log in any more. Undo: it is '
'active again. What it has stays. Sent again in doubt.
step: name of the step. id: the user''s. wait: false: go on at once. system: the SERVER. '
'Errors: those of dataflows.http().';

CREATE FUNCTION scim.activate_user(step text, id text, wait boolean DEFAULT true,
	system name DEFAULT 'scim')
	RETURNS jsonb LANGUAGE sql VOLATILE SET search_path = pg_catalog, pg_temp AS $$
	SELECT dataflows.patch(step, system, dataflows.url('/Users/%s', id),
		scim._patch('{"active": true}'), undo => 'PATCH ' || dataflows.url('/Users/%s', id),
		undo_body => scim._patch('{"active": false}'), doubt => 'resend', wait => wait)
$$;
COMMENT ON FUNCTION scim.activate_user(text, text, boolean, name) IS
'Activates a user (PATCH /Users/{id}, active: true). Undo: it is deactivated. Sent again in '
'doubt.
step: name of the step. id: the user''s. wait: false: go on at once. system: the SERVER. '
'Errors: those of dataflows.http().';

CREATE FUNCTION scim.delete_user(step text, id text, wait boolean DEFAULT true,
	system name DEFAULT 'scim')
	RETURNS jsonb LANGUAGE sql VOLATILE SET search_path = pg_catalog, pg_temp AS $$
	SELECT dataflows.delete(step, system, dataflows.url('/Users/%s', id), wait => wait)
$$;
COMMENT ON FUNCTION scim.delete_user(text, text, boolean, name) IS
'Deletes a user (DELETE /Users/{id}). Nothing takes it back. Its groups lose it; a service may '
'keep its data, though it responds 404 from then on (Entra: 30 days), and what other systems '
'have of it stays. One that is gone already is no error.
step: name of the step. id: the user''s. wait: false: go on at once. system: the SERVER. '
'Errors: those of dataflows.http().';

CREATE FUNCTION scim.find_group(step text, display_name text, system name DEFAULT 'scim')
	RETURNS jsonb LANGUAGE sql VOLATILE SET search_path = pg_catalog, pg_temp AS $$
	SELECT dataflows.get(step, system, '/Groups', query => jsonb_build_object('filter',
		format('displayName eq %s', to_json(display_name)),
		'excludedAttributes', 'members')) -> 'Resources' -> 0
$$;
COMMENT ON FUNCTION scim.find_group(text, text, name) IS
'The first group with this displayName (GET /Groups?filter=displayName eq "..."), without its '
'members, NULL if there is none.
step: name of the step. display_name: of the group. system: the SERVER. Errors: those of '
'dataflows.http().';

CREATE FUNCTION scim.add_to_group(step text, group_id text, member text,
	wait boolean DEFAULT true, system name DEFAULT 'scim')
	RETURNS jsonb LANGUAGE sql VOLATILE SET search_path = pg_catalog, pg_temp AS $$
	SELECT dataflows.patch(step, system, dataflows.url('/Groups/%s', group_id),
		scim._members('add', member),
		undo => jsonb_build_object('request', 'PATCH ' || dataflows.url('/Groups/%s', group_id),
			'body', dataflows.verbatim(scim._members('remove', member)),
			'answers', scim._not_a_member()),
		doubt => 'resend', wait => wait)
$$;
COMMENT ON FUNCTION scim.add_to_group(text, text, text, boolean, name) IS
'Puts a user into a group (PATCH /Groups/{id}). Undo: it is taken out, also if it was in it '
'before. Sent again in doubt: twice is as once.
step: name of the step. group_id: the group''s. member: id of the user. wait: false: go on at '
'once. system: the SERVER. Errors: those of dataflows.http().';

CREATE FUNCTION scim.remove_from_group(step text, group_id text, member text,
	wait boolean DEFAULT true, system name DEFAULT 'scim')
	RETURNS jsonb LANGUAGE sql VOLATILE SET search_path = pg_catalog, pg_temp AS $$
	SELECT dataflows.patch(step, system, dataflows.url('/Groups/%s', group_id),
		scim._members('remove', member),
		undo => 'PATCH ' || dataflows.url('/Groups/%s', group_id),
		undo_body => dataflows.verbatim(scim._members('add', member)),
		doubt => 'resend', answers => scim._not_a_member(), wait => wait)
$$;
COMMENT ON FUNCTION scim.remove_from_group(text, text, text, boolean, name) IS
'Takes a user out of a group (PATCH /Groups/{id}). Undo: it is put in again, also if it was not '
'in it before and the service does not say so. One that is not in it is no error. Sent again in '
'doubt: twice is as once.
step: name of the step. group_id: the group''s. member: id of the user. wait: false: go on at '
'once. system: the SERVER. Errors: those of dataflows.http().';
