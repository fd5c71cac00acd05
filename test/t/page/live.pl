# What is new on the page, told by the server: to whom, when, how often it looks for it, and
# when that ends.

use strict;
use warnings;

use HTTP::Tiny;
use IO::Select;
use IO::Socket::INET;
use Test::More;
use Time::HiRes qw(time usleep);
use PostgreSQL::Test::Cluster;
use PostgreSQL::Test::Utils;
use Dataflows;

my $port = PostgreSQL::Test::Cluster::get_free_port();
my $node = new_node('live', conf => <<"CONF");
dataflows.listen = '127.0.0.1:$port'
dataflows.ingress_role = 'hearer'
dataflows.dashboard = on
dataflows.sweep_interval = '1h'
autovacuum = off
CONF

$node->safe_psql('postgres', <<'SQL');
CREATE ROLE hearer LOGIN;
CREATE ROLE app LOGIN;
CREATE ROLE other LOGIN;
CREATE EXTENSION dataflows;
CREATE SCHEMA app AUTHORIZATION app;
SELECT dataflows.allow_author('app');
SQL
as_app($node, 'postgres', <<'SQL');
CREATE FUNCTION app.waits(event jsonb) RETURNS jsonb LANGUAGE plpgsql AS $$ BEGIN
  RETURN dataflows.wait_for('go'); END $$;
SELECT dataflows.define_workflow('waits', 'app.waits');
SELECT dataflows.start('waits', '{"a": "b\nc"}', 'first');
SQL

