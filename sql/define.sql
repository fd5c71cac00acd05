--
-- define: define_workflow() and drop_workflow()
--
SET client_min_messages = warning;
CREATE EXTENSION IF NOT EXISTS dataflows;
RESET client_min_messages;
CREATE ROLE regress_df_author LOGIN;
CREATE ROLE regress_df_author2 LOGIN;
CREATE ROLE regress_df_member LOGIN;
CREATE ROLE regress_df_nobody LOGIN;
GRANT regress_df_author TO regress_df_member;
CREATE SCHEMA df_define;
GRANT USAGE, CREATE ON SCHEMA df_define TO PUBLIC;
SET search_path = df_define, public;
\pset format unaligned
\pset tuples_only on

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

-- define_workflow() is granted to nobody
SET ROLE regress_df_author;
CREATE FUNCTION body(event jsonb) RETURNS jsonb LANGUAGE plpgsql AS $$BEGIN RETURN event; END$$;
SELECT attempt($$SELECT dataflows.define_workflow('df-define', 'body')$$);
RESET ROLE;
GRANT EXECUTE ON FUNCTION dataflows.define_workflow TO regress_df_author, regress_df_author2;

-- each definition is a new version, unless it is what is there already
SET ROLE regress_df_author;
SELECT dataflows.define_workflow('df-define', 'body');
SELECT dataflows.define_workflow('df-define', 'body');
SELECT dataflows.define_workflow('df-define', 'df_define.body(jsonb)', deadline => '30 days',
	retry => '{"max_attempts": 5, "initial": "2 s", "max": 60, "for": 0}', accept_notify => 'none',
		undo_on => 'never', notify => 'Moves');
CREATE FUNCTION on_failure(context jsonb) RETURNS jsonb LANGUAGE plpgsql AS $$BEGIN RETURN NULL;
  END$$;
SELECT dataflows.define_workflow('df-define', 'body', on_failure => 'on_failure');
RESET ROLE;
SELECT version, function, owner = 'regress_df_author'::regrole AS owner, owner_name,
	function_owner = owner AS function_owner, on_failure, retry, deadline, accept_notify, undo_on,
		notify, paused, dropped
	FROM dataflows.workflow WHERE name = 'df-define' ORDER BY version;
SELECT count(*), bool_and(identity ~ '^.+/[0-9]+$') AS identity FROM dataflows.installation;

-- a definition is rolled back with its transaction
BEGIN;
SET LOCAL ROLE regress_df_author;
SELECT dataflows.define_workflow('df-define', 'body');
ROLLBACK;
SELECT max(version) FROM dataflows.workflow WHERE name = 'df-define';

-- functions are found in the caller's search_path, and kept qualified
SET ROLE regress_df_author;
CREATE FUNCTION df_define."Odd (name"(event jsonb) RETURNS jsonb LANGUAGE plpgsql AS $$BEGIN
  RETURN event; END$$;
SELECT dataflows.define_workflow('df-define-odd', '"Odd (name"');
SELECT dataflows.define_workflow('df-define-odd', 'df_define."Odd (name"(pg_catalog.jsonb)');
RESET ROLE;
SELECT version, function FROM dataflows.workflow WHERE name = 'df-define-odd' ORDER BY version;

-- functions that cannot be a body
SET ROLE regress_df_author;
CREATE FUNCTION takes_text(event text) RETURNS jsonb LANGUAGE sql AS 'SELECT NULL::jsonb';
CREATE FUNCTION takes_two(event jsonb, more jsonb) RETURNS jsonb LANGUAGE sql AS 'SELECT event';
CREATE FUNCTION gives_text(event jsonb) RETURNS text LANGUAGE sql AS 'SELECT ''x''';
CREATE FUNCTION gives_set(event jsonb) RETURNS SETOF jsonb LANGUAGE sql AS 'SELECT event';
CREATE FUNCTION stable_body(event jsonb) RETURNS jsonb LANGUAGE sql STABLE AS 'SELECT event';
CREATE FUNCTION immutable_body(event jsonb) RETURNS jsonb LANGUAGE sql IMMUTABLE AS 'SELECT event';
CREATE FUNCTION safe_body(event jsonb) RETURNS jsonb LANGUAGE sql PARALLEL SAFE AS 'SELECT event';
CREATE FUNCTION restricted_body(event jsonb) RETURNS jsonb LANGUAGE sql PARALLEL RESTRICTED
  AS 'SELECT event';
