# A loss is remembered until something proves what became of it, whatever comes in between: the
# books of the systems are the proof that "failed for certain" would be wrong.

use strict;
use warnings;

use Test::More;
use PostgreSQL::Test::Cluster;
use Dataflows;

my $systems = start_systems();
my $node = new_node('remembered', conf => "dataflows.undo_for = '10s'");

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
    undo => 'DELETE /contacts/{id}', probe => 'GET /contacts?run={run}', probe_found => '$[*]');
END $$;
SELECT dataflows.define_workflow('one-step', 'app.one_step');
SELECT dataflows.define_workflow('careful', 'app.one_step', undo_on => 'never');
CREATE FUNCTION app.by_email(event jsonb) RETURNS jsonb LANGUAGE plpgsql AS $$
BEGIN
  RETURN dataflows.post('call', 'plain', '/contacts', jsonb_build_object('email', event->>'email'),
    undo => 'DELETE /contacts/{id}', probe => 'GET /contacts?email={request.email}',
    probe_found => '$[*]');
END $$;
SELECT dataflows.define_workflow('by-email', 'app.by_email', undo_on => 'never');
CREATE FUNCTION app.kept(event jsonb) RETURNS jsonb LANGUAGE plpgsql AS $$
BEGIN
  PERFORM dataflows.post('call', 'plain', '/contacts', jsonb_build_object('email', event->>'email'),
    undo => 'DELETE /contacts/{id}', accept => ARRAY[409]);
  PERFORM dataflows.wait_for('go');
  RETURN NULL;
END $$;
SELECT dataflows.define_workflow('kept', 'app.kept');
SQL

my $cases = new_cases($node, $systems, 'crm');

# the systems that the probe asks show nothing, however often they are asked
my $blind = { match => { method => 'GET' }, fault => 'status', status => 404 };

# ---- what comes between the loss and the conflict ------------------------------------------------

my @lost = ({ fault => 'lost', times => 1 });

for my $case (
	[ 'nothing' ],
	[ 'a refusal of the credentials', { status => 401, times => 1 } ],
	[ 'two of them', { status => 401, times => 2 } ],
	[ 'a request to come later', { status => 429, times => 1 } ],)
{
	my ($between, @between) = @$case;
	my ($email, $run) = $cases->start('one-step', {}, @lost, @between, $blind);

	# what is there already is refused by the system itself, with 409
	is($cases->outcome($email, $run),
		'stuck 1/1', "between a loss and a conflict $between: nobody can tell");
	is($cases->of_step($run, 'state'), 'in_doubt', 'the step is in doubt, not failed for certain');
	is($cases->of_step($run, 'status'), 409, 'after the conflict');
	is($cases->of_step($run, 'lost || $$ $$ || coalesce(may_resend, false)'),
		'1 false', 'the loss is remembered, and in doubt again');
	like(
		$node->safe_psql('postgres', "SELECT probe FROM dataflows.pending_undo WHERE run = '$run'"),
		qr/found 0 resources \(status 404\)/,
		'a person learns what the probe said');

	# a person sees more than the probe
	$systems->clear_faults;
	my $resource = sprintf('{"id": "%s"}', $cases->made($email));

	is(
		as_app(
			$node, 'postgres',
			"SELECT dataflows.resolve('$run', 'call', 'done', 'seen', '$resource')"
		),
		't',
		'a person finds it');
	becomes($node, $run, 'completed', 'and the run goes on to its end');
	is($cases->books($email), '1/1', 'with the one that there is');
	is($cases->of_step($run, 'lost IS NULL AND resolved = $$done$$'),
		't', 'a word of a person is proof');
}

# ---- retry() -------------------------------------------------------------------------------------

my ($email, $run) = $cases->start('careful', {}, @lost, { status => 422, times => 1 }, $blind);

