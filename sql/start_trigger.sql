--
-- start_trigger: start_on_insert() and signal_on_change().  Nothing is
-- committed but tables, so that no engine enters a body meanwhile.
--
SET client_min_messages = warning;
CREATE EXTENSION IF NOT EXISTS dataflows;
RESET client_min_messages;
\pset format unaligned
\pset tuples_only on
CREATE ROLE regress_df_author LOGIN;
CREATE ROLE regress_df_inserter LOGIN;
CREATE ROLE regress_df_stranger LOGIN;
CREATE SCHEMA df_trigger;
GRANT USAGE, CREATE ON SCHEMA df_trigger TO PUBLIC;
SET search_path = df_trigger, public;
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

CREATE VIEW started AS SELECT workflow, version, key, input, started_by FROM dataflows.run
  WHERE workflow LIKE 'df-trigger%' ORDER BY run;
CREATE VIEW signalled AS SELECT workflow, key, kind, event, payload, sent_by, state, run,
  expires_at - sent_at AS ttl
	FROM dataflows.inbox WHERE workflow LIKE 'df-trigger%' ORDER BY id;

SET ROLE regress_df_author;
CREATE FUNCTION body(event jsonb) RETURNS jsonb LANGUAGE plpgsql AS $$BEGIN RETURN event; END$$;
SELECT dataflows.define_workflow('df-trigger', 'body');
CREATE TABLE signups (id int, email text, "Joined On" date, gone int, extra jsonb);
ALTER TABLE signups DROP COLUMN gone;
GRANT INSERT, SELECT, UPDATE ON signups TO regress_df_inserter;

-- a row; who inserts needs no right but that
CREATE TRIGGER onboard AFTER INSERT ON signups FOR EACH ROW
  EXECUTE FUNCTION dataflows.start_on_insert('df-trigger', 'id');
BEGIN;
SET LOCAL ROLE regress_df_inserter;
INSERT INTO signups VALUES (7, 'ada@example.com', '1999-12-31', '{"a": [1, 2.50]}'),
  (8, 'bob@example.com', NULL, NULL), (NULL, 'nobody@example.com', NULL, NULL);
INSERT INTO signups VALUES (7, 'again@example.com', NULL, NULL);
RESET ROLE;
TABLE started;
ROLLBACK;
RESET ROLE;
TABLE started;

-- a subtransaction that is rolled back takes its runs with it
SET ROLE regress_df_author;
BEGIN;
INSERT INTO signups VALUES (1);
SAVEPOINT s;
INSERT INTO signups VALUES (2);
ROLLBACK TO s;
INSERT INTO signups VALUES (3);
RESET ROLE;
TABLE started;
ROLLBACK;

-- without a key column each row starts a run
SET ROLE regress_df_author;
DROP TRIGGER onboard ON signups;
CREATE TRIGGER onboard AFTER INSERT ON signups FOR EACH ROW
  EXECUTE FUNCTION dataflows.start_on_insert('df-trigger');
BEGIN;
INSERT INTO signups VALUES (7), (7);
RESET ROLE;
TABLE started;
ROLLBACK;

-- a statement: in the order of the keys, with its inner duplicates and those that are there
SET ROLE regress_df_author;
DROP TRIGGER onboard ON signups;
CREATE TRIGGER onboard AFTER INSERT ON signups REFERENCING NEW TABLE AS new_rows FOR EACH STATEMENT
	EXECUTE FUNCTION dataflows.start_on_insert('df-trigger', 'email');
BEGIN;
SET LOCAL ROLE regress_df_inserter;
INSERT INTO signups VALUES (1, 'b'), (2, 'a'), (3, NULL), (4, 'Z'), (5, 'a');
INSERT INTO signups VALUES (6, 'a'), (7, 'c');
INSERT INTO signups SELECT 8, 'd' WHERE false;
RESET ROLE;
TABLE started;
SELECT key, count(*), bool_and(input ->> 'id' IN ('2', '5')) FROM started WHERE key = 'a'
  GROUP BY key;
ROLLBACK;