CREATE FUNCTION definer_body(event jsonb) RETURNS jsonb LANGUAGE sql
  SECURITY DEFINER AS 'SELECT event';
CREATE PROCEDURE a_procedure(event jsonb) LANGUAGE sql AS '';
CREATE AGGREGATE an_aggregate(jsonb) (sfunc = jsonb_concat, stype = jsonb);
CREATE FUNCTION pg_temp.temporary_body(event jsonb) RETURNS jsonb LANGUAGE sql AS 'SELECT event';
SELECT attempt(format('SELECT dataflows.define_workflow(%L, %L)', 'df-define', f))
	FROM
		unnest('{no_such, nowhere.body, no_such(jsonb), takes_text, takes_text(text), takes_two,
			gives_text, gives_set, stable_body, immutable_body,
		safe_body, restricted_body, definer_body, a_procedure, an_aggregate, pg_temp.temporary_body,
			"", ""}'::text[]) AS f;
-- PostgreSQL 16 and later do not say what is wrong with it
SELECT attempt($$SELECT dataflows.define_workflow('df-define', 'body(')$$) ~
  '^(22P02: expected a right parenthesis|42883: function body\( does not exist)';
SELECT attempt($$SELECT dataflows.define_workflow('df-define', 'body', on_failure =>
  'stable_body')$$);
SELECT attempt($$SELECT dataflows.define_workflow('df-define', NULL)$$);
SELECT attempt($$SELECT dataflows.define_workflow(NULL, 'body')$$);

-- EXECUTE on the function, one owner for both functions
SET ROLE regress_df_author2;
CREATE FUNCTION others_body(event jsonb) RETURNS jsonb LANGUAGE sql AS 'SELECT event';
REVOKE EXECUTE ON FUNCTION others_body FROM PUBLIC;
SET ROLE regress_df_author;
SELECT attempt($$SELECT dataflows.define_workflow('df-define', 'others_body')$$);
SET ROLE regress_df_author2;
GRANT EXECUTE ON FUNCTION others_body TO regress_df_author;
SET ROLE regress_df_author;
SELECT attempt($$SELECT dataflows.define_workflow('df-define', 'others_body', on_failure =>
  'on_failure')$$);
SELECT attempt($$SELECT dataflows.define_workflow('df-define', 'others_body')$$);

-- the other arguments
SELECT attempt($$SELECT dataflows.define_workflow('', 'body')$$);
SELECT attempt($$SELECT dataflows.define_workflow(repeat('x', 201), 'body')$$);
SELECT attempt($$SELECT dataflows.define_workflow(repeat('x', 200), 'body')$$);
SELECT attempt($$SELECT dataflows.define_workflow(E'two\nlines', 'body')$$);
SELECT attempt($$SELECT dataflows.define_workflow('df-define', 'body', deadline => '0')$$);
SELECT attempt($$SELECT dataflows.define_workflow('df-define', 'body', deadline => '-1 month')$$);
SELECT attempt($$SELECT dataflows.define_workflow('df-define', 'body', accept_notify => 'all')$$);
SELECT attempt($$SELECT dataflows.define_workflow('df-define', 'body', undo_on => 'ignore')$$);
SELECT attempt($$SELECT dataflows.define_workflow('df-define', 'body', undo_on => 'undo')$$);
SELECT attempt($$SELECT dataflows.define_workflow('df-define', 'body', on_error => 'never')$$);
SELECT attempt($$SELECT dataflows.define_workflow('df-define', 'body', undo_on => 'error',
	on_error => 'undo')$$);
SELECT attempt($$SELECT dataflows.define_workflow('df-define', 'body', notify => '')$$);
SELECT attempt($$SELECT dataflows.define_workflow('df-define', 'body',
	notify => repeat('x', 64))$$);
