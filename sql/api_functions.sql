-- api_functions(): the statements, and what they make.  test/t/steps/api_calls.pl sends them.
\set VERBOSITY terse
SET client_min_messages = warning;
CREATE EXTENSION IF NOT EXISTS dataflows;
RESET client_min_messages;
CREATE SCHEMA api;
CREATE TABLE api_description (name text PRIMARY KEY, d jsonb);
CREATE VIEW made AS
	SELECT f.proname AS name, regexp_replace(pg_get_function_arguments(f.oid),
		' DEFAULT NULL::\w+', '?', 'g') AS arguments
	FROM pg_proc f JOIN pg_namespace s ON s.oid = f.pronamespace WHERE s.nspname = 'api';

-- what an event trigger saw is all that the statements do
CREATE TABLE seen (tag text, what text);
CREATE FUNCTION see() RETURNS event_trigger LANGUAGE plpgsql AS $$
BEGIN
	INSERT INTO seen SELECT command_tag, object_identity FROM pg_event_trigger_ddl_commands();
END $$;
CREATE EVENT TRIGGER see ON ddl_command_end EXECUTE FUNCTION see();

\pset format unaligned
\pset tuples_only on
INSERT INTO api_description VALUES ('shop', '{
"openapi": "3.0.3", "paths": {
 "/things": {
  "parameters": [{"name": "X-Tenant", "in": "header", "required": true,
   "schema": {"type": "string"}}],
  "get": {"operationId": "listThings", "parameters": [
   {"name": "limit", "in": "query", "schema": {"type": "integer", "minimum": 1, "maximum": 100}},
   {"name": "X-Tenant", "in": "header", "schema": {"type": "integer"}},
   {"name": "session", "in": "cookie", "schema": {"type": "string"}},
   {"name": "old", "in": "query", "deprecated": true, "schema": {"type": "string"}}]},
  "post": {"operationId": "createThing", "summary": "Make a thing", "requestBody": {"content": {
    "text/xml": {"schema": {"type": "string"}},
    "application/json": {"schema": {"$ref": "#/components/schemas/New"}}}},
   "responses": {"201": {"content": {"application/json": {"schema": {
    "properties": {"id": {"type": "integer"}}}}}}}}},
 "/things/{thing_id}": {
  "get": {"operationId": "get_thing"},
  "delete": {"operationId": "GetThing"},
  "put": {"operationId": "getThing_2"},
  "patch": {"operationId": "***", "deprecated": true}},
 "/nameless/{a}/of/{b}": {"post": {"parameters": [
   {"name": "b", "in": "path", "required": true, "schema": {"type": "integer"}}]}}},
"components": {"schemas": {
 "New": {"allOf": [{"$ref": "#/components/schemas/Base"}, {"required": ["name"], "properties": {
   "name": {"type": "string", "minLength": 2, "maxLength": 5, "pattern": "^[a-z]+$"},
   "colour": {"type": "string", "enum": ["red", "it''s", null], "nullable": true},
   "weight": {"type": "number", "minimum": 0, "exclusiveMinimum": true},
   "undo": {"type": "boolean"}, "undo_": {"type": "boolean"}, "select": {"type": "string"},
   "Name": {"oneOf": [{"type": "string", "maxLength": 3}, {"type": "string"}]},
   "either": {"oneOf": [{"type": "string"}, {"type": "integer"}]},
   "self": {"$ref": "#/components/schemas/New"}, "tags": {"type": "array", "items": {}}}}]},
 "Base": {"type": "object", "required": ["kind"], "allOf": [{"$ref": "#/components/schemas/New"}],
  "properties": {"kind": {"type": "integer"}, "id": {"type": "integer", "readOnly": true}}}}}}');

\set ECHO none
SELECT dataflows.api_functions('shop', d, 'api') FROM api_description WHERE name = 'shop' \gexec
\set ECHO all
SELECT * FROM made ORDER BY name COLLATE "C";
SELECT tag, count(*) FROM seen GROUP BY tag ORDER BY tag;
SELECT dataflows.api_functions('shop', d, 'api', '{createThing}') FROM api_description;
SELECT obj_description(oid, 'pg_proc') FROM pg_proc
WHERE pronamespace = 'api'::regnamespace AND proname = 'list_things';

-- names are the same, whatever is wanted; a deprecated one is made if it is named
SELECT substring(s FROM '^(CREATE [^(]*|COMMENT [^(]*)')
FROM api_description, dataflows.api_functions('shop', d, 'api',
	'{getThing_2,"PATCH /things/{thing_id}"}') AS s WHERE name = 'shop';

