# What is tried again, what is in doubt, what fails at once.

use strict;
use warnings;

use Test::More;
use PostgreSQL::Test::Cluster;
use Dataflows;

my $systems = start_systems();
my $node = new_node('retry');

create_systems($node, 'postgres', $systems, workflow => 0);
my $url = $systems->url('billing');

# "plain" is billing without a key that it is trusted to honour
$node->safe_psql('postgres', <<"SQL");
CREATE SERVER plain FOREIGN DATA WRAPPER dataflows OPTIONS (url '$url', allow_private 'true',
  timeout '5s',
  retry_initial '50ms', retry_max '500ms', settle '300ms', breaker_failures '1000',
    encoding 'form');
GRANT USAGE ON FOREIGN SERVER plain TO app;
SQL
as_app($node, 'postgres', <<'SQL');
CREATE FUNCTION app.one_step(event jsonb) RETURNS jsonb LANGUAGE plpgsql AS $$
BEGIN
  RETURN dataflows.post('call', event->>'system', '/customers', jsonb_build_object('email',
    event->>'email'),
    undo => 'DELETE /customers/{id}', timeout => (event->>'timeout')::interval,
      retry => event->'retry',
    doubt => coalesce(event->>'doubt', 'fail'),
      probe => event->>'probe', probe_found => event->>'probe_found');
END $$;
SELECT dataflows.define_workflow('one-step', 'app.one_step');
CREATE FUNCTION app.reading(event jsonb) RETURNS jsonb LANGUAGE plpgsql AS $$
BEGIN
  RETURN dataflows.get('read', 'plain', '/customers', query => jsonb_build_object('email',
    event->>'email'),
    timeout => '1 s');
END $$;
SELECT dataflows.define_workflow('reading', 'app.reading');
CREATE FUNCTION app.catching(event jsonb) RETURNS jsonb LANGUAGE plpgsql AS $$
DECLARE
  detail text;
BEGIN
  PERFORM dataflows.post('first', 'billing', '/customers', jsonb_build_object('email',
    event->>'email'), undo => 'none');
  RETURN '"not reached"';
EXCEPTION WHEN SQLSTATE 'DF001' THEN
  GET STACKED DIAGNOSTICS detail = PG_EXCEPTION_DETAIL;
  RETURN jsonb_build_object('caught', detail::jsonb,
    'other', dataflows.post('second', 'crm', '/contacts', jsonb_build_object('email',
      event->>'email'), undo => 'DELETE /contacts/{id}'));
END $$;
SELECT dataflows.define_workflow('catching', 'app.catching');
SQL

my $number = 0;

# One run against billing with faults; returns (state, attempts, address, run).
# An attempt is "outcome status"; the address is new each time.
sub one
{
	my ($event, @faults) = @_;
	my $email = 'r' . ++$number . '@example.com';
	my $system = $event->{system} // 'billing';
	my $input = JSON::PP->new->encode({ system => $system, email => $email, %$event });
	my $workflow = delete $event->{workflow} // 'one-step';

	$systems->fault('billing', %{$_},
		match => { method => 'POST', email => "^\Q$email\E", %{ $_->{match} || {} } })
		for @faults;
	my $run = as_app($node, 'postgres', "SELECT dataflows.start('$workflow', \$j\$$input\$j\$)");
	my $state = as_app($node, 'postgres', "SELECT dataflows.await('$run', '20 s')");
	my $attempts = $node->safe_psql(
		'postgres',
		"SELECT coalesce(string_agg(concat_ws(' ', outcome, status), ', ' ORDER BY at), '')
			FROM dataflows.attempts WHERE run = '$run'"
	);

	$systems->clear_faults('billing');
	return ($state, $attempts, $email, $run);
}

