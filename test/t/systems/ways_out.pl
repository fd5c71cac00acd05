# Ways out: proxies by http, https and SOCKS, Unix sockets, IPv6.  Who may say so, who sees which
# credentials, what remains of the address filter, and that the environment decides nothing.

use strict;
use warnings;

use JSON::PP;
use Test::More;
use PostgreSQL::Test::Cluster;
use PostgreSQL::Test::Utils;
use Dataflows;
use Dataflows::Checker;
use Dataflows::Mail;
use Dataflows::Proxies;
use Dataflows::Tls;

my $directory = PostgreSQL::Test::Utils::tempdir_short();
chmod 0755, $directory;
my $checker = Dataflows::Checker->new(socket => "$directory/socket");
my $proxies = Dataflows::Proxies->new;
my $tls = Dataflows::Tls->new($checker->url);
my $mail = Dataflows::Mail->new;
my $systems = start_systems();
my $port = $checker->port;
my $secure = 'https://localhost:' . $tls->ports->{good};
my $ca = 'ca_file ' . "'" . $tls->directory . "/ca.pem'";
my $json = JSON::PP->new->canonical->allow_nonref;

# ---- the environment

$ENV{$_} = 'http://127.0.0.1:' . $proxies->port('http')
	for qw(http_proxy HTTP_PROXY https_proxy HTTPS_PROXY all_proxy ALL_PROXY);
my $node = new_node('ways_out');
delete $ENV{$_} for qw(http_proxy HTTP_PROXY https_proxy HTTPS_PROXY all_proxy ALL_PROXY);

create_app($node);
as_app($node, 'postgres', <<'SQL');
CREATE FUNCTION app.one(event jsonb) RETURNS jsonb LANGUAGE plpgsql AS $$
BEGIN
  IF event ? 'message' THEN
    RETURN dataflows.send_mail('send', event->>'system', event->'message');
  END IF;
  RETURN dataflows.get('look', event->>'system', coalesce(event->>'path', '/a'),
    query => event->'query');
END $$;
SELECT dataflows.define_workflow('one', 'app.one');
SQL

sub system_of
{
	my ($name, $url, $options, $mapping) = @_;

	$node->safe_psql('postgres', <<"SQL");
CREATE SERVER $name FOREIGN DATA WRAPPER dataflows OPTIONS (url '$url', retry_initial '20ms',
  retry_max '100ms', breaker_failures '0'@{[ $options ? ", $options" : '' ]});
GRANT USAGE ON FOREIGN SERVER $name TO app;
SQL
	as_app($node, 'postgres', "CREATE USER MAPPING FOR app SERVER $name OPTIONS ($mapping)")
		if $mapping;
	return;
}

sub begin
{
	my ($system, %more) = @_;
	my $input = $json->encode({ system => $system, %more });

	return as_app($node, 'postgres', "SELECT dataflows.start('one', '$input')");
}

# what the system understood; else the run's row
sub got
{
	my ($system, %more) = @_;
	my $run = begin($system, %more);

	wait_until(
		$node,
		"SELECT state IN ('completed', 'rolled_back', 'stuck') FROM dataflows.runs
			WHERE run = '$run'",
		60);
	my $row = decode_json(
		as_app($node, 'postgres', "SELECT to_jsonb(r) FROM dataflows.runs r WHERE run = '$run'"));
	return $row->{state} eq 'completed' ? $row->{result} : $row;
}

# a request that cannot leave is tried again, and says why
sub tried_again
{
	my ($system, $why, $name) = @_;
	my $run = begin($system);

	ok( wait_until(
			$node,
			"SELECT count(*) > 0 FROM dataflows.attempts WHERE run = '$run'",
			60),
		"$name: is tried again");
	like(
		$node->safe_psql('postgres', "SELECT error FROM dataflows.attempts WHERE run = '$run'"),
		$why, 'and says why');
	as_app($node, 'postgres', "SELECT dataflows.cancel('$run', 'enough')");
	return;
}

# "method target" of the requests of a proxy
sub asked
{
	my ($proxy) = @_;
	return map { "$_->{method} $_->{target}" } grep { $_->{proxy} eq $proxy } $proxies->requests;
}

# the option that names a proxy
sub by
{
	my ($proxy, $scheme) = @_;
	return "proxy '$scheme://127.0.0.1:" . $proxies->port($proxy) . "'";
}