SELECT attempt($$SELECT dataflows.define_workflow('df-define', 'body', notify => 'dataflows')$$);

-- undo_on by its old name
BEGIN;
SET ROLE regress_df_author;
SELECT dataflows.define_workflow('df-old', 'body', on_error => word) > 0
	FROM unnest(ARRAY['undo', 'stuck']) AS word;
SELECT undo_on FROM dataflows.workflows WHERE name = 'df-old' ORDER BY version;
ROLLBACK;

-- retry policies
SELECT retry, attempt(format('SELECT dataflows.define_workflow(%L, %L, retry => %L)', 'df-define',
  'body', retry))
	FROM unnest(ARRAY['[]', '"5"', '{"max_attempt": 5}', '{"maximum": 5}', '{"initially": 5}',
		'{"nothing like it": 5}',
		'{"max_attempts": -1}', '{"max_attempts": 1.5}', '{"max_attempts": "5"}',
			'{"max_attempts": 1e300}',
		'{"initial": 0}', '{"initial": "-1 s"}', '{"initial": "soon"}', '{"initial": null}',
			'{"initial": [1]}', '{"initial": {"s": 1}}',
		'{"max": "5 parsecs"}', '{"for": -1}', '{"for": 1e300}']) AS retry;
SELECT attempt(format('SELECT dataflows.define_workflow(%L, %L, retry => %L)', 'df-define-retry',
  'body', retry))
	FROM unnest(ARRAY['{}', '{"max_attempts": 0}', '{"for": 0, "initial": 0.5}',
		'{"initial": "00:00:01.5", "max": "1 day"}']) AS retry;

-- a name is its owner's, dropped or not
SET ROLE regress_df_author2;
SELECT attempt($$SELECT dataflows.define_workflow('df-define', 'others_body')$$);
RESET ROLE;

-- an owner needs CONNECT, and before PostgreSQL 17 LOGIN
ALTER ROLE regress_df_author2 NOLOGIN;
SET ROLE regress_df_author2;
SELECT CASE WHEN current_setting('server_version_num')::int < 170000
	THEN attempt($$SELECT dataflows.define_workflow('df-define-2', 'others_body')$$) LIKE
		'42501: role "regress_df_author2" cannot own a workflow: it may not log in'
		'%ALTER ROLE regress_df_author2 LOGIN first%'
	ELSE attempt($$SELECT dataflows.define_workflow('df-define-2', 'others_body')$$) = 'ok: 1'
		END AS login_as_needed;
RESET ROLE;
ALTER ROLE regress_df_author2 LOGIN;
BEGIN;
DO $$BEGIN EXECUTE format('REVOKE CONNECT ON DATABASE %I FROM PUBLIC', current_database()); END$$;
SET LOCAL ROLE regress_df_author2;
SELECT replace(attempt($$SELECT dataflows.define_workflow('df-define-2', 'others_body')$$),
  quote_ident(current_database()), '<database>');
ROLLBACK;

-- a superuser may own a workflow, with a warning, unless that is refused
CREATE ROLE regress_df_super SUPERUSER LOGIN;
SET ROLE regress_df_super;
SELECT dataflows.define_workflow('df-define-super', 'body');
SET dataflows.allow_superuser_owner = off;
SELECT attempt($$SELECT dataflows.define_workflow('df-define-super', 'body')$$);
RESET dataflows.allow_superuser_owner;
RESET ROLE;
SET ROLE regress_df_author;
SET dataflows.allow_superuser_owner = off;
RESET ROLE;

-- read-only transactions
BEGIN READ ONLY;
SELECT dataflows.define_workflow('df-define', 'body');
ROLLBACK;

