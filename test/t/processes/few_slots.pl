# Too few places among max_worker_processes: all owners go on by turns.

use strict;
use warnings;

use Test::More;
use Time::HiRes qw(time);
use PostgreSQL::Test::Cluster;
use PostgreSQL::Test::Utils;
use Dataflows;

my $systems = start_systems();

# the defaults of PostgreSQL and of the engine: no timer of ours is to be what lets the others go on
my $node = new_node('slots', conf => <<'CONF');
max_worker_processes = 8
dataflows.sweep_interval = '60s'
dataflows.worker_idle = '60s'
CONF

create_systems($node, 'postgres', $systems);
$node->safe_psql('postgres', "ALTER SERVER email OPTIONS (SET timeout '60s')");

sub define_owner
{
	my ($owner) = @_;

	return <<"SQL";
CREATE ROLE $owner LOGIN;
CREATE SCHEMA $owner AUTHORIZATION $owner;
GRANT EXECUTE ON FUNCTION dataflows.define_workflow TO $owner;
GRANT USAGE ON FOREIGN SERVER email TO $owner;
SET SESSION AUTHORIZATION $owner;
CREATE FUNCTION $owner.one(event jsonb) RETURNS jsonb LANGUAGE sql VOLATILE AS
  \$\$ SELECT dataflows.post('call', 'email', '/send', jsonb_build_object('to', event->>'email'),
    undo => 'none') \$\$;
CREATE FUNCTION $owner.sql(event jsonb) RETURNS jsonb LANGUAGE sql VOLATILE AS
  \$\$ SELECT dataflows.query('ask', 'SELECT 1') \$\$;
CREATE FUNCTION $owner.endless(event jsonb) RETURNS jsonb LANGUAGE plpgsql AS \$\$
BEGIN
  PERFORM dataflows.post('call', 'email', '/send', jsonb_build_object('to', event->>'email'),
    undo => 'none');
  PERFORM dataflows.continue_with(event);
END \$\$;
CREATE FUNCTION $owner.endless_sql(event jsonb) RETURNS jsonb LANGUAGE plpgsql AS \$\$
BEGIN
  PERFORM dataflows.query('ask', 'SELECT pg_sleep(0.05)');
  PERFORM dataflows.continue_with(event);
END \$\$;
SELECT dataflows.define_workflow('one-$owner', '$owner.one'),
  dataflows.define_workflow('sql-$owner', '$owner.sql'),
  dataflows.define_workflow('endless-$owner', '$owner.endless'),
    dataflows.define_workflow('endless-sql-$owner', '$owner.endless_sql');
RESET SESSION AUTHORIZATION;
SQL
}

sub start
{
	my ($kind, @owners) = @_;

	return $node->safe_psql(
		'postgres',
		join('',
			map { "SELECT dataflows.start('$kind-$_', '{\"email\": \"$kind-$_\@x\"}');" } @owners));
}

sub completed
{
	my ($kind, $n) = @_;

	return "SELECT count(*) = $n FROM dataflows.runs WHERE workflow LIKE '$kind-o%'
			AND state = 'completed'";
}

# every try of a request that was not the only one, or had no good answer
my $failed = 'SELECT step, attempt, outcome, error FROM dataflows.attempts LIMIT 5';
my @owners = map { "o$_" } 1 .. 50;

$node->safe_psql('postgres', join('', map { define_owner($_) } @owners));

# ---- fifty owners with a run each ----------------------------------------------------

my $begun = time();

start('one', @owners);
ok(wait_until($node, completed('one', 50), 150), 'fifty owners with a run each: all are completed')
	and note(sprintf('after %.1f s', time() - $begun));
start('sql', @owners);
ok(wait_until($node, completed('sql', 50), 150), 'so are fifty with a query each');
is($node->safe_psql('postgres', $failed), '', 'nothing was in doubt or sent again');

# ---- busy owners that never have nothing to do ------------------------------------------

start('endless', @owners[ 0 .. 5 ]);
start('endless-sql', @owners[ 0 .. 5 ]);
ok( wait_until(
		$node,
		"SELECT count(*) = 6 FROM dataflows.runs WHERE workflow LIKE 'endless-o%' AND round > 3"),
	'six busy owners all go on');
ok( wait_until(
		$node,
		"SELECT count(*) = 6 FROM dataflows.runs
			WHERE workflow LIKE 'endless-sql-o%' AND round > 3",
		60),
	'with twelve processes for five places');
ok( wait_until(
		$node,
		"SELECT state = 'crowded' AND reason ~ 'max_worker_processes' FROM dataflows.status()
			WHERE process = 'engine'"
	),
	'status() says so first');