sub token
{
	my ($role, $expires) = @_;

	return $node->safe_psql(
		'postgres',
		"SELECT dataflows.dashboard_token('" . ($expires // '1 hour') . "')",
		extra_params => [ '-U', $role ]);
}

# a stream: what it has said is in {said}
sub look
{
	my ($token, @questions) = @_;
	my $query = join('&', map { 'q=' . s/([^\w.-])/sprintf('%%%02X', ord($1))/ger } @questions);
	my $end = time() + 60;
	my $socket;

	until ($socket = IO::Socket::INET->new(PeerAddr => "127.0.0.1:$port"))
	{
		die 'nobody listens' if time() > $end;
		usleep(50_000);
	}
	print $socket "GET /page/live?$query HTTP/1.1\r\nHost: x\r\n"
		. ($token ? "Cookie: dataflows=$token\r\n" : '') . "\r\n";
	return { socket => $socket, said => '', over => 0 };
}

sub listen_to
{
	my ($stream) = @_;
	my $select = IO::Select->new($stream->{socket});

	while (!$stream->{over} && $select->can_read(0.05))
	{
		$stream->{over} = 1 unless sysread($stream->{socket}, my $bytes, 65536);
		$stream->{said} .= $bytes // '';
	}
	return;
}

sub says
{
	my ($stream, $pattern, $what) = @_;
	my $end = time() + 60;

	listen_to($stream) while time() < $end && $stream->{said} !~ $pattern && !$stream->{over};
	like($stream->{said}, $pattern, $what);
	return;
}

sub ends
{
	my ($stream, $what) = @_;
	my $end = time() + 60;

	listen_to($stream)
		while time() < $end && $stream->{said} !~ /\r\n0\r\n\r\n/ && !$stream->{over};
	like($stream->{said}, qr/event: end\ndata: \{\}\n\n\r\n0\r\n\r\n/, $what);
	return;
}

# ---- who is told what --------------------------------------------------------------------

my $app = token('app');
my $one = look($app, 'counts', 'runs?state=waiting&workflow=waits', 'run?run=' . ('0' x 8)
	. '-0000-0000-0000-000000000000');

says($one, qr{HTTP/1.1 200 OK.*Content-Type: text/event-stream}s, 'a stream of events');
says($one, qr/event: hello\ndata: \{"now": \d{13}\}\n\n/, 'begins with the time');
says($one, qr/event: 0\ndata: \[\{"workflow":"waits","state":"waiting","runs":1\}\]\n\n/,
	'it answers what was asked');
says($one, qr/event: 1\n.*"first"/s, 'each question');
says($one, qr/event: 2\ndata: null\n\n/, 'also by saying that there is nothing');
my $more = look($app, 'counts', 'attention');

says($more, qr/event: 0\n.*event: 1\n|event: 1\n.*event: 0\n/s, 'another one');
my $stranger = look(token('other'), 'counts', 'runs');

says($stranger, qr/event: 0\ndata: \[\]\n\n/, 'another role is told of its own alone');
says($stranger, qr/event: 1\n/, 'in each answer');
$_->{said} = '' for $one, $more, $stranger;
as_app($node, 'postgres', q(SELECT dataflows.start('waits', '{}', 'Größe 2')));
says($_, qr/event: 0\ndata: .*"runs":2/, 'what is new is told') for $one, $more;
says($one, qr/event: 1\n.*"Größe 2"/s, 'in UTF-8');
listen_to($stranger);
unlike($stranger->{said}, qr/event/, 'to whom it concerns');

my $http = HTTP::Tiny->new(timeout => 20);

sub refused
{
	my ($token, $query, $status, $what) = @_;

	is( $http->get("http://127.0.0.1:$port/page/live?$query",
			{ headers => { cookie => "dataflows=$token" } })->{status},
		$status,
		$what);
	return;
}

refused('f' x 64, 'q=me', 401, 'without a token there is nothing');
refused($app, 'q=retry', 400, 'a stream changes nothing');
refused($app, 'q=nothing', 400, 'nor is there another question');
refused($app, '', 400, 'or none');
refused($app, 'q=find%3Ftext%3D%2500', 400, 'or one with a NUL');
refused($app, 'q=find%3Ftext%3D%25ff', 400, 'or one that is no UTF-8');
is($http->post("http://127.0.0.1:$port/page/live", { headers => { 'x-dataflows' => 1 } })->{status},
	405, 'nothing is posted to it');
my $odd = look($app, 'runs?before=nonsense');

says($odd, qr/event: problem\ndata: .*invalid input syntax/, 'what cannot be asked is told');

# ---- one look for all --------------------------------------------------------------------

close $_->{socket} for $one, $more, $stranger, $odd;
my @all = map { look($app, 'counts', 'runs') } 1 .. 14;

says($_, qr/event: 1\n/, 'many look') for @all;
my $commits = "SELECT xact_commit FROM pg_stat_database WHERE datname = 'postgres'";
my ($before, $began) = ($node->safe_psql('postgres', $commits), time());

usleep(100_000) while time() < $began + 6;
my $looks = $node->safe_psql('postgres', $commits) - $before;
my $took = time() - $began;

cmp_ok($looks, '<', 4 * $took + 10, "the server looks for all of them at once ($looks times)");
my @rest = map { look($app, 'me') } 1 .. 4;

says($rest[3], qr{HTTP/1.1 503}, 'one token has no more than so many streams');
close $_->{socket} for @rest, @all[ 0 .. 9 ];

# ---- how it ends -------------------------------------------------------------------------

my $short = look(token('app', '15 seconds'), 'counts');

says($short, qr/event: 0\n/, 'a token that soon expires');
ends($short, 'ends its stream');
my @left = @all[ 10 .. 13 ];

as_app($node, 'postgres', 'SELECT dataflows.revoke_dashboard_tokens()');
ends($_, 'a token that is revoked ends all of them') for @left;
$app = token('app');
my $last = look($app, 'counts');

says($last, qr/event: 0\n/, 'a new one is good');
my $pid_sql = "SELECT pid FROM pg_stat_activity WHERE backend_type = 'dataflows ingress'";
my $pid = $node->safe_psql('postgres', $pid_sql);

$node->safe_psql('postgres', 'ALTER SYSTEM SET dataflows.ingress_timeout = 19');
$node->safe_psql('postgres', 'SELECT pg_reload_conf()');
ok( wait_until(
		$node,
		"SELECT count(*) = 1 FROM pg_stat_activity WHERE backend_type = 'dataflows ingress'
			AND pid <> $pid",
		60),
	'another process listens after a change of its settings');
says($last, qr/\r\n0\r\n\r\n/, 'the streams of the first one end in good order');
my $again = look($app, 'counts');

says($again, qr/event: 0\n/, 'and begin again there');
$node->stop('fast');
says($again, qr/\r\n0\r\n\r\n/, 'as they do when the server stops');
unlike(slurp_file($node->logfile), qr/PANIC|signal 6|\b$app\b/, 'nothing fails, no token is told');
done_testing();
