# How access tokens are obtained, besides with client credentials: further fields of the token
# request, refresh tokens that the server rotates, and assertions that it verifies; for mail,
# too.  The judge is the authorization server: a refresh token that is used twice ends them all.

use strict;
use warnings;

use JSON::PP;
use Test::More;
use PostgreSQL::Test::Cluster;
use PostgreSQL::Test::Utils;
use Dataflows;
use Dataflows::Mail;

my $systems = start_systems();
my $mail = Dataflows::Mail->new;
my $node = new_node('grants', conf => <<'CONF');
dataflows.workers_per_owner = 3
log_statement = none
log_min_error_statement = panic
CONF
my $dir = PostgreSQL::Test::Utils::tempdir_short();

create_systems($node, 'postgres', $systems, workflow => 0);

my ($url, $auth) = ($systems->url('billing'), $systems->url('crm'));
my %mail_port = map { $_ => $mail->port($_) } qw(oauth bearer);

sub sql { return $node->safe_psql('postgres', $_[0]); }

sub key
{
	my ($name, @how) = @_;

	system_or_bail('openssl', 'genpkey', '-out', "$dir/$name", @how);
	system_or_bail('openssl', 'pkey', '-in', "$dir/$name", '-pubout', '-out', "$dir/$name.pub");
	return (slurp_file("$dir/$name"), slurp_file("$dir/$name.pub"));
}

my ($rsa, $rsa_public) = key('rsa', -algorithm => 'RSA', -pkeyopt => 'rsa_keygen_bits:2048');
my ($ec, $ec_public) =
	key('ec', -algorithm => 'EC', -pkeyopt => 'ec_paramgen_curve:P-256');
my ($weak) = key('weak', -algorithm => 'RSA', -pkeyopt => 'rsa_keygen_bits:1024');
my ($other) = key('other', -algorithm => 'EC', -pkeyopt => 'ec_paramgen_curve:P-384');

system_or_bail('openssl', 'pkey', '-in', "$dir/rsa", '-aes128', '-passout', 'pass:x',
	'-out', "$dir/locked");

my $locked = slurp_file("$dir/locked");

sub server
{
	my ($name, %options) = @_;
	my %all = (
		url => $url,
		allow_private => 'true',
		private_origins => $auth,
		timeout => '2s',
		retry_initial => '50ms',
		retry_max => '300ms',
		breaker_cooldown => '500ms',
		%options);
	my $list = join(', ', map { "\"$_\" '$all{$_}'" } sort keys %all);

	sql(<<"SQL");
CREATE SERVER $name FOREIGN DATA WRAPPER dataflows OPTIONS ($list);
GRANT USAGE ON FOREIGN SERVER $name TO app;
SQL
	return;
}

