# A probe that asks by what the resource is, not by who made it: what it finds after a loss is the
# step's output, and is not deleted by a rollback unless something in it proves that it is ours.

use strict;
use warnings;

use Test::More;
use PostgreSQL::Test::Cluster;
use Dataflows;

my $systems = start_systems();
my $node = start_plain_node('by_address', $systems);

as_app($node, 'postgres', <<'SQL');
CREATE FUNCTION app.by_address(event jsonb) RETURNS jsonb LANGUAGE plpgsql AS $$
BEGIN
  IF event->>'rollback' IS NOT NULL THEN
    PERFORM dataflows.on_rollback('back', 'plain', event->>'rollback', of_step => 'call');
  END IF;
  PERFORM dataflows.post('call', 'plain', '/contacts', jsonb_build_object('email', event->>'email',
    'note', CASE event->>'note' WHEN 'run' THEN 'made by ' || dataflows.run_id() END),
    undo => coalesce(event->>'undo', 'none'), doubt => coalesce(event->>'doubt', 'stuck'),
    probe => 'GET /contacts?email={request.email}', probe_found => '$[*]');
  IF event->>'end' IS NULL THEN
    RAISE EXCEPTION 'something later fails';
  END IF;
  RETURN NULL;
END $$;
SELECT dataflows.define_workflow('by-address', 'app.by_address');
SQL

my $cases = new_cases($node, $systems, 'crm');
my %undo = (undo => 'DELETE /contacts/{id}');
my %lost = (fault => 'lost', times => 1);

# its request never arrives, and before the probe is answered somebody else makes the same
sub met_anothers
{
	my (%input) = @_;
	my ($email, $run) = $cases->start(
		'by-address', \%input,
		{ fault => 'reset_before', times => 1 },
		{ match => { method => 'GET' }, status => 503, skip => 1 });

	ok(
		wait_until($node, "SELECT error->>'probe' LIKE '%503' FROM dataflows.steps
			WHERE run = '$run' AND step = 'call'"),
		'while the probe gets no answer');
	is($cases->make_by_hand($email), 201, 'another one makes it');
	$systems->clear_faults;
	return ($email, $run);
}

sub resolve
{
	my ($run, $outcome) = @_;

	return as_app($node, 'postgres', "SELECT dataflows.resolve('$run', 'call', '$outcome', 'I')");
}

for my $undo ('DELETE /contacts/{id}', 'DELETE /contacts?email={request.email}')
{
	my ($email, $run) = met_anothers(undo => $undo);
	my $id = $cases->made($email);
	my $sent = $undo =~ s/\{id\}/$id/r =~ s/\{request.email\}/$email/r =~ s/@/%40/r;

	is($cases->outcome($email, $run), 'stuck 1/1', "$undo: it is not deleted");
	like(
		$cases->pending($run, 'why'),
		qr/^"\Q$sent\E" is not sent: .* another run, or a person, may have made it$/,
		'a person learns which it is, and why');
	like(
		$cases->pending($run, 'remedy'),
		qr/'$run', 'call', 'done', 'who saw it'\); .*'$run', 'call', 'not_done', 'who looked'\);$/,
		'and the calls to make');
	as_app($node, 'postgres', "SELECT dataflows.retry('$run')");
	ok(
		wait_until(
			$node, "SELECT state = 'done' FROM dataflows.requests
			WHERE run = '$run' AND request = 'retry'"
		),
		'retry() is read');
	is($cases->outcome($email, $run), 'stuck 1/1', 'and deletes nothing either');
	is(resolve($run, 'not_done'), 't', 'a person says that it is not ours');
	becomes($node, $run, 'rolled_back', 'and the run ends');
	is($cases->books($email), '1/1', 'and it stays');
}

# it is on_rollback() that takes it back
my ($email, $run) = met_anothers(rollback => 'DELETE /contacts/{id}');
is($cases->outcome($email, $run), 'stuck 1/1', 'on_rollback() does not delete it either');
like($cases->pending($run, 'why'), qr/ is not sent: the probe/, 'for the same reason');

# ours after all
($email, $run) = $cases->start('by-address', \%undo, \%lost);
is($cases->outcome($email, $run), 'stuck 1/1', 'of our own nothing proves that it is');
is(resolve($run, 'done'), 't', 'a person says so');
becomes($node, $run, 'rolled_back', 'and it is undone');
is($cases->books($email), '1/0', 'nothing is left');

# in doubt, and undone by what was asked for
($email, $run) = $cases->start(
	'by-address', { undo => 'DELETE /contacts?email={request.email}', doubt => 'fail' },
	\%lost, { match => { method => 'GET' }, status => 405, skip => 1, times => 1 });
is($cases->outcome($email, $run), 'stuck 1/1', 'in doubt: the undo may find what is another\'s');

# something proves it, or nothing is to be undone
($email, $run) = $cases->start('by-address', { %undo, note => 'run' }, \%lost);
is($cases->outcome($email, $run), 'rolled_back 1/0', 'what bears the id of the run is ours');
($email, $run) = $cases->start('by-address', { %undo, end => 'done' }, \%lost);
is($cases->outcome($email, $run), 'completed 1/1', 'a run that goes on needs nobody');
($email, $run) = $cases->start('by-address', \%undo);
is($cases->outcome($email, $run), 'rolled_back 1/0', 'nor does one that lost nothing');
($email, $run) = $cases->start('by-address', \%undo, { fault => 'reset_before', times => 1 });
is($cases->outcome($email, $run), 'rolled_back 1/0', 'nor one that got an answer after all');

$node->stop;
$systems->stop;
done_testing();
