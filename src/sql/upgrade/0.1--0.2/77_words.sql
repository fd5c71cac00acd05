/* headers of undos, and whether the run that is waited for is stuck */
CREATE OR REPLACE VIEW dataflows.runs WITH (security_barrier) AS
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
				END AS round,
		s.meaning,
		CASE WHEN dataflows._sees(r.workflow, r.version, r.started_by) = 'all'
			THEN s.undo_headers END AS undo_headers
	FROM dataflows.step s JOIN dataflows.run r ON r.run = s.run
		JOIN dataflows.workflow w ON w.name = r.workflow AND w.version = r.version
	WHERE dataflows._sees(r.workflow, r.version, r.started_by) IS NOT NULL
		AND (r.key_held OR NOT r.key_held);

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