sub mapping
{
	my ($name, %options) = @_;

	$options{oauth_token_url} //= "$auth/token";
	my $list = join(', ', map { "\"$_\" '$options{$_}'" } sort keys %options);

	sql("DROP USER MAPPING IF EXISTS FOR app SERVER $name;
		CREATE USER MAPPING FOR app SERVER $name OPTIONS ($list)");
	return;
}

sub refused
{
	my ($name, $error, %options) = @_;
	my $list = join(', ', map { "\"$_\" '$options{$_}'" } sort keys %options);
	my (undef, undef, $err) =
		$node->psql('postgres', "CREATE USER MAPPING FOR PUBLIC SERVER billing OPTIONS ($list)");

	like($err, $error, "refused: $name");
	like($err, qr/HINT:/, "$name: with a hint");
	return;
}

as_app($node, 'postgres', <<'SQL');
CREATE FUNCTION app.calling(event jsonb) RETURNS jsonb LANGUAGE plpgsql AS $$
BEGIN
  IF event ? 'mail' THEN
    RETURN dataflows.send_mail('mail', (event->>'mail')::name, jsonb_build_object('from',
      'shop@example.com', 'to', 'ada@example.com', 'subject', 'hello', 'text', 'hello'));
  END IF;
  RETURN dataflows.post('call', (event->>'system')::name, '/customers',
    jsonb_build_object('email', event->>'email'), undo => 'none');
END $$;
SELECT dataflows.define_workflow('calling', 'app.calling');
SQL
$systems->config('billing', oauth => JSON::PP::true());

my $number = 0;

sub begin
{
	my (%event) = @_;

	$event{email} = 'g' . ++$number . '@example.com';
	my $input = JSON::PP->new->encode(\%event);

	return as_app($node, 'postgres', "SELECT dataflows.start('calling', \$j\$$input\$j\$)");
}

sub completes
{
	my ($name, %event) = @_;
	return becomes($node, begin(%event), 'completed', $name);
}

sub waits_for_credentials
{
	my ($name, $run, $why) = @_;

	ok( wait_until(
			$node, "SELECT error->>'message' LIKE '%$why%' FROM dataflows.steps WHERE run = '$run'"
		),
		$name);
	return;
}

# ---- further fields

server(
	'fields',
	'token.audience' => 'https://api.example.com/',
	'token.resource' => 'of the server');
mapping(
	'fields',
	client_id => 'the client',
	client_secret => 'hush-1',
	'token.resource' => 'a b&c=d',
	'token.account_secret' => 'hush-2');
$systems->tokens(
	client_id => 'the client',
	client_secret => 'hush-1',
	fields => {
		audience => 'https://api.example.com/',
		resource => 'a b&c=d',
		account_secret => 'hush-2'
	});
completes('a server that wants further fields', system => 'fields');
sql(q{ALTER USER MAPPING FOR app SERVER fields OPTIONS (DROP "token.account_secret")});
my $run = begin(system => 'fields');
waits_for_credentials('without one of them there is no token', $run, 'credentials refused');
sql(q{ALTER USER MAPPING FOR app SERVER fields OPTIONS (ADD "token.account_secret" 'hush-2')});
becomes($node, $run, 'completed', 'it goes on when it is there again');
$systems->tokens(fields => {});

# ---- refresh tokens

server('refreshing');
mapping(
	'refreshing',
	grant => 'refresh_token',
	client_id => 'the client',
	client_secret => 'hush-1',
	refresh_token => 'refresh-hush-first');
$systems->tokens(
	grant => 'refresh_token',
	refresh_token => 'refresh-hush-first',
	uses => 3);
my $asked = $systems->tokens->{asked};
as_app($node, 'postgres', <<'SQL');
SELECT count(dataflows.start('calling', jsonb_build_object('system', 'refreshing', 'email',
  'r' || i || '@example.com'))) FROM generate_series(1, 60) i
SQL
ok( wait_for_runs($node, ['completed'], 90),
	'60 runs in three workers, with access tokens that are good for three requests');

my $state = $systems->tokens;

is($state->{reused}, 0, 'no refresh token was used twice');
cmp_ok($state->{spent}, '>=', 19, 'each was replaced');
is(sql('SELECT token FROM dataflows.refresh_token'),
	$state->{refresh_token}, 'the table has the one that is valid');
$systems->tokens(uses => undef, revoke => JSON::PP::true());
completes('one more', system => 'refreshing');

my $spent = $systems->tokens->{spent};

$node->restart;
completes('after a restart', system => 'refreshing');
is($systems->tokens->{spent}, $spent, 'the access token is in the table, too');
$systems->tokens(revoke => JSON::PP::true());
completes('after a restart and a revocation', system => 'refreshing');
is($systems->tokens->{spent}, $spent + 1, 'the newest refresh token is used');
is($systems->tokens->{reused}, 0, 'and none twice');

# a stop while the authorization server answers: what it answers is kept
$systems->tokens(revoke => JSON::PP::true());
$systems->fault('crm', fault => 'latency', ms => 400, times => 1, match => { path => '^/token' });
$asked = $systems->tokens->{asked};
$run = begin(system => 'refreshing');
ok(wait_for('a refresh', sub { $systems->tokens->{asked} > $asked }),
	'a refresh is under way');
$node->restart;
becomes($node, $run, 'completed', 'a stop while it is answered loses nothing');
is($systems->tokens->{reused}, 0, 'no refresh token was used twice');

# an answer that is lost: the old one is tried again, and if it is spent a person is told
$systems->tokens(revoke => JSON::PP::true());
$systems->fault('crm', fault => 'lost', times => 1, match => { path => '^/token' });
$run = begin(system => 'refreshing');
waits_for_credentials('an answer is lost', $run, 'credentials refused (status 400, invalid_grant)');
is(sql("SELECT attempts FROM dataflows.steps WHERE run = '$run'"), '0', 'no attempt is used');
$systems->tokens(refresh_token => 'refresh-hush-second');
sql(q{ALTER USER MAPPING FOR app SERVER refreshing
	OPTIONS (SET refresh_token 'refresh-hush-second')});
becomes($node, $run, 'completed', 'another token in the user mapping is taken');
is(sql('SELECT count(*) FROM dataflows.refresh_token'), '2', 'it has a row of its own');

# who has no secret shows its id in the body
mapping(
	'refreshing',
	grant => 'refresh_token',
	client_id => 'the app',
	refresh_token => 'refresh-hush-third',
	scope => 'read');
$systems->tokens(
	client_secret => undef,
	scope => 'read',
	refresh_token => 'refresh-hush-third');
completes('a client without a secret', system => 'refreshing');
is($systems->tokens->{forms}[-1]{client_id}, 'the app', 'its id is in the body');

# ---- assertions

server('asserting');
for (['RS256', $rsa, $rsa_public], ['ES256', $ec, $ec_public])
{
	my ($alg, $key, $public) = @$_;

	mapping(
		'asserting',
		grant => 'jwt_bearer',
		client_id => 'svc@example.com',
		scope => 'read',
		jwt_key => $key,
		jwt_key_id => 'key-7',
		jwt_lifetime => '2min',
		'claim.sub' => 'ada@example.com');
	$systems->tokens(
		grant => 'urn:ietf:params:oauth:grant-type:jwt-bearer',
		client_secret => undef,
		scope => 'read',
		audience => "$auth/token",
		public_key => $public,
		revoke => JSON::PP::true());
	completes("$alg: an assertion that openssl verifies", system => 'asserting');
	my $assertion = $systems->tokens->{assertions}[-1];
	is_deeply($assertion->{header}, { alg => $alg, typ => 'JWT', kid => 'key-7' },
		"$alg: its header");
	my %claims = %{ $assertion->{claims} };
	is($claims{exp} - $claims{iat}, 120, "$alg: its life");
	like($claims{jti}, qr/^[0-9a-f]{32}$/, "$alg: its id");
	is_deeply(
		{ map { $_ => $claims{$_} } qw(iss sub aud scope) },
		{   iss => 'svc@example.com',
			sub => 'ada@example.com',
			aud => "$auth/token",
			scope => 'read'
		},
		"$alg: its claims");
}
sql(q{ALTER USER MAPPING FOR app SERVER asserting OPTIONS (ADD "claim.aud" 'https://elsewhere')});
$run = begin(system => 'asserting');
waits_for_credentials('another audience than the server wants', $run, 'invalid_grant');
$systems->tokens(audience => 'https://elsewhere');
becomes($node, $run, 'completed', 'is what the option says');

# ---- mail


for my $service (qw(oauth bearer))
{
	server(
		"mail_$service",
		url => "smtp://localhost:$mail_port{$service}",
		ca_file => $mail->certificate);
	mapping(
		"mail_$service",
		username => 'shop',
		client_id => 'the client',
		client_secret => 'hush-1');
}
$systems->tokens(
	grant => 'client_credentials',
	client_secret => 'hush-1',
	scope => undef);
$mail->accept_tokens('another');
$run = begin(mail => 'mail_oauth');
waits_for_credentials('a mail server refuses the token', $run, 'credentials refused');
is(sql("SELECT attempts FROM dataflows.steps WHERE run = '$run'"), '0', 'no attempt is used');
is(scalar $mail->accepted, 0, 'and nothing is sent');
$mail->accept_tokens('token/');
becomes($node, $run, 'completed', 'it goes on when the token is accepted');
completes('a server that offers OAUTHBEARER only', mail => 'mail_bearer');
is_deeply([ map { $_->{user} } $mail->accepted ], [qw(shop shop)], 'both know who sends');
is_deeply(
	[ sort keys %{ { map { $_->{mechanism} => 1 } grep { $_->{event} eq 'auth' } $mail->book } } ],
	[qw(OAUTHBEARER XOAUTH2)],
	'by XOAUTH2 and OAUTHBEARER alone, never with an empty password');

# ---- what cannot be used is refused when it is given

my %good = (oauth_token_url => 'https://auth.example.com/token', client_id => 'a');

refused('an unknown grant', qr/invalid value for option "grant"/, %good, grant => 'password');
refused(
	'a field that has an option',
	qr/option "token.scope" is not allowed/,
	%good,
	client_secret => 'b',
	'token.scope' => 'read');
refused(
	'a field without a name',
	qr/option "token.name" has an invalid name/,
	%good,
	client_secret => 'b',
	'token.' => 'read');
refused('a refresh token without its grant', qr/"refresh_token" requires option "grant"/,
	%good, client_secret => 'b', refresh_token => 'c');
refused('the grant without a refresh token', qr/"grant" requires option "refresh_token"/,
	%good, grant => 'refresh_token');
refused('an assertion without a key', qr/"grant" requires option "jwt_key"/,
	%good, grant => 'jwt_bearer');
refused('claims without their grant', qr/"claim.name" requires option "grant"/,
	%good, client_secret => 'b', 'claim.sub' => 'ada');
refused('a claim that has an option', qr/option "claim.exp" is not allowed/,
	%good, grant => 'jwt_bearer', jwt_key => $rsa, 'claim.exp' => '1');
refused('a life that is too long', qr/invalid value for option "jwt_lifetime"/,
	%good, grant => 'jwt_bearer', jwt_key => $rsa, jwt_lifetime => '2h');

for (['a short RSA key', $weak], ['a key of another curve', $other], ['an encrypted key', $locked],
	['no key', 'hello'])
{
	refused(
		$_->[0],
		qr/invalid value for option "jwt_key"/,
		%good,
		grant => 'jwt_bearer',
		jwt_key => $_->[1]);
}
my (undef, undef, $err) = $node->psql('postgres',
	q{ALTER SERVER billing OPTIONS (ADD "token.client_password" 'x')});
like($err, qr/not allowed on a SERVER/, 'a field that is a secret is not for a SERVER');

# ---- secrets

my $dump = $node->basedir . '/dump.sql';

$node->command_ok(
	[ 'pg_dump', '-f', $dump, '-h', $node->host, '-p', $node->port, '--no-owner', 'postgres' ],
	'a dump');
unlike(
	slurp_file($dump) =~ s/CREATE USER MAPPING.*?;\n//gsr,
	qr/refresh-|token\//,
	'has no token outside of user mappings');
unlike(slurp_file($node->logfile),
	qr/hush|refresh-\d|token\/\d|BEGIN PRIVATE KEY/, 'nor has the log');
is( sql("SELECT count(*) FROM dataflows.attempts WHERE error ~ 'hush|token/|refresh-'"),
	'0', 'nor an attempt');
is( sql(q{SELECT has_table_privilege('app', 'dataflows.refresh_token', 'SELECT')}),
	'f', 'the table is granted to nobody');

$node->stop;
done_testing();
