# list_runs(), run_of(), find_person() and the view run_counts: right for whoever asks, and
# cheap with many runs, which is judged by the pages that are read.

use strict;
use warnings;

use Test::More;
use PostgreSQL::Test::Cluster;
use Dataflows;

my $systems = start_systems();
my $node = new_node('find');

create_systems($node, 'postgres', $systems, workflow => 0);

sub sql { return $node->safe_psql('postgres', $_[0]); }

sub as { my ($role, $sql) = @_; return sql("SET ROLE $role; $sql"); }

sql(<<'SQL');
CREATE ROLE clerk;
CREATE ROLE web;
CREATE ROLE stranger;
SQL
as_app($node, 'postgres', <<'SQL');
CREATE FUNCTION app.signup(event jsonb) RETURNS jsonb LANGUAGE plpgsql AS $$
BEGIN
  IF event ? 'alias' THEN PERFORM dataflows.alias(event->>'alias'); END IF;
  IF event ? 'refuse' THEN RAISE EXCEPTION 'refused'; END IF;
  IF event ? 'break' THEN PERFORM nothing_of_that_name(); END IF;
  IF event ? 'wait' THEN PERFORM dataflows.wait_for('go'); END IF;
  RETURN jsonb_build_object('customer', event->'customer');
END $$;
SELECT dataflows.define_workflow('signup', 'app.signup');
SELECT dataflows.define_workflow('other', 'app.signup');
SELECT dataflows.allow('signup', 'clerk', 'see');
SELECT dataflows.allow('other', 'web', 'start');
SQL

# ---- by key

my $first = as_app($node, 'postgres', "SELECT dataflows.start('signup', '{\"refuse\": 1}', 'ada')");

becomes($node, $first, 'rolled_back', 'a run ends and gives its key up');
is(as_app($node, 'postgres', "SELECT dataflows.run_of('signup', 'ada')"),
	$first, 'run_of() finds it all the same');

my $second = as_app($node, 'postgres',
	q{SELECT dataflows.start('signup', '{"wait": 1, "alias": "cus_7", "email": "ada@example.com"}',
		'ada')});

becomes($node, $second, 'waiting', 'another one has the key');
is(as_app($node, 'postgres', "SELECT dataflows.run_of('signup', 'ada')"),
	$second, 'the one that holds the key comes first');
is(as_app($node, 'postgres', "SELECT dataflows.run_of('signup', 'cus_7')"), $second, 'by alias');
is(as_app($node, 'postgres', "SELECT dataflows.run_of('signup', 'bob') IS NULL"),
	't', 'NULL for no such key');
is(as('clerk', "SELECT dataflows.run_of('signup', 'ada')"), $second, 'for who may see');
is(as('stranger', "SELECT dataflows.run_of('signup', 'ada') IS NULL"),
	't', 'NULL for who may not');

# ---- by person

as_app($node, 'postgres',
	"SELECT dataflows.signal('$second', 'go', '{\"by\": [\"ada\@example.com\"]}')");
becomes($node, $second, 'completed', 'it goes on');

my $third = as_app($node, 'postgres', q{SELECT dataflows.start('other', '{"customer": 4711}')});

becomes($node, $third, 'completed', 'a run with a number');
is( as_app(
		$node, 'postgres',
		"SELECT key || ': ' || found_in FROM dataflows.find_person('ada\@example.com')"),
	'ada: input, output of go, signal go',
	'an address in input and signal');
is(as_app($node, 'postgres', "SELECT found_in FROM dataflows.find_person('4711')"),
	'input, result', 'a number in input and result');
is(as_app($node, 'postgres', "SELECT found_in FROM dataflows.find_person('cus_7')"),
	'alias, input', 'an alias');
is(as('clerk', "SELECT count(*) FROM dataflows.find_person('4711')"),
	'0', 'nothing of what the role may not see');

# ---- newest first

sub list
{
	my ($role, $arguments) = @_;
	return as($role, "SELECT string_agg(run::text, ' ') FROM dataflows.list_runs($arguments)");
}

my $fourth = as('web', q{SELECT dataflows.start('other', '{"customer": 1}')});

becomes($node, $fourth, 'completed', 'another role starts one');
is(list('app', ''), "$fourth $third $second $first", 'the owner: all, newest first');
is(list('clerk', ''), "$second $first", 'who may see one workflow: those');
is(list('web', ''), $fourth, 'who started one: that one');
is(list('stranger', ''), '', 'anybody else: none');
is(list('app', 'max => 2'), "$fourth $third", 'so many');
is(list('app', "max => 2, before => '$third'"), "$second $first", 'and the next page');
is(list('app', "'signup', 'rolled_back'"), $first, 'of a workflow, in a state');

my ($rc, $out, $err) = $node->psql('postgres', q{SELECT dataflows.list_runs(state => 'done')});

like($err, qr/there is no state "done"/, 'an unknown state is refused');
like($err, qr/HINT:  The states are/, 'with those that there are');

# ---- counts

