--
-- The views and the timeline: which columns, who sees what of which run, and
-- that a query for one run goes by an index.  The rows are made here, of
-- another installation, and never committed.
--
SET client_min_messages = warning;
CREATE EXTENSION IF NOT EXISTS dataflows;
RESET client_min_messages;
\set ON_ERROR_ROLLBACK on
SET TIME ZONE 'UTC';

-- names and order of columns are what other programs are written against
\pset format unaligned
SELECT c.relname AS view, string_agg(a.attname, ', ' ORDER BY a.attnum) AS columns
FROM pg_class c JOIN pg_attribute a ON a.attrelid = c.oid
WHERE c.relnamespace = 'dataflows'::regnamespace AND c.relkind = 'v' AND a.attnum > 0
	AND c.relname IN ('workflows', 'runs', 'steps', 'attempts', 'signals', 'requests',
		'pending_undo', 'stuck', 'unexplained', 'metrics', 'stats')
GROUP BY 1 ORDER BY 1;
\pset format aligned
-- all may read the views, nobody the tables, and all of it is explained
CREATE ROLE regress_df_nobody;
SELECT c.relkind, bool_or(has_table_privilege('regress_df_nobody', c.oid, 'SELECT'))
  AS some_readable,
	bool_and(has_table_privilege('regress_df_nobody', c.oid, 'SELECT')) AS all_readable,
	bool_or(has_table_privilege('regress_df_nobody', c.oid, 'INSERT, UPDATE, DELETE, TRUNCATE'))
		AS writable
FROM pg_class c WHERE c.relnamespace = 'dataflows'::regnamespace AND c.relkind IN ('r', 'v')
  GROUP BY 1 ORDER BY 1;
DROP ROLE regress_df_nobody;
SELECT c.relname, a.attname FROM pg_class c LEFT JOIN pg_attribute a ON a.attrelid = c.oid
  AND a.attnum > 0 AND NOT a.attisdropped
WHERE c.relnamespace = 'dataflows'::regnamespace AND c.relkind IN ('r', 'v')
	AND (obj_description(c.oid, 'pg_class') IS NULL OR col_description(c.oid, a.attnum) IS NULL);
SELECT p.oid::regprocedure FROM pg_proc p
WHERE p.pronamespace = 'dataflows'::regnamespace AND obj_description(p.oid, 'pg_proc') IS NULL;

BEGIN;
CREATE ROLE regress_df_ann;
CREATE ROLE regress_df_bob;
CREATE ROLE regress_df_team IN ROLE regress_df_ann;
CREATE ROLE regress_df_starter;
CREATE ROLE regress_df_gone;
CREATE ROLE regress_df_monitor IN ROLE pg_monitor;
CREATE ROLE regress_df_stranger;
INSERT INTO dataflows.installation (identity) VALUES ('elsewhere')
	ON CONFLICT (one) DO UPDATE SET identity = excluded.identity;
INSERT INTO dataflows.workflow (name, version, function, function_owner, owner, owner_name)
SELECT name, version, 'public.f(jsonb)', 10, owner::regrole, owner
FROM (VALUES ('views-a', 1, 'regress_df_ann'), ('views-a', 2, 'regress_df_ann'), ('views-b', 1,
  'regress_df_bob'),
	('views-gone', 1, 'regress_df_gone')) AS v (name, version, owner);
CREATE FUNCTION pg_temp.id(n int) RETURNS uuid LANGUAGE sql IMMUTABLE AS
	$$ SELECT format('30000000-0000-4000-8000-%s', lpad(n::text, 12, '0'))::uuid $$;
INSERT INTO dataflows.run (run, identity, started_at, version, workflow, key, started_by, input,
  state, waiting_for, wake_at, lease,
	finished_at, key_held, result, error, stuck, cause)
SELECT pg_temp.id(n), 0, '2020-01-01 10:00', version, workflow, key, started_by, '{"secret": 1}',
  state, waiting_for, wake_at, lease,
	finished_at, state <> 'rolled_back', result, error, stuck, cause
