/* breakers belong to a system and an owner: whose they are is told, too */
CREATE FUNCTION dataflows._system_states(OUT system oid, OUT in_flight int, OUT breaker text, OUT held_until timestamptz,
		OUT reason text, OUT error_rate float8, OUT requests bigint, OUT failures bigint, OUT latency_ms float8, OUT allowed int,
		OUT held_owners text[])
	RETURNS SETOF record
	LANGUAGE c VOLATILE ROWS 20 AS 'MODULE_PATHNAME', 'dataflows_systems';
COMMENT ON FUNCTION dataflows._system_states() IS
'Internal: what shared memory knows of the systems of this database; see the view systems';

CREATE OR REPLACE VIEW dataflows.systems WITH (security_barrier) AS
	SELECT s.srvname::text AS system,
		pg_catalog.regexp_replace(o.url, '//[^/@]*@', '//') AS url,
		COALESCE(l.in_flight, 0) AS in_flight, COALESCE(q.n, 0) AS queued,
		COALESCE(o.max_concurrency::int, 32) AS max_concurrency, l.allowed, o.rate_limit,
		COALESCE(l.breaker, 'closed') AS breaker, l.held_until, l.reason, l.error_rate,
		COALESCE(l.requests, 0) AS requests, COALESCE(l.failures, 0) AS failures, l.latency_ms, l.held_owners
	FROM pg_catalog.pg_foreign_server s
		JOIN pg_catalog.pg_foreign_data_wrapper w ON w.oid = s.srvfdw AND w.fdwname = 'dataflows'
		LEFT JOIN LATERAL (SELECT
				pg_catalog.max(x.option_value) FILTER (WHERE x.option_name = 'url') AS url,
				pg_catalog.max(x.option_value) FILTER (WHERE x.option_name = 'max_concurrency') AS max_concurrency,
				pg_catalog.max(x.option_value) FILTER (WHERE x.option_name = 'rate_limit') AS rate_limit
			FROM pg_catalog.pg_options_to_table(s.srvoptions) x) o ON true
		LEFT JOIN dataflows._system_states() l ON l.system = s.oid
		LEFT JOIN (SELECT t.system, pg_catalog.count(*) AS n
			FROM dataflows.run r JOIN dataflows.step t ON t.run = r.run
			WHERE r.finished_at IS NULL AND t.system IS NOT NULL
				AND (t.state = 'pending' OR (t.state = 'in_doubt' AND t.finished_at IS NULL) OR t.undo_state = 'due')
			GROUP BY t.system) q ON q.system = s.srvname::text
	WHERE pg_catalog.has_server_privilege(s.oid, 'USAGE') OR pg_catalog.pg_has_role('pg_monitor', 'MEMBER');
COMMENT ON VIEW dataflows.systems IS 'The systems that one may use: how busy each is, whether it answers';
COMMENT ON COLUMN dataflows.systems.system IS 'Name of the server';
COMMENT ON COLUMN dataflows.systems.url IS 'Its url, without credentials';
COMMENT ON COLUMN dataflows.systems.in_flight IS 'Requests on the wire, of all workers of the database';
COMMENT ON COLUMN dataflows.systems.queued IS 'Steps and undos that are recorded and wait to be sent, or to be sent again';
COMMENT ON COLUMN dataflows.systems.max_concurrency IS 'Requests at a time';
COMMENT ON COLUMN dataflows.systems.allowed IS 'Requests at a time of the first of held_owners while it recovers; NULL = max_concurrency';
COMMENT ON COLUMN dataflows.systems.rate_limit IS 'Requests in a time; NULL = no limit';
COMMENT ON COLUMN dataflows.systems.breaker IS 'closed, open (nothing leaves) or half_open (few requests try whether it answers), for the first of held_owners; each owner role has its own';
COMMENT ON COLUMN dataflows.systems.held_until IS 'Until when nothing of that owner leaves';
COMMENT ON COLUMN dataflows.systems.reason IS 'failing, asked to wait or credentials refused';
COMMENT ON COLUMN dataflows.systems.error_rate IS 'Part of the requests of about the last minute that failed, 0 to 1; NULL = none were answered';
COMMENT ON COLUMN dataflows.systems.requests IS 'Requests that ended, since the server started';
COMMENT ON COLUMN dataflows.systems.failures IS 'Those of them that failed for the system''s sake';
COMMENT ON COLUMN dataflows.systems.latency_ms IS 'How long an answer takes, smoothed, milliseconds';
COMMENT ON COLUMN dataflows.systems.held_owners IS 'Owner roles whose breaker is not closed, the longest pause first; of those that one is a member of, for pg_monitor of all; NULL = none';
DROP FUNCTION dataflows._systems();

/* a token ends with the password of its role; of those from before it is not known, so they end now */
DELETE FROM dataflows.page_token;
ALTER TABLE dataflows.page_token ADD COLUMN password bytea;
COMMENT ON COLUMN dataflows.page_token.password IS 'SHA-256 of the token and what the server keeps of the role''s password, as it was; NULL = it had none. Another password ends the token';
COMMENT ON FUNCTION dataflows.dashboard_token(interval) IS
'A token with which a person logs in at the page (dataflows.dashboard) and there sees and may do what the current role sees and may do. It is shown this once: only its hash is kept. It ends when it expires, with revoke_dashboard_tokens(), when the role is dropped, renamed or given another password, and while it is a superuser, may not log in (NOLOGIN, VALID UNTIL) or may not connect to the database; that is looked at for each request.
expires: from now, up to 30 days; default 12 hours. Errors: 22023 (a bad interval), 25006 (read-only transaction), 42501 (a superuser, or a role without LOGIN or CONNECT).';
