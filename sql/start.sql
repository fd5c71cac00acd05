--
-- start: start() and restart().  Runs are started in transactions that are
-- rolled back, so that no engine sees them; a body that one enters returns.
--
SET client_min_messages = warning;
CREATE EXTENSION IF NOT EXISTS dataflows;
RESET client_min_messages;
\pset format unaligned
\pset tuples_only on
CREATE ROLE regress_df_author LOGIN;
CREATE ROLE regress_df_member LOGIN;
CREATE ROLE regress_df_named LOGIN;
CREATE ROLE regress_df_group;
CREATE ROLE regress_df_in_group LOGIN;
CREATE ROLE regress_df_noinherit LOGIN NOINHERIT;
CREATE ROLE regress_df_nobody LOGIN;
GRANT regress_df_author TO regress_df_member;
GRANT regress_df_group TO regress_df_in_group, regress_df_noinherit;
CREATE SCHEMA df_start;
GRANT USAGE, CREATE ON SCHEMA df_start TO PUBLIC;
SET search_path = df_start, public;
GRANT EXECUTE ON FUNCTION dataflows.define_workflow TO regress_df_author;

-- what comes of a command, with all that the error says
CREATE FUNCTION attempt(command text) RETURNS text LANGUAGE plpgsql AS $$
DECLARE
	message text;
	detail text;
	hint text;
	answer text;
BEGIN
	EXECUTE command INTO answer;
	RETURN 'ok: ' || coalesce(answer, 'NULL');
EXCEPTION WHEN OTHERS THEN
	GET STACKED DIAGNOSTICS message = MESSAGE_TEXT, detail = PG_EXCEPTION_DETAIL,
		hint = PG_EXCEPTION_HINT;
	RETURN concat_ws(E'\n', SQLSTATE || ': ' || message, 'DETAIL: ' || nullif(detail, ''),
		'HINT: ' || nullif(hint, ''));
END $$;

SET ROLE regress_df_author;
CREATE FUNCTION body(event jsonb) RETURNS jsonb LANGUAGE plpgsql AS $$BEGIN RETURN event; END$$;
SELECT dataflows.define_workflow('df-start', 'body');
SELECT dataflows.define_workflow('df-start', 'body', accept_notify => 'key');
RESET ROLE;

-- what is written
BEGIN;
SET LOCAL ROLE regress_df_author;
SELECT dataflows.start('df-start', '{"a": 1}', 'key') AS run \gset
RESET ROLE;
SELECT workflow, version, key, key_held, state, started_by, input, restarted_from, parent, lease,
  finished_at,
	wake_at = started_at AS due, started_at >= now() AS started_at, identity
		IS NOT NULL AS identity,
	substr(run::text, 15, 1) AS uuid_version
	FROM dataflows.run WHERE run = :'run';
ROLLBACK;
SELECT count(*) FROM dataflows.run WHERE workflow = 'df-start';

-- ids are in the order of the starts
BEGIN;
SET LOCAL ROLE regress_df_author;
CREATE TEMP TABLE started AS SELECT i, dataflows.start(workflow => 'df-start', input => to_jsonb(i))
  AS run FROM generate_series(1, 1000) AS i;
SELECT count(DISTINCT run), bool_and(run > before) AS in_order
  FROM (SELECT run, lag(run) OVER (ORDER BY i) AS before FROM started) AS s;
ROLLBACK;

-- one run per key; none holds NULL
BEGIN;
SET LOCAL ROLE regress_df_author;
SELECT count(DISTINCT dataflows.start('df-start', '{}', 'one')) FROM generate_series(1, 3);
SELECT count(DISTINCT dataflows.start('df-start')) FROM generate_series(1, 3);
SELECT dataflows.start('df-start', '{}', 'one') <> dataflows.start('df-start', '{}', 'two')
  AS differ;
RESET ROLE;
SELECT key, count(*) FROM dataflows.run WHERE workflow = 'df-start' GROUP BY key ORDER BY key;
ROLLBACK;

