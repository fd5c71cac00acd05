# The connector for HubSpot, against one that behaves as is documented: onboarding, a failure in the
# middle, what is lost, off-boarding; the books compared.

use strict;
use warnings;

use Test::More;
use PostgreSQL::Test::Utils;
use Dataflows;
use Dataflows::Vendors qw(start_connector);

my $hubspot = start_connector(
	'hubspot',
	connect => q(url => 'URL', options => 'QUICK'),
	mapping => '{"bearer_token": "pat-hush"}');
my $node = $hubspot->node;

sub contact
{
	my ($email) = @_;
	return (grep { $_->{properties}{email} eq $email } @{ $hubspot->books->{contacts} })[0];
}

sub posts
{
	my ($email) = @_;
	return 0 + grep { $_->{path} eq '/crm/v3/objects/contacts' && $_->{body} =~ /\Q$email\E/ }
	  $hubspot->requests;
}

as_app($node, 'postgres', q(SELECT hubspot.connect('mine', 'pat-hush')));
is( $hubspot->ask(
		q(SELECT (SELECT string_agg(o, ' ' ORDER BY o) FROM unnest(srvoptions) o)
	FROM pg_foreign_server WHERE srvname = 'mine')),
	'idempotency_header= rate_limit=10/s settle=5min url=https://api.hubapi.com',
	'the system');

# ---- onboarding, and a failure in the middle

$hubspot->workflow('onboard', <<'SQL');
	made := hubspot.create_contact('create-contact', event->>'email',
		coalesce(event->'properties', '{"firstname": "Ada"}'),
		run_property => event->>'property', existing => coalesce(event->>'existing', 'fail'));
	PERFORM hubspot.update_contact('rename', made->>'id', '{"firstname": "A."}',
		'{"firstname": "{Ada}"}');
	PERFORM hubspot.associate('company', made->>'id',
		hubspot.create_company('create-company', 'Analytical', 'example.com')->>'id');
	PERFORM hubspot.subscribe('news', event->>'email', '7');
	out := made;
	IF event ? 'fails' THEN
		PERFORM dataflows.fail('not wanted');
	END IF;
SQL
my $run = $hubspot->ends('completed', 'onboarding', 'onboard', email => 'ada@example.com');
my $ada = contact('ada@example.com');
is($ada->{properties}{firstname}, 'A.', 'the contact was made and changed');
is($hubspot->books->{links}[0][0], $ada->{id}, 'it is of its company');
is_deeply($hubspot->books->{subscribed}, [ [ 'ada@example.com', '7' ] ], 'and subscribed');

$hubspot->ends('rolled_back', 'undone after all', 'onboard', email => 'b@example.com', fails => 1);
is(contact('b@example.com'), undef, 'the contact is archived');
is($hubspot->books->{archived}[0]{properties}{firstname}, '{Ada}', 'after its name was set back');
is(@{ $hubspot->books->{companies} }, 1, 'the company, too');
is(@{ $hubspot->books->{links} }, 1, 'they belong together no more');
is_deeply($hubspot->books->{left}, [], 'but nobody is unsubscribed for good');
$hubspot->ends('rolled_back', 'a property that is not there', 'onboard',
	email => 'p@example.com', properties => { colour => 'red' });

# ---- one that is there, and what is lost

$run = $hubspot->ends('rolled_back', 'one that is there', 'onboard', email => 'ada@example.com');
$run = $hubspot->ends('completed', 'one that is kept', 'onboard',
	email => 'ada@example.com', existing => 'keep');
is($hubspot->result($run)->{id}, $ada->{id}, 'is found by its address');
$hubspot->config(lag => 1);
$hubspot->ends('rolled_back', 'one that comes after the search, and a failure', 'onboard',
	email => 'ada@example.com', existing => 'keep', fails => 1);
is(contact('ada@example.com')->{id}, $ada->{id}, 'stays');
$hubspot->config(lag => 1);
$run = $hubspot->ends('completed', 'one that comes after the search', 'onboard',
	email => 'ada@example.com', existing => 'keep');
is($hubspot->result($run)->{id}, $ada->{id}, 'is kept');

$hubspot->fault(match => 'POST /crm/v3/objects/contacts$', fault => 'lost');
$run = $hubspot->ends('rolled_back', 'lost, and marked by a property', 'onboard',
	email => 'marked@example.com', property => 'dataflows_run', fails => 1);
is(contact('marked@example.com'), undef, 'is known as ours and archived');
is(posts('marked@example.com'), 1, 'and was sent once');
$hubspot->fault(match => 'POST /crm/v3/objects/contacts$', fault => 'lost');
$run = $hubspot->ends('stuck', 'lost, and not marked', 'onboard',
	email => 'lost@example.com', fails => 1);
ok(contact('lost@example.com'), 'may be somebody else\'s, and stays');
is($hubspot->ask("SELECT count(*) FROM dataflows.pending_undo WHERE run = '$run'"),
	1, 'until a person has looked');
$hubspot->fault(match => 'POST /crm/v3/objects/contacts$', fault => 'lost',
	effect => JSON::PP::false());
$hubspot->ends('completed', 'lost before it came', 'onboard', email => 'again@example.com');
is(posts('again@example.com'), 2, 'the 404 of the probe says so');
$hubspot->fault(match => 'POST .*contacts$', status => 429, times => 2,
	body => { policyName => 'TEN_SECONDLY_ROLLING', category => 'RATE_LIMITS' });
$hubspot->ends('completed', 'too many requests', 'onboard', email => 'many@example.com');

# ---- off-boarding

$hubspot->workflow('leave', <<'SQL');
	made := hubspot.find_contact('find', event->>'email');
	IF made IS NULL THEN
		RETURN '{"found": false}';
	END IF;
	PERFORM hubspot.unsubscribe('no-news', event->>'email', '7');
	PERFORM hubspot.unsubscribe('no-news-again', event->>'email', '7');
	IF event ? 'purge' THEN
		out := hubspot.gdpr_delete_contact('purge', made->>'id');
	ELSE
		out := hubspot.archive_contact('archive', made->>'id');
		out := hubspot.archive_contact('archive-again', made->>'id');
	END IF;
SQL
$hubspot->ends('completed', 'one who leaves', 'leave', email => 'many@example.com');
is(contact('many@example.com'), undef, 'is archived');
is($hubspot->books->{left}[0][0], 'many@example.com', 'and unsubscribed');
$hubspot->ends('completed', 'one who is to be forgotten', 'leave',
	email => 'ada@example.com', purge => 1);
is_deeply($hubspot->books->{purged}, [ $ada->{id} ], 'is deleted for good');
$run = $hubspot->ends('completed', 'nobody', 'leave', email => 'none@example.com');
ok(!$hubspot->result($run)->{found}, 'who is not there is not found');
$hubspot->ends('rolled_back', 'who has unsubscribed cannot be subscribed', 'onboard',
	email => 'many@example.com', properties => {});

# ---- a probe that has never found anything

$hubspot->workflow('alone', <<'SQL');
	out := hubspot.create_contact('create-contact', event->>'email');
SQL
$hubspot->fault(match => 'POST /crm/v3/objects/contacts$', fault => 'lost',
	effect => JSON::PP::false());
$hubspot->ends('completed', 'its 404 is believed all the same', 'alone',
	email => 'alone@example.com');

done_testing();
