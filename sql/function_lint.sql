-- What the source of a function says of how it will fare as a body, without running it.
SET client_min_messages = warning;
CREATE EXTENSION IF NOT EXISTS dataflows;
RESET client_min_messages;
\pset format unaligned
\pset null '(none)'
CREATE SCHEMA linted;

CREATE FUNCTION linted.good(event jsonb) RETURNS jsonb LANGUAGE plpgsql AS $f$
DECLARE
	item text; -- now(), random()
BEGIN
	/* INSERT INTO t /* nested */ VALUES (random()) */
	PERFORM dataflows.once('id', 'SELECT gen_random_uuid()');
	PERFORM dataflows.post('user:' || (event->>'id'), 'identity', '/users', event,
		undo => 'DELETE /users/{id}');
	PERFORM dataflows.query('note', $$INSERT INTO notes VALUES ($1)$$, '[1]',
		'DELETE FROM notes');
	PERFORM dataflows.sleep_until('morning', date_trunc('day', now()) + interval '1 day');
	PERFORM dataflows.wait_for('go', until => now() + '1 day');
	FOR item IN SELECT i FROM linted.items ORDER BY i LOOP
		PERFORM dataflows.put('item:' || item, 'crm', '/items');
		FOR n IN 1 .. 3 LOOP
			PERFORM dataflows.get('try' || n, 'crm', '/items');
		END LOOP;
	END LOOP;
	FOR n IN 1..3 LOOP
		PERFORM dataflows.get('thrice', 'crm', '/items');
	END LOOP;
	LOOP
		EXIT WHEN dataflows.get('poll', 'crm', '/state') IS NOT NULL;
	END LOOP;
	PERFORM dataflows.point_of_no_return('from here');
	PERFORM dataflows.post('welcome', 'crm', '/mails', '{"update": "INSERT INTO"}');
	RETURN '{}';
END $f$;
SELECT * FROM dataflows._lint('linted.good(jsonb)');

CREATE FUNCTION linted.bad(event jsonb) RETURNS jsonb LANGUAGE plpgsql AS $f$
DECLARE
	item text;
	began timestamptz := now();
	token uuid := pg_catalog.gen_random_uuid();
BEGIN
	IF current_date > '2030-01-01' AND random() < 0.5 THEN
		INSERT INTO linted.items VALUES ('now');
	END IF;
	PERFORM 1 FROM linted.items FOR UPDATE;
	UPDATE linted.items SET i = 1;
	WITH gone AS (DELETE FROM linted.items RETURNING *) SELECT count(*) INTO item FROM gone;
	EXECUTE 'TRUNCATE linted.items';
	EXECUTE format('DROP TABLE %I', item);
	PERFORM nextval('numbers');
	PERFORM dataflows.post('user', 'identity', '/users', jsonb_build_object('at', now()));
	PERFORM dataflows.post(step => 'named', system => 'crm', path => '/', undo => 'none');
	PERFORM dataflows.post(item, 'crm', '/');
	PERFORM dataflows.query('write', 'UPDATE t SET a = 1');
	FOR item IN SELECT i FROM linted.items LOOP
		IF item IS NOT NULL THEN
			PERFORM dataflows.put('item', 'crm', '/items');
		END IF;
		WHILE true LOOP
			PERFORM dataflows.get('inner', 'crm', '/items');
		END LOOP;
	END LOOP;
	FOREACH item IN ARRAY '{a,b}'::text[] LOOP
		PERFORM dataflows.send_mail('mail', 'smtp', '{}');
	END LOOP;
	PERFORM dataflows.get('after', 'crm', '/');
	RETURN '{}';
END $f$;
SELECT line, rule, step, finding FROM dataflows._lint('linted.bad(jsonb)');
SELECT DISTINCT rule, remedy FROM dataflows._lint('linted.bad(jsonb)') ORDER BY rule;

-- on_rollback() says what is undone
CREATE FUNCTION linted.undone(event jsonb) RETURNS jsonb LANGUAGE plpgsql AS $f$ BEGIN
	PERFORM dataflows.on_rollback('gone', 'crm', 'DELETE /a', of_step => 'a');
	PERFORM dataflows.post('a', 'crm', '/a');
	RETURN event; END $f$;
SELECT * FROM dataflows._lint('linted.undone(jsonb)');

-- SQL, in both forms
CREATE FUNCTION linted.sql_text(event jsonb) RETURNS jsonb LANGUAGE sql AS
	$f$ SELECT jsonb_build_object('at', clock_timestamp()) $f$;
SELECT line, rule FROM dataflows._lint('linted.sql_text(jsonb)');
CREATE FUNCTION linted.atomic(event jsonb) RETURNS jsonb LANGUAGE sql
BEGIN ATOMIC
	SELECT pg_catalog.jsonb_build_object('at', random());
END;
SELECT line, rule FROM dataflows._lint('linted.atomic(jsonb)');

-- odd sources raise no error
SET check_function_bodies = off;
CREATE FUNCTION linted.odd(event jsonb) RETURNS jsonb LANGUAGE plpgsql AS
	$f$ BEGIN "a""b' 'it''s $1 $x$ E'\' /* ( now( END LOOP END LOOP dataflows.post( $f$;
SELECT line, rule FROM dataflows._lint('linted.odd(jsonb)');
CREATE FUNCTION linted.ends(event jsonb) RETURNS jsonb LANGUAGE plpgsql AS
	'END LOOP; post(execute now(';
SELECT line, rule FROM dataflows._lint('linted.ends(jsonb)');
CREATE FUNCTION linted.empty(event jsonb) RETURNS jsonb LANGUAGE plpgsql AS '';
SELECT line, rule FROM dataflows._lint('linted.empty(jsonb)');
SELECT line, rule FROM dataflows._lint('pg_catalog.now()');

SET client_min_messages = warning;
DROP SCHEMA linted CASCADE;
