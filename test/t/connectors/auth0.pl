# The connector for Auth0, against one that behaves as is documented: onboarding, a failure in the
# middle, what is lost, off-boarding; the books compared.

use strict;
use warnings;

use Test::More;
use PostgreSQL::Test::Utils;
use Dataflows;
use Dataflows::Vendors qw(start_connector);

my $auth0 = start_connector(
	'auth0',
	connect => q(domain => 'acme.example.com', url => 'URL', options => 'QUICK'),
	mapping =>
	  '{"oauth_token_url": "URL/oauth/token", "client_id": "the client", "client_secret": "hush"}');
my $node = $auth0->node;

sub user
{
	my ($email) = @_;
	return (grep { $_->{email} eq $email } @{ $auth0->books->{users} })[0];
}

as_app($node, 'postgres', q(SELECT auth0.connect('mine', 'acme.eu.auth0.com', 'id', 'hush')));
is( $auth0->ask(
		q(SELECT (SELECT string_agg(o, ' ' ORDER BY o) FROM unnest(srvoptions) o)
	FROM pg_foreign_server WHERE srvname = 'mine')),
	'answers=429=retry idempotency_header= rate_limit=10/s settle=60s '
	  . 'token.audience=https://acme.eu.auth0.com/api/v2/ url=https://acme.eu.auth0.com',
	'the system');