-- drop_workflow() is for members of the owner, and refused while runs are live
SET ROLE regress_df_nobody;
SELECT attempt($$SELECT dataflows.drop_workflow('df-define')$$);
SELECT attempt($$SELECT dataflows.drop_workflow('no such')$$);
SET ROLE regress_df_member;
BEGIN;
SELECT dataflows.start('df-define', '{}', 'one') IS NOT NULL AS started;
SELECT attempt($$SELECT dataflows.drop_workflow('df-define')$$);
SELECT dataflows.start('df-define') IS NOT NULL AS started;
SELECT attempt($$SELECT dataflows.drop_workflow('df-define')$$);
ROLLBACK;
SELECT dataflows.drop_workflow('df-define');
SELECT attempt($$SELECT dataflows.drop_workflow('df-define')$$);
SELECT attempt($$SELECT dataflows.start('df-define')$$);
SET ROLE regress_df_author2;
SELECT attempt($$SELECT dataflows.define_workflow('df-define', 'others_body')$$);
SET ROLE regress_df_author;
SELECT dataflows.define_workflow('df-define', 'body');
RESET ROLE;
SELECT version, dropped FROM dataflows.workflow WHERE name = 'df-define' ORDER BY version;

-- an owner that does not exist any more leaves the name to others
UPDATE dataflows.workflow SET owner = 1, owner_name = 'regress_df_gone' WHERE name = 'df-define';
SET ROLE regress_df_author2;
SELECT attempt($$SELECT dataflows.start('df-define')$$);
SELECT dataflows.define_workflow('df-define', 'others_body');
RESET ROLE;

-- a renamed role is still the owner, and who has its name now is not
ALTER ROLE regress_df_author2 RENAME TO regress_df_author3;
ALTER ROLE regress_df_nobody RENAME TO regress_df_author2;
GRANT EXECUTE ON FUNCTION dataflows.define_workflow TO regress_df_author2;
SET ROLE regress_df_author2;
SELECT attempt($$SELECT dataflows.start('df-define')$$);
SELECT attempt($$SELECT dataflows.define_workflow('df-define', 'body')$$);
SELECT attempt($$SELECT dataflows.pause('df-define')$$);
SET ROLE regress_df_author3;
SELECT dataflows.start('df-define') IS NOT NULL AS started;
SELECT dataflows.define_workflow('df-define', 'others_body') > 1 AS defined;
SELECT count(*) > 0 AS seen FROM dataflows.runs WHERE workflow = 'df-define';
RESET ROLE;
REVOKE EXECUTE ON FUNCTION dataflows.define_workflow FROM regress_df_author2;
ALTER ROLE regress_df_author2 RENAME TO regress_df_nobody;
ALTER ROLE regress_df_author3 RENAME TO regress_df_author2;

-- in a copy that nobody has adopted the oid may be another role's: the name must be the same, too
BEGIN;
UPDATE dataflows.installation SET identity = 'another one';
UPDATE dataflows.workflow SET owner = 'regress_df_nobody'::regrole,
  owner_name = 'regress_df_author2' WHERE name = 'df-define';
SET LOCAL ROLE regress_df_nobody;
SELECT attempt($$SELECT dataflows.start('df-define')$$);
SET LOCAL ROLE regress_df_author2;
SELECT attempt($$SELECT dataflows.start('df-define')$$);
SELECT attempt($$SELECT dataflows.define_workflow('df-define', 'others_body')$$) LIKE 'ok: %'
  AS defined;
RESET ROLE;
SELECT dataflows.adopt() IS NOT NULL AS adopted;
SELECT DISTINCT owner = 'regress_df_author2'::regrole AS found_by_name FROM dataflows.workflow
  WHERE name = 'df-define';
ROLLBACK;

-- every argument has its name and default
SELECT p.oid::regprocedure, pg_get_function_arguments(p.oid), pg_get_function_result(p.oid),
	has_function_privilege('regress_df_nobody', p.oid, 'EXECUTE') AS public
	FROM pg_proc p WHERE pronamespace = 'dataflows'::regnamespace
	AND proname IN ('define_workflow', 'drop_workflow', 'start', 'restart', 'start_on_insert',
		'signal_on_change') ORDER BY proname;

DELETE FROM dataflows.workflow WHERE name LIKE 'df-define%' OR name LIKE 'xxx%';
SET client_min_messages = warning;
DROP SCHEMA df_define CASCADE;
DROP OWNED BY regress_df_author, regress_df_author2, regress_df_member, regress_df_nobody,
  regress_df_super CASCADE;
DROP ROLE regress_df_author, regress_df_author2, regress_df_member, regress_df_nobody,
  regress_df_super;