-- COPY, and more rows than go in at once
BEGIN;
COPY signups (id, email) FROM stdin;
2	two@example.com
1	one@example.com
\.
RESET ROLE;
TABLE started;
INSERT INTO signups SELECT i, 'k' || (i % 20000) FROM generate_series(1, 25000) AS i;
SELECT count(*), count(DISTINCT key), count(DISTINCT run), bool_and(key COLLATE "C" >= before)
  AS in_order
	FROM (SELECT key, run, lag(key) OVER (ORDER BY run) COLLATE "C" AS before FROM dataflows.run
		WHERE workflow = 'df-trigger' AND key LIKE 'k%') AS r;
ROLLBACK;
SET ROLE regress_df_author;
DROP TRIGGER onboard ON signups;
CREATE TRIGGER onboard AFTER INSERT ON signups REFERENCING NEW TABLE AS new_rows FOR EACH STATEMENT
	EXECUTE FUNCTION dataflows.start_on_insert('df-trigger');
BEGIN;
INSERT INTO signups SELECT i, 'k' || (i % 20000) FROM generate_series(1, 20000) AS i;
RESET ROLE;
SELECT count(*), count(key), bool_and((input ->> 'id')::int > before) AS in_order
	FROM (SELECT key, input, lag((input ->> 'id')::int) OVER (ORDER BY run) AS before
		FROM dataflows.run WHERE workflow = 'df-trigger') AS r;
ROLLBACK;

-- the UPDATE arm of an upsert is no insert
SET ROLE regress_df_author;
CREATE TABLE upserted (id int PRIMARY KEY, n int DEFAULT 1);
CREATE TRIGGER by_row AFTER INSERT ON upserted FOR EACH ROW
  EXECUTE FUNCTION dataflows.start_on_insert('df-trigger');
CREATE TRIGGER by_statement AFTER INSERT ON upserted REFERENCING NEW TABLE AS new_rows
  FOR EACH STATEMENT
	EXECUTE FUNCTION dataflows.start_on_insert('df-trigger');
BEGIN;
INSERT INTO upserted VALUES (1);
INSERT INTO upserted VALUES (1), (2) ON CONFLICT (id) DO UPDATE SET n = 2;
RESET ROLE;
TABLE started;
ROLLBACK;

-- partitions, whose columns stand in another order
SET ROLE regress_df_author;
CREATE TABLE parted (id int, email text) PARTITION BY LIST (id);
CREATE TABLE parted_1 (email text, gone text, id int);
ALTER TABLE parted_1 DROP COLUMN gone;
ALTER TABLE parted ATTACH PARTITION parted_1 FOR VALUES IN (1);
CREATE TRIGGER by_row AFTER INSERT ON parted FOR EACH ROW
  EXECUTE FUNCTION dataflows.start_on_insert('df-trigger', 'email');
CREATE TRIGGER by_statement AFTER INSERT ON parted REFERENCING NEW TABLE AS new_rows
  FOR EACH STATEMENT
	EXECUTE FUNCTION dataflows.start_on_insert('df-trigger', 'id');
BEGIN;
INSERT INTO parted VALUES (1, 'parted@example.com');
RESET ROLE;
TABLE started;
ROLLBACK;

-- deferred to the end of the transaction
SET ROLE regress_df_author;
CREATE TABLE deferred (id int, at_end text);
CREATE CONSTRAINT TRIGGER onboard AFTER INSERT ON deferred DEFERRABLE INITIALLY DEFERRED
	FOR EACH ROW EXECUTE FUNCTION dataflows.start_on_insert('df-trigger', 'id');
BEGIN;
INSERT INTO deferred VALUES (1);
SET CONSTRAINTS ALL IMMEDIATE;
RESET ROLE;
TABLE started;
ROLLBACK;

-- keys of many types are what the event shows
SET ROLE regress_df_author;
CREATE TABLE typed (i bigint, n numeric, t timestamp, d date, b bool, u uuid, j jsonb,
  c varchar(3));
CREATE FUNCTION key_by(key_column text) RETURNS text LANGUAGE plpgsql AS $$
DECLARE
	answer text;
BEGIN
	EXECUTE
		format('CREATE TRIGGER t AFTER INSERT ON typed FOR EACH ROW '
			'EXECUTE FUNCTION dataflows.start_on_insert(%L, %L)', 'df-trigger', key_column);
	INSERT INTO typed VALUES (9007199254740993, 1.50, '2026-01-02 03:04:05', '2026-01-02', true,
		'a0eebc99-9c0b-4ef8-bb6d-6bb9bd380a11', '{"k": [1]}', 'abc');
	DROP TRIGGER t ON typed;
	RETURN key_column;
