# Webhooks by HTTP: what is answered is committed, what is wrong is refused, and
# nobody who is slow, large or many takes the listener from the others.

use strict;
use warnings;

use Digest::SHA qw(hmac_sha256_hex hmac_sha256_base64);
use HTTP::Tiny;
use IO::Select;
use IO::Socket::INET;
use JSON::PP;
use MIME::Base64;
use Test::More;
use Time::HiRes qw(time usleep);
use PostgreSQL::Test::Cluster;
use Dataflows;

my $port = PostgreSQL::Test::Cluster::get_free_port();
my $node = new_node('webhooks', conf => <<'CONF');
dataflows.body_timeout = '500ms'
dataflows.max_body = '64kB'
dataflows.sweep_interval = '1s'
dataflows.ingress_timeout = '1s'
CONF
my $base = "http://127.0.0.1:$port";
my $http = HTTP::Tiny->new(timeout => 10, keep_alive => 0);

sub post
{
	my ($path, $body, %headers) = @_;
	my $answer = $http->request('POST', "$base$path",
		{ content => $body, headers => { 'content-type' => 'application/json', %headers } });

	$answer->{json} = eval { decode_json($answer->{content}) };
	return $answer;
}

sub as_app_ { return as_app($node, 'postgres', $_[0]); }

