-- complain if script is sourced in psql, rather than via CREATE EXTENSION
\echo Use "CREATE EXTENSION dataflows_sendgrid" to load this file. \quit

SELECT dataflows._guard_connector('sendgrid');
GRANT USAGE ON SCHEMA sendgrid TO PUBLIC;
COMMENT ON SCHEMA sendgrid IS
	'SendGrid in workflows, see connectors/sendgrid/README.md of dataflows';

CREATE FUNCTION sendgrid.connect(server name DEFAULT 'sendgrid', api_key text DEFAULT NULL,
	webhook_secret text DEFAULT NULL, url text DEFAULT 'https://api.sendgrid.com',
	options jsonb DEFAULT '{}')
	RETURNS void LANGUAGE sql VOLATILE SET search_path = pg_catalog, pg_temp AS $$
	SELECT dataflows.connect_system(server,
		jsonb_build_object('url', url, 'idempotency_header', '', 'settle', '5min')
			|| coalesce(options, '{}'),
		nullif(jsonb_strip_nulls(jsonb_build_object('bearer_token', api_key,
			'webhook_secret', webhook_secret)), '{}'))
$$;
COMMENT ON FUNCTION sendgrid.connect(name, text, text, text, jsonb) IS
'Makes the system, a SERVER with what SendGrid documents, and your USER MAPPING; called again, '
'it brings both up to date. Grants nothing: another owner needs USAGE on the server and a '
'mapping.
server: its name. api_key: SG....; NULL leaves the one that is there. webhook_secret: the '
'public key of the signed event webhook. url: https://api.eu.sendgrid.com for accounts in the '
'EU. options: further options of the SERVER, over those of this function; null drops one.
Errors: those of dataflows.connect_system().';

CREATE FUNCTION sendgrid.create_batch(step text, system name DEFAULT 'sendgrid')
	RETURNS text LANGUAGE sql VOLATILE SET search_path = pg_catalog, pg_temp AS $$
	SELECT dataflows.post(step, system, '/v3/mail/batch', undo => 'none', doubt => 'resend')
		->> 'batch_id'
$$;
COMMENT ON FUNCTION sendgrid.create_batch(text, name) IS
'A batch id for mails that are sent later (POST /v3/mail/batch): send() with it has an undo. '
'Sent again in doubt: an unused one does nothing.
step: name of the step. system: the SERVER. Errors: those of dataflows.http().';

CREATE FUNCTION sendgrid.send(step text, sender text, recipient text, subject text DEFAULT NULL,
	body text DEFAULT NULL, html text DEFAULT NULL, template_id text DEFAULT NULL,
	data jsonb DEFAULT NULL, send_at timestamptz DEFAULT NULL, batch_id text DEFAULT NULL,
	more jsonb DEFAULT NULL, doubt text DEFAULT 'stuck', system name DEFAULT 'sendgrid')
	RETURNS jsonb LANGUAGE plpgsql VOLATILE SET search_path = pg_catalog, pg_temp AS $$
DECLARE
	message jsonb := jsonb_strip_nulls(jsonb_build_object(
		'from', jsonb_build_object('email', sender), 'subject', subject,
		'template_id', template_id, 'batch_id', batch_id,
		'send_at', floor(extract(epoch FROM send_at))::bigint));
	content jsonb := '[]';
BEGIN
	IF body IS NOT NULL THEN
		content := content || jsonb_build_object('type', 'text/plain', 'value', body);
	END IF;
	IF html IS NOT NULL THEN
		content := content || jsonb_build_object('type', 'text/html', 'value', html);
	END IF;
	IF content <> '[]' THEN
		message := message || jsonb_build_object('content', content);
	END IF;
	message := message || jsonb_build_object(
		'personalizations', jsonb_build_array(jsonb_strip_nulls(jsonb_build_object(
			'to', jsonb_build_array(jsonb_build_object('email', recipient)),
			'dynamic_template_data', data))),
		'custom_args', jsonb_strip_nulls(jsonb_build_object('dataflows_run', dataflows.run_id(),
			'dataflows_key', dataflows.run_key(), 'dataflows_step', step)));
	PERFORM dataflows.post(step, system, '/v3/mail/send', message || coalesce(more, '{}'),
		undo => CASE WHEN batch_id IS NULL OR send_at IS NULL THEN 'none'
			ELSE 'POST /v3/user/scheduled_sends' END,
		undo_body => CASE WHEN batch_id IS NOT NULL AND send_at IS NOT NULL THEN
			dataflows.verbatim(jsonb_build_object('batch_id', batch_id, 'status', 'cancel')) END,
		doubt => doubt, answers => '202=done');
	RETURN jsonb_build_object('message_id',
		dataflows.response(step) -> 'headers' -> 'x-message-id');
END
$$;
COMMENT ON FUNCTION sendgrid.send(text, text, text, text, text, text, text, jsonb, timestamptz,
	text, jsonb, text, name) IS
'Sends a mail (POST /v3/mail/send) and returns {"message_id"}, from the header of the response: '
'the body is empty. A mail that has left cannot be taken back; one that is sent later, with a '
'batch_id, can: undo cancels it, until 10 minutes before.
step: name of the step, each time another one. sender, recipient: addresses. subject, body, '
'html: what it says. template_id, data: a dynamic template instead, and its values. send_at: '
'when, at most 72 hours from now. batch_id: of create_batch(). more: further fields of the '
'request ({"categories": ["welcome"]}). doubt: what to do if the response is lost, which '
'nothing can tell: stuck, or resend, by which the mail may come twice. system: the SERVER. '
'Errors: those of dataflows.http().';

