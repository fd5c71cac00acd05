/* values are measured by the length of their text */
CREATE FUNCTION dataflows._text_size(value jsonb, most int) RETURNS bigint
	LANGUAGE c IMMUTABLE STRICT PARALLEL SAFE AS 'MODULE_PATHNAME', 'dataflows_text_size';

CREATE FUNCTION dataflows._shown(value jsonb) RETURNS jsonb
	LANGUAGE sql IMMUTABLE STRICT PARALLEL SAFE
	RETURN CASE WHEN dataflows._text_size(value, 262144) OPERATOR(pg_catalog.<=) 262144 THEN value
		ELSE pg_catalog.to_jsonb('too large to be shown here'::text) END;

/* triggers are made by whoever may define workflows, and by nobody else */
CREATE FUNCTION dataflows._guard_triggers(define oid) RETURNS void
	LANGUAGE c VOLATILE STRICT PARALLEL UNSAFE AS 'MODULE_PATHNAME', 'dataflows_guard_triggers';
SELECT dataflows._guard_triggers(p.oid) FROM pg_catalog.pg_proc AS p
	WHERE p.pronamespace OPERATOR(pg_catalog.=) 'dataflows'::pg_catalog.regnamespace
		AND p.proname OPERATOR(pg_catalog.=) 'define_workflow';
DROP FUNCTION dataflows._guard_triggers(oid);
CREATE FUNCTION dataflows._guard_rights() RETURNS event_trigger
	LANGUAGE c VOLATILE PARALLEL UNSAFE AS 'MODULE_PATHNAME', 'dataflows_guard_rights';
REVOKE ALL ON FUNCTION dataflows._guard_rights() FROM PUBLIC;

CREATE EVENT TRIGGER dataflows_rights ON ddl_command_end WHEN TAG IN ('GRANT', 'REVOKE',
  'CREATE TRIGGER')
	EXECUTE FUNCTION dataflows._guard_rights();
CREATE EVENT TRIGGER dataflows_rights_order ON ddl_command_start WHEN TAG IN ('GRANT', 'REVOKE')
	EXECUTE FUNCTION dataflows._guard_rights();
