# What the answers to an undo mean: by the system's rules and its own, never by those of its
# step; judged by the system's books.

use strict;
use warnings;

use JSON::PP;
use Test::More;
use PostgreSQL::Test::Cluster;
use Dataflows;
use Dataflows::Undo;

my $systems = start_systems();
my $node = start_undo_node('undo_answers', $systems, settle => '100ms');

# The run of a step that fails afterwards, while DELETE meets this fault: its state, the state of
# its undo, the books.
my $number = 0;
my ($run, $email);

sub outcome
{
	my ($step, $fault, $system) = @_;

	$email = 'a' . ++$number . '@example.com';
	$systems->fault('crm', %$fault, match => { method => 'DELETE', email => "^$email\$" })
		if $fault;
	$system //= 'crm';

	my $state;

	($run, $state) =
		failing_run($node, "PERFORM dataflows.post('step', '$system', '/contacts', event, $step);",
			"{\"email\": \"$email\"}");
	$systems->clear_faults;
	return join(' ', $state, undo_of($node, $run) =~ /(\w+)$/,
		$systems->made_and_left('crm', $email));
}

sub pending
{
	my ($column) = @_;

	return $node->safe_psql('postgres',
		"SELECT $column FROM dataflows.pending_undo WHERE run = '$run'");
}

my $plain = q{undo => 'DELETE /contacts/{id}'};

sub with_answers
{
	my ($answers) = @_;

	return qq{undo => '{"request": "DELETE /contacts/{id}", "answers": $answers}'};
}

# ---- whose rules ---------------------------------------------------------------------

is( outcome("$plain, answers => '409=kept'", { status => 409, times => 2 }),
	'rolled_back undone 1/0',
	'a rule of the step is not one of its undo');
is(
	outcome(with_answers('"418=retry"'), { status => 418, times => 2 }),
	'rolled_back undone 1/0',
	'its own are');

create_server($node, 'ruled', $systems->url('crm'), settle => '100ms',
	answers => '[{"status": "2xx", "if": "$.deleted == false", "is": "fail"}, {"status": 418, '
		. '"is": "stuck"}]');
is(
	outcome(
		$plain,
		{ status => 200, body => { deleted => JSON::PP::false() }, times => 2 }, 'ruled'),
	'rolled_back undone 1/0',
	'the system\'s are: a 2xx that is not good is asked again');
is(
	outcome(with_answers('"418=retry"'), { status => 418, times => 2 }, 'ruled'),
	'rolled_back undone 1/0',
	'its own before the system\'s');
is(
	outcome(
		with_answers('[{"status": 409, "if": "$.error == \"gone\"", "is": "kept"}]'),
		{ status => 409, body => { error => 'gone' }, effect => JSON::PP::true() }),
	'rolled_back gone 1/0',
	'"kept" means that there is nothing left');

# ---- without rules -------------------------------------------------------------------

my $false = JSON::PP::false();

for my $body (
	{ ok => $false }, { error => 'busy' }, { success => $false }, { deleted => $false },
	{ status => 'error', message => 'locked' },
	[ { id => 1, success => $false } ],
	{ data => { errors => [ { message => 'busy' } ] } })
{
	is(
		outcome($plain, { status => 200, body => $body, times => 2 }),
		'rolled_back undone 1/0',
		'a 200 that says no is none: ' . encode_json($body));
}
is(outcome($plain, { status => 200, body => 'done', effect => JSON::PP::true() }),
	'rolled_back undone 1/0', 'one that says anything else is');
is(outcome($plain, { status => 200, page => '<html>log in</html>', times => 2 }),
	'rolled_back undone 1/0', 'a page of a proxy is none');
is(
	outcome(
		with_answers('"2xx=done"'),
		{ status => 200, page => '<html>removed</html>', effect => JSON::PP::true() }),
	'rolled_back undone 1/0',
	'unless its author says so');
is(outcome($plain, { status => 200, page => 'OK', effect => JSON::PP::true(), times => 1 }),
	'rolled_back undone 1/0', 'a word is no page, whatever its type');

# ---- left to a person ----------------------------------------------------------------

is(outcome($plain, { status => 418, body => { message => 'frozen by the teapot' } }, 'ruled'),
	'stuck undo_failed 1/1', '"stuck"');
like(pending('why'), qr/418.*frozen by the teapot/, 'in the vendor\'s own words');
like(pending('remedy'), qr/resolve\(.*retry\(/, 'with what to do');
as_app($node, 'postgres', "SELECT dataflows.retry('$run')");
ok(wait_until($node, "SELECT state = 'rolled_back' FROM dataflows.runs WHERE run = '$run'"),
	'retry() has it sent again');
is($systems->made_and_left('crm', $email), '1/0', 'and it is undone');

is(outcome($plain, { status => 422, body => { detail => 'has open invoices' } }),
	'stuck undo_failed 1/1', 'a refusal');
like(pending('why'), qr/422.*has open invoices/, 'in the vendor\'s own words');
is(outcome(q{undo => 'POST /contacts/{id}/close'}), 'stuck undo_failed 1/1',
	'a 404 to a POST: there may be no such path');

# on_rollback() has answers, too
$systems->fault('crm', status => 418, times => 1, match => { method => 'DELETE', email => '^on@' });
$run = start_steps($node, <<'SQL', '{"email": "on@example.com"}');
PERFORM dataflows.on_rollback('undo', 'crm', 'DELETE /contacts/{id}', answers => '418=retry',
	of_step => 'step');
PERFORM dataflows.post('step', 'crm', '/contacts', event, answers => '418=kept');
RAISE EXCEPTION 'something later fails';
SQL
is(ended_as($node, $run) . ' ' . $systems->made_and_left('crm', 'on@example.com'),
	'rolled_back 1/0', 'on_rollback()');

$node->stop;
$systems->stop;
done_testing();