FROM (VALUES
	(1, 'views-a', 2, 'onboard', 'regress_df_starter', 'completed', NULL, NULL::timestamptz,
		NULL::bigint,
		'2020-01-01 10:00:10'::timestamptz, '{"id": 1}'::jsonb, NULL::jsonb, NULL::jsonb, NULL),
	(2, 'views-a', 1, 'failed', 'regress_df_ann', 'rolled_back', NULL, NULL, NULL,
		'2020-01-01 10:01', NULL,
		'{"sqlstate": "DF001", "message": "step \"bill\" failed",
		"detail": {"step": "bill", "status": 402, "body": "card 4711"}}', NULL, 'failed'),
	(3, 'views-b', 1, 'waits', 'regress_df_bob', 'waiting', 'email-confirmed', '2020-01-08 10:00',
		NULL, NULL, NULL, NULL, NULL, NULL),
	(4, 'views-b', 1, 'stuck', 'regress_df_starter', 'stuck', NULL, NULL, NULL, NULL, NULL, NULL,
		'{"sqlstate": "DF001", "reason": "not everything could be undone",
		"remedy": "see pending_undo"}', 'failed'),
	(5, 'views-b', 1, NULL, 'regress_df_bob', 'running', NULL, '2020-01-01 10:00', 42, NULL, NULL,
		NULL, NULL, NULL),
	(6, 'views-gone', 1, 'owner is gone', 'regress_df_gone', 'queued', NULL, '2020-01-01 10:00',
		NULL, NULL, NULL, NULL, NULL, NULL),
	(7, 'views-a', 2, 'failed', 'regress_df_ann', 'queued', NULL, '2020-01-01 10:05', NULL, NULL,
		NULL, NULL, NULL, NULL)
) AS v (n, workflow, version, key, started_by, state, waiting_for, wake_at, lease, finished_at,
  result, error, stuck, cause);
INSERT INTO dataflows.step (run, n, started_at, kind, step, system, request, body, state, attempts,
  renewals, sent_at, wake_at, finished_at,
	status, output, error, undo, undo_body, undo_state, undo_attempts, undo_since, undo_error)
SELECT pg_temp.id(r), n, began, kind, step, system, request, '{"card": 4711}', state, attempts,
  renewals, began, wake_at, ended,
	status, output, error, undo, undo_body, undo_state, undo_attempts, undo_since, undo_error
