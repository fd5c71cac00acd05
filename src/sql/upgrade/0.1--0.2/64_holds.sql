-- clocks that stand still while a step is held
ALTER TABLE dataflows.run
	ADD COLUMN held_since timestamptz,
	ADD COLUMN held_us bigint;
ALTER TABLE dataflows.step
	ADD COLUMN held_since timestamptz,
	ADD COLUMN held_us bigint;

-- a system that is paused by hand
CREATE FUNCTION dataflows.pause_system(system text, note text DEFAULT NULL) RETURNS boolean
	LANGUAGE c VOLATILE PARALLEL UNSAFE AS 'MODULE_PATHNAME', 'dataflows_pause_system';
CREATE FUNCTION dataflows.resume_system(system text) RETURNS boolean
	LANGUAGE c VOLATILE PARALLEL UNSAFE AS 'MODULE_PATHNAME', 'dataflows_resume_system';
