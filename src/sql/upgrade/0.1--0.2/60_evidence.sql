-- what is known of whether a step was carried out has columns of its own; decisions do not read it
-- out of the error that users see
ALTER TABLE dataflows.step
	ADD COLUMN lost int,
	ADD COLUMN lost_at timestamptz,
	ADD COLUMN may_resend boolean,
	ADD COLUMN ask_probe boolean,
	ADD COLUMN probed_at timestamptz,
	ADD COLUMN probe_found int,
	ADD COLUMN probe_said text,
	ADD COLUMN existed boolean,
	ADD COLUMN kept boolean,
	ADD COLUMN accepted boolean,
	ADD COLUMN maybe_twice boolean,
	ADD COLUMN resolved text;

-- of runs that go on, or may be undone
UPDATE dataflows.step AS s SET
	lost = CASE WHEN known.in_doubt OR known.was_lost OR known.maybe_twice THEN 1 END,
	lost_at = CASE WHEN known.in_doubt OR known.was_lost OR known.maybe_twice
		THEN coalesce(s.sent_at, s.started_at) END,
	may_resend = nullif(known.was_lost AND NOT known.in_doubt, false),
	ask_probe = nullif(known.ask_probe, false),
	probe_found = CASE WHEN known.probe IS NOT NULL
		THEN nullif(coalesce(substring(known.probe
			FROM '^the probe found ([0-9]{1,9}) records? \(status [0-9]+\)$')::int, -1), 0) END,
	probe_said = known.probe,
	existed = nullif(known.existed, false),
	-- done, and neither by a 2xx nor by doubt or by a person, who leave an error: by a status that
	-- the step accepts
	kept = nullif(s.kind = 'http' AND s.state = 'done' AND s.error IS NULL
		AND s.status NOT BETWEEN 200 AND 299, false),
	accepted = nullif(known.accepted, false),
	maybe_twice = nullif(known.maybe_twice, false),
	resolved = substring(s.error ->> 'message'
		FROM '^resolved as (done|not_done|skipped|undone) by ')
FROM dataflows.run AS r, dataflows.step AS e,
	LATERAL (SELECT coalesce(e.error ->> 'in_doubt' = 'true', false) AS in_doubt,
		coalesce(e.error ->> 'was_lost' = 'true', false) AS was_lost,
		coalesce(e.error ->> 'ask_probe' = 'true', false) AS ask_probe,
		e.error ->> 'probe' AS probe,
		coalesce(e.error ->> 'existed' = 'true', false) AS existed,
		coalesce(e.error ->> 'accepted' = 'true', false) AS accepted,
		coalesce(e.error ->> 'maybe_twice' = 'true', false) AS maybe_twice) AS known
WHERE r.run = s.run AND (r.finished_at IS NULL OR r.state = 'completed')
  AND s.kind IN ('http', 'mail')
	AND e.run = s.run AND e.n = s.n
	AND (s.error IS NOT NULL OR (s.kind = 'http' AND s.state = 'done' AND s.status NOT BETWEEN 200
		AND 299));

CREATE OR REPLACE VIEW dataflows.pending_undo WITH (security_barrier) AS
	WITH pending AS (
		SELECT s.run, s.n FROM dataflows.step s WHERE s.undo_state = 'undo_failed'
		UNION ALL
		SELECT s.run, s.n FROM dataflows.run r JOIN dataflows.step s ON s.run = r.run
		WHERE r.stuck IS NOT NULL AND s.state = 'in_doubt'
			AND COALESCE(s.undo_state, 'none') NOT IN ('undo_failed', 'undone', 'gone'))
	SELECT s.run, r.workflow, r.key, s.step, s.system, s.request, s.state,
		COALESCE(s.undo, s.options OPERATOR(pg_catalog.->>) 'undo') AS undo,
		CASE WHEN dataflows._sees(w.owner, w.owner_name, r.started_by) = 'all' THEN s.undo_body
			END AS undo_body,
		COALESCE(s.undo_error OPERATOR(pg_catalog.->>) 'message', s.error OPERATOR(pg_catalog.->>)
			'message',
			'it may have been carried out, and no full answer came') AS why,
		pg_catalog.concat_ws(': ', COALESCE('status ' OPERATOR(pg_catalog.||) NULLIF(s.status, 0),
			'no status'),
			s.error OPERATOR(pg_catalog.->>) 'message') AS answered,
		s.probe_said AS probe,
		COALESCE(s.undo_since, s.sent_at, s.started_at) AS since,
		CASE WHEN s.system IS NOT NULL THEN pg_catalog.concat(s.run, '/', s.n,
			CASE WHEN s.renewals > 0 THEN pg_catalog.concat('/r', s.renewals) END)
				END AS idempotency_key,
		CASE
			WHEN s.undo_state = 'undo_failed' AND s.maybe_twice
			THEN
				pg_catalog.format('Look in the system for a second resource with the same data '
				'and delete it, then: SELECT dataflows.resolve(%L, %L, ''undone'', ''who '
				'looked'');', s.run, named.step)
			WHEN s.undo_state = 'undo_failed' AND (s.undo IS NOT NULL OR s.system IS NULL)
			THEN
				pg_catalog.format('Undo it by hand, then: SELECT dataflows.resolve(%L, %L, '
				'''undone'', ''how''); or repair the cause and have it tried again: SELECT '
				'dataflows.retry(%L);', s.run, named.step, s.run)
			WHEN s.undo_state = 'undo_failed' AND s.state = 'in_doubt'
			THEN
				pg_catalog.format('Look in the system for the request or its key. If it is there, '
				'say so with the resource, and it is undone: SELECT dataflows.resolve(%L, %L, '
				'''done'', ''who saw it'', ''{"id": "..."}''); If it is not: SELECT '
				'dataflows.resolve(%L, %L, ''not_done'', ''who '
				'looked'');', s.run, named.step, s.run, named.step)
			WHEN s.undo_state = 'undo_failed'
			THEN
				pg_catalog.format('Look in the system for the request or its key. If it is there, '
				'undo it by hand, then: SELECT dataflows.resolve(%L, %L, ''undone'', ''how''); If '
				'it is not: SELECT dataflows.resolve(%L, %L, ''not_done'', ''who '
				'looked'');', s.run, named.step, s.run, named.step)
			ELSE
				pg_catalog.format('Look in the system for the request or its key. If it is there, '
				'say so with the resource, and the run goes on: SELECT dataflows.resolve(%L, %L, '
				'''done'', ''who saw it'', ''{"id": "..."}''); If it is not: SELECT '
				'dataflows.resolve(%L, %L, ''not_done'', ''who '
				'looked'');', s.run, named.step, s.run, named.step)
		END AS remedy, s.n
	FROM pending p JOIN dataflows.step s ON s.run = p.run AND s.n = p.n
		JOIN dataflows.run r ON r.run = s.run AND r.finished_at IS NULL
		JOIN dataflows.workflow w ON w.name = r.workflow AND w.version = r.version
		CROSS JOIN LATERAL (SELECT CASE WHEN r.round IS NULL THEN s.step ELSE pg_catalog.concat('#',
			s.n) END AS step) AS named
	WHERE dataflows._sees(w.owner, w.owner_name, r.started_by) IS NOT NULL;
