-- The tests of the onboarding, by pgTAP and dataflows.simulate(): no system is asked, nobody waits,
-- and nothing is left. Run as app by examples/run.sh, or: psql -U app -X -A -t -q -f test.sql

BEGIN;
\ir ../testing.sql
SELECT no_plan();

\set ada '{"id": 1, "email": "ada@example.com", "name": "Ada", "plan": "pro"}'

-- ---- all is well ---------------------------------------------------------------------

SELECT happens('customer-onboarding', :'ada',
  '{"event:email-confirmed": {"after": "2 days"}}', ARRAY[
  'create-account probe not_found',
  'create-account http done',
  'create-billing http done',
  'create-crm-contact http done',
  'email-confirmed wait done',
  'send-welcome http done',
  'run completed'], 'a signup becomes a customer');

SELECT is(output, '{"account": "usr_1", "customer": "cus_1", "contact": "con_1"}',
    'its result has the ids that the systems gave')
  FROM dataflows.simulate('customer-onboarding', :'ada', '{"create-account": {"id": "usr_1"},
    "create-billing": {"id": "cus_1"}, "create-crm-contact": {"id": "con_1"},
    "event:email-confirmed": {}}')
 WHERE kind = 'run';

-- ---- what is refused -----------------------------------------------------------------

SELECT undoes('customer-onboarding', :'ada', '{"create-account": {"status": 409}}', '{}',
  'an account that cannot be made: nothing is there to be undone');
SELECT undoes('customer-onboarding', :'ada',
  '{"create-billing": {"status": 402, "body": {"error": "card declined"}}}',
  '{create-account}', 'a card that is declined: the account is deleted again');
SELECT undoes('customer-onboarding', :'ada', '{"create-crm-contact": {"is": "fail"}}',
  '{create-billing,create-account}', 'a contact that is refused: undone newest first');

-- what was there before is not ours: it is found by the look before the first request
SELECT undoes('customer-onboarding', :'ada', '{"create-account/probe": {"id": "usr_0"}}', '{}',
  'an address that has an account already: the account stays');
SELECT matches(output->>'message', 'existed before', 'and the run says so')
  FROM dataflows.simulate('customer-onboarding', :'ada',
    '{"create-account/probe": {"id": "usr_0"}}')
 WHERE kind = 'run';

-- a request that is wrong is a mistake of ours: no customer is undone for it
SELECT needs_a_person('customer-onboarding', :'ada', '{"create-billing": {"status": 400}}',
  'create-billing', 'a request that billing does not understand');

-- ---- seven days ----------------------------------------------------------------------

SELECT undoes('customer-onboarding', :'ada', '{}',
  '{create-crm-contact,create-billing,create-account}', 'an address that is never confirmed');
SELECT is(at, '7 days', 'is given up after seven days')
  FROM dataflows.simulate('customer-onboarding', :'ada') WHERE step = 'email-confirmed';
SELECT completes('customer-onboarding', :'ada',
  '{"event:email-confirmed": {"after": "6 days 23 hours"}}', 'the last hour is early enough');
SELECT undoes('customer-onboarding', :'ada',
  '{"event:email-confirmed": {"after": "7 days 1 second"}}',
  '{create-crm-contact,create-billing,create-account}', 'a second later is too late');

-- ---- responses that do not come ------------------------------------------------------

SELECT happens('customer-onboarding', :'ada',
  '{"create-crm-contact": "lost", "event:email-confirmed": {}}', ARRAY[
  'create-account probe not_found',
  'create-account http done',
  'create-billing http done',
  'create-crm-contact http in_doubt',
  'create-crm-contact probe found',
  'create-crm-contact http done',
  'email-confirmed wait done',
  'send-welcome http done',
  'run completed'], 'the CRM has made the contact, and its response is lost: it is found');
SELECT completes('customer-onboarding', :'ada',
  '{"create-crm-contact": ["timeout", {"id": "con_1"}],
    "create-crm-contact/probe": {"body": []}, "event:email-confirmed": {}}',
  'it has not made it: it is sent again');
SELECT completes('customer-onboarding', :'ada',
  '{"create-account": "lost", "create-account/probe": [{"body": []}, {"id": "usr_1"}],
    "event:email-confirmed": {}}', 'the response about the account is lost');
SELECT completes('customer-onboarding', :'ada',
  '{"create-billing": ["lost", "timeout", {"status": 201}], "event:email-confirmed": {}}',
  'billing is sent the same again, under its key');
SELECT happens('customer-onboarding', :'ada',
  '{"send-welcome": "lost", "event:email-confirmed": {}}', ARRAY[
  'create-account probe not_found',
  'create-account http done',
  'create-billing http done',
  'create-crm-contact http done',
  'email-confirmed wait done',
  'send-welcome http accepted',
  'run completed'], 'no customer is undone for a mail');

-- ---- systems that are down -----------------------------------------------------------

SELECT completes('customer-onboarding', :'ada',
  '{"create-billing": ["down", {"status": 503}, "down", {"id": "cus_1"}],
    "event:email-confirmed": {}}', 'billing is down for a while');
SELECT cmp_ok(at, '>=', interval '1 hour', 'and may say when it wants to be asked again')
  FROM dataflows.simulate('customer-onboarding', :'ada', '{"create-billing": [
    {"status": 429, "headers": {"Retry-After": "3600"}}, {"id": "cus_1"}]}')
 WHERE step = 'create-billing' AND outcome = 'done';
SELECT needs_a_person('customer-onboarding', :'ada', '{"create-billing": "down"}',
  'create-billing', 'billing is down for good');
SELECT is(outcome, 'retries forever', 'credentials that are refused: nobody is undone for them')
  FROM dataflows.simulate('customer-onboarding', :'ada', '{"create-billing": {"status": 401}}')
 WHERE step = 'create-billing' ORDER BY n DESC LIMIT 1;

-- ---- crashes -------------------------------------------------------------------------

SELECT survives_crashes('customer-onboarding', :'ada', '{"event:email-confirmed": {}}',
  'a crash after each request on the way');
SELECT survives_crashes('customer-onboarding', :'ada', '{}', 'a crash after each undo');

-- ---- wherever something goes wrong ---------------------------------------------------

SELECT leaves_nothing('customer-onboarding', :'ada', '{"event:email-confirmed": {}}',
  'each step refused, lost, late, down, or followed by a crash');

-- ---- undos that fail -----------------------------------------------------------------

SELECT undoes('customer-onboarding', :'ada', '{"create-billing": {"status": 402},
  "create-account/undo": ["down", {"status": 500}, {"status": 204}]}',
  '{create-account}', 'the undo of the account is tried again');
SELECT undoes('customer-onboarding', :'ada', '{"create-billing": {"status": 402},
  "create-account/undo": {"status": 404}}',
  '{create-account}', 'somebody has deleted the account already');
SELECT needs_a_person('customer-onboarding', :'ada', '{"create-billing": {"status": 402},
  "create-account/undo": {"status": 403}}',
  'create-account', 'an undo that is refused');

-- ---- what explain() finds ------------------------------------------------------------

SELECT is(string_agg(concat_ws(' ', kind, step, finding), '; '), NULL,
    'explain() finds nothing wrong')
  FROM dataflows.explain('customer-onboarding', :'ada', '{"event:email-confirmed": {}}')
 WHERE part = 'lint';

SELECT * FROM finish();
ROLLBACK;