FROM (VALUES
	(1, 1, '2020-01-01 10:00'::timestamptz, '2020-01-01 10:00:02'::timestamptz, NULL::timestamptz,
		'http', 'create-account', 'identity', 'POST /users',
		'done', 1, 0, 201, '{"id": 1}'::jsonb, NULL::jsonb, 'DELETE /users/1', NULL, NULL,
			NULL::int, NULL::timestamptz, NULL::jsonb),
	(1, 2, '2020-01-01 10:00:02', '2020-01-01 10:00:06', NULL, 'http',
		'create-billing-of-a-long-name', 'billing', 'POST /customers',
		'done', 3, 0, 200, '{"id": 2}', NULL, 'DELETE /customers/2', '{"card": 4711}', NULL, NULL,
			NULL, NULL),
	(1, 3, '2020-01-01 10:00:06', '2020-01-01 10:00:09', NULL, 'wait', 'email-confirmed', NULL,
		NULL, 'done', 0, 0, NULL, '{}', NULL, NULL, NULL, NULL, NULL, NULL, NULL),
	(1, 4, '2020-01-01 10:00:09', '2020-01-01 10:00:09.5', NULL, 'wait', 'reminder', NULL, NULL,
		'done', 0, 0, NULL, NULL, NULL, NULL, NULL, NULL, NULL, NULL, NULL),
	(1, 5, '2020-01-01 10:00:09.5', '2020-01-01 10:00:10', NULL, 'http', 'send-welcome', 'email',
		'POST /send', 'done', 1, 1, 202, NULL, NULL, NULL, NULL, NULL, NULL, NULL, NULL),
	(2, 1, '2020-01-01 10:00', '2020-01-01 10:00:10', NULL, 'http', 'create-account', 'identity',
		'POST /users', 'done', 1, 0, 201, '{"id": 1}', NULL,
		'DELETE /users/1', NULL, 'undone', 2, '2020-01-01 10:00:40', NULL),
	(2, 2, '2020-01-01 10:00:10', '2020-01-01 10:00:20', NULL, 'http', 'reserve', 'stock',
		'POST /holds', 'done', 1, 0, 201, '{"id": 1}', NULL,
		'DELETE /holds/1', NULL, 'gone', 1, '2020-01-01 10:00:30', NULL),
	(2, 3, '2020-01-01 10:00:20', '2020-01-01 10:00:30', NULL, 'http', 'bill', 'billing',
		'POST /charges', 'failed', 1, 0, 402, NULL,
		'{"message": "the system answered with status 402", "status": 402, "body": "card 4711"}',
			'DELETE /charges/1', NULL, NULL, NULL, NULL, NULL),
	(3, 1, '2020-01-01 10:00', NULL, '2020-01-08 10:00', 'wait', 'email-confirmed', NULL, NULL,
		'waiting', 0, 0, NULL, NULL, NULL, NULL, NULL, NULL, NULL, NULL, NULL),
	(4, 1, '2020-01-01 10:00', '2020-01-01 10:00:01', NULL, 'http', 'create', 'billing',
		'POST /customers', 'done', 1, 0, 201, '{"id": 2}', NULL,
		'DELETE /customers/2', '{"card": 4711}', 'undo_failed', 9, '2020-01-01 10:00:05',
			'{"message": "the system answered with status 500", "body": "card 4711"}'),
	(4, 2, '2020-01-01 10:00:01', '2020-01-01 10:00:04', NULL, 'http', 'charge', 'billing',
		'POST /charges', 'in_doubt', 1, 0, NULL, NULL,
		'{"message": "no answer", "in_doubt": true}', NULL, NULL, NULL, NULL, NULL, NULL),
	(5, 1, '2020-01-01 10:00', NULL, '2020-01-01 10:00:01', 'http', 'create', 'billing',
		'POST /customers', 'pending', 2, 0, 503, NULL, NULL, NULL, NULL, NULL, NULL, NULL, NULL)
) AS v (r, n, began, ended, wake_at, kind, step, system, request, state, attempts, renewals, status,
  output, error, undo, undo_body, undo_state, undo_attempts, undo_since, undo_error);
INSERT INTO dataflows.attempt (run, n, seq, undo, at, took_ms, status, outcome, error, next_at)
  VALUES
	(pg_temp.id(1), 2, 1, false, '2020-01-01 10:00:02', 20, 503, 'retry',
		'the system answered with status 503', '2020-01-01 10:00:03'),
	(pg_temp.id(1), 2, 2, false, '2020-01-01 10:00:04', 30, NULL, 'retry', 'connection refused',
		'2020-01-01 10:00:05.5'),
	(pg_temp.id(2), 1, 1, true, '2020-01-01 10:00:40', 30, 500, 'retry',
		'the system answered with status 500', '2020-01-01 10:00:50');
INSERT INTO dataflows.inbox (run, workflow, key, kind, event, payload, note, sent_by, sent_at,
  state, consumed_by) VALUES
	(pg_temp.id(1), 'views-a', 'onboard', 'signal', 'email-confirmed', '{"ip": "::1"}', NULL,
		'regress_df_ann', now(), 'done', 3),
	(NULL, 'views-a', 'not yet', 'signal', 'paid', '{"amount": 1}', NULL, 'regress_df_ann', now(),
		'kept', NULL),
	(pg_temp.id(3), 'views-b', 'waits', 'cancel', NULL, NULL, 'a test', 'regress_df_bob', now(),
		'new', NULL);