my $counts = "SELECT string_agg(workflow || ' ' || state || ' ' || runs, ', '
	ORDER BY workflow, state) FROM dataflows.run_counts";
my $truth = "SELECT string_agg(c, ', ' ORDER BY c) FROM (SELECT workflow || ' ' || state || ' ' ||
	count(*) AS c FROM dataflows.run GROUP BY workflow, state) t";

is(as('app', $counts), sql($truth), 'the counts are those of the table');
is(as('clerk', $counts), 'signup completed 1, signup rolled_back 1', 'only what the role may see');
is(as('stranger', $counts), '', 'nobody else sees one');

# a completed run that is undone, a stuck one that is abandoned, a purge
as_app($node, 'postgres', "SELECT dataflows.undo('$second', 'test')");
becomes($node, $second, 'rolled_back', 'a completed run is undone');

my $broken = as_app($node, 'postgres', q{SELECT dataflows.start('signup', '{"break": 1}')});

becomes($node, $broken, 'stuck', 'a stuck run');
is(list('app', "state => 'stuck'"), $broken, 'is listed as such');
as_app($node, 'postgres', "SELECT dataflows.abandon('$broken', 'test')");
becomes($node, $broken, 'abandoned', 'is abandoned');
as_app($node, 'postgres',
	"SELECT count(dataflows.start('signup', '{}')) FROM generate_series(1, 200)");
ok( wait_until(
		$node, q{SELECT count(*) >= 200 FROM dataflows.run WHERE workflow = 'signup' AND state =
			'completed'}
	),
	'two hundred more');
is(sql($counts), sql($truth), 'the counts are still right');
sql("UPDATE dataflows.run SET finished_at = finished_at - interval '100 days'
	WHERE workflow = 'signup'");
$node->append_conf('postgresql.conf',
	"dataflows.retention = '1 day'\ndataflows.sweep_interval = '1s'\n");
$node->reload;
ok( wait_until(
		$node, q{SELECT count(*) = 0 FROM dataflows.run WHERE workflow = 'signup'}),
	'they are purged');
is(sql($counts), sql($truth), 'the counts, too');
$node->append_conf('postgresql.conf', "dataflows.retention = '-1'\n");
$node->reload;

# rows that come or go by hand are not counted until somebody says so
sql("DELETE FROM dataflows.run WHERE run = '$third'");
isnt(sql($counts), sql($truth), 'a row that was deleted by hand is still counted');
sql('SELECT dataflows.adopt()');
is(sql($counts), sql($truth), 'adopt() counts anew');
$third = as_app($node, 'postgres', q{SELECT dataflows.start('other', '{}')});
becomes($node, $third, 'completed', 'the engine goes on');
is(sql($counts), sql($truth), 'and counts on');

# ---- many: what is read does not grow

sql(<<'SQL');
INSERT INTO dataflows.run (run, identity, started_at, version, workflow, started_by, input, state,
  finished_at, key_held, cause)
SELECT ('019' || lpad(to_hex(i), 9, '0') || '70008000' || lpad(to_hex(i), 12, '0'))::uuid, 0,
  '2020-01-01'::timestamptz + i * interval '1 s', 1,
  CASE WHEN i % 100 = 0 THEN 'signup' ELSE 'other' END, 'app', '{}',
  CASE WHEN i % 20000 = 7 THEN 'rolled_back' ELSE 'completed' END,
  '2020-01-01'::timestamptz + i * interval '1 s', false, CASE WHEN i % 20000 = 7 THEN 'failed' END
FROM generate_series(1, 200000) i;
ANALYZE dataflows.run;
SQL

sub pages
{
	my ($role, $query) = @_;
	my $plan = as($role, "EXPLAIN (ANALYZE, BUFFERS, TIMING OFF, COSTS OFF) $query");
	my $pages = 0;

	as($role, $query);
	my ($hit, $read) = $plan =~ /Buffers: shared(?: hit=(\d+))?(?: read=(\d+))?/;
	return ($hit // 0) + ($read // 0);
}

for (['the owner', 'app', ''],
	['who sees one workflow of a hundredth', 'clerk', ''],
	['a rare state', 'app', "'other', 'rolled_back'"],
	['stuck ones, of which there are none', 'app', "NULL, 'stuck'"],
	['waiting ones, of which there are none', 'app', "NULL, 'waiting'"])
{
	my ($name, $role, $arguments) = @$_;

	cmp_ok(pages($role, "SELECT * FROM dataflows.list_runs($arguments)"),
		'<', 4000, "$name: few pages are read");
}
cmp_ok(pages('app', 'SELECT * FROM dataflows.run_counts'), '<', 1000, 'counts: few pages');
cmp_ok(
	pages('app', "SELECT * FROM dataflows.runs WHERE run = '$third'"),
	'<', 300, 'a run by its id');
cmp_ok(
	pages('app', "SELECT * FROM dataflows.runs WHERE workflow = 'signup' AND key = 'x'"),
	'<', 300, 'a run by its key');

$node->stop;
done_testing();
