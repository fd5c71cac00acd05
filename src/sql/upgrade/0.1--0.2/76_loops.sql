/* what a completed run did is not done once more by a slip */
CREATE FUNCTION dataflows.restart(run uuid, again boolean DEFAULT false) RETURNS uuid
	LANGUAGE c VOLATILE STRICT PARALLEL UNSAFE AS 'MODULE_PATHNAME', 'dataflows_restart';
