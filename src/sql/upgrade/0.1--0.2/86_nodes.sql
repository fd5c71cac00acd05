/* several nodes: the node in the views, and this node's part of the limits */
CREATE FUNCTION dataflows._node() RETURNS int
	LANGUAGE c STABLE PARALLEL SAFE AS 'MODULE_PATHNAME', 'dataflows_node';
CREATE FUNCTION dataflows._share() RETURNS float8
	LANGUAGE c STABLE PARALLEL SAFE AS 'MODULE_PATHNAME', 'dataflows_share';
CREATE FUNCTION dataflows.node_of(run uuid) RETURNS int
	LANGUAGE c STABLE STRICT PARALLEL RESTRICTED AS 'MODULE_PATHNAME', 'dataflows_node_of';

CREATE OR REPLACE VIEW dataflows.runs WITH (security_barrier) AS
	SELECT r.run, r.workflow, r.version, r.key, w.owner_name AS owner, r.state,
		CASE WHEN r.finished_at IS NULL THEN (
			SELECT s.step FROM dataflows.step s WHERE s.run = r.run
			ORDER BY (s.state IN ('pending', 'sent', 'waiting')
				OR (s.state = 'in_doubt' AND s.finished_at IS NULL)
				OR COALESCE(s.undo_state IN ('due', 'sent'), false)) DESC, s.n DESC LIMIT 1) END
					AS step,
		CASE WHEN r.waiting_for OPERATOR(pg_catalog.~)
				'^run [0-9a-f]{8}(-[0-9a-f]{4}){3}-[0-9a-f]{12} [(]' AND EXISTS (
			SELECT FROM dataflows.run c
			WHERE c.run = pg_catalog.substr(r.waiting_for, 5, 36)::pg_catalog.uuid
				AND c.state = 'stuck'
				AND dataflows._sees(c.workflow, c.version, c.started_by) IS NOT NULL)
			THEN r.waiting_for || ', which is stuck' ELSE r.waiting_for END AS waiting_for,
		CASE WHEN r.lease IS NULL THEN r.wake_at END AS wake_at,
		r.started_by, r.started_at, r.finished_at,
		CASE WHEN dataflows._sees(r.workflow, r.version, r.started_by) = 'all' THEN r.input END
			AS input,
		CASE WHEN dataflows._sees(r.workflow, r.version, r.started_by) = 'all' THEN r.result END
			AS result,
		CASE WHEN dataflows._sees(r.workflow, r.version, r.started_by) = 'all' THEN r.error
			ELSE dataflows._without_body(r.error) END AS error,
		r.stuck, r.cause, COALESCE(r.drifted, false) AS drifted, r.parent, r.restarted_from,
		COALESCE(r.deadline, r.started_at + w.deadline)
			+ pg_catalog.make_interval(secs => COALESCE(r.held_us, 0) / 1e6)
			+ COALESCE(pg_catalog.now() - r.held_since, '0') AS deadline,
		COALESCE(r.round, 1) AS round,
			r.traceparent,
		pg_catalog.left(CASE
			WHEN r.state = 'stuck' THEN r.stuck OPERATOR(pg_catalog.->>) 'reason'
			ELSE NULLIF(pg_catalog.concat_ws('; ',
				CASE WHEN r.finished_at IS NOT NULL THEN NULL
					WHEN (SELECT i.paused FROM dataflows.installation i)
					THEN 'the database is paused'
					WHEN w.paused THEN 'the workflow is paused' END,
				dataflows._run_error_words(r.error),
				CASE WHEN r.finished_at IS NULL THEN (
					SELECT 'step "' || s.step || '": ' || dataflows._step_reason(s.kind, s.state,
						s.system, s.attempts, s.error, s.wake_at, s.held_since IS NOT NULL,
						s.finished_at IS NOT NULL, NULL, NULL,
						CASE WHEN s.kind = 'call' THEN s.answer OPERATOR(pg_catalog.->>) 'run' END,
						s.undo_state, COALESCE(s.undo_attempts, 0), s.undo_error)
					FROM dataflows.step s
					WHERE s.run = r.run AND (s.state IN ('pending', 'sent', 'waiting')
						OR (s.state = 'in_doubt' AND s.finished_at IS NULL)
						OR s.undo_state IN ('due', 'sent'))
					ORDER BY (s.held_since IS NOT NULL OR s.error IS NOT NULL
						OR s.undo_error IS NOT NULL) DESC, s.n DESC LIMIT 1) END,
				CASE WHEN r.finished_at IS NULL AND r.waiting_for LIKE 'transient error: %'
					THEN r.waiting_for || '; the body is entered again'
					|| COALESCE(' at ' || dataflows._clock(r.wake_at), '') END), '') END, 1000)
			AS reason,
		dataflows._node() AS node
	FROM dataflows.run r JOIN dataflows.workflow w ON w.name = r.workflow AND w.version = r.version
	WHERE dataflows._sees(r.workflow, r.version, r.started_by) IS NOT NULL
		AND (r.key_held OR NOT r.key_held);

-- its columns are those of the view when it was made
CREATE OR REPLACE FUNCTION dataflows.list_runs(workflow text DEFAULT NULL, state text DEFAULT NULL,
	before uuid DEFAULT NULL, max int DEFAULT 50)
	RETURNS SETOF dataflows.runs
	LANGUAGE sql STABLE PARALLEL RESTRICTED ROWS 50
BEGIN ATOMIC
	SELECT v.*
	FROM dataflows._newest_runs(workflow, state, before, max) AS n (run)
		/* OFFSET: one look-up per run, and never a join with all that the role may see */
		CROSS JOIN LATERAL (SELECT r.* FROM dataflows.runs AS r WHERE r.run = n.run OFFSET 0) AS v
	ORDER BY v.run DESC;
END;

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
		o.paused::jsonb OPERATOR(pg_catalog.->>) 'note' AS paused_note,
		dataflows._share() AS share
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
	WHERE pg_catalog.has_server_privilege(s.oid, 'USAGE')
		OR pg_catalog.pg_has_role('pg_monitor', 'MEMBER');

/* rows that are requests */
CREATE FUNCTION dataflows.act_on_insert() RETURNS trigger
	LANGUAGE c VOLATILE PARALLEL UNSAFE AS 'MODULE_PATHNAME', 'dataflows_act_on_insert';

/* deliveries that become rows */
ALTER TABLE dataflows.webhook ADD COLUMN inserts text;
ALTER TABLE dataflows.webhook DROP CONSTRAINT webhook_check;
ALTER TABLE dataflows.webhook ADD CONSTRAINT webhook_check
	CHECK (pg_catalog.num_nonnulls(starts, signals, inserts) OPERATOR(pg_catalog.=) 1);

CREATE OR REPLACE VIEW dataflows.webhooks WITH (security_barrier) AS
	SELECT w.path, w.starts, w.signals, w.event, w.key, w.verify, w.secret AS secret_of, w.filter,
		w.handler, w.owner_name AS owner, w.created_at,
		d.deliveries, d.ignored, d.last_at, w.preset, w.inserts
	FROM dataflows.webhook w
	LEFT JOIN LATERAL (SELECT pg_catalog.count(*) AS deliveries, pg_catalog.count(*)
		FILTER (WHERE x.outcome = 'ignored') AS ignored,
			pg_catalog.max(x.at) AS last_at
		FROM dataflows.webhook_delivery x WHERE x.path = w.path) d ON true
	WHERE dataflows._sees(w.owner, w.owner_name, w.owner_name) IS NOT NULL;
