# The connector for SendGrid, against one that behaves as is documented: mails at once and later, a
# failure in the middle, what is lost, off-boarding; the books compared.

use strict;
use warnings;

use Test::More;
use PostgreSQL::Test::Utils;
use Dataflows;
use Dataflows::Vendors qw(start_connector);

my $sendgrid = start_connector(
	'sendgrid',
	connect => q(url => 'URL', options => 'QUICK'),
	mapping => '{"bearer_token": "SG.hush"}');
my $node = $sendgrid->node;

sub mails
{
	my ($email) = @_;
	return
	  grep { $_->{personalizations}[0]{to}[0]{email} eq $email } @{ $sendgrid->books->{mails} };
}

as_app($node, 'postgres', q(SELECT sendgrid.connect('mine', 'SG.hush')));
is( $sendgrid->ask(
		q(SELECT (SELECT string_agg(o, ' ' ORDER BY o) FROM unnest(srvoptions) o)
	FROM pg_foreign_server WHERE srvname = 'mine')),
	'idempotency_header= settle=5min url=https://api.sendgrid.com',
	'the system');

# ---- onboarding, and a failure in the middle

$sendgrid->workflow('onboard', <<'SQL');
	out := sendgrid.put_contact('contact', event->>'email', '{"first_name": "Ada"}', ARRAY['l1']);
	PERFORM sendgrid.wait_contact('contact-there', out->>'job_id', every => '100 ms');
	out := sendgrid.send('welcome', 'us@example.com', event->>'email', 'Welcome', 'Hello {Ada}!',
		'<p>Hello</p>', doubt => coalesce(event->>'doubt', 'stuck'));
	made := to_jsonb(sendgrid.create_batch('batch'));
	PERFORM sendgrid.send('tomorrow', 'us@example.com', event->>'email', template_id => 'd-1',
		data => '{"name": "Ada"}', send_at => dataflows.run_started_at() + interval '1 day',
		batch_id => made #>> '{}');
	IF event ? 'fails' THEN
		PERFORM dataflows.fail('not wanted');
	END IF;
SQL
my $run =
	$sendgrid->ends('completed', 'onboarding', 'onboard', email => 'ada@example.com', key => 'a1');
my ($now, $later) = mails('ada@example.com');
is($sendgrid->result($run)->{message_id}, $now->{id}, 'the id of the mail is in a header');
is_deeply(
	[ map { $_->{type} } @{ $now->{content} } ],
	[ 'text/plain', 'text/html' ],
	'text comes before HTML');
is_deeply(
	$now->{custom_args},
	{ dataflows_run => $run, dataflows_key => 'a1', dataflows_step => 'welcome' },
	'whose it is, for the events');
ok($later->{send_at} > time() + 80_000, 'another one is sent later');
is_deeply($later->{personalizations}[0]{dynamic_template_data}, { name => 'Ada' }, 'by a template');
is($sendgrid->books->{contacts}[0]{list_ids}[0], 'l1', 'and a contact is on a list');
is(scalar(grep { $_->{path} =~ m{/imports/} } $sendgrid->requests), 2, 'which was waited for');

$run = $sendgrid->ends('rolled_back', 'undone after all', 'onboard',
	email => 'b@example.com', fails => 1);
is(scalar mails('b@example.com'), 2, 'what has left has left');
is_deeply($sendgrid->books->{cancelled}, [ (mails('b@example.com'))[1]{batch_id} ],
	'the mail of tomorrow is cancelled');

# ---- what is lost

$sendgrid->fault(match => 'POST /v3/mail/send', fault => 'lost');
$sendgrid->ends('stuck', 'a lost response asks a person', 'onboard', email => 'lost@example.com');
is(scalar mails('lost@example.com'), 1, 'who finds one mail');
$sendgrid->fault(match => 'POST /v3/mail/send', fault => 'lost');
$sendgrid->ends('completed', 'or is sent again', 'onboard',
	email => 'twice@example.com', doubt => 'resend');
is(scalar(grep { !$_->{send_at} } mails('twice@example.com')), 2, 'which is a mail more');
$sendgrid->fault(match => 'POST /v3/mail/send', status => 429, times => 2,
	headers => { 'X-RateLimit-Remaining' => '0', 'X-RateLimit-Reset' => time() });
$sendgrid->ends('completed', 'too many requests', 'onboard', email => 'many@example.com');
is(scalar mails('many@example.com'), 2, 'come again');

# ---- off-boarding

$sendgrid->workflow('leave', <<'SQL');
	PERFORM sendgrid.suppress('no-mails', event->>'email');
	IF event ? 'stays' THEN
		PERFORM dataflows.fail('stays');
	END IF;
	out := sendgrid.find_contact('find', event->>'email');
	IF out IS NOT NULL THEN
		PERFORM sendgrid.delete_contact('delete', out->>'id');
	END IF;
	out := sendgrid.find_contact('look', event->>'email');
	PERFORM sendgrid.unsuppress('not-suppressed', 'somebody@example.com');
SQL
$sendgrid->ends('rolled_back', 'one who stays', 'leave', email => 'Ada@Example.com', stays => 1);
is_deeply($sendgrid->books->{suppressed}, [], 'gets mails');
$run = $sendgrid->ends('completed', 'one who leaves', 'leave', email => 'Ada@Example.com');
is_deeply($sendgrid->books->{suppressed}, ['ada@example.com'], 'gets none');
is((grep { $_->{email} eq 'ada@example.com' } @{ $sendgrid->books->{contacts} }),
	0, 'and is deleted');
is($sendgrid->result($run), undef, 'the 404 of a search is an answer');

done_testing();
