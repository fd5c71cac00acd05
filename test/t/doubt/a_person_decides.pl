# A step of which nobody can tell whether it was carried out: the run is stuck, its body learns
# nothing, and what a person says becomes of it.

use strict;
use warnings;

use Test::More;
use PostgreSQL::Test::Cluster;
use Dataflows;

my $systems = start_systems();
my $node = start_plain_node('person', $systems);

as_app($node, 'postgres', <<'SQL');
CREATE FUNCTION app.two_steps(event jsonb) RETURNS jsonb LANGUAGE plpgsql AS $$
DECLARE
  made jsonb;
BEGIN
  PERFORM dataflows.post('first', 'plain', '/contacts',
    jsonb_build_object('email', 'first-' || (event->>'email')), undo => 'DELETE /contacts/{id}');
  BEGIN
    made := dataflows.post('call', 'plain', '/contacts', jsonb_build_object('email',
      event->>'email'), undo => 'DELETE /contacts/{id}', doubt => event->>'doubt');
  EXCEPTION WHEN SQLSTATE 'DF001' THEN
    RETURN to_jsonb('the body has learned of it'::text);
  END;
  RETURN made->'id';
END $$;
SELECT dataflows.define_workflow('two-steps', 'app.two_steps');
CREATE FUNCTION app.unasked(event jsonb) RETURNS jsonb LANGUAGE plpgsql AS $$
BEGIN
  PERFORM dataflows.post('call', 'plain', '/contacts', jsonb_build_object('email',
    event->>'email'), undo => 'none', doubt => 'fail', wait => false);
  PERFORM dataflows.wait_for('go');
  RETURN NULL;
END $$;
SELECT dataflows.define_workflow('unasked', 'app.unasked');
SQL

my $cases = new_cases($node, $systems, 'crm');

sub begin
{
	my ($fault, %input) = @_;
	my ($email, $run) = $cases->start('two-steps', \%input, $fault);

	$cases->state_of($run);
	return ($email, $run);
}

sub lost { return { fault => $_[0], times => 1, skip => 1, match => { path => '^/contacts' } }; }

sub says
{
	my ($run, $outcome, $output) = @_;

	return as_app($node, 'postgres',
			"SELECT dataflows.resolve('$run', 'call', '$outcome', 'looked'"
		  . ($output ? ", '$output'" : '')
		  . ')');
}

sub of_run
{
	my ($run, $what) = @_;

	return $node->safe_psql('postgres', "SELECT $what FROM dataflows.runs WHERE run = '$run'");
}

sub books
{
	my ($email) = @_;

	return $cases->books($email) . ' ' . $cases->books("first-$email");
}

# ---- the run is stuck, and nothing is undone -----------------------------------------------------

my ($email, $run) = begin(lost('lost'));

is(of_run($run, 'state') . ' ' . books($email), 'stuck 1/1 1/1', 'nothing is undone');
like(of_run($run, "stuck->>'reason'"),
	qr/^step "call" is in doubt at system "plain": /, 'the step and its system are named');
