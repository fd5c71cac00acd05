# Doubt, case by case: what a probe may adopt, what it must not, and what a person then does.

use strict;
use warnings;

use Test::More;
use PostgreSQL::Test::Cluster;
use Dataflows;

my $systems = start_systems();
my $node = new_node('cases', conf => "dataflows.undo_for = '10s'");
my @crm = (
	$systems->url('crm'),
	timeout => '500ms',
	retry_max => '200ms',
	settle => '700ms',
	breaker_failures => 100_000,
	breaker_cooldown => '200ms');

create_systems($node, 'postgres', $systems, workflow => 0);
$systems->config('crm', idempotency => JSON::PP::false());
create_server($node, 'plain', @crm);
create_server($node, 'trusted', @crm, idempotency_header => 'Idempotency-Key');
as_app($node, 'postgres', <<'SQL');
CREATE FUNCTION app.one_step(event jsonb) RETURNS jsonb LANGUAGE plpgsql AS $$
BEGIN
  RETURN dataflows.post('call', coalesce(event->>'system', 'plain'), '/contacts',
    jsonb_build_object('email', event->>'email', 'run', dataflows.run_id()),
      undo => 'DELETE /contacts/{id}',
    doubt => coalesce(event->>'doubt', 'fail'), retry => event->'retry',
    probe => 'GET /contacts?' || coalesce(event->>'probe', 'run={run}'), probe_found => '$[*]');
END $$;
SELECT dataflows.define_workflow('one-step', 'app.one_step');
CREATE FUNCTION app.twins(event jsonb) RETURNS jsonb LANGUAGE plpgsql AS $$
BEGIN
  FOR i IN 1 .. 2 LOOP
    PERFORM dataflows.post('twin', 'plain', '/contacts', jsonb_build_object('email',
      event->>'email', 'run', dataflows.run_id()),
      undo => 'DELETE /contacts/{id}', probe => 'GET /contacts?run={run}', wait => false);
  END LOOP;
  PERFORM dataflows.wait_all('twin', 'twin#2');
  RETURN NULL;
END $$;
SELECT dataflows.define_workflow('twins', 'app.twins');
CREATE FUNCTION app.careless(event jsonb) RETURNS jsonb LANGUAGE plpgsql AS $$
BEGIN
  PERFORM dataflows.post('careless', 'plain', '/contacts', jsonb_build_object('email',
    event->>'email'), undo => 'none', wait => false);
  RETURN '"returned"';
END $$;
SELECT dataflows.define_workflow('careless', 'app.careless');
SQL

my $cases = new_cases($node, $systems, 'crm');

sub resolve
{
	my ($run, $step, $outcome, $output) = @_;

	return as_app($node, 'postgres',
			  "SELECT dataflows.resolve('$run', '$step', '$outcome', 'looked'"
			. ($output ? ", '$output'" : '')
			. ')');
}

my @get = (match => { method => 'GET' });
my ($email, $run);

# somebody else's record
$systems->clear_faults;
is($cases->make_by_hand('c1@example.com'), 201, 'a record is there before');
($email, $run) =
	$cases->start('one-step', { probe => 'email={request.email}' }, { fault => 'lost' });
is( $cases->outcome($email, $run),
	'rolled_back 1/1',
	'it is neither adopted nor undone, and nothing was sent');
is( $node->safe_psql(
		'postgres', "SELECT error->'detail'->>'existed' FROM dataflows.runs WHERE run = '$run'"),
	'true',
	'the body learns that it existed');

# a first probe that cannot be read: nothing is sent
($email, $run) = $cases->start('one-step', { probe => 'email={request.email}', doubt => 'resend' },
	{ @get, fault => 'invalid_json' });
is( $cases->outcome($email, $run),
	'stuck 0/0',
	'without knowing what is there nothing is sent, whatever doubt says');

# a probe that has its own trouble
($email, $run) = $cases->start(
	'one-step', {},
	{ fault => 'lost', times => 1 },
	{ @get, status => 500, times => 2 },
	{ @get, fault => 'lost', times => 1 },
	{ @get, status => 401, times => 1 });
