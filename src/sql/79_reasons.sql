/*
 * Why a step or a run is where it is, in one sentence: what failed, what the system
 * itself said, when it is tried again.  From what is recorded, for the views; nothing here
 * reads a table.  Secrets are in no error.
 */

CREATE FUNCTION dataflows._clock(at timestamptz) RETURNS text
	LANGUAGE sql STABLE STRICT PARALLEL SAFE
	RETURN pg_catalog.to_char(at, CASE WHEN at::date = pg_catalog.now()::date THEN 'HH24:MI:SS'
		ELSE 'YYYY-MM-DD HH24:MI:SS' END);
COMMENT ON FUNCTION dataflows._clock(timestamptz) IS
	'Internal: a time of today without the date, any other with it';

CREATE FUNCTION dataflows._what_came(message text, system text) RETURNS text
	LANGUAGE sql IMMUTABLE PARALLEL SAFE
	RETURN pg_catalog.regexp_replace(pg_catalog.regexp_replace(message,
			'the system answered with status (\d+): (.*?)(, and .*)?$',
			'\1' || COALESCE(' from ' || system, '') || ': "\2"\3'),
		'the system answered with status (\d+)', '\1' || COALESCE(' from ' || system, ''));
COMMENT ON FUNCTION dataflows._what_came(text, text) IS
	'Internal: the message of an error, shorter: 503 from billing: "maintenance"';

CREATE FUNCTION dataflows._error_words(error jsonb, system text) RETURNS text
	LANGUAGE sql IMMUTABLE PARALLEL SAFE
	RETURN CASE
		WHEN error OPERATOR(pg_catalog.->>) 'message' IS NULL THEN NULL
		WHEN error OPERATOR(pg_catalog.->>) 'message' ~ 'the system answered with status'
			THEN dataflows._what_came(error OPERATOR(pg_catalog.->>) 'message', system)
		ELSE COALESCE(system || ': ', '') || (error OPERATOR(pg_catalog.->>) 'message')
			|| COALESCE(' (' || (error OPERATOR(pg_catalog.->>) 'status') || COALESCE(': "'
				|| (error OPERATOR(pg_catalog.->>) 'said') || '"', '') || ')', '') END;
COMMENT ON FUNCTION dataflows._error_words(jsonb, text) IS
	'Internal: what an error of a step says, with the words of the system';

CREATE FUNCTION dataflows._run_error_words(error jsonb) RETURNS text
	LANGUAGE sql IMMUTABLE PARALLEL SAFE
	RETURN dataflows._what_came(error OPERATOR(pg_catalog.->>) 'message',
		error OPERATOR(pg_catalog.->) 'detail' OPERATOR(pg_catalog.->>) 'system')
		|| COALESCE(': ' || (error OPERATOR(pg_catalog.->>) 'reason'), '');
COMMENT ON FUNCTION dataflows._run_error_words(jsonb) IS
	'Internal: what the error of a run says, with the words of the system';

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
COMMENT ON FUNCTION dataflows._open_words(text, text, int, jsonb, boolean, timestamptz) IS
	'Internal: why a step, or an undo, has not ended yet';

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
COMMENT ON FUNCTION dataflows._step_reason(text, text, text, int, jsonb, timestamptz,
		boolean, boolean, text, text, text, text, int, jsonb) IS
	'Internal: the column reason of the view steps';
