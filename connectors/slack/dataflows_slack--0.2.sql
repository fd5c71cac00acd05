-- complain if script is sourced in psql, rather than via CREATE EXTENSION
\echo Use "CREATE EXTENSION dataflows_slack" to load this file. \quit

SELECT dataflows._guard_connector('slack');
GRANT USAGE ON SCHEMA slack TO PUBLIC;
COMMENT ON SCHEMA slack IS
	'Slack in workflows, see connectors/slack/README.md of dataflows';

CREATE FUNCTION slack.connect(server name DEFAULT 'slack', bot_token text DEFAULT NULL,
	signing_secret text DEFAULT NULL, url text DEFAULT 'https://slack.com/api',
	options jsonb DEFAULT '{}')
	RETURNS void LANGUAGE sql VOLATILE SET search_path = pg_catalog, pg_temp AS $$
	SELECT dataflows.connect_system(server,
		jsonb_build_object('url', url, 'idempotency_header', '',
			'content_type', 'application/json; charset=utf-8', 'rate_limit', '1/s',
			'settle', '60s',
			'answers', slack._answers())
			|| coalesce(options, '{}'),
		nullif(jsonb_strip_nulls(jsonb_build_object('bearer_token', bot_token,
			'webhook_secret', signing_secret)), '{}'))
$$;
COMMENT ON FUNCTION slack.connect(name, text, text, text, jsonb) IS
'Makes the system, a SERVER with what Slack documents, and your USER MAPPING; called again, it '
'brings both up to date. Grants nothing: another owner needs USAGE on the server and a mapping. '
'Slack responds with 200 whatever happens: the SERVER''s answers read "ok" and "error".
server: its name. bot_token: xoxb-...; NULL leaves the one that is there. signing_secret: of '
'the app, for webhooks. url: another one for a test. options: further options of the SERVER, '
'over those of this function; null drops one.
Errors: those of dataflows.connect_system().';

CREATE FUNCTION slack._answers()
	RETURNS text LANGUAGE sql VOLATILE SET search_path = pg_catalog, pg_temp AS $$
	SELECT jsonb_agg(jsonb_build_object('status', '2xx', 'is', a.means, 'if', a.condition)
		ORDER BY a.n)::text
	FROM (VALUES
		(1, 'retry', '$.error == "ratelimited"'),
		(2, 'doubt', '$.error like_regex "^(internal_error|fatal_error|request_timeout|'
			'service_unavailable)$"'),
		(3, 'credentials', '$.error like_regex "^(invalid_auth|not_authed|token_revoked|'
			'token_expired|account_inactive)$"'),
		(4, 'stuck', '$.error like_regex "^(missing_scope|no_permission|'
			'not_allowed_token_type|invalid_arguments)$"'),
		(5, 'fail', '$.ok != true')) AS a(n, means, condition)
$$;
COMMENT ON FUNCTION slack._answers() IS
'Internal: what the errors of responses with 200 mean.';

CREATE FUNCTION slack._kept(error text)
	RETURNS jsonb LANGUAGE sql VOLATILE SET search_path = pg_catalog, pg_temp AS $$
	SELECT jsonb_build_object('status', '2xx', 'is', 'kept', 'if', format('$.error == "%s"', error))
$$;
COMMENT ON FUNCTION slack._kept(text) IS
'Internal: the rule by which an error means that there is nothing to do.';

