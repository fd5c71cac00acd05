--
-- dataflows.url(): values in paths
--
SET client_min_messages = warning;
CREATE EXTENSION IF NOT EXISTS dataflows;
RESET client_min_messages;
\pset format unaligned
\pset tuples_only on
SELECT dataflows.url('/contacts/%s', 'ada@example.com');
SELECT dataflows.url('/a/%s/b?q=%s&r=%s', 'x/y z', '"quoted" & more', 'ü');
SELECT dataflows.url('/plain');
SELECT dataflows.url('/discounts/10%%/%s', 'x');
SELECT dataflows.url('/files/%s', 'archive.tar.gz'), dataflows.url('/files/%s', '...'),
  dataflows.url('/.well-known/%s', 'x');
SELECT dataflows.url('/contacts?email=%s', '');
SELECT dataflows.url('/contacts?path=%s', '../x');
SELECT dataflows.url('/%s', VARIADIC ARRAY['a%2Fb']);

-- as many arguments as there are places
SELECT dataflows.url('/contacts/%s');
SELECT dataflows.url('/contacts/%s/%s', 'a');
SELECT dataflows.url('/contacts/%s', 'a', 'b');

-- nothing that is no value
SELECT dataflows.url('/contacts/%s', NULL);
SELECT dataflows.url('/contacts/%s/%s', 'a', NULL);
SELECT dataflows.url(NULL, 'a');
SELECT dataflows.url('/contacts/%s', VARIADIC NULL);
SELECT dataflows.url('/contacts/%s', '');

-- no other sequences
SELECT dataflows.url('/contacts/%d', '1');
SELECT dataflows.url('/contacts/%ü', '1');
SELECT dataflows.url('/contacts/%', '1');
SELECT dataflows.url('/a%2fb/%s', '1');

-- a value cannot climb out of its place, however it is written
SELECT dataflows.url('/contacts/%s', '..');
SELECT dataflows.url('/contacts/%s/x', '.');
SELECT dataflows.url('/contacts/%s', '../admins/1');
SELECT dataflows.url('/contacts/%s', '%2e%2E');
SELECT dataflows.url('/contacts/%s', '..\x');
SELECT dataflows.url('%s/x', '..');
SELECT dataflows.url('/contacts/../%s', '1');
SELECT dataflows.url('/contacts/%%2e%%2e/%s', '1');
SELECT dataflows.url('/%s/%s.', 'contacts', '.');
SELECT dataflows.url('//%s/x', 'evil.example.com');
\echo :LAST_ERROR_SQLSTATE

-- anybody may use it, also in an index
SELECT proisstrict, provolatile, proparallel, pg_catalog.has_function_privilege('public', oid,
  'EXECUTE') AS public
	FROM pg_catalog.pg_proc WHERE oid = 'dataflows.url(text, text[])'::pg_catalog.regprocedure;
