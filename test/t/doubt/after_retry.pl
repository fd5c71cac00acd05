# What a lost attempt made is neither forgotten nor taken for certain, however the step goes on:
# after retry() the probe finds a resource that may be ours or somebody else's, and a status that
# the step accepts may be about what we made ourselves.  The systems' books are the proof.

use strict;
use warnings;

use Test::More;
use PostgreSQL::Test::Cluster;
use Dataflows;

my $systems = start_systems();
my $node = new_node('after_retry', conf => "dataflows.undo_for = '10s'");

create_systems($node, 'postgres', $systems, workflow => 0);
$systems->config('crm', idempotency => JSON::PP::false(), unique_email => JSON::PP::true());
create_server(
	$node, 'plain', $systems->url('crm'),
	retry_max => '200ms',
	settle => '300ms',
	breaker_failures => 0,
	breaker_cooldown => '200ms');
as_app($node, 'postgres', <<'SQL');
CREATE FUNCTION app.one_step(event jsonb) RETURNS jsonb LANGUAGE plpgsql AS $$
BEGIN
  RETURN dataflows.post('call', 'plain', '/contacts',
    jsonb_build_object('email', event->>'email', 'run', dataflows.run_id()),
    undo => coalesce(event->>'undo', 'DELETE /contacts/{id}'), retry => event->'retry',
    probe => 'GET /contacts?' || coalesce(event->>'probe', 'email={request.email}'),
    probe_found => '$[*]', accept => CASE WHEN event ? 'accepts' THEN ARRAY[422] END);
END $$;
SELECT dataflows.define_workflow('one-step', 'app.one_step');
SELECT dataflows.define_workflow('careful', 'app.one_step', undo_on => 'never');
SQL

my $cases = new_cases($node, $systems, 'crm');

# the probe shows nothing, however often it is asked
my $blind = { match => { method => 'GET' }, fault => 'status', status => 404 };

# probed once more, and stuck again
sub retry
{
	my ($run) = @_;
	my $before = $cases->of_step($run, 'probed_at');

	as_app($node, 'postgres', "SELECT dataflows.retry('$run')");
	return wait_until($node,
			"SELECT r.state = 'stuck' AND s.probed_at > '$before' AND s.finished_at IS NOT NULL"
		  . " FROM dataflows.runs r JOIN dataflows.step s USING (run) WHERE run = '$run'");
}

# nothing is taken away, for it may be somebody else's
sub cancel
{
	my ($run) = @_;

	as_app($node, 'postgres', "SELECT dataflows.cancel('$run', 'over')");
	return wait_until($node,
			"SELECT r.state = 'cancelled' OR r.state = 'stuck' AND s.undo_state = 'undo_failed'"
		  . " FROM dataflows.runs r JOIN dataflows.step s USING (run) WHERE run = '$run'");
}

my ($email, $run);

# ---- lost, not found, refused: and found after retry() -------------------------------------------

my @lost_and_refused = ({ fault => 'lost', times => 1 }, { status => 422, times => 1 }, $blind);

for my $undo ('DELETE /contacts/{id}', 'DELETE /contacts?email={request.email}')
{
	($email, $run) = $cases->start('careful', { undo => $undo }, @lost_and_refused);
	is($cases->state_of($run), 'stuck', 'lost, not found, sent again and refused');
	is($cases->of_step($run, 'state || $$ $$ || lost'), 'failed 1', 'the loss is remembered');
	$systems->clear_faults;
	ok(retry($run), 'a person has it tried again, and the probe finds a contact');
	is($cases->of_step($run, 'state'), 'in_doubt',
		'it may be what the lost attempt made: not failed for certain');
	is($cases->of_step($run, 'coalesce(existed, false)'),
		'f', 'nor was it there before, for certain');
	is($cases->of_step($run, 'output IS NULL'), 't', 'nor is it ours, for certain');
	is($cases->books($email), '1/1', 'and nothing else is made');
	like($cases->of_step($run, "error->>'message'"),
		qr/earlier attempt may have been carried out, and the probe found 1 resource/,
		'the error says both');
	like(
		$cases->pending($run, 'remedy'),
		qr/resolve\('$run', 'call', 'done', .*resolve\('$run', 'call', 'not_done'/,
		'a person learns which calls to make');
	ok(retry($run), 'to try again changes nothing');
	is($cases->of_step($run, 'state') . ' ' . $cases->books($email),
		'in_doubt 1/1', 'it is still in doubt');
	ok(cancel($run), "a cancel, undo => '$undo'");
	is(
		$node->safe_psql('postgres', "SELECT state FROM dataflows.runs WHERE run = '$run'") . ' '
		  . $cases->of_step($run, 'undo_state') . ' ' . $cases->books($email),
		'stuck undo_failed 1/1', 'takes nothing away that may be somebody else\'s');

	my $resource = sprintf('{"id": "%s"}', $cases->made($email));

	is(
		as_app(
			$node, 'postgres',
			"SELECT dataflows.resolve('$run', 'call', 'done', 'seen', '$resource')"
		),
		't', 'a person says that it is ours');
	becomes($node, $run, 'cancelled', 'and the run ends');
	is($cases->books($email), '1/0', 'and nothing is left behind');
}

# ---- the probe cannot be read any more -----------------------------------------------------------

($email, $run) = $cases->start('careful', {}, @lost_and_refused);
is($cases->state_of($run), 'stuck', 'lost, not found, sent again and refused');
$systems->clear_faults;
$systems->fault('crm', match => { method => 'GET' }, status => 405);
ok(retry($run), 'and after retry() the probe cannot be read');
is($cases->of_step($run, 'state') . ' ' . $cases->books($email), 'in_doubt 1/1', 'nobody can tell');

# ---- what somebody else makes before retry() is not adopted --------------------------------------

($email, $run) =
	$cases->start('careful', { retry => { max_attempts => 1 } }, { status => 500, times => 1 });
is($cases->outcome($email, $run), 'stuck 0/0', 'a 500, and the probe finds nothing');
is($cases->of_step($run, 'state || $$ $$ || lost'), 'failed 1', 'failed, as far as anybody knows');
is($cases->make_by_hand($email), 201, 'somebody makes a contact by hand');
ok(retry($run), 'and has it tried again');
is($cases->of_step($run, 'state || $$ $$ || (output IS NULL)'),
	'in_doubt true', 'it is not adopted');
ok(cancel($run), 'a cancel');
is($cases->books($email), '1/1', 'leaves it alone');

# ---- a status that is accepted, after a loss -----------------------------------------------------

($email, $run) = $cases->start(
	'one-step', { probe => 'run={run}', accepts => 1 },
	{ fault => 'lost', times => 1 }, { status => 422 }, $blind);
is($cases->outcome($email, $run),
	'stuck 1/1', 'what is there may be ours: it is not left behind as somebody else\'s');
is($cases->of_step($run, 'state || $$ $$ || coalesce(kept, false)'), 'in_doubt false', 'in doubt');
$systems->clear_faults;
as_app($node, 'postgres', "SELECT dataflows.retry('$run')");
becomes($node, $run, 'completed', 'once the probe finds it by the run, it is ours');
is($cases->books($email), '1/1', 'and there is no second one');
($email, $run) =
	$cases->start('one-step', { probe => 'run={run}', accepts => 1 }, { status => 422 });
is($cases->state_of($run) . ' ' . $cases->of_step($run, 'kept'),
	'completed t', 'without a loss it is accepted');

$node->stop;
$systems->stop;
done_testing();
