--
-- mail: what is refused of a mail server's options, and of a message
--
SET client_min_messages = warning;
CREATE EXTENSION IF NOT EXISTS dataflows;
RESET client_min_messages;
CREATE ROLE regress_df_mail LOGIN;
CREATE SCHEMA regress_df_mail AUTHORIZATION regress_df_mail;
GRANT USAGE ON FOREIGN DATA WRAPPER dataflows TO regress_df_mail;
GRANT EXECUTE ON FUNCTION dataflows.define_workflow TO regress_df_mail;
\pset format unaligned
\pset tuples_only on

CREATE FUNCTION pg_temp.attempt(command text) RETURNS text LANGUAGE plpgsql AS $$
DECLARE
	message text;
	detail text;
	hint text;
BEGIN
	EXECUTE command;
	RETURN 'ok';
EXCEPTION WHEN OTHERS THEN
	GET STACKED DIAGNOSTICS message = MESSAGE_TEXT, detail = PG_EXCEPTION_DETAIL,
		hint = PG_EXCEPTION_HINT;
	RETURN concat_ws(' | ', SQLSTATE, message, nullif(detail, ''), hint);
END $$;
CREATE FUNCTION pg_temp.server(options text) RETURNS text LANGUAGE sql AS $$
	SELECT options || ': ' ||
		pg_temp.attempt(format('CREATE SERVER df_mail_x FOREIGN DATA WRAPPER dataflows '
			'OPTIONS (%s)', options)) $$;

-- options that would do nothing
BEGIN;
SELECT pg_temp.server(format('url ''smtp://mail.example.com'', %s', o))
  FROM unnest(ARRAY['encoding ''form''', 'idempotency_header ''''',
	'idempotency_ttl ''1h''', 'settle ''1s''', 'max_body ''1MB''', 'follow_redirects ''1''',
		'"header.X-A" ''b''', 'starttls ''try''']) o;
SELECT pg_temp.server('url ''smtps://mail.example.com'', starttls ''require''');
SELECT pg_temp.server('url ''https://example.com'', starttls ''off''');
SELECT pg_temp.server('url ''smtp://mail.example.com/path''');
ROLLBACK;
-- those that do something
CREATE SERVER df_mail FOREIGN DATA WRAPPER dataflows OPTIONS (url 'smtp://mail.example.com:587',
  timeout '1min', connect_timeout '1s',
	max_concurrency '4', rate_limit '100/min', breaker_failures '3', breaker_cooldown '10s',
		retry_max_attempts '3', retry_initial '1s',
	retry_max '1min', retry_for '1h', starttls 'off', ca_file '/etc/ssl/ca.pem', allow_private
		'true');
CREATE SERVER df_mail_open FOREIGN DATA WRAPPER dataflows OPTIONS (url 'smtp://mail.example.com',
  starttls 'off');
CREATE SERVER df_mail_web FOREIGN DATA WRAPPER dataflows OPTIONS (url 'https://example.com');
CREATE SERVER df_mail_good FOREIGN DATA WRAPPER dataflows
  OPTIONS (url 'smtp://mail.example.invalid');
GRANT USAGE ON FOREIGN SERVER df_mail_good, df_mail, df_mail_open, df_mail_web TO regress_df_mail;
CREATE USER MAPPING FOR regress_df_mail SERVER df_mail OPTIONS (bearer_token 'hunter2');
CREATE USER MAPPING FOR regress_df_mail SERVER df_mail_open OPTIONS (username 'ada',
  password 'hunter2');

-- STARTTLS is switched off by superusers only
SET ROLE regress_df_mail;
SELECT pg_temp.server('url ''smtp://mail.example.com'', starttls ''off''');
BEGIN;
SELECT pg_temp.server('url ''smtp://mail.example.com'', starttls ''require''');
ROLLBACK;
RESET ROLE;

-- each message in the body of a run; none of them gets as far as a step
SET SESSION AUTHORIZATION regress_df_mail;
CREATE FUNCTION regress_df_mail.refusals(event jsonb) RETURNS jsonb LANGUAGE plpgsql AS $$
DECLARE
	item jsonb;
	said text := '';
	detail text;
	hint text;
BEGIN
	FOR item IN SELECT * FROM jsonb_array_elements(event) LOOP
		BEGIN
			PERFORM dataflows.send_mail(item->>'step', (item->>'system')::name, CASE
				WHEN item ? 'message' THEN
				CASE WHEN jsonb_typeof(item->'message') = 'object' THEN
					'{"from": "shop@example.com", "to": "ada@example.com", "text": "Hello"}'::jsonb
						|| (item->'message') ||
					CASE WHEN item ? 'long' THEN jsonb_build_object('text', repeat('x', 1100000))
						ELSE '{}' END
				ELSE item->'message' END END);
		EXCEPTION WHEN OTHERS THEN
			GET STACKED DIAGNOSTICS detail = PG_EXCEPTION_DETAIL, hint = PG_EXCEPTION_HINT;
			said := said || concat_ws(' | ', SQLSTATE, SQLERRM, nullif(detail, ''), nullif(hint,
				'')) || E'\n';
		END;
	END LOOP;
	RETURN to_jsonb(said);
