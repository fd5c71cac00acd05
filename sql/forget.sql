--
-- forget(): what it erases, what stays, what it refuses, and who may.  The rows
-- are made here, of another installation, and never committed.
--
SET client_min_messages = warning;
CREATE EXTENSION IF NOT EXISTS dataflows;
RESET client_min_messages;
\set ON_ERROR_ROLLBACK on
\set VERBOSITY default
SET TIME ZONE 'UTC';

BEGIN;
CREATE ROLE regress_df_owner;
CREATE ROLE regress_df_member IN ROLE regress_df_owner;
CREATE ROLE regress_df_starter;
INSERT INTO dataflows.installation (identity) VALUES ('elsewhere')
	ON CONFLICT (one) DO UPDATE SET identity = excluded.identity;
INSERT INTO dataflows.workflow (name, version, function, function_owner, owner, owner_name)
SELECT name, version, 'public.f(jsonb)', 10, 'regress_df_owner'::regrole, 'regress_df_owner'
FROM (VALUES ('forget-a', 1), ('forget-a', 2), ('forget-b', 1)) AS v (name, version);
CREATE FUNCTION pg_temp.id(n int) RETURNS uuid LANGUAGE sql IMMUTABLE STRICT AS
	$$ SELECT format('40000000-0000-4000-8000-%s', lpad(n::text, 12, '0'))::uuid $$;
-- 1: completed, holds the key; 2: rolled back before; 3: restarted from 2, its key was not free; 4:
-- another key;
-- 5: the same key of another workflow; 6: waits; 7: completed, an undo of it was asked for
INSERT INTO dataflows.run (run, identity, started_at, version, workflow, key, started_by,
  restarted_from, input, state, finished_at,
	key_held, result, error)
SELECT pg_temp.id(n), 0, '2020-01-01 10:00', 1, workflow, key, 'regress_df_starter',
  pg_temp.id(restarted), '{"email": "ada@example.com"}', state,
	CASE WHEN state <> 'waiting' THEN '2020-01-01 10:01'::timestamptz END, state <> 'rolled_back',
		'{"name": "Ada"}', error
FROM (VALUES
	(1, 'forget-a', 'ada@example.com', NULL::int, 'completed', NULL::jsonb),
	(2, 'forget-a', 'ada@example.com', NULL, 'rolled_back',
		'{"sqlstate": "DF001", "message": "Ada refused", "detail": {"body": "Ada"}}'),
	(3, 'forget-a', NULL, 2, 'cancelled', '{"sqlstate": "DF002", "message": "Ada left"}'),
	(4, 'forget-a', 'bob@example.com', NULL, 'completed', NULL),
	(5, 'forget-b', 'ada@example.com', NULL, 'completed', NULL),
	(6, 'forget-a', 'waits@example.com', NULL, 'waiting', NULL),
	(7, 'forget-a', 'undo@example.com', NULL, 'completed', NULL)) AS v (n, workflow, key, restarted,
		state, error);
INSERT INTO dataflows.step (run, n, started_at, kind, step, system, request, headers, body, options,
  state, attempts, finished_at, status,
	output, answer, error, undo, undo_body, undo_state, undo_error)
SELECT r.run, s.n, '2020-01-01 10:00', s.kind, s.step, s.system, s.request, '{"x-name": "Ada"}',
  'Ada', '{"probe": "GET /users?email=ada"}', 'done', 2,
	'2020-01-01 10:00:30', s.status, '{"name": "Ada"}', '{"headers": {"location": "/ada"}}',
		'{"message": "Ada"}', 'DELETE /users/ada', 'Ada',
	'undo_failed', '{"message": "Ada"}'
FROM dataflows.run r, (VALUES (1, 'http', 'create-account', 'identity', 'POST /users/ada', 201),
	(2, 'wait', 'email-confirmed', NULL, NULL, NULL)) AS s (n, kind, step, system, request, status)
WHERE r.workflow LIKE 'forget-%';
INSERT INTO dataflows.attempt (run, n, seq, undo, at, took_ms, status, outcome, error)
SELECT run, 1, 1, false, '2020-01-01 10:00', 20, 503, 'retry', 'Ada is known already'
  FROM dataflows.run WHERE workflow LIKE 'forget-%';
INSERT INTO dataflows.inbox (run, workflow, key, kind, event, payload, note, sent_by, sent_at,
  state)
SELECT run, workflow, key, 'signal', 'email-confirmed', '{"name": "Ada"}', 'Ada',
  'regress_df_starter', '2020-01-01 10:00', 'done'
