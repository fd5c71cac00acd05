# The connector for Postmark, against one that behaves as is documented; the books compared.

use strict;
use warnings;

use Test::More;
use PostgreSQL::Test::Utils;
use Dataflows;
use Dataflows::Vendors qw(start_connector);

my $postmark = start_connector(
	'postmark',
	connect => q(url => 'URL', options => 'QUICK'),
	mapping => '{"header.X-Postmark-Server-Token": "token-hush"}');
my $node = $postmark->node;

sub mails
{
	my ($email) = @_;
	return grep { $_->{To} eq $email } @{ $postmark->books->{mails} };
}

$postmark->workflow('onboard', <<'SQL');
	out := postmark.send('welcome', 'us@example.com', event->>'email', 'Welcome', 'Hello {Ada}!');
	PERFORM postmark.send_template('more', 'us@example.com', event->>'email', 'getting-started',
		'{"name": "Ada"}', more => '{"Tag": "onboarding"}');
SQL
my $run =
	$postmark->ends('completed', 'onboarding', 'onboard', email => 'ada@example.com', key => 'a1');
my ($first, $second) = mails('ada@example.com');
is($postmark->result($run)->{MessageID}, $first->{MessageID}, 'the id of the mail');
is($first->{TextBody}, 'Hello {Ada}!', 'and what it says');
is_deeply(
	[ @{ $first->{Metadata} }{qw(dataflows_run dataflows_key)} ],
	[ $run, 'a1' ],
	'whose it is, for the events');
isnt($first->{Metadata}{dataflows_step}, $second->{Metadata}{dataflows_step}, 'and which step');
is($second->{TemplateModel}{name}, 'Ada', 'by a template');
$postmark->ends('completed', 'a key that is too long', 'onboard',
	email => 'long@example.com', key => 'k' x 100);

# ---- what is lost

$postmark->fault(match => 'POST /email$', fault => 'lost');
$run = $postmark->ends('completed', 'a lost mail is found by its metadata', 'onboard',
	email => 'lost@example.com');
is(scalar mails('lost@example.com'), 2, 'and was sent once');
$postmark->fault(match => 'POST /email$', fault => 'lost');
$postmark->ends('completed', 'a lost mail to somebody with a name', 'onboard',
	email => 'Ada <named@example.com>');
is(scalar mails('Ada <named@example.com>'), 2, 'was sent once');
$postmark->fault(match => 'POST /email$', fault => 'lost');
$postmark->config(lag => 1);
$postmark->ends('completed', 'also if the search lags', 'onboard', email => 'lag@example.com');
is(scalar mails('lag@example.com'), 2, 'and was sent once');
$postmark->fault(match => 'POST /email$', fault => 'lost', effect => JSON::PP::false());
$postmark->ends('completed', 'lost before it came', 'onboard', email => 'again@example.com');
is(scalar mails('again@example.com'), 2, 'it is sent again');
$postmark->fault(match => 'POST /email$', status => 429, times => 2);
$postmark->ends('completed', 'too many requests', 'onboard', email => 'many@example.com');

# ---- off-boarding

$postmark->workflow('leave', <<'SQL');
	PERFORM postmark.suppress('no-mails', event->>'email');
	IF event ? 'stays' THEN
		PERFORM dataflows.fail('stays');
	END IF;
SQL
$postmark->workflow('back', <<'SQL');
	out := postmark.unsuppress('mails', event->>'email');
SQL
$postmark->ends('rolled_back', 'one who stays', 'leave', email => 'ada@example.com', stays => 1);
is_deeply($postmark->books->{suppressed}, [], 'gets mails');
$postmark->ends('completed', 'one who leaves', 'leave', email => 'ada@example.com');
is_deeply($postmark->books->{suppressed}, ['ada@example.com'], 'gets none');
$postmark->ends('rolled_back', 'an address that is suppressed', 'onboard',
	email => 'ada@example.com');
$postmark->ends('completed', 'and comes back', 'back', email => 'ada@example.com');
is_deeply($postmark->books->{suppressed}, [], 'gets mails again');
$postmark->ends('rolled_back', 'who has complained', 'back', email => 'spam@example.com');

done_testing();
