# Triggers of statements whose rows do not fit into work_mem.  What a tuple store
# that went to disk hands out belongs to its slot and is freed by it, once.
#
# DF_SPILL_ROWS  rows of a statement (default 100000)

use strict;
use warnings;

use Test::More;
use PostgreSQL::Test::Cluster;
use Dataflows;

my $rows = $ENV{DF_SPILL_ROWS} || 100_000;
my $few = $rows / 10;
my $node = new_node('spill', conf => <<'CONF');
work_mem = 64kB
maintenance_work_mem = 1MB
log_temp_files = 0
CONF

create_app($node);
# a type whose cast to json reads the rows that the trigger reads, and now and then writes
as_app($node, 'postgres', <<'SQL');
CREATE FUNCTION app.body(event jsonb) RETURNS jsonb LANGUAGE plpgsql AS $$ BEGIN RETURN event;
  END $$;
SELECT dataflows.define_workflow('w', 'app.body');
SELECT dataflows.define_workflow('inner', 'app.body');
CREATE TABLE app.plain (id int PRIMARY KEY, key text, filler text);
CREATE TABLE app.inner (id int);
CREATE TRIGGER start AFTER INSERT ON app.inner REFERENCING NEW TABLE AS fresh FOR EACH STATEMENT
  EXECUTE FUNCTION dataflows.start_on_insert('inner', 'id');
CREATE TYPE app.span AS RANGE (subtype = int);
CREATE TABLE app.cast_rows (id int PRIMARY KEY, key text, span app.span);
CREATE FUNCTION app.span_json(s app.span) RETURNS json LANGUAGE plpgsql AS $$
BEGIN
  IF lower(s) % 5000 = 0 THEN
    INSERT INTO app.inner SELECT generate_series(lower(s), lower(s) + 999);
  END IF;
  RETURN json_build_object('seen', (SELECT key FROM app.cast_rows WHERE id = lower(s)));
END $$;
CREATE CAST (app.span AS json) WITH FUNCTION app.span_json(app.span);
CREATE FUNCTION app.reads_them() RETURNS trigger LANGUAGE plpgsql AS $$
BEGIN
  PERFORM set_config('app.read', (SELECT current_setting('app.read', true) || ' ' || count(*) ||
    '/' || count(DISTINCT id) FROM fresh), true);
  RETURN NULL;
END $$;
SQL

my $fill = "SELECT i, 'k' || i, repeat('x', i % 50) FROM generate_series(1, $rows) i";
my $statement = 'REFERENCING NEW TABLE AS fresh FOR EACH STATEMENT';

# All of it in one transaction that is rolled back: no engine comes in between.
sub try_it
{
	my ($what, $sql, $look, $expected) = @_;
	my $answer = $node->safe_psql('postgres',
			  "BEGIN;\nSET LOCAL app.read = '';\nSET LOCAL ROLE app;\n$sql;\nRESET "
			. "ROLE;\n$look;\nROLLBACK;\n");

	is($answer, $expected, $what);
	return;
}

sub trigger
{
	my ($table, $event, $form, $call, $name) = @_;

	$name //= 'm';
	return "CREATE TRIGGER $name AFTER $event ON app.$table $form EXECUTE FUNCTION $call";
}

my $runs = q(SELECT count(*), count(DISTINCT run), count(DISTINCT input->>'id'), count(key),
		bool_and(key = input->>'key' AND key = 'k' || (input->>'id'))
	FROM dataflows.run WHERE workflow = 'w');
my $in_order =
	"SELECT count(*) FROM (SELECT key, lag(key) OVER (ORDER BY run) AS before FROM dataflows.run
		WHERE workflow = 'w') r "
	. 'WHERE key COLLATE "C" < before COLLATE "C"';
my $keyed = "$rows|$rows|$rows|$rows|t";
my $keyless = "$rows|$rows|$rows|0|";

try_it(
	'INSERT, by statement, with a key',
	trigger('plain', 'INSERT', $statement, "dataflows.start_on_insert('w', 'key')")
		. "; INSERT INTO app.plain $fill",
	"$runs; $in_order",
	"$keyed\n0");
try_it(
	'INSERT, by statement, without a key',
	trigger('plain', 'INSERT', $statement, "dataflows.start_on_insert('w')")
		. "; INSERT INTO app.plain $fill",
	$runs,
	$keyless);
try_it(
	'INSERT, by row, with a key',
	trigger('plain', 'INSERT', 'FOR EACH ROW', "dataflows.start_on_insert('w', 'key')")
		. "; INSERT INTO app.plain $fill LIMIT $few",
	$runs,
	"$few|$few|$few|$few|t");
try_it(
	'INSERT, by row, without a key',
	trigger('plain', 'INSERT', 'FOR EACH ROW', "dataflows.start_on_insert('w')")
		. "; INSERT INTO app.plain $fill LIMIT $few",
	$runs,
	"$few|$few|$few|0|");

my $file = $node->basedir . '/rows.csv';

