-- complain if script is sourced in psql, rather than via CREATE EXTENSION
\echo Use "CREATE EXTENSION dataflows_hubspot" to load this file. \quit

SELECT dataflows._guard_connector('hubspot');
GRANT USAGE ON SCHEMA hubspot TO PUBLIC;
COMMENT ON SCHEMA hubspot IS
	'HubSpot in workflows, see connectors/hubspot/README.md of dataflows';

CREATE FUNCTION hubspot.connect(server name DEFAULT 'hubspot', access_token text DEFAULT NULL,
	webhook_secret text DEFAULT NULL, url text DEFAULT 'https://api.hubapi.com',
	options jsonb DEFAULT '{}')
	RETURNS void LANGUAGE sql VOLATILE SET search_path = pg_catalog, pg_temp AS $$
	SELECT dataflows.connect_system(server,
		jsonb_build_object('url', url, 'idempotency_header', '', 'rate_limit', '10/s',
			'settle', '5min') || coalesce(options, '{}'),
		nullif(jsonb_strip_nulls(jsonb_build_object('bearer_token', access_token,
			'webhook_secret', webhook_secret)), '{}'))
$$;
COMMENT ON FUNCTION hubspot.connect(name, text, text, text, jsonb) IS
'Makes the system, a SERVER with what HubSpot documents, and your USER MAPPING; called again, '
'it brings both up to date. Grants nothing: another owner needs USAGE on the server and a '
'mapping.
server: its name. access_token: of a private app, pat-...; NULL leaves the one that is there. '
'webhook_secret: the app''s client secret. url: another one for a test. options: further options '
'of the SERVER, over those of this function; null drops one.
Errors: those of dataflows.connect_system().';

CREATE FUNCTION hubspot.find_contact(step text, email text, properties text[] DEFAULT NULL,
	system name DEFAULT 'hubspot')
	RETURNS jsonb LANGUAGE sql VOLATILE SET search_path = pg_catalog, pg_temp AS $$
	SELECT CASE WHEN found ? 'id' THEN found END
	FROM (SELECT dataflows.get(step, system, dataflows.url('/crm/v3/objects/contacts/%s', email),
		query => jsonb_strip_nulls(jsonb_build_object('idProperty', 'email',
			'properties', array_to_string(properties, ','))),
		answers => '404=kept') AS found) AS response
$$;
COMMENT ON FUNCTION hubspot.find_contact(text, text, text[], name) IS
'The contact with this email (GET /crm/v3/objects/contacts/{email}?idProperty=email, which does '
'not lag, unlike a search), NULL if there is none.
step: name of the step. email: the address, of the secondary ones, too. properties: those that '
'are returned; NULL: the usual ones. system: the SERVER. Errors: those of dataflows.http().';

CREATE FUNCTION hubspot.create_contact(step text, email text, properties jsonb DEFAULT NULL,
	run_property text DEFAULT NULL, existing text DEFAULT 'fail', undo text DEFAULT NULL,
	wait boolean DEFAULT true, system name DEFAULT 'hubspot')
	RETURNS jsonb LANGUAGE plpgsql VOLATILE SET search_path = pg_catalog, pg_temp AS $$
DECLARE
	made jsonb;
BEGIN
	IF existing = 'keep' THEN
		made := hubspot.find_contact(step || '/find', email, NULL, system);
		IF made IS NOT NULL THEN
			RETURN made;
		END IF;
	END IF;
	RETURN dataflows.post(step, system, '/crm/v3/objects/contacts',
		jsonb_build_object('properties', coalesce(properties, '{}')
			|| jsonb_build_object('email', email)
			|| CASE WHEN run_property IS NULL THEN '{}'
				ELSE jsonb_build_object(run_property, dataflows.run_id()) END),
		undo => coalesce(undo, 'DELETE /crm/v3/objects/contacts/{id}'),
		probe => jsonb_build_object('request',
			'GET /crm/v3/objects/contacts/{request.properties.email}?idProperty=email'
				|| coalesce('&properties=email,' || regexp_replace(run_property,
					'[^a-zA-Z0-9_]', '', 'g'), ''),
			'answers', '404=kept'),
		probe_found => '$ ? (exists(@.id))',
		answers => CASE existing WHEN 'keep' THEN '409=kept' WHEN 'fail' THEN '409=fail'
			ELSE 'existing must be fail or keep' END, wait => wait);
EXCEPTION WHEN SQLSTATE 'DF001' THEN
	/* it came after the search: the probe before the first send has found it */
	IF existing = 'keep' AND (dataflows.failure() ->> 'existed')::boolean THEN
		made := hubspot.find_contact(step || '/found', email, NULL, system);
	END IF;
	IF made IS NULL THEN
		RAISE;
	END IF;
	RETURN made;