system_of('direct', "http://127.0.0.1:$port", "allow_private 'true'");
is(got('direct')->{via}, 'tcp', 'a system without a proxy is reached');
is(scalar($proxies->requests), 0, 'not by the proxy that the environment names');

# within a run nothing is idle for long
as_app($node, 'postgres', <<'SQL');
CREATE FUNCTION app.twice(event jsonb) RETURNS jsonb LANGUAGE plpgsql AS $$
BEGIN
  RETURN jsonb_build_array(dataflows.get('one', event->>'system', '/a')->'peer',
    dataflows.get('two', event->>'system', '/b')->'peer');
END $$;
SELECT dataflows.define_workflow('twice', 'app.twice');
SQL

# whether both requests of a run came by one connection
sub together
{
	my ($system, $name) = @_;
	my $run =
		as_app($node, 'postgres', qq(SELECT dataflows.start('twice', '{"system": "$system"}')));

	becomes($node, $run, 'completed', $name);
	my $peers = decode_json(
		as_app($node, 'postgres', "SELECT result FROM dataflows.runs WHERE run = '$run'"));
	is($peers->[0], $peers->[1], 'by one connection');
	return;
}

together('direct', 'two requests');

# ---- by http

system_of('by_http', "http://system.test:$port", by(http => 'http'), "bearer_token 'hush-hush'");
my $got = got('by_http');
is($got->{headers}{host}, "system.test:$port", 'a name that only the proxy knows');
is($got->{headers}{authorization}, 'Bearer hush-hush', 'gets its credentials');
is(join(' ', asked('http')), "GET http://system.test:$port/a", 'is asked for with the whole URL');

system_of('by_tunnel', $secure, by(http => 'http') . ", $ca, allow_private 'true'",
	"bearer_token 'hush-hush'");
