--
-- What the world asks of runs: who may, what is answered, what is written.
-- The rows are made here and are of another installation, so that no engine
-- touches them; nothing is committed before the last part.
--
SET client_min_messages = warning;
CREATE EXTENSION IF NOT EXISTS dataflows;
\set ON_ERROR_ROLLBACK on
\set VERBOSITY verbose
\set SHOW_CONTEXT never

BEGIN;
CREATE ROLE regress_df_owner;
CREATE ROLE regress_df_member IN ROLE regress_df_owner;
CREATE ROLE regress_df_caller;
CREATE ROLE regress_df_stranger;
CREATE FUNCTION regress_df_flow(event jsonb) RETURNS jsonb LANGUAGE sql AS 'SELECT event';
INSERT INTO dataflows.installation (identity) VALUES ('elsewhere')
	ON CONFLICT (one) DO UPDATE SET identity = excluded.identity;
INSERT INTO dataflows.workflow (name, version, function, function_owner, owner, owner_name, dropped)
SELECT name, 1, 'public.regress_df_flow(jsonb)', current_user::regrole, 'regress_df_owner'::regrole,
  'regress_df_owner', dropped
FROM (VALUES ('inbox-flow', false), ('inbox-other', false), ('inbox-dropped', true)) AS v (name,
  dropped);
SET ROLE regress_df_owner;
SELECT dataflows.allow('inbox-flow', 'regress_df_caller', 'start', 'signal', 'cancel');
SELECT dataflows.allow('inbox-other', 'regress_df_caller', 'start', 'signal', 'cancel');
RESET ROLE;
-- one run in each state; its key is the state
INSERT INTO dataflows.run (run, identity, started_at, version, workflow, key, started_by, input,
  state, finished_at, key_held, stuck)
SELECT format('10000000-0000-4000-8000-%s', lpad(n::text, 12, '0'))::uuid, 0, now(), 1,
  'inbox-flow', state, 'regress_df_owner', '{}', state,
	CASE WHEN n > 5 THEN now() END, n <= 6, CASE WHEN state = 'stuck'
		THEN '{"reason": "a test"}'::jsonb END
FROM
  unnest('{queued,running,waiting,rolling_back,stuck,completed,rolled_back,cancelled,
    abandoned}'::text[]) WITH ORDINALITY AS s (state, n);
CREATE FUNCTION pg_temp.run(k text) RETURNS uuid
  LANGUAGE sql AS 'SELECT run FROM dataflows.run WHERE workflow = ''inbox-flow'' AND key = k';
CREATE VIEW pg_temp.sent AS
	SELECT r.key AS run, i.workflow, i.key, i.kind, i.event, i.payload, i.note, i.sent_by,
		i.expires_at - i.sent_at AS ttl, i.state
	FROM dataflows.inbox i LEFT JOIN dataflows.run r USING (run) ORDER BY i.id;
GRANT SELECT ON pg_temp.sent TO PUBLIC;
CREATE TABLE pg_temp.run_of AS SELECT key, run FROM dataflows.run WHERE workflow = 'inbox-flow';
GRANT SELECT ON pg_temp.run_of TO PUBLIC;

-- is there anything to do, by state: one SELECT asks it of all
SET ROLE regress_df_member;
SELECT key, dataflows.signal(run, 'e') AS signal, dataflows.signal_by_key('inbox-flow', key, 'e')
  AS by_key,
	dataflows.cancel(run) AS cancel, dataflows.retry(run) AS retry, dataflows.undo(run, 'why')
		AS undo, dataflows.abandon(run, 'why') AS abandon
FROM pg_temp.run_of ORDER BY run;
-- a free key is nobody's: the signal waits for the next run
SELECT run, key, kind, event, sent_by, ttl, state FROM pg_temp.sent WHERE key IN ('queued', 'stuck',
  'completed', 'rolled_back');
RESET ROLE;
DELETE FROM dataflows.inbox WHERE workflow = 'inbox-flow';

