# More databases than places for processes: coordinators come and go.

use strict;
use warnings;

use Test::More;
use Time::HiRes qw(time);
use PostgreSQL::Test::Cluster;
use PostgreSQL::Test::Utils;
use Dataflows;

my $systems = start_systems();

# three places for twelve databases, with the defaults of the engine
my $node = new_node('many', conf => <<'CONF');
max_worker_processes = 5
max_parallel_workers = 0
CONF
my @databases = map { "db$_" } 1 .. 12;

create_systems($node, 'template1', $systems, workflow => 0);
as_app($node, 'template1', <<'SQL');
CREATE FUNCTION app.waits(event jsonb) RETURNS jsonb LANGUAGE plpgsql AS $$
BEGIN
  PERFORM dataflows.post('call', 'email', '/send', jsonb_build_object('to', event->>'email'),
    undo => 'none');
  PERFORM dataflows.wait_for('go', timeout => '7 days');
  PERFORM dataflows.query('ask', 'SELECT 1');
  RETURN NULL;
END $$;
CREATE FUNCTION app.sleeps(event jsonb) RETURNS jsonb LANGUAGE plpgsql AS $$
BEGIN PERFORM dataflows.sleep('rest', '4 seconds'); RETURN NULL; END $$;
SELECT dataflows.define_workflow('waits', 'app.waits', accept_notify => 'none'),
  dataflows.define_workflow('sleeps', 'app.sleeps', accept_notify => 'none'),
  dataflows.define_workflow('hears', 'app.waits');
SQL

# a copy of the extension made as in each database's own installation
for my $db (@databases)
{
	$node->safe_psql('postgres', "CREATE DATABASE $db TEMPLATE template1");
	$node->safe_psql($db, 'SELECT dataflows.adopt()');
}

# the query says t in each of the databases, in the end
sub in_all
{
	my ($sql, @where) = @_;

	for my $db (@where)
	{
		return 0 if !wait_until($node, $sql, 120, $db);
	}
	return 1;
}

sub coordinators
{
	my ($db) = @_;

	return "SELECT count(*) FROM pg_stat_activity WHERE backend_type = 'dataflows coordinator'
			AND datname = '$db'";
}

# ---- all progress ------------------------------------------------------------------

my $begun = time();

as_app($node, $_, "SELECT dataflows.start('waits', '{\"email\": \"$_\@x\"}', 'k')") for @databases;
ok(in_all("SELECT count(*) = 1 FROM dataflows.runs WHERE state = 'waiting'", @databases),
	'each of twelve databases has sent its request, and waits');
note(sprintf('after %.1f s', time() - $begun));
ok( wait_until(
		$node,
		"SELECT count(*) <= 3 FROM pg_stat_activity WHERE backend_type LIKE 'dataflows%'
			AND backend_type <> 'dataflows launcher'"
	),
	'with three places');

# a wake starts the coordinator, wherever it is
as_app($node, $_, "SELECT dataflows.signal_by_key('waits', 'k', 'go')") for @databases;
ok(in_all("SELECT count(*) = 1 FROM dataflows.runs WHERE state = 'completed'", @databases),
	'a signal to each: all are completed');

# so does a time that comes, without any wake
as_app($node, $_, "SELECT dataflows.start('sleeps', '{\"a\": 1}')") for @databases;
ok(in_all("SELECT count(*) = 2 FROM dataflows.runs WHERE state = 'completed'", @databases),
	'runs that sleep go on when they are due');
is($node->safe_psql($_, 'SELECT step, outcome, error FROM dataflows.attempts LIMIT 5'),
	'', "$_: nothing was sent again")
	for @databases;

# ---- COMMIT PREPARED in a database whose coordinator rests ------------------------------

sub rests
{
	return "SELECT count(*) = 1 FROM dataflows.status() WHERE process = 'coordinator'
			AND state = 'at rest' AND reason ~ 'max_worker_processes'";
}

my ($resting) = grep { $node->safe_psql($_, rests()) eq 't' } @databases;

ok(defined $resting, 'a coordinator that rests is said to, and why') or $resting = 'db1';
as_app($node, $resting,
	"BEGIN; SELECT dataflows.start('sleeps', '{\"a\": 2}'); PREPARE TRANSACTION 'p'");
