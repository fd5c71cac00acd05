-- The tests of the monthly report, by pgTAP and dataflows.simulate(): with its children, and with
-- the SQL that they are given. Run as app by examples/run.sh, or:
-- psql -U app -X -A -t -q -f test.sql

BEGIN;
\ir ../testing.sql
SELECT no_plan();

INSERT INTO region_managers VALUES ('north', 'nora@example.com'), ('south', 'said@example.com');
INSERT INTO orders VALUES ('north', '2026-03-02', 100), ('north', '2026-03-31', 20.5),
  ('south', '2026-04-01', 1000);

\set march '{"month": "2026-03-01"}'

-- ---- all is well ---------------------------------------------------------------------

SELECT happens('monthly-report', :'march', '{}', ARRAY[
  'figures query done',
  'region:north > note http done',
  'region:south > note http done',
  'region:north call done',
  'region:south call done',
  'mail mail done',
  'run completed'], 'figures, a note for each region, a mail');
SELECT results_eq($$
  SELECT figure->>'region', (figure->>'orders')::int, (figure->>'amount')::numeric
    FROM dataflows.simulate('monthly-report', '{"month": "2026-03-01"}'),
      jsonb_array_elements(output) figure
   WHERE step = 'figures' ORDER BY 1 $$,
  $$ VALUES ('north', 2, 120.5), ('south', 0, 0) $$,
  'the figures are those of March, to its last day and no further');
SELECT is(count(*), 0::bigint, 'and the table of the figures is as it was') FROM figures;
SELECT is(output->>'month', to_char(now() AT TIME ZONE 'UTC' - interval '1 month', 'YYYY-MM-01'),
    'without a month in the input it is the month before')
  FROM dataflows.simulate('monthly-report', '{}') WHERE kind = 'run';

INSERT INTO figures VALUES ('2026-03-01', 'north', 1, 1);
SELECT undoes('monthly-report', :'march', '{}', '{}', 'a month that was reported before');
DELETE FROM figures;

-- ---- what is refused, lost, or down --------------------------------------------------

SELECT undoes('monthly-report', :'march', '{"mail": {"status": 550}}',
  '{region:south > note,region:south,region:north > note,region:north,figures}',
  'the mail is refused: notes and figures are deleted again');
SELECT undoes('monthly-report', :'march', '{"region:south > note": {"is": "fail"}}',
  '{region:north > note,region:north,figures}',
  'a note is refused: that of the other region is deleted again');
SELECT completes('monthly-report', :'march',
  '{"note": ["lost", "down", {"status": 503}, {"id": 1}], "mail": ["down", {"status": 421}, {}]}',
  'CRM and mail server are down for a while');
SELECT needs_a_person('monthly-report', :'march', '{"mail": "lost"}', 'mail',
  'whether the mail has left is not known: a person looks');

-- ---- crashes -------------------------------------------------------------------------

SELECT results_eq($$
  SELECT n, (SELECT outcome FROM dataflows.simulate('monthly-report', '{"month": "2026-03-01"}',
      '{}', n) WHERE kind = 'run') FROM generate_series(1, 3) n ORDER BY n $$,
  $$ VALUES (1, 'completed'), (2, 'completed'), (3, 'stuck') $$,
  'a crash after each note does no harm; after the mail it is not known whether it has left');
SELECT is(array_agg(DISTINCT left_behind) FILTER (WHERE left_behind <> '{}'), '{{mail}}',
    'wherever something goes wrong, only the mail may be there without being known')
  FROM dataflows.simulate_all('monthly-report', :'march');

-- ---- what explain() finds ------------------------------------------------------------

SELECT is(string_agg(concat_ws(' ', kind, step, finding), '; '), NULL,
    'explain() finds nothing wrong')
  FROM dataflows.explain('monthly-report', :'march')
 WHERE part = 'lint';

SELECT * FROM finish();
ROLLBACK;