is($cases->outcome($email, $run), 'completed 1/1', 'a probe is asked until it answers');
($email, $run) = $cases->start('one-step', {},
	{ fault => 'lost', times => 1 }, { @get, fault => 'empty', times => 1 });
is( $cases->outcome($email, $run),
	'rolled_back 1/0',
	'a 2xx without a body is no "not there"; the undo asks again and finds the id');
($email, $run) =
	$cases->start('one-step', { system => 'trusted' },
		{ status => 500, times => 1 }, { @get, status => 405 });
is($cases->outcome($email, $run), 'completed 1/1', 'a trusted key needs no probe');

# the budget holds with a probe, too
($email, $run) =
	$cases->start('one-step', { retry => { max_attempts => 2 } }, { fault => 'reset_before' });
is( $cases->outcome($email, $run),
	'rolled_back 0/0',
	'attempts are counted though a probe says each time that nothing is there');
is(number_of($node, "SELECT attempts FROM dataflows.steps WHERE run = '$run'"),
	2, 'two and no more');
($email, $run) =
	$cases->start('one-step', {}, { fault => 'reset_before', times => 1 }, { status => 422 });
is( $cases->outcome($email, $run),
	'rolled_back 0/0',
	'not there, sent again, refused: failed for certain');
($email, $run) = $cases->start(
	'one-step', {},
	{ fault => 'lost', times => 1 },
	{ @get, status => 404, times => 1 },
	{ status => 409, times => 1 });
is($cases->state_of($run) =~ /^completed$/ ? $cases->books($email) : 'no',
	'1/1', 'found before it is sent again, or by the probe after the conflict');

# nobody can tell: a person
($email, $run) = $cases->start('one-step', {},
	{ fault => 'lost', times => 1 }, { @get, fault => 'invalid_json' });
is($cases->outcome($email, $run), 'stuck 1/1', 'a probe that cannot be read');
is( $cases->pending($run, "step || ' ' || state || ' ' || request"),
	'call in_doubt POST /contacts',
	'pending_undo names the step and its request');
like(
	$cases->pending($run, 'probe'),
	qr/^the probe was answered with status 200 and nothing that tells$/,
	'what the probe said');
like(
	$node->safe_psql('postgres', "SELECT remedy FROM dataflows.stuck WHERE run = '$run'"),
	qr/pending_undo WHERE run = '$run'; .*SELECT dataflows\.retry\('$run'\);/,
	'stuck leads there');
like($cases->pending($run, 'answered'), qr/^no status: /, 'what was answered');
my $resolve = qr/SELECT dataflows\.resolve\('$run', 'call'/;
like(
	$cases->pending($run, 'remedy'),
	qr/$resolve, 'done', .*$resolve, 'not_done', 'who looked'\);/,
	'and the calls to make');
$systems->clear_faults;
is(resolve($run, 'call', 'done', '{"id": "' . $cases->made($email) . '"}'),
	't', 'a person gives the record');
becomes($node, $run, 'rolled_back', 'and it is undone');
is($cases->books($email), '1/0', 'nothing is left');

($email, $run) = $cases->start(
	'one-step', { probe => 'email={request.email}' },
	{ fault => 'lost', times => 1 },
	{ @get, status => 503, skip => 1 });
ok( wait_until($node, "SELECT error->>'probe' LIKE '%503' FROM dataflows.steps WHERE run = '$run'"),
	'while the probe gets no answer');
is($cases->make_by_hand($email), 201, 'somebody makes a second one');
$systems->clear_faults;
is($cases->outcome($email, $run), 'stuck 2/2', 'two records: neither is adopted or undone');
like($cases->pending($run, 'probe'), qr/found 2 resources/, 'the probe says so');
is(resolve($run, 'call', 'not_done'), 't', 'a person says that neither is ours');
becomes($node, $run, 'rolled_back', 'rolled back');
is($cases->books($email), '2/2', 'and both are left alone');

