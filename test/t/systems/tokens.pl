# OAuth client credentials: one token for all, renewed in time, never a reason to
# undo anything, and seen by nobody.

use strict;
use warnings;

use Test::More;
use PostgreSQL::Test::Cluster;
use PostgreSQL::Test::Utils;
use Dataflows;
use Time::HiRes qw(time usleep);

my $secret = 's3:cr/t %&+~hush';
my $systems = start_systems();
my $node = new_node('oauth');

create_systems($node, 'postgres', $systems, workflow => 0);
my ($url, $auth) = ($systems->url('billing'), $systems->url('crm'));

sub server
{
	my ($name, $mapping, %options) = @_;
	my %all = (
		url => $url,
		allow_private => 'true',
		private_origins => $auth,
		timeout => '1s',
		retry_initial => '50ms',
		retry_max => '300ms',
		settle => '100ms',
		breaker_cooldown => '300ms',
		%options);
	my $list = join(', ', map { "$_ '$all{$_}'" } sort keys %all);

	$node->safe_psql('postgres', <<"SQL");
CREATE SERVER $name FOREIGN DATA WRAPPER dataflows OPTIONS ($list);
GRANT USAGE ON FOREIGN SERVER $name TO app;
CREATE USER MAPPING FOR app SERVER $name OPTIONS ($mapping);
SQL
	return;
}

my $client =
	  "oauth_token_url '$auth/token', client_id 'the client', client_secret '$secret', scope "
	. "'read "
	. "write'";

server('api', $client, idempotency_header => 'Idempotency-Key');
server('plain', $client);
server('clear', $client, allow_private => 'false', private_origins => 'https://elsewhere.example');
server(
	'half_clear',
	"oauth_token_url 'https://auth.example.com/token', client_id 'a', client_secret '$secret'",
	allow_private => 'false');
server('bearing', "bearer_token 'bearer-hush-1', \"header.X-Api-Key\" 'header-hush-2'");
server('basic', "username 'ada', password 'basic-hush-3'");
as_app($node, 'postgres', <<'SQL');
CREATE FUNCTION app.calling(event jsonb) RETURNS jsonb LANGUAGE plpgsql AS $$
DECLARE
  made jsonb;
BEGIN
  made := dataflows.post('call', coalesce(event->>'system', 'api'), '/customers',
    jsonb_build_object('email', event->>'email'),
    undo => 'DELETE /customers/{id}',
      probe => event->>'probe', probe_found => event->>'probe_found');
  IF event ? 'wait' THEN
    PERFORM dataflows.wait_for('go');
    RAISE EXCEPTION 'not wanted any more';
  END IF;
  RETURN made;
END $$;
SELECT dataflows.define_workflow('calling', 'app.calling');
CREATE FUNCTION app.polling(event jsonb) RETURNS jsonb LANGUAGE plpgsql AS $$
BEGIN
  RETURN dataflows.get('poll', 'api', '/customers', query => jsonb_build_object('email',
    event->>'email'),
    until => '$[0].id like_regex "^cus"', every => '50 ms');
END $$;
SELECT dataflows.define_workflow('polling', 'app.polling');
SQL
$systems->config('billing', oauth => JSON::PP::true());
$systems->tokens(client_id => 'the client', client_secret => $secret, scope => 'read write');

my $number = 0;

sub begin
{
	my (%event) = @_;
	my $workflow = delete $event{workflow} // 'calling';

	$event{email} //= 'o' . ++$number . '@example.com';
	my $input = JSON::PP->new->encode(\%event);

	return as_app($node, 'postgres', "SELECT dataflows.start('$workflow', \$j\$$input\$j\$)");
}

sub outcome
{
	my ($run) = @_;
	return as_app($node, 'postgres', "SELECT dataflows.await('$run', '20 s')");
}

sub begin_many
{
	my ($n) = @_;

	as_app(
		$node, 'postgres',
		"SELECT dataflows.start('calling', jsonb_build_object('email',
			'm' || i || '-$number\@example.com')) FROM generate_series(1, $n) i"
	);
	$number++;
	return;
}

# how often a token was asked for since the last time
my $asked_before = 0;

sub asked
{
	my $asked = $systems->tokens()->{asked};
	my $more = $asked - $asked_before;

	$asked_before = $asked;
	return $more;
}

sub revoke { $systems->tokens(revoke => JSON::PP::true()); return; }

sub step_of
{
	my ($run, $what) = @_;
	return $node->safe_psql('postgres',
		"SELECT $what FROM dataflows.steps WHERE run = '$run' AND n = 1");
}

