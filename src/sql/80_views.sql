/*
 * The views.  Every role may read them, and sees the runs of the owner roles that it
 * is a member of, of the workflows in which it was given the right to see, and the runs
 * that it started; superusers see all rows, members of
 * pg_monitor all rows without inputs, outputs, bodies and payloads.  security_barrier
 * keeps a reader's functions from rows that the reader may not see; comparisons of run,
 * workflow, key or state are leakproof, so that they still use the indexes.
 */

CREATE FUNCTION dataflows._sees(owner oid, owner_name text, started_by text) RETURNS text
	LANGUAGE c STABLE PARALLEL SAFE COST 2 AS 'MODULE_PATHNAME', 'dataflows_sees';
COMMENT ON FUNCTION dataflows._sees(oid, text, text) IS
	'Internal: what the current role may see of what belongs to a role: all, meta (no inputs, '
	'outputs, payloads) or NULL (nothing)';

CREATE FUNCTION dataflows._sees(workflow text, version int, started_by text) RETURNS text
	LANGUAGE c STABLE PARALLEL SAFE COST 2 AS 'MODULE_PATHNAME', 'dataflows_sees_run';
COMMENT ON FUNCTION dataflows._sees(text, int, text) IS
	'Internal: the same of a run; version NULL = the newest';

CREATE FUNCTION dataflows._key(run uuid, n int, renewals int, form text,
	undo boolean DEFAULT false) RETURNS text
	LANGUAGE c IMMUTABLE PARALLEL SAFE AS 'MODULE_PATHNAME', 'dataflows_key';
COMMENT ON FUNCTION dataflows._key(uuid, int, int, text, boolean) IS
	'Internal: the idempotency key of a step, or of its undo';

