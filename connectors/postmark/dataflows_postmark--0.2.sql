-- complain if script is sourced in psql, rather than via CREATE EXTENSION
\echo Use "CREATE EXTENSION dataflows_postmark" to load this file. \quit

SELECT dataflows._guard_connector('postmark');
GRANT USAGE ON SCHEMA postmark TO PUBLIC;
COMMENT ON SCHEMA postmark IS
	'Postmark in workflows, see connectors/postmark/README.md of dataflows';

CREATE FUNCTION postmark.connect(server name DEFAULT 'postmark', server_token text DEFAULT NULL,
	webhook_secret text DEFAULT NULL, url text DEFAULT 'https://api.postmarkapp.com',
	options jsonb DEFAULT '{}')
	RETURNS void LANGUAGE sql VOLATILE SET search_path = pg_catalog, pg_temp AS $$
	SELECT dataflows.connect_system(server,
		jsonb_build_object('url', url, 'idempotency_header', '', 'header.Accept',
			'application/json', 'settle', '5min',
			'answers', '[{"status": "2xx", "is": "fail",
				"if": "exists($.ErrorCode ? (@ != 0)) || $.Suppressions[*].Status == \"Failed\""}]')
			|| coalesce(options, '{}'),
		nullif(jsonb_strip_nulls(jsonb_build_object('header.X-Postmark-Server-Token',
			server_token, 'webhook_secret', webhook_secret)), '{}'))
$$;
COMMENT ON FUNCTION postmark.connect(name, text, text, text, jsonb) IS
'Makes the system, a SERVER with what Postmark documents, and your USER MAPPING; called again, '
'it brings both up to date. Grants nothing: another owner needs USAGE on the server and a '
'mapping.
server: its name. server_token: of the Postmark server; NULL leaves the one that is there. '
'webhook_secret: user:password of the webhooks'' URL. url: another one for a test. options: '
'further options of the SERVER, over those of this function; null drops one.
Errors: those of dataflows.connect_system().';

CREATE FUNCTION postmark._metadata(step text)
	RETURNS jsonb LANGUAGE sql VOLATILE SET search_path = pg_catalog, pg_temp AS $$
	SELECT jsonb_strip_nulls(jsonb_build_object('dataflows_run', dataflows.run_id(),
		'dataflows_step', md5(dataflows.run_id() || ' ' || step),
		'dataflows_key', CASE WHEN length(dataflows.run_key()) <= 80 THEN dataflows.run_key() END))
$$;
COMMENT ON FUNCTION postmark._metadata(text) IS
'Internal: metadata that says which run and step sent a mail; values have at most 80 '
'characters.';

CREATE FUNCTION postmark._probe()
	RETURNS jsonb LANGUAGE sql IMMUTABLE SET search_path = pg_catalog, pg_temp AS $$
	SELECT jsonb_build_object('request', 'GET /messages/outbound?count=50&offset=0'
		'&metadata_dataflows_step={request.Metadata.dataflows_step}',
		'headers', '{"X-Dataflows-Run": "{run}"}'::jsonb)
$$;
COMMENT ON FUNCTION postmark._probe() IS
'Internal: the probe that looks for a mail by its metadata alone, which are this step''s: a '
'recipient may be written with a name, or be several.';

CREATE FUNCTION postmark.send(step text, sender text, recipient text, subject text,
	body text DEFAULT NULL, html text DEFAULT NULL, stream text DEFAULT 'outbound',
	more jsonb DEFAULT NULL, doubt text DEFAULT 'stuck', wait boolean DEFAULT true,
	system name DEFAULT 'postmark')
	RETURNS jsonb LANGUAGE sql VOLATILE SET search_path = pg_catalog, pg_temp AS $$
	SELECT dataflows.post(step, system, '/email',
		jsonb_strip_nulls(jsonb_build_object('From', sender, 'To', recipient,
			'Subject', subject, 'TextBody', body, 'HtmlBody', html,
			'MessageStream', stream)) || coalesce(more, '{}')
			|| jsonb_build_object('Metadata', postmark._metadata(step)),
		undo => 'none',
		probe => postmark._probe(),
		probe_found => '$.Messages[*]', doubt => doubt, wait => wait)
$$;
COMMENT ON FUNCTION postmark.send(text, text, text, text, text, text, text, jsonb, text, boolean,
	name) IS