-- who sees what: rows, and how many of them with what went in and out
CREATE FUNCTION pg_temp.sees() RETURNS TABLE (role text, runs text, inputs bigint, steps bigint,
  bodies bigint, outputs bigint, attempts bigint,
	signals bigint, payloads bigint, requests bigint, pending bigint, undo_bodies bigint,
		stuck bigint, stats bigint) LANGUAGE sql AS $$
	SELECT CASE WHEN current_user LIKE 'regress%' THEN regexp_replace(current_user, '^.*_', '')
		ELSE 'superuser' END,
		(SELECT string_agg(right(run::text, 1), '' ORDER BY run) FROM dataflows.runs
			WHERE workflow LIKE 'views-%'),
		(SELECT count(input) FROM dataflows.runs WHERE workflow LIKE 'views-%'),
		(SELECT count(*) FROM dataflows.steps WHERE workflow LIKE 'views-%'),
		(SELECT count(body) FROM dataflows.steps WHERE workflow LIKE 'views-%'),
		(SELECT count(output) FROM dataflows.steps WHERE workflow LIKE 'views-%'),
		(SELECT count(*) FROM dataflows.attempts WHERE workflow LIKE 'views-%'),
		(SELECT count(*) FROM dataflows.signals WHERE workflow LIKE 'views-%'),
		(SELECT count(payload) FROM dataflows.signals WHERE workflow LIKE 'views-%'),
		(SELECT count(*) FROM dataflows.requests WHERE workflow LIKE 'views-%'),
		(SELECT count(*) FROM dataflows.pending_undo WHERE workflow LIKE 'views-%'),
		(SELECT count(undo_body) FROM dataflows.pending_undo WHERE workflow LIKE 'views-%'),
		(SELECT count(*) FROM dataflows.stuck WHERE workflow LIKE 'views-%'),
		(SELECT count(*) FROM dataflows.stats WHERE workflow LIKE 'views-%') $$;
SELECT * FROM pg_temp.sees();
SET ROLE regress_df_ann;
SELECT * FROM pg_temp.sees();
SET ROLE regress_df_team;
SELECT * FROM pg_temp.sees();
SET ROLE regress_df_bob;
SELECT * FROM pg_temp.sees();
SET ROLE regress_df_starter;
SELECT * FROM pg_temp.sees();
SET ROLE regress_df_monitor;
SELECT * FROM pg_temp.sees();
SET ROLE regress_df_stranger;
SELECT * FROM pg_temp.sees();
RESET ROLE;
-- a role of the owner's name is not the owner, nor is one of its oid
ALTER ROLE regress_df_gone RENAME TO regress_df_renamed;
SET ROLE regress_df_renamed;
SELECT * FROM pg_temp.sees();
RESET ROLE;
CREATE ROLE regress_df_gone;
UPDATE dataflows.run SET started_by = 'regress_df_bob' WHERE workflow = 'views-gone';
SET ROLE regress_df_gone;
SELECT * FROM pg_temp.sees();
SET ROLE regress_df_bob;
SELECT key FROM dataflows.runs WHERE workflow = 'views-gone';
-- errors lose their bodies for pg_monitor, and nothing else
SET ROLE regress_df_monitor;
SELECT error FROM dataflows.runs WHERE error IS NOT NULL AND workflow LIKE 'views-%';
SELECT error, undo_error FROM dataflows.steps WHERE coalesce(error, undo_error) IS NOT NULL
  AND workflow LIKE 'views-%';
RESET ROLE;
-- a function of the reader's is never shown a row that is not his
SET ROLE regress_df_stranger;
CREATE FUNCTION pg_temp.peek(text) RETURNS boolean LANGUAGE plpgsql COST 0.0001 AS $$
  BEGIN RAISE NOTICE 'saw %', $1; RETURN true; END $$;
SELECT run FROM dataflows.runs WHERE pg_temp.peek(key);
SELECT n FROM dataflows.steps WHERE pg_temp.peek(step);
SELECT event FROM dataflows.signals WHERE pg_temp.peek(event);
RESET ROLE;

-- what the views say
SELECT name, version, function, owner, paused, live_runs FROM dataflows.workflows
  WHERE name LIKE 'views-%' ORDER BY 1, 2;
SELECT workflow, version, key, owner, state, step, waiting_for, wake_at, finished_at, result, cause,
  drifted FROM dataflows.runs
