# A superuser who lets a system be at a private address allows one origin: neither a
# token URL, which roles give themselves, nor a redirect gets to another one, and
# what is secret stays where it belongs.

use strict;
use warnings;

use Test::More;
use PostgreSQL::Test::Cluster;
use PostgreSQL::Test::Utils;
use Dataflows;
use Dataflows::Tls;

my $systems = start_systems();
my $node = new_node('token_urls');
my ($billing, $crm) = ($systems->url('billing'), $systems->url('crm'));
my $client = "client_id 'us', client_secret 'hush-hush', scope 'all'";

create_systems($node, 'postgres', $systems, workflow => 0);
$node->safe_psql('postgres', 'GRANT USAGE ON FOREIGN DATA WRAPPER dataflows TO app');
as_app($node, 'postgres', <<'SQL');
CREATE FUNCTION app.look(event jsonb) RETURNS jsonb LANGUAGE plpgsql AS $$
BEGIN
  RETURN dataflows.get('look', event->>'system', '/customers', query => jsonb_build_object('email',
    event->>'email'), retry => '{"max_attempts": 2}');
END $$;
SELECT dataflows.define_workflow('look', 'app.look');
CREATE FUNCTION app.make(event jsonb) RETURNS jsonb LANGUAGE plpgsql AS $$
BEGIN
  RETURN dataflows.post('make', event->>'system', '/customers', jsonb_build_object('email',
    event->>'email'),
    undo => 'DELETE /customers/{id}', retry => '{"max_attempts": 2}');
END $$;
SELECT dataflows.define_workflow('make', 'app.make');
SQL

sub server
{
	my ($name, %options) = @_;
	my %all = (
		url => $billing,
		allow_private => 'true',
		timeout => '60s',
		retry_initial => '50ms',
		retry_max => '200ms',
		settle => '100ms',
		breaker_failures => 1000,
		breaker_cooldown => '200ms',
		%options);
	my $list = join(', ', map { "$_ '$all{$_}'" } sort keys %all);

	$node->safe_psql(
		'postgres',
		"CREATE SERVER $name FOREIGN DATA WRAPPER dataflows OPTIONS ($list);
			GRANT USAGE ON FOREIGN SERVER $name TO app"
	);
	return;
}

sub mapping
{
	my ($name, $options) = @_;
	as_app($node, 'postgres', "CREATE USER MAPPING FOR app SERVER $name OPTIONS ($options)");
	return;
}

sub begin
{
	my ($system, $workflow) = @_;
	return as_app(
		$node, 'postgres',
		qq(SELECT dataflows.start('@{[$workflow // 'look']}',
			'{"system": "$system", "email": "$system\@example.com"}'))
	);
}

# the state of a run that has come to rest, and what is wrong with it
sub outcome
{
	my ($run) = @_;

	ok( wait_until(
			$node,
			"SELECT state IN ('completed', 'rolled_back', 'stuck') FROM dataflows.runs
				WHERE run = '$run'",
			120),
		'the run comes to rest');
	return split(
		/\|/,
		$node->safe_psql(
			'postgres',
			"SELECT state, coalesce(stuck->>'reason', '') || ' ' || coalesce(error->>'message',
				'') || ' ' ||"
				. " coalesce((SELECT error->>'message' FROM dataflows.steps s WHERE s.run = "
				. "r.run AND n = 1), '') FROM dataflows.runs r WHERE run = '$run'"),
		2);
}

# the requests but those for tokens, which are renewed whenever it is time
sub heard
{
	my ($name) = @_;
	return scalar grep { $_->{target} !~ /token/ } @{ $systems->requests($name) };
}

# ---- token URLs

server('erp');
mapping('erp', "oauth_token_url '$crm/token', $client");
my ($state, $why) = outcome(begin('erp'));
is($state, 'stuck', 'a token URL in the clear at an address that nobody has allowed');
like($why, qr/"oauth_token_url" is not https/, "and why: $why");
is(scalar @{ $systems->requests('crm') }, 0, 'nobody was asked');

# by https it is not in the clear, but no more allowed
server('erp_tls');
mapping('erp_tls', "oauth_token_url '" . ($crm =~ s/^http:/https:/r) . "/token', $client");
my $run = begin('erp_tls');
ok( wait_until(
		$node,
		"SELECT error->>'message' LIKE 'no token from the authorization server:%not public%'
			FROM dataflows.steps WHERE run = '$run'",
		120),
	'a token URL by https at such an address: the step waits, and says why');
is(scalar @{ $systems->requests('crm') }, 0, 'nobody was asked');
as_app($node, 'postgres', "SELECT dataflows.cancel('$run', 'enough')");

# what another system may, this one may not
server('named', private_origins => "https://elsewhere.example $crm");
mapping('named', "oauth_token_url '$crm/token', $client");
$systems->config('billing', oauth => JSON::PP::true());
$systems->tokens(client_id => 'us', client_secret => 'hush-hush', scope => 'all');
($state, $why) = outcome(begin('named'));
is($state, 'completed', 'an origin that a superuser has named') or diag($why);

server('own');
mapping('own', "oauth_token_url '$billing/token', $client");
($state, $why) = outcome(begin('own'));
is($state, 'completed', 'the origin of the system itself') or diag($why);
$systems->config('billing', oauth => JSON::PP::false());

