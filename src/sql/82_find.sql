/*
 * Which runs there are.  list_runs() is for whoever looks at the newest ones: on a view with
 * ORDER BY and LIMIT PostgreSQL has to check and sort all runs that the role may see.
 */
CREATE FUNCTION dataflows._newest_runs(workflow text, state text, before uuid, max int)
	RETURNS SETOF uuid
	LANGUAGE c STABLE PARALLEL RESTRICTED ROWS 50 AS 'MODULE_PATHNAME', 'dataflows_newest_runs';
COMMENT ON FUNCTION dataflows._newest_runs(text, text, uuid, int) IS
	'Internal: the ids of list_runs()';

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
COMMENT ON FUNCTION dataflows.list_runs(text, text, uuid, int) IS
'The newest runs, newest first, as in the view runs.
workflow: only of this one; default all that the role may see. state: only in this one; default '
'all. before: only runs that were started before this run; for the next page, the last run of '
'the page before. max: how many, 1 to 10000; default 50, NULL = 10000.
Every role may call it and gets the runs that it may see. Errors: 22023 (no such state, max out '
'of range).';

CREATE FUNCTION dataflows.run_of(workflow text, key text) RETURNS uuid
	LANGUAGE c STABLE STRICT PARALLEL RESTRICTED AS 'MODULE_PATHNAME', 'dataflows_run_of';
COMMENT ON FUNCTION dataflows.run_of(text, text) IS
'The run of a key: the one that holds it, by itself or as an alias; else the newest that had it. '
'NULL if there is none that the role may see.
workflow: its name. key: the business key.';

CREATE FUNCTION dataflows.node_of(run uuid) RETURNS int
	LANGUAGE c STABLE STRICT PARALLEL RESTRICTED AS 'MODULE_PATHNAME', 'dataflows_node_of';
COMMENT ON FUNCTION dataflows.node_of(uuid) IS
'The number of the node on which a run lives: dataflows.node if it is here, else the node that '
'stands in its id. 0 = none.
run: its id, of any node; of an id that was made before there were nodes, and whose run is not '
'here, it may be any number. Every role may call it.';

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
COMMENT ON FUNCTION dataflows.find_person(text) IS
'The runs that hold a value, such as an address or a customer number, newest first: as their key '
'or alias, or as a whole value anywhere in their input or result, the output of a step or the '
'payload of a signal. found_in says where.
value: compared exactly; a number is found as a number and as text.
Every role may call it; it searches what the role may see. It reads all of that, so it takes '
'seconds to minutes with many runs.';

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
COMMENT ON VIEW dataflows.run_counts IS
	'How many runs are in which state, of the workflows whose runs the role may see; states '
	'without a run have no row';
COMMENT ON COLUMN dataflows.run_counts.workflow IS 'Workflow';
COMMENT ON COLUMN dataflows.run_counts.state IS 'State';
COMMENT ON COLUMN dataflows.run_counts.runs IS
	'Runs in that state';
GRANT SELECT ON dataflows.run_counts TO PUBLIC;