# carried out for certain, but unreadable: never sent again, never failed
for my $doubt (qw(fail resend))
{
	($email, $run) =
		$cases->start('one-step', { doubt => $doubt },
			{ fault => 'invalid_json' }, { @get, status => 405 });
	is($cases->outcome($email, $run),
		'stuck 1/1', "a 2xx that cannot be read and a probe that cannot tell, doubt => '$doubt'");
	like(
		$node->safe_psql('postgres', "SELECT reason FROM dataflows.stuck WHERE run = '$run'"),
		qr/was carried out \(status 201\).*405/,
		'stuck says why');
}
$systems->clear_faults;
is(resolve($run, 'call', 'done', '{"id": "' . $cases->made($email) . '"}'),
	't', 'a person gives the record');
ok( wait_until(
		$node,
		"SELECT state = 'completed' AND result ? 'id' FROM dataflows.runs WHERE run = '$run'"),
	'and the body goes on with it');

# two steps in doubt that ask the same: one record could be of either
($email, $run) = $cases->start(
	'twins', {},
	{ fault => 'lost', times => 1 },
	{ fault => 'reset_before', times => 1 });
is($cases->outcome($email, $run), 'stuck 1/1', 'one record is not adopted by two steps');
like(
	$cases->pending($run, 'probe'),
	qr/which may be that of step "twin/,
	'and the probe says whose it may be');

# nobody asked what came of it
($email, $run) = $cases->start('careless', {}, { fault => 'lost', times => 1 });
is($cases->outcome($email, $run),
	'stuck 1/1', 'a doubt that the body never asked about does not look completed');
is(resolve($run, 'careless', 'done'), 't', 'a person settles it');
becomes($node, $run, 'completed', 'and it completes');

# an undo that is a POST, a refund, is not made twice
as_app($node, 'postgres', <<'SQL');
CREATE FUNCTION app.refunds(event jsonb) RETURNS jsonb LANGUAGE plpgsql AS $$
BEGIN
  PERFORM dataflows.post('charge', event->>'system', '/contacts', jsonb_build_object('email',
    event->>'email'),
    undo => 'POST /contacts', undo_body => jsonb_build_object('email',
      'refund-' || (event->>'email')), doubt => coalesce(event->>'doubt', 'fail'));
  RAISE EXCEPTION 'no';
