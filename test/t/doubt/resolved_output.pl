# What a person gives as the output of a step in doubt: the undo is rendered from it, if not now
# then at a rollback next week, so what it names must be there.

use strict;
use warnings;

use JSON::PP;
use Test::More;
use PostgreSQL::Test::Cluster;
use Dataflows;

my $systems = start_systems();
my $node = start_plain_node('resolved_output', $systems);

as_app($node, 'postgres', <<'SQL');
CREATE FUNCTION app.one_step(event jsonb) RETURNS jsonb LANGUAGE plpgsql AS $$
DECLARE
  made jsonb;
BEGIN
  IF event->>'rollback' IS NOT NULL THEN
    PERFORM dataflows.on_rollback('back', 'plain', event->>'rollback', of_step => 'call');
  END IF;
  made := dataflows.post('call', 'plain', '/contacts', jsonb_build_object('email', event->>'email'),
    undo => coalesce(event->'undo', '"none"'));
  IF event->>'fail' IS NOT NULL THEN
    RAISE EXCEPTION 'something later fails';
  END IF;
  RETURN made;
END $$;
SELECT dataflows.define_workflow('one-step', 'app.one_step');
SQL

my $cases = new_cases($node, $systems, 'crm');

# a run whose step is in doubt, and what it made
sub in_doubt
{
	my (%input) = @_;
	my ($email, $run) = $cases->start('one-step', \%input, { fault => 'lost', times => 1 });

	$cases->state_of($run);
	return ($run, $cases->made($email), $email);
}

# what resolve() returns, or the error, its detail and its hint
sub says
{
	my ($run, $outcome, $output) = @_;
	my ($code, $out, $err) = try_psql(
		$node, 'postgres',
		"\\set VERBOSITY verbose\n"
		  . "SELECT dataflows.resolve('$run', 'call', '$outcome', 'looked'"
		  . (defined $output ? ", '$output'" : '') . ')',
		extra_params => [ '-U', 'app' ]);

	return $code == 0 ? $out : $err;
}

sub asked
{
	my ($run) = @_;

	return $node->safe_psql('postgres',
		"SELECT count(*) FROM dataflows.requests WHERE run = '$run' AND request = 'resolve'");
}

# ---- refused -------------------------------------------------------------------------------------

my ($run, $id, $email) = in_doubt(undo => 'DELETE /contacts/{id}', fail => 1);

for my $output ('{"email": "x"}', '{"ID": "x"}', '{"id": null}', '{"id": ""}', '{"id": {"a": 1}}',
	'{"data": {"id": "x"}}', '[{"id": "x"}]', '"con_1"', 'null')
{
	like(says($run, 'done', $output), qr/ERROR:  22023: the output has no field "id"/,
		"refused: $output");
}
my $error = says($run, 'done', '{}');
like($error, qr/the undo of step "call" names$/m, 'the step is named');
like($error, qr/DETAIL:  The undo is "DELETE \/contacts\/\{id\}"\.$/m, 'and its undo');
like($error, qr/HINT:  Give the resource as the system shows it, with "id"\./, 'and what to do');
is(asked($run), 0, 'nothing is recorded');
is(says($run, 'done', qq({"id": "$id"})), 't', 'with the field it is accepted');
becomes($node, $run, 'rolled_back', 'and the run ends');
is($cases->books($email), '1/0', 'undone');

# each: the undo, an output that lacks something, what it lacks, and one that does not
for my $case (
	[
		'DELETE /contacts/{data.0.id}', '{"data": [{"x": 1}]}',
		'data.0.id', '{"data": [{"id": 1}]}'
	],
	[
		'DELETE /contacts/{response.body.id}', '{"body": {"id": 1}}',
		'response.body.id', '{"id": 1}'
	],
	[ 'DELETE /contacts/{response.id}', '{"x": 1}', 'response.id', '{"response": {"id": 1}}' ],
	[ 'DELETE /contacts/{url|last}', '{"id": 1}', 'url', '{"url": "/contacts/1"}' ],
	[
		{ request => 'POST /contacts/gone', body => { of => '{ref}' } },
		'{"id": 1}', 'ref', '{"ref": {"a": 1}}'
	],
	[
		{ request => 'POST /contacts/gone', body => { of => ['made {ref}'] } },
		'{"ref": {"a": 1}}', 'ref', '{"ref": 1}'
	],
	[
		{ request => 'DELETE /contacts/1', headers => { 'If-Match' => '{etag}' } },
		'{"id": 1}', 'etag', '{"etag": "7"}'
	])
{
	my ($undo, $lacking, $field, $whole) = @$case;
	my $text = ref $undo ? JSON::PP->new->canonical->encode($undo) : $undo;

	($run) = in_doubt(undo => $undo);
	like(says($run, 'done', $lacking), qr/has no field "\Q$field\E"/, "$text: lacks $field");
	is(says($run, 'done', $whole), 't', "$text: has it");
	is($cases->state_of($run), 'completed', 'and the run goes on');
}

# on_rollback() of the step is rendered from it, too
($run, $id, $email) = in_doubt(rollback => 'DELETE /contacts/{id}', fail => 1);
like(says($run, 'done', '{"email": "x"}'), qr/no field "id", which the undo of step "back" names/,
	'on_rollback() names a field');
is(says($run, 'done', qq({"id": "$id"})), 't', 'with it');
becomes($node, $run, 'rolled_back', 'the run ends');
is($cases->books($email), '1/0', 'undone');

# ---- accepted ------------------------------------------------------------------------------------

my $if = { request => 'DELETE /contacts/{id}', if => '$.made == true' };

for my $case (
	[ 'none', 'done', '{"email": "x"}', 'nothing is to be undone' ],
	[ 'DELETE /contacts?email={request.email}', 'done', '{}', 'it names nothing of the output' ],
	[ 'DELETE /contacts/{id}', 'skipped', '{"a": "x"}', 'nothing is to be undone, it is said' ],
	[ 'DELETE /contacts/{id}', 'done', undef, 'nobody knows what was made' ],
	[ $if, 'done', '{"made": false}', 'its condition says that nothing is to be undone' ])
{
	my ($undo, $outcome, $output, $what) = @$case;

	($run) = in_doubt(undo => $undo);
	is(says($run, $outcome, $output), 't', $what);
	is($cases->state_of($run), 'completed', 'the run goes on');
}
($run) = in_doubt(undo => $if);
like(says($run, 'done', '{"made": true}'), qr/has no field "id"/, 'or that it is');
as_app($node, 'postgres', "SELECT dataflows.cancel('$run', 'enough')");
becomes($node, $run, 'stuck', 'a cancelled run waits for a person');
is(says($run, 'not_done'), 't', 'who says that there is nothing');
like(says($run, 'done', '{}'), qr/^f$/, 'once it is settled, nothing is asked of an output');

$node->stop;
$systems->stop;
done_testing();
