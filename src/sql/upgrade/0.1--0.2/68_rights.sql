/* who had EXECUTE by name on the function of a workflow gets what that meant before */
CREATE FUNCTION dataflows._rights_from_grants() RETURNS void
	LANGUAGE c VOLATILE PARALLEL UNSAFE AS 'MODULE_PATHNAME', 'dataflows_rights_from_grants';
SELECT dataflows._rights_from_grants();
DROP FUNCTION dataflows._rights_from_grants();

/* what was an event is a column now */
DO $$
DECLARE
	t record;
BEGIN
	FOR t IN SELECT g.tgname, pg_catalog.format('%s.%s', n.nspname, c.relname) AS relation
			FROM pg_catalog.pg_trigger g JOIN pg_catalog.pg_class c ON c.oid = g.tgrelid
				JOIN pg_catalog.pg_namespace n ON n.oid = c.relnamespace
			WHERE g.tgfoid = 'dataflows.signal_on_change()'::pg_catalog.regprocedure
				AND pg_catalog.position(g.tgargs, '\x0040'::bytea) > 0 LOOP
		RAISE WARNING 'trigger "%" on table "%" signals an event whose name begins with "@"',
				t.tgname, t.relation
			USING HINT = 'It takes the event from the column of that name from now on: make it '
				'with another event, for which the workflow waits.';
	END LOOP;
END $$;

/* an application's own user may be named */
ALTER TABLE dataflows.inbox ADD COLUMN on_behalf_of text;
CREATE FUNCTION dataflows.signal(run uuid, event text, payload jsonb DEFAULT '{}',
	on_behalf_of text DEFAULT NULL) RETURNS boolean
	LANGUAGE c VOLATILE PARALLEL UNSAFE AS 'MODULE_PATHNAME', 'dataflows_signal';
CREATE FUNCTION dataflows.signal_by_key(workflow text, key text, event text,
	payload jsonb DEFAULT '{}', on_behalf_of text DEFAULT NULL) RETURNS boolean
	LANGUAGE c VOLATILE PARALLEL UNSAFE AS 'MODULE_PATHNAME', 'dataflows_signal_by_key';
CREATE FUNCTION dataflows.cancel(run uuid, reason text DEFAULT NULL,
	on_behalf_of text DEFAULT NULL) RETURNS boolean
	LANGUAGE c VOLATILE PARALLEL UNSAFE AS 'MODULE_PATHNAME', 'dataflows_cancel';
CREATE FUNCTION dataflows.retry(run uuid, note text DEFAULT NULL,
	on_behalf_of text DEFAULT NULL) RETURNS boolean
	LANGUAGE c VOLATILE PARALLEL UNSAFE AS 'MODULE_PATHNAME', 'dataflows_retry';
CREATE FUNCTION dataflows.resolve(run uuid, step text, outcome text, note text,
	output jsonb DEFAULT NULL, on_behalf_of text DEFAULT NULL) RETURNS boolean
	LANGUAGE c VOLATILE PARALLEL UNSAFE AS 'MODULE_PATHNAME', 'dataflows_resolve';
CREATE FUNCTION dataflows.undo(run uuid, note text, on_behalf_of text DEFAULT NULL)
	RETURNS boolean
	LANGUAGE c VOLATILE PARALLEL UNSAFE AS 'MODULE_PATHNAME', 'dataflows_undo';
CREATE FUNCTION dataflows.abandon(run uuid, note text, on_behalf_of text DEFAULT NULL)
	RETURNS boolean
	LANGUAGE c VOLATILE PARALLEL UNSAFE AS 'MODULE_PATHNAME', 'dataflows_abandon';
CREATE FUNCTION dataflows.pause(workflow text DEFAULT NULL, note text DEFAULT NULL,
	on_behalf_of text DEFAULT NULL) RETURNS boolean
	LANGUAGE c VOLATILE PARALLEL UNSAFE AS 'MODULE_PATHNAME', 'dataflows_pause';
CREATE FUNCTION dataflows.resume(workflow text DEFAULT NULL, note text DEFAULT NULL,
	on_behalf_of text DEFAULT NULL) RETURNS boolean
	LANGUAGE c VOLATILE PARALLEL UNSAFE AS 'MODULE_PATHNAME', 'dataflows_resume';

/* rights are decided by workflow, for all that a view shows of a run */
CREATE FUNCTION dataflows._sees(workflow text, version int, started_by text) RETURNS text
	LANGUAGE c STABLE PARALLEL SAFE COST 2 AS 'MODULE_PATHNAME', 'dataflows_sees_run';

CREATE OR REPLACE VIEW dataflows.workflows WITH (security_barrier) AS
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