CREATE FUNCTION sendgrid.put_contact(step text, email text, fields jsonb DEFAULT NULL,
	lists text[] DEFAULT NULL, wait boolean DEFAULT true, system name DEFAULT 'sendgrid')
	RETURNS jsonb LANGUAGE sql VOLATILE SET search_path = pg_catalog, pg_temp AS $$
	SELECT dataflows.put(step, system, '/v3/marketing/contacts',
		jsonb_strip_nulls(jsonb_build_object('list_ids', lists)) || jsonb_build_object('contacts',
			jsonb_build_array(coalesce(fields, '{}') || jsonb_build_object('email', email))),
		undo => 'none', wait => wait)
$$;
COMMENT ON FUNCTION sendgrid.put_contact(text, text, jsonb, text[], boolean, name) IS
'Makes or changes a contact (PUT /v3/marketing/contacts) and returns {"job_id"}: it is done '
'later, see wait_contact(). No undo, since nobody can tell whether it was there before; for one '
'of yours alone, delete_contact().
step: name of the step. email: the address. fields: further ones ({"first_name": ...}). lists: '
'ids of the lists that it is put on. wait: false: go on at once. system: the SERVER. Errors: '
'those of dataflows.http().';

CREATE FUNCTION sendgrid.wait_contact(step text, job text, timeout interval DEFAULT '1 hour',
	every interval DEFAULT '30 s', system name DEFAULT 'sendgrid')
	RETURNS jsonb LANGUAGE sql VOLATILE SET search_path = pg_catalog, pg_temp AS $$
	SELECT dataflows.get(step, system, dataflows.url('/v3/marketing/contacts/imports/%s', job),
		until => '$.status == "completed" || $.status == "errored" || $.status == "failed"',
		every => every, until_timeout => timeout)
$$;
COMMENT ON FUNCTION sendgrid.wait_contact(text, text, interval, interval, name) IS
'Waits until a job of put_contact() has been done (GET /v3/marketing/contacts/imports/{id}), '
'and returns it, with its status: completed, errored or failed.
step: name of the step. job: its id. timeout: after that the step fails. every: how often it '
'is asked. system: the SERVER. Errors: those of dataflows.http().';

CREATE FUNCTION sendgrid.find_contact(step text, email text, system name DEFAULT 'sendgrid')
	RETURNS jsonb LANGUAGE sql VOLATILE SET search_path = pg_catalog, pg_temp AS $$
	SELECT dataflows.post(step, system, '/v3/marketing/contacts/search/emails',
		jsonb_build_object('emails', jsonb_build_array(lower(email))), undo => 'none',
		doubt => 'resend', answers => '404=kept') -> 'result' -> lower(email) -> 'contact'
$$;
COMMENT ON FUNCTION sendgrid.find_contact(text, text, name) IS
'The contact with this email (POST /v3/marketing/contacts/search/emails), NULL if there is '
'none. It lags behind put_contact().
step: name of the step. email: the address, in any case of letters. system: the SERVER. '
'Errors: those of dataflows.http().';

CREATE FUNCTION sendgrid.delete_contact(step text, contact text, wait boolean DEFAULT true,
	system name DEFAULT 'sendgrid')
	RETURNS jsonb LANGUAGE sql VOLATILE SET search_path = pg_catalog, pg_temp AS $$
	SELECT dataflows.delete(step, system, '/v3/marketing/contacts',
		query => jsonb_build_object('ids', contact), wait => wait)
$$;
COMMENT ON FUNCTION sendgrid.delete_contact(text, text, boolean, name) IS
'Deletes a contact (DELETE /v3/marketing/contacts?ids=), later, and returns {"job_id"}; nothing '
'takes it back. Its statistics and its suppressions stay: see suppress().
step: name of the step. contact: its id. wait: false: go on at once. system: the SERVER. '
'Errors: those of dataflows.http().';

CREATE FUNCTION sendgrid.suppress(step text, email text, wait boolean DEFAULT true,
	system name DEFAULT 'sendgrid')
	RETURNS jsonb LANGUAGE sql VOLATILE SET search_path = pg_catalog, pg_temp AS $$
	SELECT dataflows.post(step, system, '/v3/asm/suppressions/global',
		jsonb_build_object('recipient_emails', jsonb_build_array(lower(email))),
		undo => 'DELETE ' || replace(replace(dataflows.url('/v3/asm/suppressions/global/%s',
			lower(email)), '{', '{{'), '}', '}}'),
		doubt => 'resend', wait => wait)
$$;
COMMENT ON FUNCTION sendgrid.suppress(text, text, boolean, name) IS
'From now on the address gets no mails of yours (POST /v3/asm/suppressions/global). Undo: it '
'does again, also if it did not before. Sent again in doubt: twice is as once.
step: name of the step. email: the address. wait: false: go on at once. system: the SERVER. '
'Errors: those of dataflows.http().';

CREATE FUNCTION sendgrid.unsuppress(step text, email text, wait boolean DEFAULT true,
	system name DEFAULT 'sendgrid')
	RETURNS jsonb LANGUAGE sql VOLATILE SET search_path = pg_catalog, pg_temp AS $$
	SELECT dataflows.delete(step, system,
		dataflows.url('/v3/asm/suppressions/global/%s', lower(email)), wait => wait)
$$;
COMMENT ON FUNCTION sendgrid.unsuppress(text, text, boolean, name) IS
'The address gets mails again (DELETE /v3/asm/suppressions/global/{email}). No undo. One that '
'was not suppressed is no error.
step: name of the step. email: the address. wait: false: go on at once. system: the SERVER. '
'Errors: those of dataflows.http().';
