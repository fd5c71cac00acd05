# What a step may have made or found: the condition of an undo, against the books.  An old
# customer is never deleted, and a new one never left behind without a word.

use strict;
use warnings;

use Test::More;
use PostgreSQL::Test::Cluster;
use Dataflows;
use Dataflows::Undo;

my $systems = start_systems();
my $node = start_undo_node('upserts', $systems, settle => '100ms', timeout => '1s');

create_server($node, 'keyed', $systems->url('crm'), idempotency_header => 'X-Key');
$systems->config('crm', upsert => JSON::PP::true(), unique_email => JSON::PP::false());

# somebody was here before us
sub make_old
{
	my ($id) = @_;

	HTTP::Tiny->new->put($systems->url('crm') . "/contacts/$id", { content => '{"old": true}' });
	return;
}

sub upsert
{
	my ($id, $if, $system, $more) = @_;

	$system //= 'crm';
	$more //= '';
	$if =~ s/"/\\"/g;
	return "PERFORM dataflows.put('upsert', '$system', '/contacts/$id', event,
		undo => '{\"request\": \"DELETE /contacts/{id}\", \"if\": \"$if\"}' $more);";
}

# state of the run, state of the undo, records ever made and live ones
sub outcome
{
	my ($run, $state, $id) = @_;

	return join(' ', $state, undo_of($node, $run) =~ /(\w+)$/, $systems->made_and_left('crm', $id));
}

sub pending
{
	my ($run) = @_;

	return $node->safe_psql('postgres',
		"SELECT why FROM dataflows.pending_undo WHERE run = '$run'");
}

# ---- by the response ---------------------------------------------------------------

my @conditions = (
	[ '$status == 201', 'new1', 0, 'rolled_back undone 1/0', 'the status says that it is new' ],
	[ '$status == 201', 'old1', 1, 'rolled_back none 1/1', 'or that it was there' ],
	[ '$.id == "new2"', 'new2', 0, 'rolled_back undone 1/0', 'a member of the body' ],
	[ '$headers."content-type" == "application/json"', 'new3', 0, 'rolled_back undone 1/0',
		'a header' ],
	[ '!exists($.old)', 'old2', 1, 'rolled_back none 1/1', 'what is not there, by exists()' ],
	[ '!exists($.old)', 'new4', 0, 'rolled_back undone 1/0', 'and what is' ]);
my ($run, $state);

for my $case (@conditions)
{
	my ($if, $id, $old, $expected, $what) = @$case;

	make_old($id) if $old;
	($run, $state) = failing_run($node, upsert($id, $if));
	is(outcome($run, $state, $id), $expected, $what);
}

# ---- unknown -----------------------------------------------------------------------

for my $if ('$.created == true', '$.id > 7', '$headers.etag == "x"')
{
	my $id = 'u' . length($if);

	$run = start_steps($node, upsert($id, $if));
	is(ended_as($node, $run), 'stuck', "unknown: $if");
	like(
		$node->safe_psql('postgres', "SELECT stuck FROM dataflows.runs WHERE run = '$run'"),
		qr/the condition .* is not known: the answer does not tell/,
		'which is said at once');
	as_app($node, 'postgres', "SELECT dataflows.cancel('$run', 'enough')");
	ok(
		wait_until(
			$node,
			"SELECT count(*) = 1 FROM dataflows.pending_undo WHERE run = '$run'
			AND why LIKE '%is not known%'"
		),
		'and left to a person');
	is($systems->made_and_left('crm', $id), '1/1', 'who finds it there');
}

# ---- after a loss ------------------------------------------------------------------

my $lost = { match => { method => 'PUT' }, fault => 'lost', times => 1 };

$systems->fault('crm', %$lost);
($run, $state) = failing_run($node, upsert('lost', '$status == 201'));
is(outcome($run, $state, 'lost'), 'stuck undo_failed 1/1', 'a repeated PUT finds its own');
like(pending($run), qr/an earlier attempt got no answer/, 'and does not take it for another\'s');
as_app($node, 'postgres', "SELECT dataflows.resolve('$run', 'upsert', 'undone', 'deleted it')");
ok(wait_until($node, "SELECT state = 'rolled_back' FROM dataflows.runs WHERE run = '$run'"),
	'a person settles it');

