/* deleting one person */
CREATE FUNCTION dataflows.forget(workflow text, key text) RETURNS bigint
	LANGUAGE c VOLATILE STRICT PARALLEL UNSAFE AS 'MODULE_PATHNAME', 'dataflows_forget';
COMMENT ON FUNCTION dataflows.forget(text, text) IS
'Erases what the ended runs of a key held: inputs, results, requests, responses, payloads, notes '
'and texts of errors, also of runs restarted from them; returns how many runs. Signals that wait '
'for the key are deleted.
The runs, names of steps and events, states, times and statuses stay; in the place of the key '
'stands a digest of it; runs.error says who forgot it and when. It cannot be undone, nor can '
'such a run be undone or restarted. The systems that were called are not told.
For members of the workflow''s owner. Errors: 55006 (a run of the key has not ended, or '
'an operator request for it is not read yet), DF005 (unknown workflow), 42501 (a missing right), '
'25006 (read-only transaction).';
