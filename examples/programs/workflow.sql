-- Run as app, which owns the table and the workflow.  The programs connect as web.

CREATE TABLE signups (
  id int GENERATED ALWAYS AS IDENTITY PRIMARY KEY,
  email text NOT NULL,
  confirmed boolean NOT NULL DEFAULT false
);

CREATE FUNCTION sign_up(event jsonb) RETURNS jsonb LANGUAGE plpgsql AS $$
DECLARE
  account jsonb;
BEGIN
  account := dataflows.post('create-account', 'identity', '/users',
    jsonb_build_object('email', event->>'email'), undo => 'DELETE /users/{id}');
  IF dataflows.wait_for('email-confirmed', timeout => '7 days') IS NULL THEN
    RAISE EXCEPTION 'address never confirmed';
  END IF;
  PERFORM dataflows.query('note', 'UPDATE signups SET confirmed = true WHERE id = $1::int',
    jsonb_build_array(event->'id'), undo => 'none');
  -- tells the application, which need not ask then
  PERFORM dataflows.post('tell-the-shop', 'shop', '/signed-up',
    jsonb_build_object('signup', event->'id', 'account', account->'id'), undo => 'none');
  RETURN jsonb_build_object('account', account->'id');
END $$;

SELECT dataflows.define_workflow('signup', 'sign_up', notify => 'signups');
CREATE TRIGGER sign_up AFTER INSERT ON signups FOR EACH ROW
  EXECUTE FUNCTION dataflows.start_on_insert('signup', 'id');

-- what web may do; starting needs no right, since the trigger acts as the owner of the table
GRANT SELECT, INSERT ON signups TO web;
SELECT dataflows.allow('signup', 'web', 'see', 'signal:email-confirmed');