like(
	as_app($node, 'postgres', q(SELECT umoptions FROM pg_user_mappings WHERE srvname = 'mine')),
	qr{oauth_token_url=https://acme.eu.auth0.com/oauth/token},
	'the mapping');

# ---- onboarding, and a failure in the middle

$auth0->workflow('onboard', <<'SQL');
	made := auth0.create_user('create-user', event->>'email', 'Ada',
		user_metadata => '{"language": "en"}', existing => coalesce(event->>'existing', 'fail'));
	PERFORM auth0.assign_roles('roles', made->>'user_id', ARRAY['rol_1', 'rol_2']);
	PERFORM auth0.update_user('rename', made->>'user_id', '{"name": "Ada L."}',
		'{"name": "{Ada}"}');
	PERFORM auth0.send_verification_email('verify', made->>'user_id');
	out := made || jsonb_build_object('ticket', auth0.password_ticket('ticket', made->>'user_id'));
	IF event ? 'fails' THEN
		PERFORM dataflows.fail('not wanted');
	END IF;
SQL
my $run =
	$auth0->ends('completed', 'onboarding', 'onboard', email => 'Ada@Example.com', key => 'a1');
my $user = user('ada@example.com');
is($user->{name}, 'Ada L.', 'the user, whose address is in small letters');
is_deeply($user->{app_metadata}, { dataflows_run => $run, dataflows_key => 'a1' }, 'whose it is');
is_deeply($user->{roles}, [ 'rol_1', 'rol_2' ], 'its roles');
is_deeply($auth0->books->{mails}, [ $user->{user_id} ], 'a mail');
like($auth0->result($run)->{ticket}, qr/ttl=432000$/, 'a ticket for its password');
is($auth0->books->{tokens}, 1, 'one token, with the audience');
is( as_app($node, 'postgres', <<'SQL'), '', 'it asks for the same at each entry');
SELECT string_agg(finding, '; ') FROM dataflows.explain('onboard', '{"email": "x@example.com"}',
  '{"create-user": {"user_id": "auth0|1"}}') WHERE part = 'lint' AND finding ~ 'something else'
SQL

$auth0->ends('rolled_back', 'undone after all', 'onboard', email => 'b@example.com', fails => 1);
is(user('b@example.com'), undef, 'the user is deleted');
my ($gone) = grep { $_->{email} eq 'b@example.com' } @{ $auth0->books->{deleted} };
is_deeply([ $gone->{roles}, $gone->{name} ], [ [], '{Ada}' ], 'after its roles and its name');
ok((grep { $_->{method} eq 'DELETE' && $_->{path} =~ m{/users/auth0%7C\w+$} } $auth0->requests),
	'by its id, with a | in it');

# ---- one that is there, and what is lost

$auth0->ends('rolled_back', 'one that is there', 'onboard', email => 'ada@example.com');
$run = $auth0->ends('rolled_back', 'one that is kept, and a failure', 'onboard',
	email => 'ada@example.com', existing => 'keep', fails => 1);
is(user('ada@example.com')->{user_id}, $user->{user_id}, 'what was there stays');
$run = $auth0->ends('completed', 'one that is kept', 'onboard',
	email => 'ada@example.com', existing => 'keep');
is($auth0->result($run)->{user_id}, $user->{user_id}, 'the probe finds its id');
$auth0->config(lag => 1);
$auth0->ends('rolled_back', 'one that comes after the search, and a failure', 'onboard',
	email => 'ada@example.com', existing => 'keep', fails => 1);
is(user('ada@example.com')->{user_id}, $user->{user_id}, 'stays');
$auth0->config(lag => 1);
$run = $auth0->ends('completed', 'one that comes after the search', 'onboard',
	email => 'ada@example.com', existing => 'keep');
is($auth0->result($run)->{user_id}, $user->{user_id}, 'is kept');

$auth0->fault(match => 'POST /api/v2/users$', fault => 'lost');
$run = $auth0->ends('rolled_back', 'a lost response, undone', 'onboard',
	email => 'lost@example.com', fails => 1);
is(user('lost@example.com'), undef, 'the probe knows it by its run, so that it is deleted');
is((grep { $_->{path} eq '/api/v2/users' && $_->{body} =~ /lost\@/ } $auth0->requests),
	1, 'nothing was sent twice');
$auth0->fault(match => 'POST /api/v2/users$', fault => 'lost', effect => JSON::PP::false());
$auth0->ends('completed', 'lost before it came', 'onboard', email => 'again@example.com');
ok(user('again@example.com'), 'the probe says that there is none, and it is made');

$auth0->fault(match => 'POST .*/roles$', fault => 'lost');
$auth0->ends('completed', 'lost roles', 'onboard', email => 'roles@example.com');
is(@{ user('roles@example.com')->{roles} }, 2, 'are sent again');
$auth0->fault(match => 'POST .*email$', fault => 'lost');
$auth0->ends('stuck', 'a lost mail asks a person', 'onboard', email => 'mail@example.com');
$auth0->fault(match => 'POST /api/v2/users$', status => 429, times => 2,
	headers => { 'X-RateLimit-Remaining' => '0', 'X-RateLimit-Reset' => time() });
$auth0->ends('completed', 'too many requests', 'onboard', email => 'many@example.com');

# ---- off-boarding

$auth0->workflow('leave', <<'SQL');
	made := auth0.find_user('find', event->>'email');
	PERFORM auth0.block_user('block', made->>'user_id');
	PERFORM auth0.remove_roles('roles', made->>'user_id', ARRAY['rol_1']);
	IF event ? 'stays' THEN
		PERFORM dataflows.fail('stays');
	END IF;
	PERFORM auth0.delete_user('delete', made->>'user_id');
	PERFORM auth0.delete_user('again', made->>'user_id');
	out := auth0.get_user('look', made->>'user_id');
SQL
$auth0->ends('rolled_back', 'one who stays', 'leave', email => 'ADA@example.com', stays => 1);
$user = user('ada@example.com');
ok(!$user->{blocked}, 'can log in again');
is_deeply($user->{roles}, [ 'rol_1', 'rol_2' ], 'with its roles');
$run = $auth0->ends('completed', 'one who leaves', 'leave', email => 'ada@example.com');
is(user('ada@example.com'), undef, 'is deleted');
is($auth0->result($run)->{statusCode}, 404, 'which its id says');

# ---- the facts, the other way round

$node->safe_psql('postgres', q(ALTER SERVER auth0 OPTIONS (SET "token.audience" 'https://else')));
$run = $auth0->begin('onboard', email => 'none@example.com');
ok( wait_until(
		$node, "SELECT reason LIKE '%token%' FROM dataflows.runs WHERE run = '$run'", 60),
	'a token for another audience is none');

done_testing();
