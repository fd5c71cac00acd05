# Webhooks of vendors by one word: how each signs, where event, key and id are, arrays of events.

use strict;
use warnings;

use Digest::SHA qw(hmac_sha256_hex hmac_sha256_base64);
use File::Temp qw(tempdir);
use JSON::PP;
use MIME::Base64;
use Test::More;
use PostgreSQL::Test::Cluster;
use PostgreSQL::Test::Utils;
use Dataflows;

my $node = new_node('presets', conf => "dataflows.public_url = 'https://flows.example.com'\n");
my $directory = tempdir(CLEANUP => 1);

sub openssl { run_log([ 'openssl', @_ ]) or die "openssl @_"; return; }

# a key of SendGrid's, and its public half as one copies it from there
openssl('ecparam', '-name', 'prime256v1', '-genkey', '-noout', '-out', "$directory/key");
openssl('ec', '-in', "$directory/key", '-pubout', '-outform', 'DER', '-out', "$directory/public");
my $public = encode_base64(slurp_file("$directory/public"), '');
my %secret = (
	stripe => 'whsec_hush',
	hubspot => 'hubspot-hush',
	sendgrid => $public,
	auth0 => 'auth0-hush',
	postmark => 'post:mark-hush',
	slack => 'slack-hush');

create_app($node);
for my $vendor (sort keys %secret)
{
	$node->safe_psql('postgres', <<"SQL");
CREATE SERVER $vendor FOREIGN DATA WRAPPER dataflows OPTIONS (url 'https://$vendor.example');
GRANT USAGE ON FOREIGN SERVER $vendor TO app;
CREATE USER MAPPING FOR app SERVER $vendor OPTIONS (webhook_secret '$secret{$vendor}');
SQL
}
as_app($node, 'postgres', <<'SQL');
CREATE FUNCTION app.hears(event jsonb) RETURNS jsonb LANGUAGE plpgsql AS $$
DECLARE
	heard jsonb := '[]';
BEGIN
	FOR n IN 1 .. (event->>'events')::int LOOP
		heard := heard || dataflows.wait_for(event->>'name');
	END LOOP;
	RETURN heard;
END $$;
SELECT dataflows.define_workflow('hears', 'app.hears');
SELECT dataflows.create_webhook('/hooks/' || p, signals => 'hears', preset => p)
FROM unnest('{stripe, hubspot, sendgrid, auth0, postmark}'::text[]) p;
SELECT dataflows.create_webhook('/hooks/slack', signals => 'hears', key => '$.event.channel',
	preset => 'slack');
SQL

sub signed_by_sendgrid
{
	my ($text) = @_;

	PostgreSQL::Test::Utils::append_to_file("$directory/text", '');
	open(my $file, '>:raw', "$directory/text") or die $!;
	print $file $text;
	close $file;
	openssl('dgst', '-sha256', '-sign', "$directory/key", '-out', "$directory/signature",
		"$directory/text");
	return encode_base64(slurp_file("$directory/signature"), '');
}

# the headers with which each vendor would send a body
my %sign = (
	stripe => sub {
		my ($body, $at) = @_;
		my $mac = hmac_sha256_hex("$at.$body", $secret{stripe});
		return { 'Stripe-Signature' => "t=$at,v1=$mac" };
	},
	hubspot => sub {
		my ($body, $at) = @_;
		my $mac = hmac_sha256_base64(
			"POSThttps://flows.example.com/hooks/hubspot$body${at}000", $secret{hubspot});
		return { 'X-HubSpot-Request-Timestamp' => "${at}000", 'X-HubSpot-Signature-v3' => "$mac=" };
	},
	sendgrid => sub {
		my ($body, $at) = @_;
		return {
			'X-Twilio-Email-Event-Webhook-Timestamp' => "$at",
			'X-Twilio-Email-Event-Webhook-Signature' => signed_by_sendgrid("$at$body") };
	},
	auth0 => sub { return { Authorization => "Bearer $secret{auth0}" }; },
	postmark => sub {
		return { Authorization => 'Basic ' . encode_base64($secret{postmark}, '') };
	},
	slack => sub {
		my ($body, $at) = @_;
		my $mac = hmac_sha256_hex("v0:$at:$body", $secret{slack});
		return { 'X-Slack-Request-Timestamp' => "$at", 'X-Slack-Signature' => "v0=$mac" };
	});