as_app($node, $resting, "COMMIT PREPARED 'p'");
ok(in_all("SELECT count(*) = 3 FROM dataflows.runs WHERE state = 'completed'", $resting),
	'COMMIT PREPARED brings it back');

# ---- DDL on databases that wait or rest -----------------------------------------------------

as_app($node, $_, "SELECT dataflows.start('waits', '{\"email\": \"$_-2\@x\"}', 'l')")
	for @databases;
$node->safe_psql('postgres', "DROP DATABASE $_") for qw(db11 db12);
$node->safe_psql('postgres', 'ALTER DATABASE db10 RENAME TO ten');
@databases = ((map { "db$_" } 1 .. 9), 'ten');
ok( in_all("SELECT count(*) = 1 FROM dataflows.runs WHERE state = 'waiting'", @databases),
	'databases are dropped and renamed while they wait: the others go on');
unlike(
	slurp_file($node->logfile),
	qr/FATAL:  database ".*" does not exist/,
	'nothing was started in one that is gone');
$node->safe_psql('db9', 'DROP EXTENSION dataflows CASCADE');
pop @databases;
pop @databases;
push @databases, 'ten';

# ---- NOTIFY: who hears it keeps its place ------------------------------------------------------

as_app($node, 'db1', "SELECT dataflows.start('hears', '{\"email\": \"n\@x\"}', 'n')");
ok( in_all(
		"SELECT count(*) = 1 FROM dataflows.runs WHERE workflow = 'hears' AND state = 'waiting'",
		'db1'),
	'a run that accepts NOTIFY waits');
as_app($node, $_, "SELECT dataflows.start('sleeps', '{\"a\": 3}')")
	for grep { $_ ne 'db1' } @databases;
ok( in_all(
		"SELECT count(*) = 0 FROM dataflows.runs
			WHERE workflow = 'sleeps' AND state <> 'completed'",
		@databases),
	'the other databases go on beside it');
is($node->safe_psql('postgres', coordinators('db1')), '1', 'its coordinator is there');
$node->safe_psql(
	'db1',
	"SELECT pg_notify('dataflows', jsonb_build_object('run', run, 'event', 'go')::text)
		FROM dataflows.runs WHERE workflow = 'hears'"
);
ok( in_all(
		"SELECT count(*) = 1 FROM dataflows.runs WHERE workflow = 'hears' AND state = 'completed'",
		'db1'),
	'and hears it');

# all of them accept it: they have the places by turns, and nothing stands still
as_app($node, $_, "SELECT dataflows.start('hears', '{\"email\": \"$_-n\@x\"}', 'all')")
	for @databases;
ok( in_all(
		"SELECT count(*) = 1 FROM dataflows.runs WHERE workflow = 'hears' AND key = 'all'
			AND state = 'waiting'",
		@databases),
	'in all databases runs accept NOTIFY: all go on');
as_app($node, $_, "SELECT dataflows.signal_by_key('hears', 'all', 'go')") for @databases;
ok( in_all(
		"SELECT count(*) = 1 FROM dataflows.runs WHERE workflow = 'hears' AND key = 'all'
			AND state = 'completed'",
		@databases),
	'to the end');

# ---- processes that end, a crash -----------------------------------------------------------------

as_app($node, $_, "SELECT dataflows.signal_by_key('waits', 'l', 'go')") for @databases;
kill_process('TERM', $_) for pids_of($node, 'coordinator'), pids_of($node, 'launcher');
ok(in_all("SELECT count(*) = 0 FROM dataflows.runs WHERE state <> 'completed'", @databases),
	'coordinators and launcher are ended: all goes on');
as_app($node, $_, "SELECT dataflows.start('waits', '{\"email\": \"$_-3\@x\"}', 'm')")
	for @databases;
restart_hard($node, 'kill');
ok( in_all(
		"SELECT count(*) = 0 FROM dataflows.runs WHERE state NOT IN ('completed', 'waiting')",
		@databases),
	'so it does after a crash');

unlike(slurp_file($node->logfile), qr/PANIC|TRAP|terminated by signal/,
	'nothing crashed by itself');
cmp_ok(scalar(() = slurp_file($node->logfile) =~ /out of background worker slots/g),
	'<=', 3, 'the log has a line about it for each launcher');
$node->stop;
$systems->stop;
done_testing();
