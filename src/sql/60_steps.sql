/*
 * The steps, and what a body may know of its run.  All of them raise DF004
 * outside a workflow, so that everybody may be granted them.
 */

CREATE FUNCTION dataflows.http(step text, system name, method text, path text,
	body jsonb DEFAULT NULL, query jsonb DEFAULT NULL, headers jsonb DEFAULT NULL,
	undo "any" DEFAULT NULL, undo_body jsonb DEFAULT NULL, probe "any" DEFAULT NULL,
	probe_found text DEFAULT NULL, probe_body jsonb DEFAULT NULL, doubt text DEFAULT NULL,
	accept int[] DEFAULT NULL, until text DEFAULT NULL, every interval DEFAULT '30 s',
	until_timeout interval DEFAULT NULL, retry jsonb DEFAULT NULL, timeout interval DEFAULT NULL,
	wait boolean DEFAULT true,
	answers "any" DEFAULT NULL, options jsonb DEFAULT NULL)
	RETURNS jsonb LANGUAGE c VOLATILE PARALLEL UNSAFE
	AS 'MODULE_PATHNAME', 'dataflows_http';
COMMENT ON FUNCTION dataflows.http(text, name, text, text, jsonb, jsonb, jsonb, "any", jsonb, "any",
		text, jsonb, text, int[], text, interval, interval, jsonb, interval, boolean, "any",
		jsonb) IS