ok( wait_until(
		$node,
		"SELECT count(*) > 0 FROM dataflows.status() WHERE process LIKE '%worker'
			AND state = 'to be started' AND waits_for ~ 'max_worker_processes' AND since < now()"
	),
	'and who waits for a place, and since when');
ok( wait_until(
		$node,
		"SELECT sum(value) > 0 FROM dataflows.metrics WHERE name = 'dataflows_processes_waiting'"),
	'so do the metrics');
start('one', 'o20');
ok(wait_until($node, completed('one', 51)), 'another owner gets its turn among them');

my $rounds = $node->safe_psql('postgres',
	"SELECT sum(round) FROM dataflows.runs WHERE workflow LIKE 'endless-o%'");

ok( wait_until(
		$node, "SELECT sum(round) > $rounds FROM dataflows.runs WHERE workflow LIKE 'endless-o%'"),
	'and they go on');
is($node->safe_psql('postgres', $failed), '', 'nothing of theirs was in doubt or sent again');
$node->safe_psql('postgres',
	"SELECT dataflows.cancel(run, 'enough') FROM dataflows.runs WHERE workflow LIKE 'endless%'");
ok( wait_until(
		$node,
		"SELECT count(*) = 0 FROM dataflows.runs WHERE state NOT IN ('completed', 'cancelled')", 60
	),
	'they hear that they are cancelled');
ok( wait_until($node, "SELECT state = 'running' FROM dataflows.status() WHERE process = 'engine'"),
	'when nobody waits any more, status() says that it is running');
is(() = slurp_file($node->logfile) =~ /out of background worker slots/g,
	1, 'the log had one line about it');

# ---- what is on the wire is heard out ------------------------------------------------------

$node->adjust_conf('postgresql.conf', 'max_worker_processes', '4');
$node->restart;
$systems->fault(
	'email',
	match => { email => 'one-o1@x' },
	fault => 'latency',
	ms => 5000,
	times => 1);
start('one', 'o1');
ok( wait_until(
		$node, 'SELECT sum(in_flight) = 1 FROM dataflows.status() WHERE process = \'worker\''),
	'a slow request is on the wire, and there is no other place');
start('one', 'o2');
ok( wait_until($node, "SELECT state = 'crowded' FROM dataflows.status() WHERE process = 'engine'"),
	'another owner waits');
ok(wait_until($node, completed('one', 53), 60), 'both are completed');
is($node->safe_psql('postgres', $failed), '', 'the slow request was not interrupted');

# ---- no place but one: even the coordinator leaves it to the workers ---------------------------

$node->adjust_conf('postgresql.conf', 'max_worker_processes', '3');
$node->restart;
start('one', @owners[ 0 .. 9 ]);
ok(wait_until($node, completed('one', 63), 120), 'one place is enough for ten owners');

# ---- more owners than slots ----------------------------------------------------------------------

$node->adjust_conf('postgresql.conf', 'max_worker_processes', '8');
$node->append_conf('postgresql.conf', 'dataflows.max_processes = 8');
$node->restart;
start('one', @owners);
ok(wait_until($node, completed('one', 113), 150), 'fifty owners have turns with eight slots, too');

# ---- who waits when processes end badly ----------------------------------------------------------

start('endless', @owners[ 0 .. 9 ]);
ok( wait_until(
		$node,
		"SELECT count(*) = 10 FROM dataflows.runs WHERE workflow LIKE 'endless-o%'
			AND state NOT IN ('cancelled', 'queued')",
		60),
	'ten busy owners');
for my $kind (qw(coordinator worker launcher))
{
	kill_process('TERM', $_) for pids_of($node, $kind);
	start('one', 'o30');
}
ok(wait_until($node, completed('one', 116), 60),
	'coordinator, workers and launcher are ended: the line goes on');
restart_hard($node, 'kill');
start('one', 'o31');
ok(wait_until($node, completed('one', 117), 60), 'also after a crash');
$node->safe_psql(
	'postgres',
	"SELECT dataflows.cancel(run, 'enough') FROM dataflows.runs WHERE workflow LIKE 'endless%'
		AND finished_at IS NULL"
);
ok( wait_until(
		$node,
		"SELECT count(*) = 0 FROM dataflows.runs WHERE state NOT IN ('completed', 'cancelled',
			'rolled_back')",
		90),
	'all of them end');

unlike(slurp_file($node->logfile), qr/PANIC|TRAP|terminated by signal/,
	'nothing crashed by itself');
$node->stop;
$systems->stop;
done_testing();
