-- The tests of the welcome, by pgTAP and dataflows.simulate(): no vendor is asked, nobody waits a
-- week, and nothing is left. Run as app by examples/run.sh, or: psql -U app -X -A -t -q -f test.sql

BEGIN;
\ir ../testing.sql
SELECT no_plan();

\set ada '{"id": 1, "email": "ada@example.com", "name": "Ada"}'
-- what the vendors say, as they document it
SELECT '{"create-user": {"status": 201, "body": {"user_id": "email|1",
    "identities": [{"connection": "email"}]}},
  "create-customer": {"id": "cus_1"},
  "create-contact": {"status": 201, "body": {"id": "101"}}}' AS usual \gset
\set confirmed '{"event:confirmed": {"after": "2 days"}}'
\set unsubscribed '{"event:unsubscribed": {"after": "2 days"}}'
\set left '{"event:left": {"after": "2 days"}}'

-- ---- the sequence --------------------------------------------------------------------

SELECT happens('welcome', :'ada', :'usual', ARRAY[
  'create-user http done',
  'create-customer http done',
  'create-contact probe not_found',
  'create-contact http done',
  'welcome http done',
  'wait_any wait timed_out',
  'first-steps http done',
  'wait_any#2 wait timed_out',
  'last-call http done',
  'run completed'], 'who is silent gets three mails');
SELECT is(array_agg(step || ' after ' || at ORDER BY n), '{welcome after 00:00:00,'
    'first-steps after 3 days,last-call after 7 days}', 'at once, after three days, after a week')
  FROM dataflows.simulate('welcome', :'ada', :'usual')
 WHERE step IN ('welcome', 'first-steps', 'last-call');
SELECT is(output, '{"user": "email|1", "customer": "cus_1", "contact": "101",
    "ended_by": "silence"}', 'its result has the ids that the vendors gave')
  FROM dataflows.simulate('welcome', :'ada', :'usual') WHERE kind = 'run';

-- ---- what ends it --------------------------------------------------------------------

SELECT happens('welcome', :'ada', jsonb :'usual' || :'confirmed', ARRAY[
  'create-user http done',
  'create-customer http done',
  'create-contact probe not_found',
  'create-contact http done',
  'welcome http done',
  'wait_any wait done',
  'run completed'], 'who confirms on the second day gets one mail');
SELECT completes('welcome', :'ada', jsonb :'usual' || :'unsubscribed',
  'who unsubscribes stays a customer');
SELECT is(array_agg(output->>'ended_by'), '{unsubscribed}', 'and the result says why it ended')
  FROM dataflows.simulate('welcome', :'ada', jsonb :'usual' || :'unsubscribed')
 WHERE kind = 'run';
SELECT undoes('welcome', :'ada', jsonb :'usual' || :'left',
  '{create-contact,create-customer,create-user}', 'who leaves is nowhere any more');
SELECT is(output->>'message', 'the customer left', 'and the run says why')
  FROM dataflows.simulate('welcome', :'ada', jsonb :'usual' || :'left') WHERE kind = 'run';

SELECT undoes('welcome', :'ada', jsonb :'usual' || '{"event:left": {"after": "6 days"}}',
  '{create-contact,create-customer,create-user}', 'nor who leaves after the second mail');

-- each ending in the first wait, in the second, and after the last mail
SELECT is(mails, CASE WHEN after < 3 THEN '{welcome}' WHEN after < 4 THEN '{welcome,first-steps}'
      ELSE '{welcome,first-steps,last-call}'::text[] END,
    format('%s %s days after the first mail: %s in all', event, after, cardinality(mails)))
  FROM unnest(ARRAY['confirmed', 'unsubscribed', 'left']) AS event,
    unnest(ARRAY[0, 2, 3.5, 8]) AS after,
    LATERAL (SELECT array_agg(step ORDER BY n) AS mails
               FROM dataflows.simulate('welcome', :'ada', jsonb :'usual' || jsonb_build_object(
                 'event:' || event, jsonb_build_object('after', after || ' days')))
              WHERE step IN ('welcome', 'first-steps', 'last-call')) AS sent;
SELECT completes('welcome', :'ada', jsonb :'usual' || '{"event:confirmed": {"after": "1 day"},
  "event:left": {"after": "2 days"}}', 'the first of two counts');

-- ---- what is refused -----------------------------------------------------------------

SELECT undoes('welcome', :'ada', jsonb :'usual' || :'confirmed' || '{"create-user": {"status": 409,
  "body": {"message": "The user already exists."}}}', '{}', 'an address that has a user already');
