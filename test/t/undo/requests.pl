# An undo is a request like any other: its headers, and how it names what the step has made.

use strict;
use warnings;

use JSON::PP;
use Test::More;
use PostgreSQL::Test::Cluster;
use Dataflows;
use Dataflows::Undo;

my $systems = start_systems();
my $node = start_undo_node('undo_requests', $systems);
my $url = $systems->url('crm');

create_server($node, 'forms', $url, encoding => 'form');

sub post
{
	my ($email, $arguments, $system) = @_;

	$system //= 'crm';
	return "PERFORM dataflows.post('step', '$system', '/contacts',
		'{\"email\": \"$email\", \"name\": \"N\"}', $arguments);";
}

# why a run failed or is stuck, with all that is said of it
sub why_of
{
	my ($run) = @_;

	return $node->safe_psql('postgres',
		"SELECT replace(concat_ws(' ', error, stuck), '\\\"', '\"') FROM dataflows.runs
			WHERE run = '$run'");
}

# ---- headers -----------------------------------------------------------------------

$systems->config('crm', account_header => 'X-Account');
my ($run, $state) = failing_run($node,
	post('a@example.com', q{headers => '{"X-Account": "7"}', undo => 'DELETE /contacts/{id}'}));

is("$state " . $systems->made_and_left('crm', 'a@example.com'),
	'rolled_back 1/0', 'it carries the headers of its step');

($run, $state) = failing_run(
	$node,
	post(
		'b@example.com',
		q{headers => '{"x-account": "7", "X-Other": "8", "If-None-Match": "*"}',
		undo => '{"request": "DELETE /contacts/{id}", "headers": {"X-Account": "{account}",
			"X-Other": null, "X-Who": "{request.name}"}}'}));
is("$state " . $systems->made_and_left('crm', 'b@example.com'),
	'rolled_back 1/0', 'its own go over them');
is( $node->safe_psql('postgres',
		"SELECT undo_headers FROM dataflows.steps WHERE run = '$run' AND undo_headers IS NOT NULL"),
	'{"X-Who": "N", "X-Other": null, "X-Account": "7"}',
	'as the view shows');

my ($sent) = grep { $_->{email} eq 'b@example.com' && $_->{method} eq 'DELETE' }
	@{ $systems->requests('crm') };
my $headers = $sent->{headers};

is($headers->{'x-account'}, '7', 'whatever the case of their letters');
is($headers->{'x-who'}, 'N', 'each a template');
ok(!exists $headers->{'x-other'}, 'null leaves one out');
ok(!exists $headers->{'if-none-match'}, 'the state that the step expected is not the undo\'s');

($run, $state) = failing_run(
	$node,
	post(
		'c@example.com',
		q{headers => '{"X-Account": "7"}',
		undo => '{"request": "DELETE /contacts/{id}", "headers": {"X-Note": "{name}"}}'})
	=~ s/"N"/"N\\r\\nX-Account: 8"/r);
is($state, 'stuck', 'a field cannot begin another header');
like(why_of($run), qr/cannot be rendered.*control character/, 'which is said');
$systems->config('crm', account_header => undef);

# ---- what the response was ---------------------------------------------------------

# each: what a 201 says in Location, the undo, and how the path must end; or why it is refused
my @named = (
	[ $url, 'DELETE {response.headers.location|path}', qr{^DELETE /contacts/con_\w+ undone$} ],
	[ '', 'DELETE {response.headers.Location|path}', qr{^DELETE /contacts/con_\w+ undone$} ],
	[
		$url,
		'DELETE /contacts/{response.headers.location|last}',
		qr{^DELETE /contacts/con_\w+ undone$}
	],
	[ 'http://evil.example', 'DELETE {response.headers.location|path}', undef, qr/the host/ ],
	[ '//evil.example', 'DELETE {response.headers.location|path}', undef, qr/two slashes/ ],
	[ '/contacts/..', 'DELETE {response.headers.location|path}', undef, qr/dot segment/ ],
	[ '/x%2F..', 'DELETE {response.headers.location|path}', undef, qr/encoded/ ],
	[ $url, 'DELETE /contacts/{id}', undef, qr/no field "id"/ ],
	[ $url, 'DELETE /contacts/{response.headers.x-id}', undef, qr/no field/ ]);
my $n = 0;

for my $case (@named)
{
	my ($location, $undo, $path, $why) = @$case;
	my $email = 'l' . ++$n . '@example.com';

	$systems->config('crm', location => $location);
	($run, $state) = failing_run($node, post($email, "undo => '$undo'"));
	if ($path)
	{
		is("$state " . $systems->made_and_left('crm', $email),
			'rolled_back 1/0', "$location: $undo");
		like(undo_of($node, $run), $path, 'is that path');
	}
	else
	{
		is("$state " . $systems->made_and_left('crm', $email), 'stuck 1/1', "$location: $undo");
		like(why_of($run), $why, 'says why');
	}
}
$systems->config('crm', location => undef);

# ---- forms, links of a body, status ------------------------------------------------

($run, $state) = failing_run($node,
	post('f@example.com', q{undo => 'DELETE /contacts?email={request.email}'}, 'forms'));
is("$state " . $systems->made_and_left('crm', 'f@example.com'),
	'rolled_back 1/0', 'a field of a request that was sent as a form');

$systems->fault('crm', match => { method => 'POST', path => '^/report' }, status => 200,
	body => { ok => JSON::PP::true() });
($run, $state) = failing_run($node,
	post('s@example.com',
		q{undo => '{"request": "POST /report", "body": {"was": "{response.status}",
			"of": "{response.body.email}", "and": "{response.name} {{x}}"}}'}));
is($state, 'rolled_back', 'status and body of the response');
($sent) = grep { $_->{target} eq '/report' } @{ $systems->requests('crm') };
is_deeply(
	decode_json($sent->{body}),
	{ was => 201, of => 's@example.com', and => 'N {x}' },
	'keep their types');
$systems->clear_faults;

$systems->config('crm', upsert => JSON::PP::true());
($run, $state) = failing_run($node, <<"SQL");
PERFORM dataflows.put('step', 'crm', '/contacts/k', '{"self": "$url/contacts/k"}',
	undo => 'DELETE {self|path}');
SQL
is("$state " . $systems->made_and_left('crm', 'k'), 'rolled_back 1/0', 'a link of the body');
($run, $state) = failing_run($node, <<"SQL");
PERFORM dataflows.post('step', 'crm', '/contacts', '{"email": "all", "self": "/contacts/"}',
	undo => 'DELETE {self|path}');
SQL
is("$state " . $systems->made_and_left('crm', 'all'),
	'stuck 1/1', 'but not one that names the collection');

# an id has more digits than a double
$systems->fault(
	'crm',
	match => { method => 'POST', email => '^big@' },
	status => 201,
	page => '{"id": 12345678901234567890}');
($run, $state) = failing_run($node, post('big@example.com', q{undo => 'DELETE /contacts/{id}'}));
is(undo_of($node, $run), 'DELETE /contacts/12345678901234567890 gone', 'numbers keep their digits');
$systems->clear_faults;

# ---- refused before anything is sent -----------------------------------------------

my $before = scalar(@{ $systems->requests('crm') });
my %refused = (
	q~'DELETE {links.self}'~ => qr/not a whole path/,
	q~'DELETE /{links.self|path}'~ => qr/at the beginning/,
	q~'DELETE /contacts/{id|lower}'~ => qr/"path", "last" or "quoted"/,
	q~'DELETE /contacts/{id|path|last}'~ => qr/only filter/,
	q~'DELETE /contacts/{request.id}'~ => qr/no field "request.id"/,
	q~'DELETE /contacts/{run_key}'~ => qr/no field "run_key"/,
	q~'DELETE /contacts/{id'~ => qr/not closed/,
	q~'DELETE //evil.example/{id}'~ => qr/two slashes/,
	q~'{"request": "DELETE /contacts/{id}", "headers": {"X-Y": "{id"}}'~ => qr/not closed/,
	q~'{"request": "DELETE /contacts/{id}", "headers": {"X-Y": "{request.id}"}}'~ => qr/no field/,
	q~'{"request": "DELETE /contacts/{id}", "body": ["{request.id}"]}'~ => qr/no field/,
	q~'{"request": "DELETE /contacts/{id}", "headers": {"Host": "x"}}'~ => qr/engine writes/);

for my $undo (sort keys %refused)
{
	my $refused = define_steps($node, post('r@example.com', "undo => $undo"));

	$run = as_app($node, 'postgres', "SELECT dataflows.start('$refused', '{}')");
	ended_as($node, $run);
	like(
		why_of($run),
		$refused{$undo},
		"refused: $undo");
}
is(scalar(@{ $systems->requests('crm') }), $before, 'and nothing is sent');

$node->stop;
$systems->stop;
done_testing();
