/*
 * A run as a picture.  Plain SQL over the views, so that each role gets the
 * picture of what it may see, in at most 100 columns or the width that it asks for.
 */

CREATE FUNCTION dataflows._duration(took interval) RETURNS text
	LANGUAGE sql IMMUTABLE STRICT PARALLEL SAFE
BEGIN ATOMIC
	SELECT CASE
		WHEN e < 0.9995 THEN pg_catalog.round(e * 1000) || ' ms'
		WHEN e < 59.95 THEN pg_catalog.round(e, 1) || ' s'
		WHEN e < 3600 THEN pg_catalog.div(e, 60) || ' min ' || pg_catalog.trunc(e % 60) || ' s'
		WHEN e < 86400 THEN pg_catalog.div(e, 3600) || ' h ' || pg_catalog.div(e % 3600, 60)
			|| ' min'
		ELSE pg_catalog.div(e, 86400) || ' d ' || pg_catalog.div(e % 86400, 3600) || ' h' END
	FROM (SELECT GREATEST(0, EXTRACT(epoch FROM took)) AS e) AS s;
END;
COMMENT ON FUNCTION dataflows._duration(interval) IS 'Internal: a duration in two units at most';

/* a bar of so many cells: glyph from one time to another, x where a try failed */
CREATE FUNCTION dataflows._bar(began timestamptz, ended timestamptz, since timestamptz,
	until timestamptz, glyph text, failed timestamptz[], cells int) RETURNS text
	LANGUAGE sql IMMUTABLE PARALLEL SAFE
BEGIN ATOMIC
	WITH scale AS (
		SELECT GREATEST(EXTRACT(epoch FROM ended - began), 0.001) AS span),
	ends AS (
		SELECT LEAST(cells - 1, GREATEST(0, pg_catalog.floor(cells * EXTRACT(epoch
			FROM since - began) / span))) AS first,
			LEAST(cells - 1, pg_catalog.ceil(cells * EXTRACT(epoch FROM until - began) / span) - 1)
				AS last,
			ARRAY(SELECT LEAST(cells - 1, GREATEST(0,
				pg_catalog.floor(cells * EXTRACT(epoch FROM f - began) / span)))
				FROM pg_catalog.unnest(failed) AS f) AS crosses
		FROM scale)
	SELECT pg_catalog.string_agg(CASE
			WHEN i = ANY (crosses) THEN 'x'
			WHEN i BETWEEN first AND GREATEST(first, last) THEN glyph
			ELSE ' ' END, '' ORDER BY i)
	FROM ends, pg_catalog.generate_series(0, cells - 1) AS i;
END;
COMMENT ON FUNCTION dataflows._bar(timestamptz, timestamptz, timestamptz, timestamptz, text,
		timestamptz[], int) IS
	'Internal: one bar of the timeline';

/* what a step came to, in a few words */
CREATE FUNCTION dataflows._step_words(s dataflows.steps, signalled_by text, at timestamptz)
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
COMMENT ON FUNCTION dataflows._step_words(dataflows.steps, text, timestamptz) IS
	'Internal: the words beside a bar of the timeline';

/* colours of a terminal: green works, yellow waits, red failed, magenta is undone */
CREATE FUNCTION dataflows._paint(line text, colour boolean) RETURNS text
	LANGUAGE sql IMMUTABLE PARALLEL SAFE
	RETURN CASE WHEN colour THEN
		pg_catalog.regexp_replace(
			pg_catalog.regexp_replace(
				pg_catalog.regexp_replace(
					pg_catalog.regexp_replace(line, '#+', E'\x1b[32m\\&\x1b[0m', 'g'),
					'[.]+', E'\x1b[33m\\&\x1b[0m', 'g'),
				'<+', E'\x1b[35m\\&\x1b[0m', 'g'),
			'[x?]+', E'\x1b[31m\\&\x1b[0m', 'g')
		ELSE line END;
COMMENT ON FUNCTION dataflows._paint(text, boolean) IS 'Internal: a bar of the timeline in colours';

CREATE FUNCTION dataflows.timeline(run uuid, colour boolean DEFAULT false,
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
			r.finished_at, r.error, r.stuck, r.reason,
			COALESCE(r.finished_at, (SELECT k.since FROM dataflows.stuck k WHERE k.run = r.run),
				pg_catalog.clock_timestamp()) AS ended
		FROM dataflows.runs r WHERE r.run = timeline.run),
	steps AS MATERIALIZED (
		SELECT s AS row, s.n, s.step, s.kind, s.state, s.reason, s.started_at, s.finished_at,
			s.undo_state, s.undo_since,
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
		SELECT 3, t.place, pg_catalog.left(t.step || ': ' || t.reason, 400)
		FROM (SELECT s.step, s.reason, s.n - 100000000 AS place,
				pg_catalog.row_number() OVER (ORDER BY s.finished_at IS NULL DESC, s.n DESC)
					AS nr
			FROM steps s WHERE s.reason IS NOT NULL AND s.state <> 'waiting') AS t
		WHERE t.nr <= 10
		UNION ALL
		SELECT 3, 0, pg_catalog.substring(it.reason, '^the (?:workflow|database) is paused')
		FROM it WHERE it.reason ~ '^the (?:workflow|database) is paused'
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
		SELECT 3, 2, 'error: ' || pg_catalog.left(dataflows._run_error_words(it.error), 1000)
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
COMMENT ON FUNCTION dataflows.timeline(uuid, boolean, int) IS
'Draws a run as a text Gantt chart: a row per step with a bar scaled to the run''s time, then a '
'row per undo, then why steps were tried again or failed, and what the run waits for. Shows what '
'the views runs and steps show to the caller.
colour: with the colours of a terminal, for psql''s unaligned format. width: columns, 60 to '
'500; NULL = 100.';

/* ---- what goes on, in lines that fit a terminal -------------------------------------------- */

/* the two parts are those of the indexes run_due and run_parked: what has ended costs nothing */
CREATE VIEW dataflows.live WITH (security_barrier) AS
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
COMMENT ON VIEW dataflows.live IS
	'Runs that have not ended, one line each that fits into a terminal';
COMMENT ON COLUMN dataflows.live.workflow IS 'The workflow';
COMMENT ON COLUMN dataflows.live.key IS 'Its key';
COMMENT ON COLUMN dataflows.live.state IS 'Its state';
COMMENT ON COLUMN dataflows.live.doing IS
	'What it waits for, why it is stuck, or its last step; at most 40 characters';
COMMENT ON COLUMN dataflows.live.age IS 'How long ago it was started';
COMMENT ON COLUMN dataflows.live.run IS 'Id of the run';
GRANT SELECT ON dataflows.live TO PUBLIC;
