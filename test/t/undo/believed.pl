# When an undo counts as done: what a system says, when, and from where, against its books.

use strict;
use warnings;

use Test::More;
use PostgreSQL::Test::Cluster;
use Dataflows;
use Dataflows::Undo;

my $systems = start_systems();
my $node = start_undo_node('undo_believed', $systems, settle => '5s', timeout => '1s');

create_server($node, 'moved', $systems->url('crm'));

# The run of a step that makes a contact and waits; then it is cancelled.
sub made
{
	my ($email, $undo, $system) = @_;

	$system //= 'crm';
	$undo //= 'DELETE /contacts/{id}';

	my $run = start_steps($node, <<"SQL");
PERFORM dataflows.post('step', '$system', '/contacts', '{"email": "$email"}', undo => '$undo');
PERFORM dataflows.wait_for('never');
SQL

	ok(wait_until($node, "SELECT state = 'waiting' FROM dataflows.runs WHERE run = '$run'"),
		"$email is made");
	return $run;
}

sub cancelled
{
	my ($run) = @_;

	as_app($node, 'postgres', "SELECT dataflows.cancel('$run', 'enough')");
	return ended_as($node, $run);
}

sub outcome
{
	my ($run, $email) = @_;
	my ($state) = undo_of($node, $run) =~ /(\w+)$/;

	return "$state " . $systems->made_and_left('crm', $email);
}

sub pending
{
	my ($run) = @_;

	return $node->safe_psql('postgres',
		"SELECT why FROM dataflows.pending_undo WHERE run = '$run'");
}

# what was confirmed a moment ago is not found yet, and is not gone
$systems->config('crm', settle_ms => 2000);
my $run = made('late@example.com');
is(cancelled($run) . ' ' . outcome($run, 'late@example.com'),
	'cancelled undone 1/0', 'a 404 within "settle" is not believed');
$systems->config('crm', settle_ms => 0);

# somebody else was quicker
$run = made('early@example.com');
HTTP::Tiny->new->delete(
	$systems->url('crm') . '/contacts/' . $systems->id_of('crm', 'early@example.com'));
is(cancelled($run) . ' ' . outcome($run, 'early@example.com'),
	'cancelled gone 1/0', 'after "settle" it is');

# a page of something in between
$run = made('page@example.com');
$systems->fault(
	'crm',
	match => { method => 'DELETE' },
	status => 404,
	page => '<h1>Not Found</h1>',
	times => 2);
is(cancelled($run) . ' ' . outcome($run, 'page@example.com'),
	'cancelled undone 1/0', 'a page of a proxy is not the system');

$node->append_conf('postgresql.conf', "dataflows.undo_for = '1s'");
$node->reload;
$run = made('proxy@example.com');
$systems->fault('crm', match => { method => 'DELETE' }, status => 410, page => 'no such host');
is(cancelled($run) . ' ' . outcome($run, 'proxy@example.com'),
	'stuck undo_failed 1/1', 'if it stays, a person has to look');
like(pending($run), qr/a page that is not the system's/, 'who is told why');
$systems->clear_faults;
as_app($node, 'postgres', "SELECT dataflows.retry('$run')");
ok(wait_until($node, "SELECT state = 'cancelled' FROM dataflows.runs WHERE run = '$run'"),
	'and has it tried again');
is(outcome($run, 'proxy@example.com'), 'undone 1/0', 'nothing is left');

# the system has another address now
$run = made('moved@example.com', undef, 'moved');
$node->safe_psql('postgres',
	"ALTER SERVER moved OPTIONS (SET url '" . $systems->url('crm') . "/v2')");
is(cancelled($run) . ' ' . outcome($run, 'moved@example.com'),
	'stuck undo_failed 1/1', 'a 404 of another address is not believed');
like(pending($run), qr/url of the system has changed/, 'and says why');

# the step itself got no response, and is carried out late
$systems->fault(
	'crm',
	match => { method => 'POST', email => '^doubt@' },
	fault => 'late',
	ms => 1500);
$run = start_steps($node, <<'SQL');
PERFORM dataflows.post('step', 'crm', '/contacts', '{"email": "doubt@example.com"}',
	undo => 'DELETE /contacts?email={request.email}', doubt => 'fail');
SQL
ended_as($node, $run);
as_app($node, 'postgres', "SELECT dataflows.cancel('$run', 'enough')");
ok( wait_until(
		$node, "SELECT state IN ('cancelled', 'rolled_back') FROM dataflows.runs WHERE run = '$run'"
	),
	'a step in doubt is undone');
is(outcome($run, 'doubt@example.com'), 'undone 1/0', 'not before it may have come');

$node->stop;
$systems->stop;
done_testing();
