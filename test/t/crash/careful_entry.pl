# After a crash the runs whose bodies were running, and they alone, are entered
# carefully: their entry is committed first, and after the third without an exit
# they are stuck.  All others go on as fast as ever, which is seen by how many
# commits they cost, not by the clock.

use strict;
use warnings;

use Test::More;
use Time::HiRes qw(usleep);
use PostgreSQL::Test::Cluster;
use PostgreSQL::Test::Utils;
use Dataflows;

my $quick = 300;
my $node = new_node('careful', conf => <<'CONF');
wal_level = replica
max_wal_senders = 4
dataflows.sweep_interval = '1s'
dataflows.body_timeout = '30min'
dataflows.query_timeout = '30min'
CONF
my $file = 'pg_stat_tmp/dataflows.bodies';
my $started = 0;

create_app($node);
as_app($node, 'postgres', <<'SQL');
CREATE TABLE app.gate (open bool);
INSERT INTO app.gate VALUES (false);
CREATE FUNCTION app.hold() RETURNS int LANGUAGE plpgsql AS $$
BEGIN
  WHILE NOT (SELECT open FROM app.gate) LOOP
    PERFORM pg_sleep(0.01);
  END LOOP;
  RETURN 1;
END $$;
CREATE FUNCTION app.holds(event jsonb) RETURNS jsonb LANGUAGE plpgsql AS $$ BEGIN
  RETURN to_jsonb(app.hold()); END $$;
CREATE FUNCTION app.asks(event jsonb) RETURNS jsonb LANGUAGE plpgsql AS $$ BEGIN
  RETURN dataflows.query('hold', 'SELECT app.hold()'); END $$;
CREATE FUNCTION app.quick(event jsonb) RETURNS jsonb LANGUAGE plpgsql AS $$ BEGIN RETURN event;
  END $$;
SELECT dataflows.define_workflow('holds', 'app.holds'), dataflows.define_workflow('asks',
  'app.asks'), dataflows.define_workflow('quick', 'app.quick');
SQL

# the pid of the process that is in a body, or in the SQL of a step
sub in_body
{
	my ($on, $kind) = @_;
	my $look =
		"FROM dataflows.status() WHERE process = '$kind' AND waits_for = 'the body of a run'";

	wait_until($on, "SELECT count(*) = 1 $look", 120) or die 'no body is entered';
	return $on->safe_psql('postgres', "SELECT pid $look");
}

sub gate
{
	my ($on, $open) = @_;

	as_app($on, 'postgres', "UPDATE app.gate SET open = $open");
	return;
}

sub start_run
{
	my ($on, $workflow) = @_;

	return as_app($on, 'postgres', "SELECT dataflows.start('$workflow')");
}

# they wait in the table, behind the body that holds the worker
sub start_quick
{
	my ($on) = @_;

	as_app($on, 'postgres',
		"SELECT count(dataflows.start('quick', to_jsonb(i))) FROM generate_series(1, $quick) i");
	$started += $quick;
	return;
}

# all of them are completed, and several to a commit
sub quick_ones_are_quick
{
	my ($on, $when) = @_;

	ok( wait_until(
			$on,
			"SELECT count(*) = $started FROM dataflows.runs WHERE workflow = 'quick'
				AND state = 'completed'",
			120),
		"$when: all other runs are completed");
	cmp_ok(
		number_of(
			$on,
			"SELECT sum(value) FROM dataflows.metrics WHERE name = 'dataflows_commits_total'
				AND labels->>'process' = 'worker'"
		),
		'<',
		$quick / 5,
		"$when: with few commits");
	return;
}

sub entries
{
	my ($on, $run) = @_;

	return $on->safe_psql('postgres',
		"SELECT coalesce(entries, 0) FROM dataflows.run WHERE run = '$run'");
}

sub state
{
	my ($on, $run) = @_;

	return $on->safe_psql('postgres', "SELECT state FROM dataflows.runs WHERE run = '$run'");
}

# the process is killed in the body, and the postmaster restarts all others
sub crash
{
	my ($kind) = @_;
	my $pid = in_body($node, $kind);

	kill_process('KILL', $pid) or die "no process $pid";
	usleep(10_000) while kill(0, $pid);
	wait_until($node, "SELECT NOT EXISTS (SELECT FROM pg_stat_activity WHERE pid = $pid)", 120)
		or die 'the server does not come back';
	return;
}

# ---- a body that ends the server -----------------------------------------------------------

my $run = start_run($node, 'holds');

in_body($node, 'worker');
is(entries($node, $run), 0, 'the first entry is counted nowhere');
start_quick($node);
crash('worker');
in_body($node, 'worker');
is(entries($node, $run),
	2, 'after the crash that entry is counted, and the next one before it happens');
gate($node, 'true');
ok(wait_until($node, "SELECT state = 'completed' FROM dataflows.runs WHERE run = '$run'", 60),
	'a body that has an exit then is completed');
is(entries($node, $run), 0, 'and its entries are forgotten');
quick_ones_are_quick($node, 'after a crash');
like(
	slurp_file($node->logfile),
	qr/ended while the body of run "$run" was running/,
	'the log says whose body it was');

gate($node, 'false');
$run = start_run($node, 'holds');
crash('worker') for 1 .. 2;
in_body($node, 'worker');
is(entries($node, $run), 3, 'two crashes, and the third entry');
start_quick($node);
crash('worker');
ok(wait_until($node, "SELECT state = 'stuck' FROM dataflows.runs WHERE run = '$run'", 120),
	'after the third the run is stuck');
