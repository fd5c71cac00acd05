# Headers: what the options of a system and the call of a step let in can be sent, and
# is sent as it is; what is the transport's, or carries the step's key, is let in by none.

use strict;
use warnings;

use JSON::PP;
use Test::More;
use PostgreSQL::Test::Cluster;
use PostgreSQL::Test::Utils;
use Dataflows;

my $systems = start_systems();
my $node = new_node('headers');
my @transport = (
	'Accept-Encoding', 'Connection', 'Content-Length', 'Expect',
	'Host', 'HTTP2-Settings', 'Keep-Alive', 'Proxy-Authenticate',
	'Proxy-Connection', 'TE', 'Trailer', 'Transfer-Encoding',
	'Upgrade');

create_systems($node, 'postgres', $systems, workflow => 0, options => { timeout => '60s' });
as_app($node, 'postgres', <<'SQL');
CREATE FUNCTION app.make(event jsonb) RETURNS jsonb LANGUAGE plpgsql AS $$
BEGIN
  RETURN dataflows.post('make', event->>'system', '/customers', jsonb_build_object('email',
    event->>'email'), headers => event->'headers',
    doubt => 'accept', retry => '{"initial": "50ms", "max": "100ms"}');
END $$;
SELECT dataflows.define_workflow('make', 'app.make');
SQL
my $number = 0;

sub begin
{
	my ($headers, $system) = @_;
	my $input = JSON::PP->new->utf8->canonical->encode(
		{
			system => $system // 'billing',
			email => 'h' . ++$number . '@example.com',
			headers => $headers
		});

	return as_app($node, 'postgres', "SELECT dataflows.start('make', \$j\$$input\$j\$)");
}

# state and reason of a run that rests
sub outcome
{
	my ($run) = @_;

	wait_until(
		$node,
		"SELECT state IN ('completed', 'rolled_back', 'stuck') FROM dataflows.runs
			WHERE run = '$run'",
		120) or return ('?', '?');
	return split(
		/\|/,
		$node->safe_psql(
			'postgres',
			"SELECT state, coalesce(stuck->>'reason', '') || coalesce(error->>'message', '')
				FROM dataflows.runs WHERE run = '$run'"
		),
		2);
}

sub refused
{
	my ($statement) = @_;
	my ($rc, $out, $err) = $node->psql('postgres', $statement);

	return $rc == 0 ? 'let in' : $err;
}

sub heard { return scalar @{ $systems->requests('billing') }; }

# ---- of the transport

for my $name (@transport, 'Idempotency-Key')
{
	for my $written ($name, lc $name)
	{
		like(
			refused(qq(ALTER SERVER billing OPTIONS (ADD "header.$written" 'x'))),
			qr/option "header\.$written" is not allowed/,
			"SERVER: $written");
		like(
			refused(qq(CREATE USER MAPPING FOR app SERVER billing OPTIONS ("header.$written" 'x'))),
			qr/option "header\.$written" is not allowed/,
			"USER MAPPING: $written");
	}
	my ($state, $why) = outcome(begin({ lc $name => 'x' }));
	isnt($state, 'completed', "a step: $name");
	like($why, qr/step .* must not set header .*, which the engine writes itself/,
		'says who writes it')
	  or diag($why);
}
is(heard(), 0, 'nothing was sent');

# ---- illegal names and values

for my $name (
	'', 'X Y', 'X:Y', 'X(Y)', 'X/Y', "X\tY", "X\nY", "\x{e4}",
	'X@Y', ':authority', 'X"Y', '{X}', "X\x7f")
{
	my ($state, $why) = outcome(begin({ $name => 'x' }));
	like($why, qr/name of a header of step|has no name/, 'a step: an illegal name')
		or diag("$name: $why");
	isnt($state, 'completed', 'is not sent');
}
for my $value ("a\r\nHost: evil", "a\nb", "a\x01b", "\x7f", "\x1b[0m")
{
	my ($state, $why) = outcome(begin({ 'X-Given' => $value }));
	like($why, qr/a header of step .* contains a character/, 'a step: an illegal value')
		or diag($why);
}
for my $value (7, JSON::PP::true(), undef, ['a'], { a => 'b' })
{
	my ($state, $why) = outcome(begin({ 'X-Given' => $value }));
	isnt($state, 'completed', 'a step: a value that is no text');
	like($why, qr/is not a string|not a string/, 'says so') or diag($why);
}
for my $bad ('header.', 'header.X Y', 'header.X:Y', 'header.X(Y)', "header.\xc3\xa4", 'header.X@Y')
{
	like(
		refused(qq(ALTER SERVER billing OPTIONS (ADD "$bad" 'x'))),
		qr/invalid header name|invalid option/,
		'SERVER: an illegal name');
}
for my $bad (q(E'a\r\nHost: evil'), q(E'a\nb'), q(E'\x01'), q(E'\x7f'), q(''), q(' a'), q(E'\ta'))
{
	like(
		refused(qq(ALTER SERVER billing OPTIONS (ADD "header.X-Given" $bad))),
		qr/invalid value for option/,
		"SERVER: an illegal value: $bad");
}
is(heard(), 0, 'nothing was sent');

