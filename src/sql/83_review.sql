/*
 * What a function would make of the runs that are there, before it is deployed.
 */
CREATE FUNCTION dataflows.replay_check(workflow text, function text DEFAULT NULL,
	since interval DEFAULT '30 days')
	RETURNS TABLE (run uuid, key text, verdict text, detail text)
	LANGUAGE c VOLATILE PARALLEL UNSAFE ROWS 1000 AS 'MODULE_PATHNAME', 'dataflows_replay_check';
COMMENT ON FUNCTION dataflows.replay_check(text, text, interval) IS
'Enters the body of every live run of a workflow with a function, read-only, and says what would '
'become of it; oldest first. Nothing happens to the runs: no row is written or locked, and they '
'go on meanwhile.
workflow: its name. function: the function to try, a name or a signature; default the one that '
'each run has now. since: runs that completed and were started so long ago or less are tried as '
'well, the newest 1000, and listed if the function would not have let them complete; default 30 '
'days, NULL = none.
verdict: same, drifted (it goes on, but takes another way than is recorded), stuck, fails, needs '
'retry (it is stuck now, and would go on), needs another try (a lock, say) or ended. detail: why, '
'and what helps.
For members of the workflow''s owner, as whom the bodies run. Errors: DF005 (unknown workflow), '
'42501 (not the owner''s, or the owner may not execute the function), 42883 (no such function), '
'42P13 (function unfit), 42704 (the owner does not exist), 22004 (workflow is NULL), 57014 '
'(cancelled), 55000 (called in a body).';

CREATE FUNCTION dataflows._lint(function regprocedure)
	RETURNS TABLE (line int, rule text, step text, finding text, remedy text)
	LANGUAGE c STABLE STRICT PARALLEL SAFE ROWS 10 AS 'MODULE_PATHNAME', 'dataflows_lint';
COMMENT ON FUNCTION dataflows._lint(regprocedure) IS
	'Internal: what the source of a function says of how it will fare as a body: clock, random, '
	'write, loop_name, no_undo';
