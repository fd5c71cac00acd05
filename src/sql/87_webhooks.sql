/*
 * Webhooks in.  Secrets are options of user mappings; a row names the system
 * that has one.
 */
CREATE TABLE dataflows.webhook (
	path text NOT NULL PRIMARY KEY,
	starts text,
	signals text,
	event text,
	key text,
	verify text NOT NULL,
	secret text,
	filter text,
	handler text,
	handler_owner oid,
	owner oid NOT NULL,
	owner_name text NOT NULL,
	created_at timestamptz NOT NULL,
	preset text,
	inserts text,
	CHECK (pg_catalog.num_nonnulls(starts, signals, inserts) OPERATOR(pg_catalog.=) 1)
);
COMMENT ON TABLE dataflows.webhook IS 'One row per path that accepts webhooks';
COMMENT ON COLUMN dataflows.webhook.path IS 'Path of the URL';
COMMENT ON COLUMN dataflows.webhook.starts IS 'Workflow that a delivery starts';
COMMENT ON COLUMN dataflows.webhook.signals IS 'Workflow whose run a delivery signals';
COMMENT ON COLUMN dataflows.webhook.inserts IS
	'Qualified name of the table of which a delivery becomes a row';
COMMENT ON COLUMN dataflows.webhook.event IS
	'Event of the signal: a name, or a jsonpath into the body';
COMMENT ON COLUMN dataflows.webhook.key IS 'Key of the run: a literal, or a jsonpath into the body';
COMMENT ON COLUMN dataflows.webhook.verify IS 'How the sender is verified';
COMMENT ON COLUMN dataflows.webhook.secret IS 'System whose user mapping has the secret';
COMMENT ON COLUMN dataflows.webhook.filter IS 'jsonpath predicate that the body must meet';
COMMENT ON COLUMN dataflows.webhook.handler IS
	'Qualified signature of the function that decides what a delivery does';
COMMENT ON COLUMN dataflows.webhook.handler_owner IS
	'Owner of that function when the webhook was created';
COMMENT ON COLUMN dataflows.webhook.owner IS
	'Role that created the webhook; runs are started and signalled with its rights';
COMMENT ON COLUMN dataflows.webhook.owner_name IS 'Name of that role; oid and name must both match';
COMMENT ON COLUMN dataflows.webhook.created_at IS 'When create_webhook() was called';
COMMENT ON COLUMN dataflows.webhook.preset IS 'Vendor whose events these are';

CREATE TABLE dataflows.webhook_delivery (
	id bigint GENERATED ALWAYS AS IDENTITY PRIMARY KEY,
	path text NOT NULL,
	event_id text,
	at timestamptz NOT NULL,
	outcome text,
	run uuid,
	answer jsonb
) WITH (fillfactor = 60);
CREATE UNIQUE INDEX webhook_delivery_event ON dataflows.webhook_delivery (path, event_id)
	WHERE event_id IS NOT NULL;
CREATE INDEX webhook_delivery_at ON dataflows.webhook_delivery (at);
COMMENT ON TABLE dataflows.webhook_delivery IS
	'One row per delivery that was verified; kept for dataflows.retention';
COMMENT ON COLUMN dataflows.webhook_delivery.id IS 'Order of arrival';
COMMENT ON COLUMN dataflows.webhook_delivery.path IS 'Path of the webhook';
COMMENT ON COLUMN dataflows.webhook_delivery.event_id IS
	'Id that the sender gave; a repeated delivery has the same';
COMMENT ON COLUMN dataflows.webhook_delivery.at IS
	'When it arrived; of a used link of event_url(), when the link expires';
COMMENT ON COLUMN dataflows.webhook_delivery.outcome IS 'started, signalled, inserted or ignored';
COMMENT ON COLUMN dataflows.webhook_delivery.run IS 'Run that was started or signalled';
COMMENT ON COLUMN dataflows.webhook_delivery.answer IS
	'Response to it, and to each repetition of it';
