/* what a workflow would do, what would be undone, and what is wrong with it */
CREATE FUNCTION dataflows.explain(workflow text, input jsonb, replies jsonb DEFAULT '{}')
	RETURNS TABLE (n int, part text, step text, line int, kind text, system text, request text,
		body jsonb, key text, probe text, doubt text, undo text, finding text, remedy text)
	LANGUAGE c VOLATILE PARALLEL UNSAFE AS 'MODULE_PATHNAME', 'dataflows_explain';
CREATE FUNCTION dataflows.explain_text(workflow text, input jsonb, replies jsonb DEFAULT '{}')
	RETURNS text
	LANGUAGE c VOLATILE PARALLEL UNSAFE AS 'MODULE_PATHNAME', 'dataflows_explain_text';
