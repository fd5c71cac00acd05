/* why runs and steps are where they are, in words */
CREATE FUNCTION dataflows._clock(at timestamptz) RETURNS text
	LANGUAGE sql STABLE STRICT PARALLEL SAFE
	RETURN pg_catalog.to_char(at, CASE WHEN at::date = pg_catalog.now()::date THEN 'HH24:MI:SS'
		ELSE 'YYYY-MM-DD HH24:MI:SS' END);
CREATE FUNCTION dataflows._what_came(message text, system text) RETURNS text
	LANGUAGE sql IMMUTABLE PARALLEL SAFE
	RETURN pg_catalog.regexp_replace(pg_catalog.regexp_replace(message,
			'the system answered with status (\d+): (.*?)(, and .*)?$',
			'\1' || COALESCE(' from ' || system, '') || ': "\2"\3'),
		'the system answered with status (\d+)', '\1' || COALESCE(' from ' || system, ''));
CREATE FUNCTION dataflows._error_words(error jsonb, system text) RETURNS text
	LANGUAGE sql IMMUTABLE PARALLEL SAFE
	RETURN CASE
		WHEN error OPERATOR(pg_catalog.->>) 'message' IS NULL THEN NULL
		WHEN error OPERATOR(pg_catalog.->>) 'message' ~ 'the system answered with status'
			THEN dataflows._what_came(error OPERATOR(pg_catalog.->>) 'message', system)
		ELSE COALESCE(system || ': ', '') || (error OPERATOR(pg_catalog.->>) 'message')
			|| COALESCE(' (' || (error OPERATOR(pg_catalog.->>) 'status') || COALESCE(': "'
				|| (error OPERATOR(pg_catalog.->>) 'said') || '"', '') || ')', '') END;
CREATE FUNCTION dataflows._run_error_words(error jsonb) RETURNS text
	LANGUAGE sql IMMUTABLE PARALLEL SAFE
	RETURN dataflows._what_came(error OPERATOR(pg_catalog.->>) 'message',
		error OPERATOR(pg_catalog.->) 'detail' OPERATOR(pg_catalog.->>) 'system')
		|| COALESCE(': ' || (error OPERATOR(pg_catalog.->>) 'reason'), '');
/* of a step that has not ended: at is its next try, last the number of the try that failed */
CREATE FUNCTION dataflows._open_words(system text, state text, last int, error jsonb, held boolean,
	at timestamptz) RETURNS text
	LANGUAGE sql STABLE PARALLEL SAFE
	RETURN NULLIF(pg_catalog.concat_ws('; ',
		CASE WHEN last > 0 AND error OPERATOR(pg_catalog.->) 'uncounted' IS NULL
			AND error OPERATOR(pg_catalog.->>) 'message' IS NOT NULL
			THEN 'attempt ' || last || COALESCE(' of '
				|| (error OPERATOR(pg_catalog.->>) 'max_attempts'), '') || ': ' ELSE '' END
			|| dataflows._error_words(error, system),
		CASE WHEN state = 'in_doubt' THEN 'it may have been carried out' END,
		CASE WHEN state = 'in_doubt' THEN error OPERATOR(pg_catalog.->>) 'probe' END,
		CASE
			WHEN state = 'sent'
			THEN CASE WHEN error IS NOT NULL THEN 'attempt ' || (last + 1) || ' is under way' END
			WHEN held THEN error OPERATOR(pg_catalog.->>) 'held'
			WHEN error IS NULL AND at IS NOT NULL AND system IS NOT NULL
			THEN 'waits for its turn at system "' || system || '"' END,
		CASE WHEN state <> 'sent' AND at < 'infinity'
			THEN CASE WHEN error OPERATOR(pg_catalog.->>) 'message' IS NULL THEN 'tries at '
				ELSE 'tries again at ' END || dataflows._clock(at) END), '');
CREATE FUNCTION dataflows._step_reason(kind text, state text, system text, attempts int,
	error jsonb, wake_at timestamptz, held boolean, ended boolean, last_failure text,
	last_undo_failure text, child text, undo_state text, undo_attempts int, undo_error jsonb)
	RETURNS text
	LANGUAGE sql STABLE PARALLEL SAFE
	RETURN pg_catalog.left(NULLIF(pg_catalog.concat_ws('; ', CASE
		WHEN state = 'waiting' AND kind = 'sleep' THEN 'sleeps' || COALESCE(' until '
			|| dataflows._clock(NULLIF(wake_at, 'infinity')), '')
		WHEN state = 'waiting' AND kind = 'call' THEN 'waits for ' || COALESCE('run ' || child,
			'the run that it calls')
		WHEN state = 'waiting' THEN 'waits for a signal' || COALESCE(', until '
			|| dataflows._clock(NULLIF(wake_at, 'infinity')), '')
		WHEN state = 'done' AND last_failure IS NOT NULL THEN 'done at attempt ' || attempts
			|| '; before that: ' || dataflows._what_came(last_failure, system)
		WHEN state = 'done' THEN error OPERATOR(pg_catalog.->>) 'message'
		WHEN state = 'failed' THEN 'failed' || CASE WHEN attempts > 1
			THEN ' after ' || attempts || ' attempts' ELSE '' END
			|| COALESCE(': ' || dataflows._error_words(error, system), '')
		WHEN ended THEN 'in doubt' || COALESCE(': ' || dataflows._error_words(error, system), '')
		ELSE dataflows._open_words(system, state,
			CASE WHEN state = 'sent' THEN attempts - 1 ELSE attempts END, error,
			held AND undo_state IS NULL, wake_at) END, CASE
		WHEN undo_state = 'undo_failed' THEN 'the undo failed' || CASE WHEN undo_attempts > 1
			THEN ' after ' || undo_attempts || ' attempts' ELSE '' END
			|| COALESCE(': ' || dataflows._error_words(undo_error, system), '')
		WHEN undo_state IN ('undone', 'gone') AND last_undo_failure IS NOT NULL
		THEN undo_state || ' at attempt ' || undo_attempts || '; before that: '
			|| dataflows._what_came(last_undo_failure, system)
		WHEN undo_state = 'sent' THEN 'undo: ' || dataflows._open_words(system, 'sent',
			undo_attempts - 1, undo_error, false, wake_at)
		WHEN undo_state = 'due' THEN 'undo: ' || dataflows._open_words(system, 'pending',
			undo_attempts, undo_error, held, wake_at) END), ''), 1000);

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
			AS reason
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
			s.undo_state, COALESCE(s.undo_attempts, 0), s.undo_error) AS reason
	FROM dataflows.step s JOIN dataflows.run r ON r.run = s.run
		JOIN dataflows.workflow w ON w.name = r.workflow AND w.version = r.version
	WHERE dataflows._sees(r.workflow, r.version, r.started_by) IS NOT NULL
		AND (r.key_held OR NOT r.key_held);

-- its columns are those of the view when it was made
CREATE OR REPLACE FUNCTION dataflows.list_runs(workflow text DEFAULT NULL, state text DEFAULT NULL,
	before uuid DEFAULT NULL, max int DEFAULT 50)
	RETURNS SETOF dataflows.runs
	LANGUAGE sql STABLE PARALLEL RESTRICTED ROWS 50
BEGIN ATOMIC
	SELECT v.*
	FROM dataflows._newest_runs(workflow, state, before, max) AS n (run)
		/* OFFSET: one look-up per run, and never a join with all that the role may see */
		CROSS JOIN LATERAL (SELECT r.* FROM dataflows.runs AS r WHERE r.run = n.run OFFSET 0) AS v
	ORDER BY v.run DESC;
END;

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
