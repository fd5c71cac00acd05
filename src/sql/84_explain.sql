/*
 * What a workflow would do, what would be undone, and what is wrong with it.
 */
CREATE FUNCTION dataflows.explain(workflow text, input jsonb, replies jsonb DEFAULT '{}')
	RETURNS TABLE (n int, part text, step text, line int, kind text, system text, request text,
		body jsonb, key text, probe text, doubt text, undo text, finding text, remedy text)
	LANGUAGE c VOLATILE PARALLEL UNSAFE AS 'MODULE_PATHNAME', 'dataflows_explain';
COMMENT ON FUNCTION dataflows.explain(text, jsonb, jsonb) IS
'Simulates a workflow to its end, and then has it undone; says what it does, as it would be sent, '
'and what is wrong with it. Nothing is sent, and nothing is left.
part: path (each step in its order, then the run), undo (what would be undone in which order if '
'the run failed at its end, or what was undone if it did; then what would stay) or lint (what is '
'wrong). step: of a child run "call > step". line: of the function, where it is known. kind: of '
'the step; of a finding its rule: clock, random, write, loop_name, changes, no_undo, undo, doubt, '
'template, waits, retries or stuck. system, request, body: what is sent, rendered; of undo what '
'takes it back; of a mail the body is its message, of a form its fields. key: where the '
'idempotency key is sent. probe, undo: rendered. doubt: what becomes of a lost response that '
'nothing can tell of. finding: the outcome, or what is wrong. remedy: what helps. NULL is what '
'there is none of.
input, replies (default {}): as of simulate().
For members of the workflow''s owner. Errors: those of simulate().';

CREATE FUNCTION dataflows.explain_text(workflow text, input jsonb, replies jsonb DEFAULT '{}')
	RETURNS text
	LANGUAGE c VOLATILE PARALLEL UNSAFE AS 'MODULE_PATHNAME', 'dataflows_explain_text';
COMMENT ON FUNCTION dataflows.explain_text(text, jsonb, jsonb) IS
'What explain() says, as a text to read: the path, the undo order, and the findings.
input, replies (default {}): as of simulate().
For members of the workflow''s owner. Errors: those of simulate().';
