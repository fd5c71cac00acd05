-- a run fails, and is undone, by less than before; which errors do is said with other words
ALTER TABLE dataflows.workflow DROP CONSTRAINT workflow_on_error_check,
	ALTER COLUMN on_error DROP NOT NULL, ALTER COLUMN on_error DROP DEFAULT,
	ADD COLUMN undo_on text NOT NULL DEFAULT 'failure'
		CHECK (undo_on IN ('failure', 'error', 'never')),
	ADD COLUMN notify text;
/* the column stays, for dumps of 0.1 that are restored into 0.2 */
UPDATE dataflows.workflow
	SET undo_on = CASE on_error WHEN 'stuck' THEN 'never' ELSE 'failure' END, on_error = NULL;

ALTER VIEW dataflows.workflows RENAME COLUMN on_error TO undo_on;

CREATE FUNCTION dataflows.define_workflow(name text, function text, on_failure text DEFAULT NULL,
	retry jsonb DEFAULT NULL, deadline interval DEFAULT NULL, accept_notify text DEFAULT 'run',
	undo_on text DEFAULT 'failure', notify text DEFAULT NULL, on_error text DEFAULT NULL)
	RETURNS int
	LANGUAGE c VOLATILE PARALLEL UNSAFE AS 'MODULE_PATHNAME', 'dataflows_define_workflow';
REVOKE ALL ON FUNCTION dataflows.define_workflow(text, text, text, jsonb, interval, text, text,
	text, text) FROM PUBLIC;

CREATE FUNCTION dataflows.fail(reason text, detail jsonb DEFAULT NULL)
	RETURNS jsonb LANGUAGE c VOLATILE PARALLEL UNSAFE
	AS 'MODULE_PATHNAME', 'dataflows_fail';
CREATE FUNCTION dataflows.failure()
	RETURNS jsonb LANGUAGE c VOLATILE PARALLEL UNSAFE
	AS 'MODULE_PATHNAME', 'dataflows_failure';
