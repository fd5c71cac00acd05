-- Run as app.

CREATE TABLE signups (
  id    bigint GENERATED ALWAYS AS IDENTITY PRIMARY KEY,
  email text NOT NULL,
  name  text NOT NULL,
  plan  text NOT NULL DEFAULT 'basic'
);
GRANT INSERT ON signups TO web;

CREATE FUNCTION customer_onboarding(event jsonb) RETURNS jsonb LANGUAGE plpgsql AS $$
DECLARE
  account  jsonb;
  customer jsonb;
  contact  jsonb;
BEGIN
  -- no key, but addresses are unique there: the probe asks before the first send as well, and never
  -- adopts an account that was there before; by the run's id in it, an account that is found later
  -- is known to be ours
  account := dataflows.post('create-account', 'identity', '/users',
    jsonb_build_object('email', event->>'email', 'external_id', dataflows.run_id()),
    undo  => 'DELETE /users/{id}',
    probe => 'GET /users?email={request.email}');

  -- a trusted key: the same bytes are sent again until there is an answer
  customer := dataflows.post('create-billing', 'billing', '/customers',
    jsonb_build_object(
      'email', event->>'email',
      'metadata', jsonb_build_object('account', account->>'id', 'signup', event->>'id', 'plan',
        event->>'plan')),
    undo => 'DELETE /customers/{id}');

  -- no key and nothing unique: the run's id is stored in the contact, and the probe looks for that
  contact := dataflows.post('create-crm-contact', 'crm', '/contacts',
    jsonb_build_object(
      'name', event->>'name', 'email', event->>'email', 'customer', customer->>'id', 'external_id',
        dataflows.run_id()),
    undo  => 'DELETE /contacts/{id}',
    probe => 'GET /contacts?external_id={run}');

  IF dataflows.wait_for('email-confirmed', timeout => '7 days') IS NULL THEN
    RAISE EXCEPTION 'address never confirmed';
            -- the run fails: all three are undone, newest first
  END IF;

  -- a mail cannot be called back, and one too few is better than a customer undone for it
  PERFORM dataflows.post('send-welcome', 'email', '/send',
    jsonb_build_object('to', event->>'email', 'template', 'welcome', 'name', event->>'name'),
    undo => 'none', doubt => 'accept');

  RETURN jsonb_build_object('account', account->'id', 'customer', customer->'id', 'contact',
    contact->'id');
END $$;

SELECT dataflows.define_workflow('customer-onboarding', 'customer_onboarding');

CREATE TRIGGER onboard AFTER INSERT ON signups FOR EACH ROW
  EXECUTE FUNCTION dataflows.start_on_insert('customer-onboarding', 'id');