END
$$;
COMMENT ON FUNCTION hubspot.create_contact(text, text, jsonb, text, text, text, boolean, name) IS
'Makes a contact (POST /crm/v3/objects/contacts) and returns it. Undo: it is archived.
step: name of the step. email: the address, which only one contact has. properties: further '
'ones, an object. run_property: name of a text property of yours, which gets the run''s id: only '
'by that a contact whose response was lost is known as the run''s own, so that an undo may '
'archive it; without it a person is asked. existing: what is done if there is one (409): fail, '
'or keep: it is looked for before (as the step <step>/find; once more, as <step>/found, if it '
'comes meanwhile), returned, and never archived by an undo. undo: another one, or none. wait: '
'false: go on at once. system: the SERVER. Errors: those of dataflows.http().';

CREATE FUNCTION hubspot.update_contact(step text, contact text, properties jsonb,
	previous jsonb DEFAULT NULL, wait boolean DEFAULT true, system name DEFAULT 'hubspot')
	RETURNS jsonb LANGUAGE sql VOLATILE SET search_path = pg_catalog, pg_temp AS $$
	SELECT dataflows.patch(step, system, dataflows.url('/crm/v3/objects/contacts/%s', contact),
		jsonb_build_object('properties', properties),
		undo => CASE WHEN previous IS NULL THEN 'none'
			ELSE 'PATCH ' || dataflows.url('/crm/v3/objects/contacts/%s', contact) END,
		undo_body => CASE WHEN previous IS NOT NULL
			THEN dataflows.verbatim(jsonb_build_object('properties', previous)) END,
		doubt => 'resend', wait => wait)
$$;
COMMENT ON FUNCTION hubspot.update_contact(text, text, jsonb, jsonb, boolean, name) IS
'Changes a contact (PATCH /crm/v3/objects/contacts/{id}) and returns it. Undo: what previous '
'says, without it none. Sent again in doubt: twice is as once.
step: name of the step. contact: its id. properties: an object; "" empties one. previous: the '
'values to which a rollback sets them back. wait: false: go on at once. system: the SERVER. '
'Errors: those of dataflows.http().';

CREATE FUNCTION hubspot.archive_contact(step text, contact text, wait boolean DEFAULT true,
	system name DEFAULT 'hubspot')
	RETURNS jsonb LANGUAGE sql VOLATILE SET search_path = pg_catalog, pg_temp AS $$
	SELECT dataflows.delete(step, system, dataflows.url('/crm/v3/objects/contacts/%s', contact),
		wait => wait)
$$;
COMMENT ON FUNCTION hubspot.archive_contact(text, text, boolean, name) IS
'Archives a contact (DELETE /crm/v3/objects/contacts/{id}). No request takes it back; a person '
'can restore it for 90 days. Its data stay until then; see gdpr_delete_contact(). One that is '
'gone already is no error.
step: name of the step. contact: its id. wait: false: go on at once. system: the SERVER. '
'Errors: those of dataflows.http().';

CREATE FUNCTION hubspot.gdpr_delete_contact(step text, contact text, wait boolean DEFAULT true,
	system name DEFAULT 'hubspot')
	RETURNS jsonb LANGUAGE sql VOLATILE SET search_path = pg_catalog, pg_temp AS $$
	SELECT dataflows.post(step, system, '/crm/v3/objects/contacts/gdpr-delete',
		jsonb_build_object('objectId', contact), undo => 'none', doubt => 'resend',
		answers => '404=kept', wait => wait)
$$;
COMMENT ON FUNCTION hubspot.gdpr_delete_contact(text, text, boolean, name) IS
'Deletes a contact for good (POST /crm/v3/objects/contacts/gdpr-delete), as the law demands: '
'nothing takes it back. HubSpot takes up to 30 days for all copies. Sent again in doubt. '
'Returns NULL: the response has no body.
step: name of the step. contact: its id. wait: false: go on at once. system: the SERVER. '
'Errors: those of dataflows.http().';

CREATE FUNCTION hubspot.create_company(step text, name text, domain text DEFAULT NULL,
	properties jsonb DEFAULT NULL, undo text DEFAULT NULL, wait boolean DEFAULT true,
	system name DEFAULT 'hubspot')
	RETURNS jsonb LANGUAGE sql VOLATILE SET search_path = pg_catalog, pg_temp AS $$
	SELECT dataflows.post(step, system, '/crm/v3/objects/companies',
		jsonb_build_object('properties', coalesce(properties, '{}')
			|| jsonb_strip_nulls(jsonb_build_object('name', name, 'domain', domain))),
		undo => coalesce(undo, 'DELETE /crm/v3/objects/companies/{id}'), wait => wait)