-- payloads: {} is what no payload is, and JSON's null is a payload
SELECT dataflows.signal(pg_temp.run('waiting'), 'a'), dataflows.signal(pg_temp.run('waiting'), 'b',
  NULL),
	dataflows.signal(pg_temp.run('waiting'), 'c', 'null'), dataflows.signal(pg_temp.run('waiting'),
		'd', '{"x": [1, 2]}');
-- the same event twice is two signals
SELECT dataflows.signal(pg_temp.run('waiting'), 'd'), dataflows.cancel(pg_temp.run('waiting'),
  'changed their mind');
SELECT run, key, kind, event, payload, note, ttl FROM pg_temp.sent;
DELETE FROM dataflows.inbox WHERE workflow = 'inbox-flow';

-- what never existed is DF005, what was dropped or purged has nothing to do any more
\set VERBOSITY sqlstate
SELECT dataflows.signal('00000000-0000-0000-0000-000000000000', 'e');
SELECT dataflows.cancel('00000000-0000-4000-8000-000000000000');
SELECT dataflows.signal_by_key('no-such-flow', '1', 'e');
SELECT dataflows.resolve(pg_temp.run('stuck'), 'no-such-step', 'done', 'I looked');
SELECT dataflows.signal_by_key('inbox-dropped', '1', 'e');
SELECT dataflows.signal('01900000-0000-7000-8000-000000000000', 'e') AS long_ago;
-- arguments
SELECT dataflows.signal(NULL, 'e');
SELECT dataflows.signal(pg_temp.run('waiting'), NULL);
SELECT dataflows.signal(pg_temp.run('waiting'), '');
SELECT dataflows.signal(pg_temp.run('waiting'), repeat('e', 201));
SELECT dataflows.signal(pg_temp.run('waiting'), repeat('e', 200));
SELECT dataflows.signal(pg_temp.run('waiting'), 'e', to_jsonb(repeat('x', 1048576)));
SELECT dataflows.signal_by_key('inbox-flow', NULL, 'e');
SELECT dataflows.signal_by_key('inbox-flow', '', 'e');
SELECT dataflows.signal_by_key('inbox-flow', repeat('k', 1025), 'e');
SELECT dataflows.undo(pg_temp.run('completed'), ' ');
SELECT dataflows.abandon(pg_temp.run('stuck'), NULL);
SELECT dataflows.resolve(pg_temp.run('stuck'), 'step', 'maybe', 'I looked');
-- what it says
\set VERBOSITY default
SELECT dataflows.signal(pg_temp.run('waiting'), '');
SELECT dataflows.undo(pg_temp.run('completed'), '');
SELECT dataflows.resolve(pg_temp.run('stuck'), 'step', 'maybe', 'I looked');
SELECT dataflows.signal_by_key('no-such-flow', '1', 'e');

-- rights: who may execute the function by name may signal and cancel, PUBLIC does not count
\set VERBOSITY sqlstate
SET ROLE regress_df_caller;
SELECT dataflows.signal(run, 'e') FROM pg_temp.run_of WHERE key = 'waiting';
SELECT dataflows.signal_by_key('inbox-flow', 'waiting', 'e');
SELECT dataflows.cancel(run) FROM pg_temp.run_of WHERE key = 'waiting';
SELECT dataflows.retry(run) FROM pg_temp.run_of WHERE key = 'stuck';
SELECT dataflows.abandon(run, 'why') FROM pg_temp.run_of WHERE key = 'stuck';
SELECT dataflows.undo(run, 'why') FROM pg_temp.run_of WHERE key = 'completed';
SELECT dataflows.resolve(run, 's', 'done', 'why') FROM pg_temp.run_of WHERE key = 'stuck';
SELECT dataflows.pause('inbox-flow');
SET ROLE regress_df_stranger;
SELECT dataflows.signal(run, 'e') FROM pg_temp.run_of WHERE key = 'waiting';
SELECT dataflows.signal(run, 'e') FROM pg_temp.run_of WHERE key = 'completed';
SELECT dataflows.signal_by_key('inbox-flow', 'waiting', 'e');
SELECT dataflows.signal_by_key('inbox-flow', 'not started yet', 'e');
SELECT dataflows.cancel(run) FROM pg_temp.run_of WHERE key = 'waiting';
SELECT dataflows.resume('inbox-flow');
SELECT dataflows.pause();
\set VERBOSITY default
SELECT dataflows.cancel(run) FROM pg_temp.run_of WHERE key = 'waiting';
SELECT dataflows.pause();
RESET ROLE;
SELECT sent_by, kind, count(*) FROM pg_temp.sent WHERE sent_by LIKE 'regress%' GROUP BY 1, 2
  ORDER BY 1, 2;
