# What is sent, read by nginx, which stands before many systems: bodies of each encoding pass as
# they are, one that is larger than it lets through is refused with its own words and is no doubt,
# and its Unix socket is a way, too.

use strict;
use warnings;

use IPC::Run ();
use JSON::PP;
use Test::More;
use Time::HiRes qw(time usleep);
use PostgreSQL::Test::Cluster;
use PostgreSQL::Test::Utils;
use Dataflows;
use Dataflows::Checker;

my ($nginx) = grep { -x } map { "$_/nginx" } split(/:/, $ENV{PATH}), '/usr/sbin';

plan skip_all => 'nginx is not there' unless $nginx;

my $checker = Dataflows::Checker->new;
my $directory = PostgreSQL::Test::Utils::tempdir_short();
my $port = PostgreSQL::Test::Cluster::get_free_port();
my $upstream = $checker->url;

chmod 0755, $directory;
append_to_file("$directory/nginx.conf", <<"CONF");
daemon off;
pid $directory/pid;
error_log $directory/error.log;
events {}
http {
  access_log off;
  client_body_temp_path $directory/body;
  proxy_temp_path $directory/proxy;
  fastcgi_temp_path $directory/fastcgi;
  uwsgi_temp_path $directory/uwsgi;
  scgi_temp_path $directory/scgi;
  server {
    listen 127.0.0.1:$port;
    listen unix:$directory/socket;
    client_max_body_size 64k;
    location / { proxy_pass $upstream; proxy_http_version 1.1; proxy_set_header Connection ""; }
  }
}
CONF
my $server = IPC::Run::start([ $nginx, '-p', $directory, '-c', "$directory/nginx.conf" ],
	'<', \undef, '>&', "$directory/out");
my $end = time() + 60;

usleep(20_000) until -S "$directory/socket" || time() > $end;

my $node = new_node('behind_nginx');

create_app($node);
for my $way (
	[ 'by_port', "http://127.0.0.1:$port", "allow_private 'true'" ],
	[ 'by_socket', 'http://system.internal', "unix_socket '$directory/socket'" ])
{
	$node->safe_psql('postgres', <<"SQL");
CREATE SERVER $way->[0] FOREIGN DATA WRAPPER dataflows OPTIONS (url '$way->[1]', $way->[2],
  retry_initial '20ms', retry_max '50ms', sign 'hmac-sha256:X-Signature:{body}');
GRANT USAGE ON FOREIGN SERVER $way->[0] TO app;
CREATE USER MAPPING FOR app SERVER $way->[0] OPTIONS (signing_secret 'the secret of signatures');
SQL
}
as_app($node, 'postgres', <<'SQL');
CREATE FUNCTION app.one(event jsonb) RETURNS jsonb LANGUAGE plpgsql AS $$
DECLARE
  detail text;
BEGIN
  RETURN dataflows.post('make', event->>'system', '/make', event->'body',
    options => event->'options');
EXCEPTION WHEN SQLSTATE 'DF001' THEN
  GET STACKED DIAGNOSTICS detail = PG_EXCEPTION_DETAIL;
  RETURN detail::jsonb;
END $$;
SELECT dataflows.define_workflow('one', 'app.one');
SQL

# the result of a run
sub sent
{
	my ($system, $encoding, $body) = @_;
	my $input = encode_json(
		{ system => $system, body => $body, options => { encoding => $encoding } });
	my $run = as_app($node, 'postgres', "SELECT dataflows.start('one', '$input')");

	comes_to_rest($node, $run);
	return decode_json(
		as_app($node, 'postgres',
			"SELECT coalesce(result, stuck, error) FROM dataflows.runs WHERE run = '$run'"));
}

my %bodies = (
	json => { a => [1] },
	form => { a => [ 'x', 'y & z' ] },
	text => "<a>\n</a>",
	multipart => { title => 'x', file => { filename => 'a.bin', base64 => 'AAECAw==' x 1 } });

for my $system (qw(by_port by_socket))
{
	for my $encoding (sort keys %bodies)
	{
		my $got = sent($system, $encoding, $bodies{$encoding});

		is($got->{headers}{'x-signature'}, $got->{macs}{'sha256 of body'},
			"$system: $encoding arrives as it was signed") or diag(encode_json($got));
	}
}

my $before = $checker->requests;
my $got = sent('by_port', 'multipart', { file => { base64 => 'AAAA' x 30_000 } });
is($got->{status}, 413, 'a file that is too large for nginx is refused') or diag(encode_json($got));
is(scalar($checker->requests), $before, 'before the system sees it');
is($node->safe_psql('postgres', "SELECT count(*) FROM dataflows.steps WHERE state = 'in_doubt'"),
	0, 'nothing is in doubt');

$server->kill_kill;
done_testing();
