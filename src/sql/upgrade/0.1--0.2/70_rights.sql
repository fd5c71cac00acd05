/* values are measured by the length of their text */
CREATE FUNCTION dataflows._text_size(value jsonb, most int) RETURNS bigint
	LANGUAGE c IMMUTABLE STRICT PARALLEL SAFE AS 'MODULE_PATHNAME', 'dataflows_text_size';

CREATE FUNCTION dataflows._shown(value jsonb) RETURNS jsonb
	LANGUAGE sql IMMUTABLE STRICT PARALLEL SAFE
	RETURN CASE WHEN dataflows._text_size(value, 262144) OPERATOR(pg_catalog.<=) 262144 THEN value
		ELSE pg_catalog.to_jsonb('too large to be shown here'::text) END;

CREATE FUNCTION dataflows._guard_rights() RETURNS event_trigger
	LANGUAGE c VOLATILE PARALLEL UNSAFE AS 'MODULE_PATHNAME', 'dataflows_guard_rights';
REVOKE ALL ON FUNCTION dataflows._guard_rights() FROM PUBLIC;

CREATE EVENT TRIGGER dataflows_rights ON ddl_command_end WHEN TAG IN ('GRANT', 'REVOKE',
  'CREATE TRIGGER')
	EXECUTE FUNCTION dataflows._guard_rights();
CREATE EVENT TRIGGER dataflows_rights_order ON ddl_command_start WHEN TAG IN ('GRANT', 'REVOKE')
	EXECUTE FUNCTION dataflows._guard_rights();