like(
	of_run($run, "stuck->>'remedy'"),
	qr/resolve\('$run', 'call', 'done', .*resolve\('$run', 'call', 'resend'/,
	'and the calls to make');
like($cases->pending($run, 'remedy'), qr/resolve\('$run', 'call', 'resend', 'who looked'\);/,
	'which pending_undo names, too');
is(as_app($node, 'postgres', "SELECT dataflows.retry('$run')"), 't', 'to try again');
ok(
	wait_until(
		$node,
		"SELECT state = 'stuck' AND (SELECT count(*) = 0 FROM dataflows.requests q"
		  . " WHERE q.run = r.run AND q.state = 'new') FROM dataflows.runs r WHERE run = '$run'"),
	'does not help');
like(of_run($run, "stuck->>'reason'"),
	qr/: nothing says that the system honours its idempotency key$/,
	'and nothing is said of a key that the system never knew');
is(books($email), '1/1 1/1', 'and nothing is sent twice');

# ---- what a person says --------------------------------------------------------------------------

my $id = $cases->made($email);

is(says($run, 'done', "{\"id\": \"$id\"}"), 't', 'it was done');
becomes($node, $run, 'completed', 'the run goes on');
is(of_run($run, 'result'), "\"$id\"", 'with what the person saw');
is(says($run, 'resend'), 'f', 'what has ended is not sent again');

($email, $run) = begin(lost('reset_before'));
is(of_run($run, 'state') . ' ' . books($email), 'stuck 0/0 1/1', 'lost before it was carried out');

is(says($run, 'resend'), 't', 'it was not done, and is to be');
becomes($node, $run, 'completed', 'the run goes on');
is(books($email), '1/1 1/1', 'with one of each');

my @keys = map { $_->{key} }
	grep { ($_->{email} // '') eq $email && $_->{method} eq 'POST' }
	@{ $systems->requests('crm') };

ok(@keys == 2 && $keys[0] ne $keys[1], 'it had a new key');
is(
	$node->safe_psql('postgres',
		"SELECT idempotency_key FROM dataflows.steps WHERE run = '$run' AND step = 'call'"),
	$keys[1], 'which the view shows');

($email, $run) = begin(lost('reset_before'));
is(says($run, 'not_done'), 't', 'it was not done');
becomes($node, $run, 'completed', 'and the body is told so');
is(of_run($run, 'result'), '"the body has learned of it"', 'by DF001');

($email, $run) = begin(lost('reset_before'));
is(says($run, 'skipped'), 't', 'it does not matter');
becomes($node, $run, 'completed', 'the run goes on without it');
is(books($email), '0/0 1/1', 'and nothing is sent');

($email, $run) = begin(lost('lost'));
is(as_app($node, 'postgres', "SELECT dataflows.cancel('$run')"), 't', 'or the run is cancelled');
ok(
	wait_until(
		$node,
		"SELECT state = 'stuck' AND cause = 'cancelled' FROM dataflows.runs WHERE run = '$run'"),
	'it cannot be undone without the id');
is(books($email), '1/1 1/0', 'the other step is');
is(says($run, 'resend'), 'f', 'a rollback sends nothing again');
like($cases->pending($run, 'remedy'), qr/'done', .*'not_done'/, 'nor is a person told to');
$id = $cases->made($email);
is(says($run, 'done', "{\"id\": \"$id\"}"), 't', 'a person gives it');
becomes($node, $run, 'cancelled', 'and it is undone');
is(books($email), '1/0 1/0', 'nothing is left');

# ---- an author who wants to know -----------------------------------------------------------------

($email, $run) = begin(lost('lost'), doubt => 'fail');
is(of_run($run, 'result'), '"the body has learned of it"', "doubt => 'fail': DF001 in the body");
is(says($run, 'resend'), 'f', 'which is not told anything else afterwards');

# ---- a run that was read anew --------------------------------------------------------------------

($email, $run) = $cases->start('unasked', {}, { fault => 'lost', times => 1 });
ok(
	wait_until(
		$node,
		"SELECT state = 'in_doubt' AND finished_at IS NOT NULL FROM dataflows.steps"
		  . " WHERE run = '$run' AND step = 'call'"),
	'a doubt of which the body does not ask');
$node->restart;
as_app($node, 'postgres', "SELECT dataflows.signal('$run', 'go')");
is($cases->state_of($run), 'stuck', 'after a restart it does not look completed either');
like(of_run($run, "stuck->>'remedy'"), qr/'done', .*'not_done'/, 'and a person learns what to do');

# ---- a failure of which the body does not ask ----------------------------------------------------

($email, $run) = $cases->start('unasked', {}, { status => 422, times => 1 });
as_app($node, 'postgres', "SELECT dataflows.signal('$run', 'go')");
is($cases->state_of($run), 'stuck', 'a refusal that nobody has seen does not look completed');
like(of_run($run, "stuck->>'reason'"), qr/"call" failed, and the body returned/, 'which it says');
as_app($node, 'postgres', "SELECT dataflows.retry('$run')");
is($cases->outcome($email, $run), 'completed 1/1', 'retry() has it sent again');

$node->stop;
$systems->stop;
done_testing();
