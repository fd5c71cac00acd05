# Idempotency keys: a UUID in the place where the system looks for it, the same in all attempts,
# another one for the undo, and nobody else's.

use strict;
use warnings;

use JSON::PP;
use Test::More;
use Time::HiRes qw(usleep);
use PostgreSQL::Test::Cluster;
use Dataflows;

my $systems = start_systems();
my $node = new_node('keys', conf => "dataflows.undo_for = '10s'");
my @quick = (timeout => '500ms', retry_max => '200ms', settle => '200ms', breaker_failures => 0);
my $true = JSON::PP::true();

create_app($node, 'postgres');
$systems->config($_, uuid_keys => $true) for qw(billing crm email identity);
$systems->config('crm', key_field => 'request_token');
$systems->config('email', key_parameter => 'requestId');
create_server($node, 'header', $systems->url('billing'), @quick,
	idempotency_header => 'Idempotency-Key');
create_server($node, 'field', $systems->url('crm'), @quick, idempotency_header => '',
	idempotency_body => 'request_token');
create_server($node, 'form', $systems->url('crm'), @quick, idempotency_header => '',
	idempotency_body => 'request_token', encoding => 'form');
create_server($node, 'parameter', $systems->url('email'), @quick, idempotency_header => '',
	idempotency_query => 'requestId');
create_server($node, 'own', $systems->url('identity'), @quick, idempotency_header => '');
create_server($node, 'text', $systems->url('crm'), @quick, idempotency_body => 'request_token',
	encoding => 'text');
as_app($node, 'postgres', <<'SQL');
CREATE FUNCTION app.one_step(event jsonb) RETURNS jsonb LANGUAGE plpgsql AS $$
BEGIN
  PERFORM dataflows.post('call', event->>'system', event->>'path', event->'body',
    headers => event->'headers', undo => coalesce(event->'undo', to_jsonb('none'::text)));
  IF event ? 'end' THEN
    PERFORM dataflows.fail('something later fails');
  END IF;
  RETURN NULL;
END $$;
SELECT dataflows.define_workflow('one-step', 'app.one_step');
SQL

my $n = 0;