CREATE FUNCTION slack.post_message(step text, channel text, message text, more jsonb DEFAULT NULL,
	undo text DEFAULT NULL, wait boolean DEFAULT true, system name DEFAULT 'slack')
	RETURNS jsonb LANGUAGE sql VOLATILE SET search_path = pg_catalog, pg_temp AS $$
	SELECT dataflows.post(step, system, '/chat.postMessage',
		jsonb_build_object('channel', channel, 'text', message) || coalesce(more, '{}')
			|| jsonb_build_object('metadata', jsonb_build_object('event_type', 'dataflows_step',
				'event_payload', jsonb_strip_nulls(jsonb_build_object(
					'dataflows_run', dataflows.run_id(), 'dataflows_key', dataflows.run_key(),
					'dataflows_step', step)))),
		undo => CASE WHEN undo IS NULL THEN jsonb_build_object('request', 'POST /chat.delete',
				'body', '{"channel": "{request.channel}", "ts": "{ts}"}'::jsonb,
				'answers', jsonb_build_array(slack._kept('message_not_found')))
			ELSE to_jsonb(undo) END,
		probe => jsonb_build_object('request', format('GET /conversations.history'
				'?channel={request.channel}&include_all_metadata=true&limit=999&oldest=%s',
			floor(extract(epoch FROM dataflows.run_started_at()))::bigint - 300),
			'headers', '{"X-Dataflows-Run": "{run}"}'::jsonb,
			'answers', jsonb_build_array(jsonb_build_object('status', '2xx', 'is', 'stuck',
				'if', format('$.has_more == true && !exists(%s)', own.path)))),
		probe_found => own.path, wait => wait)
	FROM (SELECT format('$.messages[*] ? (@.metadata.event_payload.dataflows_run == "%s" '
			'&& @.metadata.event_payload.dataflows_step == %s)', dataflows.run_id(),
			to_json(step)) AS path) AS own
$$;
COMMENT ON FUNCTION slack.post_message(text, text, text, jsonb, text, boolean, name) IS
'Posts a message (POST chat.postMessage) and returns it, with channel and ts. Undo: it is '
'deleted. If the response is lost, the channel''s history since the run started is asked for it '
'by its metadata, which needs the scope channels:history and the channel''s id. If it is not on '
'the first page (999 messages, or fewer by Slack''s limits) and there are more, the run is stuck: '
'a person looks.
step: name of the step; two messages of one run to one channel need two names. channel: its '
'id, C..., or D... of open_dm(). message: the text. more: further fields ({"blocks": [...], '
'"thread_ts": ...}). undo: another one, or none. wait: false: go on at once. system: the '
'SERVER. Errors: those of dataflows.http().';

CREATE FUNCTION slack.delete_message(step text, channel text, ts text, wait boolean DEFAULT true,
	system name DEFAULT 'slack')
	RETURNS jsonb LANGUAGE sql VOLATILE SET search_path = pg_catalog, pg_temp AS $$
	SELECT dataflows.post(step, system, '/chat.delete',
		jsonb_build_object('channel', channel, 'ts', ts), undo => 'none', doubt => 'resend',
		answers => slack._kept('message_not_found'), wait => wait)
$$;
COMMENT ON FUNCTION slack.delete_message(text, text, text, boolean, name) IS
'Deletes a message of the app (POST chat.delete). Nothing takes it back. One that has gone is '
'no error. Sent again in doubt.
step: name of the step. channel, ts: of the message. wait: false: go on at once. system: the '
'SERVER. Errors: those of dataflows.http().';

CREATE FUNCTION slack.find_user(step text, email text, system name DEFAULT 'slack')
	RETURNS jsonb LANGUAGE sql VOLATILE SET search_path = pg_catalog, pg_temp AS $$
	SELECT dataflows.get(step, system, '/users.lookupByEmail',
		query => jsonb_build_object('email', email),
		answers => slack._kept('users_not_found')) -> 'user'
$$;
COMMENT ON FUNCTION slack.find_user(text, text, name) IS
'The member with this email (GET users.lookupByEmail), NULL if there is none; a deactivated one '
'is none, either.
step: name of the step. email: the address. system: the SERVER. Errors: those of '
'dataflows.http().';

CREATE FUNCTION slack.open_dm(step text, member text, system name DEFAULT 'slack')
	RETURNS text LANGUAGE sql VOLATILE SET search_path = pg_catalog, pg_temp AS $$
	SELECT dataflows.post(step, system, '/conversations.open',
		jsonb_build_object('users', member), undo => 'none', doubt => 'resend')
		-> 'channel' ->> 'id'
$$;
COMMENT ON FUNCTION slack.open_dm(text, text, name) IS
'The id of the direct channel to a member (POST conversations.open), which is there from then '
'on; sent again in doubt: twice is as once.
step: name of the step. member: U... system: the SERVER. Errors: those of dataflows.http().';