END $$;
SELECT dataflows.define_workflow('refunds', 'app.refunds');
SQL
for my $case (
	[ 'plain', 'fail', { fault => 'lost', times => 1 }, 'stuck', '1/1', 'no answer: not repeated' ],
	[
		'plain', 'fail', { status => 500, times => 1 },
		'stuck', '0/0', 'a 500: not repeated, for nobody knows'
	],
	[
		'plain', 'fail', { status => 503, times => 1 },
		'stuck', '0/0', 'a 503 of a router says no more'
	],
	[
		'plain', 'fail', { status => 503, retry_after => 1, times => 1 },
		'rolled_back', '1/1', 'a 503 with Retry-After: not carried out, repeated'
	],
	[
		'plain', 'resend', { fault => 'lost', times => 1 },
		'rolled_back', '2/2', 'repeated where the step says so'
	],
	[
		'trusted', 'fail', { fault => 'lost', times => 1 },
		'rolled_back', '1/1', 'repeated where the key is honoured'
	],)
{
	my ($system, $doubt, $fault, $state, $books, $what) = @$case;

	$systems->config('crm',
		idempotency => $system eq 'trusted' ? JSON::PP::true() : JSON::PP::false());
	($email, $run) = $cases->start('refunds', { system => $system, doubt => $doubt },
		{ %$fault, match => { email => '^refund-' } });
	is($cases->outcome("refund-$email", $run), "$state $books", "a refund with $what");
	next if $state ne 'stuck';
	my ($key) = map { $_->{key} }
		grep { ($_->{email} // '') eq "refund-$email" } @{ $systems->requests('crm') };

	is($cases->pending($run, 'undo_key'), $key, 'a person learns its key');
	like(
		$cases->pending($run, 'why'),
		qr/may have been carried out/,
		'it stands in pending_undo with the reason');
	ok(resolve($run, 'charge', 'undone') eq 't', 'a person looks and says that it was done');
	becomes($node, $run, 'rolled_back', 'and the run ends');
}

# an undo that needs no answer: what it does not find may still come
$systems->config('crm', idempotency => JSON::PP::false());
as_app($node, 'postgres', <<'SQL');
CREATE FUNCTION app.by_filter(event jsonb) RETURNS jsonb LANGUAGE plpgsql AS $$
BEGIN
  RETURN dataflows.post('call', 'plain', '/contacts', jsonb_build_object('email', event->>'email'),
    undo => 'DELETE /contacts?email={request.email}', doubt => 'fail');
END $$;
SELECT dataflows.define_workflow('by-filter', 'app.by_filter');
SQL
# given up after 500 ms, carried out after 600, settled after 700
($email, $run) = $cases->start('by-filter', {}, { fault => 'late', ms => 600 });
is( $cases->outcome($email, $run),
	'rolled_back 1/0',
	'a 404 before the system has settled is not believed');
my @deletes = map { $_->{status} }
	grep { $_->{method} eq 'DELETE' && $_->{email} eq $email } @{ $systems->requests('crm') };

is("@deletes", '404 200', 'it was not there, and then it was');
is($node->safe_psql('postgres', "SELECT undo_state FROM dataflows.steps WHERE run = '$run'"),
	'undone', 'and is undone');
($email, $run) = $cases->start('by-filter', {}, { fault => 'hang' });
is($cases->outcome($email, $run), 'rolled_back 0/0', 'one after it is');
is($node->safe_psql('postgres', "SELECT undo_state FROM dataflows.steps WHERE run = '$run'"),
	'gone', 'as gone');

# a person is quicker than the probe that is in flight: what the person says counts
for my $case (
	[ 'lost', 'done', '{"id": "by hand"}', 'completed', '1/1', 'done, and the probe finds it' ],
	[
		'reset_before', 'done', '{"id": "by hand"}',
		'completed', '0/0', 'done, and the probe does not find it'
	],
	[ 'lost', 'not_done', undef, 'rolled_back', '1/1', 'not done, and the probe finds it' ],
	[
		'reset_before', 'skipped', undef, 'completed', '0/0',
		'skipped, and the probe does not find it'
	],)
{
	my ($fault, $outcome, $output, $state, $books, $what) = @$case;

	($email, $run) = $cases->start(
		'one-step', {},
		{ fault => $fault, times => 1 },
		{ @get, fault => 'latency', ms => 2500, skip => 0 });
	# the probe leaves when the system has settled
	ok( wait_until(
			$node,
			"SELECT (SELECT state = 'in_doubt' FROM dataflows.steps WHERE run = '$run')
				AND in_flight = 1 FROM dataflows.systems WHERE system = 'plain'"
		),
		'the probe is on the wire');
	is(resolve($run, 'call', $outcome, $output), 't', "a person says: $what");
	is($cases->outcome($email, $run), "$state $books", 'and so it is');
	ok(wait_until($node, "SELECT in_flight = 0 FROM dataflows.systems WHERE system = 'plain'"),
		'the answer comes too late');
	is( $node->safe_psql(
			'postgres',
			"SELECT state || ' ' || attempts || ' ' || (SELECT state FROM dataflows.runs
				WHERE run = '$run') FROM dataflows.steps WHERE run = '$run'"
		),
		($outcome eq 'not_done' ? 'failed' : 'done') . " 1 $state",
		'and changes nothing');
	is( $node->safe_psql(
			'postgres',
			"SELECT (error->>'message') || ' ' || coalesce(output->>'id', 'nothing')
				FROM dataflows.steps WHERE run = '$run'"
		),
		"resolved as $outcome by app " . ($output ? 'by hand' : 'nothing'),
		'nor the record of it');
}

$node->stop;
$systems->stop;
done_testing();
