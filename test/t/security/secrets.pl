# Systems that send back what they were sent: a secret is hidden in all that is kept of
# an answer beside the body that a step asked for, however it is written.

use strict;
use warnings;

use IO::Socket::INET;
use JSON::PP;
use MIME::Base64;
use POSIX ();
use Test::More;
use PostgreSQL::Test::Cluster;
use PostgreSQL::Test::Utils;
use Dataflows;

my %secrets = (
	bearer => q(b3ar/er+tok&en"<x>%41=\\end),
	header => 'key:with/sl&sh+plus~and=more',
	password => "pa ss/w\"or<d>'&+%2F",
	cookie => 'session-cookie/value+1');
my $pair = "ada:$secrets{password}";
my @cases;

sub percent
{
	my ($text, $all, $lower) = @_;
	$text =~ s/([^A-Za-z0-9])/sprintf('%%%02X', ord $1)/ge if !$all;
	$text =~ s/(.)/sprintf('%%%02X', ord $1)/gse if $all;
	return $lower ? lc_escapes($text) : $text;
}
sub lc_escapes { my ($text) = @_; $text =~ s/(%[0-9A-F]{2})/lc $1/ge; return $text; }

sub form
{
	my ($text) = @_;
	$text =~ s/([^A-Za-z0-9 ])/sprintf('%%%02X', ord $1)/ge;
	$text =~ tr/ /+/;
	return $text;
}

sub entities
{
	my ($text) = @_;
	my %names = ('&' => 'amp', '<' => 'lt', '>' => 'gt', '"' => 'quot', "'" => 'apos');
	$text =~ s/([&<>"'])/&$names{$1};/g;
	return $text;
}

sub numbered
{
	my ($text, $format) = @_;
	$text =~ s/([^A-Za-z0-9])/sprintf($format, ord $1)/ge;
	return $text;
}
sub escaped { my ($text, $format) = @_; $text =~ s/(.)/sprintf($format, ord $1)/gse; return $text; }

sub json
{
	my ($text, $slashes) = @_;
	$text =~ s/([\\"])/\\$1/g;
	$text =~ s{/}{\\/}g if $slashes;
	return $text;
}
sub url_safe { my ($text) = @_; $text =~ tr{+/}{-_}; return $text; }

# the digits of base64 that come of the secret alone
sub core
{
	my ($secret, $ahead) = @_;
	my $text = encode_base64(('x' x $ahead) . $secret, '');
	my $first = int((8 * $ahead + 5) / 6);

	return substr($text, $first, int(8 * ($ahead + length $secret) / 6) - $first);
}

# what is answered, and what must not be left of it
for my $name (sort keys %secrets)
{
	my $s = $secrets{$name};

	push @cases, [ "$name: as it is", $s, $s ],
		[ "$name: percent", percent($s), percent($s) ],
		[ "$name: percent, small digits", percent($s, 0, 1), percent($s, 0, 1) ],
		[ "$name: percent, all of it", percent($s, 1), percent($s, 1) ],
		[ "$name: percent, all of it, small", percent($s, 1, 1), percent($s, 1, 1) ],
		[ "$name: a form", form($s), form($s) ],
		[ "$name: JSON", json($s), json($s) ], [ "$name: JSON with \\/", json($s, 1), json($s, 1) ],
		[ "$name: \\u", escaped($s, '\\u%04x'), escaped($s, '\\u%04x') ],
		[ "$name: \\U", escaped($s, '\\u%04X'), escaped($s, '\\u%04X') ],
		[ "$name: \\x", escaped($s, '\\x%02x'), escaped($s, '\\x%02x') ],
		[ "$name: entities", entities($s), entities($s) ],
		[ "$name: entities by number", numbered($s, '&#%d;'), numbered($s, '&#%d;') ],
		[ "$name: entities by hexadecimal number", numbered($s, '&#x%x;'), numbered($s, '&#x%x;') ],
		[ "$name: all of it in entities", escaped($s, '&#%d;'), escaped($s, '&#%d;') ],
		[ "$name: entities in JSON", json(entities($s)) =~ s/&/\\u0026/gr, 'nothing' ],
		[ "$name: percent twice", percent(percent($s)), percent(percent($s)) ],
		[ "$name: hex", unpack('H*', $s), unpack('H*', $s) ],
		[ "$name: HEX", uc unpack('H*', $s), uc unpack('H*', $s) ],
		[ "$name: cut", substr($s, 0, 9), substr($s, 0, 9), 'at the end' ];
	for my $ahead (0 .. 5)
	{
		my $text = encode_base64(('x' x $ahead) . $s . ('y' x ($ahead % 3)), '');
		my $core = core($s, $ahead % 3);

		push @cases, [ "$name: base64, behind $ahead", $text, $core ],
			[ "$name: base64 of URLs, behind $ahead", url_safe($text), url_safe($core) ],
			[ "$name: base64 in a URL, behind $ahead", percent($text), percent($core) ];
	}
}
push @cases, [ 'basic', encode_base64($pair, ''), core($pair, 0) ],
	[ 'basic in a URL', percent(encode_base64($pair, '')), percent(core($pair, 0)) ],
	[ 'the pair', $pair, $secrets{password} ];

# ---- the system: POST /<n> is answered with case n, in body and headers

my $listener = IO::Socket::INET->new(Listen => 64, LocalAddr => '127.0.0.1', ReuseAddr => 1)
	or die "listen: $!";
my $port = $listener->sockport;
my $server = fork() // die "fork: $!";

if ($server == 0)
{
	while (my $client = $listener->accept)
	{
		my $head = '';

		while ($head !~ /\r\n\r\n/) { sysread($client, $head, 65536, length $head) or last; }
		my ($n, $status) = $head =~ m{^\S+ /(\d+)/(\d+)} or next;
		my ($length) = $head =~ /^content-length: (\d+)/mi;
		my $body = $head =~ s/.*?\r\n\r\n//sr;
		while (length($body) < ($length // 0))
		{
			sysread($client, $body, 65536, length $body) or last;
		}
		my $text =
			$cases[$n][3] ? "you sent: $cases[$n][1]" : "you sent: $cases[$n][1], did you not?";

		my $echo = $cases[$n][3] ? 'no' : $text;

		syswrite($client,
				  "HTTP/1.1 $status Whatever\r\nX-Echo: $echo\r\nContent-Type: "
				. "text/plain\r\nContent-Length: "
				. length($text)
				. "\r\nConnection: close\r\n\r\n$text");
		close $client;
	}
	POSIX::_exit(0);
}
close $listener;

END
{
	local $?;
	if ($server) { kill 'TERM', $server; waitpid $server, 0; }
}

my $node = new_node('secrets');
my $quoted = sub { my ($text) = @_; return "'" . $text =~ s/'/''/gr . "'"; };

create_app($node);
$node->safe_psql('postgres', <<"SQL");
CREATE SERVER bearing FOREIGN DATA WRAPPER dataflows OPTIONS (url 'http://127.0.0.1:$port',
  allow_private 'true', max_concurrency '4', breaker_failures '0', timeout '60s');
CREATE SERVER basic FOREIGN DATA WRAPPER dataflows OPTIONS (url 'http://127.0.0.1:$port',
  allow_private 'true', max_concurrency '4', breaker_failures '0', timeout '60s');
GRANT USAGE ON FOREIGN SERVER bearing, basic TO app;
SET log_statement = 'none';
CREATE USER MAPPING FOR app SERVER bearing OPTIONS (bearer_token @{[ $quoted->($secrets{bearer}) ]},
  "header.X-Api-Key" @{[ $quoted->($secrets{header}) ]}, "header.Cookie"
  @{[ $quoted->("a=1; s=$secrets{cookie}") ]});
CREATE USER MAPPING FOR app SERVER basic OPTIONS (username 'ada',
  password @{[ $quoted->($secrets{password}) ]});
SQL
as_app($node, 'postgres', <<'SQL');
CREATE FUNCTION app.ask(e jsonb) RETURNS jsonb LANGUAGE plpgsql AS $$
BEGIN
  RETURN dataflows.post('ask', e->>'system', '/' || (e->>'n') || '/' || (e->>'status'), '{}',
    doubt => 'fail', retry => '{"max_attempts": 1}');
EXCEPTION WHEN SQLSTATE 'DF001' THEN
  RETURN jsonb_build_object('caught', SQLERRM, 'answer', dataflows.response('ask'));
END $$;
SELECT dataflows.define_workflow('ask', 'app.ask');
SQL
my $rows = '';

for my $n (0 .. $#cases)
{
	my $system = $cases[$n][0] =~ /^(?:password|basic|the pair)/ ? 'basic' : 'bearing';

	$rows .= ($n ? ', ' : '') . "($n, '$system', 422), ($n, '$system', 500)";
}
as_app(
	$node, 'postgres',
	"SELECT count(dataflows.start('ask', jsonb_build_object('n', n, 'system', s, 'status', t),
		n || '-' || t)) FROM (VALUES $rows) v(n, s, t)"
);
ok(wait_for_runs($node, [ 'completed', 'rolled_back', 'stuck' ], 240), 'all are answered');

# all that is kept, as the text that it was
for my $n (0 .. $#cases)
{
	my ($what, $sent, $hidden) = @{ $cases[$n] };

	for my $status (422, 500)
	{
		my $kept = $node->safe_psql('postgres', <<"SQL");
SELECT concat_ws(' | ', s.error->>'message', s.error->>'body', a.x, r.result->>'caught',
  r.result->'answer'->>'body', r.result->'answer'->'headers'->>'x-echo',
  r.error->>'message', r.error->'detail'->>'body')
FROM dataflows.runs r JOIN dataflows.steps s USING (run)
  LEFT JOIN LATERAL (SELECT string_agg(b.error, ' ') AS x FROM dataflows.attempts b
    WHERE b.run = r.run) a ON true
WHERE r.key = '$n-$status'
SQL
		my $good = $kept =~ /you sent: /;

		$good &&= $kept =~ /\[redacted\]/ && index($kept, $hidden) < 0 && index($kept, $sent) < 0;
		ok($good, "$what ($status)") or diag("sent $sent\nmust not hold $hidden\nkept $kept");
	}
}

# what was asked for is kept as it comes, and so is what only looks like a secret
my $run = as_app($node, 'postgres',
	q(SELECT dataflows.start('ask', '{"n": 0, "system": "bearing", "status": 200}')));
ok(wait_until($node, "SELECT state = 'completed' FROM dataflows.runs WHERE run = '$run'", 60),
	'a body that was asked for');
like(
	$node->safe_psql('postgres', "SELECT result FROM dataflows.runs WHERE run = '$run'"),
	qr/you sent: b3ar/,
	'is the workflow\'s own');

my $log = slurp_file($node->logfile);
is(scalar(grep { index($log, $_) >= 0 } values %secrets), 0, 'none is in the log');

$node->stop;
done_testing();
