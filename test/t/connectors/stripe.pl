# The connector for Stripe, against a Stripe that behaves as is documented: onboarding, a failure in
# the middle, what is lost, off-boarding; the books compared.

use strict;
use warnings;

use Test::More;
use PostgreSQL::Test::Utils;
use Dataflows;
use Dataflows::Vendors qw(start_connector);

my $stripe = start_connector(
	'stripe',
	connect => q(url => 'URL', options => 'QUICK'),
	mapping => '{"bearer_token": "sk_test_hush", "webhook_secret": "whsec_hush"}');
my $node = $stripe->node;

# what of the customers with an address: "ever made/left"
sub customers
{
	my ($email) = @_;
	my @all = grep { $_->{email} eq $email } @{ $stripe->books->{customers} };

	return @all . '/' . grep { !$_->{deleted} } @all;
}

sub options
{
	my ($server) = @_;
	return $stripe->ask("SELECT (SELECT string_agg(o, ' ' ORDER BY o) FROM unnest(srvoptions) o)
		FROM pg_foreign_server WHERE srvname = '$server'");
}

# ---- connect()

as_app($node, 'postgres',
	q(SELECT stripe.connect('mine', 'sk_live_hush', 'whsec_hush', version => '2024-06-20')));
is( options('mine'),
	'encoding=form form_arrays=indices header.Stripe-Version=2024-06-20 '
	  . 'idempotency_header=Idempotency-Key idempotency_ttl=24h rate_limit=100/s settle=60s '
	  . 'url=https://api.stripe.com',
	'the system');
is( as_app(
		$node, 'postgres', q(SELECT array_to_string(umoptions, ' ') FROM pg_user_mappings
	WHERE srvname = 'mine' AND usename = 'app')),
	'bearer_token=sk_live_hush webhook_secret=whsec_hush',
	'the mapping');
as_app($node, 'postgres', q(SELECT stripe.connect('mine', 'sk_test_new')));
like(options('mine'), qr/ rate_limit=25\/s /, 'a key of the sandbox has a lower limit');
like(options('mine'), qr/Stripe-Version=2024-06-20/, 'what is not said stays');
is($stripe->ask(q(SELECT srvacl FROM pg_foreign_server WHERE srvname = 'mine')),
	'', 'nothing is granted');
my ($rc, undef, $error) = $node->psql('postgres',
	q(SELECT stripe.connect('bad', 'sk_hush', options => '{"setle": "1s"}')),
	extra_params => [ '-U', 'app' ]);
like($error, qr/invalid option "setle"/, 'an option that is not there');
($rc, undef, $error) = $node->psql('postgres', "SELECT stripe.connect('bad', E'sk\\x01hush')",
	extra_params => [ '-U', 'app' ]);
isnt($rc, 0, 'a key that cannot be sent');
unlike($error, qr/hush.*OPTIONS|OPTIONS.*hush/s, 'and no error quotes the statement');

# ---- onboarding, and a failure in the middle

$stripe->workflow('onboard', <<'SQL');
	made := stripe.create_customer('create-customer', event->>'email', 'Ada {"Lovelace"}',
		metadata => '{"plan": "pro"}', more => '{"phone": "+44 20"}');
	PERFORM stripe.attach_payment_method('card', 'pm_1', made->>'id');
	PERFORM stripe.update_customer('name', made->>'id', '{"name": "Ada L."}',
		previous => '{"name": "{Ada}"}');
	out := stripe.subscribe('subscribe', made->>'id', coalesce(event->>'price', 'price_pro'), 2,
		trial_days => 14);
	IF event ? 'fails' THEN
		PERFORM dataflows.fail('not wanted');
	END IF;
SQL
my $run =
	$stripe->ends('completed', 'onboarding', 'onboard', email => 'a@example.com', key => 'ada');
my ($customer) = grep { $_->{email} eq 'a@example.com' } @{ $stripe->books->{customers} };
is($customer->{name}, 'Ada L.', 'the customer was changed');
is_deeply(
	$customer->{metadata},
	{ plan => 'pro', dataflows_run => $run, dataflows_key => 'ada',
		dataflows_step => 'create-customer' },
	'its metadata say whose it is');
my ($subscription) = @{ $stripe->books->{subscriptions} };
is_deeply($subscription->{items}, { 0 => { price => 'price_pro', quantity => 2 } },
	'arrays of forms have indices');
is($subscription->{trial_period_days}, 14, 'a trial');
is($stripe->books->{methods}{pm_1}, $customer->{id}, 'a payment method');

$stripe->ends('rolled_back', 'a card that is declined', 'onboard',
	email => 'b@example.com', price => 'price_declined');
is(customers('b@example.com'), '1/0', 'the customer is deleted');
is($stripe->books->{methods}{pm_1}, undef, 'the payment method is detached');
my ($back) = grep { $_->{body} =~ /name=%7BAda%7D/ } $stripe->requests;
ok($back, 'its name was set back, braces and all');

$stripe->ends('rolled_back', 'undone after all', 'onboard', email => 'c@example.com', fails => 1);
is($stripe->books->{subscriptions}[-1]{status}, 'canceled', 'the subscription is cancelled');
is(customers('c@example.com'), '1/0', 'and the customer deleted');

# ---- what is lost

$stripe->fault(match => 'POST /v1/customers$', fault => 'lost');
$stripe->ends('completed', 'a lost response', 'onboard', email => 'lost@example.com');
is(customers('lost@example.com'), '1/1', 'the key makes one of it');
is($stripe->books->{replayed}, 1, 'by a replay');

$stripe->fault(match => 'POST /v1/customers$', fault => 'lost');
$stripe->fault(match => 'POST /v1/customers$', status => 409,
	body => { error => { type => 'idempotency_error', message => 'in use' } });
$stripe->ends('completed', 'a key that is still in use', 'onboard', email => 'busy@example.com');
is(customers('busy@example.com'), '1/1', 'the same key again, later');
is($stripe->books->{replayed}, 2, 'by a replay');

# the key is older than Stripe keeps it: the probe finds the customer by its metadata
$stripe->workflow('late', <<'SQL');
	out := stripe.create_customer('create-customer', event->>'email');
SQL
$node->safe_psql('postgres', q(ALTER SERVER stripe OPTIONS (SET idempotency_ttl '0')));
$stripe->command('_reset', {});
$stripe->fault(match => 'POST /v1/customers$', fault => 'lost');
$run =
	$stripe->ends('completed', 'lost, and the key is too old', 'late', email => 'old@example.com');
is(customers('old@example.com'), '1/1', 'one customer');
is($stripe->result($run)->{id}, $stripe->books->{customers}[0]{id}, 'it is the one that was made');
is((grep { $_->{method} eq 'POST' } $stripe->requests), 1, 'nothing was sent again');
$stripe->ends('completed', 'another with that email', 'late', email => 'old@example.com');
$stripe->fault(match => 'POST /v1/customers$', fault => 'lost', effect => JSON::PP::false());
$stripe->ends('completed', 'lost before it came', 'late', email => 'old@example.com');
is(customers('old@example.com'), '3/3', 'those of other runs are not taken for it');
$node->safe_psql('postgres', q(ALTER SERVER stripe OPTIONS (SET idempotency_ttl '24h')));

# a 500 is kept with its key: the same again only says the same
$stripe->fault(match => 'POST /v1/customers$', fault => 'status', status => 500,
	headers => { 'Idempotent-Replayed' => 'true' }, effect => JSON::PP::false());
$run = $stripe->ends('completed', 'a replayed 500', 'late', email => 'spent@example.com');
is(customers('spent@example.com'), '1/1', 'the probe says that there is none, and it is made');

$stripe->fault(match => 'POST /v1/customers$', status => 429, times => 2,
	headers => { 'Retry-After' => '0' });
$stripe->ends('completed', 'too many requests', 'late', email => 'many@example.com');
is(customers('many@example.com'), '1/1', 'come again');

# ---- off-boarding

$stripe->workflow('leave', <<'SQL');
	made := stripe.find_customer('find', event->>'email');
	IF made IS NULL THEN
		RETURN '{"found": false}';
	END IF;
	PERFORM stripe.cancel_subscription('at-the-end', event->>'subscription', at_period_end => true);
	IF event ? 'stays' THEN
		PERFORM dataflows.fail('stays');
	END IF;
	PERFORM stripe.cancel_subscription('now', event->>'subscription');
	PERFORM stripe.cancel_subscription('again', event->>'subscription');
	PERFORM stripe.delete_customer('delete', made->>'id');
	PERFORM stripe.delete_customer('delete-again', made->>'id');
	out := stripe.get_customer('look', made->>'id');
SQL
$run = $stripe->ends('completed', 'a customer who has come', 'onboard', email => 'z@example.com');
my $sub = $stripe->result($run)->{id};

sub subscription { return (grep { $_->{id} eq $sub } @{ $stripe->books->{subscriptions} })[0]; }

$stripe->ends('rolled_back', 'one who stays after all', 'leave',
	email => 'z@example.com', subscription => $sub, stays => 1);
is(subscription()->{cancel_at_period_end}, 'false', 'the subscription goes on');
$run = $stripe->ends('completed', 'one who leaves', 'leave',
	email => 'z@example.com', subscription => $sub);
is(subscription()->{status}, 'canceled', 'the subscription has ended');
is(customers('z@example.com'), '1/0', 'the customer is deleted');
ok($stripe->result($run)->{deleted}, 'which its id goes on to say');
$run = $stripe->ends('completed', 'nobody', 'leave', email => 'none@example.com');
ok(!$stripe->result($run)->{found}, 'who is not there is not found');

$stripe->config(key => 'sk_test_other');
$run = $stripe->begin('late', email => 'key@example.com');
ok( wait_until(
		$node, "SELECT reason LIKE '%credentials%' FROM dataflows.runs WHERE run = '$run'", 60),
	'a key that is refused holds the runs');

done_testing();