WHERE workflow LIKE 'views-%' ORDER BY run;
SELECT key, n, step, kind, system, state, attempts, request, status, undo, undo_state, undo_attempts
  FROM dataflows.steps
WHERE workflow LIKE 'views-%' ORDER BY run, n;
-- the key that its requests carry, a UUID of version 8 made of run, n and renewals; waits have none
CREATE FUNCTION pg_temp.key_of(run uuid, n int, renewals int) RETURNS text LANGUAGE sql AS $$
  SELECT overlay(overlay(id::uuid::text placing '8' from 15 for 1)
    placing to_hex(('x' || substr(id, 17, 1))::bit(4)::int & 3 | 8) from 20 for 1)
  FROM (SELECT left(encode(sha256('\x64617461666c6f7773206b6579203100'::bytea || uuid_send(run)
    || int4send(n) || int4send(renewals) || int4send(0)), 'hex'), 32)) AS digest(id) $$;
SELECT v.n, v.idempotency_key = pg_temp.key_of(v.run, v.n, s.renewals) AS as_said
  FROM dataflows.steps v JOIN dataflows.step s USING (run, n)
  WHERE workflow = 'views-a' AND key = 'onboard' ORDER BY n;
SELECT count(DISTINCT dataflows._key(pg_temp.id(1), n, r, NULL)) AS of_900
  FROM generate_series(1, 90) n, generate_series(0, 9) r;
-- a step that began under 0.1 keeps the form that its key had
SAVEPOINT before;
UPDATE dataflows.step SET key_form = 'text' WHERE run = pg_temp.id(1);
SELECT n, replace(idempotency_key, run::text, '<run>') AS idempotency_key FROM dataflows.steps
  WHERE run = pg_temp.id(1) AND idempotency_key IS NOT NULL ORDER BY n;
ROLLBACK TO before;
SELECT step, attempt, undo, took_ms, request, status, outcome, error, next_at - at AS next_in,
  system FROM dataflows.attempts
WHERE workflow LIKE 'views-%' ORDER BY run, n, attempt;
SELECT sent_by, event, consumed_by, run IS NULL AS no_run, workflow, key, payload, state
  FROM dataflows.signals WHERE workflow LIKE 'views-%' ORDER BY id;
SELECT sent_by, request, workflow, key, note, state FROM dataflows.requests
  WHERE workflow LIKE 'views-%' ORDER BY id;
SELECT workflow, key, step, system, undo, undo_body, why, since, idempotency_key =
  (SELECT s.idempotency_key FROM dataflows.steps s WHERE s.run = p.run AND s.n = p.n) AS same_key,
	replace(remedy, run::text, '<run>') AS remedy FROM dataflows.pending_undo p
		WHERE workflow LIKE 'views-%' ORDER BY step;
SELECT workflow, key, owner, reason, sqlstate, remedy, since FROM dataflows.stuck
  WHERE workflow LIKE 'views-%';
SELECT workflow, owner, queued, running, waiting, rolling_back, stuck, completed, rolled_back,
  cancelled, abandoned, started_1h, took
FROM dataflows.stats WHERE workflow LIKE 'views-%' ORDER BY 1;
-- a run that was abandoned is nobody's to undo any more
SAVEPOINT before;
UPDATE dataflows.run SET state = 'abandoned', finished_at = now(), stuck = NULL
  WHERE run = pg_temp.id(4);
SELECT count(*) FROM dataflows.pending_undo WHERE workflow LIKE 'views-%';
ROLLBACK TO before;

-- nothing is unexplained, and what would be is found
SELECT * FROM dataflows.unexplained WHERE workflow LIKE 'views-%';
SAVEPOINT before;
UPDATE dataflows.run SET stuck = NULL, waiting_for = NULL, wake_at = NULL, lease = NULL
  WHERE workflow LIKE 'views-%';
SELECT workflow, key, owner, state, why FROM dataflows.unexplained WHERE workflow LIKE 'views-%'
  ORDER BY run;
ROLLBACK TO before;