CREATE OR REPLACE VIEW dataflows.runs WITH (security_barrier) AS
	SELECT r.run, r.workflow, r.version, r.key, w.owner_name AS owner, r.state,
		CASE WHEN r.finished_at IS NULL THEN (
			SELECT s.step FROM dataflows.step s WHERE s.run = r.run
			ORDER BY (s.state IN ('pending', 'sent', 'waiting')
				OR (s.state = 'in_doubt' AND s.finished_at IS NULL)
				OR COALESCE(s.undo_state IN ('due', 'sent'), false)) DESC, s.n DESC LIMIT 1) END
					AS step,
		r.waiting_for,
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
			r.traceparent
	FROM dataflows.run r JOIN dataflows.workflow w ON w.name = r.workflow AND w.version = r.version
	WHERE dataflows._sees(r.workflow, r.version, r.started_by) IS NOT NULL
		AND (r.key_held OR NOT r.key_held);

CREATE OR REPLACE VIEW dataflows.steps WITH (security_barrier) AS
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
				END AS round
	FROM dataflows.step s JOIN dataflows.run r ON r.run = s.run
		JOIN dataflows.workflow w ON w.name = r.workflow AND w.version = r.version
	WHERE dataflows._sees(r.workflow, r.version, r.started_by) IS NOT NULL
		AND (r.key_held OR NOT r.key_held);

CREATE OR REPLACE VIEW dataflows.attempts WITH (security_barrier) AS
	SELECT a.run, a.n, s.step, a.seq AS attempt, a.undo, a.at, a.took_ms,
		CASE WHEN a.undo THEN s.undo ELSE s.request END AS request,
		a.status, a.outcome, a.error, a.next_at, s.system, r.workflow, r.key
	FROM dataflows.attempt a JOIN dataflows.step s ON s.run = a.run AND s.n = a.n
		JOIN dataflows.run r ON r.run = a.run
		JOIN dataflows.workflow w ON w.name = r.workflow AND w.version = r.version
	WHERE dataflows._sees(r.workflow, r.version, r.started_by) IS NOT NULL
		AND (r.key_held OR NOT r.key_held);

CREATE OR REPLACE VIEW dataflows.signals WITH (security_barrier) AS
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

CREATE OR REPLACE VIEW dataflows.requests WITH (security_barrier) AS
	SELECT i.sent_by, i.sent_at, i.kind AS request, i.run, NULLIF(i.workflow, '') AS workflow,
		i.key, i.event AS step,
		i.payload OPERATOR(pg_catalog.->>) 'outcome' AS outcome, i.note, i.state, i.consumed_at,
			i.id, i.on_behalf_of
	FROM dataflows.inbox i LEFT JOIN dataflows.run r ON r.run = i.run
		LEFT JOIN dataflows.workflow w ON w.name = i.workflow AND w.version = COALESCE(r.version,
			(SELECT pg_catalog.max(v.version) FROM dataflows.workflow v WHERE v.name = i.workflow))
	WHERE i.kind NOT IN ('signal', 'child') AND (r.run IS NOT NULL OR i.run IS NULL)
		AND (i.workflow = '' OR dataflows._sees(i.workflow, r.version, r.started_by) IS NOT NULL);

CREATE OR REPLACE VIEW dataflows.pending_undo WITH (security_barrier) AS
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
			THEN dataflows._key(s.run, s.n, s.renewals, s.key_form, true) END AS undo_key
	FROM pending p JOIN dataflows.step s ON s.run = p.run AND s.n = p.n
		JOIN dataflows.run r ON r.run = s.run AND r.finished_at IS NULL
		JOIN dataflows.workflow w ON w.name = r.workflow AND w.version = r.version
		CROSS JOIN LATERAL (SELECT CASE WHEN r.round IS NULL THEN s.step
			ELSE pg_catalog.concat('#', s.n) END AS step) AS named
	WHERE dataflows._sees(r.workflow, r.version, r.started_by) IS NOT NULL;

CREATE OR REPLACE VIEW dataflows.stuck WITH (security_barrier) AS
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

CREATE OR REPLACE VIEW dataflows.unexplained WITH (security_barrier) AS
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

CREATE OR REPLACE VIEW dataflows.stats WITH (security_barrier) AS
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

CREATE OR REPLACE VIEW dataflows.live WITH (security_barrier) AS
	SELECT r.workflow, r.key, r.state,
		pg_catalog.left(COALESCE(r.stuck OPERATOR(pg_catalog.->>) 'reason', 'waits for '
			|| r.waiting_for,
			(SELECT s.step FROM dataflows.step s WHERE s.run = r.run ORDER BY s.n DESC LIMIT 1),
				'is to begin'), 40) AS doing,
		dataflows._duration(pg_catalog.now() - r.started_at) AS age, r.run
	FROM (SELECT * FROM dataflows.run d WHERE d.wake_at IS NOT NULL
		UNION ALL SELECT * FROM dataflows.run p WHERE p.wake_at IS NULL AND p.finished_at IS NULL) r
		JOIN dataflows.workflow w ON w.name = r.workflow AND w.version = r.version
	WHERE dataflows._sees(r.workflow, r.version, r.started_by) IS NOT NULL;