sub deliver
{
	my ($vendor, $body, $headers) = @_;
	my $text = JSON::PP->new->canonical->encode($headers);
	my $answer = $node->safe_psql('postgres',
		"SELECT dataflows.receive_webhook('/hooks/$vendor', \$j\$$text\$j\$,
			convert_to(\$b\$$body\$b\$, 'UTF8'))"
	);

	return decode_json($answer);
}

sub listens
{
	my ($key, $event, $events) = @_;
	return as_app($node, 'postgres', "SELECT dataflows.start('hears',
		'{\"name\": \"$event\", \"events\": $events}', '$key')");
}

# each: the event of one delivery, the same again with another attempt, its name, the run's key
my %events = (
	stripe => [
		{ id => 'evt_1', type => 'invoice.paid',
			data => { object => { metadata => { dataflows_key => 'k-stripe' } } } },
		'invoice.paid', 'k-stripe' ],
	hubspot => [
		[ { eventId => 1, subscriptionId => 9, occurredAt => 1700000000000, objectId => 4711,
				subscriptionType => 'contact.deletion', attemptNumber => 0 } ],
		'contact.deletion', '4711' ],
	sendgrid => [
		[ { sg_event_id => 'a', event => 'delivered', dataflows_key => 'k-sendgrid' } ],
		'delivered', 'k-sendgrid' ],
	auth0 => [
		{ id => 'evt_9', type => 'user.deleted',
			data => { object => { app_metadata => { dataflows_key => 'k-auth0' } } } },
		'user.deleted', 'k-auth0' ],
	postmark => [
		{ RecordType => 'Bounce', MessageID => 'm1', ID => 42,
			Metadata => { dataflows_key => 'k-postmark' } },
		'Bounce', 'k-postmark' ],
	slack => [
		{ type => 'event_callback', event_id => 'Ev1',
			event => { type => 'app_mention', channel => 'C1' } },
		'app_mention', 'C1' ]);

for my $vendor (sort keys %events)
{
	my ($event, $name, $key) = @{ $events{$vendor} };
	my $run = listens($key, $name, 1);
	my $body = JSON::PP->new->canonical->encode($event);
	my $headers = $sign{$vendor}->($body, time());
	my $answer;

	for my $header (sort keys %$headers)
	{
		my %wrong = %$headers;

		$wrong{$header} =~ s/(\w)(\w{0,3}=*)$/($1 eq 'x' ? 'y' : 'x') . $2/e;
		is(deliver($vendor, $body, \%wrong)->{status}, 401, "$vendor: another $header");
		delete $wrong{$header};
		is(deliver($vendor, $body, \%wrong)->{status}, 401, "$vendor: no $header");
	}
	if ($vendor !~ /auth0|postmark/)
	{
		is(deliver($vendor, "$body ", $headers)->{status}, 401, "$vendor: another body");
	}
	if ($vendor =~ /stripe|hubspot|slack/)
	{
		is(deliver($vendor, $body, $sign{$vendor}->($body, time() - 400))->{status},
			401, "$vendor: too old");
	}
	$answer = deliver($vendor, $body, $headers);
	is($answer->{status}, 202, "$vendor: taken") or diag(encode_json($answer));
	is(($answer->{events} ? $answer->{events}[0] : $answer)->{run}, $run, "$vendor: by its key");

	# again, as it is tried again
	$event->[0]{attemptNumber} = 1 if $vendor eq 'hubspot';
	$body = JSON::PP->new->canonical->encode($event);
	deliver($vendor, $body, $sign{$vendor}->($body, time()));
	is(as_app($node, 'postgres', "SELECT dataflows.await('$run', '60 s')"),
		'completed', "$vendor: the event has come");
	is($node->safe_psql('postgres',
			"SELECT deliveries FROM dataflows.webhooks WHERE path = '/hooks/$vendor'"),
		1, "$vendor: once");
}

