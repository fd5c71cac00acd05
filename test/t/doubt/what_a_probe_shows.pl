# What the response of a probe shows: there, not there, or nothing that tells.  Of a guess in
# either direction a system would have two resources, or lose somebody else's.

use strict;
use warnings;

use MIME::Base64;
use Test::More;
use PostgreSQL::Test::Cluster;
use Dataflows;

my $systems = start_systems();
my $node = start_plain_node('shows', $systems);

create_plain($node, 'ruled', $systems, answers => '406=kept');
as_app($node, 'postgres', <<'SQL');
CREATE FUNCTION app.one_step(event jsonb) RETURNS jsonb LANGUAGE plpgsql AS $$
BEGIN
  RETURN dataflows.post('call', coalesce(event->>'system', 'plain'), '/contacts',
    jsonb_build_object('email', event->>'email'), headers => '{"X-Account": "7"}',
    undo => coalesce(event->'undo', '"DELETE /contacts/{id}"'),
    probe => event->'probe', probe_found => event->>'found');
END $$;
SELECT dataflows.define_workflow('one-step', 'app.one_step');
SQL

my $cases = new_cases($node, $systems, 'crm');

# nothing was carried out.  Sent again: it was believed that nothing is there; not sent and
# completed: what the probe showed was adopted; stuck: it did not tell
my %means = ('completed 1/1' => 'not there', 'completed 0/0' => 'there', 'stuck 0/0' => '?');

my $in_doubt = 0;

sub shows
{
	my ($response, %input) = @_;

	$input{probe} //= 'GET /contacts?email={request.email}&run={run}';
	my ($email, $run) = $cases->start(
		'one-step', \%input,
		{ fault => 'reset_before', times => 1, match => { method => 'POST' } },
		{ %$response, match => { method => $input{method} // 'GET' } });
	my $outcome = $cases->outcome($email, $run);

	$in_doubt++ if $outcome =~ /^stuck/;
	return $means{$outcome} // $outcome;
}

sub as_is
{
	my ($status, $type, $body) = @_;

	return {
		fault => 'as_is',
		status => $status,
		headers => [ $type ? [ 'Content-Type', $type ] : () ],
		base64 => encode_base64($body, '')
	};
}

my $html = '<html><body>Not found</body></html>';
my $one = '{"id": "con_1", "email": "x@example.com"}';

for my $case (
	# "not there" is the system's word, not that of something between
	[ 404, 'application/json', '{"error": "none"}', 'not there' ],
	[ 404, 'application/problem+json; charset=utf-8', '{"title": "none"}', 'not there' ],
	[ 404, undef, '', 'not there' ],
	[ 404, 'text/html', '', 'not there' ],
	[ 404, 'text/plain', '{"error": "none"}', 'not there' ],
	[ 404, 'application/json', '"none"', 'not there' ],
	[ 410, 'application/json', '{}', 'not there' ],
	[ 404, 'text/html', $html, '?' ],
	[ 410, 'text/html', $html, '?' ],
	[ 404, 'text/plain', 'no healthy upstream', '?' ],
	[ 404, undef, 'default backend - 404', '?' ],
	[ 200, 'application/json', '[]', 'not there' ],
	# an object is the resource if it has what the undo names
	[ 200, 'application/json', $one, 'there' ],
	[ 200, 'application/json', "[$one]", 'there' ],
	[ 200, 'application/json', "[$one, $one]", '?' ],
	[ 200, 'application/json', '{"items": []}', '?' ],
	[ 200, 'application/json', qq({"items": [$one]}), '?' ],
	[ 200, 'application/json', '{"id": null}', '?' ],
	[ 200, 'application/json', '[{"name": "x"}]', '?' ],
	[ 200, 'application/json', '["con_1"]', '?' ],
	[ 200, 'text/html', '<html>Please log in</html>', '?' ],
	[ 200, 'application/json', '', '?' ],
	[ 204, undef, '', '?' ],
	# nor does anything else tell
	[ 302, 'application/json', '{}', '?' ],
	[ 400, 'application/json', '{}', '?' ],
	[ 405, 'application/json', '{}', '?' ],)
{
	my ($status, $type, $body, $want) = @$case;

	is(shows(as_is($status, $type, $body)), $want,
		"$status, " . ($type // 'no type') . ", $body");
}

# ---- which part of the response it is ------------------------------------------------------------

my $wrapped = as_is(200, 'application/json', qq({"items": [$one], "total": 1}));
my $none = as_is(200, 'application/json', '{"items": [], "total": 0}');

is(shows($wrapped), '?', 'a list in an object');
like(
	$node->safe_psql('postgres',
		'SELECT reason FROM dataflows.stuck ORDER BY since DESC LIMIT 1'),
	qr/status 200 and nothing that tells; "probe_found" says which part of it is the resource/,
	'a person learns what is missing');
is(shows($wrapped, found => '$.items[*]'), 'there', 'probe_found');
is(shows($none, found => '$.items[*]'), 'not there', 'and nothing for it');

# ---- its own headers, condition and answers ------------------------------------------------------

my $get = 'GET /contacts?email={request.email}&run={run}';

is(
	shows(
		as_is(200, 'application/json', $one),
		probe => { request => $get, headers => { 'X-Run' => '{run}' } }),
	'there', 'a probe with headers');
is(shows($wrapped, probe => { request => $get, if => '$.total > 0' }, found => '$.items[*]'),
	'there', 'a condition that holds');
is(shows($none, probe => { request => $get, if => '$.total > 0' }), 'not there',
	'one that does not');
is(shows(as_is(200, 'application/json', '{}'), probe => { request => $get, if => '$.total > 0' }),
	'?', 'one of which nobody can tell');
is(
	shows(
		as_is(200, 'application/json', '{}'),
		probe => { request => $get, if => 'lax exists($.id)' }),
	'not there', 'unless the author says how it is meant');
is(
	shows(
		as_is(200, undef, ''), method => 'HEAD', undo => 'DELETE /contacts?run={run}',
		probe => { request => 'HEAD /contacts/{run}', if => '$status == 200' }),
	'there', 'one about the status alone');
is(shows(as_is(404, 'text/html', $html), probe => { request => $get, answers => '404=kept' }),
	'not there', 'an answer of its own: whoever says so is believed');
is(shows(as_is(406, 'application/json', '{}'), system => 'ruled'), 'not there',
	'the system\'s answers hold for its probes');
is(shows(as_is(406, 'application/json', '{}')), '?', 'which would not tell by itself');

# ---- what it could never show is refused when it is called ---------------------------------------

for my $undo ('none', 'DELETE /contacts?run={run}')
{
	my $run = as_app($node, 'postgres',
		"SELECT dataflows.start('one-step', jsonb_build_object('email', 'never\@example.com',"
		  . " 'undo', '$undo'::text, 'probe', '$get'::text))");

	is(as_app($node, 'postgres', "SELECT dataflows.await('$run', '60 s')"), 'stuck',
		"undo '$undo' names nothing of the resource");
	like($node->safe_psql('postgres', "SELECT stuck FROM dataflows.runs WHERE run = '$run'"),
		qr/needs .*probe_found/, 'so it must be said which part it is');
}
is($cases->books('never@example.com'), '0/0', 'nothing was sent');

# ---- what the metrics say ------------------------------------------------------------------------

is(
	$node->safe_psql(
		'postgres',
		"SELECT sum(value)::int FROM dataflows.metrics WHERE name = 'dataflows_steps'"
		  . " AND labels->>'outcome' = 'in_doubt'"),
	$in_doubt, 'each step that nobody could tell of is counted');

$node->stop;
$systems->stop;
done_testing();