# ---- what is let in arrives

sub arrived
{
	my ($headers, $system) = @_;

	$systems->fault('billing', match => { method => 'POST' }, fault => 'echo', times => 1);
	my $run = begin($headers, $system);
	my ($state) = outcome($run);
	is($state, 'rolled_back', 'the system says what it was sent');
	my $seen = decode_json(
		$node->safe_psql(
			'postgres', "SELECT (error->>'body') FROM dataflows.steps WHERE run = '$run' AND n = 1")
	);
	$seen = $seen->{headers} // $seen;
	return { map { lc($_) => $seen->{$_} } keys %$seen };
}

$node->safe_psql(
	'postgres',
	q(ALTER SERVER billing OPTIONS (ADD "header.X-Server" 'of the server', ADD "header.X-Both"
		'of the server', ADD "header.User-Agent" 'mine/1.0'))
);
my %given = (
	'X-Given' => 'a b',
	"!#\$%&'*+-.^_`|~x" => 'odd',
	'x-tab' => "a\tb",
	'X-Empty' => '',
	'X-Both' => 'of the step',
	'Accept' => 'text/plain',
	'Range' => 'bytes=0-9');
my $seen = arrived(\%given);
is($seen->{ lc $_ }, $given{$_}, "arrives: $_") for sort keys %given;
is($seen->{'x-server'}, 'of the server', 'and that of the system');
is($seen->{'user-agent'}, 'mine/1.0', 'in the place of ours');

# ---- nothing takes the place of the key

for my $bad ('Content-Type', 'Accept', 'Host', 'Authorization', 'Expect', 'User-Agent')
{
	like(
		refused("ALTER SERVER crm OPTIONS (SET idempotency_header '$bad')"),
		qr/invalid value for option "idempotency_header"/,
		"not a header for keys: $bad");
}
$node->safe_psql('postgres',
	"ALTER SERVER billing OPTIONS (SET idempotency_header 'X-Request-Key')");
my ($state, $why) = outcome(begin({ 'x-request-key' => 'mine' }));
like(
	$why,
	qr/step "make" must not set header "x-request-key", which the engine writes itself/,
	'a step does not set the header that carries the key') or diag($why);
like(
	refused(q(ALTER SERVER billing OPTIONS (ADD "header.X-Request-Key" 'x'))),
	qr/option of its own/,
	'nor does the server');
$seen = arrived({ 'X-Later' => 'of the step' });
isnt($seen->{'x-request-key'}, undef, 'the key is sent by its name');
my $key = $seen->{'x-request-key'};

# a step that is called before the header becomes that of the key
$systems->down('billing');
my $run = begin({ 'X-Later' => 'of the step' });
ok(wait_until($node, "SELECT count(*) >= 1 FROM dataflows.attempts WHERE run = '$run'", 120),
	'a step that waits for its system');
$node->safe_psql('postgres', "ALTER SERVER billing OPTIONS (SET idempotency_header 'X-Later')");
$systems->fault('billing', match => { method => 'POST' }, fault => 'echo', times => 1);
$systems->up('billing');
outcome($run);
my $body = decode_json(
	$node->safe_psql(
		'postgres', "SELECT (error->>'body') FROM dataflows.steps WHERE run = '$run' AND n = 1"));
$body = $body->{headers} // $body;
my ($later) = map { $body->{$_} } grep { lc($_) eq 'x-later' } keys %$body;
like($later // 'nothing', qr/^\Q$run\E|^[0-9a-f-]{36}$/, 'sends its key, not what it had said');
isnt($later, 'of the step', 'which it had said');

$node->stop;
$systems->stop;
done_testing();
