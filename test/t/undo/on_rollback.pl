# on_rollback(): an undo that the step itself cannot say, of another system for instance.  It is
# said before the step is called, so that nothing can come in between.

use strict;
use warnings;

use Test::More;
use PostgreSQL::Test::Cluster;
use Dataflows;
use Dataflows::Undo;

my $systems = start_systems();
my $node = start_undo_node('on_rollback', $systems, settle => '100ms');

create_server($node, 'billing', $systems->url('billing'), settle => '100ms');

my $before = <<'SQL';
PERFORM dataflows.on_rollback('undo', 'crm', 'DELETE {response.headers.location|path}',
	of_step => 'make');
PERFORM dataflows.post('make', 'crm', '/contacts', event);
SQL

# ---- what may come in between ------------------------------------------------------

$systems->config('crm', location => $systems->url('crm'));

my ($run, $state) = failing_run($node, $before, '{"email": "fails@example.com"}');
is("$state " . $systems->made_and_left('crm', 'fails@example.com'),
	'rolled_back 1/0', 'the run fails afterwards');

$systems->fault('crm', match => { method => 'POST' }, fault => 'latency', ms => 2000);
$run = start_steps($node, $before . "PERFORM dataflows.wait_for('never');",
	'{"email": "wire@example.com"}');

my $is_made = sub { $systems->made_and_left('crm', 'wire@example.com') eq '1/1' };

ok(wait_for('the contact is made', $is_made), 'the request is on its way');
as_app($node, 'postgres', "SELECT dataflows.cancel('$run', 'changed their mind')");
is(ended_as($node, $run) . ' ' . $systems->made_and_left('crm', 'wire@example.com'),
	'cancelled 1/0', 'a cancel comes before the response');

$systems->fault('billing', match => { method => 'POST' }, status => 409);
$run = start_steps($node, <<'SQL', '{"email": "sibling@example.com"}');
PERFORM dataflows.on_rollback('undo', 'crm', 'DELETE {response.headers.location|path}',
	of_step => 'make');
PERFORM dataflows.post('make', 'crm', '/contacts', event, wait => false);
PERFORM dataflows.post('bill', 'billing', '/customers', event, wait => false);
PERFORM dataflows.wait_all('make', 'bill');
SQL
is(ended_as($node, $run) . ' ' . $systems->made_and_left('crm', 'sibling@example.com'),
	'rolled_back 1/0', 'a sibling fails');
$systems->clear_faults;

# ---- a step that makes nothing -----------------------------------------------------

my $deletes = sub {
	return scalar(grep { $_->{method} eq 'DELETE' } @{ $systems->requests('crm') });
};
my $sent = $deletes->();

$systems->fault('crm', match => { method => 'POST' }, status => 409);
$run = start_steps($node, <<"SQL", '{"email": "refused@example.com"}');
BEGIN
$before
EXCEPTION WHEN SQLSTATE 'DF001' THEN
	RAISE EXCEPTION 'it was refused';
END;
SQL
is(ended_as($node, $run), 'rolled_back', 'the step is refused');
is(undo_of($node, $run), 'gone', 'there is nothing to undo');
$systems->clear_faults;

($run, $state) = failing_run($node, <<'SQL');
PERFORM dataflows.on_rollback('undo', 'crm', 'DELETE /contacts/{id}', of_step => 'make');
SQL
is("$state " . undo_of($node, $run), 'rolled_back gone', 'nor if it is never called');
is($deletes->(), $sent, 'nothing is sent for either');

# ---- of other kinds of steps, and after the step -----------------------------------

$systems->config('crm', location => undef);
($run, $state) = failing_run($node, <<'SQL', '{"email": "after@example.com"}');
PERFORM dataflows.post('make', 'crm', '/contacts', event);
PERFORM dataflows.on_rollback('undo', 'crm', '{"request": "DELETE /contacts/{id}",
	"headers": {"X-Key": "{idempotency_key}", "X-Of": "{request.email}"}}', of_step => 'make');
SQL
is("$state " . $systems->made_and_left('crm', 'after@example.com'),
	'rolled_back 1/0', 'of a step that has ended');
