/* what a function that has changed means for the steps that are recorded */
ALTER TABLE dataflows.step
	ADD COLUMN body_hash bigint,
	ADD COLUMN accepted_hash bigint;
ALTER TABLE dataflows.workflow ADD COLUMN fingerprint bigint;

CREATE FUNCTION dataflows.rename_step(run uuid, recorded text, now text,
	note text DEFAULT NULL, on_behalf_of text DEFAULT NULL) RETURNS boolean
	LANGUAGE c VOLATILE PARALLEL UNSAFE AS 'MODULE_PATHNAME', 'dataflows_rename_step';
CREATE FUNCTION dataflows.accept_drift(run uuid, step text DEFAULT NULL,
	note text DEFAULT NULL, on_behalf_of text DEFAULT NULL) RETURNS boolean
	LANGUAGE c VOLATILE PARALLEL UNSAFE AS 'MODULE_PATHNAME', 'dataflows_accept_drift';
CREATE FUNCTION dataflows.run_version()
	RETURNS int LANGUAGE c VOLATILE PARALLEL UNSAFE
	AS 'MODULE_PATHNAME', 'dataflows_run_version';
CREATE FUNCTION dataflows.set_owner(workflow text, role name) RETURNS void
	LANGUAGE c VOLATILE STRICT PARALLEL UNSAFE AS 'MODULE_PATHNAME', 'dataflows_set_owner';
REVOKE ALL ON FUNCTION dataflows.set_owner(text, name) FROM PUBLIC;
