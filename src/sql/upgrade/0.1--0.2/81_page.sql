-- for the page: the headers that a step sent and got
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