is($cases->state_of($run), 'stuck', 'lost, not found, sent again and refused');
is($cases->of_step($run, 'state'), 'failed', 'that has failed, as far as anybody knows');
is($cases->of_step($run, 'lost || $$ $$ || may_resend'), '1 true', 'but the loss is remembered');
as_app($node, 'postgres', "SELECT dataflows.retry('$run')");
ok(
	wait_until(
		$node,
		"SELECT r.state = 'stuck' AND s.renewals = 1 AND s.status = 409"
		  . " AND s.finished_at IS NOT NULL"
		  . " FROM dataflows.runs r JOIN dataflows.step s USING (run) WHERE run = '$run'"),
	'a person has it tried again, and it meets what the first attempt did');
is($cases->of_step($run, 'state') . ' ' . $cases->books($email),
	'in_doubt 1/1', 'in doubt, not failed for certain');

# a probe that says nothing of whose it is
($email, $run) = $cases->start('by-email', {}, @lost, { status => 422, times => 1 }, $blind);
is($cases->state_of($run) . ' ' . $cases->of_step($run, 'state') . ' ' . $cases->books($email),
	'stuck failed 1/1', 'lost, not found, sent again and refused');
$systems->clear_faults;
as_app($node, 'postgres', "SELECT dataflows.retry('$run')");
ok(
	wait_until(
		$node,
		"SELECT r.state = 'stuck' AND s.renewals = 1 AND s.finished_at IS NOT NULL"
		  . " FROM dataflows.runs r JOIN dataflows.step s USING (run) WHERE run = '$run'"),
	'tried again by a person, and now the probe finds a contact');
is($cases->of_step($run, 'state'), 'in_doubt', 'it may be of the lost attempt: in doubt');
is($cases->of_step($run, 'existed'), '', 'nobody says that it was there before');
is($cases->books($email), '1/1', 'and it is neither adopted, nor deleted, nor doubled');
like(
	$node->safe_psql('postgres', "SELECT probe FROM dataflows.pending_undo WHERE run = '$run'"),
	qr/found 1 resource/,
	'a person learns what was found');

# ---- a restart -----------------------------------------------------------------------------------

($email, $run) =
	$cases->start('one-step', {}, @lost, { status => 503, retry_after => 8, times => 1 }, $blind);
ok(
	wait_until(
		$node, "SELECT state = 'pending' AND status = 503 FROM dataflows.steps WHERE run = '$run'"),
	'lost, not found, and asked to come later');
$node->restart;
is($cases->outcome($email, $run), 'stuck 1/1', 'a restart later');
is($cases->of_step($run, 'state'), 'in_doubt', 'the conflict is still one with the first attempt');

# ---- what was there before is not undone, whenever the run is read anew --------------------------

$systems->clear_faults;
($email, $run) = ('theirs@example.com');
is($cases->make_by_hand($email), 201, 'somebody has a contact');
$run = as_app($node, 'postgres', "SELECT dataflows.start('kept', '{\"email\": \"$email\"}')");
ok(wait_until($node, "SELECT waiting_for = 'go' FROM dataflows.runs WHERE run = '$run'"),
	'a step accepts that it is there');
is($cases->of_step($run, 'state || $$ $$ || status || $$ $$ || kept'),
	'done 409 true', 'which is recorded');
$node->restart;
as_app($node, 'postgres', "SELECT dataflows.cancel('$run')");
is($cases->outcome($email, $run),
	'cancelled 1/1', 'a cancel after a restart leaves it alone');

# ---- an ordinary step costs nothing --------------------------------------------------------------

($email, $run) = $cases->start('one-step', {});
is($cases->outcome($email, $run), 'completed 1/1', 'all goes well');
is(
	$cases->of_step(
		$run,
		'num_nonnulls(lost, lost_at, may_resend, ask_probe, probed_at, probe_found, probe_said,'
		  . ' existed, kept, accepted, maybe_twice, resolved)'),
	0,
	'and there is nothing to know');

$node->stop;
$systems->stop;
done_testing();