# ---- arrays of events

my $run = listens('k-many', 'delivered', 2);
my $body = encode_json([
	{ sg_event_id => 'm1', event => 'delivered', dataflows_key => 'k-many' },
	{ sg_event_id => 'm2', event => 'delivered', dataflows_key => 'k-many' },
	{ sg_event_id => 'm1', event => 'delivered', dataflows_key => 'k-many' },
	{ sg_event_id => 'm3', event => 'open', email => 'other@example.com' } ]);
my $answer = deliver('sendgrid', $body, $sign{sendgrid}->($body, time()));
is($answer->{status}, 202, 'four events');
is(@{ $answer->{events} }, 4, 'and four responses');
like($answer->{events}[3]{ignored}, qr/no key/, 'one of them is nobody\'s');
is(as_app($node, 'postgres', "SELECT dataflows.await('$run', '60 s')"), 'completed', 'both come');
is($node->safe_psql('postgres',
		"SELECT count(*) FROM dataflows.signals WHERE run = '$run'"),
	2, 'the one that is there twice comes once');
is(deliver('sendgrid', '[]', $sign{sendgrid}->('[]', time()))->{status}, 200, 'none at all');

# ---- Slack asks first

$body = '{"type": "url_verification", "challenge": "3eZbrw1aB"}';
$answer = deliver('slack', $body, $sign{slack}->($body, time()));
is_deeply([ $answer->{status}, $answer->{challenge} ], [ 200, '3eZbrw1aB' ], 'the challenge');
is(deliver('slack', $body, {})->{status}, 401, 'only to Slack');

# ---- what a preset fills in

is( $node->safe_psql('postgres', q(SELECT string_agg(concat_ws(' ', preset, verify, secret_of,
		event, key), E'\n' ORDER BY preset) FROM dataflows.webhooks)),
	<<'ROWS' =~ s/\n\z//r, 'what is filled in');
auth0 bearer auth0 $.type $.data.object.app_metadata.dataflows_key
hubspot hubspot hubspot $.subscriptionType $.objectId
postmark basic postmark $.RecordType $.Metadata.dataflows_key
sendgrid sendgrid sendgrid $.event $.dataflows_key
slack slack slack $.event.type $.event.channel
stripe stripe stripe $.type $.data.object.metadata.dataflows_key
ROWS

sub refused
{
	my ($call) = @_;
	my (undef, undef, $error) = $node->psql('postgres', "SELECT dataflows.create_webhook($call)",
		extra_params => [ '-U', 'app' ]);

	return $error;
}
like(refused(q('/x', signals => 'hears', preset => 'stripes')),
	qr/preset "stripes" .* is not known.*Use stripe, hubspot, /s, 'an unknown one');
like(refused(q('/x', signals => 'hears', preset => 'slack')), qr/has no key/, 'Slack has no key');
like(
	refused(q('/x', signals => 'hears', preset => 'stripe', secret => 'none')),
	qr/secret of webhook "\/x" cannot be found/,
	'a secret that is not there');
$node->safe_psql('postgres', "ALTER SYSTEM RESET dataflows.public_url");
$node->append_conf('postgresql.conf', "dataflows.public_url = ''");
$node->reload;
$body = encode_json($events{hubspot}[0]);
ok( wait_until(
		$node, "SELECT current_setting('dataflows.public_url') = ''", 30), 'without a public_url');
is(deliver('hubspot', $body, $sign{hubspot}->($body, time()))->{error},
	'dataflows.public_url is not set', 'HubSpot cannot be verified, and it says why');

done_testing();