$systems->fault('crm', %$lost);
$run = start_steps($node, upsert('goes-on', '$status == 201') . 'RETURN NULL;');
is(ended_as($node, $run), 'completed', 'a run that does not fail needs nobody');

$systems->fault('crm', match => { method => 'PUT' }, status => 503, times => 1);
($run, $state) = failing_run($node, upsert('late', '$status == 201'));
is(outcome($run, $state, 'late'), 'rolled_back undone 1/0', 'what the last attempt made is ours');

# a probe finds the record, but is no response to the step
$systems->clear_faults;
$systems->fault('crm', match => { method => 'POST' }, fault => 'lost', times => 1);
($run, $state) = failing_run($node, <<'SQL', '{"email": "probed"}');
PERFORM dataflows.post('upsert', 'crm', '/contacts', event || jsonb_build_object('run',
	dataflows.run_id()), probe => 'GET /contacts?run={run}', probe_found => '$[0]',
	undo => '{"request": "DELETE /contacts/{id}", "if": "$status == 201"}');
SQL
is(outcome($run, $state, 'probed'), 'stuck undo_failed 1/1', 'found by a probe');
like(pending($run), qr/never received/, 'the condition is not judged by its answer');

# a person's word counts for what it says
for my $case ([ '{"id": "%s", "new": true}', 'rolled_back 1/0' ], [ '{"id": "%s"}', 'stuck 1/1' ])
{
	my ($output, $expected) = @$case;
	my $email = 'word' . length($output) . '@example.com';

	$systems->fault('crm', match => { method => 'POST' }, fault => 'lost', times => 1);
	$run = start_steps($node, <<'SQL', qq({"email": "$email"}));
PERFORM dataflows.post('upsert', 'crm', '/contacts', event,
	undo => '{"request": "DELETE /contacts/{id}", "if": "$.new == true"}');
RAISE EXCEPTION 'something later fails';
SQL
	is(ended_as($node, $run), 'stuck', 'the response is lost');
	$output = sprintf($output, $systems->id_of('crm', $email));
	as_app($node, 'postgres',
		"SELECT dataflows.resolve('$run', 'upsert', 'done', 'saw it', '$output')");
	ok(
		wait_until(
			$node,
			"SELECT state = split_part('$expected', ' ', 1) AND cause IS NOT NULL
				FROM dataflows.runs WHERE run = '$run'"
		),
		"a person says $output");
	is($systems->made_and_left('crm', $email), $expected =~ s/.* //r, 'which tells, or does not');
}

# on_rollback() with a condition
make_old('old3');
($run, $state) = failing_run($node, <<'SQL');
PERFORM dataflows.on_rollback('undo', 'crm', '{"request": "DELETE /contacts/{id}",
	"if": "$status == 201"}', of_step => 'upsert');
PERFORM dataflows.put('upsert', 'crm', '/contacts/old3', event);
SQL
is($state . ' ' . $systems->made_and_left('crm', 'old3'),
	'rolled_back 1/1', 'on_rollback() of what was there');
($run, $state) = failing_run($node, <<'SQL');
PERFORM dataflows.on_rollback('undo', 'crm', '{"request": "DELETE /contacts/{id}",
	"if": "$status == 201"}', of_step => 'upsert');
PERFORM dataflows.put('upsert', 'crm', '/contacts/new5', event);
SQL
is($state . ' ' . $systems->made_and_left('crm', 'new5'), 'rolled_back 1/0', 'and was not');

# ---- refused -----------------------------------------------------------------------

for my $if ('$status ==', '$state == 1', '')
{
	$run = start_steps($node, upsert('refused', $if));
	is(ended_as($node, $run) . ' ' . $systems->made_and_left('crm', 'refused'),
		'stuck 0/0', "refused: '$if'");
}

$node->stop;
$systems->stop;
done_testing();
