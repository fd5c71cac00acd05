/* what a function would make of the runs that are there */
CREATE FUNCTION dataflows.replay_check(workflow text, function text DEFAULT NULL,
	since interval DEFAULT '30 days')
	RETURNS TABLE (run uuid, key text, verdict text, detail text)
	LANGUAGE c VOLATILE PARALLEL UNSAFE ROWS 1000 AS 'MODULE_PATHNAME', 'dataflows_replay_check';
CREATE FUNCTION dataflows._lint(function regprocedure)
	RETURNS TABLE (line int, rule text, step text, finding text, remedy text)
	LANGUAGE c STABLE STRICT PARALLEL SAFE ROWS 10 AS 'MODULE_PATHNAME', 'dataflows_lint';
