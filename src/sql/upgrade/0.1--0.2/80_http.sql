/* breakers belong to a system and an owner: whose they are is told, too */
CREATE FUNCTION dataflows._system_states(OUT system oid, OUT in_flight int, OUT breaker text,
  OUT held_until timestamptz,
		OUT reason text, OUT error_rate float8, OUT requests bigint, OUT failures bigint,
			OUT latency_ms float8, OUT allowed int,
		OUT held_owners text[])
	RETURNS SETOF record
	LANGUAGE c VOLATILE ROWS 20 AS 'MODULE_PATHNAME', 'dataflows_systems';

CREATE OR REPLACE VIEW dataflows.systems WITH (security_barrier) AS
	SELECT s.srvname::text AS system,
		pg_catalog.regexp_replace(o.url, '//[^/@]*@', '//') AS url,
		COALESCE(l.in_flight, 0) AS in_flight, COALESCE(q.n, 0) AS queued,
		COALESCE(o.max_concurrency::int, 32) AS max_concurrency, l.allowed, o.rate_limit,
		COALESCE(l.breaker, 'closed') AS breaker, l.held_until,
		CASE WHEN o.paused IS NULL THEN l.reason ELSE 'paused' END AS reason, l.error_rate,
		COALESCE(l.requests, 0) AS requests, COALESCE(l.failures, 0) AS failures, l.latency_ms,
		l.held_owners, o.paused::jsonb OPERATOR(pg_catalog.->>) 'by' AS paused_by,
		pg_catalog.to_timestamp((o.paused::jsonb OPERATOR(pg_catalog.->>) 'at')::float8)
			AS paused_at,
		o.paused::jsonb OPERATOR(pg_catalog.->>) 'note' AS paused_note
	FROM pg_catalog.pg_foreign_server s
		JOIN pg_catalog.pg_foreign_data_wrapper w ON w.oid = s.srvfdw AND w.fdwname = 'dataflows'
		LEFT JOIN LATERAL (SELECT
				pg_catalog.max(x.option_value) FILTER (WHERE x.option_name = 'url') AS url,
				pg_catalog.max(x.option_value) FILTER (WHERE x.option_name = 'max_concurrency')
					AS max_concurrency,
				pg_catalog.max(x.option_value) FILTER (WHERE x.option_name = 'rate_limit')
					AS rate_limit,
				pg_catalog.max(x.option_value) FILTER (WHERE x.option_name = 'paused') AS paused
			FROM pg_catalog.pg_options_to_table(s.srvoptions) x) o ON true
		LEFT JOIN dataflows._system_states() l ON l.system = s.oid
		LEFT JOIN (SELECT t.system, pg_catalog.count(*) AS n
			FROM dataflows.run r JOIN dataflows.step t ON t.run = r.run
			WHERE r.finished_at IS NULL AND t.system IS NOT NULL
				AND (t.state = 'pending' OR (t.state = 'in_doubt' AND t.finished_at IS NULL)
					OR t.undo_state = 'due')
			GROUP BY t.system) q ON q.system = s.srvname::text
	WHERE pg_catalog.has_server_privilege(s.oid, 'USAGE') OR pg_catalog.pg_has_role('pg_monitor',
		'MEMBER');
DROP FUNCTION dataflows._systems();

/* a token ends with the password of its role; of those from before it is not known,
 * so they end now */
DELETE FROM dataflows.page_token;
ALTER TABLE dataflows.page_token ADD COLUMN password bytea;
