# The connector for Slack, against one that behaves as is documented: 200 whatever happens; the
# books compared.

use strict;
use warnings;

use Test::More;
use PostgreSQL::Test::Utils;
use Dataflows;
use Dataflows::Vendors qw(start_connector);

my $slack = start_connector(
	'slack',
	connect => q(url => 'URL', options => 'QUICK'),
	mapping => '{"bearer_token": "xoxb-hush"}');
my $node = $slack->node;

# without limits for the test, which sends more than one a second
$node->safe_psql('postgres', 'ALTER SERVER slack OPTIONS (DROP rate_limit)');
$slack->workflow('onboard', <<'SQL');
	made := slack.create_channel('channel', event->>'name');
	out := slack.find_user('find', 'ada@example.com');
	PERFORM slack.invite('invite', made->'channel'->>'id', out->>'id');
	PERFORM slack.invite('invite-again', made->'channel'->>'id', 'U1');
	out := slack.post_message('hello', slack.open_dm('dm', 'U1'), 'Hello {Ada}',
		'{"unfurl_links": false}');
	IF event ? 'fails' THEN
		PERFORM dataflows.fail('not wanted');
	END IF;
SQL

sub channel
{
	my ($name) = @_;
	return (grep { $_->{name} eq $name } values %{ $slack->books->{channels} })[0];
}

my $run = $slack->ends('completed', 'onboarding', 'onboard', name => 'ada');
is_deeply(channel('ada')->{members}, ['U1'], 'a channel with its member, who is there already');
is($slack->books->{messages}[0]{text}, 'Hello {Ada}', 'and a message');
is($slack->result($run)->{channel}, 'DU1', 'to the member');
is((grep { $_->{path} eq '/conversations.history' } $slack->requests),
	0, 'no history was read: the probe finds only its own');
is((grep { $_->{path} eq '/chat.postMessage' } $slack->requests)[0]{headers}{'content-type'},
	'application/json; charset=utf-8', 'with a charset, which Slack asks for');

$slack->ends('rolled_back', 'undone after all', 'onboard', name => 'b', fails => 1);
ok(channel('b')->{archived}, 'the channel is archived');
is_deeply(channel('b')->{members}, [], 'and empty');
is(@{ $slack->books->{messages} }, 1, 'the message is deleted');
$slack->ends('rolled_back', 'a name that is taken: 200, "ok": false', 'onboard', name => 'ada');

# ---- what is lost, and what errors mean

$slack->fault(match => 'POST /chat.postMessage', fault => 'lost');
$slack->ends('rolled_back', 'a lost message, undone', 'onboard', name => 'lost', fails => 1);
is(@{ $slack->books->{messages} }, 1, 'it is found by its metadata, and deleted');
$slack->fault(match => 'POST /chat.postMessage', fault => 'lost', effect => JSON::PP::false());
$slack->ends('completed', 'lost before it came', 'onboard', name => 'again');
is(@{ $slack->books->{messages} }, 2, 'it is sent again');
$slack->fault(match => 'POST /chat.postMessage', status => 200,
	body => { ok => JSON::PP::false(), error => 'internal_error' });
$slack->ends('completed', 'an internal error', 'onboard', name => 'internal');
is(@{ $slack->books->{messages} }, 3, 'the history says that it was not');
$slack->fault(match => 'POST /chat.postMessage', status => 200, times => 2,
	body => { ok => JSON::PP::false(), error => 'ratelimited' });
$slack->ends('completed', 'too many, by 200', 'onboard', name => 'limited');
$slack->fault(
	match => 'POST /chat.postMessage',
	status => 429,
	headers => { 'Retry-After' => '1' });
$slack->ends('completed', 'too many, by 429', 'onboard', name => 'limited-2');
is(@{ $slack->books->{messages} }, 5, 'come again');
$slack->fault(match => 'POST /chat.postMessage', status => 200,
	body => { ok => JSON::PP::false(), error => 'missing_scope', needed => 'chat:write' });
$slack->ends('stuck', 'a scope that is missing', 'onboard', name => 'scope');
ok(!channel('scope')->{archived}, 'undoes nobody');

$slack->config(more => JSON::PP::true());
$slack->fault(match => 'POST /chat.postMessage', fault => 'lost');
$slack->ends('stuck', 'a lost message, and a history of several pages', 'onboard', name => 'busy');
is(@{ $slack->books->{messages} }, 6, 'it is not sent again');
$slack->config(more => JSON::PP::false());

# ---- off-boarding

$slack->workflow('leave', <<'SQL');
	PERFORM slack.remove('remove', event->>'channel', 'U1');
	PERFORM slack.archive_channel('archive', event->>'channel');
	IF event ? 'stays' THEN
		PERFORM dataflows.fail('stays');
	END IF;
	PERFORM slack.remove('remove-again', event->>'channel', 'U1');
	PERFORM slack.archive_channel('archive-again', event->>'channel');
	PERFORM slack.delete_message('delete', event->>'dm', event->>'ts');
	PERFORM slack.delete_message('delete-again', event->>'dm', event->>'ts');
	out := slack.find_user('nobody', 'nobody@example.com');
SQL
my ($ada, $message) = (channel('ada'), $slack->books->{messages}[0]);
my %leaving = (channel => $ada->{id}, dm => 'DU1', ts => $message->{ts});
$slack->ends('rolled_back', 'one who stays', 'leave', %leaving, stays => 1);
is_deeply([ channel('ada')->{archived}, @{ channel('ada')->{members} } ],
	[ JSON::PP::false(), 'U1' ], 'is there again');
$run = $slack->ends('completed', 'one who leaves', 'leave', %leaving);
is_deeply([ !!channel('ada')->{archived}, @{ channel('ada')->{members} } ], [1], 'is gone');
is((grep { $_->{ts} eq $message->{ts} } @{ $slack->books->{messages} }), 0, 'so is the message');
is($slack->result($run), undef, 'a member who is not there is an answer');

$slack->fault(match => 'POST /conversations.create', status => 200, times => 3,
	body => { ok => JSON::PP::false(), error => 'token_revoked' });
$run = $slack->begin('onboard', name => 'revoked');
ok( wait_until(
		$node, "SELECT reason LIKE '%credentials%' FROM dataflows.runs WHERE run = '$run'", 60),
	'a token that is revoked holds the runs');

done_testing();
