# A step that was carried out, and is repeated because its `until` is not met: it is undone
# whether it is given up, fails, or is cancelled in between.

use strict;
use warnings;

use Test::More;
use PostgreSQL::Test::Cluster;
use Dataflows;
use Dataflows::Undo;

my $systems = start_systems();
my $node = start_undo_node('undo_until', $systems, settle => '100ms');

$systems->config('crm', upsert => JSON::PP::true(), idempotency => JSON::PP::false());

sub put
{
	my ($id, $more) = @_;

	return "PERFORM dataflows.put('step', 'crm', '/contacts/$id', event,
		undo => 'DELETE /contacts/{id}', until => '\$.ready == true', every => '100 ms' $more);";
}

sub is_repeated
{
	my ($run) = @_;

	return ok(
		wait_until(
			$node,
			"SELECT max(attempts) > 2 FROM dataflows.steps WHERE run = '$run' AND kind = 'http'"
		),
		'it is repeated');
}

sub cancelled
{
	my ($run) = @_;

	as_app($node, 'postgres', "SELECT dataflows.cancel('$run', 'enough')");
	return ended_as($node, $run);
}

my $input = '{"ready": false}';
my $run = start_steps($node, put('cancelled', ''), $input);
is_repeated($run);
is(cancelled($run) . ' ' . $systems->made_and_left('crm', 'cancelled'),
	'cancelled 1/0', 'cancelled between two polls');

my $state;
($run, $state) = failing_run($node, put('late', ", until_timeout => '500 ms'"), $input);
is("$state " . $systems->made_and_left('crm', 'late'), 'rolled_back 1/0', 'given up in time');

$run = start_steps($node, put('refused', ''), $input);
is_repeated($run);
$systems->fault('crm', match => { method => 'PUT', path => 'refused$' }, status => 409);
is(ended_as($node, $run) . ' ' . $systems->made_and_left('crm', 'refused'),
	'rolled_back 1/0', 'refused at last');
$systems->clear_faults;

$run = start_steps($node, <<'SQL', $input);
PERFORM dataflows.on_rollback('undo', 'crm', 'DELETE /contacts/{id}', of_step => 'step');
PERFORM dataflows.put('step', 'crm', '/contacts/other', event, until => '$.ready == true',
	every => '100 ms');
SQL
is_repeated($run);
is(cancelled($run) . ' ' . $systems->made_and_left('crm', 'other'),
	'cancelled 1/0', 'on_rollback() of such a step');

# after a restart the worker knows it by the table alone
$run = start_steps($node, put('restarted', '') =~ s/100 ms/1 hour/r, $input);
ok( wait_until($node, "SELECT attempts = 1 AND state = 'pending' FROM dataflows.steps
		WHERE run = '$run'"),
	'it waits for its next try');
$node->restart;
is(cancelled($run) . ' ' . $systems->made_and_left('crm', 'restarted'),
	'cancelled 1/0', 'after a restart');

$node->stop;
$systems->stop;
done_testing();