# a run whose first response is lost, and what is wrong with it
sub run_of
{
	my ($name, $input, @faults) = @_;
	my $email = 'k' . ++$n . '@example.com';

	$input->{body}{ $name eq 'email' ? 'to' : 'email' } = $email
	  if !defined $input->{body} || ref($input->{body}) eq 'HASH';
	$systems->fault($name, %$_, match => { email => "^\Q$email\E\$", %{ $_->{match} // {} } })
	  for @faults;
	my $run = as_app($node, 'postgres',
		"SELECT dataflows.start('one-step', \$j\$" . encode_json($input) . '$j$)');
	my $state = as_app($node, 'postgres', "SELECT dataflows.await('$run', '60 s')");

	return ($run, $email, $state);
}

sub books { return $systems->made_and_left(@_); }

# the keys of the requests for an address
sub keys_of
{
	my ($name, $email, $method) = @_;
	my %seen = map { ($_->{key} // 'none') => 1 }
		grep { ($_->{email} // '') eq $email && $_->{method} eq $method }
		@{ $systems->requests($name) };

	return join(' ', sort keys %seen);
}

my @lost = ({ fault => 'lost', times => 1, match => { method => 'POST' } });

for my $case (
	[ 'header', 'billing', '/customers', 'in a header' ],
	[ 'field', 'crm', '/contacts', 'in the body, JSON' ],
	[ 'form', 'crm', '/contacts', 'in the body, a form' ],
	[ 'parameter', 'email', '/send', 'in the query' ],
	[ 'parameter', 'email', '/send?source=test', 'in a query that is there' ],)
{
	my ($system, $name, $path, $what) = @$case;
	my ($run, $email, $state) = run_of($name, { system => $system, path => $path }, @lost);
	my $key = $node->safe_psql('postgres',
		"SELECT idempotency_key FROM dataflows.steps WHERE run = '$run'");

	is("$state " . books($name, $email), 'completed 1/1', "$what: trusted after a loss");
	is(keys_of($name, $email, 'POST'), $key, 'both attempts carry the key that the view shows');
}

# ---- a key that is looked for in another place than it was sent ----------------------------------

$systems->config('billing', uuid_keys => JSON::PP::false());
create_server($node, 'moved', $systems->url('billing'), @quick);
for my $case (
	[ q(ADD idempotency_header ''), q(SET idempotency_header 'Idempotency-Key'), 'sent nowhere' ],
	[ 'DROP idempotency_header', q(ADD idempotency_header 'X-Request-Key'), 'sent elsewhere' ])
{
	my ($first, $then, $what) = @$case;

	$node->safe_psql('postgres', "ALTER SERVER moved OPTIONS ($first)");
	my ($run, $email, $state) = run_of('billing', { system => 'moved', path => '/customers' },
		@lost);

	is($state, 'stuck', "$what: a response is lost");
	$node->safe_psql('postgres', "ALTER SERVER moved OPTIONS ($then)");
	as_app($node, 'postgres', "SELECT dataflows.retry('$run')");
	ok(wait_until($node, "SELECT state = 'stuck' AND stuck->>'reason' LIKE '%idempotency key%'
		FROM dataflows.runs WHERE run = '$run'"), 'it is not sent again with the key');
	is(books('billing', $email), '1/1', 'and nothing is made twice');
	$node->safe_psql('postgres', 'ALTER SERVER moved OPTIONS (DROP idempotency_header)')
	  if $first =~ /^DROP/;
}

# ---- options that change while an attempt with a trusted key is in flight ------------------------

create_server($node, 'changing', $systems->url('billing'), @quick, timeout => '30s',
	idempotency_header => 'Idempotency-Key');
my $address = 'changing@example.com';
my $changing = encode_json(
	{
		system => 'changing', path => '/customers', body => { email => $address },
		undo => 'DELETE /customers/{id}', end => 'fail'
	});

$systems->fault('billing', %$_, times => 1, match => { email => $address })
  for { fault => 'lost' }, { fault => 'latency', ms => 5000 };
my $met = as_app($node, 'postgres', "SELECT dataflows.start('one-step', '$changing')");
my $until = time() + 60;
usleep(20_000)
  while (2 > grep { ($_->{email} // '') eq $address } @{ $systems->requests('billing') })
	&& time() < $until;
# the worker forgets the options, and what it reads then takes their memory
for my $n (1 .. 3)
{
	$node->safe_psql('postgres', "ALTER SERVER changing OPTIONS (SET timeout '3${n}s')");
	run_of('identity', { system => 'own', path => '/users' });
	run_of('crm', { system => 'field', path => '/contacts' });
	run_of('email', { system => 'parameter', path => '/send' });
}
is(as_app($node, 'postgres', "SELECT dataflows.await('$met', '60 s')"), 'rolled_back',
	'its response proves what became of the lost one all the same');
is(books('billing', $address), '1/0', 'and it is undone');

# ---- a body that is not there, and one that is empty ---------------------------------------------

my $before = @{ $systems->requests('crm') };
my $run = as_app($node, 'postgres',
	q(SELECT dataflows.start('one-step', '{"system": "field", "path": "/contacts"}')));

as_app($node, 'postgres', "SELECT dataflows.await('$run', '60 s')");
like(($systems->requests('crm'))->[$before]{key}, qr/^[0-9a-f-]{36}$/,
	'without a body the key is in one of its own');

# ---- the undo ------------------------------------------------------------------------------------

for my $case (
	[ 'field', 'crm', '/contacts', 'in the body' ],
	[ 'parameter', 'email', '/send', 'in the query' ],)
{
	my ($system, $name, $path, $what) = @$case;
	my %undo = (
		request => "POST $path",
		body => { ($name eq 'email' ? 'to' : 'email') => "undo-$name\@example.com" });
	my ($run, $email, $state) =
		run_of($name, { system => $system, path => $path, undo => \%undo, end => 'fail' });
	my $keys = keys_of($name, "undo-$name\@example.com", 'POST');

	is("$state " . books($name, "undo-$name\@example.com"), 'rolled_back 1/1',
		"an undo by POST carries its key $what");
	like($keys, qr/^[0-9a-f-]{36}$/, 'a UUID');
	isnt($keys, keys_of($name, $email, 'POST'), 'that is not its step\'s');
}

# ---- what is refused, before anything is sent ----------------------------------------------------

$before = 0;
$before += @{ $systems->requests($_) } for qw(billing crm email);
for my $case (
	[ 'field', '/contacts', { request_token => 'mine' }, qr/has a field of that name/ ],
	[ 'field', '/contacts', [1], qr/is not a JSON object/ ],
	[ 'text', '/contacts', 'x', qr/It is text/ ],
	[ 'parameter', '/send?requestId=1', {}, qr/has a parameter of that name/ ],
	[ 'header', '/customers', {}, qr/must not set header .*idempotency-KEY/, 'idempotency-KEY' ],
	[ 'header', '/customers', {}, qr/given twice/, 'X-Tenant', 'x-tenant' ],)
{
	my ($system, $path, $body, $why, @headers) = @$case;
	my %input = (
		system => $system, path => $path, body => $body,
		headers => { map { $_ => 'mine' } @headers });
	my $run = as_app($node, 'postgres',
		"SELECT dataflows.start('one-step', \$j\$" . encode_json(\%input) . '$j$)');

	is(as_app($node, 'postgres', "SELECT dataflows.await('$run', '60 s')"), 'stuck',
		"$system, $path: stuck");
	like($node->safe_psql('postgres', "SELECT stuck FROM dataflows.runs WHERE run = '$run'"),
		$why, 'which says why');
}
my $after = 0;

$after += @{ $systems->requests($_) } for qw(billing crm email);
is($after, $before, 'nothing was sent');
for my $name ('', 'a b', 'a"b', 'a[b]', 'x' x 64)
{
	my ($rc, undef, $err) = $node->psql('postgres',
		"ALTER SERVER field OPTIONS (SET idempotency_body '$name')");

	like($err, qr/invalid value for option "idempotency_body"/, "no field is called '$name'");
}

# ---- a system that is sent none ------------------------------------------------------------------

my $own = '0b0e7a52-7f0c-4b8e-9d25-5a3f7c1e2d46';
my ($one, $email, $state) = run_of('identity',
	{ system => 'own', path => '/users', headers => { 'Idempotency-Key' => $own } });

is("$state " . keys_of('identity', $email, 'POST'), "completed $own",
	'a step may give a key of its own');
($one, $email, $state) = run_of('identity',
	{ system => 'own', path => '/users',
		headers => { 'Idempotency-Key' => '0b0e7a52-7f0c-4b8e-9d25-5a3f7c1e2d47' } }, @lost);
is("$state " . books('identity', $email), 'stuck 1/1', 'which nobody trusts');

$node->stop;
$systems->stop;
done_testing();