my ($request) =
	grep { $_->{method} eq 'DELETE' && ($_->{email} // '') eq 'after@example.com' }
	@{ $systems->requests('crm') };
is($request->{headers}{'x-of'}, 'after@example.com', 'with headers of the step\'s request');
is( $request->{headers}{'x-key'},
	$node->safe_psql('postgres',
		"SELECT idempotency_key FROM dataflows.steps WHERE run = '$run' AND step = 'make'"),
	'and its key');

($run, $state) = failing_run($node, <<'SQL', '{"email": "query@example.com"}');
PERFORM dataflows.on_rollback('undo', 'crm', 'DELETE /contacts?email={0.who}', of_step => 'ask');
PERFORM dataflows.query('ask', 'SELECT ''query@example.com'' AS who');
PERFORM dataflows.post('make', 'crm', '/contacts', event);
SQL
is("$state " . $systems->made_and_left('crm', 'query@example.com'),
	'rolled_back 1/0', 'of a query');

# in a loop each call has its own, said before or after it
for my $shape (
	[ 'before', "PERFORM dataflows.on_rollback('undo', 'crm', 'DELETE /contacts/{id}', of_step =>
		'make');", '' ],
	[ 'after', '', "PERFORM dataflows.on_rollback('undo', 'crm', 'DELETE /contacts/{id}', of_step =>
		'make');" ])
{
	my ($where, $first, $then) = @$shape;

	$run = start_steps($node, <<"SQL", "{\"email\": \"loop-$where\@example.com\"}" =~ s/\\//gr);
FOR i IN 1 .. 3 LOOP
	$first
	PERFORM dataflows.post('make', 'crm', '/contacts', event);
	$then
END LOOP;
RAISE EXCEPTION 'something later fails';
SQL
	is(ended_as($node, $run) . ' ' . $systems->made_and_left('crm', "loop-$where\@example.com"),
		'rolled_back 3/0', "$where the step in a loop");
}
$run = start_steps($node, <<'SQL', '{"email": "named@example.com"}');
PERFORM dataflows.post('make', 'crm', '/contacts', event);
PERFORM dataflows.on_rollback('undo', 'crm', 'DELETE /contacts/{id}', of_step => 'make#2');
PERFORM dataflows.post('make', 'crm', '/contacts', event, undo => 'none');
RAISE EXCEPTION 'something later fails';
SQL
is(ended_as($node, $run) . ' ' . $systems->made_and_left('crm', 'named@example.com'),
	'rolled_back 2/1', 'or is named in full');

$run = start_steps($node, <<'SQL');
PERFORM dataflows.on_rollback('undo', 'crm', 'DELETE /contacts/{id}', of_step => 'never');
RETURN NULL;
SQL
is(ended_as($node, $run), 'stuck', 'a step that is never called is a mistake');

# a round of continue_with() ends between the two
$systems->fault('crm', match => { method => 'POST', email => '^none@' }, status => 409);
$run = start_steps($node, <<'SQL', '{"email": "round@example.com"}');
IF event->>'email' IS NULL THEN
	RAISE EXCEPTION 'something later fails';
END IF;
PERFORM dataflows.on_rollback('undo', 'crm', 'DELETE /contacts/{id}', of_step => 'make');
PERFORM dataflows.post('make', 'crm', '/contacts', event);
PERFORM dataflows.on_rollback('nothing', 'crm', 'DELETE /contacts/{id}', of_step => 'none');
BEGIN
	PERFORM dataflows.post('none', 'crm', '/contacts', '{"email": "none@example.com"}');
EXCEPTION WHEN SQLSTATE 'DF001' THEN
END;
PERFORM dataflows.continue_with('{}');
SQL
is(ended_as($node, $run) . ' ' . $systems->made_and_left('crm', 'round@example.com'),
	'rolled_back 1/0', 'of an earlier round');
$systems->clear_faults;

# ---- refused -----------------------------------------------------------------------

my @refused = (
	[ q~'DELETE /x/{id}'~, 'of_step', 'a response without a step' ],
	[ q~'{"request": "DELETE /x", "if": "$status == 201"}'~, 'of_step', 'a condition without one' ],
	[ q~'DELETE /x/{request.id}'~, 'no field', 'a request without one' ],
	[ q~'{"request": "DELETE /x", "headers": {}}', headers => '{}'~, 'twice', 'headers twice' ],
	[ q~'DELETE /x', headers => '{"Host": "x"}'~, 'Host', 'a header of the transport' ],
	[ q~'DELETE /x', of_step => 'other'~, 'directly before', 'a step that is not the next one' ]);

for my $case (@refused)
{
	my ($arguments, $why, $what) = @$case;

	$run = start_steps($node, <<"SQL");
PERFORM dataflows.on_rollback('undo', 'crm', $arguments);
PERFORM dataflows.post('make', 'crm', '/contacts', '{"email": "refused\@example.com"}');
SQL
	ended_as($node, $run);
	like(
		$node->safe_psql('postgres',
			"SELECT concat_ws(' ', error, stuck) FROM dataflows.runs WHERE run = '$run'"),
		qr/$why/,
		"refused: $what");
}
is($systems->made_and_left('crm', 'refused@example.com'), '0/0', 'before anything is sent');

$node->stop;
$systems->stop;
done_testing();