-- one run is found by index, by id or by key, whoever asks; among many that have ended
INSERT INTO dataflows.run (run, identity, started_at, version, workflow, started_by, input, state,
  finished_at, key)
  SELECT md5(i::text)::uuid, r.identity, now(), r.version, r.workflow, r.started_by, '{}',
    'completed', now(), 'key' || i
  FROM generate_series(1, 2000) i, (SELECT * FROM dataflows.run ORDER BY run LIMIT 1) r;
ANALYZE dataflows.run;
SET LOCAL enable_seqscan = off;
SET ROLE regress_df_ann;
CREATE FUNCTION pg_temp.indexes(query text) RETURNS SETOF text LANGUAGE plpgsql AS $$
DECLARE plan jsonb;
BEGIN
	EXECUTE 'EXPLAIN (FORMAT json) ' || query INTO plan;
	RETURN QUERY SELECT DISTINCT x #>> '{}' FROM jsonb_path_query(plan, '$.**."Index Name"') AS x
		UNION SELECT DISTINCT 'scan of ' || (x ->> 'Relation Name') FROM jsonb_path_query(plan,
			'$.** ? (@."Node Type" == "Seq Scan")') AS x
		WHERE x ->> 'Relation Name' <> 'workflow' ORDER BY 1;
END $$;
SELECT *
  FROM
  pg_temp.indexes('SELECT state FROM dataflows.runs
    WHERE run = ''30000000-0000-4000-8000-000000000001''');
SELECT *
  FROM
  pg_temp.indexes('SELECT state FROM dataflows.runs
    WHERE workflow = ''views-a'' AND key = ''onboard''');
SELECT *
  FROM
  pg_temp.indexes('SELECT state FROM dataflows.steps
    WHERE run = ''30000000-0000-4000-8000-000000000001''');
SELECT *
  FROM
  pg_temp.indexes('SELECT state FROM dataflows.steps
    WHERE workflow = ''views-a'' AND key = ''onboard''');
SELECT *
  FROM
  pg_temp.indexes('SELECT event FROM dataflows.signals
    WHERE run = ''30000000-0000-4000-8000-000000000001''');
SELECT * FROM pg_temp.indexes('SELECT reason FROM dataflows.stuck');
SELECT * FROM pg_temp.indexes('SELECT undo FROM dataflows.pending_undo');
RESET enable_seqscan;
RESET ROLE;

-- the timeline
\pset format unaligned
\pset tuples_only on
SELECT dataflows.timeline(pg_temp.id(1));
SELECT dataflows.timeline(pg_temp.id(2));
-- a stuck one up to its last sign of life, other live ones up to now
SELECT regexp_replace(dataflows.timeline(pg_temp.id(4)), '\d+ d \d+ h', '<long>');
SELECT regexp_replace(dataflows.timeline(pg_temp.id(3)), ' *\d+ d \d+ h', ' <long>');
-- a time that never comes
UPDATE dataflows.step SET wake_at = 'infinity' WHERE run = pg_temp.id(3);
SELECT regexp_replace(dataflows.timeline(pg_temp.id(3)), ' *\d+ d \d+ h', ' <long>');
SELECT max(length(line)) <= 100 AS fits FROM generate_series(1, 6) AS n,
  dataflows.timeline(pg_temp.id(n)) AS line;
SET ROLE regress_df_stranger;
SELECT regexp_replace(dataflows.timeline(pg_temp.id(1)), '"[0-9a-f-]+"', '<run>');
RESET ROLE;
-- durations
SELECT string_agg(dataflows._duration(d::interval), ', ')
  FROM
  unnest('{0,0.4 ms,999 ms,1 s,59.9 s,60 s,3599 s,3600 s,23:59:59,1 day,6 days 02:30,-1 s}'::text[])
  AS d;
\pset tuples_only off
\pset format aligned
ROLLBACK;

-- the engine as a whole: the stable bits
SELECT process, state = 'not running' AS down, database = current_database() AS here
  FROM dataflows.status()
WHERE process IN ('engine', 'launcher') ORDER BY process;
