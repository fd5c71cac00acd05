-- What is measured: the onboarding of DESIGN section 1 without its wait, and a
-- workflow that does nothing but wait.  Run by role app.

CREATE FUNCTION customer_onboarding(event jsonb) RETURNS jsonb LANGUAGE plpgsql AS $$
DECLARE
  account  jsonb;
  customer jsonb;
BEGIN
  account := dataflows.post('create-account', 'identity', '/users',
               jsonb_build_object('email', event->>'email'), undo => 'DELETE /users/{id}');
  customer := dataflows.post('create-billing', 'billing', '/customers',
               jsonb_build_object('email', event->>'email', 'metadata',
                 jsonb_build_object('account', account->>'id')),
               undo => 'DELETE /customers/{id}');
  PERFORM dataflows.post('create-crm-contact', 'crm', '/contacts',
               jsonb_build_object('name', event->>'name', 'email', event->>'email', 'customer',
                 customer->>'id'),
               undo => 'DELETE /contacts/{id}');
  PERFORM dataflows.post('send-welcome', 'email', '/send',
               jsonb_build_object('to', event->>'email', 'template', 'welcome'), doubt => 'accept');
  RETURN jsonb_build_object('accountId', account->'id', 'customerId', customer->'id');
END $$;

CREATE FUNCTION wait_only(event jsonb) RETURNS jsonb LANGUAGE plpgsql AS $$
BEGIN
  RETURN dataflows.wait_for('go');
END $$;

SELECT dataflows.define_workflow('customer-onboarding', 'customer_onboarding');
SELECT dataflows.define_workflow('wait-only', 'wait_only');

CREATE TABLE signups (id int GENERATED ALWAYS AS IDENTITY PRIMARY KEY, email text, name text);
CREATE TRIGGER onboard AFTER INSERT ON signups REFERENCING NEW TABLE AS fresh FOR EACH STATEMENT
  EXECUTE FUNCTION dataflows.start_on_insert('customer-onboarding', 'id');

CREATE TABLE waiters (id int PRIMARY KEY);
CREATE TRIGGER wait AFTER INSERT ON waiters REFERENCING NEW TABLE AS fresh FOR EACH STATEMENT
  EXECUTE FUNCTION dataflows.start_on_insert('wait-only', 'id');

CREATE TABLE one_row (id bigint GENERATED ALWAYS AS IDENTITY PRIMARY KEY, note text);

-- one run after another: started, committed, awaited
CREATE TABLE latency (run uuid, begun timestamptz, seen timestamptz);
CREATE PROCEDURE one_after_another(runs int) LANGUAGE plpgsql AS $$
DECLARE
  begun timestamptz;
  id    uuid;
  state text;
BEGIN
  FOR i IN 1 .. runs LOOP
    begun := clock_timestamp();
    id := dataflows.start('customer-onboarding', jsonb_build_object('email', 'one' || i ||
      '@example.com', 'name', 'One'));
    COMMIT;
    state := dataflows.await(id);
    INSERT INTO latency VALUES (id, begun, clock_timestamp());
    IF state <> 'completed' THEN
      RAISE EXCEPTION 'run % is %', id, state;
    END IF;
    COMMIT;
    PERFORM pg_sleep(0.005);
  END LOOP;
END $$;