sub all_completed { return wait_for_runs($node, ['completed'], 40); }

sub attempts { return number_of($node, 'SELECT count(*) FROM dataflows.attempts'); }

# ---- one for all

begin_many(100);
ok(all_completed(), 'a hundred runs');
is(asked(), 1, 'one request for a token');
is(attempts(), 0, 'and no failed attempt');

revoke();
begin_many(50);
ok(all_completed(), 'fifty runs with a revoked token');
is(asked(), 1, 'it is renewed once');
is(number_of($node, 'SELECT max(attempts) FROM dataflows.steps'), 1, 'no attempt was used');
is(attempts(), 0, 'and none noted as failed');
unlike(
	slurp_file($node->logfile),
	qr/refuses our credentials/,
	'the credentials are not taken for wrong');

# ---- in time

$systems->tokens(expires_in => 4, revoke => JSON::PP::true());
my $end = time() + 60;
my $renewals = 0;

while ($renewals < 3 && time() < $end)
{
	outcome(begin());
	$renewals += asked();
}
cmp_ok($renewals, '>=', 3, 'tokens that live for 4 s are renewed');
my $late = 0;
$late += $_->{late} for values %{ $systems->tokens()->{issued} };
is($late, 0, 'before they expire');
is(attempts(), 0, 'nothing failed meanwhile');

$systems->tokens(expires_in => 3600, say_expires => JSON::PP::false(), revoke => JSON::PP::true());
is(outcome(begin()), 'completed', 'an answer without expires_in');
$systems->tokens(say_expires => JSON::PP::true());

# ---- every request takes it along

my $run = begin(wait => 1, email => 'undo@example.com');
is(outcome($run), 'waiting', 'a run waits');
revoke();
as_app($node, 'postgres', "SELECT dataflows.signal('$run', 'go')");
is(outcome($run), 'rolled_back', 'and is undone after its token was revoked');
is($systems->live('undo@example.com'), '0/0/0/0', 'the undo was made');
is(step_of($run, 'undo_state'), 'undone', 'and is recorded');
is(number_of($node, "SELECT count(*) FROM dataflows.attempts WHERE run = '$run'"),
	0, 'no attempt of the undo failed');

$systems->tokens(uses => 1, revoke => JSON::PP::true());
$systems->fault('billing', fault => 'lost', times => 1, match => { method => 'POST' });
$run = begin(
	system => 'plain',
	email => 'probe@example.com',
	probe => 'GET /customers?idempotency_key={idempotency_key}',
	probe_found => '$[0]');
is(outcome($run), 'completed', 'a lost answer, and a probe whose token is used up');
is(($systems->summary('billing')->{'probe@example.com'})->[0], 1, 'one record');
$systems->tokens(uses => 2, revoke => JSON::PP::true());
asked();
$run = begin(workflow => 'polling', email => 'poll@example.com');
ok(wait_until($node, "SELECT attempts >= 6 FROM dataflows.steps WHERE run = '$run'", 40),
	'a poll goes on over several tokens');
cmp_ok(asked(), '>=', 1, 'each used up');
$systems->tokens(uses => undef, revoke => JSON::PP::true());
is(outcome(begin(email => 'poll@example.com')), 'completed', 'what it polls for is there');
is(outcome($run), 'completed', 'and found');

# ---- no token for now

my $undone = number_of($node, "SELECT count(*) FROM dataflows.runs WHERE state = 'rolled_back'");
my $failed = attempts();

