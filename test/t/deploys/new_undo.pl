# A deploy that gives a recorded step another undo or probe: what is not under way yet is done as
# the function says now, or the run is stuck; it is never left out without a word.

use strict;
use warnings;

use Test::More;
use JSON::PP;
use PostgreSQL::Test::Cluster;
use PostgreSQL::Test::Utils;
use Dataflows;

my $systems = start_systems();
my $node = new_node('new_undo');

create_systems($node, 'postgres', $systems, workflow => 0, options => { timeout => '120s' });
create_server(
	$node, 'plain', $systems->url('crm'),
	timeout => '500ms',
	retry_max => '200ms',
	settle => '200ms',
	breaker_failures => 0);

sub app { return as_app($node, 'postgres', $_[0]); }

sub sql { return $node->safe_psql('postgres', $_[0]); }

sub post
{
	my ($name, $more) = @_;

	return "PERFORM dataflows.post('a', 'crm', '/contacts',
		jsonb_build_object('email', '$name\@example.com')" . ($more ne '' ? ", $more" : '') . '); ';
}

sub function
{
	my ($name, $body) = @_;

	app("CREATE OR REPLACE FUNCTION app.$name(event jsonb) RETURNS jsonb LANGUAGE plpgsql AS
		\$f\$ BEGIN $body
			PERFORM dataflows.wait_for('go');
			PERFORM dataflows.wait_for('on');
			RETURN event; END \$f\$");
	return;
}

sub waits
{
	my ($name, $event) = @_;

	return ok(
		wait_until($node, "SELECT waiting_for = '$event' FROM dataflows.runs WHERE key = '$name'"),
		"$name waits for $event");
}

# a run of a new workflow of this name, which waits
sub begins
{
	my ($name, $body) = @_;

	function($name, $body);
	app("SELECT dataflows.define_workflow('$name', 'app.$name'),
		dataflows.start('$name', '{}', '$name')");
	waits($name, 'go');
	return;
}

# its body is entered again
sub go { app("SELECT dataflows.signal_by_key('$_[0]', '$_[0]', 'go')"); return; }

sub ends
{
	my ($name, $state) = @_;

	return ok(
		wait_until($node, "SELECT state = '$state' FROM dataflows.runs WHERE key = '$name'"),
		"$name ends $state");
}

sub cancelled
{
	my ($name, $books, $what) = @_;

	app("SELECT dataflows.cancel(run) FROM dataflows.runs WHERE key = '$name'");
	ends($name, 'cancelled');
	is($systems->made_and_left('crm', "$name\@example.com"), $books, "$name: $what");
	return;
}

sub step
{
	my ($name, $column) = @_;

	return sql("SELECT $column FROM dataflows.steps WHERE key = '$name' AND step = 'a'");
}

sub stuck_by
{
	my ($name, $pattern, $what) = @_;

	ends($name, 'stuck');
	like(sql("SELECT concat_ws(' ', sqlstate, reason, remedy) FROM dataflows.stuck
			WHERE key = '$name'"), $pattern, "$name: $what");
	return;
}

my $undo = q(undo => 'DELETE /contacts/{id}');
my $typo = q(undo => 'DELETE /contact/{id}');

# ---- an undo that was not there, or was another one ----------------------------------------------

begins('added', post('added', ''));
function('added', post('added', $undo));
go('added');
waits('added', 'on');
like(step('added', 'undo'), qr/^DELETE \/contacts\/\w+$/, 'the view shows the new undo');
is(sql("SELECT drifted FROM dataflows.runs WHERE key = 'added'"), 't', 'the run has drifted');
cancelled('added', '1/0', 'it is undone by it');

begins('repaired', post('repaired', $typo));
function('repaired', post('repaired', $undo));
go('repaired');
waits('repaired', 'on');
cancelled('repaired', '1/0', 'a typo in it is repaired in the function');

begins('parts', post('parts', $undo));
function('parts', post('parts', q(undo => '{"request": "DELETE /contacts/{id}",
	"headers": {"X-Reason": "for {request.email}"}, "body": {"why": "{run_key}"}}')));
go('parts');
waits('parts', 'on');
is(step('parts', "undo_headers->>'X-Reason'"), 'for parts@example.com', 'with its headers');
is(step('parts', "undo_body::jsonb->>'why'"), 'parts', 'and its body');
cancelled('parts', '1/0', 'it is undone by it');

# back again
begins('back', post('back', $undo));
function('back', post('back', $typo));
go('back');
waits('back', 'on');
function('back', post('back', $undo));
app("SELECT dataflows.signal_by_key('back', 'back', 'go'),
	dataflows.signal_by_key('back', 'back', 'on')");
ends('back', 'completed');
like(step('back', 'undo'), qr/^DELETE \/contacts\//, 'the function that was there before counts');
app("SELECT dataflows.undo(run, 'not wanted') FROM dataflows.runs WHERE key = 'back'");
ends('back', 'rolled_back');
is($systems->made_and_left('crm', 'back@example.com'), '1/0', 'it is undone by it');

# ---- its condition -------------------------------------------------------------------------------

my $no = q(undo => '{"request": "DELETE /contacts/{id}", "if": "$status == 204"}');
my $yes = q(undo => '{"request": "DELETE /contacts/{id}", "if": "$status == 201"}');

begins('ours', post('ours', $no));
function('ours', post('ours', $yes));
go('ours');
waits('ours', 'on');
cancelled('ours', '1/0', 'what the new condition calls ours is undone');
begins('theirs', post('theirs', $yes));
function('theirs', post('theirs', $no));
go('theirs');
waits('theirs', 'on');
cancelled('theirs', '1/1', 'what it does not is not');
begins('kept', post('kept', "$undo, answers => '201=kept'"));
function('kept', post('kept', $yes));
go('kept');
waits('kept', 'on');
cancelled('kept', '1/1', 'what a response has said to be theirs is never undone');

# ---- an undo that is not said any more -----------------------------------------------------------

begins('silent', post('silent', $undo));
function('silent', post('silent', q(undo => 'DELETE /contacts/' || NULL)));
go('silent');
waits('silent', 'on');
cancelled('silent', '1/0', 'the recorded undo is not forgotten');
begins('none', post('none', $undo));
function('none', post('none', q(undo => 'none')));
go('none');
waits('none', 'on');
cancelled('none', '1/1', 'unless the function says that there is none');

# ---- what cannot be ------------------------------------------------------------------------------

begins('nameless', post('nameless', $undo));
function('nameless', post('nameless', q(undo => 'DELETE /contacts/{number}')));
go('nameless');
stuck_by('nameless',
	qr/^DF003 the undo .*"a" cannot be rendered: .*number.* dataflows.accept_drift\('.*', 'a'\)/s,
	'the response has no such field');
like(step('nameless', 'undo'), qr/^DELETE \/contacts\/con_/, 'what is recorded is still there');
app("SELECT dataflows.accept_drift(run, 'a') FROM dataflows.stuck WHERE key = 'nameless'");
waits('nameless', 'on');
cancelled('nameless', '1/0', 'accepted, it is undone by that');
begins('renamed', post('renamed', $undo));
function('renamed', post('renamed', q(undo => 'DELETE /contacts/{number}')));
go('renamed');
ends('renamed', 'stuck');
function('renamed', post('renamed', $yes));
app("SELECT dataflows.retry(run) FROM dataflows.stuck WHERE key = 'renamed'");
waits('renamed', 'on');
cancelled('renamed', '1/0', 'so it is if the function is corrected');

begins('accepted', post('accepted', $undo));
function('accepted', post('accepted', $typo));
app("SELECT dataflows.accept_drift(run, 'a') FROM dataflows.runs WHERE key = 'accepted'");
go('accepted');
waits('accepted', 'on');
cancelled('accepted', '1/0', 'what a person has accepted counts');

begins('headers', post('headers', $undo));
function('headers', post('headers', qq($undo, headers => '{"X-Tenant": "b"}')));
go('headers');
stuck_by('headers', qr/^DF003 .*"a" with another set of headers/,
	'the headers of what was sent are not changed');
app("SELECT dataflows.accept_drift(run, 'a') FROM dataflows.stuck WHERE key = 'headers'");
waits('headers', 'on');
cancelled('headers', '1/0', 'it is undone with those that are recorded');

# ---- queries and on_rollback ---------------------------------------------------------------------

app('CREATE TABLE app.made (name text)');

my $query = "PERFORM dataflows.query('a', 'INSERT INTO app.made VALUES (\$1)', '[\"x\"]'";

begins('query', "$query); ");
function('query', "$query, undo => 'DELETE FROM app.made'); ");
go('query');
waits('query', 'on');
is(step('query', 'undo'), 'DELETE FROM app.made', 'a query has an undo now');
app("SELECT dataflows.cancel(run) FROM dataflows.runs WHERE key = 'query'");
ends('query', 'cancelled');
is(sql('SELECT count(*) FROM app.made'), '0', 'and is undone');

my $back = "PERFORM dataflows.on_rollback('b', 'crm', 'DELETE /contacts/7', of_step => 'a'";

for my $case ([ answers => "answers => '404=done'", 'set of answers' ],
	[ condition => '', 'condition' ])
{
	my ($name, $more, $what) = @$case;

	begins($name, post($name, '') . "$back); ");
	function($name, post($name, '')
			. ($more ne '' ? "$back, $more); " : $back =~ s/'(DELETE [^']*)'/'{"request": "$1",
			"if": "\$status == 201"}'/r . '); '));
	go($name);
	stuck_by($name, qr/^DF003 .*"b" with another \Q$what\E/, 'of on_rollback(), DF003');
}

# ---- a probe -------------------------------------------------------------------------------------

my $lost = post('probed', $undo) =~ s/'crm'/'plain'/r;

$systems->config('crm', idempotency => JSON::PP::false);
$systems->fault('crm', match => { method => 'POST' }, fault => 'lost', times => 1);
function('probed', $lost);
app("SELECT dataflows.define_workflow('probed', 'app.probed'),
	dataflows.start('probed', '{}', 'probed')");
ends('probed', 'stuck');
is($systems->made_and_left('crm', 'probed@example.com'),
	'1/1', 'what became of its request is not known');
$lost =~ s/\Q$undo\E/$undo, probe => 'GET \/contacts?email={request.email}',
	probe_found => '\$[*]'/;
function('probed', $lost);
app("SELECT dataflows.retry(run) FROM dataflows.stuck WHERE key = 'probed'");
waits('probed', 'go');
is($systems->made_and_left('crm', 'probed@example.com'),
	'1/1', 'a probe is there now, and finds it');

is(number_of($node, 'SELECT count(*) FROM dataflows.unexplained'), 0, 'nothing is unexplained');
$node->stop;
$systems->stop;
done_testing();
