# What cannot succeed is undone, newest first, and nothing is skipped silently.

use strict;
use warnings;

use Test::More;
use PostgreSQL::Test::Cluster;
use Dataflows;

my $systems = start_systems();
my $node = new_node('rollback', conf => "dataflows.undo_for = '3s'");
my @names = Dataflows::Systems::names();

create_systems($node, 'postgres', $systems);

# A signup that is confirmed beforehand; returns the run.
sub sign_up
{
	my ($email) = @_;

	return as_app($node, 'postgres', <<"SQL");
WITH s AS (INSERT INTO app.signups (email, name) VALUES ('$email', 'N') RETURNING id)
SELECT dataflows.signal_by_key('customer-onboarding', id::text, 'email-confirmed') FROM s \\gset
SELECT run FROM dataflows.runs WHERE input->>'email' = '$email'
SQL
}

sub await
{
	my ($run, $timeout) = @_;

	return as_app($node, 'postgres',
		"SELECT dataflows.await('$run', '" . ($timeout // '20 s') . "')");
}

sub undo_states
{
	my ($run) = @_;

	return $node->safe_psql(
		'postgres',
		"SELECT string_agg(step || ' ' || coalesce(undo_state, 'none'), ', ' ORDER BY n)
			FROM dataflows.steps WHERE run = '$run' AND kind = 'http'"
	);
}

# fail at step k: none of the k-1 records is left
for my $k (1 .. 4)
{
	my $email = "fails-at-$k\@example.com";
	my $run;

	$systems->fault(
		$names[ $k - 1 ],
		match => { method => 'POST', email => "^$email" },
		status => 422);
	$run = sign_up($email);
	is(await($run), 'rolled_back', "failed at step $k: rolled back");
	is($systems->live($email), '0/0/0/0', 'no record is left');
	is( $systems->ever($email),
		join('/', map { $_ < $k ? 1 : 0 } 1 .. 4),
		'though there had been some');
}

# beyond the point of no return: stuck, and retry() sends what failed among several at once, and
# only that
as_app($node, 'postgres', <<'SQL');
CREATE FUNCTION app.several(event jsonb) RETURNS jsonb LANGUAGE plpgsql AS $$
BEGIN
  PERFORM dataflows.point_of_no_return('sold');
  PERFORM dataflows.post('one', 'identity', '/users', event, wait => false);
  PERFORM dataflows.post('two', 'billing', '/customers', event, wait => false);
  PERFORM dataflows.post('three', 'crm', '/contacts', event, wait => false);
  RETURN dataflows.wait_all('one', 'two', 'three');
END $$;
SELECT dataflows.define_workflow('several', 'app.several');
SQL
$systems->fault($_, match => { method => 'POST', email => '^several' }, status => 422, times => 1)
	for qw(identity crm);
my $several = as_app($node, 'postgres',
	q{SELECT dataflows.start('several', '{"email": "several@example.com"}')});
is(await($several), 'stuck', 'wait_all() beyond the point of no return: stuck');
as_app($node, 'postgres', "SELECT dataflows.retry('$several')");
is(await($several), 'completed', 'retry() sends both that had failed again');
is($systems->ever('several@example.com'), '1/1/1/0', 'and each is there once');
is(scalar(grep { $_->{email} eq 'several@example.com' } @{ $systems->requests('billing') }),
	1, 'what was done was not sent again');

# newest first
my @deleted = sort { $a->{at} <=> $b->{at} } map {
	my $name = $_;
	map      { { at => $_->{at}, name => $name } }
		grep { $_->{method} eq 'DELETE' && ($_->{email} // '') eq 'fails-at-4@example.com' }
		@{ $systems->requests($name) }
} @names;

is(join(' ', map { $_->{name} } @deleted), 'crm billing identity', 'undone newest first');

# an undo while its system is down
$systems->fault('email', status => 422);
$systems->fault('billing', match => { method => 'DELETE' }, status => 503, times => 2);
my $run = sign_up('twice@example.com');

is(await($run), 'rolled_back', 'an undo is tried again');
is(number_of($node, "SELECT count(*) FROM dataflows.attempts WHERE run = '$run' AND undo"),
	2, 'each failed try is a row');
is($systems->live('twice@example.com'), '0/0/0/0', 'nothing is left');

$systems->fault(
	'crm',
	match => { method => 'DELETE', email => '^down@' },
	fault => 'latency',
	ms => 2000);
$run = sign_up('down@example.com');
ok(wait_until($node, "SELECT state = 'rolling_back' FROM dataflows.runs WHERE run = '$run'"),
	'it is rolling back');
$systems->down('identity');
ok(wait_until($node, "SELECT count(*) >= 2 FROM dataflows.attempts WHERE run = '$run' AND undo"),
	'the system is down');
$systems->up('identity');
is(await($run), 'rolled_back', 'the undo succeeds once it is up');
is($systems->live('down@example.com'), '0/0/0/0', 'nothing is left');
$systems->clear_faults;

# somebody else deleted it: 404 is as good
$systems->fault('email', status => 422);
$systems->fault('crm', match => { method => 'DELETE' }, status => 404, effect => JSON::PP::true());
$systems->fault(
	'billing',
	match => { method => 'DELETE' },
	status => 410,
	effect => JSON::PP::true());
$run = sign_up('gone@example.com');
is(await($run), 'rolled_back', '404 and 410 are as good');
is(undo_states($run),
	'create-account undone, create-billing gone, create-crm-contact gone, send-welcome none',
	'but said so');
$systems->clear_faults;

# a lost answer to an undo
$systems->fault('email', status => 422);
$systems->fault('crm', match => { method => 'DELETE' }, fault => 'lost', times => 1);
$run = sign_up('lost@example.com');
is(await($run), 'rolled_back', 'a lost answer to an undo');
is($systems->live('lost@example.com'), '0/0/0/0', 'nothing is left');
$systems->clear_faults;

# the budget is used up
$systems->fault('email', status => 422);
$systems->fault('billing', match => { method => 'DELETE' }, status => 503);
$run = sign_up('stuck@example.com');
is(await($run, '30 s'), 'stuck', 'an undo that does not succeed in its time: stuck');
is($systems->live('stuck@example.com'), '0/1/0/0', 'the other undos were done');
is( undo_states($run),
	'create-account undone, create-billing undo_failed, create-crm-contact undone, send-welcome '
		. 'none',
	'the steps say so');
is($node->safe_psql('postgres', "SELECT step FROM dataflows.pending_undo WHERE run = '$run'"),
	'create-billing', 'pending_undo is the work list');
like($node->safe_psql('postgres', "SELECT * FROM dataflows.stuck WHERE run = '$run'"),
	qr/retry|resolve/i, 'stuck names a remedy');
$systems->clear_faults;
as_app($node, 'postgres', "SELECT dataflows.retry('$run')");
ok(wait_until($node, "SELECT state = 'rolled_back' FROM dataflows.runs WHERE run = '$run'"),
	'retry() goes on undoing');
is($systems->live('stuck@example.com'), '0/0/0/0', 'nothing is left');
is(number_of($node, 'SELECT count(*) FROM dataflows.pending_undo'), 0, 'pending_undo is empty');

# cancel
as_app($node, 'postgres',
	"INSERT INTO app.signups (email, name) VALUES ('cancelled\@example.com', 'N')");
ok(wait_until($node, "SELECT count(*) = 1 FROM dataflows.runs WHERE state = 'waiting'"),
	'a run waits');
is($systems->live('cancelled@example.com'), '1/1/1/0', 'with three records');
as_app($node, 'postgres',
	"SELECT dataflows.cancel(run, 'changed their mind') FROM dataflows.runs WHERE state = 'waiting'"
);
ok(wait_for_runs($node, [ 'completed', 'rolled_back', 'cancelled' ]), 'it is cancelled');
is($systems->live('cancelled@example.com'), '0/0/0/0', 'nothing is left');
is(number_of($node, "SELECT count(*) FROM dataflows.runs WHERE state = 'cancelled'"),
	1, 'and its state is cancelled');
like(
	$node->safe_psql('postgres', "SELECT error FROM dataflows.runs WHERE state = 'cancelled'"),
	qr/changed their mind/,
	'with the reason');

# on_failure gets the whole story; on_rollback; a body that raises
as_app($node, 'postgres', <<'SQL');
CREATE FUNCTION app.sad(event jsonb) RETURNS jsonb LANGUAGE plpgsql AS $$
BEGIN
  PERFORM dataflows.post('create-account', 'identity', '/users', jsonb_build_object('email',
    event->>'email'),
    undo => 'DELETE /users/{id}');
  PERFORM dataflows.on_rollback('tell', 'email', 'POST /send', jsonb_build_object('to',
    event->>'email', 'template', 'sorry'));
  RAISE EXCEPTION 'no good';
END $$;
CREATE FUNCTION app.report(context jsonb) RETURNS jsonb LANGUAGE plpgsql AS $$
BEGIN
  RETURN dataflows.post('report', 'crm', '/contacts', jsonb_build_object('email',
    'desk@example.com', 'context', context),
    undo => 'none');
END $$;
SELECT dataflows.define_workflow('sad', 'app.sad', on_failure => 'app.report');
SQL
$run = as_app($node, 'postgres',
	q(SELECT dataflows.start('sad', '{"email": "sad@example.com"}', 'k7')));
is(await($run), 'rolled_back', 'a body that raises is rolled back');
is($systems->live('sad@example.com'), '0/0/0/1', 'undone, and the undo by hand was sent');
my ($report) = grep { $_->{email} eq 'desk@example.com' } @{ $systems->books('crm')->{records} };
my $context = $report->{data}{context};

ok($context, 'on_failure was run');
is( "$context->{run} $context->{key} $context->{workflow} $context->{input}{email}",
	"$run k7 sad sad\@example.com",
	'it knows the run');
ok(!$context->{cancelled}, 'that it was not cancelled');
like(JSON::PP->new->encode($context->{error}), qr/no good/, 'why it failed');
is( join(', ',
		map  { "$_->{step} $_->{state} " . ($_->{undo_state} // 'none') }
		grep { $_->{step} eq 'create-account' } @{ $context->{steps} }),
	'create-account done undone',
	'and what was undone');

# an address that is never confirmed
as_app($node, 'postgres', <<'SQL');
CREATE FUNCTION app.patient(event jsonb) RETURNS jsonb LANGUAGE plpgsql AS $$
BEGIN
  PERFORM dataflows.post('create-account', 'identity', '/users', jsonb_build_object('email',
    event->>'email'),
    undo => 'DELETE /users/{id}');
  IF dataflows.wait_for('email-confirmed', timeout => '1 s') IS NULL THEN
    RAISE EXCEPTION 'address never confirmed';
  END IF;
  RETURN NULL;
END $$;
SELECT dataflows.define_workflow('patient', 'app.patient');
SQL
$run = as_app($node, 'postgres',
	q(SELECT dataflows.start('patient', '{"email": "late@example.com"}')));
ok(wait_until($node, "SELECT state = 'rolled_back' FROM dataflows.runs WHERE run = '$run'"),
	'a wait that times out');
is($systems->live('late@example.com'), '0/0/0/0', 'nothing is left');

$node->stop;
$systems->stop;
done_testing();