$got = got('by_tunnel');
is($got->{headers}{authorization}, 'Bearer hush-hush', 'https goes through a tunnel');
is($got->{headers}{'x-proxy'}, undef, '(the answer is the system\'s)');
my ($tunnel) = grep { $_->{method} eq 'CONNECT' } $proxies->requests;
is($tunnel->{target}, $secure =~ s/^https:\/\///r, 'that leads there');
unlike($json->encode($tunnel), qr/hush/, 'the proxy sees no credentials of the system');
together('by_tunnel', 'two requests through a tunnel');

system_of('by_auth', $secure, by(auth => 'http') . ", $ca, allow_private 'true'",
	"proxy_username 'way', proxy_password 'proxy-hush-hush'");
$got = got('by_auth');
is($got->{via}, 'tcp', 'a proxy that demands credentials');
unlike($json->encode($got->{headers}), qr/proxy/i, 'which the system does not see');
system_of('wrong_auth', $secure, by(auth => 'http') . ", $ca, allow_private 'true'",
	"proxy_username 'way', proxy_password 'wrong-hush'");
tried_again('wrong_auth', qr/proxy did not connect to the system: status 407 \(it demands other/,
	'wrong credentials');
system_of('plain_auth', "http://system.test:$port", by(auth => 'http'),
	"proxy_username 'way', proxy_password 'proxy-hush-hush'");
$got = got('plain_auth');
is($got->{via}, 'tcp', 'and without a tunnel');
unlike($json->encode($got->{headers}), qr/proxy/i, 'the system does not see them either');

# ---- by https

system_of('by_https', $secure,
	by(https => 'https') . ", $ca, allow_private 'true', proxy_ca_file '"
		. $proxies->certificate . "'");
is(got('by_https')->{via}, 'tcp', 'a proxy by https');
is(join(' ', asked('https')), 'CONNECT ' . ($secure =~ s/^https:\/\///r), 'is asked for a tunnel');
system_of('strange', $secure, by(https => 'https') . ", $ca, allow_private 'true'");
tried_again('strange', qr/no secure connection/, 'a proxy whose certificate nobody knows');

# ---- by SOCKS

system_of('by_socks', "http://system.test:$port", by(socks => 'socks5h'));
is(got('by_socks')->{via}, 'tcp', 'a SOCKS proxy');
my ($socks) = grep { $_->{proxy} eq 'socks' } $proxies->requests;
is("$socks->{by} $socks->{target}", "name system.test:$port", 'which resolves the name');
system_of('by_socks_auth', "http://system.test:$port", by(socks_auth => 'socks5h'),
	"proxy_username 'way', proxy_password 'proxy-hush-hush'");
is(got('by_socks_auth')->{via}, 'tcp', 'with credentials');
system_of('wrong_socks', "http://system.test:$port", by(socks_auth => 'socks5h'),
	"proxy_username 'way', proxy_password 'wrong-hush'");
tried_again('wrong_socks', qr/proxy/, 'wrong ones');
system_of('no_proxy', "http://system.test:$port", "proxy 'http://127.0.0.1:1'");
tried_again('no_proxy', qr/could not connect to the proxy/, 'a proxy that is not there');
system_of('not_there', 'https://127.0.0.1:1', by(http => 'http') . ", allow_private 'true'");
tried_again('not_there', qr/proxy did not connect to the system: status 502/,
	'a system that is not there');

# ---- what the address filter sees

for my $case (
	[ 'an address' => "http://127.0.0.1:$port" ],
	[ 'another spelling' => "http://0x7f000001:$port" ],
	[ 'as a number' => "http://2130706433:$port" ],
	[ 'this machine' => "http://localhost:$port" ],
	[ 'its kin' => "http://x.LOCALHOST:$port" ],
	[ 'IPv6' => "http://[::1]:$port" ],
	[ 'IPv4 in IPv6' => "http://[::ffff:10.0.0.1]:$port" ],
	[ 'metadata' => 'http://169.254.169.254' ])
{
	my $name = 'f' . lc($case->[1]) =~ s/\W/_/gr;

	system_of($name, $case->[1], by(http => 'http'));
	my $row = got($name);
	isnt($row->{state}, 'completed', "by a proxy, too: $case->[0] is not public");
	like($json->encode($row), qr/not public/, 'and says so');
}
system_of('follows', "http://system.test:$port", by(http => 'http') . ", follow_redirects '3'");
my $row = got('follows', path => '/redirect/302', query => { to => 'http://169.254.169.254/x' });
like($json->encode($row), qr/redirects to an address that is not public/, 'nor is a redirect');
is(scalar(grep { /^GET http:\/\/169/ } asked('http')), 0, 'the proxy was not asked for that');

# ---- what must not go around a proxy

$ENV{$_} = '*' for qw(no_proxy NO_PROXY);
$node->restart;
delete $ENV{$_} for qw(no_proxy NO_PROXY);
my $before = asked('http');
is(got('by_http')->{via}, 'tcp', 'a proxy is used');
is(scalar(asked('http')), $before + 1, 'whatever no_proxy of the environment says');

# ---- tokens and mails go the same way

$systems->config('billing', oauth => JSON::PP::true());
$systems->tokens(client_id => 'us', client_secret => 'hush-hush');
my $billing = $systems->url('billing');
system_of('with_token', $billing, by(http => 'http') . ", allow_private 'true'",
	"oauth_token_url '$billing/token', client_id 'us', client_secret 'hush-hush'");
got('with_token', path => '/customers');
is(scalar(grep { $_ eq "POST $billing/token" } asked('http')),
	1, 'a token is asked for by the proxy');

my $message = { from => 'a@example.org', to => 'b@example.org', text => 'hello' };
system_of('mail_tunnel', 'smtp://127.0.0.1:' . $mail->port('auth'),
	by(auth => 'http') . ", allow_private 'true', ca_file '" . $mail->certificate . "'",
	"username 'shop', password 'hunter2', proxy_username 'way', "
		. "proxy_password 'proxy-hush-hush'");
like($json->encode(got('mail_tunnel', message => $message)), qr/queued as 7/,
	'a mail goes through a tunnel');
system_of('mail_socks', 'smtp://127.0.0.1:' . $mail->port('smtp'),
	by(socks => 'socks5h') . ", allow_private 'true', ca_file '" . $mail->certificate . "'");
like($json->encode(got('mail_socks', message => $message)), qr/queued as 7/, 'and by SOCKS');
system_of('mail_private', 'smtp://127.0.0.1:' . $mail->port('smtp'), by(socks => 'socks5h'));
like($json->encode(got('mail_private', message => $message)), qr/not public/,
	'but not to an address that is not public');

# ---- Unix sockets, IPv6

system_of('by_socket', 'http://system.internal/base', "unix_socket '$directory/socket', "
	. "follow_redirects '3'", "bearer_token 'hush-hush'");
$got = got('by_socket');
is("$got->{via} $got->{path} $got->{headers}{host}", 'unix /base/a system.internal',
	'a Unix socket');
$got = got('by_socket', path => '/redirect/302', query => { to => 'http://system.internal/there' });
is($got->{via} . $got->{path}, 'unix/there', 'a redirect within the origin stays there');
$row = got('by_socket', path => '/redirect/302', query => { to => "http://127.0.0.1:$port/x" });
like($json->encode($row), qr/redirects to an address that is not public/,
	'another one is not what the socket stands for');
system_of('no_socket', 'http://system.internal', "unix_socket '$directory/none'");
tried_again('no_socket', qr/could not connect|No such file/, 'a socket that is not there');

SKIP:
{
	skip 'no IPv6', 2 unless $checker->port('tcp6');
	system_of('six', 'http://[::1]:' . $checker->port('tcp6'), "allow_private 'true'");
	is(got('six')->{via}, 'tcp6', 'IPv6');
	system_of('six_private', 'http://[::1]:' . $checker->port('tcp6'));
	like($json->encode(got('six_private')), qr/not public/, 'which is judged as well');
}

# ---- who may, and what cannot be

$node->safe_psql('postgres', 'GRANT USAGE ON FOREIGN DATA WRAPPER dataflows TO app;
	CREATE SERVER mine FOREIGN DATA WRAPPER dataflows OPTIONS (url \'https://x\',
	proxy \'http://x:1\'); ALTER SERVER mine OWNER TO app');

sub refused
{
	my ($what, $like, $statement, @user) = @_;
	my ($rc, $out, $err) = $node->psql('postgres', $statement, extra_params => \@user);

	like($err, $like, $what);
	return;
}

sub bad_server
{
	my ($what, $like, $options, @user) = @_;

	refused($what, $like,
		"CREATE SERVER bad FOREIGN DATA WRAPPER dataflows OPTIONS (url 'https://x', $options)",
		@user);
	return;
}

bad_server(
	"$_->[0] is for superusers",
	qr/permission denied to set option "$_->[0]"/,
	"@$_", '-U', 'app')
	for [ proxy => "'http://x:1'" ], [ unix_socket => "'/x'" ],
	[ proxy_ca_file => "'/x', proxy 'https://x:1'" ];
refused('and what a superuser has set is not changed by others',
	qr/permission denied to set option "proxy"/,
	"ALTER SERVER mine OPTIONS (SET url 'https://elsewhere')", '-U', 'app');
bad_server(@$_)
	for ['no scheme', qr/It cannot be used: its scheme is none of/, "proxy 'proxy:3128'"],
	['another scheme', qr/its scheme is none of/, "proxy 'socks4://x:1'"],
	['no port', qr/it has no port/, "proxy 'http://x'"],
	['no port of IPv6', qr/it has no port/, "proxy 'http://[::1]'"],
	['a path', qr/it contains a path/, "proxy 'http://x:1/y'"],
	['credentials', qr/belong into a user mapping/, "proxy 'http://u:hush-hush\@x:1'"],
	['no path of a socket', qr/not an absolute path/, "unix_socket 'x'"],
	['a long one', qr/longer than a socket/, "unix_socket '/" . 'x' x 108 . "'"],
	['both', qr/"proxy" does not go with option "unix_socket"/,
		"proxy 'http://x:1', unix_socket '/x'"],
	['authorities of no proxy', qr/is for a proxy by https/, "proxy_ca_file '/x'"],
	['credentials on a server', qr/option of a USER MAPPING/, "proxy_password 'hush-hush'"];
refused('a proxy on a mapping', qr/is an option of a SERVER/,
	"CREATE USER MAPPING FOR app SERVER mine OPTIONS (proxy 'http://x:1')");
refused('half of the credentials', qr/"proxy_username" requires option "proxy_password"/,
	"CREATE USER MAPPING FOR app SERVER mine OPTIONS (proxy_username 'x')");
system_of('useless', 'https://x', '', "proxy_username 'x', proxy_password 'y'");
like(got('useless')->{stuck}{reason}, qr/"proxy_username" requires option "proxy" of the SERVER/,
	'credentials for no proxy');

# ---- nothing is recorded

my $rows = $node->safe_psql('postgres',
	'SELECT request, headers, options, error, answer FROM dataflows.step')
	. $node->safe_psql('postgres', 'SELECT error FROM dataflows.attempt');
unlike($rows, qr/hush|hunter2/, 'no secret is in a row');
unlike(PostgreSQL::Test::Utils::slurp_file($node->logfile) =~ s/.*(?:CREATE|ALTER) .*//gr,
	qr/hush|hunter2/, 'or in the log');

done_testing();