# what the metric says
sub refused
{
	return number_of($node,
		"SELECT value FROM dataflows.metrics WHERE labels->>'system' = 'api'
			AND name = 'dataflows_system_credentials_refused'");
}

sub without_token
{
	my ($name, $reason, $break, $mend) = @_;
	revoke();
	$break->();
	my $held = begin();

	ok( wait_until(
			$node,
			"SELECT error->>'message' LIKE 'no token from the authorization server: $reason'
				FROM dataflows.steps WHERE run = '$held'",
			10),
		"$name: the step says why it waits");
	is(step_of($held, 'attempts'), 0, "$name: it uses no attempt");
	ok( wait_until(
			$node,
			"SELECT reason = 'no token' AND held_owners = '{app}' FROM dataflows.systems
				WHERE system = 'api'"
		),
		"$name: the view says so");
	$mend->();
	is(outcome($held), 'completed', "$name: it goes on by itself");
	return;
}

sub with_fault
{
	my ($reason, %fault) = @_;

	without_token(
		$fault{fault} // "status $fault{status}",
		$reason,
		sub { $systems->fault('crm', %fault, match => { path => '^/token' }) },
		sub { $systems->clear_faults('crm') });
	return;
}

with_fault('it answered with status 500', status => 500);
with_fault('it answered with status 503', status => 503, retry_after => 1);
with_fault('its answer is not a JSON object', fault => 'invalid_json');
with_fault('the answer is larger than%', fault => 'huge');
with_fault('timed out%', fault => 'hang');
with_fault('it answered with status 302', fault => 'redirect', location => "$url/token");
with_fault('its answer has no access_token', status => 200, body => { hello => 'there' });
with_fault(
	'its access_token has characters%',
	status => 200,
	body => { access_token => "a\r\nX-Evil: b" });
without_token(
	'down',
	'connection refused',
	sub { $systems->down('crm') },
	sub { $systems->up('crm') });
without_token(
	'token_type',
	'its answer has a token_type%',
	sub { $systems->tokens(token_type => 'mac') },
	sub { $systems->tokens(token_type => 'bearer') });
is(number_of($node, "SELECT count(*) FROM dataflows.runs WHERE state = 'rolled_back'"),
	$undone, 'nobody was rolled back');
is(attempts(), $failed, 'no attempt was used');

# ---- who takes credentials in the body only

$systems->tokens(auth => 'body', revoke => JSON::PP::true());
asked();
is(outcome(begin()), 'completed', 'credentials in the body, after basic was refused');
is(asked(), 2, 'two requests');
revoke();
is(outcome(begin()), 'completed', 'and again');
is(asked(), 1, 'now at once in the body');
$systems->tokens(auth => 'both');

# ---- wrong credentials

$node->safe_psql('postgres',
	"ALTER USER MAPPING FOR app SERVER api OPTIONS (SET client_secret 'wrong-hush-4')");
$run = begin();
ok( wait_until(
		$node,
		"SELECT error->>'message' LIKE '%credentials refused (status 401, invalid_client)'
			FROM dataflows.steps WHERE run = '$run'"
	),
	'a changed mapping drops the token; a wrong secret is refused');
is(step_of($run, 'attempts'), 0, 'no attempt was used');
ok( wait_until(
		$node,
		"SELECT reason = 'credentials refused' AND held_owners = '{app}' AND breaker = 'closed'
			FROM dataflows.systems WHERE system = 'api'"
	),
	'the view says whose credentials are refused');
is(refused(), 1, 'and so does the metric');
ok($node->wait_for_log(qr/authorization server refuses our credentials/), 'the log says so')
	if $node->can('wait_for_log');
$node->safe_psql('postgres',
	"ALTER USER MAPPING FOR app SERVER api OPTIONS (SET client_secret '$secret')");
is(outcome($run), 'completed', 'it goes on after ALTER USER MAPPING');
is($node->safe_psql('postgres',
		"SELECT reason IS NULL AND held_owners IS NULL FROM dataflows.systems
			WHERE system = 'api'"),
	't', 'and the view no longer says so');
is(refused(), 0, 'nor does the metric');
my @lines = slurp_file($node->logfile) =~ /(authorization server refuses our credentials)/g;
is(scalar(@lines), 1, 'one line in the log');

# ---- a system that refuses fresh tokens too

$systems->config('billing', oauth => JSON::PP::false(), bearer => 'another');
asked();
$run = begin();
ok( wait_until(
		$node,
		"SELECT error->>'message' = 'credentials refused' FROM dataflows.steps WHERE run = '$run'"),
	'a fresh token that is refused too');
# while it is on the wire again it counts as one
ok(wait_until($node, "SELECT attempts = 0 FROM dataflows.steps WHERE run = '$run'"),
	'uses no attempt');
cmp_ok(asked(), '<=', 4, 'and not one token after the other');
$systems->config('billing', oauth => JSON::PP::true(), bearer => undef);
is(outcome($run), 'completed', 'it goes on when the system takes it again');

# ---- in the clear

my %clear = (clear => 'oauth_token_url', half_clear => 'url');

for my $system (sort keys %clear)
{
	$run = begin(system => $system);
	is(outcome($run), 'stuck', "$system: nothing goes out in the clear");
	like(
		$node->safe_psql(
			'postgres', "SELECT stuck->>'reason' FROM dataflows.run WHERE run = '$run'"),
		qr/in the clear, as "$clear{$system}" is not https/,
		"$system: the reason");
	$node->safe_psql('postgres', "SELECT dataflows.cancel('$run')");
}

# ---- a worker that ends while it waits

$systems->fault('crm', fault => 'latency', ms => 3000, times => 1, match => { path => '^/token' });
revoke();
$run = begin();
ok( wait_until(
		$node,
		"SELECT state = 'pending' AND status IS NULL FROM dataflows.steps WHERE run = '$run'"),
	'a step waits for a slow token');
$node->safe_psql('postgres',
	"SELECT pg_terminate_backend(pid) FROM pg_stat_activity WHERE backend_type = 'dataflows worker'"
);
is(outcome($run), 'completed', 'its worker ends, another one asks for its own');
is(step_of($run, 'attempts'), 1, 'no attempt was lost');

# ---- secrets that a system sends back

$systems->config('billing', oauth => JSON::PP::false());
for my $system ('api', 'bearing', 'basic')
{
	$systems->fault('billing', fault => 'echo', times => 1);
	$run = begin(system => $system);
	is(outcome($run), 'rolled_back', "$system: a system that sends back what it was sent");
	like(step_of($run, "error->>'body'"), qr/\[redacted\]/, "$system: is not believed to");
	like(
		step_of(
			$run, "(SELECT answer::text FROM dataflows.step s WHERE s.run = steps.run AND s.n = 1)"
		),
		qr/x-echo.*\[redacted\]/,
		"$system: nor its headers");
}
$systems->config('billing', oauth => JSON::PP::true());

# ---- a storm: a 401 is never a doubt, though no key is trusted

$systems->tokens(uses => 25, revoke => JSON::PP::true());
as_app(
	$node, 'postgres',
	"SELECT dataflows.start('calling', jsonb_build_object('system', 'plain', 'email',
		's' || i || '\@storm')) FROM generate_series(1, 300) i"
);
my $storm = "FROM dataflows.runs WHERE input->>'email' LIKE '%\@storm'";
$end = time() + 20;
while (time() < $end && number_of($node, "SELECT count(*) $storm AND state <> 'completed'") > 0)
{
	# the pace of the trouble, not a wait for anything
	usleep(400_000);
	revoke();
}
is(number_of($node, "SELECT count(*) $storm AND state = 'completed'"),
	300, 'tokens that are used up and revoked all the time');
