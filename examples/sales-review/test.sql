-- The tests of the sales review, by pgTAP and dataflows.simulate(): thirty days take no time. Run
-- as app by examples/run.sh, or: psql -U app -X -A -t -q -f test.sql

BEGIN;
\ir ../testing.sql
SELECT no_plan();

\set ada '{"id": 1, "email": "ada@example.com", "company": "Analytical Engines"}'
\set approved '{"event:reviewed": {"verdict": "approved"}}'

-- ---- all is well ---------------------------------------------------------------------

SELECT happens('sales-review', :'ada',
  jsonb :'approved' || '{"event:paid": {"amount": 99.5}}', ARRAY[
  'policy once done',
  'create-account http done',
  'create-lead http done',
  'reviewed wait done',
  'mark-approved http done',
  'create-billing http done',
  'alias alias done',
  'wait_any wait done',
  'mark-won http done',
  'run completed'], 'an application becomes a customer who has paid');
SELECT is(output, '{"customer": "cus_1", "paid": 99.5}', 'and the result says what was paid')
  FROM dataflows.simulate('sales-review', :'ada', jsonb :'approved'
    || '{"create-billing": {"id": "cus_1"}, "event:paid": {"amount": 99.5}}')
 WHERE kind = 'run';

-- ---- a person who decides ------------------------------------------------------------

SELECT happens('sales-review', :'ada',
  '{"event:reviewed": {"verdict": "rejected", "why": "no company"}}', ARRAY[
  'policy once done',
  'create-account http done',
  'create-lead http done',
  'reviewed wait done',
  'create-lead undo undone',
  'create-account undo undone',
  'on_failure/tell-applicant http done',
  'run rolled_back'], 'a rejection: lead and account go, then the applicant is told');
SELECT is(output->>'message', 'rejected by sales: no company', 'with the reason')
  FROM dataflows.simulate('sales-review', :'ada',
    '{"event:reviewed": {"verdict": "rejected", "why": "no company"}}')
 WHERE kind = 'run';

SELECT results_eq($$
  SELECT step, outcome, at FROM dataflows.simulate('sales-review', '{"id": 1}')
   WHERE step LIKE 'reviewed%' OR step LIKE 'remind%' ORDER BY n $$, $$
  VALUES ('reviewed', 'timed_out', interval '1 day'), ('remind-sales', 'done', '1 day'),
    ('reviewed#2', 'timed_out', '2 days'), ('remind-sales#2', 'done', '2 days'),
    ('reviewed#3', 'timed_out', '3 days'), ('remind-sales#3', 'done', '3 days'),
    ('reviewed#4', 'timed_out', '4 days') $$,
  'nobody decides: a reminder a day, and three at most');
SELECT undoes('sales-review', :'ada', '{}', '{create-lead,create-account}',
  'then the application is over');
SELECT completes('sales-review', :'ada',
  '{"event:reviewed": ["never", "never", {"verdict": "approved"}], "event:paid": {}}',
  'somebody decides after the second reminder');

UPDATE review_policy SET remind_after = '2 hours', reminders = 1;
SELECT is(max(at), interval '4 hours', 'another policy: one reminder, after two hours')
  FROM dataflows.simulate('sales-review', :'ada') WHERE step LIKE 'reviewed%';

-- ---- the first payment ---------------------------------------------------------------

SELECT undoes('sales-review', :'ada', jsonb :'approved' || '{"event:withdrawn": {}}',
  '{create-billing,create-lead,create-account}', 'the customer withdraws');
SELECT undoes('sales-review', :'ada', :'approved',
  '{create-billing,create-lead,create-account}', 'nobody pays');
SELECT is(at, '14 days', 'for 14 days')
  FROM dataflows.simulate('sales-review', :'ada', :'approved') WHERE step = 'wait_any';
SELECT completes('sales-review', :'ada', jsonb :'approved'
  || '{"event:paid": {"after": "2 days"}, "event:withdrawn": {"after": "3 days"}}',
  'the payment comes first');
SELECT undoes('sales-review', :'ada', jsonb :'approved'
  || '{"event:paid": {"after": "3 days"}, "event:withdrawn": {"after": "2 days"}}',
  '{create-billing,create-lead,create-account}', 'the withdrawal comes first');

-- the deadline of 30 days ends a review that takes too long, wherever the run is
UPDATE review_policy SET remind_after = '20 days';
SELECT is(at, '30 days', 'after 30 days it is over')
  FROM dataflows.simulate('sales-review', :'ada') WHERE kind = 'run';

-- ---- failures, losses, crashes -------------------------------------------------------

SELECT undoes('sales-review', :'ada', jsonb :'approved' || '{"create-billing": {"status": 402}}',
  '{create-lead,create-account}', 'billing refuses');
SELECT completes('sales-review', :'ada', jsonb :'approved'
  || '{"create-account": ["lost", {"id": 1}], "create-lead": ["timeout", {"id": 1}],
       "create-billing": ["lost", {"status": 503}, {"id": 1}], "event:paid": {}}',
  'responses that are lost: the same is sent again under its key');
SELECT completes('sales-review', :'ada', jsonb :'approved'
  || '{"event:reviewed": ["never", {"verdict": "approved"}], "remind-sales": "lost",
       "event:paid": {}}', 'nobody is undone for a reminder');
SELECT survives_crashes('sales-review', :'ada', jsonb :'approved' || '{"event:paid": {}}',
  'a crash after each request on the way');
SELECT survives_crashes('sales-review', :'ada', :'approved',
  'a crash after each undo, and after the mail to the applicant');
SELECT leaves_nothing('sales-review', :'ada', jsonb :'approved' || '{"event:paid": {}}',
  'wherever something goes wrong, nothing is left behind');

-- ---- what explain() finds ------------------------------------------------------------

SELECT is(string_agg(concat_ws(' ', kind, step, finding), '; '), NULL,
    'explain() finds nothing wrong')
  FROM dataflows.explain('sales-review', :'ada', jsonb :'approved' || '{"event:paid": {}}')
 WHERE part = 'lint';

SELECT * FROM finish();
ROLLBACK;
