-- a step that sleeps until infinity has no time left that could be said
CREATE OR REPLACE FUNCTION dataflows._step_words(s dataflows.steps, signalled_by text,
	at timestamptz)
	RETURNS text
	LANGUAGE sql STABLE PARALLEL SAFE
BEGIN ATOMIC
	SELECT CASE
		WHEN s.kind = 'wait' AND s.state = 'waiting' THEN 'waits' ||
			COALESCE(', at most ' || dataflows._duration(w.rest) || ' more', '')
		WHEN s.kind = 'wait' AND s.state = 'done' AND signalled_by IS NULL THEN
			'timed out after ' || dataflows._duration(s.finished_at - s.started_at)
		WHEN s.kind = 'wait' AND s.state = 'done' THEN
			'by ' || signalled_by || ' after ' || dataflows._duration(s.finished_at - s.started_at)
		WHEN s.kind = 'call' AND s.state = 'waiting' THEN 'waits for its run'
		WHEN s.kind = 'continue' THEN 'round ' || (s.round + 1) || ' begins'
		WHEN s.kind = 'sleep' AND s.state = 'waiting' THEN
			'sleeps' || COALESCE(', ' || dataflows._duration(w.rest) || ' more', '')
		ELSE pg_catalog.replace(s.state, '_', ' ') || COALESCE(' ' || s.status, '') ||
			COALESCE(', ' || dataflows._duration(s.finished_at - s.started_at), '') ||
			CASE WHEN s.attempts > 1 THEN ', ' || s.attempts || ' attempts' ELSE '' END ||
			CASE WHEN s.finished_at IS NULL THEN
				COALESCE(', next in ' || dataflows._duration(w.rest), '') ELSE '' END
		END
	FROM (SELECT NULLIF(s.wake_at, 'infinity') - at AS rest) AS w;
END;