like(
	$node->safe_psql('postgres', "SELECT reason FROM dataflows.stuck WHERE run = '$run'"),
	qr/three times without an exit/,
	'with the reason');
quick_ones_are_quick($node, 'after three crashes');
as_app($node, 'postgres', "SELECT dataflows.cancel('$run')");
ok(wait_until($node, "SELECT state = 'cancelled' FROM dataflows.runs WHERE run = '$run'", 60),
	'it can be cancelled');

# ---- the SQL of a step that ends the server ---------------------------------------------------

$run = start_run($node, 'asks');
crash('sql worker') for 1 .. 3;
ok(wait_until($node, "SELECT state = 'stuck' FROM dataflows.runs WHERE run = '$run'", 120),
	'so is one whose SQL ends the server three times');
as_app($node, 'postgres', "SELECT dataflows.cancel('$run')");
ok(wait_until($node, "SELECT state = 'cancelled' FROM dataflows.runs WHERE run = '$run'", 60),
	'and can be cancelled');

# ---- ends of all processes -----------------------------------------------------------------------

$run = start_run($node, 'holds');
in_body($node, 'worker');
$node->restart;
in_body($node, 'worker');
is(entries($node, $run), 0, 'an orderly stop counts nothing');

$node->stop('immediate');
$node->start;
in_body($node, 'worker');
is(entries($node, $run), 2, 'an immediate one does');
gate($node, 'true');
ok(wait_until($node, "SELECT state = 'completed' FROM dataflows.runs WHERE run = '$run'", 60),
	'the run goes on');

gate($node, 'false');
$run = start_run($node, 'holds');
my $worker = in_body($node, 'worker');
my ($postmaster) = slurp_file($node->data_dir . '/postmaster.pid') =~ /^(\d+)/;
kill_process('STOP', $postmaster);
kill_process('KILL', $worker);
restart_hard($node, 'kill');
in_body($node, 'worker');
is(entries($node, $run), 2, 'the note outlives the postmaster');

# ---- a backup, and a promotion -------------------------------------------------------------------

start_quick($node);
$node->backup('copy');
ok(!-e $node->backup_dir . "/copy/$file", 'a base backup does not have the notes');
my $standby = PostgreSQL::Test::Cluster->new('standby');

$standby->init_from_backup($node, 'copy', has_streaming => 1);
# as happens if a person copies the files
append_to_file($standby->data_dir . "/$file", slurp_file($node->data_dir . "/$file"));
$standby->start;
$node->wait_for_catchup($standby, 'replay', $node->lsn('insert'));
my $other = start_run($node, 'holds');

$node->wait_for_catchup($standby, 'replay', $node->lsn('insert'));
$node->stop('immediate');
$standby->promote;
in_body($standby, 'worker');
gate($standby, 'true');
ok( wait_until(
		$standby,
		"SELECT bool_and(state = 'completed') FROM dataflows.runs WHERE run IN ('$run', '$other')",
		60),
	'after a promotion all goes on');
quick_ones_are_quick($standby, 'after a promotion');
unlike(slurp_file($standby->logfile), qr/ended while the body of run/, 'which is no crash');
$standby->stop;

# ---- a file that cannot be used ------------------------------------------------------------------

$node->start;
$worker = in_body($node, 'worker');
truncate($node->data_dir . "/$file", 0) or die "truncate: $!";
gate($node, 'true');
ok( wait_until(
		$node,
		"SELECT bool_and(state = 'completed') FROM dataflows.runs WHERE workflow IN ('holds',
			'quick') AND state <> 'cancelled'",
		120),
	'a file that is cut off under it costs the worker nothing');
my $again = start_run($node, 'quick');
ok(wait_until($node, "SELECT state = 'completed' FROM dataflows.runs WHERE run = '$again'", 60),
	'it goes on');
is($node->safe_psql('postgres', "SELECT pid FROM dataflows.status() WHERE process = 'worker'"),
	$worker, 'it is the same process');

$node->stop;
unlink $node->data_dir . "/$file";
append_to_file($node->data_dir . "/$file", join('', map { chr(int(rand(256))) } 1 .. 10_000));
$node->start;
$again = start_run($node, 'quick');
ok(wait_until($node, "SELECT state = 'completed' FROM dataflows.runs WHERE run = '$again'", 60),
	'a file that is not ours is of no account');

$node->stop;
unlink $node->data_dir . "/$file";
mkdir $node->data_dir . "/$file" or die "mkdir: $!";
$node->start;
like(
	slurp_file($node->logfile),
	qr/could not write file "$file" of dataflows.*\n.*not recognised/,
	'that it cannot be written is said');
gate($node, 'false');
$run = start_run($node, 'holds');
crash('worker');
in_body($node, 'worker');
is(entries($node, $run), 2, 'and costs only what ends the postmaster, too');
gate($node, 'true');
ok(wait_until($node, "SELECT state = 'completed' FROM dataflows.runs WHERE run = '$run'", 60),
	'the run goes on');

unlike(
	slurp_file($node->logfile),
	qr/PANIC|TRAP|terminated by signal (?!9\b)/,
	'nothing but what was killed has crashed');
$node->stop;
done_testing();