END $$;
SELECT dataflows.define_workflow('regress-mail', 'regress_df_mail.refusals');
SELECT dataflows.start('regress-mail', (SELECT jsonb_agg(jsonb_build_object('step', 'send',
  'system', 'df_mail_open', 'message', m) ORDER BY n)
	FROM unnest(ARRAY[
	'7', '[]', 'null', '{"form": "x"}', '{"attachment": []}', '{"Subject": "x"}',
		'{"reply_to": "x"}',
	'{"from": null}', '{"from": 7}', '{"from": ["a@b.c"]}', '{"from": ""}',
		'{"from": "a@b.c\r\nBcc: x@y.z"}', '{"from": "A\nB <a@b.c>"}',
	'{"to": null}', '{"to": []}', '{"to": [null]}', '{"to": 7}', '{"to": {"address": "a@b.c"}}',
		'{"to": [["a@b.c"]]}', '{"to": "ada"}', '{"to": "a@b.c, d@e.f"}',
	'{"to": "a@b.c, Bob <d@e.f>"}', '{"to": "a@b.c>\r\nRCPT TO:<x@y.z"}',
		'{"to": "jürgen@example.com"}', '{"to": "a@exämple.com"}', '{"to": "a b@c.d"}',
	'{"to": "a@b@c"}', '{"cc": "x"}', '{"bcc": ["a@b.c", "x"]}', '{"to": "\"Ada <a@b.c>"}',
	'{"subject": "a\r\nBcc: x@y.z"}', '{"subject": "a\tb"}', '{"subject": 7}', '{"subject": ["a"]}',
	'{"text": null}', '{"text": 7}', '{"html": {}}', '{"text": null, "html": null}',
	'{"headers": "X: y"}', '{"headers": ["X: y"]}', '{"headers": {"Bcc": "x@y.z"}}',
		'{"headers": {"message-id": "x"}}', '{"headers": {"Content-Type": "text/html"}}',
	'{"headers": {"resent-to": "x@y.z"}}', '{"headers": {"X y": "z"}}', '{"headers": {"X:": "z"}}',
		'{"headers": {"": "z"}}', '{"headers": {"Ä": "z"}}',
	'{"headers": {"X\r\nBcc": "x@y.z"}}', '{"headers": {"X": "y\r\nBcc: x@y.z"}}',
		'{"headers": {"X": 7}}', '{"headers": {"X": ["y"]}}',
	'{"attachments": {}}', '{"attachments": "x"}', '{"attachments": ["x"]}',
		'{"attachments": [{}]}',
		'{"attachments": [{"base64": ""}, {"base64": "%"}]}',
		'{"attachments": [{"base64": 7}]}', '{"attachments": [{"base64": "", "name": "x"}]}',
		'{"attachments": [{"base64": "", "filename": "a\r\nBcc: x@y.z"}]}',
		'{"attachments": [{"base64": "", "filename": ""}]}',
		'{"attachments": [{"base64": "", "content_type": "pdf"}]}',
		'{"attachments": [{"base64": "", "content_type": "text/ä"}]}',
		'{"attachments": [{"base64": "", "content_type": "message/rfc822"}]}',
	'{"doubt": "perhaps"}', '{"doubt": true}',
	(SELECT jsonb_build_object('to', jsonb_agg(format('a%s@b.c', i)))::text
		FROM generate_series(1, 101) i),
	jsonb_build_object('subject', repeat('x', 70000))::text,
	jsonb_build_object('headers', jsonb_build_object('X', repeat('x', 70000)))::text]::jsonb[]) WITH
		ORDINALITY AS t (m, n))
	||
		'[{"step": "send", "system": "df_mail_open"},
		{"step": "send", "system": "df_mail_good", "message": {}, "long": true},
		{"step": null, "system": "df_mail", "message": {}},
		{"step": "send", "system": null, "message": {}},
		{"step": "send", "system": "df_mail", "message": {}}, {"step": "send",
			"system": "df_mail_open", "message": {}},
		{"step": "send", "system": "df_mail_web", "message": {}},
		{"step": "send", "system": "df_mail_none", "message": {}}]') AS run \gset
SELECT dataflows.await(:'run');
SELECT coalesce(result #>> '{}', error::text) FROM dataflows.runs WHERE run = :'run';
SELECT count(*) FROM dataflows.steps WHERE run = :'run';

SELECT dataflows.drop_workflow('regress-mail');
RESET SESSION AUTHORIZATION;
DROP SERVER df_mail_good, df_mail, df_mail_open, df_mail_web CASCADE;
DROP OWNED BY regress_df_mail CASCADE;
DROP ROLE regress_df_mail;
