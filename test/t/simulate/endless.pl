# What would never end is given up, with a row that says so: a workflow that is meant to begin one
# round after the other, one that calls itself twice, and one that finds a lock held again and
# again. And what was made twice is told of a run that is stuck, too.

use strict;
use warnings;

use Test::More;
use PostgreSQL::Test::Cluster;
use Dataflows;
use Dataflows::Simulation;

my $node = start_simulation_node('endless');

sub counted
{
	my ($name, $input) = @_;

	return as_app($node, 'postgres', <<"SQL");
SELECT concat_ws(' ', step, kind, outcome, nullif(count(*), 1))
  FROM dataflows.simulate('$name', '{}') GROUP BY step, kind, outcome ORDER BY min(n);
SQL
}

# ---- rounds and calls ---------------------------------------------------------------------------

define_body($node, 'monthly', <<'SQL');
PERFORM dataflows.post('charge', 'crm', '/charges', event, undo => 'none');
PERFORM dataflows.sleep('month', '1 month');
RETURN dataflows.continue_with(event);
SQL
is(counted('monthly'), story(<<'ROWS'), 'a subscription goes on for a hundred rounds');
	charge http done 100
	month sleep done 100
	continue_with continue done 100
	continue_with continue goes on forever
	run running
ROWS
like(as_app($node, 'postgres', "SELECT what, state FROM dataflows.simulate_all('monthly', '{}')"),
	qr/^as it is\|running\ncharge: refused\|rolled_back$/m,
	'and with something going wrong for a few');

define_body($node, 'twice', <<'SQL');
PERFORM dataflows.call('one', 'twice', event, wait => false);
PERFORM dataflows.call('two', 'twice', event, wait => false);
RETURN event;
SQL
like(
	as_app(
		$node, 'postgres', "SELECT string_agg(concat_ws(' ', kind, outcome), ', ' ORDER BY n)
  FROM dataflows.simulate('twice', '{}')"),
	qr/call goes on forever, run \w+\z/,
	'one that calls itself is given up');

# ---- locks --------------------------------------------------------------------------------------

as_app($node, 'postgres', 'CREATE TABLE app.held (i int)');
define_body($node, 'writes', <<'SQL');
RETURN dataflows.query('write', 'INSERT INTO app.held VALUES (1)');
SQL
define_body($node, 'reads', <<'SQL');
RETURN to_jsonb(count(*)) FROM app.held;
SQL
my $holder = $node->background_psql('postgres');
$holder->query_safe('BEGIN; LOCK TABLE app.held');
is(simulated($node, 'writes'), "write query retries forever\nrun running", 'SQL that finds a lock');
is(simulated($node, 'reads'), "body retries forever\nrun running", 'and a body that does');

# a second later bodies of the session wait as long as ever, though the simulation was ahead
define_body($node, 'waits', q{RETURN to_jsonb(current_setting('lock_timeout'));});
is(as_app($node, 'postgres', <<'SQL'), "1\n\n\"1s\"", 'which is of no consequence later');
SELECT count(*) FROM dataflows.simulate('reads', '{}') WHERE kind = 'body';
SELECT pg_sleep(1.5);
SELECT output FROM dataflows.simulate('waits', '{}') WHERE kind = 'run';
SQL
$holder->quit;
is(simulated($node, 'writes'), "write query done\nrun completed", 'not when it is free');

# ---- what is there ------------------------------------------------------------------------------

define_body($node, 'doubled', <<'SQL');
PERFORM dataflows.post('a', 'crm', '/a', event, undo => 'DELETE /a/{id}', doubt => 'resend');
RETURN dataflows.post('b', 'crm', '/b', event, undo => 'DELETE /b/{id}');
SQL
like(
	as_app(
		$node, 'postgres', q{SELECT what, state, left_behind
  FROM dataflows.simulate_all('doubled', '{}', '{"b": {"status": 400}}')}),
	qr/^a: answer lost\|stuck\|\{"a \(made 2 times\)"\}$/m,
	'made twice, and stuck later');
like(simulated_ends($node, 'doubled', '{"a": {"status": 204}}'),
	qr/^stuck .*no field \\"id\\"/, 'status 204 has no body');

done_testing();