CREATE FUNCTION slack.create_channel(step text, name text, private boolean DEFAULT false,
	undo text DEFAULT NULL, wait boolean DEFAULT true, system name DEFAULT 'slack')
	RETURNS jsonb LANGUAGE sql VOLATILE SET search_path = pg_catalog, pg_temp AS $$
	SELECT dataflows.post(step, system, '/conversations.create',
		jsonb_build_object('name', name, 'is_private', private),
		undo => CASE WHEN undo IS NULL THEN jsonb_build_object('request',
				'POST /conversations.archive', 'body', '{"channel": "{channel.id}"}'::jsonb,
				'answers', jsonb_build_array(slack._kept('already_archived')))
			ELSE to_jsonb(undo) END, wait => wait)
$$;
COMMENT ON FUNCTION slack.create_channel(text, text, boolean, text, boolean, name) IS
'Makes a channel (POST conversations.create) and returns {"channel"}. Undo: it is archived; its '
'name stays taken. A name that is taken raises DF001 (name_taken). If the response is lost, a '
'person is asked.
step: name of the step. name: small letters, digits and - and _. private: only for those who '
'are invited. undo: another one, or none. wait: false: go on at once. system: the SERVER. '
'Errors: those of dataflows.http().';

CREATE FUNCTION slack.archive_channel(step text, channel text, wait boolean DEFAULT true,
	system name DEFAULT 'slack')
	RETURNS jsonb LANGUAGE sql VOLATILE SET search_path = pg_catalog, pg_temp AS $$
	SELECT dataflows.post(step, system, '/conversations.archive',
		jsonb_build_object('channel', channel),
		undo => jsonb_build_object('request', 'POST /conversations.unarchive',
			'body', dataflows.verbatim(jsonb_build_object('channel', channel)),
			'answers', jsonb_build_array(slack._kept('not_archived'))), doubt => 'resend',
		answers => slack._kept('already_archived'), wait => wait)
$$;
COMMENT ON FUNCTION slack.archive_channel(text, text, boolean, name) IS
'Archives a channel (POST conversations.archive). Its messages stay. Undo: it is unarchived, '
'for which a bot''s token may not be enough. One that is archived is no error. Sent again in '
'doubt.
step: name of the step. channel: its id. wait: false: go on at once. system: the SERVER. '
'Errors: those of dataflows.http().';

CREATE FUNCTION slack.invite(step text, channel text, member text, wait boolean DEFAULT true,
	system name DEFAULT 'slack')
	RETURNS jsonb LANGUAGE sql VOLATILE SET search_path = pg_catalog, pg_temp AS $$
	SELECT dataflows.post(step, system, '/conversations.invite',
		jsonb_build_object('channel', channel, 'users', member),
		undo => jsonb_build_object('request', 'POST /conversations.kick',
			'body', dataflows.verbatim(jsonb_build_object('channel', channel, 'user', member)),
			'answers', jsonb_build_array(slack._kept('not_in_channel'))), doubt => 'resend',
		answers => slack._kept('already_in_channel'), wait => wait)
$$;
COMMENT ON FUNCTION slack.invite(text, text, text, boolean, name) IS
'Invites a member into a channel (POST conversations.invite). Undo: it is removed. One who is '
'in it is kept, also by the undo. Sent again in doubt; if then the member is in it, no undo '
'removes it.
step: name of the step. channel: its id. member: U... wait: false: go on at once. system: the '
'SERVER. Errors: those of dataflows.http().';

CREATE FUNCTION slack.remove(step text, channel text, member text, wait boolean DEFAULT true,
	system name DEFAULT 'slack')
	RETURNS jsonb LANGUAGE sql VOLATILE SET search_path = pg_catalog, pg_temp AS $$
	SELECT dataflows.post(step, system, '/conversations.kick',
		jsonb_build_object('channel', channel, 'user', member),
		undo => jsonb_build_object('request', 'POST /conversations.invite',
			'body', dataflows.verbatim(jsonb_build_object('channel', channel, 'users', member)),
			'answers', jsonb_build_array(slack._kept('already_in_channel'))), doubt => 'resend',
		answers => slack._kept('not_in_channel'), wait => wait)
$$;
COMMENT ON FUNCTION slack.remove(text, text, text, boolean, name) IS
'Removes a member from a channel (POST conversations.kick). Its messages stay. Undo: it is '
'invited. One who is not in it is no error. Sent again in doubt. To deactivate a member is the '
'directory''s: see dataflows_scim.
step: name of the step. channel: its id. member: U... wait: false: go on at once. system: the '
'SERVER. Errors: those of dataflows.http().';
