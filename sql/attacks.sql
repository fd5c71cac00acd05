--
-- attacks: what a role may bend (search_path, operators, casts, temporary
-- tables, settings) must not reach the statements of the extension
--
SET client_min_messages = warning;
CREATE EXTENSION IF NOT EXISTS dataflows;
RESET client_min_messages;
\pset format unaligned
\pset tuples_only on
SELECT current_user AS super \gset
CREATE ROLE regress_df_mallory LOGIN;
CREATE ROLE regress_df_victim LOGIN;
CREATE SCHEMA df_attack AUTHORIZATION regress_df_mallory;
GRANT USAGE ON SCHEMA df_attack TO PUBLIC;
CREATE SCHEMA df_clean AUTHORIZATION regress_df_mallory;
GRANT USAGE, CREATE ON SCHEMA df_clean TO PUBLIC;
GRANT EXECUTE ON FUNCTION dataflows.define_workflow TO regress_df_mallory, regress_df_victim;

-- what the extension wrote, for a superuser
CREATE VIEW df_clean.started AS SELECT key, input, started_by FROM dataflows.run
  WHERE workflow LIKE 'df-attack%' ORDER BY run;
CREATE VIEW df_clean.signalled AS SELECT key, event, payload, sent_by FROM dataflows.inbox
  WHERE workflow LIKE 'df-attack%' ORDER BY id;

SET ROLE regress_df_mallory;
CREATE FUNCTION df_clean.body(event jsonb) RETURNS jsonb LANGUAGE plpgsql AS $$BEGIN RETURN event;
  END$$;
CREATE FUNCTION df_clean.attempt(command text) RETURNS text LANGUAGE plpgsql AS $$
BEGIN
	EXECUTE command;
	RETURN 'ok';
EXCEPTION WHEN OTHERS THEN
	RETURN SQLSTATE || ': ' || SQLERRM;
END $$;
SELECT dataflows.define_workflow('df-attack', 'df_clean.body');
CREATE TABLE df_clean.signups (id int, email text);

-- operators, functions and types of the same names, in a schema before pg_catalog
CREATE FUNCTION df_attack.caught() RETURNS boolean LANGUAGE plpgsql AS $$
BEGIN
	RAISE EXCEPTION 'caught: ran as %', current_user;
END $$;
CREATE FUNCTION df_attack.eq(text, text) RETURNS boolean
  LANGUAGE sql AS 'SELECT df_attack.caught()';
CREATE FUNCTION df_attack.eq(int, int) RETURNS boolean LANGUAGE sql AS 'SELECT df_attack.caught()';
CREATE FUNCTION df_attack.eq(bigint, bigint) RETURNS boolean
  LANGUAGE sql AS 'SELECT df_attack.caught()';
CREATE FUNCTION df_attack.eq(uuid, uuid) RETURNS boolean
  LANGUAGE sql AS 'SELECT df_attack.caught()';
CREATE FUNCTION df_attack.eq(boolean, boolean) RETURNS boolean
  LANGUAGE sql AS 'SELECT df_attack.caught()';
CREATE FUNCTION df_attack.eq(timestamptz, timestamptz) RETURNS boolean
  LANGUAGE sql AS 'SELECT df_attack.caught()';
DO $$
DECLARE
	op text;
	ty text;
BEGIN
	FOREACH op IN ARRAY '{=,<>,<,>,<=,>=}'::text[] LOOP
		FOREACH ty IN ARRAY '{text,int,bigint,uuid,boolean,timestamptz}'::text[] LOOP
			EXECUTE
				format('CREATE OPERATOR df_attack.%s '
					'(FUNCTION = df_attack.eq, LEFTARG = %s, RIGHTARG = %2$s)', op, ty);
		END LOOP;
	END LOOP;
END $$;
CREATE FUNCTION df_attack.unnest(anyarray) RETURNS SETOF anyelement LANGUAGE plpgsql AS $$BEGIN
  PERFORM df_attack.caught(); END$$;
CREATE FUNCTION df_attack.to_jsonb(anyelement) RETURNS jsonb
  LANGUAGE sql AS 'SELECT to_jsonb(df_attack.caught())';
CREATE FUNCTION df_attack.row_to_json(record) RETURNS json
  LANGUAGE sql AS 'SELECT to_json(df_attack.caught())';
CREATE FUNCTION df_attack.clock_timestamp() RETURNS timestamptz
  LANGUAGE sql AS 'SELECT df_attack.caught()::text::timestamptz';