$systems->tokens(uses => undef);
my $books = $systems->summary('billing');
is(scalar(grep { /\@storm$/ && $books->{$_}[0] == 1 } keys %$books),
	300, 'each was carried out once');

# ---- two workers

$node->append_conf('postgresql.conf', 'dataflows.workers_per_owner = 2');
$node->restart;
asked();
begin_many(300);
ok( wait_until(
		$node,
		"SELECT count(*) = 300 AND bool_and(state = 'completed') FROM dataflows.runs
			WHERE input->>'email' LIKE 'm%-"
			. ($number - 1) . "\@%'",
		30),
	'three hundred runs by two workers');
cmp_ok(asked(), '<=', 2, 'one token each');

# ---- nobody has seen them

my @hidden = (
	$secret, 'bearer-hush-1', 'header-hush-2', 'basic-hush-3', 'wrong-hush-4',
	'YWRhOmJhc2ljLWh1c2gtMw', 's3%3Acr', keys %{ $systems->tokens()->{issued} });
my $pattern = join('|', map { quotemeta } @hidden);
my $log = slurp_file($node->logfile);

cmp_ok(scalar(@hidden), '>', 15, 'many secrets');
unlike($log, qr/$pattern/, 'none is in the log');
my @tables = split /\n/, $node->safe_psql(
	'postgres',
	"SELECT oid::regclass FROM pg_class WHERE relnamespace = 'dataflows'::regnamespace
		AND relkind IN ('r', 'p')"
);
my $rows = '';

$rows .= $node->safe_psql('postgres', "SELECT t::text FROM $_ t") . "\n" for @tables;
cmp_ok(length($rows), '>', 100_000, 'much is in the tables');
unlike($rows, qr/$pattern/, 'but no secret');
unlike($node->safe_psql('postgres', "SELECT string_agg(a::text, ' ') FROM pg_stat_activity a"),
	qr/$pattern/, 'none in pg_stat_activity');
my $titles = join(' ', map { slurp_file("/proc/$_/cmdline") } pids_of($node, 'worker'));
like($titles, qr/dataflows/, 'titles of processes');
unlike($titles, qr/$pattern/, 'show none');

is(number_of($node, 'SELECT count(*) FROM dataflows.unexplained'),
	0, 'every run that waits says for what');

done_testing();
