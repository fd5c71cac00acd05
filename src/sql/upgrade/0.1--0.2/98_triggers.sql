/* triggers are made by whoever may define workflows, and by nobody else */
CREATE FUNCTION dataflows._guard_triggers(define oid) RETURNS void
	LANGUAGE c VOLATILE STRICT PARALLEL UNSAFE AS 'MODULE_PATHNAME', 'dataflows_guard_triggers';
SELECT dataflows._guard_triggers(p.oid) FROM pg_catalog.pg_proc AS p
	WHERE p.pronamespace OPERATOR(pg_catalog.=) 'dataflows'::pg_catalog.regnamespace
		AND p.proname OPERATOR(pg_catalog.=) 'define_workflow';
DROP FUNCTION dataflows._guard_triggers(oid);
