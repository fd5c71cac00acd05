--
-- Webhooks: what create_webhook() refuses, and deliveries by SQL.  Nothing is
-- committed, so that no engine touches it.
--
SET client_min_messages = warning;
CREATE EXTENSION IF NOT EXISTS dataflows;
RESET client_min_messages;
\set ON_ERROR_ROLLBACK on
\set SHOW_CONTEXT never

BEGIN;
CREATE ROLE hook_author LOGIN;
CREATE ROLE hook_other LOGIN;
GRANT EXECUTE ON FUNCTION dataflows.define_workflow TO hook_author;
CREATE SCHEMA hooks AUTHORIZATION hook_author;
CREATE SERVER hook_sender FOREIGN DATA WRAPPER dataflows OPTIONS (url 'https://sender.example');
CREATE SERVER hook_silent FOREIGN DATA WRAPPER dataflows OPTIONS (url 'https://sender.example');
GRANT USAGE ON FOREIGN SERVER hook_sender, hook_silent TO hook_author;
CREATE USER MAPPING FOR hook_author SERVER hook_sender OPTIONS (webhook_secret 's3cret-value',
  webhook_secret_old 'older-value');
SET ROLE hook_author;
CREATE FUNCTION hooks.body(event jsonb) RETURNS jsonb LANGUAGE sql AS $$ SELECT event $$;
SELECT dataflows.define_workflow('hooked', 'hooks.body');
CREATE FUNCTION hooks.handler(headers jsonb, body jsonb) RETURNS jsonb LANGUAGE sql AS $$
  SELECT body->'decision' $$;
CREATE FUNCTION hooks.text_handler(headers jsonb, body jsonb) RETURNS text LANGUAGE sql AS $$
  SELECT 'x' $$;
CREATE FUNCTION hooks.definer(headers jsonb, body jsonb) RETURNS jsonb LANGUAGE sql
  SECURITY DEFINER AS $$ SELECT body $$;
-- refusals
SELECT dataflows.create_webhook(NULL, starts => 'hooked');
SELECT dataflows.create_webhook('signup', starts => 'hooked');
SELECT dataflows.create_webhook('/', starts => 'hooked');
SELECT dataflows.create_webhook('/a?b', starts => 'hooked');
SELECT dataflows.create_webhook('/a//b', starts => 'hooked');
SELECT dataflows.create_webhook('/a/../b', starts => 'hooked');
SELECT dataflows.create_webhook('/metrics', starts => 'hooked');
SELECT dataflows.create_webhook('/event/x', starts => 'hooked');
SELECT dataflows.create_webhook('/a');
SELECT dataflows.create_webhook('/a', starts => 'hooked', signals => 'hooked');
SELECT dataflows.create_webhook('/a', starts => 'hooked', event => 'e');
SELECT dataflows.create_webhook('/a', signals => 'hooked', key => '$.id');
SELECT dataflows.create_webhook('/a', signals => 'hooked', event => 'e');
SELECT dataflows.create_webhook('/a', signals => 'hooked', event => 'e#2', key => 'k');
SELECT dataflows.create_webhook('/a', starts => 'hooked', key => '$.');
SELECT dataflows.create_webhook('/a', starts => 'hooked', key => '');
SELECT dataflows.create_webhook('/a', starts => 'hooked', filter => '');
SELECT dataflows.create_webhook('/a', starts => 'hooked', verify => 'md5');
SELECT dataflows.create_webhook('/a', starts => 'hooked', verify => 'hmac-sha256:');
SELECT dataflows.create_webhook('/a', starts => 'hooked', verify => 'stripe');
SELECT dataflows.create_webhook('/a', starts => 'hooked', verify => 'stripe', secret => 'nobody');
SELECT dataflows.create_webhook('/a', starts => 'hooked', verify => 'stripe',
  secret => 'hook_silent');
SELECT dataflows.create_webhook('/a', starts => 'hooked', secret => 'hook_sender');
SELECT dataflows.create_webhook('/a', starts => 'nothing');
SELECT dataflows.create_webhook('/a', starts => 'hooked', handler => 'hooks.nothing');
SELECT dataflows.create_webhook('/a', starts => 'hooked', handler => 'hooks.text_handler');
SELECT dataflows.create_webhook('/a', starts => 'hooked', handler => 'hooks.definer');
SET ROLE hook_other;
SELECT dataflows.create_webhook('/a', starts => 'hooked');
-- what is there
SET ROLE hook_author;
SELECT dataflows.create_webhook('/start', starts => 'hooked', key => '$.id');
SELECT dataflows.create_webhook('/start', starts => 'hooked');
SELECT dataflows.create_webhook('/signed', starts => 'hooked', verify => 'bearer',
  secret => 'hook_sender');
SELECT dataflows.create_webhook('/decided', signals => 'hooked', handler => 'hooks.handler',
  filter => 'exists($.decision)');
SELECT path, starts, signals, event, key, verify, secret_of, filter, handler, owner, deliveries
  FROM dataflows.webhooks ORDER BY path;