PostgreSQL::Test::Utils::append_to_file($file, join('', map { "$_,k$_,x\n" } 1 .. $rows));
chmod(0644, $file);
# the file is the server's: COPY as the superuser, like psql's \copy of anybody
try_it(
	'COPY, by statement, with a key',
	trigger('plain', 'INSERT', $statement, "dataflows.start_on_insert('w', 'key')")
		. "; RESET ROLE; COPY app.plain FROM '$file' CSV",
	"$runs; $in_order",
	"$keyed\n0");
try_it(
	'COPY, by statement, without a key',
	trigger('plain', 'INSERT', $statement, "dataflows.start_on_insert('w')")
		. "; RESET ROLE; COPY app.plain FROM '$file' CSV",
	$runs,
	$keyless);
try_it(
	'COPY, by row',
	trigger('plain', 'INSERT', 'FOR EACH ROW', "dataflows.start_on_insert('w', 'key')")
		. "; RESET ROLE; COPY app.plain FROM '$file' CSV WHERE id <= $few",
	$runs,
	"$few|$few|$few|$few|t");

my $signals = q(SELECT count(*), count(DISTINCT key), count(DISTINCT payload->>'id'),
		bool_and(event = 'changed' AND key = payload->>'key' AND payload->>'filler' = 'new')
	FROM dataflows.inbox WHERE workflow = 'w');
my $call = "dataflows.signal_on_change('w', 'changed', 'key')";

try_it(
	'UPDATE, by statement: signals',
	"INSERT INTO app.plain $fill; "
		. trigger('plain', 'UPDATE', $statement, $call)
		. "; UPDATE app.plain SET filler = 'new'",
	$signals,
	"$rows|$rows|$rows|t");
try_it(
	'UPDATE, by row: signals',
	"INSERT INTO app.plain $fill; "
		. trigger('plain', 'UPDATE', 'FOR EACH ROW', $call)
		. "; UPDATE app.plain SET filler = 'new' WHERE id <= $few",
	$signals,
	"$few|$few|$few|t");
try_it(
	'the UPDATE arm of an upsert, by statement: signals',
	"INSERT INTO app.plain $fill; "
		. trigger('plain', 'UPDATE', $statement, $call)
		. "; INSERT INTO app.plain $fill ON CONFLICT (id) DO UPDATE SET filler = 'new'",
	$signals,
	"$rows|$rows|$rows|t");

# who reads the same rows before us, between two of ours, and after us
try_it(
	'other triggers read the same rows',
	join('; ',
		trigger('plain', 'INSERT', $statement, 'app.reads_them()', 'a'),
		trigger('plain', 'INSERT', $statement, "dataflows.start_on_insert('w', 'key')", 'b'),
		trigger('plain', 'INSERT', $statement, 'app.reads_them()', 'c'),
		trigger('plain', 'INSERT', $statement, "dataflows.start_on_insert('inner')", 'd'),
		trigger('plain', 'INSERT', $statement, 'app.reads_them()', 'e'),
		"INSERT INTO app.plain $fill"),
	"$runs; SELECT count(*) FROM dataflows.run WHERE workflow = 'inner'; SELECT "
		. "current_setting('app.read')",
	"$keyed\n$rows\n" . " $rows/$rows" x 3);

# user code within ours
my $cast_fill = "SELECT i, 'k' || i, app.span(i, i + 1) FROM generate_series(1, $rows) i";
my $inner = int($rows / 5000) * 1000;
my $seen =
	"SELECT count(*) FROM dataflows.run WHERE workflow = 'w' AND input->'span'->>'seen' = 'k' ||
		(input->>'id'); "
	. "SELECT count(*) FROM dataflows.run WHERE workflow = 'inner'";

for my $args ("'w', 'key'", "'w'")
{
	try_it(
		"a cast to json reads the table and writes: start_on_insert($args)",
		trigger('cast_rows', 'INSERT', $statement, "dataflows.start_on_insert($args)")
			. "; INSERT INTO app.cast_rows $cast_fill",
		$seen,
		"$rows\n$inner");
}
try_it('a cast to json that fails in the middle: nothing is left',
	<<"SQL", 'SELECT count(*) FROM dataflows.run', 0);
CREATE OR REPLACE FUNCTION app.span_json(s app.span) RETURNS json LANGUAGE plpgsql AS \$\$
BEGIN
  IF lower(s) = $rows - 10 THEN RAISE EXCEPTION 'no'; END IF;
  RETURN '{}';
END \$\$;
${\ trigger('cast_rows', 'INSERT', $statement, "dataflows.start_on_insert('w', 'key')")};
DO \$\$ BEGIN INSERT INTO app.cast_rows $cast_fill; EXCEPTION WHEN raise_exception THEN NULL;
  END \$\$
SQL

my $log = PostgreSQL::Test::Utils::slurp_file($node->logfile);

like($log, qr/temporary file: path/, 'rows went to disk');
unlike($log, qr/terminated by signal|crash of another server process/, 'the server stayed up');
$node->stop;
done_testing();