-- the key is held by live, completed and stuck runs, and free again after the others
BEGIN;
SELECT dataflows.start('df-start', '{}', 'one') AS run \gset
UPDATE dataflows.run SET state = 'completed', finished_at = now(), wake_at = NULL
  WHERE run = :'run';
SELECT dataflows.start('df-start', '{}', 'one') = :'run' AS completed;
UPDATE dataflows.run SET state = 'stuck', finished_at = NULL WHERE run = :'run';
SELECT dataflows.start('df-start', '{}', 'one') = :'run' AS stuck;
UPDATE dataflows.run SET state = 'rolled_back', finished_at = now(), key_held = false
  WHERE run = :'run';
SELECT dataflows.start('df-start', '{}', 'one') = :'run' AS rolled_back;
SELECT count(*) FROM dataflows.run WHERE workflow = 'df-start' AND key = 'one';
ROLLBACK;

-- a run of a rolled-back subtransaction is not there
BEGIN;
SAVEPOINT s;
SELECT dataflows.start('df-start', '{}', 'one') AS run \gset
ROLLBACK TO s;
SELECT dataflows.start('df-start', '{}', 'one') = :'run' AS same;
ROLLBACK;

-- bad input
SELECT attempt($$SELECT dataflows.start('no such')$$);
SELECT attempt($$SELECT dataflows.start('')$$);
SELECT attempt($$SELECT dataflows.start(NULL)$$);
SELECT attempt($$SELECT dataflows.start('df-start', NULL)$$);
SELECT attempt($$SELECT dataflows.start('df-start', '{}', '')$$);
SELECT attempt($$SELECT dataflows.start('df-start', '{}', repeat('k', 10240))$$);
BEGIN;
SELECT attempt($$SELECT dataflows.start('df-start', '{}', repeat('k', 1024)) IS NOT NULL$$);
ROLLBACK;
SELECT regexp_replace(attempt($$SELECT dataflows.start('df-start', jsonb_build_object('blob',
  repeat('x', 100 * 1024 * 1024)))$$), '\d{6,}', 'N', 'g');
SET dataflows.max_body = 2000;
SELECT regexp_replace(attempt($$SELECT dataflows.start('df-start', jsonb_build_object('blob',
  repeat('x', 2000)))$$), 'has \d+', 'has N');
SET ROLE regress_df_author;
SET dataflows.max_body = 1000000000;
RESET ROLE;
RESET dataflows.max_body;
BEGIN READ ONLY;
SELECT attempt($$SELECT dataflows.start('df-start')$$);
SELECT attempt($$SELECT dataflows.restart('00000000-0000-7000-8000-000000000000')$$);
ROLLBACK;

-- who may start: the owner, its members, superusers, and whom the owner allows it
CREATE FUNCTION may_start() RETURNS text LANGUAGE plpgsql AS $$
DECLARE
	answer text := '';
	member text;
BEGIN
	FOREACH member IN ARRAY '{author, member, named, in_group, noinherit, nobody}'::text[] LOOP
		EXECUTE 'SET LOCAL ROLE regress_df_' || member;
		BEGIN
			PERFORM dataflows.start('df-start');
			answer := answer || ' ' || member;
		EXCEPTION WHEN insufficient_privilege THEN
			NULL;
		END;
		RESET ROLE;
	END LOOP;
	RETURN answer;