END $$;
SET DateStyle = 'German';
BEGIN;
SELECT string_agg(key_by(c), ' ') FROM unnest('{i,n,t,d,b,u,j,c}'::text[]) AS c;
RESET ROLE;
SELECT key, input FROM started;
ROLLBACK;
RESET DateStyle;

-- the table's owner must have the right to start, whoever inserts
SET ROLE regress_df_stranger;
CREATE TABLE strangers (id int);
CREATE TRIGGER onboard AFTER INSERT ON strangers FOR EACH ROW
  EXECUTE FUNCTION dataflows.start_on_insert('df-trigger', 'id');
RESET ROLE;
GRANT EXECUTE ON FUNCTION dataflows.start_on_insert, dataflows.signal_on_change
  TO regress_df_stranger;
SET ROLE regress_df_stranger;
CREATE TRIGGER onboard AFTER INSERT ON strangers FOR EACH ROW
  EXECUTE FUNCTION dataflows.start_on_insert('df-trigger', 'id');
CREATE TRIGGER onboard_all AFTER INSERT ON strangers REFERENCING NEW TABLE AS n FOR EACH STATEMENT
  EXECUTE FUNCTION dataflows.start_on_insert('df-trigger', 'id');
SELECT attempt('INSERT INTO strangers VALUES (1)');
GRANT INSERT ON strangers TO regress_df_author;
SET ROLE regress_df_author;
SELECT attempt('INSERT INTO strangers VALUES (1)');
SELECT attempt('INSERT INTO strangers SELECT 1 WHERE false');
BEGIN;
SELECT dataflows.allow('df-trigger', 'regress_df_stranger', 'start');
SELECT attempt('INSERT INTO strangers VALUES (1)');
SELECT dataflows.disallow('df-trigger', 'regress_df_stranger', 'start');
SELECT attempt('INSERT INTO strangers VALUES (2)');
ROLLBACK;

-- triggers made otherwise
CREATE TABLE wrong (id int, email text);
CREATE FUNCTION try(how text, function text, what text DEFAULT
  'INSERT INTO wrong VALUES (1, ''x'')') RETURNS text LANGUAGE plpgsql AS $$
DECLARE
	answer text;
BEGIN
	EXECUTE format('CREATE TRIGGER wrong %s EXECUTE FUNCTION dataflows.%s', how, function);
	answer := concat_ws(E'\n', how || ' ' || function, attempt(what));
	DROP TRIGGER wrong ON wrong;
	RETURN answer;
END $$;
BEGIN;
INSERT INTO wrong VALUES (0);
SELECT try('AFTER INSERT ON wrong FOR EACH ROW', 'start_on_insert()');
SELECT try('AFTER INSERT ON wrong FOR EACH ROW', 'start_on_insert('''')');
SELECT try('AFTER INSERT ON wrong FOR EACH ROW', 'start_on_insert(''df-trigger'', '''')');
SELECT try('AFTER INSERT ON wrong FOR EACH ROW',
  'start_on_insert(''df-trigger'', ''id'', ''email'')');
SELECT try('AFTER INSERT ON wrong FOR EACH ROW', 'start_on_insert(''no such'')');
SELECT try('AFTER INSERT ON wrong FOR EACH ROW', 'start_on_insert(''df-trigger'', ''ID'')');
SELECT try('AFTER INSERT ON wrong FOR EACH ROW', 'start_on_insert(''df-trigger'', ''ctid'')');
SELECT try('BEFORE INSERT ON wrong FOR EACH ROW', 'start_on_insert(''df-trigger'')');
SELECT try('AFTER INSERT ON wrong FOR EACH STATEMENT', 'start_on_insert(''df-trigger'')');
SELECT try('BEFORE INSERT ON wrong FOR EACH STATEMENT', 'start_on_insert(''df-trigger'')');
SELECT try('AFTER UPDATE ON wrong FOR EACH ROW', 'start_on_insert(''df-trigger'')',
  'UPDATE wrong SET id = 2');