CREATE AGGREGATE df_attack.count(*) (sfunc = booland_statefunc, stype = boolean);
CREATE TYPE df_attack.jsonb AS (stolen text);
CREATE TYPE df_attack.uuid AS (stolen text);
CREATE DOMAIN df_attack.text AS pg_catalog.text CHECK (df_attack.caught());
CREATE TABLE df_attack.run (LIKE df_clean.signups);
CREATE TABLE df_attack.workflow (LIKE df_clean.signups);
CREATE FUNCTION df_clean.all_of_it(prefix pg_catalog.text) RETURNS pg_catalog.text LANGUAGE plpgsql
  SET search_path FROM CURRENT AS $$
BEGIN
	RAISE EXCEPTION 'replaced below';
END $$;

-- each statement of the extension once, with a plan of its own or a cached one
CREATE OR REPLACE FUNCTION df_clean.all_of_it(prefix pg_catalog.text) RETURNS pg_catalog.text
  LANGUAGE plpgsql AS $$
DECLARE
	old pg_catalog.uuid;
	again pg_catalog.uuid;
BEGIN
	PERFORM dataflows.define_workflow('df-attack', 'df_clean.body');
	old := dataflows.start('df-attack', '{}', pg_catalog.concat(prefix, '-start'));
	again := dataflows.start('df-attack', '{}', pg_catalog.concat(prefix, '-start'));
	IF again OPERATOR(pg_catalog.<>) old THEN
		RAISE EXCEPTION 'the key was not found';
	END IF;
	BEGIN
		PERFORM dataflows.restart(old);
	EXCEPTION WHEN object_not_in_prerequisite_state THEN
		NULL;
	END;
	BEGIN
		PERFORM dataflows.drop_workflow('df-attack');
	EXCEPTION WHEN object_in_use THEN
		NULL;
	END;
	INSERT INTO df_clean.signups VALUES (1, pg_catalog.concat(prefix, '-trigger'));
	RETURN pg_catalog.concat(prefix, ': ', current_user, ' ',
		pg_catalog.current_setting('search_path'));
END $$;
CREATE TRIGGER by_row AFTER INSERT ON df_clean.signups FOR EACH ROW
  EXECUTE FUNCTION dataflows.start_on_insert('df-attack', 'email');
CREATE TRIGGER by_statement AFTER INSERT ON df_clean.signups REFERENCING NEW TABLE AS n
  FOR EACH STATEMENT
	EXECUTE FUNCTION dataflows.start_on_insert('df-attack', 'email');
CREATE TRIGGER signal AFTER INSERT ON df_clean.signups REFERENCING NEW TABLE AS n FOR EACH STATEMENT
	EXECUTE FUNCTION dataflows.signal_on_change('df-attack', 'signed-up', 'email');
BEGIN;
SET LOCAL search_path = df_attack, pg_catalog, public;
SELECT df_clean.all_of_it('fresh');
SELECT df_clean.all_of_it('cached');
DISCARD PLANS;
SELECT df_clean.all_of_it('discarded');
SET LOCAL ROLE :"super";
SET LOCAL search_path = public;
ALTER TABLE dataflows.run ALTER COLUMN input SET STATISTICS 10;  -- invalidates cached plans
ANALYZE dataflows.workflow;
SET LOCAL ROLE regress_df_mallory;
SET LOCAL search_path = df_attack, pg_catalog, public;
SELECT df_clean.all_of_it('invalidated');
RESET ROLE;
RESET search_path;
TABLE df_clean.started;
TABLE df_clean.signalled;
ROLLBACK;

-- a function that takes another "jsonb" is no body
SET ROLE regress_df_mallory;
CREATE FUNCTION df_attack.other_body(event df_attack.jsonb) RETURNS jsonb
  LANGUAGE sql AS 'SELECT NULL::jsonb';
BEGIN;
SET LOCAL search_path = df_attack, pg_catalog, public;
SELECT df_clean.attempt($$SELECT dataflows.define_workflow('df-attack', 'other_body')$$);
SELECT df_clean.attempt($$SELECT dataflows.define_workflow('df-attack', 'other_body(jsonb)')$$);
ROLLBACK;

-- temporary tables and types that bear the names of ours
BEGIN;
CREATE TEMP TABLE run (run uuid, workflow text, key text);
CREATE TEMP TABLE step (run uuid);
CREATE TEMP TABLE workflow (name text, version int, owner oid);
CREATE TEMP TABLE inbox (id bigint);
CREATE TEMP TABLE installation (identity text);
CREATE TYPE pg_temp.jsonb AS (stolen text);
CREATE FUNCTION pg_temp.unnest(anyarray) RETURNS SETOF anyelement LANGUAGE plpgsql AS $$BEGIN
  PERFORM df_attack.caught(); END$$;
