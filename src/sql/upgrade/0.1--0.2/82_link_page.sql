/* event_url() gets texts of the author's */
CREATE FUNCTION dataflows.event_url(run uuid, event text, expires interval DEFAULT '7 days',
	page jsonb DEFAULT NULL)
	RETURNS text
	LANGUAGE c VOLATILE PARALLEL UNSAFE AS 'MODULE_PATHNAME', 'dataflows_event_url';