CREATE FUNCTION dataflows._without_body(error jsonb) RETURNS jsonb
	LANGUAGE sql IMMUTABLE STRICT PARALLEL SAFE
	RETURN CASE WHEN pg_catalog.jsonb_typeof(error) OPERATOR(pg_catalog.=) 'object'
		THEN (error OPERATOR(pg_catalog.#-) '{detail,body}'::text[])
			OPERATOR(pg_catalog.#-) '{body}'::text[] END;
COMMENT ON FUNCTION dataflows._without_body(jsonb) IS
	'Internal: an error as members of pg_monitor see it';

CREATE FUNCTION dataflows._text_size(value jsonb, most int) RETURNS bigint
	LANGUAGE c IMMUTABLE STRICT PARALLEL SAFE AS 'MODULE_PATHNAME', 'dataflows_text_size';
COMMENT ON FUNCTION dataflows._text_size(jsonb, int) IS
	'Internal: bytes of a value as text, without rendering it; any number above most if it has '
	'more or is nested more than 1000 deep';

CREATE FUNCTION dataflows._shown(value jsonb) RETURNS jsonb
	LANGUAGE sql IMMUTABLE STRICT PARALLEL SAFE
	RETURN CASE WHEN dataflows._text_size(value, 262144) OPERATOR(pg_catalog.<=) 262144 THEN value
		ELSE pg_catalog.to_jsonb('too large to be shown here'::text) END;
COMMENT ON FUNCTION dataflows._shown(jsonb) IS
	'Internal: a value for the page; replaced by a note if its text is above 256 kB';

/* ---- workflows ------------------------------------------------------------------------ */

CREATE VIEW dataflows.workflows WITH (security_barrier) AS
	SELECT w.name, w.version, w.function, w.owner_name AS owner, w.paused,
		CASE WHEN dataflows._sees(w.name, w.version, NULL::text) IS NOT NULL
			THEN COALESCE(l.n, 0) END AS live_runs,
		w.on_failure, w.retry, w.deadline, w.accept_notify,
		CASE WHEN w.on_error = 'stuck' THEN 'never' ELSE w.undo_on END AS undo_on, w.defined_at,
		w.notify
	FROM dataflows.workflow w
	LEFT JOIN (SELECT r.workflow, r.version, pg_catalog.count(*) AS n
			FROM dataflows.run r WHERE r.finished_at IS NULL GROUP BY r.workflow, r.version) l
		ON l.workflow = w.name AND l.version = w.version
	WHERE NOT w.dropped;
COMMENT ON VIEW dataflows.workflows IS 'All versions of all workflows; every role sees them';
COMMENT ON COLUMN dataflows.workflows.name IS 'Name';
COMMENT ON COLUMN dataflows.workflows.version IS 'Version; new runs take the newest';
COMMENT ON COLUMN dataflows.workflows.function IS 'Function that is the body';
COMMENT ON COLUMN dataflows.workflows.owner IS 'Role that defined it, as which its bodies run';
COMMENT ON COLUMN dataflows.workflows.paused IS 'pause(workflow): no run of it moves';
COMMENT ON COLUMN dataflows.workflows.live_runs IS
	'Runs of this version that have not ended; NULL = the current role may not see them';
COMMENT ON COLUMN dataflows.workflows.on_failure IS 'Function that is called after a rollback';
COMMENT ON COLUMN dataflows.workflows.retry IS
	'Retry of its steps: {"max_attempts","initial","max","for"}; NULL = what the system says';
COMMENT ON COLUMN dataflows.workflows.deadline IS
	'How long a run may take before it fails; NULL = for ever';
COMMENT ON COLUMN dataflows.workflows.accept_notify IS 'What NOTIFY may signal: none, run or key';
COMMENT ON COLUMN dataflows.workflows.undo_on IS
	'What fails a run, so that it is undone: failure (what the body or a system said on purpose), '
	'error (other errors of the body, too) or never';
COMMENT ON COLUMN dataflows.workflows.defined_at IS 'When define_workflow() was called';
COMMENT ON COLUMN dataflows.workflows.notify IS
	'Channel that hears when a run waits, is stuck or has ended; NULL = none';

CREATE FUNCTION dataflows._node() RETURNS int
	LANGUAGE c STABLE PARALLEL SAFE AS 'MODULE_PATHNAME', 'dataflows_node';
COMMENT ON FUNCTION dataflows._node() IS 'Internal: the setting dataflows.node';

CREATE FUNCTION dataflows._share() RETURNS float8
	LANGUAGE c STABLE PARALLEL SAFE AS 'MODULE_PATHNAME', 'dataflows_share';
COMMENT ON FUNCTION dataflows._share() IS 'Internal: the setting dataflows.share';

/* ---- runs ------------------------------------------------------------------------------- */

/* the condition on key_held is always true: it lets both partial indexes on the key be used */
CREATE VIEW dataflows.runs WITH (security_barrier) AS
	SELECT r.run, r.workflow, r.version, r.key, w.owner_name AS owner, r.state,
		CASE WHEN r.finished_at IS NULL THEN (
			SELECT s.step FROM dataflows.step s WHERE s.run = r.run
			ORDER BY (s.state IN ('pending', 'sent', 'waiting')
				OR (s.state = 'in_doubt' AND s.finished_at IS NULL)
				OR COALESCE(s.undo_state IN ('due', 'sent'), false)) DESC, s.n DESC LIMIT 1) END
					AS step,
		CASE WHEN r.waiting_for OPERATOR(pg_catalog.~)
				'^run [0-9a-f]{8}(-[0-9a-f]{4}){3}-[0-9a-f]{12} [(]' AND EXISTS (
			SELECT FROM dataflows.run c
			WHERE c.run = pg_catalog.substr(r.waiting_for, 5, 36)::pg_catalog.uuid
				AND c.state = 'stuck'
				AND dataflows._sees(c.workflow, c.version, c.started_by) IS NOT NULL)
			THEN r.waiting_for || ', which is stuck' ELSE r.waiting_for END AS waiting_for,
		CASE WHEN r.lease IS NULL THEN r.wake_at END AS wake_at,
		r.started_by, r.started_at, r.finished_at,
		CASE WHEN dataflows._sees(r.workflow, r.version, r.started_by) = 'all' THEN r.input END
			AS input,
		CASE WHEN dataflows._sees(r.workflow, r.version, r.started_by) = 'all' THEN r.result END
			AS result,
		CASE WHEN dataflows._sees(r.workflow, r.version, r.started_by) = 'all' THEN r.error
			ELSE dataflows._without_body(r.error) END AS error,
		r.stuck, r.cause, COALESCE(r.drifted, false) AS drifted, r.parent, r.restarted_from,
		COALESCE(r.deadline, r.started_at + w.deadline)
			+ pg_catalog.make_interval(secs => COALESCE(r.held_us, 0) / 1e6)
			+ COALESCE(pg_catalog.now() - r.held_since, '0') AS deadline,
		COALESCE(r.round, 1) AS round,
			r.traceparent,
		pg_catalog.left(CASE
			WHEN r.state = 'stuck' THEN r.stuck OPERATOR(pg_catalog.->>) 'reason'
			ELSE NULLIF(pg_catalog.concat_ws('; ',
				CASE WHEN r.finished_at IS NOT NULL THEN NULL
					WHEN (SELECT i.paused FROM dataflows.installation i)
					THEN 'the database is paused'
					WHEN w.paused THEN 'the workflow is paused' END,
				dataflows._run_error_words(r.error),
				CASE WHEN r.finished_at IS NULL THEN (
					SELECT 'step "' || s.step || '": ' || dataflows._step_reason(s.kind, s.state,
						s.system, s.attempts, s.error, s.wake_at, s.held_since IS NOT NULL,
						s.finished_at IS NOT NULL, NULL, NULL,
						CASE WHEN s.kind = 'call' THEN s.answer OPERATOR(pg_catalog.->>) 'run' END,
						s.undo_state, COALESCE(s.undo_attempts, 0), s.undo_error)
					FROM dataflows.step s
					WHERE s.run = r.run AND (s.state IN ('pending', 'sent', 'waiting')
						OR (s.state = 'in_doubt' AND s.finished_at IS NULL)
						OR s.undo_state IN ('due', 'sent'))
					ORDER BY (s.held_since IS NOT NULL OR s.error IS NOT NULL
						OR s.undo_error IS NOT NULL) DESC, s.n DESC LIMIT 1) END,
				CASE WHEN r.finished_at IS NULL AND r.waiting_for LIKE 'transient error: %'
					THEN r.waiting_for || '; the body is entered again'
					|| COALESCE(' at ' || dataflows._clock(r.wake_at), '') END), '') END, 1000)
			AS reason,
		dataflows._node() AS node
	FROM dataflows.run r JOIN dataflows.workflow w ON w.name = r.workflow AND w.version = r.version
	WHERE dataflows._sees(r.workflow, r.version, r.started_by) IS NOT NULL
		AND (r.key_held OR NOT r.key_held);
COMMENT ON VIEW dataflows.runs IS 'Runs: where each is, what it waits for, how it ended';
COMMENT ON COLUMN dataflows.runs.run IS 'Id of the run';
COMMENT ON COLUMN dataflows.runs.workflow IS 'Its workflow';
COMMENT ON COLUMN dataflows.runs.version IS 'The version that it was started with and keeps';
COMMENT ON COLUMN dataflows.runs.key IS 'Its business key';
COMMENT ON COLUMN dataflows.runs.owner IS 'Role as which its body runs';
COMMENT ON COLUMN dataflows.runs.state IS
	'queued, running, waiting, rolling_back, stuck, completed, rolled_back, cancelled or '
	'abandoned';
COMMENT ON COLUMN dataflows.runs.step IS 'The step in progress; NULL = none, or the run has ended';
COMMENT ON COLUMN dataflows.runs.waiting_for IS
	'The event or reason for which it waits; event by role where only signals of a role count; of '
	'a run that it called, whether that is stuck';
COMMENT ON COLUMN dataflows.runs.wake_at IS
	'When it goes on without an event; NULL = only with one, or a worker has it';
COMMENT ON COLUMN dataflows.runs.started_by IS 'Role that started it';
COMMENT ON COLUMN dataflows.runs.started_at IS 'When start() was called';
COMMENT ON COLUMN dataflows.runs.finished_at IS 'When it ended';
COMMENT ON COLUMN dataflows.runs.input IS 'What the body is called with';
COMMENT ON COLUMN dataflows.runs.result IS 'What the body returned';
COMMENT ON COLUMN dataflows.runs.error IS
	'Why it failed or was cancelled: {"sqlstate","message","detail",...}';
COMMENT ON COLUMN dataflows.runs.stuck IS
	'Why a person is needed: {"sqlstate","reason","remedy"}, "other_kind" with the number of a '
	'step that is called as one of another kind, and of an error of the body "message", '
	'"detail", "hint", "context", "schema", "table", "column", "datatype" and "constraint", as '
	'far as they are known';
COMMENT ON COLUMN dataflows.runs.cause IS
	'Why it rolls or rolled back: failed, cancelled or undo; NULL = it did not';
COMMENT ON COLUMN dataflows.runs.drifted IS
	'The function, or one that it names, was replaced after the first entry, or it took another '
	'way than is recorded';
COMMENT ON COLUMN dataflows.runs.parent IS 'The run that called it';
COMMENT ON COLUMN dataflows.runs.restarted_from IS 'The run that it was restarted from';
COMMENT ON COLUMN dataflows.runs.round IS 'Which round of continue_with() it is in, from 1';
COMMENT ON COLUMN dataflows.runs.deadline IS
	'When it fails if it has not ended by then, later by the time for which a step was held; '
	'NULL = never';
COMMENT ON COLUMN dataflows.runs.reason IS
	'Why it is where it is, in words, with the system''s own: what failed and when it is tried '
	'again, why it failed, is stuck or is held; NULL = nothing went wrong';
COMMENT ON COLUMN dataflows.runs.traceparent IS
	'Trace that it belongs to, given by the session that started it (W3C Trace Context); NULL = '
	'a trace of its own';

COMMENT ON COLUMN dataflows.runs.node IS
	'Number of the node that it lives on: dataflows.node of this server; 0 = it is alone';

/* ---- steps ------------------------------------------------------------------------------- */

CREATE VIEW dataflows.steps WITH (security_barrier) AS
	SELECT s.run, s.n, s.step, s.kind, s.system, s.state, s.attempts, s.request, s.status,
		CASE WHEN dataflows._sees(r.workflow, r.version, r.started_by) = 'all' THEN s.output END
			AS output,
		CASE WHEN dataflows._sees(r.workflow, r.version, r.started_by) = 'all' THEN s.error
			ELSE dataflows._without_body(s.error) END AS error,
		s.undo, COALESCE(s.undo_state, 'none') AS undo_state,
		CASE WHEN s.system IS NOT NULL
			THEN dataflows._key(s.run, s.n, s.renewals, s.key_form) END AS idempotency_key,
		s.started_at, s.finished_at,
		CASE WHEN dataflows._sees(r.workflow, r.version, r.started_by) = 'all' THEN s.body END
			AS body,
		CASE WHEN dataflows._sees(r.workflow, r.version, r.started_by) = 'all' THEN s.undo_body END
			AS undo_body,
		COALESCE(s.sent_at, CASE WHEN s.attempts > 0 THEN s.started_at END) AS sent_at, s.wake_at,
			COALESCE(s.undo_attempts, 0) AS undo_attempts, s.undo_since,
		CASE WHEN dataflows._sees(r.workflow, r.version, r.started_by) = 'all' THEN s.undo_error
			ELSE dataflows._without_body(s.undo_error) END AS undo_error,
		r.workflow, r.key,
		CASE WHEN s.kind = 'call' THEN (s.answer OPERATOR(pg_catalog.->>) 'run')::pg_catalog.uuid
			END AS child,
		CASE WHEN r.round IS NULL THEN 1 WHEN s.n > r.round_n THEN r.round ELSE 1 + COALESCE((
			SELECT (c.options OPERATOR(pg_catalog.->>) 'round')::int FROM dataflows.step c
			WHERE c.run = s.run AND c.n < s.n AND c.kind = 'continue' ORDER BY c.n DESC LIMIT 1), 0)
				END AS round,
		s.meaning,
		CASE WHEN dataflows._sees(r.workflow, r.version, r.started_by) = 'all'
			THEN s.undo_headers END AS undo_headers,
		dataflows._step_reason(s.kind, s.state, s.system, s.attempts, s.error, s.wake_at,
			s.held_since IS NOT NULL, s.finished_at IS NOT NULL,
			CASE WHEN s.state = 'done' AND s.attempts > 1 THEN (
				SELECT a.error FROM dataflows.attempt a WHERE a.run = s.run AND a.n = s.n
					AND NOT a.undo ORDER BY a.seq DESC LIMIT 1) END,
			CASE WHEN s.undo_state IN ('undone', 'gone') AND s.undo_attempts > 1 THEN (
				SELECT a.error FROM dataflows.attempt a WHERE a.run = s.run AND a.n = s.n
					AND a.undo ORDER BY a.seq DESC LIMIT 1) END,
			CASE WHEN s.kind = 'call' THEN s.answer OPERATOR(pg_catalog.->>) 'run' END,
			s.undo_state, COALESCE(s.undo_attempts, 0), s.undo_error) AS reason,
		CASE WHEN dataflows._sees(r.workflow, r.version, r.started_by) = 'all' THEN s.headers END
			AS headers,
		CASE WHEN s.system IS NOT NULL
			AND dataflows._sees(r.workflow, r.version, r.started_by) = 'all'
			THEN s.answer END AS response_headers
	FROM dataflows.step s JOIN dataflows.run r ON r.run = s.run
		JOIN dataflows.workflow w ON w.name = r.workflow AND w.version = r.version
	WHERE dataflows._sees(r.workflow, r.version, r.started_by) IS NOT NULL
		AND (r.key_held OR NOT r.key_held);
COMMENT ON VIEW dataflows.steps IS 'Steps: each recorded effect or wait of a run';
COMMENT ON COLUMN dataflows.steps.run IS 'The run';
COMMENT ON COLUMN dataflows.steps.n IS 'Start order, from 1';
COMMENT ON COLUMN dataflows.steps.step IS 'Name in the body; the n-th call with one name is name#n';
COMMENT ON COLUMN dataflows.steps.kind IS
	'http, wait, sleep, undo, query, once, call, mail, pivot, alias or continue';
COMMENT ON COLUMN dataflows.steps.system IS 'System that is called';
COMMENT ON COLUMN dataflows.steps.state IS 'pending, sent, waiting, in_doubt, done or failed';
COMMENT ON COLUMN dataflows.steps.attempts IS 'Attempts begun';
COMMENT ON COLUMN dataflows.steps.request IS
	'METHOD /path as sent, or what else identifies the step';
COMMENT ON COLUMN dataflows.steps.status IS
	'HTTP status of the last response, or code of the mail server''s last reply';
COMMENT ON COLUMN dataflows.steps.output IS 'What the step returned to the body';
COMMENT ON COLUMN dataflows.steps.error IS 'Why it failed, or who resolved it';
COMMENT ON COLUMN dataflows.steps.undo IS 'Request that undoes it';
COMMENT ON COLUMN dataflows.steps.undo_state IS 'none, due, sent, undone, gone or undo_failed';
COMMENT ON COLUMN dataflows.steps.idempotency_key IS 'Key that its requests carry';
COMMENT ON COLUMN dataflows.steps.started_at IS 'When the intent was recorded';
COMMENT ON COLUMN dataflows.steps.finished_at IS 'When it ended';
COMMENT ON COLUMN dataflows.steps.body IS
	'What each attempt sends; of files and mails, the JSON that they are written from';
COMMENT ON COLUMN dataflows.steps.undo_body IS 'Body of the undo';
COMMENT ON COLUMN dataflows.steps.sent_at IS 'When the last attempt was recorded';
COMMENT ON COLUMN dataflows.steps.wake_at IS
	'When the next attempt follows, or the wait or sleep ends';
COMMENT ON COLUMN dataflows.steps.undo_attempts IS 'Attempts of the undo begun';
COMMENT ON COLUMN dataflows.steps.undo_since IS 'When the undo was first tried';
COMMENT ON COLUMN dataflows.steps.undo_error IS 'Why the undo failed';
COMMENT ON COLUMN dataflows.steps.workflow IS 'Workflow of the run';
COMMENT ON COLUMN dataflows.steps.key IS 'Key of the run';
COMMENT ON COLUMN dataflows.steps.round IS
	'Round of continue_with() that it belongs to, from 1; names start again in each';
COMMENT ON COLUMN dataflows.steps.meaning IS
	'What the last response meant, if not that it was done: kept, retry, doubt, fail, stuck, '
	'credentials or unusable';
COMMENT ON COLUMN dataflows.steps.undo_headers IS
	'Headers of the undo over those of the step; null = this one is left out';
COMMENT ON COLUMN dataflows.steps.reason IS
	'Why it is where it is, in words, with the system''s own: of a retry what failed and when it '
	'is tried again, of a failure why; NULL = nothing went wrong';
COMMENT ON COLUMN dataflows.steps.headers IS
	'Headers that the body gave; never those of the system, which hold its secrets';
COMMENT ON COLUMN dataflows.steps.response_headers IS
	'Headers of the last response, without those of the transport; NULL = none came';
COMMENT ON COLUMN dataflows.steps.child IS
	'Run that the step called, or that held its key; NULL = none yet';

/* ---- attempts ------------------------------------------------------------------------------ */

CREATE VIEW dataflows.attempts WITH (security_barrier) AS
	SELECT a.run, a.n, s.step, a.seq AS attempt, a.undo, a.at, a.took_ms,
		CASE WHEN a.undo THEN s.undo ELSE s.request END AS request,
		a.status, a.outcome, a.error, a.next_at, s.system, r.workflow, r.key
	FROM dataflows.attempt a JOIN dataflows.step s ON s.run = a.run AND s.n = a.n
		JOIN dataflows.run r ON r.run = a.run
		JOIN dataflows.workflow w ON w.name = r.workflow AND w.version = r.version
	WHERE dataflows._sees(r.workflow, r.version, r.started_by) IS NOT NULL
		AND (r.key_held OR NOT r.key_held);
COMMENT ON VIEW dataflows.attempts IS 'Failed attempts of steps and undos, one row each';
COMMENT ON COLUMN dataflows.attempts.run IS 'The run';
COMMENT ON COLUMN dataflows.attempts.n IS 'Number of the step';
COMMENT ON COLUMN dataflows.attempts.step IS 'Its name';
COMMENT ON COLUMN dataflows.attempts.attempt IS 'Number of the attempt, from 1';
COMMENT ON COLUMN dataflows.attempts.undo IS 'Whether the step was being undone';
COMMENT ON COLUMN dataflows.attempts.at IS 'When it was sent';
COMMENT ON COLUMN dataflows.attempts.took_ms IS 'How long it took, milliseconds';
COMMENT ON COLUMN dataflows.attempts.request IS 'What was sent';
COMMENT ON COLUMN dataflows.attempts.status IS 'HTTP status; NULL = no response';
COMMENT ON COLUMN dataflows.attempts.outcome IS 'retry, failed, in_doubt or stuck';
COMMENT ON COLUMN dataflows.attempts.error IS 'Why it failed';
COMMENT ON COLUMN dataflows.attempts.next_at IS 'When the next one follows; NULL = none';
COMMENT ON COLUMN dataflows.attempts.system IS 'System that was called';
COMMENT ON COLUMN dataflows.attempts.workflow IS 'Workflow of the run';
COMMENT ON COLUMN dataflows.attempts.key IS 'Key of the run';

/* ---- signals, requests ----------------------------------------------------------------------- */

CREATE VIEW dataflows.signals WITH (security_barrier) AS
	SELECT i.sent_by, i.sent_at, i.event,
		(SELECT s.step FROM dataflows.step s WHERE s.run = i.run AND s.n = i.consumed_by)
			AS consumed_by,
		i.run, i.workflow, i.key,
		CASE WHEN dataflows._sees(i.workflow, r.version, r.started_by) = 'all' THEN i.payload END
			AS payload,
		i.state, i.consumed_at, i.expires_at, i.sent_pid, i.id, i.on_behalf_of
	FROM dataflows.inbox i LEFT JOIN dataflows.run r ON r.run = i.run
		JOIN dataflows.workflow w ON w.name = i.workflow AND w.version = COALESCE(r.version,
			(SELECT pg_catalog.max(v.version) FROM dataflows.workflow v WHERE v.name = i.workflow))
	WHERE i.kind = 'signal' AND dataflows._sees(i.workflow, r.version, r.started_by) IS NOT NULL;
COMMENT ON VIEW dataflows.signals IS 'Signals: who sent each, and which step consumed it';
COMMENT ON COLUMN dataflows.signals.sent_by IS 'Role that sent it, or NOTIFY';
COMMENT ON COLUMN dataflows.signals.sent_at IS 'When';
COMMENT ON COLUMN dataflows.signals.event IS 'The event';
COMMENT ON COLUMN dataflows.signals.consumed_by IS 'Step that consumed it; NULL = none yet';
COMMENT ON COLUMN dataflows.signals.run IS 'The run; NULL = no run has that key yet';
COMMENT ON COLUMN dataflows.signals.workflow IS 'Its workflow';
COMMENT ON COLUMN dataflows.signals.key IS 'Its key';
COMMENT ON COLUMN dataflows.signals.payload IS 'What wait_for() returns';
COMMENT ON COLUMN dataflows.signals.state IS
	'new (the engine has not read it), kept (for a later wait) or done';
COMMENT ON COLUMN dataflows.signals.consumed_at IS 'When it was consumed';
COMMENT ON COLUMN dataflows.signals.expires_at IS
	'When it is deleted if no run with that key comes';
COMMENT ON COLUMN dataflows.signals.sent_pid IS 'Process id of the session that sent a NOTIFY';
COMMENT ON COLUMN dataflows.signals.id IS 'Arrival order';
COMMENT ON COLUMN dataflows.signals.on_behalf_of IS
	'The application''s own user for whom the role sent it, as the application said';

CREATE VIEW dataflows.requests WITH (security_barrier) AS
	SELECT i.sent_by, i.sent_at, i.kind AS request, i.run, NULLIF(i.workflow, '') AS workflow,
		i.key, i.event AS step,
		i.payload OPERATOR(pg_catalog.->>) 'outcome' AS outcome, i.note, i.state, i.consumed_at,
			i.id, i.on_behalf_of
	FROM dataflows.inbox i LEFT JOIN dataflows.run r ON r.run = i.run
		LEFT JOIN dataflows.workflow w ON w.name = i.workflow AND w.version = COALESCE(r.version,
			(SELECT pg_catalog.max(v.version) FROM dataflows.workflow v WHERE v.name = i.workflow))
	WHERE i.kind NOT IN ('signal', 'child') AND (r.run IS NOT NULL OR i.run IS NULL)
		AND (i.workflow = '' OR dataflows._sees(i.workflow, r.version, r.started_by) IS NOT NULL);
COMMENT ON VIEW dataflows.requests IS
	'Operator requests: cancel, retry, resolve, rename_step, accept_drift, undo and abandon of '
	'runs, pause and resume of workflows or (workflow NULL) of the database; by whom, when and '
	'why. A parent that rolls back asks its children in the same way';
COMMENT ON COLUMN dataflows.requests.sent_by IS 'Role that asked';
COMMENT ON COLUMN dataflows.requests.sent_at IS 'When';
COMMENT ON COLUMN dataflows.requests.request IS
	'cancel, retry, resolve, rename, accept, undo, abandon, pause or resume';
COMMENT ON COLUMN dataflows.requests.run IS 'The run';
COMMENT ON COLUMN dataflows.requests.workflow IS 'Its workflow';
COMMENT ON COLUMN dataflows.requests.key IS 'Its key';
COMMENT ON COLUMN dataflows.requests.step IS
	'Step of a resolve, rename or accept; NULL = all of the run';
COMMENT ON COLUMN dataflows.requests.outcome IS 'Outcome of a resolve, new name of a rename';
COMMENT ON COLUMN dataflows.requests.note IS 'Why';
COMMENT ON COLUMN dataflows.requests.state IS 'new (the engine has not read it) or done';
COMMENT ON COLUMN dataflows.requests.consumed_at IS 'When the engine acted on it';
COMMENT ON COLUMN dataflows.requests.id IS 'Arrival order';
COMMENT ON COLUMN dataflows.requests.on_behalf_of IS
	'The application''s own user for whom the role asked, as the application said';

/* ---- what needs a person --------------------------------------------------------------------- */

CREATE VIEW dataflows.pending_undo WITH (security_barrier) AS
	WITH pending AS (
		SELECT s.run, s.n FROM dataflows.step s WHERE s.undo_state = 'undo_failed'
		UNION ALL
		SELECT s.run, s.n FROM dataflows.run r JOIN dataflows.step s ON s.run = r.run
		WHERE r.stuck IS NOT NULL AND s.state = 'in_doubt'
			AND COALESCE(s.undo_state, 'none') NOT IN ('undo_failed', 'undone', 'gone'))
	SELECT s.run, r.workflow, r.key, s.step, s.system, s.request, s.state,
		COALESCE(s.undo, s.options OPERATOR(pg_catalog.->>) 'undo') AS undo,
		CASE WHEN dataflows._sees(r.workflow, r.version, r.started_by) = 'all' THEN s.undo_body END
			AS undo_body,
		COALESCE(s.undo_error OPERATOR(pg_catalog.->>) 'message',
			s.error OPERATOR(pg_catalog.->>) 'message',
			'it may have been carried out, and no full answer came') AS why,
		pg_catalog.concat_ws(': ', COALESCE('status ' OPERATOR(pg_catalog.||) NULLIF(s.status, 0),
			'no status'),
			s.error OPERATOR(pg_catalog.->>) 'message') AS answered,
		s.probe_said AS probe,
		COALESCE(s.undo_since, s.sent_at, s.started_at) AS since,
		CASE WHEN s.system IS NOT NULL
			THEN dataflows._key(s.run, s.n, s.renewals, s.key_form) END AS idempotency_key,
		CASE
			WHEN s.undo_state = 'undo_failed' AND s.maybe_not_ours
			THEN pg_catalog.format('Look in the system at what the probe has found. If this run '
				'has made it, have it undone: SELECT dataflows.resolve(%L, %L, ''done'', '
				'''who saw it''); If not, it stays: SELECT dataflows.resolve(%L, %L, '
				'''not_done'', ''who looked'');', s.run, named.step, s.run, named.step)
			WHEN s.undo_state = 'undo_failed' AND s.maybe_twice
			THEN pg_catalog.format('Look in the system for a second resource with the same data '
				'and delete it, then: SELECT dataflows.resolve(%L, %L, ''undone'', '
				'''who looked'');', s.run, named.step)
			WHEN s.undo_state = 'undo_failed' AND (s.undo IS NOT NULL OR s.system IS NULL)
			THEN pg_catalog.format('Undo it by hand, then: SELECT dataflows.resolve(%L, %L, '
				'''undone'', ''how''); or repair the cause and have it tried again: SELECT '
				'dataflows.retry(%L);', s.run, named.step, s.run)
			WHEN s.undo_state = 'undo_failed' AND s.state = 'in_doubt'
			THEN pg_catalog.format('Look in the system for the request or its key. If it is there, '
				'say so with the resource, and it is undone: SELECT dataflows.resolve(%L, %L, '
				'''done'', ''who saw it'', ''{"id": "..."}''); If it is not: SELECT '
				'dataflows.resolve(%L, %L, ''not_done'', ''who looked'');', s.run, named.step,
				s.run, named.step)
			WHEN s.undo_state = 'undo_failed'
			THEN pg_catalog.format('Look in the system for the request or its key. If it is there, '
				'undo it by hand, then: SELECT dataflows.resolve(%L, %L, ''undone'', ''how''); If '
				'it is not: SELECT dataflows.resolve(%L, %L, ''not_done'', ''who looked'');', s.run,
				named.step, s.run, named.step)
			ELSE pg_catalog.format('Look in the system for the request or its key. If it is there, '
				'say so with the resource, and the run goes on: SELECT dataflows.resolve(%L, %L, '
				'''done'', ''who saw it'', ''{"id": "..."}''); If it is not: %sSELECT '
				'dataflows.resolve(%L, %L, ''not_done'', ''who looked'');', s.run, named.step,
				CASE WHEN r.cause IS NULL AND COALESCE(s.options OPERATOR(pg_catalog.->>) 'doubt',
						'stuck') OPERATOR(pg_catalog.<>) 'fail'
					THEN pg_catalog.format('have it sent again: SELECT dataflows.resolve(%L, %L, '
						'''resend'', ''who looked''); or, to fail the step: ', s.run, named.step)
					ELSE '' END, s.run, named.step)
		END AS remedy, s.n,
		CASE WHEN s.undo_attempts > 0 AND s.system IS NOT NULL
			THEN dataflows._key(s.run, s.n, s.renewals, s.key_form, true) END AS undo_key,
		CASE WHEN dataflows._sees(r.workflow, r.version, r.started_by) = 'all'
			THEN s.undo_headers END AS undo_headers
	FROM pending p JOIN dataflows.step s ON s.run = p.run AND s.n = p.n
		JOIN dataflows.run r ON r.run = s.run AND r.finished_at IS NULL
		JOIN dataflows.workflow w ON w.name = r.workflow AND w.version = r.version
		CROSS JOIN LATERAL (SELECT CASE WHEN r.round IS NULL THEN s.step
			ELSE pg_catalog.concat('#', s.n) END AS step) AS named
	WHERE dataflows._sees(r.workflow, r.version, r.started_by) IS NOT NULL;
COMMENT ON VIEW dataflows.pending_undo IS
	'What a person must undo or settle by hand: undos that failed, and steps in doubt of stuck '
	'runs';
COMMENT ON COLUMN dataflows.pending_undo.run IS 'The run';
COMMENT ON COLUMN dataflows.pending_undo.workflow IS 'Its workflow';
COMMENT ON COLUMN dataflows.pending_undo.key IS 'Its key';
COMMENT ON COLUMN dataflows.pending_undo.step IS 'The step';
COMMENT ON COLUMN dataflows.pending_undo.system IS 'System where the effect is';
COMMENT ON COLUMN dataflows.pending_undo.request IS 'Request of the step';
COMMENT ON COLUMN dataflows.pending_undo.state IS 'State of the step: in_doubt, or done';
COMMENT ON COLUMN dataflows.pending_undo.undo IS
	'Request that would undo it; with {field} if the field was never received';
COMMENT ON COLUMN dataflows.pending_undo.undo_body IS 'Its body';
COMMENT ON COLUMN dataflows.pending_undo.undo_headers IS
	'Its headers over those of the step; null = this one is left out';
COMMENT ON COLUMN dataflows.pending_undo.why IS 'Why the engine could not undo or settle it';
COMMENT ON COLUMN dataflows.pending_undo.answered IS 'Response to the request of the step';
COMMENT ON COLUMN dataflows.pending_undo.probe IS 'Last result of the probe; NULL = there was none';
COMMENT ON COLUMN dataflows.pending_undo.since IS 'Since when it has been pending';
COMMENT ON COLUMN dataflows.pending_undo.idempotency_key IS
	'Key that its requests carried, to search for in the system';
COMMENT ON COLUMN dataflows.pending_undo.remedy IS
	'What to do, and the SQL that records that it is done';
COMMENT ON COLUMN dataflows.pending_undo.n IS
	'Number of the step in its run; resolve() takes ''#'' and this number as a name that is '
	'never ambiguous';
COMMENT ON COLUMN dataflows.pending_undo.undo_key IS
	'Key that the requests of the undo carried; NULL = none was sent';

/* since: the last thing that is recorded of the run, which is what it got stuck at */
CREATE VIEW dataflows.stuck WITH (security_barrier) AS
	SELECT r.run, r.workflow, r.key, w.owner_name AS owner,
		r.stuck OPERATOR(pg_catalog.->>) 'reason' AS reason,
		r.stuck OPERATOR(pg_catalog.->>) 'sqlstate' AS sqlstate,
		r.stuck OPERATOR(pg_catalog.->>) 'remedy' AS remedy,
		GREATEST(r.started_at,
			(SELECT pg_catalog.max(GREATEST(s.started_at, s.sent_at, s.finished_at, s.undo_since))
				FROM dataflows.step s WHERE s.run = r.run),
			(SELECT pg_catalog.max(i.consumed_at) FROM dataflows.inbox i WHERE i.run = r.run))
				AS since
	FROM dataflows.run r JOIN dataflows.workflow w ON w.name = r.workflow AND w.version = r.version
	WHERE r.stuck IS NOT NULL AND r.state = 'stuck'
		AND dataflows._sees(r.workflow, r.version, r.started_by) IS NOT NULL;
COMMENT ON VIEW dataflows.stuck IS 'Runs that wait for a person: why, and what to do';
COMMENT ON COLUMN dataflows.stuck.run IS 'The run';
COMMENT ON COLUMN dataflows.stuck.workflow IS 'Its workflow';
COMMENT ON COLUMN dataflows.stuck.key IS 'Its key';
COMMENT ON COLUMN dataflows.stuck.owner IS 'Role as which its body runs';
COMMENT ON COLUMN dataflows.stuck.reason IS 'Why it is stuck';
COMMENT ON COLUMN dataflows.stuck.sqlstate IS 'SQLSTATE of the reason';
COMMENT ON COLUMN dataflows.stuck.remedy IS 'What to do';
COMMENT ON COLUMN dataflows.stuck.since IS 'When the run was last advanced';

/* ---- what should be empty -------------------------------------------------------------------- */

CREATE VIEW dataflows.unexplained WITH (security_barrier) AS
	SELECT r.run, r.workflow, r.key, w.owner_name AS owner, r.state,
		CASE WHEN r.state = 'stuck' THEN 'stuck without a reason'
			WHEN r.state = 'waiting' THEN 'waiting for nothing, without a time'
			ELSE 'not held by a worker, and never due' END AS why
	FROM dataflows.run r JOIN dataflows.workflow w ON w.name = r.workflow AND w.version = r.version
	WHERE r.finished_at IS NULL AND r.wake_at IS NULL AND r.lease IS NULL
		AND NOT COALESCE(r.state IN ('waiting', 'rolling_back') AND r.waiting_for IS NOT NULL,
			false)
		AND NOT COALESCE(r.state = 'stuck' AND r.stuck OPERATOR(pg_catalog.->>) 'reason'
			IS NOT NULL, false)
		AND dataflows._sees(r.workflow, r.version, r.started_by) IS NOT NULL;
COMMENT ON VIEW dataflows.unexplained IS
	'Runs that do not move and have no time, event or reason. It must be empty: each row is a bug';
COMMENT ON COLUMN dataflows.unexplained.run IS 'The run';
COMMENT ON COLUMN dataflows.unexplained.workflow IS 'Its workflow';
COMMENT ON COLUMN dataflows.unexplained.key IS 'Its key';
COMMENT ON COLUMN dataflows.unexplained.owner IS 'Role as which its body runs';
COMMENT ON COLUMN dataflows.unexplained.state IS 'Its state';
COMMENT ON COLUMN dataflows.unexplained.why IS 'What is missing';

/* ---- what is measured ------------------------------------------------------------------------ */

CREATE FUNCTION dataflows._metrics(gauges boolean, OUT name text, OUT type text, OUT labels jsonb,
	OUT value double precision, OUT sum double precision, OUT p50 double precision,
	OUT p95 double precision, OUT p99 double precision)
	RETURNS SETOF record LANGUAGE c VOLATILE STRICT PARALLEL RESTRICTED ROWS 100
		AS 'MODULE_PATHNAME', 'dataflows_metrics';
COMMENT ON FUNCTION dataflows._metrics(boolean) IS
	'Internal: what the view metrics shows to the current role; gauges: also what is counted '
	'from the tables';

CREATE VIEW dataflows.metrics AS
	SELECT m.name, m.type, m.labels, m.value, m.sum, m.p50, m.p95, m.p99
		FROM dataflows._metrics(true) m;
COMMENT ON VIEW dataflows.metrics IS
	'What GET /metrics returns: counters and histograms since the server started, and gauges. '
	'Members of pg_monitor see all; others see their own workflows';
COMMENT ON COLUMN dataflows.metrics.name IS 'Name; GET /metrics adds _total to counters';
COMMENT ON COLUMN dataflows.metrics.type IS 'counter, gauge or histogram';
COMMENT ON COLUMN dataflows.metrics.labels IS
	'What the number is about: workflow, state, system, outcome, ...';
COMMENT ON COLUMN dataflows.metrics.value IS
	'The number; of a histogram, the number of observations';
COMMENT ON COLUMN dataflows.metrics.sum IS 'Sum of the observations of a histogram';
COMMENT ON COLUMN dataflows.metrics.p50 IS 'Median of a histogram, estimated from its buckets';
COMMENT ON COLUMN dataflows.metrics.p95 IS '95th percentile, likewise';
COMMENT ON COLUMN dataflows.metrics.p99 IS '99th percentile, likewise';

/* ---- stats ----------------------------------------------------------------------------------- */

CREATE VIEW dataflows.stats WITH (security_barrier) AS
	SELECT r.workflow, w.owner_name AS owner,
		pg_catalog.count(*) FILTER (WHERE r.state = 'queued') AS queued,
		pg_catalog.count(*) FILTER (WHERE r.state = 'running') AS running,
		pg_catalog.count(*) FILTER (WHERE r.state = 'waiting') AS waiting,
		pg_catalog.count(*) FILTER (WHERE r.state = 'rolling_back') AS rolling_back,
		pg_catalog.count(*) FILTER (WHERE r.state = 'stuck') AS stuck,
		pg_catalog.count(*) FILTER (WHERE r.state = 'completed') AS completed,
		pg_catalog.count(*) FILTER (WHERE r.state = 'rolled_back') AS rolled_back,
		pg_catalog.count(*) FILTER (WHERE r.state = 'cancelled') AS cancelled,
		pg_catalog.count(*) FILTER (WHERE r.state = 'abandoned') AS abandoned,
		pg_catalog.count(*) FILTER (WHERE r.started_at > pg_catalog.now() - '1 hour'::interval)
			AS started_1h,
		pg_catalog.count(*) FILTER (WHERE r.finished_at > pg_catalog.now() - '1 hour'::interval)
			AS finished_1h,
		pg_catalog.percentile_cont(ARRAY[0.5, 0.95, 0.99]) WITHIN GROUP (ORDER BY
			CASE WHEN r.state = 'completed' THEN r.finished_at - r.started_at END) AS took,
		pg_catalog.min(r.started_at) FILTER (WHERE r.state = 'queued') AS oldest_queued,
		pg_catalog.max(r.finished_at) AS last_finished,
		pg_catalog.max(m.started)::bigint AS started, pg_catalog.max(m.ended)::bigint AS ended,
		pg_catalog.max(m.got_stuck)::bigint AS got_stuck,
		pg_catalog.max(m.p50) AS p50, pg_catalog.max(m.p95) AS p95, pg_catalog.max(m.p99) AS p99
	FROM dataflows.run r JOIN dataflows.workflow w ON w.name = r.workflow AND w.version = r.version
	LEFT JOIN (SELECT x.labels OPERATOR(pg_catalog.->>) 'workflow' AS workflow,
			pg_catalog.sum(x.value) FILTER (WHERE x.name = 'dataflows_runs_started') AS started,
			pg_catalog.sum(x.value) FILTER (WHERE x.name = 'dataflows_runs_ended') AS ended,
			pg_catalog.sum(x.value) FILTER (WHERE x.name = 'dataflows_runs_stuck') AS got_stuck,
			pg_catalog.max(x.p50 * '1 second'::interval)
				FILTER (WHERE x.name = 'dataflows_run_duration_seconds') AS p50,
			pg_catalog.max(x.p95 * '1 second'::interval)
				FILTER (WHERE x.name = 'dataflows_run_duration_seconds') AS p95,
			pg_catalog.max(x.p99 * '1 second'::interval)
				FILTER (WHERE x.name = 'dataflows_run_duration_seconds') AS p99
		FROM dataflows._metrics(false) x GROUP BY 1) m ON m.workflow = r.workflow
	WHERE dataflows._sees(r.workflow, r.version, r.started_by) IS NOT NULL
	GROUP BY r.workflow, w.owner_name;
COMMENT ON VIEW dataflows.stats IS
	'Per workflow: runs by state and how long completed ones took, from the tables; and what was '
	'counted since the server started';
COMMENT ON COLUMN dataflows.stats.workflow IS 'The workflow';
COMMENT ON COLUMN dataflows.stats.owner IS 'Its owner';
COMMENT ON COLUMN dataflows.stats.queued IS 'Runs that no worker has begun';
COMMENT ON COLUMN dataflows.stats.running IS 'Runs under way';
COMMENT ON COLUMN dataflows.stats.waiting IS 'Runs that wait for an event, a time or a child';
COMMENT ON COLUMN dataflows.stats.rolling_back IS 'Runs that are being undone';
COMMENT ON COLUMN dataflows.stats.stuck IS 'Runs that need a person';
COMMENT ON COLUMN dataflows.stats.completed IS 'Runs that succeeded';
COMMENT ON COLUMN dataflows.stats.rolled_back IS 'Runs that failed and were undone';
COMMENT ON COLUMN dataflows.stats.cancelled IS 'Runs that were cancelled and undone';
COMMENT ON COLUMN dataflows.stats.abandoned IS 'Runs that a person has taken over';
COMMENT ON COLUMN dataflows.stats.started_1h IS 'Runs started in the last hour';
COMMENT ON COLUMN dataflows.stats.finished_1h IS 'Runs ended in the last hour';
COMMENT ON COLUMN dataflows.stats.took IS
	'From start to end of completed runs: median, 95th and 99th percentile';
COMMENT ON COLUMN dataflows.stats.oldest_queued IS
	'Start of the oldest run that no worker has begun';
COMMENT ON COLUMN dataflows.stats.last_finished IS 'End of the last run that ended';
COMMENT ON COLUMN dataflows.stats.started IS
	'Runs begun by a worker since the server started; NULL = none, or the current role may not '
	'see them';
COMMENT ON COLUMN dataflows.stats.ended IS 'Runs that have ended since then';
COMMENT ON COLUMN dataflows.stats.got_stuck IS 'How often a run got stuck since then';
COMMENT ON COLUMN dataflows.stats.p50 IS
	'Median duration of the runs completed since then, estimated from a histogram';
COMMENT ON COLUMN dataflows.stats.p95 IS '95th percentile, likewise';
COMMENT ON COLUMN dataflows.stats.p99 IS '99th percentile, likewise';

/* ---- systems --------------------------------------------------------------------------------- */

CREATE FUNCTION dataflows._system_states(OUT system oid, OUT in_flight int, OUT breaker text,
	OUT held_until timestamptz, OUT reason text, OUT error_rate float8, OUT requests bigint,
	OUT failures bigint, OUT latency_ms float8, OUT allowed int, OUT held_owners text[])
	RETURNS SETOF record
	LANGUAGE c VOLATILE ROWS 20 AS 'MODULE_PATHNAME', 'dataflows_systems';
COMMENT ON FUNCTION dataflows._system_states() IS
	'Internal: the state of the systems of this database in shared memory; see the view systems';

CREATE VIEW dataflows.systems WITH (security_barrier) AS
	SELECT s.srvname::text AS system,
		pg_catalog.regexp_replace(o.url, '//[^/@]*@', '//') AS url,
		COALESCE(l.in_flight, 0) AS in_flight, COALESCE(q.n, 0) AS queued,
		COALESCE(o.max_concurrency::int, 32) AS max_concurrency, l.allowed, o.rate_limit,
		COALESCE(l.breaker, 'closed') AS breaker, l.held_until,
		CASE WHEN o.paused IS NULL THEN l.reason ELSE 'paused' END AS reason, l.error_rate,
		COALESCE(l.requests, 0) AS requests, COALESCE(l.failures, 0) AS failures, l.latency_ms,
		l.held_owners, o.paused::jsonb OPERATOR(pg_catalog.->>) 'by' AS paused_by,
		pg_catalog.to_timestamp((o.paused::jsonb OPERATOR(pg_catalog.->>) 'at')::float8)
			AS paused_at,
		o.paused::jsonb OPERATOR(pg_catalog.->>) 'note' AS paused_note,
		dataflows._share() AS share
	FROM pg_catalog.pg_foreign_server s
		JOIN pg_catalog.pg_foreign_data_wrapper w ON w.oid = s.srvfdw AND w.fdwname = 'dataflows'
		LEFT JOIN LATERAL (SELECT
				pg_catalog.max(x.option_value) FILTER (WHERE x.option_name = 'url') AS url,
				pg_catalog.max(x.option_value) FILTER (WHERE x.option_name = 'max_concurrency')
					AS max_concurrency,
				pg_catalog.max(x.option_value) FILTER (WHERE x.option_name = 'rate_limit')
					AS rate_limit,
				pg_catalog.max(x.option_value) FILTER (WHERE x.option_name = 'paused') AS paused
			FROM pg_catalog.pg_options_to_table(s.srvoptions) x) o ON true
		LEFT JOIN dataflows._system_states() l ON l.system = s.oid
		LEFT JOIN (SELECT t.system, pg_catalog.count(*) AS n
			FROM dataflows.run r JOIN dataflows.step t ON t.run = r.run
			WHERE r.finished_at IS NULL AND t.system IS NOT NULL
				AND (t.state = 'pending' OR (t.state = 'in_doubt' AND t.finished_at IS NULL)
					OR t.undo_state = 'due')
			GROUP BY t.system) q ON q.system = s.srvname::text
	WHERE pg_catalog.has_server_privilege(s.oid, 'USAGE')
		OR pg_catalog.pg_has_role('pg_monitor', 'MEMBER');
COMMENT ON VIEW dataflows.systems IS
	'Systems on which the current role has USAGE: how busy each is, and whether it responds';
COMMENT ON COLUMN dataflows.systems.system IS 'Name of the server';
COMMENT ON COLUMN dataflows.systems.url IS 'Its url, without credentials';
COMMENT ON COLUMN dataflows.systems.in_flight IS
	'Requests in flight, of all workers of the database';
COMMENT ON COLUMN dataflows.systems.queued IS
	'Steps and undos that wait to be sent, for the first time or again';
COMMENT ON COLUMN dataflows.systems.max_concurrency IS 'Most requests in flight at a time';
COMMENT ON COLUMN dataflows.systems.allowed IS
	'Most requests in flight of the first of held_owners, while the system recovers; NULL = '
	'max_concurrency';
COMMENT ON COLUMN dataflows.systems.rate_limit IS
	'Most requests in a time, such as 100/s; NULL = no limit';
COMMENT ON COLUMN dataflows.systems.breaker IS
	'closed, open (no request is sent) or half_open (a few requests test whether it responds), '
	'for the first of held_owners; each owner role has its own breaker';
COMMENT ON COLUMN dataflows.systems.held_until IS 'Until when no request of that owner is sent';
COMMENT ON COLUMN dataflows.systems.reason IS
	'paused, failing, asked to wait, credentials refused (by the system, or by its authorization '
	'server) or no token';
COMMENT ON COLUMN dataflows.systems.error_rate IS
	'Share of the requests of about the last minute that failed, 0 to 1; NULL = no request ended';
COMMENT ON COLUMN dataflows.systems.requests IS 'Requests that have ended since the server started';
COMMENT ON COLUMN dataflows.systems.failures IS 'Those of them that failed because of the system';
COMMENT ON COLUMN dataflows.systems.latency_ms IS 'Time until a response, smoothed, milliseconds';
COMMENT ON COLUMN dataflows.systems.held_owners IS
	'Owner roles that are held or whose breaker is not closed, the longest hold first: those of '
	'which the current role is a member, for pg_monitor all; NULL = none';
COMMENT ON COLUMN dataflows.systems.paused_by IS
	'Role that called pause_system(); NULL = it is not paused';
COMMENT ON COLUMN dataflows.systems.paused_at IS 'When it did';
COMMENT ON COLUMN dataflows.systems.paused_note IS 'Why, if it said so';
COMMENT ON COLUMN dataflows.systems.share IS
	'Part of max_concurrency (rounded down, at least 1) and of rate_limit that this node uses: '
	'dataflows.share';

GRANT SELECT ON dataflows.workflows, dataflows.runs, dataflows.steps, dataflows.attempts,
	dataflows.signals, dataflows.requests, dataflows.pending_undo, dataflows.stuck,
	dataflows.unexplained, dataflows.metrics, dataflows.stats,
	dataflows.systems TO PUBLIC;
