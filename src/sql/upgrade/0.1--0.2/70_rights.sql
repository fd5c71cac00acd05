/* values are measured by the length of their text */
CREATE FUNCTION dataflows._text_size(value jsonb, most int) RETURNS bigint
	LANGUAGE c IMMUTABLE STRICT PARALLEL SAFE AS 'MODULE_PATHNAME', 'dataflows_text_size';
COMMENT ON FUNCTION dataflows._text_size(jsonb, int) IS
'Internal: bytes of a value as text, without rendering it; any number above most if it has more or is nested more than 1000 deep';

CREATE FUNCTION dataflows._shown(value jsonb) RETURNS jsonb
	LANGUAGE sql IMMUTABLE STRICT PARALLEL SAFE
	RETURN CASE WHEN dataflows._text_size(value, 262144) OPERATOR(pg_catalog.<=) 262144 THEN value
		ELSE pg_catalog.to_jsonb('too large to be shown here'::text) END;
COMMENT ON FUNCTION dataflows._shown(jsonb) IS 'Internal: a value as the page shows it: one whose text is above 256 kB is not';

/* triggers are made by whoever may define workflows, and by nobody else */
CREATE FUNCTION dataflows._guard_triggers(define oid) RETURNS void
	LANGUAGE c VOLATILE STRICT PARALLEL UNSAFE AS 'MODULE_PATHNAME', 'dataflows_guard_triggers';
SELECT dataflows._guard_triggers(p.oid) FROM pg_catalog.pg_proc AS p
	WHERE p.pronamespace OPERATOR(pg_catalog.=) 'dataflows'::pg_catalog.regnamespace AND p.proname OPERATOR(pg_catalog.=) 'define_workflow';
DROP FUNCTION dataflows._guard_triggers(oid);
CREATE FUNCTION dataflows._guard_rights() RETURNS event_trigger
	LANGUAGE c VOLATILE PARALLEL UNSAFE AS 'MODULE_PATHNAME', 'dataflows_guard_rights';
COMMENT ON FUNCTION dataflows._guard_rights() IS
'Internal: called by the event triggers dataflows_rights and dataflows_rights_order. Errors: 42501 (a trigger on another role''s table, for a workflow that its maker may not use).';
REVOKE ALL ON FUNCTION dataflows._guard_rights() FROM PUBLIC;

CREATE EVENT TRIGGER dataflows_rights ON ddl_command_end WHEN TAG IN ('GRANT', 'REVOKE', 'CREATE TRIGGER')
	EXECUTE FUNCTION dataflows._guard_rights();
CREATE EVENT TRIGGER dataflows_rights_order ON ddl_command_start WHEN TAG IN ('GRANT', 'REVOKE')
	EXECUTE FUNCTION dataflows._guard_rights();
COMMENT ON EVENT TRIGGER dataflows_rights_order IS
'Lets GRANTs of define_workflow(), start_on_insert() and signal_on_change() come one after the other, as in a parallel restore';
COMMENT ON EVENT TRIGGER dataflows_rights IS
'GRANT and REVOKE of define_workflow() hold for start_on_insert() and signal_on_change(), too; a trigger on another role''s table needs the right to use the workflow';

/* what the functions say of themselves */
COMMENT ON FUNCTION dataflows.restart(uuid) IS
'Starts a new run of the newest version with the input of one that has ended, and its key if that is free; returns the new run''s id.
For who may start the workflow and see what the run was started with. Errors: DF005 (unknown run or workflow), 55000 (the run has not ended), 42501 (a missing right), DF006 (too large).';
COMMENT ON FUNCTION dataflows.start_on_insert() IS
'Trigger function start_on_insert(workflow [, key column]): starts a run for each inserted row, with the row as its input, in the inserting transaction.
AFTER INSERT FOR EACH ROW, or FOR EACH STATEMENT with REFERENCING NEW TABLE. The table''s owner must have the right to start; who inserts needs none. A row whose key is NULL starts a run without a key.
To make such a trigger takes EXECUTE, which follows that on define_workflow(), and on another role''s table the right to start the workflow.
Errors: 39P01 (the trigger was made otherwise), 42703 (no such column), and those of start().';
COMMENT ON FUNCTION dataflows.signal_on_change() IS
'Trigger function signal_on_change(workflow, event, key column): each inserted or updated row is a signal, with the row as its payload, to the run of that key.
AFTER INSERT, UPDATE or both FOR EACH ROW (say in WHEN which rows), or after one of them FOR EACH STATEMENT with REFERENCING NEW TABLE. The table''s owner must have the right to signal. A row whose key is NULL signals nobody; a signal without a run is kept for dataflows.signal_ttl. While about 10,000 signals to a run or key wait to be taken, further ones are dropped with a WARNING.
To make such a trigger takes what it takes for start_on_insert(). Errors: 39P01 (the trigger was made otherwise), 42703 (no such column), DF005 (unknown workflow), DF006 (too large), 42501 (a missing right).';
