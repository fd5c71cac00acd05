/*
 * Which roles may make triggers with start_on_insert(), signal_on_change() and
 * act_on_insert(): those that may define workflows.  What is granted and revoked of
 * define_workflow() is granted and revoked of these, by an event trigger.
 */
REVOKE ALL ON FUNCTION dataflows.start_on_insert(), dataflows.signal_on_change(),
	dataflows.act_on_insert() FROM PUBLIC;

CREATE FUNCTION dataflows._guard_rights() RETURNS event_trigger
	LANGUAGE c VOLATILE PARALLEL UNSAFE AS 'MODULE_PATHNAME', 'dataflows_guard_rights';
COMMENT ON FUNCTION dataflows._guard_rights() IS
	'Internal: called by the event triggers dataflows_rights and dataflows_rights_order. Errors: '
	'42501 (a trigger on another role''s table, for what its maker may not start or signal).';
REVOKE ALL ON FUNCTION dataflows._guard_rights() FROM PUBLIC;

CREATE EVENT TRIGGER dataflows_rights ON ddl_command_end
	WHEN TAG IN ('GRANT', 'REVOKE', 'CREATE TRIGGER')
	EXECUTE FUNCTION dataflows._guard_rights();
CREATE EVENT TRIGGER dataflows_rights_order ON ddl_command_start WHEN TAG IN ('GRANT', 'REVOKE')
	EXECUTE FUNCTION dataflows._guard_rights();
COMMENT ON EVENT TRIGGER dataflows_rights_order IS
	'Lets GRANTs of define_workflow() and of the trigger functions come one after '
	'the other, as in a parallel restore';
COMMENT ON EVENT TRIGGER dataflows_rights IS
	'GRANT and REVOKE of define_workflow() hold for start_on_insert(), signal_on_change() and '
	'act_on_insert(), too; a trigger on another role''s table needs the right to start or '
	'signal the workflow';

/* last of all, for what the whole script has made */
CREATE FUNCTION dataflows._guard_grants(installed boolean) RETURNS void
	LANGUAGE c VOLATILE STRICT PARALLEL UNSAFE AS 'MODULE_PATHNAME', 'dataflows_guard_grants';
COMMENT ON FUNCTION dataflows._guard_grants(boolean) IS
	'Internal: takes back what default privileges gave others on what this transaction made for '
	'the extension; true: of tables alone, for an update';
REVOKE ALL ON FUNCTION dataflows._guard_grants(boolean) FROM PUBLIC;
SELECT dataflows._guard_grants(false);
