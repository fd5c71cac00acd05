/*
 * The state machines, as the library has them.  The rows come out of the arrays
 * in C, so what is shown here is what is done.  Everybody may execute the
 * function, since a view calls functions as the role that reads it.
 */

CREATE FUNCTION dataflows._state_machine(OUT machine text, OUT from_state text, OUT event text,
	OUT to_state text, OUT comment text) RETURNS SETOF record
	LANGUAGE c IMMUTABLE STRICT PARALLEL SAFE ROWS 50
	AS 'MODULE_PATHNAME', 'dataflows_state_machine';
COMMENT ON FUNCTION dataflows._state_machine() IS 'Internal: the rows of the view state_machine';

CREATE VIEW dataflows.state_machine AS
	SELECT machine, from_state, event, to_state, comment
	FROM dataflows._state_machine();
COMMENT ON VIEW dataflows.state_machine IS
	'Every change of state that a run, a step or an undo may make; what is not listed cannot '
	'happen';
COMMENT ON COLUMN dataflows.state_machine.machine IS 'run, step or undo';
COMMENT ON COLUMN dataflows.state_machine.from_state IS 'State before';
COMMENT ON COLUMN dataflows.state_machine.event IS
	'What happens; for an undo the name of the state that it leads to';
COMMENT ON COLUMN dataflows.state_machine.to_state IS 'State after';
COMMENT ON COLUMN dataflows.state_machine.comment IS 'When this happens';
GRANT SELECT ON dataflows.state_machine TO PUBLIC;