# Raw bytes; what comes back until the server closes or the deadline is over.
sub raw
{
	my ($bytes, $deadline) = @_;
	my $socket = IO::Socket::INET->new(PeerAddr => '127.0.0.1', PeerPort => $port)
		or return 'no connection';
	my $end = time() + ($deadline // 5);
	my $answer = '';

	local $SIG{PIPE} = 'IGNORE';
	syswrite($socket, $bytes);
	while (time() < $end && IO::Select->new($socket)->can_read($end - time()))
	{
		sysread($socket, $answer, 65536, length($answer)) or return $answer;
		last if $answer =~ /\r\n\r\n/ && $answer !~ /Connection: close/i;
	}
	return $answer;
}

# ---- off, on, off --------------------------------------------------------------------

create_app($node);
$node->safe_psql('postgres', <<'SQL');
CREATE ROLE hearer LOGIN;
CREATE ROLE nobody_in;
CREATE SERVER sender FOREIGN DATA WRAPPER dataflows OPTIONS (url 'https://sender.example');
GRANT USAGE ON FOREIGN SERVER sender TO app;
CREATE USER MAPPING FOR app SERVER sender OPTIONS (webhook_secret 'whsec_cHJlc2VudA==',
  webhook_secret_old 'older-secret');
SQL
as_app_(<<'SQL');
CREATE FUNCTION app.takes(event jsonb) RETURNS jsonb LANGUAGE plpgsql AS $$ BEGIN RETURN event;
  END $$;
CREATE FUNCTION app.waits(event jsonb) RETURNS jsonb LANGUAGE plpgsql AS $$ BEGIN
  RETURN dataflows.wait_for('paid'); END $$;
CREATE FUNCTION app.decides(headers jsonb, body jsonb) RETURNS jsonb LANGUAGE plpgsql AS $$
BEGIN
  IF body ? 'loop' THEN LOOP PERFORM 1; END LOOP; END IF;
  IF body ? 'write' THEN CREATE TABLE app.written (x int); END IF;
  RETURN jsonb_build_object('key', headers->>'x-key', 'input', body || jsonb_build_object('who',
    current_user));
END $$;
SELECT dataflows.define_workflow('takes', 'app.takes'), dataflows.define_workflow('waits',
  'app.waits');
SELECT dataflows.create_webhook('/signup', starts => 'takes', key => '$.id');
SELECT dataflows.create_webhook('/any', starts => 'takes');
SELECT dataflows.create_webhook('/wait', starts => 'waits', key => '$.id');
SELECT dataflows.create_webhook('/paid', signals => 'waits', event => '$.type', key => '$.id',
  filter => '$.livemode == true');
SELECT dataflows.create_webhook('/decided', starts => 'takes', handler => 'app.decides');
SELECT dataflows.create_webhook('/stripe', starts => 'takes', key => '$.id', verify => 'stripe',
  secret => 'sender');
SELECT dataflows.create_webhook('/github', starts => 'takes', verify => 'github',
  secret => 'sender');
SELECT dataflows.create_webhook('/standard', starts => 'takes', verify => 'standard',
  secret => 'sender');
SELECT dataflows.create_webhook('/hmac', starts => 'takes', verify => 'hmac-sha256:X-Signature',
  secret => 'sender');
SELECT dataflows.create_webhook('/bearer', starts => 'takes', verify => 'bearer',
  secret => 'sender');
SQL
my @ingress = "SELECT count(*) FROM pg_stat_activity WHERE backend_type = 'dataflows ingress'";

is(number_of($node, @ingress), 0, 'off by default');

sub set
{
	my (%settings) = @_;

	$node->safe_psql('postgres',
		join('', map { "ALTER SYSTEM SET dataflows.$_ = '$settings{$_}';\n" } sort keys %settings)
			. 'SELECT pg_reload_conf()');
	return;
}
set(listen => "127.0.0.1:$port");
# from PostgreSQL 17 on a role without LOGIN may have a session here
my @no_login = $node->pg_version >= 17 ? () : [ 'nobody_in', 'it may not log in' ];

for my $case ([ 'missing', 'the role does not exist' ],
	@no_login, [ $node->safe_psql('postgres', 'SELECT current_user'), 'it is a superuser' ])
{
	my $at = -s $node->logfile;
	my $refusal = qr/cannot receive webhooks as role "$case->[0]": \Q$case->[1]\E/;

	set(ingress_role => $case->[0]);
	ok(log_says($node, $refusal, $at), "role $case->[0] is refused: $case->[1]");
	ok( wait_until(
			$node,
			"SELECT reason LIKE 'nobody listens on % as role \"$case->[0]\": $case->[1]%'
				FROM dataflows.status() WHERE process = 'coordinator'"
		),
		'status() says so');
}
is(number_of($node, @ingress), 0, 'and nobody listens');
set(ingress_role => 'hearer');
ok( wait_until(
		$node,
		"SELECT count(*) = 1 FROM pg_stat_activity WHERE backend_type = 'dataflows ingress'
			AND usename = 'hearer'"
	),
	'a plain role hears');
my $up = time() + 10;

usleep(20_000) while time() < $up && $http->get("$base/ready")->{status} != 200;
is($http->get("$base/ready")->{status}, 200, 'ready');
is($http->head("$base/ready")->{status}, 200, 'also for who asks with HEAD');

# ---- start and signal ------------------------------------------------------------------

my $answer = post('/signup', '{"id": 7, "name": "Zoë"}');

is($answer->{status}, 202, 'a signup is accepted');
my $run = $answer->{json}{run};

is( $node->safe_psql(
		'postgres',
		"SELECT key || ' ' || (input->>'name') || ' ' || started_by FROM dataflows.runs
			WHERE run = '$run'"
	),
	'7 Zoë app',
	'and there is a run of it, with the right of who made the webhook');
is(post('/signup', '{"id": "7"}')->{json}{run}, $run, 'the same key is the same run');
is( post('/signup', 'id=8&name=x%20y', 'content-type' => 'application/x-www-form-urlencoded')
		->{status},
	202,
	'a form');
is( $node->safe_psql('postgres', "SELECT input FROM dataflows.runs WHERE key = '8'"),
	'{"id": "8", "name": "x y"}',
	'is an object');
is_deeply(
	post('/signup', '{}')->{json},
	{ ignored => 'there is no key in the body' },
	'no key: ignored');

is(post('/paid', '{"id": "9", "type": "paid", "livemode": true, "sum": 1}')->{json}{run},
	undef, 'a signal that comes before its run is kept');
$run = post('/wait', '{"id": "9"}')->{json}{run};
is(as_app_("SELECT dataflows.await('$run')"), 'completed', 'and waits for it');
is($node->safe_psql('postgres', "SELECT result->>'sum' FROM dataflows.runs WHERE run = '$run'"),
	'1', 'with its payload');
is_deeply(
	post('/paid', '{"id": "9", "type": "paid", "livemode": true}')->{json},
	{ ignored => 'the run has ended' },
	'a run that has ended ignores it');
is_deeply(
	post('/paid', '{"id": "9", "type": "paid"}')->{json},
	{ ignored => 'the filter does not match' },
	'so does the filter');
is( $node->safe_psql(
		'postgres',
		"SELECT deliveries || ' ' || ignored FROM dataflows.webhooks WHERE path = '/paid'"),
	'3 2',
	'all of it is counted');

# by a further key of the run, which comes to it while it goes
as_app_(<<'SQL');
CREATE FUNCTION app.aliased(event jsonb) RETURNS jsonb LANGUAGE plpgsql AS $$
BEGIN
  PERFORM dataflows.wait_for('begin');
  PERFORM dataflows.alias('order-' || (event->>'order'));
  RETURN dataflows.wait_for('paid') || dataflows.wait_for('paid');
END $$;
SELECT dataflows.define_workflow('aliased', 'app.aliased');
SELECT dataflows.create_webhook('/order', signals => 'aliased', event => '$.type',
  key => '$.order');
SQL
$run = as_app_(q(SELECT dataflows.start('aliased', '{"order": 5}', 'mine')));
is(post('/order', '{"order": "order-5", "type": "paid", "first": 1}')->{json}{run},
	undef, 'a delivery for a key that nobody has yet');
as_app_("SELECT dataflows.signal('$run', 'begin')");
ok( wait_until(
		$node,
		"SELECT count(*) = 2 FROM dataflows.steps WHERE run = '$run' AND kind = 'wait'
			AND step LIKE 'paid%'"
	),
	'is for the run that makes it its own');
$answer = post('/order', '{"order": "order-5", "type": "paid", "second": 2}');
is( "$answer->{status} " . ($answer->{json}{run} // ''),
	"202 $run",
	'the next one finds the run by it');
is(as_app_("SELECT dataflows.await('$run')"), 'completed', 'which goes on');
is( $node->safe_psql(
		'postgres',
		"SELECT (result->>'first') || (result->>'second') FROM dataflows.runs WHERE run = '$run'"),
	'12',
	'with both');
is_deeply(post('/order', '{"order": "order-5", "type": "paid"}')->{json}{run},
	undef, 'the key of a run that has ended is nobody\'s');

# ---- handlers ----------------------------------------------------------------------------

$answer = post('/decided', '{"a": 1}', 'X-Key' => 'by-handler');
is( $node->safe_psql(
		'postgres',
		"SELECT key || ' ' || input::text FROM dataflows.runs WHERE run = '$answer->{json}{run}'"),
	'by-handler {"a": 1, "who": "app"}',
	'a handler decides, as its owner');
is(post('/decided', '{"write": 1}')->{status}, 503, 'one that writes fails');
is($node->safe_psql('postgres', "SELECT to_regclass('app.written') IS NULL"),
	't', 'and writes nothing');
my $log_at = -s $node->logfile;

is(scalar(grep { post('/decided', '{"write": 1}')->{status} == 503 } 1 .. 30),
	30, 'anybody may send what fails');
my @lines = PostgreSQL::Test::Utils::slurp_file($node->logfile, $log_at) =~
	/could not handle a delivery to webhook "\/decided"/g;

cmp_ok(scalar(@lines), '<=', 2, 'and does not fill the log');

$answer = post('/decided', '{"loop": 1}');
is($answer->{status}, 503, 'one that loops is stopped');
is(post('/any', '{}')->{status}, 202, 'and the listener goes on');
$answer = post('/decided', '{"a": 2}');
is($answer->{status}, 503, 'its webhook is turned away for a moment');
cmp_ok($answer->{headers}{'retry-after'}, '<=', 5, 'which the answer tells');
ok(status_comes(202, sub { post('/decided', '{"a": 3}', 'X-Key' => 'later') }),
	'and is heard again');

# one that catches the cancel ends the process, once, and costs the others no more than that
$node->safe_psql('postgres', <<'SQL');
CREATE ROLE bob LOGIN;
CREATE SCHEMA bob AUTHORIZATION bob;
GRANT EXECUTE ON FUNCTION dataflows.define_workflow TO bob;
SQL
$node->safe_psql('postgres', <<'SQL', extra_params => [ '-U', 'bob' ]);
CREATE FUNCTION bob.takes(event jsonb) RETURNS jsonb LANGUAGE plpgsql AS $$ BEGIN RETURN event;
  END $$;
SELECT dataflows.define_workflow('bobs', 'bob.takes');
SELECT dataflows.create_webhook('/bob', starts => 'bobs');
SQL
as_app_(<<'SQL');
CREATE FUNCTION app.goes_on(headers jsonb, body jsonb) RETURNS jsonb LANGUAGE plpgsql AS $$
BEGIN
  LOOP BEGIN PERFORM pg_sleep(3600); EXCEPTION WHEN query_canceled THEN NULL; END; END LOOP;
END $$;
CREATE FUNCTION app.naps(headers jsonb, body jsonb) RETURNS jsonb LANGUAGE plpgsql AS $$
BEGIN
  PERFORM pg_sleep(0.3);
  RETURN '{}';
END $$;
SELECT dataflows.create_webhook('/goes-on', starts => 'takes', handler => 'app.goes_on');
SELECT dataflows.create_webhook('/naps', starts => 'takes', handler => 'app.naps');
SELECT dataflows.create_webhook('/naps-too', starts => 'takes', handler => 'app.naps');
SQL
my $pid_of = "SELECT pid FROM pg_stat_activity WHERE backend_type = 'dataflows ingress'";
my $hearing = $node->safe_psql('postgres', $pid_of);

post('/goes-on', '{}');
ok( wait_until(
		$node,
		"SELECT count(*) = 1 FROM pg_stat_activity WHERE backend_type = 'dataflows ingress'
			AND pid <> $hearing"
	),
	'a handler that catches the cancel ends the process, and another one comes');
ok(status_comes(202, sub { post('/bob', '{}') }), "others' webhooks are heard");
$hearing = $node->safe_psql('postgres', $pid_of);
is(post('/goes-on', '{}')->{status}, 503, 'its own is turned away');
is($node->safe_psql('postgres', $pid_of), $hearing, 'and ends no process again');

# ---- handlers that take their time ----------------------------------------------------------

set(body_timeout => '60s', handler_timeout => '50s', ingress_timeout => '60s');

sub begin_post
{
	my ($path) = @_;
	my $socket = IO::Socket::INET->new(PeerAddr => '127.0.0.1', PeerPort => $port)
		or die "no connection: $!";

	syswrite($socket, "POST $path HTTP/1.1\r\nHost: x\r\nContent-Length: 2\r\n\r\n{}");
	return $socket;
}
ok( wait_until(
		$node,
		"SELECT count(*) = 1 FROM pg_stat_activity WHERE backend_type = 'dataflows ingress'
			AND pid <> $hearing"
	),
	'a process with other settings');
ok(status_comes(202, sub { post('/bob', '{}') }), 'hears');
my @napping = map { begin_post($_ % 2 ? '/naps' : '/naps-too') } 1 .. 16;

is(post('/bob', '{}')->{status}, 202, 'while slow handlers have much to do, others are answered');
cmp_ok(scalar(grep { !IO::Select->new($_)->can_read(0) } @napping),
	'>', 8, 'before all that came before them');
is( scalar(
		grep { my $answer = ''; sysread($_, $answer, 1000); $answer =~ /^HTTP\/1.1 202/ } @napping),
	16,
	'and all of the slow ones are answered in the end');

# ---- the same in a session that passes deliveries on ------------------------------------------

set(handler_timeout => '300ms', ingress_timeout => '1s', body_timeout => '500ms');
$node->safe_psql(
	'postgres',
	"CREATE ROLE gateway LOGIN; GRANT USAGE ON SCHEMA dataflows TO gateway;
		GRANT EXECUTE ON FUNCTION dataflows.receive_webhook TO gateway"
);

sub pass_on
{
	my ($path, $before) = @_;

	return $node->psql(
		'postgres',
		($before // '')
			. "SELECT dataflows.receive_webhook('$path', '{}', '{\"loop\": 1}')->>'status';
				SELECT 'still here'",
		extra_params => [ '-U', 'gateway' ]);
}
is( (pass_on('/decided'))[1],
	"503\nstill here",
	'a handler that is stopped there fails the delivery');
my @said = pass_on('/goes-on');

like("@said", qr/terminating connection/, 'one that catches the cancel ends the session');
unlike($said[1], qr/still here/, 'as nothing else would');
@said = pass_on('/decided', "SET statement_timeout = '100ms'; ");
like(
	$said[2],
	qr/statement timeout/,
	"the session's own time limit is the statement's, and no answer");

# ---- signatures ----------------------------------------------------------------------------

my $secret = 'whsec_cHJlc2VudA==';
my $now = int(time());
my $body = '{"id": "evt_1", "text": "Zoë"}';

sub stripe { my ($at, $key) = @_; return "t=$at,v1=" . hmac_sha256_hex("$at.$body", $key); }
is(post('/stripe', $body, 'Stripe-Signature' => stripe($now, $secret))->{status}, 202, 'stripe');
is(post('/stripe', $body, 'Stripe-Signature' => stripe($now, 'older-secret'))->{status},
	202, 'the old secret, while rotating');
is(post('/stripe', $body, 'Stripe-Signature' => stripe($now, 'other'))->{status},
	401, 'another secret');
is(post('/stripe', $body, 'Stripe-Signature' => stripe($now - 400, $secret))->{status},
	401, 'too old');
is(post('/stripe', "$body ", 'Stripe-Signature' => stripe($now, $secret))->{status},
	401, 'another body');
is(post('/stripe', $body)->{status}, 401, 'no signature');
is( post(
		'/github', $body,
		'X-Hub-Signature-256' => 'sha256=' . hmac_sha256_hex($body, $secret),
		'X-GitHub-Delivery' => 'd1')->{status},
	202, 'github');
is( post('/github', $body, 'X-Hub-Signature-256' => 'sha256=' . hmac_sha256_hex($body, 'x'))
		->{status},
	401, 'refused');
my $mac = hmac_sha256_base64("m1.$now.$body", decode_base64('cHJlc2VudA==')) . '=';

is( post(
		'/standard', $body,
		'webhook-id' => 'm1',
		'webhook-timestamp' => $now,
		'webhook-signature' => "v1,AAAA v1,$mac")->{status},
	202,
	'standard');
is( post(
		'/standard', $body,
		'webhook-id' => 'm2',
		'webhook-timestamp' => $now,
		'webhook-signature' => "v1,$mac")->{status},
	401,
	'under another id');
is(post('/hmac', $body, 'X-Signature' => hmac_sha256_hex($body, $secret))->{status}, 202, 'hmac');
is(post('/bearer', $body, 'Authorization' => "Bearer $secret")->{status}, 202, 'bearer');
is(post('/bearer', $body, 'Authorization' => 'Bearer no')->{status}, 401, 'refused');
$node->safe_psql(
	'postgres',
	"ALTER USER MAPPING FOR app SERVER sender OPTIONS (SET webhook_secret 'newer-secret',
		DROP webhook_secret_old)"
);
is(post('/bearer', $body, 'Authorization' => "Bearer $secret")->{status},
	401, 'a secret that was replaced is refused at once');
is(post('/bearer', $body, 'Authorization' => 'Bearer newer-secret')->{status},
	202, 'and the new one taken');

# ---- repeated deliveries -----------------------------------------------------------------------

my $again = post(
	'/standard', $body,
	'webhook-id' => 'm1',
	'webhook-timestamp' => $now,
	'webhook-signature' => "v1,$mac");

is($again->{status}, 401, 'signed with a secret that is gone');
my @first = map { post('/any', '{"n": 1}', 'Idempotency-Key' => 'same')->{content} } 1 .. 3;

is($first[1], $first[0], 'a repeated delivery answers the same');
is(number_of($node, "SELECT count(*) FROM dataflows.webhook_delivery WHERE event_id = 'same'"),
	1, 'and is one');
my @children;

for my $i (1 .. 20)
{
	my $pid = fork();

	if ($pid == 0)
	{
		my $answer = post('/any', '{"n": 2}', 'Idempotency-Key' => 'at once');

		POSIX::_exit($answer->{status} == 202 ? 0 : 1);
	}
	push @children, $pid;
}
my $good = 0;

for my $pid (@children) { waitpid($pid, 0); $good++ if $? == 0; }
is($good, 20, 'twenty at once are all answered');
is(number_of($node, "SELECT count(*) FROM dataflows.runs WHERE input->>'n' = '2'"),
	1, 'and start one run');

# ---- links ---------------------------------------------------------------------------------------

as_app_(<<'SQL');
CREATE FUNCTION app.confirms(event jsonb) RETURNS jsonb LANGUAGE plpgsql AS $$
BEGIN
  IF event ? 'by' THEN RETURN dataflows.wait_for('confirmed', timeout => '2 s', by => 'link');
    END IF;
  RETURN coalesce(dataflows.wait_for('confirmed'), '{}') || dataflows.response('confirmed');
END $$;
CREATE FUNCTION app.confirms_twice(event jsonb) RETURNS jsonb LANGUAGE plpgsql AS $$
BEGIN
  PERFORM dataflows.wait_for('confirmed');
  RETURN dataflows.wait_for('confirmed');
END $$;
SELECT dataflows.define_workflow('confirms', 'app.confirms');
SELECT dataflows.define_workflow('confirms_twice', 'app.confirms_twice');
SQL
my $waiting = as_app_("SELECT dataflows.start('confirms', '{}', 'link-1')");
my ($rc, $out, $err) = $node->psql(
	'postgres',
	"SELECT dataflows.event_url('$waiting', 'confirmed')",
	extra_params => [ '-U', 'app' ]);

like($err, qr/dataflows.public_url is not set/, 'without an address there are no links');
set(public_url => $base);
ok(wait_until($node, "SELECT current_setting('dataflows.public_url') <> ''"), 'the address is set');
my $link = as_app_("SELECT dataflows.event_url('$waiting', 'confirmed')");

like($link, qr{^\Q$base\E/event/[A-Za-z0-9_-]+\.[A-Za-z0-9_-]+$}, 'a link');
($rc, $out, $err) = $node->psql(
	'postgres',
	"SELECT dataflows.event_url('$waiting', 'confirmed')",
	extra_params => [ '-U', 'hearer' ]);
like($err, qr/may not signal workflow/, 'is not for everybody to make');
($rc, $out, $err) = $node->psql(
	'postgres',
	"SELECT dataflows.event_url('$waiting', 'confirmed', '-1 s')",
	extra_params => [ '-U', 'app' ]);
like($err, qr/would have expired already/, 'nor for the past');
$answer = $http->get($link);
is($answer->{status}, 200, 'opening it shows a page');
like($answer->{content}, qr/<form method="post">/, 'with a button');
like($answer->{headers}{'content-security-policy'}, qr/default-src 'none'/, 'and a policy');
is($http->request('HEAD', $link)->{status}, 200, 'a program that looks at it');
is($node->safe_psql('postgres', "SELECT state FROM dataflows.runs WHERE run = '$waiting'"),
	'waiting', 'confirms nothing');
(my $other_run = $link) =~ s{/event/(.)}{'/event/' . ($1 eq 'A' ? 'B' : 'A')}e;
is($http->request('POST', $other_run)->{status}, 404, 'a link that was changed is not valid');
is($http->request('POST', substr($link, 0, -1))->{status}, 404, 'nor one that was cut off');
is($http->request('POST', "$base/event/" . ('A' x 3000) . '.A')->{status}, 404, 'nor a long one');
is($http->request('PUT', $link)->{status}, 405, 'nor another method');
is($http->request('POST', $link)->{status}, 200, 'the button confirms');
is(as_app_("SELECT dataflows.await('$waiting')"), 'completed', 'and the run goes on');
is( $node->safe_psql(
		'postgres',
		"SELECT result->>'confirmed' || ' ' || (result->>'sent_by') FROM dataflows.runs
			WHERE run = '$waiting'"
	),
	'true link',
	'it knows by what');
is($http->request('POST', $link)->{status}, 200, 'pressed again: the same answer');
is(number_of($node, "SELECT count(*) FROM dataflows.inbox WHERE event = 'confirmed'"),
	1, 'one signal');
my $twice = as_app_("SELECT dataflows.start('confirms_twice', '{}')");

$link = as_app_("SELECT dataflows.event_url('$twice', 'confirmed', '100 days')");
is($http->request('POST', $link)->{status}, 200, 'a link to a run that waits twice');
is( scalar(
		grep { $http->request('POST', substr($link, 0, -1) . $_)->{status} == 200 } 'A' .. 'Z',
		'a' .. 'z',
		0 .. 9, '-', '_'),
	4,
	'four spellings of its code are the same to a decoder');
ok( wait_until(
		$node,
		"SELECT waiting_for = 'confirmed' AND (SELECT count(*) = 2 FROM dataflows.steps s
			WHERE s.run = r.run) FROM dataflows.runs r WHERE run = '$twice'"
	),
	'the run waits again');
is(number_of($node, "SELECT count(*) FROM dataflows.inbox WHERE run = '$twice'"),
	1, 'however it is spelt, it was one signal');
is( $node->safe_psql(
		'postgres',
		"SELECT d.at > now() + interval '99 days' FROM dataflows.webhook_delivery d
			WHERE run = '$twice'"
	),
	't',
	'that it was used is known until it expires');
is( $http->request('POST', as_app_("SELECT dataflows.event_url('$waiting', 'confirmed')"))
		->{status},
	410,
	'a run that has ended has nothing to confirm');
my $short =
	as_app_("SELECT dataflows.event_url('"
		. as_app_("SELECT dataflows.start('confirms', '{}')")
		. "', 'confirmed', '1 ms')");

is($http->get($short)->{status}, 410, 'a link that has expired');
$node->safe_psql('postgres', 'CREATE ROLE link');
my $by = as_app_(q(SELECT dataflows.start('confirms', '{"by": 1}')));

is($http->request('POST', as_app_("SELECT dataflows.event_url('$by', 'confirmed')"))->{status},
	200, 'where a role must have sent it');
ok(wait_until($node, "SELECT state = 'completed' FROM dataflows.runs WHERE run = '$by'"),
	'the wait times out');
is( $node->safe_psql(
		'postgres',
		"SELECT coalesce(result::text, 'nothing') FROM dataflows.runs WHERE run = '$by'"),
	'nothing',
	'a link is none, whatever roles there are');

# ---- what is wrong -------------------------------------------------------------------------------

is(post('/any', '{"broken": ')->{status}, 400, 'broken JSON');
is(post('/any', "\xff\xfe")->{status}, 400, 'no text');
is(post('/any', "{\"a\": \"\x00\"}")->{status}, 400, 'a NUL');
is(post('/any', '{"a": "\u0000"}')->{status}, 400, 'an escaped NUL');
is(post('/any', '[' x 60000)->{status}, 400, 'very deep');
is(post('/any', '"' . ('x' x 100_000) . '"')->{status}, 413, 'too large, by its length');
like(
	raw(      "POST /any HTTP/1.1\r\nHost: x\r\nTransfer-Encoding: chunked\r\n\r\n"
			. ("4000\r\n" . ('x' x 16384) . "\r\n") x 8
			. "0\r\n\r\n"),
	qr/^HTTP\/1.1 413/,
	'too large, in chunks');
like(
	raw("POST /any HTTP/1.1\r\nHost: x\r\n" . ("X-Long: " . ('y' x 1000) . "\r\n") x 60 . "\r\n"),
	qr/^HTTP\/1.1 4(31|13|00)/,
	'too many bytes of headers');
like(
	raw(      "POST /any HTTP/1.1\r\nHost: x\r\n"
			. join('', map { "X-$_: y\r\n" } 1 .. 200)
			. "Content-Length: 2\r\n\r\n{}"),
	qr/^HTTP\/1.1 431/,
	'too many headers');
is($http->get("$base/any")->{status}, 404, 'GET of a webhook');
is($http->request('PUT', "$base/any", { content => '{}' })->{status}, 404, 'PUT of it');
is($http->request('POST', "$base/ready", { content => '' })->{status},
	405, 'POST of what is to be read');
is(post('/nowhere', '{}')->{content}, '{"error": "not found"}', 'an unknown path is told nothing');
is(post('/any/', '{}')->{status}, 404, 'a slash more is another path');
like(raw("\x16\x03\x01\x02\x00\x01\x00", 3), qr/^(HTTP\/1.. 400|$)/, 'no HTTP at all');
like(raw("GET /ready HTTP/1.1\r\n\r\n"), qr/^HTTP\/1.1 400/, 'no Host');
like(
	raw("POST /any HTTP/1.1\r\nHost: x\r\nContent-Length: 2\r\nContent-Length: 20\r\n\r\n{}", 3),
	qr/^(HTTP\/1.. (400|202)|$)/,
	'two lengths');

# ---- slow ones -----------------------------------------------------------------------------------

my @slow = map { IO::Socket::INET->new(PeerAddr => '127.0.0.1', PeerPort => $port) } 1 .. 30;
my $begun = time();
my %open = map { $_ => 1 } 0 .. $#slow;

local $SIG{PIPE} = 'IGNORE';
syswrite($_, "POST /any HTTP/1.1\r\nHost: x\r\nContent-Length: 1000\r\n\r\n") for @slow;
is(post('/any', '{"beside": 1}')->{status}, 202, 'slow clients hold up nobody');
while (%open && time() < $begun + 60)
{
	for my $i (keys %open)
	{
		# a byte now and then, so that no idle timeout would end it
		syswrite($slow[$i], 'x') or delete $open{$i};
		delete $open{$i}
			if $open{$i}
			&& IO::Select->new($slow[$i])->can_read(0)
			&& !sysread($slow[$i], my $gone, 1024);
	}
	usleep(100_000);
}
is(scalar(keys %open), 0, sprintf('those that drip are cut off (%.1f s)', time() - $begun));
close($_) for @slow;

# asked until it answers so
sub status_comes
{
	my ($status, $ask) = @_;
	my $end = time() + 60;
	my $came = 0;

	usleep(20_000) while time() < $end && ($came = $ask->()->{status}) != $status;
	return $came == $status;
}

# ---- many large ones -----------------------------------------------------------------------------

# each has all of a large body but the end of it: what they hold together is bounded, and goes with
# them
my ($before) = pids_of($node, 'ingress');

set(ingress_timeout => '20s');
ok( wait_until(
		$node,
		"SELECT count(*) = 1 FROM pg_stat_activity WHERE backend_type = 'dataflows ingress'
			AND pid <> $before"
	),
	'a new process follows a new setting');
ok(status_comes(200, sub { $http->get("$base/ready") }), 'with time enough');
my @large = map { IO::Socket::INET->new(PeerAddr => '127.0.0.1', PeerPort => $port) } 1 .. 120;

syswrite($_, "POST /any HTTP/1.1\r\nHost: x\r\nContent-Length: 65000\r\n\r\n" . ('x' x 60000))
	for @large;
my $crowded = 0;

for (1 .. 20)
{
	$crowded = post('/any', '{"pad": "' . ('y' x 50000) . '"}')->{status};
	last if $crowded == 503;
}
is($crowded, 503, 'where others hold as much as may be held, the sender is to come again');
close($_) for @large;
ok(status_comes(202, sub { post('/any', '{"pad": "' . ('y' x 50000) . '"}') }),
	'when they have gone there is room');
set(max_body => '96kB');
ok(status_comes(202, sub { post('/any', '{"pad": "' . ('y' x 80000) . '"}') }),
	'a larger dataflows.max_body is followed');
set(max_body => '64kB', ingress_timeout => '1s');
ok(status_comes(413, sub { post('/any', '{"pad": "' . ('y' x 80000) . '"}') }),
	'and a smaller one');

# ---- not now -------------------------------------------------------------------------------------

as_app_(
	"SELECT dataflows.define_workflow('gone', 'app.takes');
		SELECT dataflows.create_webhook('/gone', starts => 'gone');
		SELECT dataflows.drop_workflow('gone')"
);
$answer = post('/gone', '{}');
is($answer->{status}, 503, 'a workflow that was dropped: not now');
like($answer->{headers}{'retry-after'} // '', qr/^\d+$/, 'with Retry-After');

# ---- somebody holds a key in an open transaction -------------------------------------------------

as_app_("BEGIN; SELECT dataflows.start('takes', '{}', 'held'); PREPARE TRANSACTION 'held'");
for my $i (1 .. 5)
{
	is(post('/signup', '{"id": "held"}')->{status}, 503, 'its delivery is to be sent again');
}
is(post('/signup', '{"id": "free"}')->{status},
	202, 'and another is taken while that transaction is open');
as_app_("COMMIT PREPARED 'held'");
is(post('/signup', '{"id": "held"}')->{status}, 202, 'once it has ended the delivery is taken');
is(number_of($node, "SELECT count(*) FROM dataflows.runs WHERE key = 'held'"),
	1, 'and there is one run');

# ---- answered means committed: kill -9 under load ------------------------------------------------

my $book = PostgreSQL::Test::Utils::tempdir() . '/answers';
my $loader = fork();

if ($loader == 0)
{
	my $sent = 0;

	open(my $file, '>', $book) or POSIX::_exit(1);
	$file->autoflush(1);
	while (1)
	{
		my $answer = post('/any', '{"load": ' . ++$sent . '}');

		print $file "$sent $answer->{json}{run}\n" if $answer->{status} == 202;
		usleep(10_000) if $answer->{status} != 202;
	}
}
for my $round (1 .. 6)
{
	my $size = -s $book;
	my $end = time() + 15;

	usleep(10_000) while time() < $end && (-s $book // 0) < ($size // 0) + 2000;
	cmp_ok(time(), '<', $end, "webhooks are answered in round $round");
	if ($round % 3 == 0) { restart_hard($node, $round == 3 ? 'kill' : 'immediate'); }
	else
	{
		my ($pid) = pids_of($node, 'ingress');
		kill_process($round % 2 ? 'KILL' : 'TERM', $pid) if $pid;
	}
}
my $end = time() + 20;
my $size = -s $book;

usleep(10_000) while time() < $end && -s $book < $size + 500;
kill('KILL', $loader);
waitpid($loader, 0);
my %answered = PostgreSQL::Test::Utils::slurp_file($book) =~ /^(\d+) (\S+)$/mg;
my %recorded = map { split(/\|/) } split(
	/\n/,
	$node->safe_psql(
		'postgres', "SELECT input->>'load', run FROM dataflows.runs WHERE input ? 'load'"));

cmp_ok(scalar(keys %answered), '>', 100, 'many were answered: ' . scalar(keys %answered));
is(scalar(grep { ($recorded{$_} // '') ne $answered{$_} } keys %answered),
	0, 'each that was answered is recorded');
cmp_ok(scalar(keys %recorded), '<=', scalar(keys %answered) + 10, 'and few that were not');

# ---- the address is taken, the setting goes ------------------------------------------------------

my $other =
	IO::Socket::INET->new(LocalAddr => '127.0.0.1', LocalPort => 0, Listen => 1, ReuseAddr => 0);

set(listen => '127.0.0.1:' . $other->sockport);
my $in_use =
	"SELECT count(*) = 1 FROM dataflows.status() WHERE process = 'ingress' AND state <> 'running'
		AND reason ~ 'in use'";

ok(wait_until($node, $in_use), 'an address that is in use: status() says so')
	or diag($node->safe_psql('postgres', 'SELECT * FROM dataflows.status()'));
# by now it waits for 8 s before it tries again
$end = time() + 40;
my $begun_here = -s $node->logfile;
usleep(20_000)
	while time() < $end
	&& (() =
	PostgreSQL::Test::Utils::slurp_file($node->logfile, $begun_here) =~ /ingress cannot listen/g) <
	4;
ok(wait_until($node, $in_use), 'as long as it is');
set(listen => "127.0.0.1:$port");
$end = time() + 5;
usleep(20_000) while time() < $end && $http->get("$base/ready")->{status} != 200;
is($http->get("$base/ready")->{status}, 200, 'and with another address it comes back at once');

# its role is not what it was
sub heard_by
{
	my ($n) = @_;
	return wait_until($node,
		"SELECT count(*) = $n FROM pg_stat_activity WHERE backend_type = 'dataflows ingress'");
}

$node->safe_psql('postgres', 'ALTER ROLE hearer SUPERUSER');
ok(heard_by(0), 'a role that is made a superuser hears no more');
$node->safe_psql('postgres', 'ALTER ROLE hearer NOSUPERUSER');
ok(heard_by(1), 'until it is none again');
$node->safe_psql('postgres', 'DROP ROLE hearer');
ok(heard_by(0), 'nor does one that is dropped');
$node->safe_psql('postgres', 'CREATE ROLE hearer LOGIN');
ok(heard_by(1), 'until there is one of its name');

# two databases, one address: one of them has it, all of it
$node->safe_psql('postgres', 'CREATE DATABASE other');
$node->safe_psql('other', 'CREATE EXTENSION dataflows');
ok(wait_until($node, $in_use, 40, 'other'), 'a second database finds the address taken');
is(scalar(grep { post('/any', "{\"other\": $_}")->{status} == 202 } 1 .. 30),
	30, 'every request goes to the first');
$node->safe_psql('postgres', 'ALTER SYSTEM SET dataflows.ingress_database = other');
$node->safe_psql('postgres', 'SELECT pg_reload_conf()');
ok( wait_until(
		$node,
		"SELECT count(*) = 1 FROM pg_stat_activity WHERE backend_type = 'dataflows ingress'
			AND datname = 'other'"
	),
	'the second is named');
ok(status_comes(200, sub { $http->get("$base/ready") }), 'and has it');
is(scalar(grep { post('/any', "{\"other\": $_}")->{status} == 404 } 1 .. 30),
	30, 'every request goes there');
$node->safe_psql('postgres', 'ALTER SYSTEM RESET dataflows.ingress_database');
$node->safe_psql('postgres', 'DROP DATABASE other');
$node->safe_psql('postgres', 'SELECT pg_reload_conf()');
ok(status_comes(202, sub { post('/any', '{}') }), 'when it is dropped the first has it again');
set(listen => '');
ok( wait_until(
		$node, "SELECT count(*) = 0 FROM pg_stat_activity WHERE backend_type = 'dataflows ingress'"
	),
	'off again');
is($http->get("$base/ready")->{status}, 599, 'nobody listens');
unlike(
	PostgreSQL::Test::Utils::slurp_file($node->logfile),
	qr/cHJlc2VudA|older-secret|newer-secret/,
	'no secret is in the log');

$node->stop;
done_testing();
