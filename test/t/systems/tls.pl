# HTTPS as real systems speak it: certificates are verified, of the system and of
# the authorization server; what is lost within TLS is lost like anywhere else.

use strict;
use warnings;

use Test::More;
use PostgreSQL::Test::Cluster;
use PostgreSQL::Test::Utils;
use Dataflows;
use Dataflows::Tls;

my $systems = start_systems();
my $node = new_node('tls');
my $tls = Dataflows::Tls->new($systems->url('billing'));
my $auth_tls = Dataflows::Tls->new($systems->url('crm'));
my ($directory, $auth_directory) = ($tls->directory, $auth_tls->directory);
my ($port, $auth_port) = ($tls->ports, $auth_tls->ports);

create_systems($node, 'postgres', $systems, workflow => 0);

sub server
{
	my ($name, $url, $mapping, %options) = @_;
	my %all = (
		url => $url,
		allow_private => 'true',
		timeout => '5s',
		retry_initial => '50ms',
		retry_max => '200ms',
		retry_max_attempts => 2,
		settle => '100ms',
		breaker_failures => 1000,
		breaker_cooldown => '200ms',
		ca_file => "$directory/ca.pem",
		idempotency_header => 'Idempotency-Key',
		%options);
	my $list = join(', ', map { "$_ '$all{$_}'" } grep { $all{$_} ne '' } sort keys %all);

	$node->safe_psql(
		'postgres',
		"CREATE SERVER $name FOREIGN DATA WRAPPER dataflows OPTIONS ($list);
			GRANT USAGE ON FOREIGN SERVER $name TO app;"
			. ($mapping ? "CREATE USER MAPPING FOR app SERVER $name OPTIONS ($mapping);" : ''));
	return;
}

as_app($node, 'postgres', <<'SQL');
CREATE FUNCTION app.make(event jsonb) RETURNS jsonb LANGUAGE plpgsql AS $$
BEGIN
  RETURN dataflows.post('make', event->>'system', '/customers', jsonb_build_object('email',
    event->>'email'), undo => 'DELETE /customers/{id}');
END $$;
SELECT dataflows.define_workflow('make', 'app.make');
SQL

# what becomes of a run, its error, and how often the books have the customer
sub outcome
{
	my ($system) = @_;
	my $run = as_app($node, 'postgres',
		qq(SELECT dataflows.start('make', '{"system": "$system", "email": "$system\@example.com"}'))
	);

	as_app($node, 'postgres', "SELECT dataflows.await('$run', '20 s')");
	my ($state, $error) = split(
		/\|/,
		$node->safe_psql(
			'postgres',
			"SELECT state, coalesce(error->>'message', stuck->>'reason') FROM dataflows.runs
				WHERE run = '$run'"
		),
		2);
	my @there = grep { $_->{data}{email} eq "$system\@example.com" }
		@{ $systems->books('billing')->{records} };

	return ($state, $error, scalar(@there), $run);
}

# ---- the system's certificate

server('good', "https://localhost:$port->{good}");
server('by_address', "https://127.0.0.1:$port->{good}/");
for my $system ('good', 'by_address')
{
	my ($state, $error, $there) = outcome($system);

	is($state, 'completed', "$system: a certificate that can be verified") or diag($error);
	is($there, 1, 'the customer is there, once');
}
for my $case (
	[ 'unknown', 'good', { ca_file => '' }, qr/certificate/ ],
	[ 'stranger', 'stranger', {}, qr/certificate/ ],
	[ 'name', 'name', {}, qr/name|match/ ],
	[ 'expired', 'expired', {}, qr/expired|certificate/ ],
	[ 'old', 'old', {}, qr/secure connection|protocol|TLS|SSL/i ])
{
	my ($name, $service, $options, $says) = @$case;

	server($name, "https://localhost:$port->{$service}", '', %$options);
	my ($state, $error, $there, $run) = outcome($name);

	is($state, 'stuck', "$name: a person has to look") or diag($error);
	like($error, $says, "and says why: $error");
	is($there, 0, 'nothing has been sent');
	is( $node->safe_psql(
			'postgres', "SELECT attempts || ' ' || state FROM dataflows.steps WHERE run = '$run'"),
		'2 failed',
		'it was tried again first');
}
server('gone', "https://localhost:$port->{good}", '', ca_file => "$directory/nothing.pem");
my ($state, $error, $there) = outcome('gone');

like(
	$error,
	qr/certificate authorities cannot be used/,
	"a file of authorities that is not there: $error");
is($there, 0, 'nothing has been sent');

# ---- ours

server(
	'half',
	"https://localhost:$port->{mutual}",
	"client_cert '$directory/client.pem', client_key '$directory/other.key'");
($state, $error, $there) = outcome('half');
like($error, qr/client certificate cannot be used/, 'a key that is not the certificate\'s');
is($there, 0, 'there is no customer');
server(
	'mutual',
	"https://localhost:$port->{mutual}",
	"client_cert '$directory/client.pem', client_key '$directory/client.key'");
($state, $error, $there) = outcome('mutual');
is("$state $there", 'completed 1', 'a client certificate') or diag($error);
# the connection of the one before is not for who has no certificate
server('nobody', "https://localhost:$port->{mutual}");
($state, $error, $there) = outcome('nobody');
isnt($state, 'completed', "without one: $error");
is($there, 0, 'there is no customer');

# ---- what is lost

server('loses', "https://localhost:$port->{loses}", '', retry_max_attempts => 5);
($state, $error, $there) = outcome('loses');
is("$state $there",
	'completed 1', 'an answer that is lost within TLS: sent again with its key, and there once')
	or diag($error);
server('abrupt', "https://localhost:$port->{abrupt}");
($state, $error, $there) = outcome('abrupt');
is("$state $there", 'completed 1', 'a system that hangs up without TLS\'s own end') or diag($error);

# ---- the authorization server

$systems->config('billing', oauth => JSON::PP::true());
$systems->tokens(client_id => 'us', client_secret => 'hush', scope => 'all');
my $client =
	  "oauth_token_url 'https://localhost:$auth_port->{good}/token', client_id 'us', "
	. "client_secret "
	. "'hush', scope 'all'";

server('tokens', "https://localhost:$port->{good}",
	$client, private_origins => "https://localhost:$auth_port->{good}");
my $run = as_app($node, 'postgres',
	q(SELECT dataflows.start('make', '{"system": "tokens", "email": "tokens@example.com"}')));

ok( wait_until(
		$node,
		"SELECT error->>'message' LIKE 'no token from the authorization server:%certificate%'
			FROM dataflows.steps WHERE run = '$run'"
	),
	'the authorization server\'s certificate is not of that authority: the step waits');
is( $node->safe_psql(
		'postgres',
		"SELECT s.state || ' ' || s.attempts || ' ' || r.state FROM dataflows.steps s
			JOIN dataflows.runs r USING (run) WHERE run = '$run'"
	),
	'pending 0 running',
	'without using an attempt');
system("cat $directory/ca.pem $auth_directory/ca.pem >$directory/both.pem") == 0 or die;
$node->safe_psql('postgres', "ALTER SERVER tokens OPTIONS (SET ca_file '$directory/both.pem')");
is(as_app($node, 'postgres', "SELECT dataflows.await('$run', '20 s')"),
	'completed', 'with both authorities it goes on');
is( scalar(
		grep { $_->{data}{email} eq 'tokens@example.com' }
			@{ $systems->books('billing')->{records} }),
	1,
	'and the customer is there, once');
unlike(slurp_file($node->logfile), qr/hush|PRIVATE KEY/, 'nothing secret is in the log');

$node->stop;
$systems->stop;
done_testing();