$$;
COMMENT ON FUNCTION hubspot.create_company(text, text, text, jsonb, text, boolean, name) IS
'Makes a company (POST /crm/v3/objects/companies) and returns it. Undo: it is archived. '
'Companies may have one name or domain, so that there is no probe: if the response is lost, a '
'person is asked.
step: name of the step. name, domain: of the company. properties: further ones. undo: another '
'one, or none. wait: false: go on at once. system: the SERVER. Errors: those of '
'dataflows.http().';

CREATE FUNCTION hubspot.associate(step text, contact text, company text,
	wait boolean DEFAULT true, system name DEFAULT 'hubspot')
	RETURNS jsonb LANGUAGE sql VOLATILE SET search_path = pg_catalog, pg_temp AS $$
	SELECT dataflows.put(step, system,
		dataflows.url('/crm/v4/objects/contact/%s/associations/default/company/%s', contact,
			company),
		undo => 'DELETE ' || dataflows.url('/crm/v4/objects/contact/%s/associations/company/%s',
			contact, company),
		wait => wait)
$$;
COMMENT ON FUNCTION hubspot.associate(text, text, text, boolean, name) IS
'Says that a contact is of a company (PUT '
'/crm/v4/objects/contact/{id}/associations/default/company/{id}). Undo: it is not any more.
step: name of the step. contact, company: their ids. wait: false: go on at once. system: the '
'SERVER. Errors: those of dataflows.http().';

CREATE FUNCTION hubspot._prefer(what text, step text, email text, subscription text,
	legal_basis text, explanation text, wait boolean, system name)
	RETURNS jsonb LANGUAGE sql VOLATILE SET search_path = pg_catalog, pg_temp AS $$
	SELECT dataflows.post(step, system, '/communication-preferences/v3/' || what,
		jsonb_build_object('emailAddress', email, 'subscriptionId', subscription,
			'legalBasis', legal_basis, 'legalBasisExplanation', explanation),
		undo => 'none',
		doubt => 'resend', answers => '[{"status": 400, "is": "kept",
			"if": "$.message like_regex \"already\""}]'::jsonb,
		wait => wait)
$$;
COMMENT ON FUNCTION hubspot._prefer(text, text, text, text, text, text, boolean, name) IS
'Internal: subscribe() and unsubscribe().';

CREATE FUNCTION hubspot.subscribe(step text, email text, subscription text,
	legal_basis text DEFAULT 'LEGITIMATE_INTEREST_CLIENT',
	explanation text DEFAULT 'by the customer''s request', wait boolean DEFAULT true,
	system name DEFAULT 'hubspot')
	RETURNS jsonb LANGUAGE sql VOLATILE SET search_path = pg_catalog, pg_temp AS $$
	SELECT hubspot._prefer('subscribe', step, email, subscription, legal_basis, explanation, wait,
		system)
$$;
COMMENT ON FUNCTION hubspot.subscribe(text, text, text, text, text, boolean, name) IS
'Lets an address get mails of a kind (POST /communication-preferences/v3/subscribe). Nothing '
'takes it back: an undo would be an unsubscription, after which no request can subscribe the '
'address again. One who has once unsubscribed cannot be subscribed by a request: that is a 400, '
'which raises DF001 or makes the run stuck. One who is subscribed already is kept. Sent again '
'in doubt.
step: name of the step. email: the address. subscription: id of the kind. legal_basis, '
'explanation: what HubSpot keeps as the reason. wait: false: go on at once. system: the SERVER. '
'Errors: those of dataflows.http().';

CREATE FUNCTION hubspot.unsubscribe(step text, email text, subscription text,
	legal_basis text DEFAULT 'LEGITIMATE_INTEREST_CLIENT',
	explanation text DEFAULT 'by the customer''s request', wait boolean DEFAULT true,
	system name DEFAULT 'hubspot')
	RETURNS jsonb LANGUAGE sql VOLATILE SET search_path = pg_catalog, pg_temp AS $$
	SELECT hubspot._prefer('unsubscribe', step, email, subscription, legal_basis, explanation, wait,
		system)
$$;
COMMENT ON FUNCTION hubspot.unsubscribe(text, text, text, text, text, boolean, name) IS
'Ends an address''s mails of a kind (POST /communication-preferences/v3/unsubscribe). Nothing '
'takes it back: HubSpot lets only the person itself subscribe again. Sent again in doubt.
step: name of the step. email: the address. subscription: id of the kind. legal_basis, '
'explanation: what HubSpot keeps as the reason. wait: false: go on at once. system: the SERVER. '
'Errors: those of dataflows.http().';
