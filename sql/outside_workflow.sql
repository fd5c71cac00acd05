--
-- outside_workflow: what belongs into a workflow's body raises DF004 elsewhere,
-- whoever calls it, however, and whatever it is given.
--
SET client_min_messages = warning;
CREATE EXTENSION IF NOT EXISTS dataflows;
RESET client_min_messages;
\pset format unaligned
\pset tuples_only on
CREATE ROLE regress_df_outside LOGIN;
SET ROLE regress_df_outside;

CREATE FUNCTION pg_temp.attempt(command text) RETURNS text LANGUAGE plpgsql AS $$
DECLARE
	hint text;
	answer text;
BEGIN
	EXECUTE command INTO answer;
	RETURN 'ok: ' || coalesce(answer, 'NULL');
EXCEPTION WHEN OTHERS OR query_canceled THEN
	GET STACKED DIAGNOSTICS hint = PG_EXCEPTION_HINT;
	RETURN concat_ws(E'\n', SQLSTATE || ': ' || SQLERRM, 'HINT: ' || nullif(hint, ''));
END $$;

-- as users would write them
SELECT pg_temp.attempt($$SELECT dataflows.http('step', 'crm', 'GET', '/contacts')$$);
SELECT pg_temp.attempt($$SELECT dataflows.get('step', 'crm', '/contacts')$$);
SELECT pg_temp.attempt($$SELECT dataflows.post('step', 'crm', '/contacts',
  '{"email": "ada@example.com"}', undo => 'DELETE /contacts/{id}')$$);
SELECT pg_temp.attempt($$SELECT dataflows.put('step', 'crm', '/contacts/1', '{}')$$);
SELECT pg_temp.attempt($$SELECT dataflows.patch('step', 'crm', '/contacts/1', '{}')$$);
SELECT pg_temp.attempt($$SELECT dataflows.delete('step', 'crm', '/contacts/1')$$);
SELECT pg_temp.attempt($$SELECT dataflows.wait_for('event')$$);
SELECT pg_temp.attempt($$SELECT dataflows.wait_for('event', timeout => '1 day',
  required => true)$$);
SELECT pg_temp.attempt($$SELECT dataflows.sleep('step', '1 day')$$);
SELECT pg_temp.attempt($$SELECT dataflows.sleep_until('step', 'tomorrow')$$);
SELECT pg_temp.attempt($$SELECT dataflows.on_rollback('step', 'crm', 'DELETE /contacts/1')$$);
SELECT pg_temp.attempt($$SELECT dataflows.point_of_no_return('step')$$);
SELECT pg_temp.attempt($$SELECT dataflows.response('step')$$);
SELECT pg_temp.attempt($$SELECT dataflows.wait_all('one', 'two')$$);
SELECT pg_temp.attempt($$SELECT dataflows.call('step', 'other-workflow')$$);
SELECT pg_temp.attempt($$SELECT dataflows.run_id()$$);
SELECT pg_temp.attempt($$SELECT dataflows.run_key()$$);
SELECT pg_temp.attempt($$SELECT dataflows.run_started_at()$$);

-- each that says so of itself, with nothing but NULL; those that are not DF004
SELECT count(*) >= 15 AS all_of_them,
	string_agg(name || ': ' || answer, E'\n') FILTER (WHERE answer NOT LIKE 'DF004: %') AS other
	FROM (SELECT p.proname AS name, pg_temp.attempt(format('SELECT dataflows.%I(%s)', p.proname,
				(SELECT string_agg('NULL::' || format_type(t, NULL), ', ')
					FROM unnest(p.proargtypes) AS t))) AS answer
		FROM pg_proc p JOIN pg_namespace n ON n.oid = p.pronamespace
		WHERE n.nspname = 'dataflows' AND NOT p.proisstrict
			AND p.proname = ANY
			('{http,get,post,put,patch,delete,wait_for,wait_any,sleep,sleep_until,on_rollback,
			point_of_no_return,response,query,once,call,send_mail,alias,continue_with,run_id,
			run_key,run_started_at}')) AS calls;

-- the state by itself, out of a trigger, a DO and a read-only transaction
\set VERBOSITY sqlstate
CREATE TEMP TABLE signups (email text);
CREATE FUNCTION pg_temp.post_it() RETURNS trigger LANGUAGE plpgsql AS $$
BEGIN
	PERFORM dataflows.post('create', 'crm', '/contacts', to_jsonb(NEW));
	RETURN NEW;
END $$;
CREATE TRIGGER post_it BEFORE INSERT ON signups FOR EACH ROW EXECUTE FUNCTION pg_temp.post_it();
INSERT INTO signups VALUES ('ada@example.com');
SELECT count(*) FROM signups;
DO $$BEGIN PERFORM dataflows.sleep('nap', '1 s'); END$$;
BEGIN READ ONLY;
SELECT dataflows.wait_for('event');
ROLLBACK;
\set VERBOSITY default

-- the body itself, called by hand, is outside too
CREATE FUNCTION pg_temp.body(event jsonb) RETURNS jsonb LANGUAGE plpgsql AS $$
BEGIN
	RETURN dataflows.get('step', 'crm', '/contacts');
END $$;
SELECT pg_temp.attempt($$SELECT pg_temp.body('{}')$$);

DROP TABLE signups;
RESET ROLE;
DROP OWNED BY regress_df_outside;
DROP ROLE regress_df_outside;
