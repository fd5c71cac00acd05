# A 404 to an undo whose path may be wrong: a router says the same of each path that it does not
# know, and the resource is not gone.

use strict;
use warnings;

use Test::More;
use PostgreSQL::Test::Cluster;
use Dataflows;
use Dataflows::Undo;

my $systems = start_systems();
my $node = start_undo_node('wrong_path', $systems, settle => '100ms');

create_server($node, 'billing', $systems->url('billing'), retry_max => '200ms',
	settle => '100ms');

sub pending
{
	my ($run, $column) = @_;

	return $node->safe_psql('postgres',
		"SELECT $column FROM dataflows.pending_undo WHERE run = '$run'");
}

sub outcome
{
	my ($run, $state, $email) = @_;
	my ($undo) = undo_of($node, $run) =~ /(\w+)$/;

	return "$state $undo " . $systems->made_and_left('crm', $email);
}

# a run of one step, whose resource somebody else may have deleted meanwhile
sub failing
{
	my ($email, $undo, %also) = @_;
	my $post = "PERFORM dataflows.post('step', 'crm', '/contacts', '{\"email\": \"$email\"}', "
		. "undo => '$undo'" . ($also{options} // '') . ');';
	my ($run, $state) = failing_run($node, $post . ($also{then} // ''));

	return ($run, outcome($run, $state, $email));
}

# ---- the path is wrong ---------------------------------------------------------------------------

for my $case (
	[ 'DELETE /contact/{id}', 'the name of the collection' ],
	[ 'DELETE /contacts/{email}', 'the field' ],
	[ 'DELETE /contacts/{id}/x', 'the end' ])
{
	my ($undo, $what) = @$case;
	my $email = 'wrong' . length($undo) . '@example.com';
	my ($run, $outcome) = failing($email, $undo);

	is($outcome, 'stuck undo_failed 1/1', "$what is wrong: it is not called gone");
	like(pending($run, 'why'), qr/"DELETE \/contact.*the path of the undo is wrong$/,
		'a person learns why, and which path it was');
	like(pending($run, 'remedy'), qr/'undone'/, 'and the call to make');
	is($systems->made_and_left('crm', $email), '1/1', 'and can delete it');
	as_app($node, 'postgres', "SELECT dataflows.resolve('$run', 'step', 'undone', 'by hand')");
	is(ended_as($node, $run), 'rolled_back', 'as it says then');
}

my ($run, $state) = failing_run($node, <<'SQL');
PERFORM dataflows.post('step', 'crm', '/contacts', '{"email": "back@example.com"}');
PERFORM dataflows.on_rollback('back', 'crm', 'DELETE /contact/{id}', of_step => 'step');
SQL
is($state . ' ' . $systems->made_and_left('crm', 'back@example.com'), 'stuck 1/1',
	'that of on_rollback() is no better');

# ---- it is gone ----------------------------------------------------------------------------------

my $outcome;
($run, $outcome) = failing('gone@example.com', 'DELETE /contacts/{id}', then =>
	"PERFORM dataflows.delete('quicker', 'crm', '/contacts?email=gone\@example.com');");
is($outcome, 'rolled_back gone 1/0', 'below the path of its step, by the id of its response');

# each: what the response is, the undo, and whether it is where the step was made
for my $case (
	[ '{"id": 12345678901234567890}', 'DELETE /contacts/{id}', 1 ],
	[ '{"data": {"id": "a/b c"}}', 'DELETE /contacts/{data.id}', 1 ],
	[ '{"user_id": "auth|7"}', 'DELETE /contacts/{user_id}', 1 ],
	[ '{"user_id": "7", "account_id": "8"}', 'DELETE /contacts/{account_id}', 0 ],
	[ '{"a": {"id": 1}, "b": {"id": 2}}', 'DELETE /contacts/{b.id}', 0 ],
	[ '[{"id": 1}]', 'DELETE /contacts/{0.id}', 0 ],
	[ '{"id": "x", "name": "y"}', 'DELETE /contacts/x', 1 ],
	[ '{"id": "x", "name": "y"}', 'DELETE /contacts/{name}', 0 ])
{
	my ($body, $undo, $is_home) = @$case;

	$systems->fault('crm', match => { method => 'POST' }, status => 201, page => $body, times => 1);
	($run, $outcome) = failing('n@example.com', $undo);
	is($outcome, ($is_home ? 'rolled_back gone' : 'stuck undo_failed') . ' 0/0', "$body: $undo");
}

($run, $outcome) = failing('rule@example.com', '{"request": "DELETE /contact/{id}",'
	  . ' "answers": "404=kept"}');
is($outcome, 'rolled_back gone 1/1', 'what `answers` of the undo says is believed');

# ---- once it has been carried out, the path is right ---------------------------------------------

as_app($node, 'postgres', <<'SQL');
CREATE FUNCTION app.elsewhere(event jsonb) RETURNS jsonb LANGUAGE plpgsql AS $$
BEGIN
  PERFORM dataflows.post('step', 'crm', '/contacts', event);
  PERFORM dataflows.on_rollback('back', 'billing', 'DELETE /customers/' || (event->>'customer'));
  RAISE EXCEPTION 'something later fails';
END $$;
SELECT dataflows.define_workflow('elsewhere', 'app.elsewhere');
SQL

sub elsewhere
{
	my ($customer) = @_;
	my $started = as_app($node, 'postgres',
		qq(SELECT dataflows.start('elsewhere', '{"customer": "$customer", "email": "e"}')));

	return ended_as($node, $started) . ' '
		. $node->safe_psql('postgres',
		"SELECT undo_state FROM dataflows.steps WHERE run = '$started' AND step = 'back'");
}

my $made = as_app($node, 'postgres', 'SELECT dataflows.start(\''
	  . define_steps($node, q(RETURN dataflows.post('make', 'billing', '/customers',
	'{"email": "c@example.com"}');)) . '\')');
is(ended_as($node, $made), 'completed', 'a customer is there');
my $customer = $systems->id_of('billing', 'c@example.com');

is(elsewhere('cus_0'), 'stuck undo_failed', 'of another system than the step: not believed');
is(elsewhere($customer), 'rolled_back undone', 'the same undo is carried out');
is(elsewhere($customer), 'rolled_back gone', 'and is believed from then on');

$node->stop;
$systems->stop;
done_testing();
