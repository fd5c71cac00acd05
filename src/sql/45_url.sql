/* paths with values in them */
CREATE FUNCTION dataflows.url(format text, VARIADIC args text[] DEFAULT '{}') RETURNS text
	LANGUAGE c IMMUTABLE PARALLEL SAFE AS 'MODULE_PATHNAME', 'dataflows_url';
COMMENT ON FUNCTION dataflows.url(text, text[]) IS
	'A path with each %s replaced by an argument, percent-encoded; %% is a percent sign';
