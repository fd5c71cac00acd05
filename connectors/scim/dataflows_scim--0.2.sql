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
'Makes the system, a SERVER for a SCIM 2.0 service (RFC 7644) of Okta, Entra, Keycloak or '
'another, and your USER MAPPING; called again, it brings both up to date. Grants nothing: '
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
	place text;
BEGIN
	IF existing IS NULL OR existing NOT IN ('fail', 'keep')
		OR id_from IS NULL OR id_from NOT IN ('body', 'location') THEN
		RAISE invalid_parameter_value USING
			MESSAGE = 'existing is fail or keep, and id_from is body or location';
	END IF;
	IF existing = 'keep' THEN
		made := scim.find_user(step || '/find', user_name, system);
		IF made IS NOT NULL THEN
			RETURN made;
		END IF;
	END IF;
	made := dataflows.post(step, system, '/Users',
		jsonb_strip_nulls(jsonb_build_object(
			'schemas', '["urn:ietf:params:scim:schemas:core:2.0:User"]'::jsonb,
			'userName', user_name, 'active', true,
			'externalId', coalesce(external_id, dataflows.run_id()::text),
			'name', nullif(jsonb_strip_nulls(jsonb_build_object('givenName', given_name,
				'familyName', family_name)), '{}'),
			'emails', CASE WHEN email IS NOT NULL THEN jsonb_build_array(
				jsonb_build_object('value', email, 'primary', true)) END)) || coalesce(more, '{}'),
		undo => coalesce(undo, CASE id_from WHEN 'body' THEN 'DELETE /Users/{id}'
			ELSE 'DELETE {response.headers.location|path}' END),
		probe => 'GET /Users?filter=userName%20eq%20%22{request.userName|quoted}%22',
		probe_found => '$.Resources[*]',
		answers => CASE existing WHEN 'keep' THEN '409=kept' ELSE '409=fail' END);
	IF NOT coalesce(made ? 'id', false) THEN
		place := dataflows.response(step) -> 'headers' ->> 'location';
		made := coalesce(made, '{}') || jsonb_strip_nulls(jsonb_build_object('id',
			regexp_replace(place, '^.*/', '')));
	END IF;
	RETURN made;
END
$$;
COMMENT ON FUNCTION scim.create_user(text, text, text, text, text, text, text, text, jsonb, text,
	name) IS
'Makes a user (POST /Users) and returns it, at least its id. Undo: it is deleted.
step: name of the step. user_name: userName, which is unique. email, given_name, family_name: '
'of the user. external_id: NULL: the run''s id, by which a user whose response was lost is known '
'as the run''s own. existing: what is done if there is one (409): fail, or keep: it is looked '
'for before (as the step <step>/find), returned, and never deleted by an undo. id_from: body, '
'or location: for a service whose 201 has a header Location and no body. more: further '
'attributes. undo: another one, or none. system: the SERVER. Errors: those of dataflows.http().';

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
'Deletes a user (DELETE /Users/{id}). Nothing takes it back. Okta deactivates it instead, Entra '
'keeps it for 30 days; what other systems have of it stays. One that is gone already is no '
'error.
step: name of the step. id: the user''s. wait: false: go on at once. system: the SERVER. '
'Errors: those of dataflows.http().';

CREATE FUNCTION scim.add_to_group(step text, group_id text, member text,
	wait boolean DEFAULT true, system name DEFAULT 'scim')
	RETURNS jsonb LANGUAGE sql VOLATILE SET search_path = pg_catalog, pg_temp AS $$
	SELECT dataflows.patch(step, system, dataflows.url('/Groups/%s', group_id),
		jsonb_build_object(
			'schemas', '["urn:ietf:params:scim:api:messages:2.0:PatchOp"]'::jsonb,
			'Operations', jsonb_build_array(jsonb_build_object('op', 'add', 'path', 'members',
				'value', jsonb_build_array(jsonb_build_object('value', member))))),
		undo => 'PATCH ' || dataflows.url('/Groups/%s', group_id),
		undo_body => dataflows.verbatim(jsonb_build_object(
			'schemas', '["urn:ietf:params:scim:api:messages:2.0:PatchOp"]'::jsonb,
			'Operations', jsonb_build_array(jsonb_build_object('op', 'remove',
				'path', format('members[value eq %s]', to_json(member)))))),
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
		jsonb_build_object(
			'schemas', '["urn:ietf:params:scim:api:messages:2.0:PatchOp"]'::jsonb,
			'Operations', jsonb_build_array(jsonb_build_object('op', 'remove',
				'path', format('members[value eq %s]', to_json(member))))),
		undo => 'PATCH ' || dataflows.url('/Groups/%s', group_id),
		undo_body => dataflows.verbatim(jsonb_build_object(
			'schemas', '["urn:ietf:params:scim:api:messages:2.0:PatchOp"]'::jsonb,
			'Operations', jsonb_build_array(jsonb_build_object('op', 'add', 'path', 'members',
				'value', jsonb_build_array(jsonb_build_object('value', member)))))),
		doubt => 'resend', wait => wait)
$$;
COMMENT ON FUNCTION scim.remove_from_group(text, text, text, boolean, name) IS
'Takes a user out of a group (PATCH /Groups/{id}). Undo: it is put in again. Sent again in '
'doubt: twice is as once.
step: name of the step. group_id: the group''s. member: id of the user. wait: false: go on at '
'once. system: the SERVER. Errors: those of dataflows.http().';