-- refused before anything is sent, and outside a body in any case
SELECT api.create_thing('s', x_tenant => 'x', kind => NULL, name => 'abc');
SELECT api.create_thing('s', x_tenant => 'x', kind => 1, name => 'a');
SELECT api.create_thing('s', x_tenant => 'x', kind => 1, name => 'abcdef');
SELECT api.create_thing('s', x_tenant => 'x', kind => 1, name => 'a b');
SELECT api.create_thing('s', x_tenant => 'x', kind => 1, name => 'abc', colour => 'blue');
SELECT api.create_thing('s', x_tenant => 'x', kind => 1, name => 'abc', weight => 0);
SELECT api.create_thing('s', x_tenant => 'x', kind => 1, name => 'abc', tags => '{}');
SELECT api.create_thing('s', x_tenant => 'x', kind => 1, name => 'abc', more => '[]');
SELECT api.create_thing('s', x_tenant => 'x', kind => 1, name => 'abc', colour => 'it''s');
SELECT api.list_things('s', limit_ => 101);

-- again: nothing is dropped, and other arguments drop the older one alone
CREATE FUNCTION api.get_thing(mine text) RETURNS text LANGUAGE sql AS 'SELECT $1';
SELECT substring(s FROM '^[A-Z ]+FUNCTION[^(]*') AS statement, count(*) FROM api_description,
	dataflows.api_functions('shop', d, 'api') AS s WHERE name = 'shop' GROUP BY 1
HAVING substring(s FROM '^[A-Z ]+FUNCTION[^(]*') LIKE 'DROP%';
UPDATE api_description SET d = jsonb_set(d,
	ARRAY['paths', '/things/{thing_id}', 'get', 'parameters'],
	'[{"name": "deep", "in": "query", "schema": {"type": "boolean"}}]');
SELECT s FROM api_description,
	dataflows.api_functions('shop', d, 'api') AS s WHERE name = 'shop' AND s LIKE 'DROP%';
\set ECHO none
SELECT dataflows.api_functions('shop', d, 'api') FROM api_description WHERE name = 'shop' \gexec
\set ECHO all
SELECT * FROM made WHERE name = 'get_thing' ORDER BY 2;
-- of another's making
DROP FUNCTION api.list_things;
CREATE FUNCTION api.list_things(a text, b bigint, c bigint, d text, e text, f text, g text, h jsonb,
	i interval, j boolean, k text) RETURNS jsonb LANGUAGE sql AS 'SELECT NULL::jsonb';
SELECT count(*) FROM api_description, dataflows.api_functions('shop', d, 'api') WHERE name = 'shop';

-- past 90 arguments
SET client_min_messages = warning;
DROP SCHEMA api CASCADE;
RESET client_min_messages;
CREATE SCHEMA api;
INSERT INTO api_description
	SELECT 'many', jsonb_build_object('openapi', '3.1.0', 'paths', jsonb_build_object('/many',
		jsonb_build_object('post', jsonb_build_object('requestBody', jsonb_build_object('content',
			jsonb_build_object('application/json', jsonb_build_object('schema', jsonb_build_object(
				'type', 'object', 'required', '["f005", "f200"]'::jsonb, 'properties',
				jsonb_object_agg('f' || lpad(n::text, 3, '0'), '{"type": "integer"}'::jsonb)))))))))
	FROM generate_series(1, 200) AS n;
\set ECHO none
SELECT dataflows.api_functions('shop', d, 'api') FROM api_description WHERE name = 'many' \gexec
\set ECHO all
SELECT pronargs, proargnames[1:4], proargnames[90:] FROM pg_proc
WHERE pronamespace = 'api'::regnamespace;

-- a hostile description defines what it may define, and does nothing else
SET client_min_messages = warning;
DROP SCHEMA api CASCADE;
RESET client_min_messages;
CREATE SCHEMA api;
TRUNCATE seen;
INSERT INTO api_description
	SELECT 'hostile', jsonb_build_object('openapi', '3.0.0', 'paths', jsonb_build_object(
		'/a', jsonb_build_object('post', jsonb_build_object('operationId', evil, 'summary', evil,
			'description', evil,
			'parameters', jsonb_build_array(
				jsonb_build_object('name', evil, 'in', 'query', 'description', evil,
					'schema', jsonb_build_object('type', 'string', 'enum', jsonb_build_array(evil),
						'pattern', evil, 'minLength', evil)),
				jsonb_build_object('name', 'X-A', 'in', 'header', 'style', evil,
					'schema', jsonb_build_object('type', evil, 'minimum', evil)),
				jsonb_build_object('name', evil, 'in', 'header', 'schema', '{}'::jsonb),
				jsonb_build_object('name', evil, 'in', 'cookie')),
			'requestBody', jsonb_build_object('content', jsonb_build_object('multipart/form-data',
				jsonb_build_object('encoding', jsonb_build_object(evil, jsonb_build_object(
						'style', evil, 'contentType', evil)),
					'schema', jsonb_build_object('type', 'object',
						'required', jsonb_build_array(evil), 'properties', jsonb_build_object(evil,
							jsonb_build_object('type', 'integer', 'minimum', evil,
								'enum', jsonb_build_array(evil, 1)))))))))))
	FROM (VALUES (E'$$ ''; DROP TABLE seen; -- */ $_$ \\''); "x" <b>%s%L\n\t{a}' ||
		E'; END; $body$ DROP TABLE seen; \u202e\u0007')) AS t (evil);