FROM dataflows.run WHERE workflow LIKE 'forget-%';
INSERT INTO dataflows.inbox (run, workflow, key, kind, event, payload, note, sent_by, sent_at,
  state) VALUES
	(NULL, 'forget-a', 'ada@example.com', 'signal', 'paid', '{"name": "Ada"}', NULL,
		'regress_df_starter', '2020-01-01 10:00', 'kept'),
	(NULL, 'forget-a', 'bob@example.com', 'signal', 'paid', '{"name": "Bob"}', NULL,
		'regress_df_starter', '2020-01-01 10:00', 'kept'),
	(pg_temp.id(7), 'forget-a', 'undo@example.com', 'undo', NULL, NULL, 'why', 'regress_df_owner',
		'2020-01-01 10:00', 'new');

-- who may: members of the owner, not who may only start
SET ROLE regress_df_starter;
SELECT dataflows.forget('forget-a', 'ada@example.com');
RESET ROLE;
-- what it refuses
SELECT dataflows.forget('forget-none', 'ada@example.com');
SELECT dataflows.forget('forget-a', 'waits@example.com');
SELECT dataflows.forget('forget-a', 'undo@example.com');
SELECT dataflows.forget('forget-a', NULL) IS NULL AS strict;
-- a key that no run ever had
SELECT dataflows.forget('forget-a', 'nobody@example.com');
SELECT count(*) AS untouched FROM dataflows.run WHERE workflow LIKE 'forget-%' AND input <> '{}';

SET ROLE regress_df_member;
SELECT dataflows.forget('forget-a', 'ada@example.com');
RESET ROLE;

-- nothing of these three is left, in any column of any table
SELECT t.name, count(*) FROM (
	SELECT 'run' AS name, r::text AS row, run FROM dataflows.run r
	UNION ALL SELECT 'step', s::text, run FROM dataflows.step s
	UNION ALL SELECT 'attempt', a::text, run FROM dataflows.attempt a
	UNION ALL SELECT 'inbox', i::text, run FROM dataflows.inbox i WHERE workflow LIKE 'forget-%') t
WHERE t.row ~* 'ada' AND (t.run IN (pg_temp.id(1), pg_temp.id(2), pg_temp.id(3)) OR t.run IS NULL)
  GROUP BY 1;
-- the skeleton
SELECT right(run::text, 1) AS run, workflow, key, key_held, state, started_by, finished_at, input,
  result, error - 'forgotten_at' AS error,
	(error->>'forgotten_at')::timestamptz > '2020-01-01' AS "when"
FROM dataflows.run WHERE run IN (pg_temp.id(1), pg_temp.id(2), pg_temp.id(3)) ORDER BY 1;
SELECT n, kind, step, system, request, headers, body, options, state, attempts, finished_at, status,
  output, answer, error, undo, undo_body,
	undo_state, undo_error FROM dataflows.step WHERE run = pg_temp.id(1) ORDER BY n;
SELECT * FROM dataflows.attempt WHERE run = pg_temp.id(1);
SELECT right(run::text, 1) AS run, workflow, key, kind, event, payload, note, sent_by, state
  FROM dataflows.inbox
WHERE run IN (pg_temp.id(1), pg_temp.id(2), pg_temp.id(3)) ORDER BY 1;
-- others are as they were
SELECT right(run::text, 1) AS run, key, input, result FROM dataflows.run
  WHERE workflow LIKE 'forget-%' AND input <> '{}' ORDER BY 1;
SELECT key, payload FROM dataflows.inbox WHERE workflow LIKE 'forget-%' AND run IS NULL;

-- the views show it, and nothing can be undone or restarted with what is gone
SELECT state, key, input, error->>'message' AS message, error->>'forgotten_by' AS by
  FROM dataflows.runs WHERE run = pg_temp.id(1);
SELECT dataflows.undo(pg_temp.id(1), 'changed my mind');
SELECT dataflows.restart(pg_temp.id(1));

-- another run of the key, and it is forgotten, too; who did it first stays on record
INSERT INTO dataflows.run (run, identity, started_at, version, workflow, key, started_by, input,
  state, finished_at)
VALUES (pg_temp.id(8), 0, '2020-01-02', 1, 'forget-a', 'ada@example.com', 'regress_df_starter',
  '{"email": "ada"}', 'completed', '2020-01-02');
SELECT dataflows.forget('forget-a', 'ada@example.com');
SELECT dataflows.forget('forget-a', key) AS by_the_digest FROM dataflows.run
  WHERE run = pg_temp.id(1);
SELECT right(run::text, 1) AS run, key, error->>'forgotten_by' = current_user AS again
  FROM dataflows.run
WHERE workflow = 'forget-a' AND key LIKE 'forgotten:%' ORDER BY 1;

ROLLBACK;
BEGIN READ ONLY;
SELECT dataflows.forget('forget-a', 'bob@example.com');
ROLLBACK;
