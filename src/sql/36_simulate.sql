CREATE FUNCTION dataflows.simulate(workflow text, input jsonb, replies jsonb DEFAULT '{}',
	crash_after int DEFAULT NULL)
	RETURNS TABLE (n int, step text, kind text, outcome text, at interval, output jsonb)
	LANGUAGE c VOLATILE PARALLEL UNSAFE AS 'MODULE_PATHNAME', 'dataflows_simulate';
COMMENT ON FUNCTION dataflows.simulate(text, jsonb, jsonb, int) IS
'Runs a workflow to its end, undos and on_failure included, without network and without waiting: '
'the engine itself, with a clock that jumps to what is due next. All is rolled back, and nothing '
'is sent. A row for each thing that happened, in its order: step, what it was (the kind of the '
'step, probe, undo, crash; run for the end of the run), its outcome, when (after the start), and '
'its output or error.
input: what the body is called with. replies: an object of what systems and people answer, by '
'"step", "step/undo", "step/probe" (of all calls of a name, or of "step#2") and "event:name". A '
'reply is an object of status, headers, body, is (done, kept, retry, doubt, fail or stuck: what '
'it means), after (an interval) and payload (of an event); or a body; or "timeout", "lost" '
'(carried out, but no answer came), "down" (nothing could be sent) or "never"; or an array of '
'these, one for each attempt, of which the last one repeats. Default {}: status 200 with '
'{"id": "<step>"}, and events do not come. crash_after: the worker crashes after so many requests '
'with an effect were sent, before the response of the last one is recorded; default NULL: never.
For members of the workflow''s owner. Errors: DF005 (unknown workflow), DF006 (too large), 22023 '
'(a reply that is none), 42704 (the owner is no role any more), 42501 (no member of the owner), '
'25006 (read-only transaction), 55000 '
'(in the function of a workflow, or in another simulation).';

CREATE FUNCTION dataflows.simulate_all(workflow text, input jsonb, replies jsonb DEFAULT '{}')
	RETURNS TABLE (what text, state text, left_behind text[])
	LANGUAGE c VOLATILE PARALLEL UNSAFE AS 'MODULE_PATHNAME', 'dataflows_simulate_all';
COMMENT ON FUNCTION dataflows.simulate_all(text, jsonb, jsonb) IS
'Simulates a workflow as it is, and then with each of its requests refused, its answer lost, '
'late, or its system down, with each event that replies have not coming, and with a crash of the '
'worker after each request with an effect. A row for each scenario: what was done, the state in '
'which the run ended or stayed, and what was left behind: steps that were carried out and not '
'undone, though the run did not complete; of a stuck run what is in doubt or could not be undone; '
'and what was made more than once. It is empty where all is well.
input, replies (default {}): as of simulate(). Mails, and steps with undo => ''none'', are never '
'left behind; SQL that begins with SELECT changes nothing.
For members of the workflow''s owner. Errors: those of simulate().';