sub ever { my ($email) = @_; return ($systems->summary('billing')->{$email} // [ 0, 0 ])->[0]; }

sub live { my ($email) = @_; return ($systems->summary('billing')->{$email} // [ 0, 0 ])->[1]; }

sub error_of
{
	my ($run) = @_;
	return $node->safe_psql(
		'postgres',
		"SELECT coalesce(error::text, '') || (SELECT coalesce(stuck::text, '') FROM dataflows.run r
			WHERE r.run = v.run) FROM dataflows.runs v WHERE run = '$run'"
	);
}

my ($state, $attempts, $email, $run);

# not carried out: again
($state, $attempts, $email) = one({}, { status => 408, times => 3 });
is( "$state: $attempts",
	'completed: retry 408, retry 408, retry 408',
	'408 three times, then done; every try is a row');
is(ever($email), 1, 'one record');

# a router may say 503 while the system behind it goes on; with a trusted key that does no harm
($state, $attempts, $email) = one({}, { status => 503, times => 3 });
is( "$state: $attempts",
	'completed: in_doubt 503, in_doubt 503, in_doubt 503',
	'503 three times without Retry-After: the same key each time');
is(ever($email), 1, 'one record');

for my $status (408, 425)
{
	($state, $attempts) = one({}, { status => $status, times => 1 });
	is("$state: $attempts", "completed: retry $status", "$status is tried again");
}

($state, $attempts) = one({}, { status => 429, times => 1 });
is("$state: $attempts", 'completed: ', '429 is tried again, and is no attempt');

($state, $attempts, $email, $run) =
	one({ system => 'plain' }, { status => 503, times => 1, retry_after => 1 });
is( "$state: $attempts",
	'completed: ',
	'a POST without a trusted key is tried again after 503 with Retry-After too');
is( $node->safe_psql(
		'postgres',
		"SELECT finished_at - started_at >= interval '1 s' FROM dataflows.runs WHERE run = '$run'"),
	't',
	'not before Retry-After says');

# trusted key: again with the same key and bytes
($state, $attempts, $email) = one({ timeout => '1 s' }, { fault => 'hang', times => 1 });
like("$state: $attempts", qr/^completed: \w+$/, 'a hang is cut off by the timeout');
is(ever($email), 1, 'one record');

($state, $attempts, $email) = one({}, { fault => 'reset_before', times => 2 });
is($state, 'completed', 'resets before the effect');
is(ever($email), 1, 'one record');

($state, $attempts, $email, $run) = one({}, { fault => 'lost', times => 1 });
is($state, 'completed', 'a lost answer');
is(ever($email), 1, 'one record: the key was the same');
my $key = $node->safe_psql('postgres',
	"SELECT idempotency_key FROM dataflows.steps WHERE run = '$run'");
my $hex = '[0-9a-f]';

like(
	$key,
	qr/^$hex{8}-$hex{4}-8$hex{3}-[89ab]$hex{3}-$hex{12}$/,
	'the view steps shows the key, a UUID');
is(scalar(grep { ($_->{key} // '') eq $key } @{ $systems->requests('billing') }),
	2, 'two requests carry it');

($state, $attempts, $email) = one({}, { fault => 'truncated', times => 1 });
is($state . ever($email), 'completed1', 'a truncated answer');
($state, $attempts, $email) = one({}, { fault => 'half_headers', times => 1 });
is($state . ever($email), 'completed1', 'half a head');
($state, $attempts, $email) = one({ timeout => '1 s' }, { fault => 'drip', times => 1, ms => 200 });
is($state . ever($email), 'completed1', 'a drip is cut off');
($state, $attempts, $email) = one({}, { status => 500, times => 1, effect => JSON::PP::true() });
is($state . ever($email), 'completed1', 'a 500 after the effect');

# a refusal to a re-send with a trusted key settles the doubt: nothing was made
($state, $attempts, $email) = one({}, { fault => 'reset_before', times => 1 }, { status => 422 });
is($state . ever($email), 'rolled_back0', 'lost, then refused: not carried out');

# without a trusted key: in doubt
($state, $attempts, $email, $run) = one({ system => 'plain' }, { fault => 'lost', times => 1 });
is($state, 'stuck', 'a lost answer without key or probe: a person is needed');
is(ever($email), 1, 'it is not sent twice');
is(number_of($node, "SELECT count(*) FROM dataflows.pending_undo WHERE run = '$run'"),
	1, 'it stands in pending_undo');
is(number_of($node, "SELECT count(*) FROM dataflows.stuck WHERE run = '$run'"), 1, 'and in stuck');

my %probe = (probe => 'GET /customers?idempotency_key={idempotency_key}', probe_found => '$[0]');

($state, $attempts, $email, $run) =
	one({ system => 'plain', %probe }, { fault => 'lost', times => 1 });
is($state, 'completed', 'a lost answer with a probe');
is(ever($email), 1, 'is found');
like($node->safe_psql('postgres', "SELECT result->>'id' FROM dataflows.runs WHERE run = '$run'"),
	qr/^cus_/, 'and adopted');

($state, $attempts, $email, $run) =
	one({ system => 'plain', %probe }, { fault => 'reset_before', times => 1 });
is($state, 'completed', 'a lost request with a probe');
is(ever($email), 1, 'is sent again');

($state, $attempts, $email, $run) =
	one({ system => 'plain', %probe }, { fault => 'invalid_json', times => 1 });
is($state . ever($email), 'completed1', 'an answer that cannot be read, with a probe');

($state, $attempts, $email) =
	one({ system => 'plain', doubt => 'accept' }, { fault => 'lost', times => 1 });
is($state . ever($email), 'completed1', "doubt => 'accept'");
# the key is sent to such a system too; one that ignores it carries a re-send out again
$systems->config('billing', idempotency => JSON::PP::false());
($state, $attempts, $email) =
	one({ system => 'plain', doubt => 'resend' }, { fault => 'lost', times => 1 });
is($state . ever($email), 'completed2', "doubt => 'resend' is at least once");
$systems->config('billing', idempotency => JSON::PP::true());
($state, $attempts, $email) = one({ system => 'plain', timeout => '1 s', doubt => 'resend' },
	{ fault => 'hang', times => 1 });
is($state . ever($email), 'completed1', 'a hang with resend');
($state, $attempts, $email) = one({ system => 'plain' }, { status => 500, times => 1 });
is($state, 'stuck', 'another 5xx to a POST without a trusted key is in doubt');

# GET is always sent again
$systems->fault('billing', match => { method => 'GET' }, fault => 'hang', times => 1);
$run = as_app($node, 'postgres',
	q(SELECT dataflows.start('reading', '{"email": "none@example.com"}')));
is(as_app($node, 'postgres', "SELECT dataflows.await('$run', '20 s')"),
	'completed', 'a GET that hung is sent again');

# carried out, but the answer is of no use: stuck, never failed
for my $fault (qw(huge invalid_json nul bad_utf8))
{
	($state, $attempts, $email, $run) = one({}, { fault => $fault });
	is($state . live($email), 'stuck1', "$fault: stuck, and nothing is undone or made twice");
}

# refused: fails at once; the step has been done before, so that 400 is about this customer
for my $status (400, 409, 422)
{
	($state, $attempts, $email, $run) = one({}, { status => $status });
	is("$state: $attempts", "rolled_back: failed $status", "$status fails at once");
}
like(error_of($run), qr/DF001/, 'the error is DF001');

# what is no word about the customer
for my $status (403, 404, 405, 415, 501)
{
	($state, $attempts, $email, $run) = one({}, { status => $status });
	is("$state: $attempts", "stuck: stuck $status", "$status is for a person");
}

($state, $attempts, $email, $run) = one({}, { fault => 'redirect', location => "$url/elsewhere" });
is($state, 'stuck', 'a redirect is not followed');
is(scalar(grep { $_->{target} =~ /elsewhere/ } @{ $systems->requests('billing') }),
	0, 'nobody went there');

# budgets
($state, $attempts, $email) = one({ retry => { max_attempts => 3 } }, { status => 408 });
like(
	"$state: $attempts",
	qr/^rolled_back: retry 408, retry 408, \w+ 408$/,
	'three attempts and no more');
($state, $attempts, $email, $run) = one({ retry => { for => '1 s' } }, { status => 408 });
is($state, 'rolled_back', 'a budget of time');

# the body catches it and goes another way
$systems->fault('billing', status => 402);
$run = as_app($node, 'postgres',
	q(SELECT dataflows.start('catching', '{"email": "other@example.com"}')));
is(as_app($node, 'postgres', "SELECT dataflows.await('$run', '20 s')"),
	'completed', 'DF001 can be caught');
is( $node->safe_psql(
		'postgres',
		"SELECT result->'caught'->>'status', result->'caught'->>'step', result->'caught'->>'system',
			result->'other'->>'email' FROM dataflows.runs WHERE run = '$run'"
	),
	'402|first|billing|other@example.com',
	'with its detail, and another step taken');
$systems->clear_faults;

# the system is down and comes back
$systems->down('billing');
$run = as_app($node, 'postgres',
	q(SELECT dataflows.start('one-step', '{"system": "billing", "email": "down@example.com"}')));
ok(wait_until($node, "SELECT count(*) >= 2 FROM dataflows.attempts WHERE run = '$run'"),
	'a system that is down is tried again');
$systems->up('billing');
is(as_app($node, 'postgres', "SELECT dataflows.await('$run', '20 s')"),
	'completed', 'until it is up');
is(ever('down@example.com'), 1, 'one record');

$node->stop;
$systems->stop;
done_testing();