SELECT try('AFTER INSERT OR UPDATE ON wrong FOR EACH ROW', 'start_on_insert(''df-trigger'')');
SELECT try('AFTER INSERT OR DELETE ON wrong FOR EACH ROW', 'start_on_insert(''df-trigger'')');
SELECT try('AFTER DELETE ON wrong FOR EACH ROW', 'start_on_insert(''df-trigger'')',
  'DELETE FROM wrong');
SELECT try('AFTER TRUNCATE ON wrong', 'start_on_insert(''df-trigger'')', 'TRUNCATE wrong');
SELECT try('AFTER INSERT ON wrong FOR EACH ROW', 'start_on_insert(''df-trigger'', ''email'')',
  'INSERT INTO wrong VALUES (1, '''')');
SELECT try('AFTER INSERT ON wrong FOR EACH ROW', 'start_on_insert(''df-trigger'', ''email'')',
  'INSERT INTO wrong VALUES (1, repeat(''x'', 1025))');
SELECT try('AFTER INSERT ON wrong FOR EACH ROW', 'start_on_insert(''df-trigger'', ''id'')',
  'INSERT INTO wrong VALUES (1, repeat(''x'', 2000000))');
SELECT try('AFTER INSERT ON wrong FOR EACH ROW', 'signal_on_change()');
SELECT try('AFTER INSERT ON wrong FOR EACH ROW', 'signal_on_change(''df-trigger'', ''paid'')');
SELECT try('AFTER INSERT ON wrong FOR EACH ROW', 'signal_on_change(''df-trigger'', '''', ''id'')');
SELECT try('AFTER INSERT ON wrong FOR EACH ROW',
  'signal_on_change(''df-trigger'', ''paid'', ''nr'')');
SELECT try('AFTER INSERT ON wrong FOR EACH ROW', 'signal_on_change(''no such'', ''paid'', ''id'')');
SELECT try('AFTER UPDATE ON wrong FOR EACH STATEMENT',
  'signal_on_change(''df-trigger'', ''paid'', ''id'')', 'UPDATE wrong SET id = 2');
SELECT try('AFTER DELETE ON wrong FOR EACH ROW',
  'signal_on_change(''df-trigger'', ''paid'', ''id'')', 'DELETE FROM wrong');
ROLLBACK;
SELECT dataflows.start_on_insert();

-- a row that changes is a signal
CREATE TABLE invoices (customer int, state text);
GRANT INSERT, UPDATE, SELECT ON invoices TO regress_df_inserter;
CREATE TRIGGER paid AFTER INSERT OR UPDATE ON invoices FOR EACH ROW WHEN (NEW.state = 'paid')
	EXECUTE FUNCTION dataflows.signal_on_change('df-trigger', 'invoice-paid', 'customer');
CREATE TRIGGER late AFTER UPDATE ON invoices REFERENCING NEW TABLE AS new_rows FOR EACH STATEMENT
	EXECUTE FUNCTION dataflows.signal_on_change('df-trigger', 'invoice-changed', 'customer');
BEGIN;
SET LOCAL ROLE regress_df_inserter;
INSERT INTO invoices VALUES (1, 'open'), (2, 'paid'), (NULL, 'paid');
UPDATE invoices SET state = 'paid' WHERE customer = 1;
UPDATE invoices SET state = state || '!';
RESET ROLE;
TABLE signalled;
ROLLBACK;
RESET ROLE;
TABLE signalled;
SET ROLE regress_df_stranger;
CREATE TRIGGER signals AFTER INSERT ON strangers FOR EACH ROW
  EXECUTE FUNCTION dataflows.signal_on_change('df-trigger', 'e', 'id');
DROP TRIGGER onboard ON strangers;
DROP TRIGGER onboard_all ON strangers;
SELECT attempt('INSERT INTO strangers VALUES (1)');
RESET ROLE;

DELETE FROM dataflows.workflow WHERE name LIKE 'df-trigger%';
SET client_min_messages = warning;
DROP SCHEMA df_trigger CASCADE;
DROP OWNED BY regress_df_author, regress_df_inserter, regress_df_stranger CASCADE;
DROP ROLE regress_df_author, regress_df_inserter, regress_df_stranger;