my ($rc, $out, $err) = $node->psql(
	'postgres',
	"CREATE SERVER mine FOREIGN DATA WRAPPER dataflows OPTIONS (url 'https://example.com',
		private_origins '$crm')",
	extra_params => [ '-U', 'app' ]);
like($err, qr/permission denied to set option "private_origins"/, 'only a superuser names them');
($rc, $out, $err) = $node->psql(
	'postgres',
	"ALTER USER MAPPING FOR app SERVER own OPTIONS (ADD private_origins '$crm')",
	extra_params => [ '-U', 'app' ]);
like($err, qr/is an option of a SERVER/, 'and not on a mapping');

for my $bad ('', ' ', 'crm.internal', "$crm/path", 'http://a:b@localhost', 'smtp://localhost')
{
	($rc, $out, $err) =
		$node->psql('postgres', "ALTER SERVER own OPTIONS (ADD private_origins '$bad')");
	like($err, qr/invalid value for option "private_origins"/, "not an origin: \"$bad\"");
}

# ---- redirects

my $before = heard('crm');

server('follows', follow_redirects => 3);
mapping('follows', "bearer_token 'bearer-hush-1', \"header.X-Api-Key\" 'header-hush-2'");
$systems->fault(
	'billing',
	match => { path => 'follows' },
	fault => 'redirect',
	location => "$crm/contacts",
	times => 1);
($state, $why) = outcome(begin('follows'));
isnt($state, 'completed', 'a redirect to another private origin is not followed');
like($why, qr/redirects to an address that is not public \(loopback\)/, "and why: $why");
is(heard('crm'), $before, 'nobody was asked') or diag(explain($systems->requests('crm')));

$systems->fault('billing', match => { path => 'metadata' }, fault => 'redirect', times => 1);
server('metadata', follow_redirects => 3);
($state, $why) = outcome(begin('metadata'));
like(
	$why,
	qr/redirects to an address that is not public \(link-local\)/,
	'nor one to the metadata of a cloud');

# the request may have had its effect when the answer led astray
server('led', follow_redirects => 3, idempotency_header => 'Idempotency-Key');
$systems->fault(
	'billing',
	match => { method => 'POST', email => 'led@' },
	fault => 'redirect',
	status => 303,
	location => "$crm/contacts",
	times => 1);
($state, $why) = outcome(begin('led', 'make'));
is($state, 'completed',
	'a POST whose answer led there is in doubt, not refused: it is sent again with its key')
	or diag($why);

$systems->fault(
	'billing',
	match => { path => 'home' },
	fault => 'redirect',
	location => "$billing/customers",
	times => 1);
server('home', follow_redirects => 3);
mapping('home', "\"header.X-Api-Key\" 'header-hush-3'");
($state, $why) = outcome(begin('home'));
is($state, 'completed', 'one within the origin is') or diag($why);

# ---- what goes along

server('named_follows', follow_redirects => 3, private_origins => $crm);
mapping('named_follows', "bearer_token 'bearer-hush-4', \"header.X-Api-Key\" 'header-hush-5'");
$systems->fault(
	'billing',
	match => { path => 'named_follows' },
	fault => 'redirect',
	location => "$crm/contacts?echo=1",
	times => 1);
$systems->fault('crm', match => { path => 'echo=1' }, fault => 'echo', status => 404, times => 1);
($state, $why) = outcome(begin('named_follows'));
my $seen = $node->safe_psql('postgres',
	"SELECT error::text FROM dataflows.steps WHERE step = 'look' AND system = 'named_follows'");
like($seen, qr/user-agent/i, 'the other origin was asked, and tells what it saw') or diag($why);
unlike($seen, qr/authorization|x-api-key|hush|redacted/i, 'no credentials');
unlike($seen, qr/idempotency/i, 'no key');

# ---- the client certificate

my $tls = Dataflows::Tls->new($billing);
my ($directory, $port) = ($tls->directory, $tls->ports);
my $mutual = "https://localhost:$port->{mutual}";
my $certificate = "client_cert '$directory/client.pem', client_key '$directory/client.key'";

server('shows', url => $mutual, ca_file => "$directory/ca.pem", follow_redirects => 3);
$node->safe_psql('postgres', "CREATE USER MAPPING FOR app SERVER shows OPTIONS ($certificate)");
$systems->fault(
	'billing',
	match => { path => 'shows' },
	fault => 'redirect',
	location => "$mutual/customers",
	times => 1);
($state, $why) = outcome(begin('shows'));
is($state, 'completed', 'within an origin the certificate is shown again') or diag($why);

server(
	'keeps',
	url => "https://localhost:$port->{good}",
	ca_file => "$directory/ca.pem",
	follow_redirects => 3,
	private_origins => $mutual);
$node->safe_psql('postgres', "CREATE USER MAPPING FOR app SERVER keeps OPTIONS ($certificate)");
$systems->fault(
	'billing',
	match => { path => 'keeps' },
	fault => 'redirect',
	location => "$mutual/customers");
($state, $why) = outcome(begin('keeps'));
isnt($state, 'completed', 'another origin, which demands one, does not get it');
like($why, qr/certificate|secure connection|connection|lost/, "and why: $why");

done_testing();