SET LOCAL search_path = pg_temp, pg_catalog, dataflows;
SELECT df_clean.all_of_it('temporary');
SELECT count(*) FROM pg_temp.run;
RESET ROLE;
RESET search_path;
TABLE df_clean.started;
ROLLBACK;

-- a cast of the table's is user code: it runs as who inserts, never as we do
SET ROLE regress_df_mallory;
CREATE TYPE df_clean.sly AS ENUM ('x');
CREATE FUNCTION df_clean.sly_json(df_clean.sly) RETURNS json LANGUAGE plpgsql AS $$
BEGIN
	RAISE NOTICE 'cast as %, may write runs: %', current_user, has_table_privilege('dataflows.run',
		'INSERT');
	BEGIN
		DELETE FROM dataflows.run;
	EXCEPTION WHEN insufficient_privilege THEN
		NULL;
	END;
	RETURN json_build_object('cast_as', current_user);
END $$;
CREATE CAST (df_clean.sly AS json) WITH FUNCTION df_clean.sly_json(df_clean.sly);
CREATE TABLE df_clean.sly_rows (id int, v df_clean.sly);
GRANT INSERT ON df_clean.sly_rows TO regress_df_victim;
CREATE TRIGGER by_row AFTER INSERT ON df_clean.sly_rows FOR EACH ROW
  EXECUTE FUNCTION dataflows.start_on_insert('df-attack', 'v');
BEGIN;
SET LOCAL ROLE regress_df_victim;
INSERT INTO df_clean.sly_rows VALUES (1, 'x');
RESET ROLE;
TABLE df_clean.started;
ROLLBACK;
SET ROLE regress_df_mallory;
DROP TRIGGER by_row ON df_clean.sly_rows;
CREATE TRIGGER by_statement AFTER INSERT ON df_clean.sly_rows REFERENCING NEW TABLE AS n
  FOR EACH STATEMENT
	EXECUTE FUNCTION dataflows.start_on_insert('df-attack', 'id');
BEGIN;
SET LOCAL ROLE regress_df_victim;
INSERT INTO df_clean.sly_rows VALUES (2, 'x'), (1, 'x');
RESET ROLE;
TABLE df_clean.started;
ROLLBACK;

-- a cast that raises, a right that is missing: the user and the settings are what they were
SET ROLE regress_df_mallory;
CREATE OR REPLACE FUNCTION df_clean.sly_json(df_clean.sly) RETURNS json
  LANGUAGE plpgsql AS $$BEGIN RAISE EXCEPTION 'no'; END$$;
SET ROLE regress_df_victim;
BEGIN;
SET LOCAL search_path = df_attack, pg_catalog, public;
SELECT df_clean.attempt($$INSERT INTO df_clean.sly_rows VALUES (1, 'x')$$), current_user,
  session_user = :'super', current_setting('search_path'), current_setting('row_security'),
  current_setting('enable_seqscan');
SELECT df_clean.attempt($$SELECT dataflows.start('df-attack')$$), current_user,
  current_setting('search_path'), current_setting('row_security'),
  current_setting('enable_seqscan');
SELECT df_clean.attempt($$SELECT dataflows.start('no such')$$), current_user,
  current_setting('search_path'), current_setting('row_security'),
  current_setting('enable_seqscan');
ROLLBACK;

-- our tables and what is not for all
SELECT df_clean.attempt(format('SELECT * FROM dataflows.%I', t))
  FROM unnest('{workflow, run, step, attempt, inbox, installation}'::text[]) AS t;
SELECT df_clean.attempt(format('INSERT INTO dataflows.%I SELECT', t))
  FROM unnest('{workflow, run, step, attempt, inbox, installation}'::text[]) AS t;
SELECT df_clean.attempt('SELECT dataflows._created()');
SELECT df_clean.attempt('SELECT dataflows.adopt()');
SELECT df_clean.attempt('CREATE TABLE dataflows.mine ()');
SELECT
  df_clean.attempt('CREATE TRIGGER mine AFTER INSERT ON dataflows.run '
    'EXECUTE FUNCTION dataflows.start_on_insert(''df-attack'')');
SET ROLE regress_df_mallory;
SELECT df_clean.attempt(format('SET dataflows.%s', s))
  FROM
  unnest('{max_body = 100000000, allow_superuser_owner = on, signal_ttl = 1,
    body_timeout = 0}'::text[]) AS s;
RESET ROLE;

