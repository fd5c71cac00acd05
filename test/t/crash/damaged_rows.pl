# A row of a step that names no kind of step, because somebody changed it or storage
# lost it, costs its own run a stop and no process its life.

use strict;
use warnings;

use Test::More;
use PostgreSQL::Test::Cluster;
use PostgreSQL::Test::Utils;
use Dataflows;

my $node = new_node('damaged', conf => "dataflows.sweep_interval = '1s'\n");

create_app($node);
as_app($node, 'postgres', <<'SQL');
CREATE TABLE app.seat (what text);
CREATE FUNCTION app.waits(event jsonb) RETURNS jsonb LANGUAGE plpgsql AS $$ BEGIN
  PERFORM dataflows.query('seat', 'INSERT INTO app.seat VALUES (''taken'')',
    undo => 'DELETE FROM app.seat');
  RETURN dataflows.wait_for('go'); END $$;
CREATE FUNCTION app.quick(event jsonb) RETURNS jsonb LANGUAGE plpgsql AS $$ BEGIN RETURN event;
  END $$;
SELECT dataflows.define_workflow('waits', 'app.waits'),
  dataflows.define_workflow('quick', 'app.quick');
SQL

sub damage
{
	my ($step, $from, $to) = @_;

	$node->safe_psql('postgres',
		"UPDATE dataflows.step SET kind = '$to' WHERE step = '$step' AND kind = '$from'");
	return;
}

sub waiting_run
{
	my $run = as_app($node, 'postgres', "SELECT dataflows.start('waits')");

	wait_until($node,
		"SELECT state = 'waiting' AND waiting_for = 'go' FROM dataflows.runs WHERE run = '$run'",
		120)
		or die 'the run does not wait';
	return $run;
}

sub others_move
{
	my ($when) = @_;

	return becomes($node, as_app($node, 'postgres', "SELECT dataflows.start('quick')"),
		'completed', "$when: another run of the same owner completes");
}

my $began = $node->safe_psql('postgres', 'SELECT pg_postmaster_start_time()');
my $run = waiting_run();

damage('seat', 'query', 'no such kind');
as_app($node, 'postgres', "SELECT dataflows.signal('$run', 'go')");
becomes($node, $run, 'stuck', 'the run whose step is of no kind is stuck');
like($node->safe_psql('postgres', "SELECT stuck FROM dataflows.run WHERE run = '$run'"),
	qr/DF003.*seat|seat.*DF003/, 'and says which step does not match');
others_move('one run is damaged');

as_app($node, 'postgres', "SELECT dataflows.cancel('$run')");
ok( wait_until(
		$node,
		"SELECT r.state = 'stuck' AND s.undo_state = 'undo_failed' FROM dataflows.run AS r
			JOIN dataflows.step AS s USING (run) WHERE r.run = '$run' AND s.step = 'seat'",
		120),
	'cancelled it is stuck again: what it did may not be undone');
is($node->safe_psql('postgres', 'SELECT count(*) FROM app.seat'), '1', 'it is not undone');
others_move('it was cancelled');

damage('seat', 'no such kind', 'query');
as_app($node, 'postgres', "SELECT dataflows.retry('$run')");
becomes($node, $run, 'cancelled', 'with the row repaired, retry goes on');
is($node->safe_psql('postgres', 'SELECT count(*) FROM app.seat'), '0', 'and undoes it');

# ---- a call that waits for a key -----------------------------------------------------------------

as_app($node, 'postgres', <<'SQL');
CREATE FUNCTION app.calls(event jsonb) RETURNS jsonb LANGUAGE plpgsql AS $$ BEGIN
  RETURN dataflows.call('child', 'quick', event, key => 'held'); END $$;
SELECT dataflows.define_workflow('calls', 'app.calls');
SQL
for my $damage ("body = NULL", "options = options - 'run'", "options = options - 'workflow'")
{
	my $holder = $node->background_psql('postgres', on_error_die => 1);

	$holder->query_safe('SET SESSION AUTHORIZATION app');
	$holder->query_safe("BEGIN; SELECT dataflows.start('quick', key => 'held')");
	$run = as_app($node, 'postgres', "SELECT dataflows.start('calls')");
	ok(
		wait_until(
			$node,
			"SELECT count(*) = 1 FROM dataflows.run r JOIN dataflows.step s USING (run)"
			  . " WHERE run = '$run' AND s.state = 'waiting' AND r.lease IS NULL",
			120),
		'a call waits for the key that an open transaction holds');
	$node->safe_psql('postgres', "UPDATE dataflows.step SET $damage WHERE run = '$run'");
	$holder->quit;
	becomes($node, $run, 'stuck', "with $damage it is stuck once the key is free");
	others_move("with $damage");
	as_app($node, 'postgres', "SELECT dataflows.cancel('$run')");
	becomes($node, $run, 'cancelled', 'and can be cancelled');
}

unlike(slurp_file($node->logfile), qr/terminated by signal|PANIC|TRAP/, 'no process was lost');
is($node->safe_psql('postgres', 'SELECT pg_postmaster_start_time()'), $began, 'nor the server');
$node->stop;
done_testing();
