-- Run as app.

CREATE TABLE customers (
  id       bigint GENERATED ALWAYS AS IDENTITY PRIMARY KEY,
  email    text NOT NULL,
  account  text NOT NULL,            -- ids in the systems
  customer text NOT NULL,
  contact  text NOT NULL,
  left_at  timestamptz
);
CREATE TABLE orders (customer bigint REFERENCES customers ON DELETE CASCADE, item text,
  amount numeric);

-- what they are given to take away; whoever is under a legal hold cannot be exported and deleted
CREATE TABLE legal_holds (customer bigint PRIMARY KEY REFERENCES customers ON DELETE CASCADE,
  why text);
CREATE TABLE exports (
  customer bigint PRIMARY KEY,
  data     jsonb NOT NULL,
  held     text CHECK (held IS NULL)
);

CREATE TABLE leaving (
  customer bigint PRIMARY KEY REFERENCES customers ON DELETE CASCADE,
  since    timestamptz DEFAULT now()
);
GRANT INSERT (customer) ON leaving TO support;

CREATE FUNCTION off_boarding(event jsonb) RETURNS jsonb LANGUAGE plpgsql AS $$
DECLARE
  who    jsonb;
  export jsonb;
BEGIN
  -- who it is, as it was when the run began: the row will be gone before the run is over
  who := dataflows.once('who', 'SELECT to_jsonb(c) FROM customers c WHERE id = $1',
    jsonb_build_array(event->'customer'));

  -- no further invoice; taken back if it comes to nothing
  PERFORM dataflows.patch('cancel-subscription', 'billing', dataflows.url('/customers/%s',
    who->>'customer'),
    '{"subscription": "cancelled"}',
    undo => 'PATCH /customers/{id}', undo_body => '{"subscription": "active"}');

  -- SQL as a step: written exactly once, whatever is killed meanwhile, and deleted again if the run
  -- fails
  export := dataflows.query('export-data',
    'INSERT INTO exports (customer, data, held)
     SELECT c.id, jsonb_build_object(''email'', c.email, ''orders'', coalesce(jsonb_agg(o) FILTER
       (WHERE o IS NOT NULL), ''[]'')),
            (SELECT why FROM legal_holds h WHERE h.customer = c.id)
       FROM customers c LEFT JOIN orders o ON o.customer = c.id WHERE c.id = $1 GROUP BY c.id
     RETURNING customer, jsonb_array_length(data->''orders'') AS orders',
    jsonb_build_array(event->'customer'),
    undo => 'DELETE FROM exports WHERE customer = ($1->0->>''customer'')::bigint');

  -- What is deleted cannot be brought back: from here the run only goes forward. If it cannot, a
  -- person is called.
  PERFORM dataflows.point_of_no_return('deletions-begin');

  -- three at once; a record that is gone already counts as deleted
  PERFORM dataflows.delete('delete-contact', 'crm', dataflows.url('/contacts/%s', who->>'contact'),
    undo => 'none', wait => false);
  PERFORM dataflows.delete('delete-billing', 'billing', dataflows.url('/customers/%s',
    who->>'customer'), undo => 'none', wait => false);
  PERFORM dataflows.delete('delete-account', 'identity', dataflows.url('/users/%s',
    who->>'account'), undo => 'none', wait => false);
  PERFORM dataflows.wait_all('delete-contact', 'delete-billing', 'delete-account');

  PERFORM dataflows.query('delete-rows', 'DELETE FROM customers WHERE id = $1',
    jsonb_build_array(event->'customer'), undo => 'none');
  PERFORM dataflows.post('say-goodbye', 'email', '/send',
    jsonb_build_object('to', who->>'email', 'template', 'goodbye', 'orders', export->0->'orders'),
    undo => 'none', doubt => 'accept');
  RETURN jsonb_build_object('exported', export->0->'orders');
END $$;

-- after a rollback: somebody has to talk to the customer
CREATE FUNCTION tell_support(context jsonb) RETURNS jsonb LANGUAGE plpgsql AS $$
BEGIN
  RETURN dataflows.post('tell-support', 'email', '/send',
    jsonb_build_object('to', 'support@example.com', 'template', 'off-boarding-failed', 'customer',
      context->'key',
      'why', context->'error'->'message'),
    undo => 'none');
END $$;

SELECT dataflows.define_workflow('off-boarding', 'off_boarding', on_failure => 'tell_support');

CREATE TRIGGER leave AFTER INSERT ON leaving FOR EACH ROW
  EXECUTE FUNCTION dataflows.start_on_insert('off-boarding', 'customer');
