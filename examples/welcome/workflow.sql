-- Run as app.

CREATE TABLE signups (
  id    bigint GENERATED ALWAYS AS IDENTITY PRIMARY KEY,
  email text NOT NULL,
  name  text NOT NULL
);
GRANT INSERT ON signups TO web;

CREATE FUNCTION welcome(event jsonb) RETURNS jsonb LANGUAGE plpgsql AS $$
DECLARE
  email    text := event->>'email';
  name     text := event->>'name';
  endings  text[] := '{confirmed,unsubscribed,left}';
  account  jsonb;
  customer jsonb;
  contact  jsonb;
  ending   jsonb;
BEGIN
  account  := auth0.create_user('create-user', email, name, connection => 'email');
  customer := stripe.create_customer('create-customer', email, name);
  contact  := hubspot.create_contact('create-contact', email, run_property => 'dataflows_run');
  PERFORM send_welcome('welcome', email, name);

  -- the first of the three ends the sequence, whenever it comes: after the wait it is kept for the
  -- next one
  ending := dataflows.wait_any(endings, timeout => '3 days');
  IF ending IS NULL THEN
    PERFORM send_welcome('first-steps', email, name);
    ending := dataflows.wait_any(endings, timeout => '4 days');
  END IF;
  IF ending IS NULL THEN
    PERFORM send_welcome('last-call', email, name);
  END IF;

  -- the run fails: contact, customer and user are undone, newest first
  IF ending->>'event' = 'left' THEN
    PERFORM dataflows.fail('the customer left');
  END IF;
  RETURN jsonb_build_object('user', account->'user_id', 'customer', customer->'id',
    'contact', contact->'id', 'ended_by', coalesce(ending->>'event', 'silence'));
END $$;

-- In doubt it is sent again: twice is better than never. A mail that is refused is seen in the
-- steps, and the sequence goes on: no customer is undone for a mail.
CREATE FUNCTION send_welcome(template text, email text, name text) RETURNS void LANGUAGE plpgsql
AS $$
BEGIN
  PERFORM sendgrid.send(template, 'hello@shop.example', email, template_id => 'd-' || template,
    data => jsonb_build_object('name', name), doubt => 'resend');
EXCEPTION WHEN SQLSTATE 'DF001' THEN
  NULL;
END $$;

SELECT dataflows.define_workflow('welcome', 'welcome');

CREATE TRIGGER sign_up AFTER INSERT ON signups FOR EACH ROW
  EXECUTE FUNCTION dataflows.start_on_insert('welcome', 'id');

-- the website tells which link was clicked
SELECT dataflows.allow('welcome', 'web', 'signal');