SELECT undoes('welcome', :'ada', jsonb :'usual' || :'confirmed' || '{"create-customer":
  {"status": 402, "body": {"error": {"code": "card_declined"}}}}',
  '{create-user}', 'a card that is declined: the user is deleted again');
SELECT undoes('welcome', :'ada', jsonb :'usual' || :'confirmed' || '{"create-contact":
  {"status": 409, "body": {"message": "Contact already exists. Existing ID: 7"}}}',
  '{create-customer,create-user}', 'a contact that existed before is not ours, and stays');
SELECT completes('welcome', :'ada', jsonb :'usual' || '{"first-steps": {"is": "fail"}}',
  'no customer is undone for a mail');
SELECT needs_a_person('welcome', :'ada', jsonb :'usual' || :'confirmed'
  || '{"create-contact": {"status": 400}}',
  'create-contact', 'a request that HubSpot does not understand: a mistake of ours');

-- ---- responses that do not come ------------------------------------------------------

SELECT completes('welcome', :'ada', jsonb :'usual' || :'confirmed'
  || '{"create-customer": ["lost", "timeout", {"id": "cus_1"}]}',
  'Stripe is sent the same again, under its key');
SELECT happens('welcome', :'ada', jsonb :'usual' || :'confirmed' || '{"create-contact": "lost"}',
  ARRAY[
  'create-user http done',
  'create-customer http done',
  'create-contact probe not_found',
  'create-contact http in_doubt',
  'create-contact probe found',
  'create-contact http done',
  'welcome http done',
  'wait_any wait done',
  'run completed'], 'HubSpot has made the contact: it is found');
SELECT completes('welcome', :'ada', jsonb :'usual' || :'confirmed'
  || '{"welcome": ["lost", {"status": 202}]}', 'a mail is sent again rather than never');

-- ---- systems that are down -----------------------------------------------------------

SELECT completes('welcome', :'ada', jsonb :'usual' || :'confirmed' || '{"create-customer":
  ["down", {"status": 503}, {"id": "cus_1"}], "welcome": ["down", {"status": 202}]}',
  'Stripe and SendGrid are down for a while');
SELECT needs_a_person('welcome', :'ada', jsonb :'usual' || :'confirmed'
  || '{"create-contact": "down"}', 'create-contact', 'HubSpot is down for good');

-- ---- crashes, and whatever else goes wrong -------------------------------------------

SELECT survives_crashes('welcome', :'ada', :'usual', 'a crash after each request of the sequence');
SELECT survives_crashes('welcome', :'ada', jsonb :'usual' || :'confirmed',
  'a crash after each request, if she confirms');
SELECT survives_crashes('welcome', :'ada', jsonb :'usual' || :'left', 'a crash after each undo');

-- Each step refused, lost, late, down, or followed by a crash: only a mail of which nobody can tell
-- whether it left comes twice
SELECT is(array_agg(what || ', ' || array_to_string(left_behind, ', ') ORDER BY what), ARRAY[
  'first-steps: answer lost, first-steps (made 2 times)',
  'first-steps: crash after it was sent, first-steps (made 2 times)',
  'last-call: answer lost, last-call (made 2 times)',
  'last-call: crash after it was sent, last-call (made 2 times)',
  'welcome: answer lost, welcome (made 2 times)',
  'welcome: crash after it was sent, welcome (made 2 times)'],
  'whatever goes wrong, nothing is left behind, and only mails come twice')
  FROM dataflows.simulate_all('welcome', :'ada', :'usual')
 WHERE left_behind <> '{}';
SELECT is(array_agg(what || ', ' || array_to_string(left_behind, ', ') ORDER BY what), ARRAY[
  'welcome: answer lost, welcome (made 2 times)',
  'welcome: crash after it was sent, welcome (made 2 times)'], 'the same, if she leaves')
  FROM dataflows.simulate_all('welcome', :'ada', jsonb :'usual' || :'left')
 WHERE left_behind <> '{}';
SELECT needs_a_person('welcome', :'ada', jsonb :'usual' || :'left'
  || '{"create-customer/undo": {"status": 403}}', 'create-customer', 'an undo that is refused');

-- ---- what explain() finds ------------------------------------------------------------

SELECT is(string_agg(concat_ws(' ', kind, step, finding), '; '), NULL,
    'explain() finds nothing wrong')
  FROM dataflows.explain('welcome', :'ada', :'usual')
 WHERE part = 'lint';

SELECT * FROM finish();
ROLLBACK;
