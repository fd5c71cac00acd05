-- The tests of the off-boarding, by pgTAP and dataflows.simulate(): its SQL is really run, and
-- taken back. Run as app by examples/run.sh, or: psql -U app -X -A -t -q -f test.sql

BEGIN;
\ir ../testing.sql
SELECT no_plan();

INSERT INTO customers (id, email, account, customer, contact) OVERRIDING SYSTEM VALUE
  VALUES (901, 'ada@example.com', 'usr_1', 'cus_1', 'con_1'),
    (902, 'bob@example.com', 'usr_2', 'cus_2', 'con_2');
INSERT INTO orders VALUES (901, 'a loom', 120), (901, 'punched cards', 7.5);
INSERT INTO legal_holds VALUES (902, 'a lawsuit about the kite');

\set ada '{"customer": 901}'
\set bob '{"customer": 902}'

-- ---- all is well ---------------------------------------------------------------------

SELECT happens('off-boarding', :'ada', '{}', ARRAY[
  'who once done',
  'cancel-subscription http done',
  'export-data query done',
  'deletions-begin pivot done',
  'delete-contact http done',
  'delete-billing http done',
  'delete-account http done',
  'delete-rows query done',
  'say-goodbye http done',
  'run completed'], 'a customer leaves');
SELECT is(output, '[{"orders": 2, "customer": 901}]', 'with two orders to take away')
  FROM dataflows.simulate('off-boarding', :'ada') WHERE step = 'export-data';
SELECT is(count(*), 2::bigint, 'and nothing of that is left behind: the customers are there')
  FROM customers WHERE id > 900;
SELECT is(count(*), 0::bigint, 'and no exports') FROM exports;
SELECT completes('off-boarding', :'ada',
  '{"delete-contact": {"status": 404}, "delete-account": {"status": 410}}',
  'what is gone already counts as deleted');

-- ---- before the point of no return everything is undone ------------------------------

SELECT happens('off-boarding', :'bob', '{}', ARRAY[
  'who once done',
  'cancel-subscription http done',
  'export-data query failed',
  'cancel-subscription undo undone',
  'on_failure/tell-support http done',
  'run rolled_back'], 'a legal hold: the subscription is active again, and support is told');
SELECT matches(output->>'message', 'violates check constraint', 'with what the table said')
  FROM dataflows.simulate('off-boarding', :'bob') WHERE kind = 'run';
SELECT undoes('off-boarding', :'ada', '{"cancel-subscription": {"is": "fail"}}', '{}',
  'billing refuses: nothing has happened yet');

-- ---- after it a person is called -----------------------------------------------------

SELECT needs_a_person('off-boarding', :'ada',
  '{"delete-contact": {"status": 409, "body": {"error": "an open ticket"}}}',
  'delete-contact', 'a deletion is refused: nothing is undone');
SELECT needs_a_person('off-boarding', :'ada', '{"delete-billing": "down"}',
  'delete-billing', 'billing is down for good');
SELECT completes('off-boarding', :'ada',
  '{"delete-account": ["down", {"status": 503}, {"status": 204}]}',
  'it is down for a while');

-- ---- losses and crashes --------------------------------------------------------------

SELECT completes('off-boarding', :'ada', '{"cancel-subscription": ["lost", {"id": "cus_1"}],
  "delete-contact": ["timeout", {"status": 404}], "delete-billing": ["lost", {"status": 404}],
  "say-goodbye": "lost"}', 'responses that are lost');
SELECT survives_crashes('off-boarding', :'ada', '{}', 'a crash after each request on the way');
SELECT survives_crashes('off-boarding', :'bob', '{}', 'a crash before the undo, and after it');
SELECT leaves_nothing('off-boarding', :'ada', '{}',
  'wherever something goes wrong, nothing is left behind');

-- ---- what explain() finds ------------------------------------------------------------

SELECT is(string_agg(concat_ws(' ', kind, step, finding), '; '), NULL,
    'explain() finds nothing wrong')
  FROM dataflows.explain('off-boarding', :'ada')
 WHERE part = 'lint';

SELECT * FROM finish();
ROLLBACK;
