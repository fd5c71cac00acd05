-- Run as app.

CREATE TABLE orders (region text NOT NULL, ordered_on date NOT NULL, amount numeric NOT NULL);
CREATE TABLE region_managers (region text PRIMARY KEY, email text NOT NULL);

-- what was reported: the primary key would refuse a second computation
CREATE TABLE figures (
  month  date NOT NULL,
  region text NOT NULL,
  orders bigint NOT NULL,
  amount numeric NOT NULL,
  PRIMARY KEY (month, region)
);

-- A child of the report, for one region: its figures as a note in the CRM. Undone if the report
-- fails.
CREATE FUNCTION region_report(event jsonb) RETURNS jsonb LANGUAGE plpgsql AS $$
DECLARE
  note jsonb;
BEGIN
  note := dataflows.post('note', 'crm', '/contacts',
    jsonb_build_object('email', event->>'manager', 'month', event->>'month', 'orders',
      event->'orders', 'amount', event->'amount'),
    undo => 'DELETE /contacts/{id}');
  RETURN jsonb_build_object('region', event->'region', 'note', note->'id');
END $$;

CREATE FUNCTION monthly_report(event jsonb) RETURNS jsonb LANGUAGE plpgsql AS $$
DECLARE
  -- the month before the one in which this run was started, whenever its body is entered
  month   date := coalesce((event->>'month')::date, date_trunc('month', dataflows.run_started_at()
    AT TIME ZONE 'UTC' - interval '1 month')::date);
  figures jsonb;
  figure  jsonb;
  notes   jsonb;
BEGIN
  -- computed exactly once, into a table; orders that are booked while the run goes on change
  -- nothing any more
  figures := dataflows.query('figures',
    'INSERT INTO figures (month, region, orders, amount)
     SELECT $1, m.region, count(o.*), coalesce(sum(o.amount), 0)
       FROM region_managers m LEFT JOIN orders o
         ON o.region = m.region AND o.ordered_on >= $1 AND o.ordered_on < $1 + interval ''1 month''
      GROUP BY m.region
     RETURNING region, orders, amount, (SELECT email FROM region_managers r
       WHERE r.region = figures.region) AS manager, month',
    jsonb_build_array(month),
    undo => 'DELETE FROM figures WHERE month = ($1->0->>''month'')::date');

  -- a run of its own for each region, all at once; named by the region, not by its place in a list
  FOR figure IN SELECT value FROM jsonb_array_elements(figures) LOOP
    PERFORM dataflows.call('region:' || (figure->>'region'), 'region-report', figure,
      wait => false);
  END LOOP;
  notes := dataflows.wait_all(VARIADIC ARRAY(SELECT 'region:' || (value->>'region')
    FROM jsonb_array_elements(figures)));

  PERFORM dataflows.send_mail('mail', 'mail', jsonb_build_object(
    'from', 'Reports <reports@example.com>',
    'to', coalesce(event->>'to', 'board@example.com'),
    'subject', 'Orders in ' || to_char(month, 'YYYY-MM'),
    'text', (SELECT string_agg(format('%s: %s orders, %s', value->>'region', value->>'orders',
      value->>'amount'), E'\n'
                               ORDER BY value->>'region') FROM jsonb_array_elements(figures)),
    'html', '<table>' || (SELECT string_agg(format('<tr><td>%s<td>%s<td>%s', value->>'region',
      value->>'orders', value->>'amount'), ''
                               ORDER BY value->>'region') FROM jsonb_array_elements(figures)) ||
                                 '</table>'));
  RETURN jsonb_build_object('month', month, 'regions', jsonb_array_length(figures), 'notes', notes);
END $$;

SELECT dataflows.define_workflow('region-report', 'region_report');
SELECT dataflows.define_workflow('monthly-report', 'monthly_report');

-- at six on the first of each month, in pg_cron's time zone
SELECT dataflows.schedule('monthly-report', '0 6 1 * *', 'monthly-report');
