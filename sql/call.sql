--
-- call: what a call of another workflow refuses, and what it comes to.
--
SET client_min_messages = warning;
CREATE EXTENSION IF NOT EXISTS dataflows;
RESET client_min_messages;
\pset format unaligned
\pset tuples_only on
CREATE ROLE regress_df_call LOGIN;
CREATE SCHEMA df_call AUTHORIZATION regress_df_call;
GRANT EXECUTE ON FUNCTION dataflows.define_workflow TO regress_df_call;
SET ROLE regress_df_call;

\df dataflows.call

CREATE FUNCTION df_call.kid(e jsonb) RETURNS jsonb LANGUAGE plpgsql AS $$
BEGIN
	IF e ? 'fail' THEN RAISE EXCEPTION 'no %', e->>'fail'; END IF;
	RETURN nullif(e->'n', 'null');
END $$;
SELECT dataflows.define_workflow('regress-kid', 'df_call.kid');
-- one call, as the input says; what it raises is the result where that can be caught
CREATE FUNCTION df_call.caller(e jsonb) RETURNS jsonb LANGUAGE plpgsql AS $$
DECLARE
	detail text;
	hint text;
BEGIN
	IF e ? 'no_input' THEN RETURN dataflows.call('c', 'regress-kid', NULL); END IF;
	RETURN dataflows.call(coalesce(e->>'step', 'c'), e->>'workflow', coalesce(e->'input', '{}'),
		e->>'key');
EXCEPTION WHEN OTHERS THEN
	GET STACKED DIAGNOSTICS detail = PG_EXCEPTION_DETAIL, hint = PG_EXCEPTION_HINT;
	RETURN jsonb_strip_nulls(jsonb_build_object('sqlstate', SQLSTATE, 'message', SQLERRM, 'detail',
		nullif(detail, ''), 'hint', nullif(hint, '')));
END $$;
SELECT dataflows.define_workflow('regress-caller', 'df_call.caller');

-- runs it and tells what came of it; the ids of runs are not the same twice
CREATE FUNCTION df_call.began(e jsonb) RETURNS uuid LANGUAGE sql AS $$
  SELECT dataflows.start('regress-caller', e) $$;
CREATE FUNCTION df_call.told(id uuid) RETURNS text LANGUAGE sql AS $$
SELECT regexp_replace(concat_ws(E'\n', state, result, error->>'message', stuck->>'reason'),
  '[0-9a-f]{8}-[0-9a-f-]{27}', '<run>', 'g')
FROM dataflows.runs WHERE run = id $$;

SELECT df_call.began('{"workflow": "regress-kid", "input": {"n": 7}}') AS run \gset
SELECT dataflows.await(:'run');
SELECT df_call.told(:'run');
-- NULL is a result
SELECT df_call.began('{"workflow": "regress-kid"}') AS run \gset
SELECT dataflows.await(:'run');
SELECT df_call.told(:'run');
-- a child that fails
SELECT df_call.began('{"workflow": "regress-kid", "input": {"fail": "luck"}}') AS run \gset
SELECT dataflows.await(:'run');
SELECT df_call.told(:'run');
-- arguments
SELECT df_call.began('{"input": {}}') AS run \gset
SELECT dataflows.await(:'run');
SELECT df_call.told(:'run');
SELECT df_call.began('{"no_input": true}') AS run \gset
SELECT dataflows.await(:'run');
SELECT df_call.told(:'run');
SELECT df_call.began('{"workflow": "regress-kid", "step": ""}') AS run \gset
SELECT dataflows.await(:'run');
SELECT df_call.told(:'run');
SELECT df_call.began('{"workflow": "regress-kid", "key": ""}') AS run \gset
SELECT dataflows.await(:'run');
SELECT df_call.told(:'run');
SELECT df_call.began(jsonb_build_object('workflow', 'regress-kid', 'key', repeat('k', 1025)))
  AS run \gset
SELECT dataflows.await(:'run');
SELECT df_call.told(:'run');
-- a workflow that is not there, or not any more, or somebody else's
SELECT df_call.began('{"workflow": "regress-nobody"}') AS run \gset
SELECT dataflows.await(:'run');
SELECT df_call.told(:'run');
SELECT dataflows.define_workflow('regress-gone', 'df_call.kid');
SELECT dataflows.drop_workflow('regress-gone');
SELECT df_call.began('{"workflow": "regress-gone"}') AS run \gset
SELECT dataflows.await(:'run');
SELECT df_call.told(:'run');
RESET ROLE;
CREATE FUNCTION public.regress_df_theirs(e jsonb) RETURNS jsonb LANGUAGE sql AS $$ SELECT e $$;
SET client_min_messages = error;
SELECT dataflows.define_workflow('regress-theirs', 'public.regress_df_theirs');
RESET client_min_messages;
SET ROLE regress_df_call;
SELECT df_call.began('{"workflow": "regress-theirs"}') AS run \gset
SELECT dataflows.await(:'run');
SELECT df_call.told(:'run');

-- a recorded call that the body makes otherwise after a repair
CREATE FUNCTION df_call.changing(e jsonb) RETURNS jsonb LANGUAGE plpgsql AS $$
BEGIN
	PERFORM dataflows.call('c', 'regress-kid', '{}', 'regress-one');
	PERFORM dataflows.wait_for('go');
	RETURN NULL;
END $$;
SELECT dataflows.define_workflow('regress-changing', 'df_call.changing');
SELECT dataflows.start('regress-changing') AS run \gset
SELECT dataflows.await(:'run');
CREATE OR REPLACE FUNCTION df_call.changing(e jsonb) RETURNS jsonb LANGUAGE plpgsql AS $$
BEGIN
	PERFORM dataflows.call('c', 'regress-kid', '{}', 'regress-two');
	RETURN NULL;
END $$;
SELECT dataflows.signal(:'run', 'go');
SELECT dataflows.await(:'run');
SELECT df_call.told(:'run');
CREATE OR REPLACE FUNCTION df_call.changing(e jsonb) RETURNS jsonb LANGUAGE plpgsql AS $$
BEGIN
	RETURN dataflows.call('c', 'regress-kid', '{"n": "another input"}', 'regress-one');
END $$;
SELECT dataflows.retry(:'run');
SELECT dataflows.await(:'run');
SELECT df_call.told(:'run');
SELECT dataflows.accept_drift(:'run', 'c');
SELECT dataflows.await(:'run');
SELECT count(*) FROM dataflows.unexplained;

-- the tests that follow count rows of their own
RESET ROLE;
DELETE FROM dataflows.inbox WHERE workflow LIKE 'regress-%';
DELETE FROM dataflows.step s USING dataflows.run r WHERE r.run = s.run
  AND r.workflow LIKE 'regress-%';
DELETE FROM dataflows.run WHERE workflow LIKE 'regress-%';
DELETE FROM dataflows.workflow WHERE name LIKE 'regress-%';
