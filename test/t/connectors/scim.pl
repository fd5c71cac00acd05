# The connector for SCIM 2.0, against a service that behaves as the RFCs say, and in the ways in
# which services differ; the books compared.

use strict;
use warnings;

use Test::More;
use PostgreSQL::Test::Utils;
use Dataflows;
use Dataflows::Vendors qw(start_connector);

my $scim = start_connector(
	'scim',
	connect => q(url => 'URL/v2', options => 'QUICK'),
	mapping => '{"bearer_token": "token-hush"}');
my $node = $scim->node;

sub user
{
	my ($name) = @_;
	return (grep { $_->{userName} eq $name } @{ $scim->books->{users} })[0];
}

as_app(
	$node, 'postgres',
	q(SELECT scim.connect('mine', 'https://directory.example.com/scim/v2',
	token_url => 'https://login.example.com/token', client_id => 'id', client_secret => 'hush',
	scope => 'scim')));
is( $scim->ask(
		q(SELECT (SELECT string_agg(o, ' ' ORDER BY o) FROM unnest(srvoptions) o)
	FROM pg_foreign_server WHERE srvname = 'mine')),
	'content_type=application/scim+json header.Accept=application/scim+json idempotency_header= '
	  . 'settle=60s url=https://directory.example.com/scim/v2',
	'the system');

$scim->workflow('onboard', <<'SQL');
	made := scim.create_user('create-user', event->>'name', event->>'name', 'Ada', 'Lovelace',
		existing => coalesce(event->>'existing', 'fail'),
		id_from => coalesce(event->>'id_from', 'body'), external_id => event->>'external');
	PERFORM scim.update_user('rename', made->>'id', '{"displayName": "A."}',
		'{"displayName": "{Ada}"}');
	PERFORM scim.add_to_group('staff', scim.find_group('group', 'Staff')->>'id', made->>'id');
	out := made;
	IF event ? 'fails' THEN
		PERFORM dataflows.fail('not wanted');
	END IF;
SQL
my $run = $scim->ends('completed', 'onboarding', 'onboard', name => 'ada@example.com');
my $ada = user('ada@example.com');
is_deeply($ada->{name}, { givenName => 'Ada', familyName => 'Lovelace' }, 'the user');
is($ada->{externalId}, $run, 'which says whose it is');
is($ada->{displayName}, 'A.', 'and was changed');
is_deeply($scim->books->{groups}{g1}{members}, [ { value => $ada->{id} } ], 'and is in a group');

$scim->ends('rolled_back', 'undone after all', 'onboard', name => 'b@example.com', fails => 1);
is(user('b@example.com'), undef, 'the user is deleted');
is($scim->books->{deleted}[0]{displayName}, '{Ada}', 'after its name was set back');
is(@{ $scim->books->{groups}{g1}{members} }, 1, 'and it was taken out of its group');

# ---- ways in which services differ

$scim->config(location_only => JSON::PP::true(), silent => JSON::PP::true());
$run = $scim->ends('completed', 'a Location and no body, 204 to PATCH', 'onboard',
	name => 'c@example.com', id_from => 'location');
is($scim->result($run)->{id}, user('c@example.com')->{id}, 'the id is in the Location');
$scim->ends('rolled_back', 'undone by the Location', 'onboard',
	name => 'd@example.com', id_from => 'location', fails => 1);
is(user('d@example.com'), undef, 'the user is deleted');
$scim->config(location_only => JSON::PP::false(), silent => JSON::PP::false());

# ---- one that is there, and what is lost

$scim->ends('rolled_back', 'a name that is taken', 'onboard', name => 'ada@example.com');
$run = $scim->ends('completed', 'one that is kept', 'onboard',
	name => 'ada@example.com', existing => 'keep');
is($scim->result($run)->{id}, $ada->{id}, 'is found');
$scim->fault(match => 'POST /v2/Users$', fault => 'lost');
$scim->ends('rolled_back', 'a lost response, undone', 'onboard',
	name => 'lost "1"@example.com', fails => 1);
is(user('lost "1"@example.com'), undef, 'the filter finds it, quotes and all, and it is deleted');
my $made = $scim->books->{made};
$scim->fault(match => 'POST /v2/Users$', fault => 'lost', effect => JSON::PP::false());
$scim->ends('completed', 'lost before it came', 'onboard', name => 'e@example.com');
is($scim->books->{made}, $made + 1, 'it is sent again');
$scim->fault(match => 'PATCH /v2/Groups', fault => 'lost');
$scim->ends('completed', 'a lost PATCH', 'onboard', name => 'f@example.com');
is((grep { $_->{value} eq user('f@example.com')->{id} }
		@{ $scim->books->{groups}{g1}{members} }),
	1, 'twice is as once');