CREATE OR REPLACE VIEW dataflows.schedules WITH (security_barrier) AS
	SELECT s.name, s.cron, s.workflow, s.owner_name AS owner, j.active, s.last_at, s.last_run,
		j.last_status, j.last_message,
		CASE WHEN dataflows._sees(s.workflow, NULL::int, s.owner_name) = 'all' THEN s.input END
			AS input,
		s.scheduled_at
	FROM dataflows.schedule s CROSS JOIN LATERAL dataflows._cron_job(s.name) j
	WHERE dataflows._sees(s.workflow, NULL::int, s.owner_name) IS NOT NULL;

CREATE OR REPLACE FUNCTION dataflows.timeline(run uuid, colour boolean DEFAULT false,
	width int DEFAULT NULL)
	RETURNS SETOF text
	LANGUAGE sql VOLATILE PARALLEL RESTRICTED ROWS 20
BEGIN ATOMIC
	WITH size AS MATERIALIZED (
		SELECT z.w, CASE WHEN z.w < 100 THEN 16 ELSE 22 END AS names, CASE WHEN z.w < 100 THEN 24
			ELSE 34 END AS words,
			z.w - CASE WHEN z.w < 100 THEN 48 ELSE 64 END AS cells
		FROM (SELECT GREATEST(60, LEAST(COALESCE(timeline.width, 100), 500)) AS w) AS z),
	it AS MATERIALIZED (
		SELECT r.run, r.workflow, r.key, r.state, r.parent, r.waiting_for, r.wake_at, r.started_at,
			r.finished_at, r.error, r.stuck,
			COALESCE(r.finished_at, (SELECT k.since FROM dataflows.stuck k WHERE k.run = r.run),
				pg_catalog.clock_timestamp()) AS ended
		FROM dataflows.runs r WHERE r.run = timeline.run),
	steps AS MATERIALIZED (
		SELECT s AS row, s.n, s.step, s.kind, s.state, s.started_at, s.finished_at, s.undo_state,
			s.undo_since,
			s.undo_attempts, it.started_at AS t0, it.ended,
			ARRAY(SELECT a.at FROM dataflows.attempts a WHERE a.run = s.run AND a.n = s.n
				AND NOT a.undo) AS failed,
			ARRAY(SELECT a.at FROM dataflows.attempts a WHERE a.run = s.run AND a.n = s.n
				AND a.undo) AS undo_failed
		FROM it JOIN dataflows.steps s ON s.run = it.run),
	undos AS (
		SELECT u.*, pg_catalog.lead(u.undo_since) OVER (ORDER BY u.n DESC) AS next_since
		FROM steps u WHERE u.undo_state <> 'none'),
	lines (part, place, line) AS (
		SELECT 0, 0, pg_catalog.concat_ws('  ', it.workflow || COALESCE(' "' || it.key || '"', ''),
			pg_catalog.replace(it.state, '_', ' ')
				|| COALESCE(' after ' || dataflows._duration(it.finished_at - it.started_at), ''),
			'started ' || pg_catalog.to_char(it.started_at, 'YYYY-MM-DD HH24:MI:SS') || CASE
				WHEN it.finished_at IS NULL
				THEN ', ' || dataflows._duration(pg_catalog.clock_timestamp() - it.started_at)
					|| ' ago' ELSE '' END)
		FROM it
		UNION ALL
		SELECT 0, 1, 'called by run ' || it.parent FROM it WHERE it.parent IS NOT NULL
		UNION ALL
		SELECT 0, 2, '    ' || pg_catalog.rpad('', z.names) || '  0' ||
			pg_catalog.lpad(dataflows._duration(it.ended - it.started_at), z.cells - 1)
		FROM it, size z
		UNION ALL
		SELECT 1, s.n, pg_catalog.lpad(s.n::text, 3) || ' ' ||
			pg_catalog.rpad(CASE WHEN pg_catalog.length(s.step) > z.names
				THEN pg_catalog.left(s.step, z.names - 1) || '~' ELSE s.step END, z.names) ||
			' |' || dataflows._paint(dataflows._bar(s.t0, s.ended, s.started_at,
				COALESCE(s.finished_at, s.ended),
				CASE WHEN s.kind IN ('wait', 'sleep') THEN '.' WHEN s.state = 'in_doubt' THEN '?'
					ELSE '#' END,
				CASE WHEN s.state = 'failed' AND s.kind NOT IN ('wait', 'sleep')
					THEN s.failed || s.finished_at ELSE s.failed END, z.cells), timeline.colour)
						|| '| ' ||
			pg_catalog.left(dataflows._step_words(s.row,
				(SELECT g.sent_by || COALESCE(' for ' || g.on_behalf_of, '')
					FROM dataflows.signals g, it WHERE g.run = it.run
					AND g.consumed_by = s.step LIMIT 1),
				s.ended), z.words)
		FROM steps s, size z
		UNION ALL
		SELECT 2, -u.n, '    ' ||
			pg_catalog.rpad(CASE WHEN pg_catalog.length(u.step) > z.names - 5 THEN 'undo '
				|| pg_catalog.left(u.step, z.names - 6) || '~'
				ELSE 'undo ' || u.step END, z.names) || ' |' ||
			CASE WHEN u.undo_since IS NULL THEN pg_catalog.repeat(' ', z.cells)
				ELSE dataflows._paint(dataflows._bar(u.t0, u.ended, u.undo_since,
					COALESCE(u.next_since, u.ended), '<', u.undo_failed, z.cells),
					timeline.colour) END ||
			'| ' || pg_catalog.replace(u.undo_state, '_', ' ') ||
			CASE WHEN u.undo_attempts > 1 THEN ', ' || u.undo_attempts || ' attempts' ELSE '' END
		FROM undos u, size z
		UNION ALL
		SELECT 3, 1, 'waits for ' || it.waiting_for
			|| COALESCE(', until ' || pg_catalog.to_char(it.wake_at, 'YYYY-MM-DD HH24:MI:SS'), '')
		FROM it WHERE it.finished_at IS NULL AND it.waiting_for IS NOT NULL
		UNION ALL
		SELECT 3, 0, pg_catalog.left(pg_catalog.format('called %s%s: run %s%s', c.step,
			CASE WHEN k.n > 10 THEN ' and ' || (k.n - 1) || ' others' END, c.child, ', '
				|| r.state), 100)
		FROM it, LATERAL (SELECT pg_catalog.count(*) AS n FROM dataflows.steps x
			WHERE x.run = it.run AND x.child IS NOT NULL) AS k,
			LATERAL (SELECT x.step, x.child FROM dataflows.steps x WHERE x.run = it.run
				AND x.child IS NOT NULL
				ORDER BY x.n LIMIT CASE WHEN k.n > 10 THEN 1 ELSE 10 END) AS c
			LEFT JOIN dataflows.runs r ON r.run = c.child
		UNION ALL
		SELECT 3, 2, 'error: ' || (it.error OPERATOR(pg_catalog.->>) 'message') ||
			COALESCE(': ' || (it.error OPERATOR(pg_catalog.->>) 'reason'), '')
		FROM it WHERE it.error OPERATOR(pg_catalog.->>) 'message' IS NOT NULL
		UNION ALL
		SELECT 3, 3, 'stuck: ' || (it.stuck OPERATOR(pg_catalog.->>) 'reason')
		FROM it WHERE it.stuck OPERATOR(pg_catalog.->>) 'reason' IS NOT NULL
		UNION ALL
		SELECT 3, 4, 'remedy: ' || (it.stuck OPERATOR(pg_catalog.->>) 'remedy')
		FROM it WHERE it.stuck OPERATOR(pg_catalog.->>) 'remedy' IS NOT NULL
		UNION ALL
		SELECT 4, 0, '    # works  . waits  x a try failed  ? in doubt  < is undone'
		FROM it
		UNION ALL
		SELECT 5, 0, pg_catalog.concat('run "', timeline.run,
			'" does not exist, or is not yours to see')
		WHERE NOT EXISTS (SELECT FROM it))
	SELECT pg_catalog.rtrim(w.piece) FROM lines l, size z,
		LATERAL pg_catalog.translate(l.line, E'\n\r\t', '   ') AS t (line),
		/*
		 * words that stand on no row of the chart go on in the next line, if a width is asked for
		 */
		LATERAL pg_catalog.regexp_split_to_table(CASE WHEN l.part IN (1, 2)
			OR timeline.width IS NULL OR pg_catalog.length(t.line) <= z.w THEN t.line
			ELSE pg_catalog.rtrim(pg_catalog.regexp_replace(t.line, '(.{1,' || (z.w - 1)
				|| '})( +|$)', E'\\1\n', 'g'), E'\n') END, E'\n')
			WITH ORDINALITY AS w (piece, nr)
	ORDER BY l.part, l.place, w.nr;
END;
