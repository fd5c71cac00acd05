-- what a probe found by what was asked for is not undone by itself: it may be another's
ALTER TABLE dataflows.step ADD COLUMN maybe_not_ours boolean;

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
			THEN dataflows._key(s.run, s.n, s.renewals, s.key_form, true) END AS undo_key
	FROM pending p JOIN dataflows.step s ON s.run = p.run AND s.n = p.n
		JOIN dataflows.run r ON r.run = s.run AND r.finished_at IS NULL
		JOIN dataflows.workflow w ON w.name = r.workflow AND w.version = r.version
		CROSS JOIN LATERAL (SELECT CASE WHEN r.round IS NULL THEN s.step
			ELSE pg_catalog.concat('#', s.n) END AS step) AS named
	WHERE dataflows._sees(r.workflow, r.version, r.started_by) IS NOT NULL;