DELETE FROM dataflows.inbox WHERE workflow = 'inbox-flow';

-- resolve: what can be settled in which way
INSERT INTO dataflows.step (run, n, started_at, kind, step, state, undo_state)
SELECT pg_temp.run('stuck'), n, now(), 'http', step, state, undo_state
FROM (VALUES (1, 'fine', 'done', NULL), (2, 'doubt', 'in_doubt', NULL), (3, 'bad-undo', 'done',
  'undo_failed'),
	(4, 'due-undo', 'done', 'due'), (5, 'undone', 'done', 'undone')) AS v (n, step, state,
		undo_state);
SELECT step, dataflows.resolve(run, step, 'done', 'I looked', '{"id": 7}') AS done,
  dataflows.resolve(run, step, 'not_done', 'I looked') AS not_done,
	dataflows.resolve(run, step, 'skipped', 'never mind') AS skipped, dataflows.resolve(run, step,
		'undone', 'by hand') AS undone
FROM dataflows.step WHERE run = pg_temp.run('stuck') ORDER BY n;
SELECT kind, event, payload, note FROM pg_temp.sent;
SELECT request, step, outcome, note, sent_by = current_user AS by_me, state FROM dataflows.requests
WHERE workflow = 'inbox-flow' ORDER BY id;

-- pause and resume say whether that changed anything
SET ROLE regress_df_member;
SELECT dataflows.pause('inbox-flow'), dataflows.pause('inbox-flow');
SELECT name, paused FROM dataflows.workflows WHERE name LIKE 'inbox-%' ORDER BY 1;
SELECT dataflows.resume('inbox-flow'), dataflows.resume('inbox-flow'),
  dataflows.resume('inbox-other');
RESET ROLE;
SELECT dataflows.pause(), dataflows.pause(), paused FROM dataflows.installation;
SELECT dataflows.resume(), dataflows.resume();
\set VERBOSITY sqlstate
SELECT dataflows.pause('no-such-flow');
SELECT dataflows.pause('inbox-dropped');

-- a run of this transaction cannot end in it
\set VERBOSITY default
CREATE FUNCTION pg_temp.try_await(k text) RETURNS text LANGUAGE plpgsql AS $$
DECLARE hint text;
BEGIN
	RETURN dataflows.await(pg_temp.run(k), '10 ms');
EXCEPTION WHEN OTHERS THEN
	GET STACKED DIAGNOSTICS hint = PG_EXCEPTION_HINT;
	RETURN sqlstate || ': ' || regexp_replace(sqlerrm, '[0-9a-f]{8}-[0-9a-f-]{27}', '<run>') ||
		E'\n' || hint;
END $$;
\pset format unaligned
\pset tuples_only on
SELECT pg_temp.try_await('waiting');
SELECT pg_temp.try_await('no-such-run') IS NULL;
\pset tuples_only off
\pset format aligned
ROLLBACK;

-- committed, but of no engine's: what await() says, and to whom
CREATE ROLE regress_df_owner;
CREATE ROLE regress_df_starter;
CREATE ROLE regress_df_stranger;
INSERT INTO dataflows.workflow (name, version, function, function_owner, owner, owner_name, paused)
SELECT 'await-flow', 1, 'public.none(jsonb)', current_user::regrole, 'regress_df_owner'::regrole,
  'regress_df_owner', true;
