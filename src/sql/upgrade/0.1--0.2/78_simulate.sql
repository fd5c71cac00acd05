-- a run without network and without waiting
CREATE FUNCTION dataflows.simulate(workflow text, input jsonb, replies jsonb DEFAULT '{}',
	crash_after int DEFAULT NULL)
	RETURNS TABLE (n int, step text, kind text, outcome text, at interval, output jsonb)
	LANGUAGE c VOLATILE PARALLEL UNSAFE AS 'MODULE_PATHNAME', 'dataflows_simulate';

CREATE FUNCTION dataflows.simulate_all(workflow text, input jsonb, replies jsonb DEFAULT '{}')
	RETURNS TABLE (what text, state text, left_behind text[])
	LANGUAGE c VOLATILE PARALLEL UNSAFE AS 'MODULE_PATHNAME', 'dataflows_simulate_all';