SELECT pg_catalog.pg_extension_config_dump('dataflows.webhook', '');
SELECT pg_catalog.pg_extension_config_dump('dataflows.webhook_delivery', '');
SELECT pg_catalog.pg_extension_config_dump('dataflows.webhook_delivery_id_seq', '');

CREATE FUNCTION dataflows.create_webhook(path text, starts text DEFAULT NULL,
	signals text DEFAULT NULL, event text DEFAULT NULL, key text DEFAULT NULL,
	verify text DEFAULT 'none', secret text DEFAULT NULL, filter text DEFAULT NULL,
	handler text DEFAULT NULL, preset text DEFAULT NULL, inserts text DEFAULT NULL)
	RETURNS void LANGUAGE c VOLATILE PARALLEL UNSAFE AS 'MODULE_PATHNAME',
		'dataflows_create_webhook';
COMMENT ON FUNCTION dataflows.create_webhook(text, text, text, text, text, text, text, text,
		text, text, text) IS
'From now on POST <path> starts a run of a workflow, signals one, or becomes a row of a table, '
'with the rights of the caller.
path: begins with "/"; up to 200 letters, digits and - . _ ~ /. starts or signals: the '
'workflow. event, key: a literal, or a jsonpath into the body (''$.data.id''); event is not '
'for starts, key is required for them. verify: none, bearer, basic (the secret is '
'user:password), stripe, github, standard (Standard Webhooks), slack, hubspot, sendgrid or '
'hmac-sha256:<Header>; secret: a system whose user mapping has '
'webhook_secret (and, while rotating, webhook_secret_old). filter: a jsonpath predicate on the '
'body. handler: a function (headers jsonb, body jsonb) RETURNS jsonb, run read-only as the '
'caller; NULL ignores the delivery, an object may have key, event, input and ignored. preset: '
'stripe, hubspot, sendgrid, auth0, postmark or slack: fills in what is not said of verify, '
'secret (the system of that name), event and key, and knows the id of an event and arrays of '
'events.
inserts: a table. Its columns key, event, payload, path and event_id, as far as it has them, are '
'filled by an INSERT as the caller, within dataflows.handler_timeout; payload is required. A '
'unique violation ignores the delivery.
For members of the workflow''s owner, for inserts authors who may insert. Errors: DF005 (unknown '
'workflow), 42710 (the path is taken), 42704 (no such secret), 22023 (a bad argument), 42883, '
'42P13 (no such handler, or the function cannot be one), 42P01, 42809, 42703 (no such table, or '
'not one for deliveries), 42501 (a missing right), 25006 (read-only transaction).';

CREATE FUNCTION dataflows.drop_webhook(path text) RETURNS void
	LANGUAGE c VOLATILE STRICT PARALLEL UNSAFE AS 'MODULE_PATHNAME', 'dataflows_drop_webhook';
COMMENT ON FUNCTION dataflows.drop_webhook(text) IS
'Ends a webhook, and forgets what was delivered to it; runs that it started go on.
For members of the role that created it. Errors: DF005 (no such webhook), 42501 (a missing '
'right), 25006 (read-only transaction).';

CREATE FUNCTION dataflows.receive_webhook(path text, headers jsonb, body bytea) RETURNS jsonb
	LANGUAGE c VOLATILE PARALLEL UNSAFE AS 'MODULE_PATHNAME', 'dataflows_receive_webhook';
COMMENT ON FUNCTION dataflows.receive_webhook(text, jsonb, bytea) IS
'A delivery to a webhook, by SQL, for any gateway: verified and carried out as if it had come by '
'HTTP, in this transaction. Send the response after the commit.
headers: an object of strings; the case of names does not matter. Returns {"status": the HTTP '
'status, and "run", "ignored" or "error"}; what is wrong with a delivery is in the result, not '
'an error. A handler runs with search_path "$user", public of the webhook''s creator, not '
'with the caller''s, and is cancelled after dataflows.handler_timeout; one that goes on all the '
'same ends the session.
For roles to which EXECUTE was granted: by default none. Errors: 22004 (NULL), 25006 (read-only '
'transaction).';
REVOKE ALL ON FUNCTION dataflows.receive_webhook(text, jsonb, bytea) FROM PUBLIC;

CREATE FUNCTION dataflows.event_url(run uuid, event text, expires interval DEFAULT '7 days',
	page jsonb DEFAULT NULL)
	RETURNS text
	LANGUAGE c VOLATILE PARALLEL UNSAFE AS 'MODULE_PATHNAME', 'dataflows_event_url';
COMMENT ON FUNCTION dataflows.event_url(uuid, text, interval, jsonb) IS
'A link for a mail, by which its reader sends an event to a run: '
'<dataflows.public_url>/event/... Opening it shows a page with a button; pressing that signals '
'the run, once, with the payload {"confirmed": true}, sent_by ''link''. A client that has the link '
'may do this and nothing else, until it expires.
event: the name in wait_for(). expires: from now; default 7 days. page: what the page says, an '
'object of strings: title, text, button; done, used, ended, expired: what it says afterwards; '
'language: a tag such as de; redirect: where the button leads, instead of done. The texts stand in '
'the link, at most 1200 bytes; NULL: in English. NULL for run, event or expires gives NULL. May be '
'called in a body (dataflows.event_url(dataflows.run_id(), ...)).
Rights: as for signal(). Errors: DF005 (unknown run), 55000 (dataflows.public_url is not set), '
'22023 (a bad argument), 42501 (a missing right).';

CREATE VIEW dataflows.webhooks WITH (security_barrier) AS
	SELECT w.path, w.starts, w.signals, w.event, w.key, w.verify, w.secret AS secret_of, w.filter,
		w.handler, w.owner_name AS owner, w.created_at,
		d.deliveries, d.ignored, d.last_at, w.preset, w.inserts
	FROM dataflows.webhook w
	LEFT JOIN LATERAL (SELECT pg_catalog.count(*) AS deliveries, pg_catalog.count(*)
		FILTER (WHERE x.outcome = 'ignored') AS ignored,
			pg_catalog.max(x.at) AS last_at
		FROM dataflows.webhook_delivery x WHERE x.path = w.path) d ON true
	WHERE dataflows._sees(w.owner, w.owner_name, w.owner_name) IS NOT NULL;
COMMENT ON VIEW dataflows.webhooks IS 'The webhooks, without secrets, and their deliveries';
COMMENT ON COLUMN dataflows.webhooks.path IS 'Path of the URL';
COMMENT ON COLUMN dataflows.webhooks.starts IS 'Workflow that a delivery starts';
COMMENT ON COLUMN dataflows.webhooks.signals IS 'Workflow whose run a delivery signals';
COMMENT ON COLUMN dataflows.webhooks.event IS
	'Event of the signal: a name, or a jsonpath into the body';
COMMENT ON COLUMN dataflows.webhooks.key IS
	'Key of the run: a literal, or a jsonpath into the body';
COMMENT ON COLUMN dataflows.webhooks.verify IS 'How the sender is verified';
COMMENT ON COLUMN dataflows.webhooks.secret_of IS 'System whose user mapping has the secret';
COMMENT ON COLUMN dataflows.webhooks.filter IS 'jsonpath predicate that the body must meet';
COMMENT ON COLUMN dataflows.webhooks.handler IS 'Function that decides what a delivery does';
COMMENT ON COLUMN dataflows.webhooks.owner IS
	'Role that created the webhook; runs are started and signalled with its rights';
COMMENT ON COLUMN dataflows.webhooks.created_at IS 'When create_webhook() was called';
COMMENT ON COLUMN dataflows.webhooks.deliveries IS
	'Deliveries that were verified, within dataflows.retention';
COMMENT ON COLUMN dataflows.webhooks.ignored IS 'Those that had no effect';
COMMENT ON COLUMN dataflows.webhooks.last_at IS 'When the last one came';
COMMENT ON COLUMN dataflows.webhooks.preset IS 'Vendor whose events these are';
COMMENT ON COLUMN dataflows.webhooks.inserts IS
	'Qualified name of the table of which a delivery becomes a row';
GRANT SELECT ON dataflows.webhooks TO PUBLIC;