INSERT INTO dataflows.run (run, identity, started_at, version, workflow, key, started_by, input,
  state, waiting_for, finished_at, stuck)
SELECT format('20000000-0000-4000-8000-%s', lpad(n::text, 12, '0'))::uuid, 0, now(), 1,
  'await-flow', key, 'regress_df_starter', '{}', state,
	CASE WHEN state = 'waiting' THEN 'e' END, CASE WHEN state = 'completed' THEN now() END, CASE
		WHEN state = 'stuck' THEN '{"reason": "a test"}'::jsonb END
FROM (VALUES (1, 'ended', 'completed'), (2, 'stuck', 'stuck'), (3, 'event', 'waiting'), (4, 'sleep',
  'waiting'), (5, 'running', 'running'),
	(6, 'signalled', 'waiting'), (7, 'retried', 'stuck')) AS v (n, key, state);
INSERT INTO dataflows.step (run, n, started_at, kind, step, state)
SELECT run, 1, now(), CASE key WHEN 'sleep' THEN 'sleep' ELSE 'wait' END, 'e', 'waiting'
  FROM dataflows.run
WHERE workflow = 'await-flow' AND state = 'waiting';
SELECT dataflows.signal(run, 'e') FROM dataflows.run WHERE workflow = 'await-flow'
  AND key = 'signalled';
SELECT dataflows.retry(run) FROM dataflows.run WHERE workflow = 'await-flow' AND key = 'retried';
-- what is at rest is answered at once, what moves after the timeout
CREATE FUNCTION pg_temp.timed(r uuid, OUT state text, OUT at_once boolean) LANGUAGE plpgsql AS $$
DECLARE began timestamptz := clock_timestamp();
BEGIN
	state := dataflows.await(r, '600 ms');
	at_once := clock_timestamp() < began + interval '600 ms';
END $$;
SELECT key, t.* FROM dataflows.run, pg_temp.timed(run) AS t WHERE workflow = 'await-flow'
  ORDER BY run;
-- the owner's and the starter's; nobody else's
SET ROLE regress_df_owner;
SELECT dataflows.await('20000000-0000-4000-8000-000000000001');
SET ROLE regress_df_starter;
SELECT dataflows.await('20000000-0000-4000-8000-000000000001');
SET ROLE regress_df_stranger;
\set VERBOSITY sqlstate
SELECT dataflows.await('20000000-0000-4000-8000-000000000001');
RESET ROLE;
SELECT dataflows.await('20000000-0000-4000-8000-00000000000f');
SELECT dataflows.await('20000000-0000-4000-8000-000000000001', '-1 s');
SELECT dataflows.await(NULL);
-- nothing can be asked where nothing can be written, in a body for one
BEGIN READ ONLY;
SELECT dataflows.signal('20000000-0000-4000-8000-000000000003', 'e');
SELECT dataflows.pause('await-flow');
COMMIT;
-- it sees what others commit, at every isolation level
\setenv PGDATABASE :DBNAME
BEGIN ISOLATION LEVEL SERIALIZABLE;
SELECT dataflows.await('20000000-0000-4000-8000-000000000005', '0');
\set ended 'UPDATE dataflows.run SET state = ''completed'', finished_at = now() WHERE run = '
\setenv ended :ended
\! psql -X -q -c "$ended '20000000-0000-4000-8000-000000000005'"
SELECT dataflows.await('20000000-0000-4000-8000-000000000005');
COMMIT;
DELETE FROM dataflows.inbox WHERE workflow = 'await-flow';
DELETE FROM dataflows.step WHERE run IN (SELECT run FROM dataflows.run
  WHERE workflow = 'await-flow');
DELETE FROM dataflows.run WHERE workflow = 'await-flow';
DELETE FROM dataflows.workflow WHERE name = 'await-flow';
DROP ROLE regress_df_owner, regress_df_starter, regress_df_stranger;
