-- an undo has headers of its own, over those of its step; what was carried out is undone also if
-- its `until` was never met
ALTER TABLE dataflows.step
	ADD COLUMN undo_headers jsonb,
	ADD COLUMN carried_out boolean;

-- on_rollback() takes headers, answers and the step that it is of
CREATE FUNCTION dataflows.on_rollback(step text, system name, request "any",
	body jsonb DEFAULT NULL, headers jsonb DEFAULT NULL, answers "any" DEFAULT NULL,
	of_step text DEFAULT NULL)
	RETURNS void LANGUAGE c VOLATILE PARALLEL UNSAFE
	AS 'MODULE_PATHNAME', 'dataflows_on_rollback';