'Calls a system and returns the parsed body of its response, recorded once.
step: a name that says what it does. system: the FOREIGN SERVER. method, path: what is '
'requested; the path is below the url of the server. body: what is sent, query: what is added '
'to the path, headers: an object.
undo: ''METHOD /path'' with {field} of the response, ''none'', or '
'{"request","headers","body","answers","if"} as jsonb or text. undo_body: its body.
probe: the request that finds out whether the step was carried out, with {field} of the '
'request, in the same forms. probe_found: jsonpath to what it finds. probe_body: its body.
doubt: what to do if nobody can tell whether it was carried out: stuck (the default), fail, '
'resend or accept.
answers: what responses mean, if not what their statuses say: ''409=kept, 423=retry'', or '
'rules {"status","method","if","is"} as jsonb or text, where is = done, kept, retry, doubt, '
'fail, stuck or credentials. accept: statuses that mean kept: success, and nothing to undo.
until: jsonpath predicate on the response; the request is repeated at the interval of every '
'until it is true, for until_timeout at most.
retry: {"max_attempts","initial","max","for"}. timeout: of one attempt. wait: false = the '
'body goes on at once, see wait_all().
options: {"encoding","content_type","form_arrays"}, for this step instead of the system''s.
Errors: DF001 (the step fails), DF003 (it is recorded otherwise), DF004 (outside a '
'workflow), 22023 (arguments that cannot be used), 42704 (an unknown system).';

CREATE FUNCTION dataflows.get(step text, system name, path text, body jsonb DEFAULT NULL,
	query jsonb DEFAULT NULL, headers jsonb DEFAULT NULL, undo "any" DEFAULT NULL,
	undo_body jsonb DEFAULT NULL, probe "any" DEFAULT NULL, probe_found text DEFAULT NULL,
	probe_body jsonb DEFAULT NULL, doubt text DEFAULT NULL, accept int[] DEFAULT NULL,
	until text DEFAULT NULL, every interval DEFAULT '30 s', until_timeout interval DEFAULT NULL,
	retry jsonb DEFAULT NULL, timeout interval DEFAULT NULL, wait boolean DEFAULT true,
	answers "any" DEFAULT NULL, options jsonb DEFAULT NULL)
	RETURNS jsonb LANGUAGE c VOLATILE PARALLEL UNSAFE
	AS 'MODULE_PATHNAME', 'dataflows_get';
COMMENT ON FUNCTION dataflows.get(text, name, text, jsonb, jsonb, jsonb, "any", jsonb, "any",
		text, jsonb, text, int[], text, interval, interval, jsonb, interval, boolean, "any",
		jsonb) IS
	'The same as dataflows.http() with the method GET';

CREATE FUNCTION dataflows.post(step text, system name, path text, body jsonb DEFAULT NULL,
	query jsonb DEFAULT NULL, headers jsonb DEFAULT NULL, undo "any" DEFAULT NULL,
	undo_body jsonb DEFAULT NULL, probe "any" DEFAULT NULL, probe_found text DEFAULT NULL,
	probe_body jsonb DEFAULT NULL, doubt text DEFAULT NULL, accept int[] DEFAULT NULL,
	until text DEFAULT NULL, every interval DEFAULT '30 s', until_timeout interval DEFAULT NULL,
	retry jsonb DEFAULT NULL, timeout interval DEFAULT NULL, wait boolean DEFAULT true,
	answers "any" DEFAULT NULL, options jsonb DEFAULT NULL)
	RETURNS jsonb LANGUAGE c VOLATILE PARALLEL UNSAFE
	AS 'MODULE_PATHNAME', 'dataflows_post';
COMMENT ON FUNCTION dataflows.post(text, name, text, jsonb, jsonb, jsonb, "any", jsonb, "any",
		text, jsonb, text, int[], text, interval, interval, jsonb, interval, boolean, "any",
		jsonb) IS
	'The same as dataflows.http() with the method POST';

CREATE FUNCTION dataflows.put(step text, system name, path text, body jsonb DEFAULT NULL,
	query jsonb DEFAULT NULL, headers jsonb DEFAULT NULL, undo "any" DEFAULT NULL,
	undo_body jsonb DEFAULT NULL, probe "any" DEFAULT NULL, probe_found text DEFAULT NULL,
	probe_body jsonb DEFAULT NULL, doubt text DEFAULT NULL, accept int[] DEFAULT NULL,
	until text DEFAULT NULL, every interval DEFAULT '30 s', until_timeout interval DEFAULT NULL,
	retry jsonb DEFAULT NULL, timeout interval DEFAULT NULL, wait boolean DEFAULT true,
	answers "any" DEFAULT NULL, options jsonb DEFAULT NULL)
	RETURNS jsonb LANGUAGE c VOLATILE PARALLEL UNSAFE
	AS 'MODULE_PATHNAME', 'dataflows_put';
COMMENT ON FUNCTION dataflows.put(text, name, text, jsonb, jsonb, jsonb, "any", jsonb, "any",
		text, jsonb, text, int[], text, interval, interval, jsonb, interval, boolean, "any",
		jsonb) IS
	'The same as dataflows.http() with the method PUT';

CREATE FUNCTION dataflows.patch(step text, system name, path text, body jsonb DEFAULT NULL,
	query jsonb DEFAULT NULL, headers jsonb DEFAULT NULL, undo "any" DEFAULT NULL,
	undo_body jsonb DEFAULT NULL, probe "any" DEFAULT NULL, probe_found text DEFAULT NULL,
	probe_body jsonb DEFAULT NULL, doubt text DEFAULT NULL, accept int[] DEFAULT NULL,
	until text DEFAULT NULL, every interval DEFAULT '30 s', until_timeout interval DEFAULT NULL,
	retry jsonb DEFAULT NULL, timeout interval DEFAULT NULL, wait boolean DEFAULT true,
	answers "any" DEFAULT NULL, options jsonb DEFAULT NULL)
	RETURNS jsonb LANGUAGE c VOLATILE PARALLEL UNSAFE
	AS 'MODULE_PATHNAME', 'dataflows_patch';
COMMENT ON FUNCTION dataflows.patch(text, name, text, jsonb, jsonb, jsonb, "any", jsonb, "any",
		text, jsonb, text, int[], text, interval, interval, jsonb, interval, boolean, "any",
		jsonb) IS
	'The same as dataflows.http() with the method PATCH';

CREATE FUNCTION dataflows.delete(step text, system name, path text, body jsonb DEFAULT NULL,
	query jsonb DEFAULT NULL, headers jsonb DEFAULT NULL, undo "any" DEFAULT NULL,
	undo_body jsonb DEFAULT NULL, probe "any" DEFAULT NULL, probe_found text DEFAULT NULL,
	probe_body jsonb DEFAULT NULL, doubt text DEFAULT NULL, accept int[] DEFAULT NULL,
	until text DEFAULT NULL, every interval DEFAULT '30 s', until_timeout interval DEFAULT NULL,
	retry jsonb DEFAULT NULL, timeout interval DEFAULT NULL, wait boolean DEFAULT true,
	answers "any" DEFAULT NULL, options jsonb DEFAULT NULL)
	RETURNS jsonb LANGUAGE c VOLATILE PARALLEL UNSAFE
	AS 'MODULE_PATHNAME', 'dataflows_delete';
COMMENT ON FUNCTION dataflows.delete(text, name, text, jsonb, jsonb, jsonb, "any", jsonb, "any",
		text, jsonb, text, int[], text, interval, interval, jsonb, interval, boolean, "any",
		jsonb) IS
	'The same as dataflows.http() with the method DELETE; 404 and 410 mean kept (it is '
	'gone already), unless answers says otherwise';

CREATE FUNCTION dataflows.send_mail(step text, system name, message jsonb)
	RETURNS jsonb LANGUAGE c VOLATILE PARALLEL UNSAFE
	AS 'MODULE_PATHNAME', 'dataflows_send_mail';
COMMENT ON FUNCTION dataflows.send_mail(text, name, jsonb) IS
	'Sends a mail by a system whose url begins with smtp or smtps and returns '
	'{"message_id","reply"}, recorded once. message is '
	'{"from","to","cc","bcc","subject","text","html","headers","attachments","doubt"}: to, '
	'cc and bcc are an address or an array of them, text or html or both must be there, '
	'attachments are an array of {"filename","content_type","base64"}, doubt is stuck, fail, '
	'resend or accept. Raises DF001 if it is refused or in doubt, DF003 if it is recorded '
	'otherwise, DF004 outside a workflow, 22023 for a message that cannot be sent';

CREATE FUNCTION dataflows.wait_for(event text, timeout interval DEFAULT NULL,
	until timestamptz DEFAULT NULL, by name DEFAULT NULL, required boolean DEFAULT false)
	RETURNS jsonb LANGUAGE c VOLATILE PARALLEL UNSAFE
	AS 'MODULE_PATHNAME', 'dataflows_wait_for';
COMMENT ON FUNCTION dataflows.wait_for(text, interval, timestamptz, name, boolean) IS
	'Waits for an event, without occupying a process, and returns its payload ({} if it had '
	'none); NULL when timeout or until has passed, which is recorded. by: only signals of '
	'members of that role count, never NOTIFY. required: a timeout raises DF001. A signal that '
	'came before is consumed first, the oldest first';

CREATE FUNCTION dataflows.wait_any(events text[], timeout interval DEFAULT NULL,
	by name DEFAULT NULL, required boolean DEFAULT false)
	RETURNS jsonb LANGUAGE c VOLATILE PARALLEL UNSAFE
	AS 'MODULE_PATHNAME', 'dataflows_wait_any';
COMMENT ON FUNCTION dataflows.wait_any(text[], interval, name, boolean) IS
	'Waits for the first of several events (1 to 100 names) and returns {event, payload}; NULL '
	'when timeout has passed, which is recorded. by and required are those of wait_for(). The '
	'oldest signal of any of them counts, also '
	'one that came before; the others are kept. Recorded as the step "wait_any"; raises DF003 if '
	'it is recorded with other events';

CREATE FUNCTION dataflows.alias(key text)
	RETURNS void LANGUAGE c VOLATILE PARALLEL UNSAFE
	AS 'MODULE_PATHNAME', 'dataflows_alias';
COMMENT ON FUNCTION dataflows.alias(text) IS
	'A further key (1 to 1024 bytes) by which signals find this run until it has ended, also '
	'signals that were sent by that key before. Recorded as the step "alias". Raises DF001 if '
	'another live run of the workflow has it as its key or alias, DF003 if it is recorded with '
	'another key';

CREATE FUNCTION dataflows.continue_with(input jsonb)
	RETURNS jsonb LANGUAGE c VOLATILE PARALLEL UNSAFE
	AS 'MODULE_PATHNAME', 'dataflows_continue_with';
COMMENT ON FUNCTION dataflows.continue_with(jsonb) IS
	'Leaves the body, waits for what it began, and goes on from the top with a new input: the '
	'next round of the same run, whose steps have their names to themselves. It never returns. '
	'Undos of earlier rounds stay due; key, aliases, signals and deadline are the run''s. input: '
	'at most dataflows.max_body. Raises 55000 in on_failure, 22004 for NULL, DF006';

CREATE FUNCTION dataflows.sleep(step text, duration interval)
	RETURNS void LANGUAGE c VOLATILE PARALLEL UNSAFE
	AS 'MODULE_PATHNAME', 'dataflows_sleep';
COMMENT ON FUNCTION dataflows.sleep(text, interval) IS
	'Goes on after the duration, counted from the first entry; meanwhile it occupies no process';

CREATE FUNCTION dataflows.sleep_until(step text, at timestamptz)
	RETURNS void LANGUAGE c VOLATILE PARALLEL UNSAFE
	AS 'MODULE_PATHNAME', 'dataflows_sleep_until';
COMMENT ON FUNCTION dataflows.sleep_until(text, timestamptz) IS
	'Goes on at that time; meanwhile it occupies no process';

CREATE FUNCTION dataflows.on_rollback(step text, system name, request "any",
	body jsonb DEFAULT NULL, headers jsonb DEFAULT NULL, answers "any" DEFAULT NULL,
	of_step text DEFAULT NULL)
	RETURNS void LANGUAGE c VOLATILE PARALLEL UNSAFE
	AS 'MODULE_PATHNAME', 'dataflows_on_rollback';
COMMENT ON FUNCTION dataflows.on_rollback(text, name, "any", jsonb, jsonb, "any", text) IS
	'Registers a request that is sent if the run rolls back, in the place of this step''s undo: '
	'''METHOD /path'', or an object as the undo of http(). of_step names the step that it takes '
	'back, whose response it is rendered from: call it directly before that step, or after it. '
	'Raises 22023 for arguments that cannot be used, 42704 for an unknown system, DF003 if it is '
	'recorded otherwise, DF004 outside a workflow';

CREATE FUNCTION dataflows.point_of_no_return(step text)
	RETURNS void LANGUAGE c VOLATILE PARALLEL UNSAFE
	AS 'MODULE_PATHNAME', 'dataflows_point_of_no_return';
COMMENT ON FUNCTION dataflows.point_of_no_return(text) IS
	'Steps before it are never undone: if the run fails later, it gets stuck';

CREATE FUNCTION dataflows.response(step text)
	RETURNS jsonb LANGUAGE c VOLATILE PARALLEL UNSAFE
	AS 'MODULE_PATHNAME', 'dataflows_response';
COMMENT ON FUNCTION dataflows.response(text) IS
	'{status, headers, body} of a step that has ended, also of a failed one; of an event '
	'{payload, sent_by, on_behalf_of, sent_at}; of a call {run, attached, state, body, error}. '
	'Headers of the transport alone (Date, Server, Connection, Content-Length, ...) are not '
	'recorded';

CREATE FUNCTION dataflows.wait_all(VARIADIC steps text[])
	RETURNS jsonb LANGUAGE c VOLATILE PARALLEL UNSAFE
	AS 'MODULE_PATHNAME', 'dataflows_wait_all';
COMMENT ON FUNCTION dataflows.wait_all(text[]) IS
	'Waits for all these steps, begun with wait => false, and returns {step: output}; raises '
	'DF001 with every failure in its detail';

CREATE FUNCTION dataflows.call(step text, workflow text, input jsonb DEFAULT '{}',
	key text DEFAULT NULL, wait boolean DEFAULT true)
	RETURNS jsonb LANGUAGE c VOLATILE PARALLEL UNSAFE
	AS 'MODULE_PATHNAME', 'dataflows_call';
COMMENT ON FUNCTION dataflows.call(text, text, jsonb, text, boolean) IS
	'Starts a run of another workflow as a child of this one and returns its result; DF001 if it '
	'does not complete. With wait => false it goes on at once, see wait_all(). If this run rolls '
	'back, a child that is under way is cancelled, one that has completed is undone. A live or '
	'completed run that holds the key is waited for instead, but neither cancelled nor undone';

CREATE FUNCTION dataflows.run_id()
	RETURNS uuid LANGUAGE c VOLATILE PARALLEL UNSAFE
	AS 'MODULE_PATHNAME', 'dataflows_run_id';
COMMENT ON FUNCTION dataflows.run_id() IS
	'The run of the body that calls it; the same at each entry';

CREATE FUNCTION dataflows.run_key()
	RETURNS text LANGUAGE c VOLATILE PARALLEL UNSAFE
	AS 'MODULE_PATHNAME', 'dataflows_run_key';
COMMENT ON FUNCTION dataflows.run_key() IS
	'The key of the run of the body that calls it, NULL if it has none; the same at each entry';

CREATE FUNCTION dataflows.run_started_at()
	RETURNS timestamptz LANGUAGE c VOLATILE PARALLEL UNSAFE
	AS 'MODULE_PATHNAME', 'dataflows_run_started_at';
COMMENT ON FUNCTION dataflows.run_started_at() IS
	'When the run was started; the same at each entry';

CREATE FUNCTION dataflows.run_version()
	RETURNS int LANGUAGE c VOLATILE PARALLEL UNSAFE
	AS 'MODULE_PATHNAME', 'dataflows_run_version';
COMMENT ON FUNCTION dataflows.run_version() IS
	'The version of the workflow with which the run of the body that calls it was started; the '
	'same at each entry. A function that several versions share may do something for new runs '
	'only';

CREATE FUNCTION dataflows.query(step text, sql text, args jsonb DEFAULT NULL,
	undo text DEFAULT NULL)
	RETURNS jsonb LANGUAGE c VOLATILE PARALLEL UNSAFE
	AS 'MODULE_PATHNAME', 'dataflows_query';
COMMENT ON FUNCTION dataflows.query(text, text, jsonb, text) IS
	'Runs one SQL statement as the workflow''s owner, exactly once: its writes, its record and '
	'the next step''s intent commit together. $1, $2, ... are the elements of args, a JSON '
	'array. Returns the rows as a jsonb array of objects, [] if there are none. undo is SQL too, '
	'with the recorded result (jsonb) as $1. Transient errors are retried; any other error, and '
	'a statement that runs longer than dataflows.query_timeout, raises DF001';

CREATE FUNCTION dataflows.once(step text, sql text, args jsonb DEFAULT NULL)
	RETURNS jsonb LANGUAGE c VOLATILE PARALLEL UNSAFE
	AS 'MODULE_PATHNAME', 'dataflows_once';
COMMENT ON FUNCTION dataflows.once(text, text, jsonb) IS
	'A value that is looked up once and recorded: the first column of the first row of a '
	'read-only statement, NULL if there is none. At each later entry it is the same. $1, $2, ... '
	'are the elements of args, a JSON array. Errors of the SQL are raised as they are';

CREATE FUNCTION dataflows.fail(reason text, detail jsonb DEFAULT NULL)
	RETURNS jsonb LANGUAGE c VOLATILE PARALLEL UNSAFE
	AS 'MODULE_PATHNAME', 'dataflows_fail';
COMMENT ON FUNCTION dataflows.fail(text, jsonb) IS
	'Raises DF008, which fails the run, so that it is undone; the body may catch it. It never '
	'returns. reason: the message of the error, which the run keeps. detail: what else is to be '
	'kept, at most dataflows.max_body; default none. Also raises DF004 outside a workflow, DF006';

CREATE FUNCTION dataflows.failure()
	RETURNS jsonb LANGUAGE c VOLATILE PARALLEL UNSAFE
	AS 'MODULE_PATHNAME', 'dataflows_failure';
COMMENT ON FUNCTION dataflows.failure() IS
	'The DETAIL of the DF001 that this entry into the body caught last, as jsonb: '
	'{"step","system","status","in_doubt","why","body"} and more; NULL if there was none. Raises '
	'DF004 outside a workflow';