END $$;
BEGIN;
SELECT 'not allowed:' || may_start();
GRANT EXECUTE ON FUNCTION body TO regress_df_named;
SELECT 'EXECUTE gives nothing:' || may_start();
SELECT dataflows.allow('df-start', 'regress_df_named', 'start');
SELECT 'named:' || may_start();
SELECT dataflows.allow('df-start', 'regress_df_group', 'start');
SELECT 'and a group:' || may_start();
SELECT dataflows.disallow('df-start', 'regress_df_named', 'start');
SELECT 'no more named:' || may_start();
SELECT dataflows.allow('df-start', 'public', 'start');
SELECT 'every role:' || may_start();
SELECT dataflows.disallow('df-start', 'public');
SELECT 'no more every role:' || may_start();
SELECT dataflows.allow('df-start', 'regress_df_group', 'signal', 'see', 'cancel', 'operate');
SELECT dataflows.disallow('df-start', 'regress_df_group', 'start');
SELECT 'the other rights:' || may_start();
SELECT dataflows.allow('df-start', 'regress_df_group', 'start');
ALTER FUNCTION body OWNER TO regress_df_nobody;
SELECT 'function of another owner:' || may_start();
ALTER FUNCTION body OWNER TO regress_df_author;
DROP FUNCTION body;
SELECT 'function dropped:' || may_start();
SELECT 'superuser: ' || (dataflows.start('df-start') IS NOT NULL);
ROLLBACK;
SET ROLE regress_df_nobody;
SELECT attempt($$SELECT dataflows.start('df-start')$$);
SELECT count(*) FROM dataflows.run;
INSERT INTO dataflows.run (run) VALUES ('00000000-0000-7000-8000-000000000000');
RESET ROLE;

-- as another role's function, the run is started by that role
SET ROLE regress_df_author;
CREATE FUNCTION start_it() RETURNS uuid LANGUAGE sql
  SECURITY DEFINER AS $$SELECT dataflows.start('df-start', '{}', 'definer')$$;
SET ROLE regress_df_nobody;
BEGIN;
SELECT start_it() IS NOT NULL;
RESET ROLE;
SELECT started_by FROM dataflows.run WHERE key = 'definer';
ROLLBACK;

-- restart
RESET ROLE;
BEGIN;
SET ROLE regress_df_author;
SELECT dataflows.start('df-start', '{"a": 1}', 'again') AS old \gset
SELECT replace(attempt(format('SELECT dataflows.restart(%L)', :'old')), :'old', '<run>');
RESET ROLE;
UPDATE dataflows.run SET state = 'stuck' WHERE run = :'old';
SELECT replace(attempt(format('SELECT dataflows.restart(%L)', :'old')), :'old', '<run>');
UPDATE dataflows.run SET state = 'completed', finished_at = now() WHERE run = :'old';
SET ROLE regress_df_author;
SELECT dataflows.define_workflow('df-start', 'body');
SELECT replace(attempt(format('SELECT dataflows.restart(%L)', :'old')), :'old', '<run>');
SELECT dataflows.restart(:'old', again => true) AS without_key \gset
RESET ROLE;
UPDATE dataflows.run SET state = 'rolled_back', key_held = false WHERE run = :'old';
SET ROLE regress_df_member;
SELECT dataflows.restart(:'old') AS with_key \gset
SELECT replace(attempt(format('SELECT dataflows.restart(%L)', :'old')), :'old', '<run>');
SET ROLE regress_df_nobody;
SELECT replace(attempt(format('SELECT dataflows.restart(%L)', :'old')), :'old', '<run>');
RESET ROLE;
SELECT CASE run WHEN :'old' THEN 'old' WHEN :'without_key' THEN 'without key' WHEN :'with_key'
  THEN 'with key' END,
	version, key, state, input, started_by, restarted_from = :'old' AS linked
	FROM dataflows.run WHERE workflow = 'df-start' ORDER BY run;
SELECT attempt($$SELECT dataflows.restart('00000000-0000-7000-8000-000000000000')$$);
SELECT attempt($$SELECT dataflows.restart(NULL)$$);
ROLLBACK;

DELETE FROM dataflows.workflow WHERE name LIKE 'df-start%';
SET client_min_messages = warning;
DROP SCHEMA df_start CASCADE;
DROP OWNED BY regress_df_author, regress_df_member, regress_df_named, regress_df_group,
  regress_df_in_group, regress_df_noinherit, regress_df_nobody CASCADE;
DROP ROLE regress_df_author, regress_df_member, regress_df_named, regress_df_group,
  regress_df_in_group, regress_df_noinherit, regress_df_nobody;
