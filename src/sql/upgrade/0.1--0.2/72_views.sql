/* newest runs, counts, runs by key and by person; await() and wait_any() have new arguments */
CREATE TABLE dataflows.run_count (
	workflow text NOT NULL,
	state text NOT NULL,
	share int NOT NULL,
	runs bigint NOT NULL,
	PRIMARY KEY (workflow, state, share)
) WITH (fillfactor = 50, autovacuum_vacuum_scale_factor = 0, autovacuum_vacuum_threshold = 1000);
CREATE INDEX run_newest ON dataflows.run (workflow, started_by, run)
	WITH (deduplicate_items = off);
CREATE INDEX run_undone ON dataflows.run (workflow, run) WHERE cause IS NOT NULL;
INSERT INTO dataflows.run_count (workflow, state, share, runs)
	SELECT r.workflow, r.state, 0, pg_catalog.count(*) FROM dataflows.run AS r
	WHERE r.finished_at IS NOT NULL GROUP BY r.workflow, r.state;
SELECT pg_catalog.pg_extension_config_dump('dataflows.run_count', '');

CREATE FUNCTION dataflows.await(run uuid, timeout interval DEFAULT '30 s',
	ended boolean DEFAULT false) RETURNS text
	LANGUAGE c VOLATILE PARALLEL UNSAFE AS 'MODULE_PATHNAME', 'dataflows_await';
CREATE FUNCTION dataflows.wait_any(events text[], timeout interval DEFAULT NULL,
	by name DEFAULT NULL, required boolean DEFAULT false)
	RETURNS jsonb LANGUAGE c VOLATILE PARALLEL UNSAFE
	AS 'MODULE_PATHNAME', 'dataflows_wait_any';
CREATE FUNCTION dataflows._newest_runs(workflow text, state text, before uuid, max int)
	RETURNS SETOF uuid
	LANGUAGE c STABLE PARALLEL RESTRICTED ROWS 50 AS 'MODULE_PATHNAME', 'dataflows_newest_runs';
CREATE FUNCTION dataflows.list_runs(workflow text DEFAULT NULL, state text DEFAULT NULL,
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
CREATE FUNCTION dataflows.run_of(workflow text, key text) RETURNS uuid
	LANGUAGE c STABLE STRICT PARALLEL RESTRICTED AS 'MODULE_PATHNAME', 'dataflows_run_of';
CREATE FUNCTION dataflows.find_person(value text)
	RETURNS TABLE (run uuid, workflow text, key text, state text, started_at timestamptz,
		found_in text)
	LANGUAGE sql STABLE PARALLEL RESTRICTED ROWS 10
BEGIN ATOMIC
	WITH wanted AS (
		SELECT pg_catalog.jsonb_build_object('text', value, 'number',
			CASE WHEN value ~ '^-?[0-9]{1,18}(\.[0-9]{1,18})?$'
				THEN pg_catalog.to_jsonb(value::numeric) ELSE pg_catalog.to_jsonb(value) END)
			AS vars
	), found AS (
		SELECT r.run, 'key' AS place FROM dataflows.runs AS r WHERE r.key = value
		UNION ALL
		SELECT s.run, 'alias' FROM dataflows.steps AS s
		WHERE s.kind = 'alias' AND s.request = value
		UNION ALL
		SELECT r.run, 'input' FROM dataflows.runs AS r, wanted AS w
		WHERE pg_catalog.jsonb_path_exists(r.input, '$.** ? (@ == $text || @ == $number)', w.vars)
		UNION ALL
		SELECT r.run, 'result' FROM dataflows.runs AS r, wanted AS w
		WHERE pg_catalog.jsonb_path_exists(r.result, '$.** ? (@ == $text || @ == $number)',
			w.vars)
		UNION ALL
		SELECT s.run, 'output of ' || s.step FROM dataflows.steps AS s, wanted AS w
		WHERE pg_catalog.jsonb_path_exists(s.output, '$.** ? (@ == $text || @ == $number)', w.vars)
		UNION ALL
		SELECT i.run, 'signal ' || i.event FROM dataflows.signals AS i, wanted AS w
		WHERE i.run IS NOT NULL
			AND pg_catalog.jsonb_path_exists(i.payload, '$.** ? (@ == $text || @ == $number)',
				w.vars)
	)
	SELECT v.run, v.workflow, v.key, v.state, v.started_at,
		pg_catalog.string_agg(DISTINCT f.place, ', ' ORDER BY f.place)
	FROM found AS f JOIN dataflows.runs AS v ON v.run = f.run
	GROUP BY v.run, v.workflow, v.key, v.state, v.started_at
	ORDER BY v.run DESC;
END;
CREATE VIEW dataflows.run_counts WITH (security_barrier) AS
	SELECT w.name AS workflow, c.state, pg_catalog.sum(c.runs)::bigint AS runs
	FROM (SELECT DISTINCT d.name FROM dataflows.workflow AS d) AS w CROSS JOIN LATERAL (
		SELECT k.state, k.runs FROM dataflows.run_count AS k WHERE k.workflow = w.name
		UNION ALL
		SELECT r.state, pg_catalog.count(*) FROM dataflows.run AS r
		WHERE r.workflow = w.name AND r.wake_at IS NOT NULL AND r.finished_at IS NULL
		GROUP BY r.state
		UNION ALL
		SELECT r.state, pg_catalog.count(*) FROM dataflows.run AS r
		WHERE r.workflow = w.name AND r.wake_at IS NULL AND r.finished_at IS NULL
		GROUP BY r.state) AS c
	WHERE dataflows._sees(w.name, NULL::int, NULL::text) IS NOT NULL
	GROUP BY w.name, c.state
	HAVING pg_catalog.sum(c.runs) > 0;
GRANT SELECT ON dataflows.run_counts TO PUBLIC;

/* keys of times are in UTC now; of triggers that exist, only once they are made anew */
CREATE TABLE dataflows.local_time_trigger (
	trigger oid PRIMARY KEY
);
INSERT INTO dataflows.local_time_trigger
	SELECT g.oid
	FROM pg_catalog.pg_trigger AS g
		JOIN pg_catalog.pg_proc AS p ON p.oid = g.tgfoid
		JOIN pg_catalog.pg_attribute AS a ON a.attrelid = g.tgrelid AND NOT a.attisdropped
		JOIN pg_catalog.pg_type AS t ON t.oid = a.atttypid
		/* each argument ends with a zero byte, and the key column is the last of them */
		CROSS JOIN LATERAL (SELECT '\x00'::bytea || pg_catalog.convert_to(a.attname::text,
			pg_catalog.getdatabaseencoding()) || '\x00'::bytea) AS n (name)
	WHERE p.pronamespace = 'dataflows'::pg_catalog.regnamespace
		AND ((p.proname = 'start_on_insert' AND g.tgnargs = 2)
			OR (p.proname = 'signal_on_change' AND g.tgnargs = 3))
		AND 'timestamptz'::pg_catalog.regtype IN (t.oid, t.typbasetype)
		AND pg_catalog.substring(g.tgargs,
			pg_catalog.length(g.tgargs) - pg_catalog.length(n.name) + 1) = n.name;

CREATE TABLE dataflows.state_change (
	id bigint GENERATED ALWAYS AS IDENTITY PRIMARY KEY,
	channel text NOT NULL,
	run uuid NOT NULL,
	state text NOT NULL
);