\set ECHO none
SELECT dataflows.api_functions(E'sh''op"; \\', d, 'api') FROM api_description
WHERE name = 'hostile' \gexec
\set ECHO all
SELECT * FROM made;
SELECT * FROM seen;
DROP FUNCTION api.drop_table_seen_x_b_s_l_a_end_body_drop_table_seen;
-- 5,000 operations, most of which ask for one name
INSERT INTO api_description
	SELECT 'large', jsonb_build_object('openapi', '3.0.0', 'paths', jsonb_object_agg('/p' || n,
		jsonb_build_object('get', jsonb_build_object('operationId', 'o' || n % 3))))
	FROM generate_series(1, 5000) AS n;
SELECT count(*), count(DISTINCT substring(s FROM '^CREATE [^(]*')) AS functions
FROM api_description, dataflows.api_functions('shop', d, 'api') AS s WHERE name = 'large';

-- what is no description, or none that can be used, is refused by its place
SELECT dataflows.api_functions(NULL, '{}', 'api');
SELECT dataflows.api_functions('shop', '[]', 'api');
SELECT dataflows.api_functions('shop', '{"swagger": "2.0"}', 'api');
SELECT dataflows.api_functions('shop', '{"openapi": 3}', 'api');
SELECT dataflows.api_functions('shop', '{"openapi": "3.0.1", "paths": []}', 'api');
CREATE FUNCTION refused(path text, item jsonb, components jsonb DEFAULT '{}') RETURNS text
LANGUAGE plpgsql AS $$
BEGIN
	PERFORM dataflows.api_functions('shop', jsonb_build_object('openapi', '3.0.0', 'paths',
		jsonb_build_object(path, item), 'components', components), 'api');
	RETURN 'not refused';
EXCEPTION WHEN invalid_parameter_value THEN
	RETURN sqlerrm;
END $$;
SELECT refused(path, item::jsonb, components::jsonb) FROM (VALUES
	('/a', '[]', '{}'),
	('/a', '{"get": 1}', '{}'),
	('/a', '{"get": {"parameters": {}}}', '{}'),
	('/a', '{"get": {"parameters": [1]}}', '{}'),
	('/a', '{"get": {"parameters": [{"name": 1, "in": "query"}]}}', '{}'),
	('/a', '{"get": {"parameters": [{"name": "a", "in": "body"}]}}', '{}'),
	('/a', '{"get": {"parameters": [{"$ref": "#/components/p"}]}}',
		'{"p": {"$ref": "#/components/p"}}'),
	('/a', '{"get": {"parameters": [{"$ref": "other.json#/p"}]}}', '{}'),
	('/a', '{"get": {"parameters": [{"$ref": []}]}}', '{}'),
	('/a', '{"get": {"parameters": [{"name": "a", "in": "query", "schema": 1}]}}', '{}'),
	('/a', '{"get": {"parameters": [{"name": "a", "in": "query", "schema": {"type": {}}}]}}', '{}'),
	('/a', '{"get": {"parameters": [{"name": "a", "in": "query", "schema": {"allOf": 1}}]}}', '{}'),
	('/a', '{"get": {"parameters": [{"name": "a", "in": "query", "schema": {"oneOf": 5}}]}}', '{}'),
	('/a', '{"post": {"requestBody": "x"}}', '{}'),
	('/a', '{"post": {"requestBody": {"content": []}}}', '{}'),
	('/a', '{"post": {"requestBody": {"content": {"application/json": []}}}}', '{}'),
	('/a', '{"post": {"requestBody": {"content": {"application/json": {"schema":
		{"properties": [1]}}}}}}', '{}'),
	('a', '{"get": {}}', '{}'), ('/a b', '{"get": {}}', '{}'), ('/a#b', '{"get": {}}', '{}'),
	('/a/../b', '{"get": {}}', '{}'), ('/{a', '{"get": {}}', '{}'), ('/a}', '{"get": {}}', '{}'),
	(E'/a\n', '{"get": {}}', '{}')) AS t (path, item, components);
SELECT dataflows.api_functions('shop', d, 'api', '{nothing}') FROM api_description
WHERE name = 'large';

DROP EVENT TRIGGER see;
DROP FUNCTION see(), refused(text, jsonb, jsonb);
DROP VIEW made;
DROP TABLE seen, api_description;
SET client_min_messages = warning;
DROP SCHEMA api CASCADE;