'Sends a mail (POST /email) and returns {"MessageID", ...}. Nothing takes it back. If the '
'response is lost, the sent messages are asked for it by its metadata. An address that is '
'suppressed is refused with 422, which raises DF001.
step: name of the step; two mails of one run need two names. sender, recipient: addresses. '
'subject, body, html: what it says; one of the two bodies at least. stream: the message stream. '
'more: further fields ({"Tag": "welcome"}). doubt: what to do if not even that can tell: stuck, '
'or resend, by which the mail may come twice. wait: false: go on at once. system: the SERVER. '
'Errors: those of dataflows.http().';

CREATE FUNCTION postmark.send_template(step text, sender text, recipient text, template text,
	model jsonb DEFAULT '{}', stream text DEFAULT 'outbound', more jsonb DEFAULT NULL,
	doubt text DEFAULT 'stuck', wait boolean DEFAULT true, system name DEFAULT 'postmark')
	RETURNS jsonb LANGUAGE sql VOLATILE SET search_path = pg_catalog, pg_temp AS $$
	SELECT dataflows.post(step, system, '/email/withTemplate',
		jsonb_strip_nulls(jsonb_build_object('From', sender, 'To', recipient,
			'TemplateAlias', template, 'TemplateModel', model,
			'MessageStream', stream)) || coalesce(more, '{}')
			|| jsonb_build_object('Metadata', postmark._metadata(step)),
		undo => 'none',
		probe => postmark._probe(),
		probe_found => '$.Messages[*]', doubt => doubt, wait => wait)
$$;
COMMENT ON FUNCTION postmark.send_template(text, text, text, text, jsonb, text, jsonb, text,
	boolean, name) IS
'Sends a mail by a template (POST /email/withTemplate) and returns {"MessageID", ...}. Nothing '
'takes it back. If the response is lost, the sent messages are asked for it by its metadata. An '
'address that is suppressed is refused with 422, which raises DF001.
step: name of the step; two mails of one run need two names. sender, recipient: addresses. '
'template: its alias. model: its values. stream: the message stream. more: further fields '
'({"Tag": "welcome"}). doubt: what to do if not even that can tell: stuck, or resend, by which '
'the mail may come twice. wait: false: go on at once. system: the SERVER. Errors: those of '
'dataflows.http().';

CREATE FUNCTION postmark.suppress(step text, email text, stream text DEFAULT 'outbound',
	wait boolean DEFAULT true, system name DEFAULT 'postmark')
	RETURNS jsonb LANGUAGE sql VOLATILE SET search_path = pg_catalog, pg_temp AS $$
	SELECT dataflows.post(step, system, dataflows.url('/message-streams/%s/suppressions', stream),
		jsonb_build_object('Suppressions',
			jsonb_build_array(jsonb_build_object('EmailAddress', email))),
		undo => 'POST ' || dataflows.url('/message-streams/%s/suppressions/delete', stream),
		undo_body => dataflows.verbatim(jsonb_build_object('Suppressions',
			jsonb_build_array(jsonb_build_object('EmailAddress', email)))),
		doubt => 'resend', wait => wait)
$$;
COMMENT ON FUNCTION postmark.suppress(text, text, text, boolean, name) IS
'From now on the address gets no mails of the stream (POST '
'/message-streams/{stream}/suppressions). Undo: it does again, also if it did not before. Sent '
'again in doubt: twice is as once.
step: name of the step. email: the address. stream: the message stream. wait: false: go on at '
'once. system: the SERVER. Errors: those of dataflows.http().';

CREATE FUNCTION postmark.unsuppress(step text, email text, stream text DEFAULT 'outbound',
	wait boolean DEFAULT true, system name DEFAULT 'postmark')
	RETURNS jsonb LANGUAGE sql VOLATILE SET search_path = pg_catalog, pg_temp AS $$
	SELECT dataflows.post(step, system,
		dataflows.url('/message-streams/%s/suppressions/delete', stream),
		jsonb_build_object('Suppressions',
			jsonb_build_array(jsonb_build_object('EmailAddress', email))),
		undo => 'none', doubt => 'resend', wait => wait)
$$;
COMMENT ON FUNCTION postmark.unsuppress(text, text, text, boolean, name) IS
'The address gets mails again (POST /message-streams/{stream}/suppressions/delete). No undo. '
'Who has complained of spam cannot be asked for again: Postmark responds with 200 and "Failed", '
'which raises DF001. Sent again in doubt.
step: name of the step. email: the address. stream: the message stream. wait: false: go on at '
'once. system: the SERVER. Errors: those of dataflows.http().';