SELECT count(*) FROM dataflows.webhook;
SET ROLE hook_other;
SELECT count(*) FROM dataflows.webhooks;
SELECT dataflows.drop_webhook('/start');
SELECT dataflows.receive_webhook('/start', '{}', '{}');
-- deliveries by SQL
RESET ROLE;
GRANT EXECUTE ON FUNCTION dataflows.receive_webhook TO hook_other;
SET ROLE hook_other;
SELECT dataflows.receive_webhook(NULL, '{}', '{}');
SELECT dataflows.receive_webhook('/start', '[]', '{}');
SELECT dataflows.receive_webhook('/nowhere', '{}', '{}');
SELECT dataflows.receive_webhook('/start', '{}', '{"id": 7}') - 'run' AS answer;
SELECT dataflows.receive_webhook('/start', '{}', '{"id": null}');
SELECT dataflows.receive_webhook('/start', '{}', '{"id": [1]}');
SELECT dataflows.receive_webhook('/start', '{}', '{"id": ');
SELECT dataflows.receive_webhook('/start', '{}', '\x7b00');
SELECT dataflows.receive_webhook('/start', '{}', '\xff');
SELECT dataflows.receive_webhook('/start', '{}', convert_to('{"id": "' || repeat('x', 2000) || '"}',
  'UTF8'));
SELECT dataflows.receive_webhook('/start', '{"Content-Type": "application/x-www-form-urlencoded"}',
  'id=f%20orm&tag=a&tag=b+c&empty') - 'run' AS answer;
SELECT dataflows.receive_webhook('/start', '{"Content-Type": "application/x-www-form-urlencoded"}',
  'id=%zz');
SELECT dataflows.receive_webhook('/start', '{"Content-Type": "application/x-www-form-urlencoded"}',
  convert_to(repeat('id=1&', 10001), 'UTF8'));
SELECT dataflows.receive_webhook('/signed', '{}', '{}');
SELECT dataflows.receive_webhook('/signed', '{"Authorization": "Bearer wrong"}', '{}');
SELECT dataflows.receive_webhook('/signed', '{"AUTHORIZATION": "Bearer s3cret-value"}', '{}') -
  'run' AS answer;
SELECT dataflows.receive_webhook('/signed', '{"Authorization": "Bearer older-value"}', '') - 'run'
  AS answer;
-- the handler decides
SELECT dataflows.receive_webhook('/decided', '{}', '{}');
SELECT dataflows.receive_webhook('/decided', '{}', '{"decision": null}');
SELECT dataflows.receive_webhook('/decided', '{}', '{"decision": {"ignored": "not ours"}}');
SELECT dataflows.receive_webhook('/decided', '{}', '{"decision": {"key": "later"}}');
SELECT dataflows.receive_webhook('/decided', '{}',
  '{"decision": {"key": "later", "event": "paid", "input": {"sum": 3}}}');
-- what the caller has put in the handler's way is not found
SET ROLE hook_author;
CREATE FUNCTION hooks.careless(headers jsonb, body jsonb) RETURNS jsonb LANGUAGE plpgsql AS $$ BEGIN
  RETURN decide(body); END $$;
SELECT dataflows.create_webhook('/careless', starts => 'hooked', handler => 'hooks.careless');
RESET ROLE;
CREATE SCHEMA hook_trap AUTHORIZATION hook_other;
GRANT EXECUTE ON FUNCTION dataflows.receive_webhook TO hook_other;
SET ROLE hook_other;
GRANT USAGE ON SCHEMA hook_trap TO PUBLIC;
CREATE FUNCTION hook_trap.decide(jsonb) RETURNS jsonb LANGUAGE plpgsql AS $$
  BEGIN RAISE WARNING 'trapped %', current_user; RETURN $1; END $$;
SET search_path = hook_trap, public;
SELECT dataflows.receive_webhook('/careless', '{}', '{}');
SHOW search_path;
RESET search_path;
RESET ROLE;
-- a repeated delivery answers the same and does nothing
SELECT dataflows.receive_webhook('/start', '{"Idempotency-Key": "one"}', '{"id": "twice"}') =
  dataflows.receive_webhook('/start', '{"idempotency-key": "one"}', '{"id": "other"}') AS same;
RESET ROLE;
SELECT key, input, started_by FROM dataflows.runs WHERE workflow = 'hooked' ORDER BY started_at;
SELECT key, event, payload, sent_by FROM dataflows.inbox WHERE workflow = 'hooked' ORDER BY id;
SELECT path, outcome, event_id, answer - 'run' AS answer FROM dataflows.webhook_delivery
  ORDER BY id;
-- no secret anywhere
SELECT count(*) FROM (SELECT w::text FROM dataflows.webhook w UNION ALL SELECT d::text
  FROM dataflows.webhook_delivery d UNION ALL SELECT v::text FROM dataflows.webhooks v) x(t)
  WHERE t LIKE '%-value%';
SET ROLE hook_author;
SELECT dataflows.drop_webhook('/start');
SELECT dataflows.drop_webhook('/start');
SELECT dataflows.drop_webhook('/signed'), dataflows.drop_webhook('/decided');
RESET ROLE;
SELECT count(*) FROM dataflows.webhook_delivery;
ROLLBACK;
