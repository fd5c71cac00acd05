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
'(a reply that is none), 42501 (no member of the owner), 25006 (read-only transaction), 55000 '
'(in the function of a workflow, or in another simulation).';