-- row security of the user's table does not reach us, nor does a policy see our user
ALTER TABLE df_clean.signups ENABLE ROW LEVEL SECURITY;
ALTER TABLE df_clean.signups FORCE ROW LEVEL SECURITY;
SET ROLE regress_df_mallory;
CREATE FUNCTION df_clean.policy_user() RETURNS boolean LANGUAGE plpgsql AS $$BEGIN RAISE NOTICE
  'policy as %', current_user; RETURN true; END$$;
CREATE POLICY hidden ON df_clean.signups FOR SELECT USING (false);
CREATE POLICY welcome ON df_clean.signups FOR INSERT WITH CHECK (df_clean.policy_user());
BEGIN;
INSERT INTO df_clean.signups VALUES (1, 'hidden@example.com');
SELECT count(*) FROM df_clean.signups;
RESET ROLE;
TABLE df_clean.started;
ROLLBACK;
ALTER TABLE df_clean.signups DISABLE ROW LEVEL SECURITY;

-- settings of the role, as its sessions and the engine's sessions of that role get them
DROP TRIGGER by_statement ON df_clean.signups;
DROP TRIGGER signal ON df_clean.signups;
ALTER ROLE regress_df_mallory SET search_path = df_attack, pg_catalog, public;
ALTER ROLE regress_df_mallory SET row_security = off;
ALTER ROLE regress_df_mallory SET DateStyle = 'SQL, DMY';
ALTER ROLE regress_df_mallory SET IntervalStyle = 'sql_standard';
ALTER ROLE regress_df_mallory SET bytea_output = 'escape';
ALTER ROLE regress_df_mallory SET standard_conforming_strings = off;
ALTER ROLE regress_df_mallory SET default_transaction_isolation = 'serializable';
ALTER ROLE regress_df_mallory SET default_transaction_deferrable = on;
ALTER ROLE regress_df_mallory SET synchronous_commit = off;
ALTER ROLE regress_df_mallory SET enable_indexscan = off;
ALTER ROLE regress_df_mallory SET plan_cache_mode = force_custom_plan;
ALTER ROLE regress_df_mallory SET transform_null_equals = on;
ALTER ROLE regress_df_mallory SET client_encoding = 'LATIN1';
ALTER ROLE regress_df_mallory SET client_min_messages = error;
\c - regress_df_mallory
BEGIN;
INSERT INTO df_clean.signups VALUES (1, 'bent@example.com');
SELECT df_clean.all_of_it('bent');
\c - :super
-- the engine meets the same settings: a run of mallory's is completed all the same
ALTER ROLE regress_df_mallory SET default_transaction_read_only = on;
ALTER ROLE regress_df_mallory SET statement_timeout = '1ms';
ALTER ROLE regress_df_mallory SET lock_timeout = '1ms';
ALTER ROLE regress_df_mallory SET idle_in_transaction_session_timeout = '1ms';
ALTER ROLE regress_df_mallory SET session_replication_role = replica;
SELECT dataflows.start('df-attack', '{"by": "engine"}', 'engine') IS NOT NULL;
DO $$
BEGIN
	FOR i IN 1 .. 300 LOOP
		EXIT WHEN EXISTS (SELECT FROM dataflows.run WHERE workflow = 'df-attack'
			AND state IN ('completed', 'rolled_back', 'stuck'));
		PERFORM pg_sleep(0.1);
	END LOOP;
END $$;
SELECT state, result, error, stuck FROM dataflows.run WHERE workflow = 'df-attack'
  AND key = 'engine';
-- a session of mallory's cannot write, nor do its triggers fire: that is what was asked for
\c - regress_df_mallory
SET statement_timeout = 0;
SET idle_in_transaction_session_timeout = 0;
SELECT df_clean.attempt($$SELECT dataflows.start('df-attack')$$);
BEGIN READ WRITE;
INSERT INTO df_clean.signups VALUES (1, 'replica@example.com');
COMMIT;
\c - :super
SELECT key FROM dataflows.run WHERE workflow = 'df-attack' ORDER BY run;

SET client_min_messages = warning;
ALTER ROLE regress_df_mallory RESET ALL;
DROP VIEW df_clean.started, df_clean.signalled;
DELETE FROM dataflows.run WHERE workflow LIKE 'df-attack%';
DELETE FROM dataflows.workflow WHERE name LIKE 'df-attack%';
DROP SCHEMA df_attack CASCADE;
DROP SCHEMA df_clean CASCADE;
DROP OWNED BY regress_df_mallory, regress_df_victim CASCADE;
DROP ROLE regress_df_mallory, regress_df_victim;