# ---- whose it is

my ($true, $false) = (JSON::PP::true(), JSON::PP::false());
$scim->fault(match => 'POST /v2/Users$', fault => 'lost', effect => $false);
$scim->ends('stuck', 'lost, and another has the name', 'onboard', name => 'ADA@example.com');
is(user('ada@example.com')->{id}, $ada->{id}, 'who is not taken for it');
is(user('ada@example.com')->{displayName}, 'A.', 'nor changed');
$scim->fault(match => 'POST /v2/Users$', fault => 'lost');
$run = $scim->ends('completed', 'lost, with an id of the author', 'onboard',
	name => 'mine@example.com', external => '4711');
is($scim->result($run)->{externalId}, '4711', 'by which it is found');
$scim->config(external => $false);
$scim->fault(match => 'POST /v2/Users$', fault => 'lost');
$scim->ends('stuck', 'lost, by a service that keeps no externalId', 'onboard',
	name => 'whose@example.com');
ok(user('whose@example.com'), 'a person is asked whose it is');
$scim->config(external => $true);

# ---- what comes late

$scim->config(lag => 1);
$run = $scim->ends('completed', 'a search that shows it only the second time', 'onboard',
	name => 'ada@example.com', existing => 'keep');
is($scim->result($run)->{id}, $ada->{id}, 'it is kept, though it came after the search');
$scim->config(lag => 1);
$scim->ends('rolled_back', 'the same, undone', 'onboard',
	name => 'ada@example.com', existing => 'keep', fails => 1);
ok(user('ada@example.com'), 'what was there stays');
$scim->config(lag => 2);
$run = $scim->ends('completed', 'a search that does not show it yet', 'onboard',
	name => 'ada@example.com', existing => 'keep');
is($scim->result($run)->{id}, $ada->{id}, 'the 409 says that it is there, and it is looked for');
$scim->fault(match => 'POST /v2/Users$', status => 429, times => 2,
	headers => { 'Retry-After' => '0' });
$scim->ends('completed', 'too many requests', 'onboard', name => 'many@example.com');
ok(user('many@example.com'), 'come again');

# ---- off-boarding

$scim->workflow('leave', <<'SQL');
	made := scim.find_user('find', event->>'name');
	PERFORM scim.remove_from_group('staff', 'g1', made->>'id');
	PERFORM scim.deactivate_user('deactivate', made->>'id');
	IF event ? 'stays' THEN
		PERFORM dataflows.fail('stays');
	END IF;
	PERFORM scim.remove_from_group('staff-again', 'g1', made->>'id');
	PERFORM scim.delete_user('delete', made->>'id');
	PERFORM scim.delete_user('delete-again', made->>'id');
	out := jsonb_build_object('found', scim.find_user('look', event->>'name'),
		'status', scim.get_user('get', made->>'id')->>'status');
SQL
$scim->config(strict => $true);    # to remove who is no member is a 400
$scim->ends('rolled_back', 'one who stays', 'leave', name => 'e@example.com', stays => 1);
ok(user('e@example.com')->{active}, 'is active');
is((grep { $_->{value} eq user('e@example.com')->{id} }
		@{ $scim->books->{groups}{g1}{members} }),
	1, 'and in its group');
$run = $scim->ends('completed', 'one who leaves', 'leave', name => 'e@example.com');
is(user('e@example.com'), undef, 'is deleted');
is_deeply($scim->result($run), { found => undef, status => '404' },
	'a list without Resources is an answer, and so is a 404');
my ($off) = grep { $_->{userName} eq 'e@example.com' } @{ $scim->books->{deleted} };
ok(!$off->{active}, 'it was deactivated before');

$scim->workflow('return', <<'SQL');
	made := scim.find_user('find', event->>'name');
	PERFORM scim.activate_user('activate', made->>'id');
	PERFORM scim.add_to_group('board', 'g2', made->>'id');
	PERFORM scim.add_to_group('board-again', 'g2', made->>'id');
	IF event ? 'fails' THEN
		PERFORM dataflows.fail('not wanted');
	END IF;
SQL
$scim->ends('completed', 'one who comes back', 'return', name => 'many@example.com');
ok(user('many@example.com')->{active}, 'is active');
is(@{ $scim->books->{groups}{g2}{members} }, 1, 'and once in its group');
$scim->ends('rolled_back', 'one who may not', 'return', name => 'many@example.com', fails => 1);
ok(!user('many@example.com')->{active}, 'is not');
is_deeply($scim->books->{groups}{g2}{members}, [], 'and is taken out of the group, though twice');

done_testing();
