/* Traces: what became of the spans, since the server was started. */
CREATE FUNCTION dataflows._tracing(OUT exported bigint, OUT dropped bigint, OUT waiting int,
	OUT last_error text) RETURNS record
	LANGUAGE c VOLATILE PARALLEL RESTRICTED AS 'MODULE_PATHNAME', 'dataflows_tracing';
COMMENT ON FUNCTION dataflows._tracing() IS 'Internal: counts of spans, of the whole server';

CREATE VIEW dataflows.tracing AS
	SELECT t.exported, t.dropped, t.waiting, t.last_error FROM dataflows._tracing() t;
COMMENT ON VIEW dataflows.tracing IS
	'Spans of all databases that were sent to dataflows.otlp_endpoint since the server started';
COMMENT ON COLUMN dataflows.tracing.exported IS 'Spans that the collector accepted';
COMMENT ON COLUMN dataflows.tracing.dropped IS
	'Spans that it did not accept, or for which there was no room';
COMMENT ON COLUMN dataflows.tracing.waiting IS 'Spans that wait for the next export';
COMMENT ON COLUMN dataflows.tracing.last_error IS 'Why the last export failed; NULL = it succeeded';
GRANT SELECT ON dataflows.tracing TO PUBLIC;
