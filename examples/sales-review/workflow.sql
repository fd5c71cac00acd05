-- Run as app.

CREATE TABLE applications (
  id      bigint GENERATED ALWAYS AS IDENTITY PRIMARY KEY,
  email   text NOT NULL,
  company text NOT NULL
);
GRANT INSERT ON applications TO web;

-- what the bank reports; customer is billing's id, not ours
CREATE TABLE payments (
  id       bigint GENERATED ALWAYS AS IDENTITY PRIMARY KEY,
  customer text NOT NULL,
  amount   numeric NOT NULL,
  state    text NOT NULL DEFAULT 'announced'
);
GRANT INSERT, UPDATE, SELECT ON payments TO bank;

-- may change at any time: a run takes what it finds at its beginning, and keeps it
CREATE TABLE review_policy (remind_after interval NOT NULL, reminders int NOT NULL);
INSERT INTO review_policy VALUES ('1 day', 3);

CREATE FUNCTION sales_review(event jsonb) RETURNS jsonb LANGUAGE plpgsql AS $$
DECLARE
  policy   jsonb;
  contact  jsonb;
  review   jsonb;
  customer jsonb;
  happened jsonb;
  reviewed text;
BEGIN
  policy := dataflows.once('policy', 'SELECT to_jsonb(p) FROM review_policy p');

  PERFORM dataflows.post('create-account', 'identity', '/users',
    jsonb_build_object('email', event->>'email', 'active', false), undo => 'DELETE /users/{id}');
  contact := dataflows.post('create-lead', 'crm', '/contacts',
    jsonb_build_object('email', event->>'email', 'company', event->>'company', 'stage', 'review'),
    undo => 'DELETE /contacts/{id}');

  -- Only members of sales can decide, and no NOTIFY. Each time round is a step of its own:
  -- reviewed, reviewed#2, ...
  FOR reminder IN 0 .. (policy->>'reminders')::int LOOP
    review := dataflows.wait_for('reviewed', timeout => (policy->>'remind_after')::interval,
      by => 'sales');
    reviewed := concat_ws('#', 'reviewed', nullif(reminder + 1, 1));
    EXIT WHEN review IS NOT NULL OR reminder = (policy->>'reminders')::int;
    PERFORM dataflows.post('remind-sales', 'email', '/send',
      jsonb_build_object('to', 'sales@example.com', 'template', 'please-review', 'company',
        event->>'company'),
      undo => 'none', doubt => 'accept');
  END LOOP;
  IF review IS NULL THEN
    RAISE EXCEPTION 'nobody reviewed the application';
  ELSIF review->>'verdict' IS DISTINCT FROM 'approved' THEN
    RAISE EXCEPTION 'rejected by sales: %', review->>'why';
  END IF;
  PERFORM dataflows.patch('mark-approved', 'crm', '/contacts/' || (contact->>'id'),
    jsonb_build_object('stage', 'approved', 'by', dataflows.response(reviewed)->>'sent_by'),
      undo => 'none');

  customer := dataflows.post('create-billing', 'billing', '/customers',
    jsonb_build_object('email', event->>'email', 'metadata', jsonb_build_object('application',
      event->>'id')),
    undo => 'DELETE /customers/{id}');

  -- from here on this run is also found by billing's id, which is all that the bank knows
  PERFORM dataflows.alias(customer->>'id');
  happened := dataflows.wait_any(ARRAY['paid', 'withdrawn'], timeout => '14 days');
  IF happened IS NULL THEN
    RAISE EXCEPTION 'never paid';
  ELSIF happened->>'event' = 'withdrawn' THEN
    RAISE EXCEPTION 'withdrawn by the customer';
  END IF;

  PERFORM dataflows.patch('mark-won', 'crm', '/contacts/' || (contact->>'id'),
    jsonb_build_object('stage', 'won'), undo => 'none');
  RETURN jsonb_build_object('customer', customer->'id', 'paid', happened->'payload'->'amount');
END $$;

-- after a rollback, with what happened: the applicant is told
CREATE FUNCTION tell_applicant(context jsonb) RETURNS jsonb LANGUAGE plpgsql AS $$
BEGIN
  RETURN dataflows.post('tell-applicant', 'email', '/send',
    jsonb_build_object('to', context->'input'->>'email', 'template', 'sorry', 'why',
      context->'error'->>'message'),
    undo => 'none', doubt => 'accept');
END $$;

SELECT dataflows.define_workflow('sales-review', 'sales_review', on_failure => 'tell_applicant',
  deadline => '30 days');

CREATE TRIGGER apply AFTER INSERT ON applications FOR EACH ROW
  EXECUTE FUNCTION dataflows.start_on_insert('sales-review', 'id');

-- a payment that becomes settled is the event "paid" of the run that has this customer as a key
CREATE TRIGGER settled AFTER INSERT OR UPDATE ON payments FOR EACH ROW WHEN (NEW.state = 'settled')
  EXECUTE FUNCTION dataflows.signal_on_change('sales-review', 'paid', 'customer');

-- sales may say what it decided, and nothing else
SELECT dataflows.allow('sales-review', 'sales', 'signal:reviewed');
