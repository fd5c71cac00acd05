# A database in another encoding than the world's: what is sent is UTF-8, and what
# comes is read as such.

use strict;
use warnings;
use utf8;

use Encode;
use JSON::PP;
use Test::More;
use Time::HiRes qw(time usleep);
use PostgreSQL::Test::Cluster;
use Dataflows;

my $systems = start_systems();
my $collector = start_collector();
my $node = new_node('encoding',
		  conf => "dataflows.sweep_interval = '2s'\ndataflows.otlp_endpoint = '"
		. $collector->url
		. "'\n");
my $sql = <<'SQL';
CREATE FUNCTION app.one(event jsonb) RETURNS jsonb LANGUAGE plpgsql AS $$
DECLARE
  made jsonb;
BEGIN
  made := dataflows.post('make', event->>'system', '/' || (event->>'things'), event->'body',
    undo => 'none');
  made := made || jsonb_build_object('again', dataflows.get('find', event->>'system',
    dataflows.url('/' || (event->>'things') || '?name=%s', event->'body'->>'name')));
  RETURN made;
END $$;
SELECT dataflows.define_workflow('one', 'app.one');
CREATE FUNCTION app.headers(event jsonb) RETURNS jsonb LANGUAGE plpgsql AS $$
BEGIN
  RETURN dataflows.post('schön', 'crm', '/contacts', '{}', headers => '{"X-Name": "Zoë"}',
    undo => 'none');
END $$;
SELECT dataflows.define_workflow('headers', 'app.headers');
SELECT dataflows.create_webhook('/h', starts => 'one', key => '$.body.name');
SQL

sub in_db
{
	my ($db, $text) = @_;
	my $answer = as_app($node, $db, encode('UTF-8', "SET client_encoding = 'UTF8'; $text"));

	return decode('UTF-8', $answer);
}

for my $encoding (qw(LATIN1 LATIN9 UTF8))
{
	my $db = lc $encoding;
	my $euro = $encoding eq 'LATIN1' ? '?' : '€';
	my $cat = $encoding eq 'UTF8' ? "\x{1F408}" : '?';

	$systems->reset;
	$node->safe_psql('postgres',
		"CREATE DATABASE $db ENCODING '$encoding' LOCALE 'C' TEMPLATE template0");
	create_systems($node, $db, $systems, workflow => 0);
	$node->safe_psql($db, "ALTER SERVER billing OPTIONS (ADD encoding 'form')");
	in_db($db, $sql);
	for my $case ([ 'crm', 'contacts', 'JSON' ], [ 'billing', 'customers', 'a form' ])
	{
		my ($system, $things, $what) = @$case;
		my $run = in_db(
			$db,
			qq(SELECT dataflows.start('one',
				'{"system": "$system", "things": "$things",
					"body": {"email": "z\@x", "name": "Zoë Ørsted"}}'))
		);

		ok( wait_until(
				$node, "SELECT state = 'completed' FROM dataflows.runs WHERE run = '$run'",
				20, $db),
			"$encoding: sent as $what");
		my ($record) = @{ $systems->books($system)->{records} };

		is($record->{data}{name}, 'Zoë Ørsted', 'the books have the name');
		is( in_db(
				$db,
				"SELECT (result->>'name') || ' ' || length(result->>'name') || ' ' ||
					jsonb_array_length(result->'again') FROM dataflows.runs WHERE run = '$run'"
			),
			'Zoë Ørsted 10 1',
			'so has the answer, and a path finds it');
	}

	# what the database cannot say
	$systems->fault(
		'crm',
		match => { method => 'GET' },
		status => 200,
		body => [ { price => "7 €", pet => "\x{1F408}!", file => 'C:\\u20ac' } ]);
	my $run = in_db(
		$db,
		q(SELECT dataflows.start('one',
			'{"system": "crm", "things": "contacts", "body": {"email": "e@x", "name": "E"}}'))
	);

	ok( wait_until(
			$node, "SELECT state = 'completed' FROM dataflows.runs WHERE run = '$run'",
			20, $db),
		'an answer with other characters');
	is( in_db(
			$db,
			"SELECT (result #>> '{again,0,price}') || ' ' || (result #>> '{again,0,pet}') || ' ' ||
				(result #>> '{again,0,file}') FROM dataflows.runs WHERE run = '$run'"
		),
		"7 $euro $cat! C:\\u20ac",
		'is read as far as it can be');
	$systems->clear_faults;

	# a header, and the name of a step in a trace
	$systems->fault('crm', match => { method => 'POST' }, fault => 'echo');
	$run = in_db($db, q(SELECT dataflows.start('headers', '{}')));
	ok( wait_until(
			$node, "SELECT error IS NOT NULL FROM dataflows.steps WHERE run = '$run'",
			20, $db),
		"$encoding: headers");
	$systems->clear_faults;
	like(in_db($db, "SELECT error FROM dataflows.steps WHERE run = '$run'"),
		qr/ZoÃ«/, 'are UTF-8');
	my @spans;
	my $end = time() + 15;

	do
	{
		@spans = grep { $_->{attributes}{'dataflows.run'} eq $run && $_->{name} =~ /^sch/ }
			$collector->spans;
	} while (!@spans && time() < $end && usleep(50_000) >= 0);
	is($spans[0]{name}, $encoding eq 'UTF8' ? 'schön' : 'sch?n', 'a span says what can be said');

	# webhooks
	my $hex = unpack(
		'H*',
		encode(
			'UTF-8',
			'{"system": "crm", "things": "contacts", "body": {"email": "w@x", "name": "Chloé"}}'));
	my $superuser =
		  "SET client_encoding = 'UTF8'; SELECT dataflows.receive_webhook('/h', '{}', "
		. "'\\x$hex')->>'run'";

	$run = $node->safe_psql($db, $superuser);
	is(in_db($db, "SELECT key || ' ' || length(key) FROM dataflows.runs WHERE run = '$run'"),
		'Chloé 5', 'a webhook');
	$hex = unpack('H*', 'system=crm&body=%C3%A9&things=contacts');
	$run = $node->safe_psql($db,
			  "SELECT dataflows.receive_webhook('/h', '{\"Content-Type\": "
			. "\"application/x-www-form-urlencoded\"}', '\\x$hex')");
	like($run, qr/there is no key/, 'a form');
	in_db($db, "SELECT dataflows.create_webhook('/f', starts => 'one', key => '\$.name')");
	$hex = unpack('H*', 'system=crm&name=%C3%A9t%C3%A9&things=contacts');
	$run = $node->safe_psql($db,
			  "SELECT dataflows.receive_webhook('/f', '{\"Content-Type\": "
			. "\"application/x-www-form-urlencoded\"}', '\\x$hex')->>'run'");
	is(in_db($db, "SELECT key || ' ' || length(key) FROM dataflows.runs WHERE run = '$run'"),
		'été 3', 'and its fields');
	$hex = unpack('H*', "{\"body\": {\"name\": \"\xe9\"}}");
	like(
		$node->safe_psql($db, "SELECT dataflows.receive_webhook('/h', '{}', '\\x$hex')"),
		qr/"status": 400/,
		'what is no UTF-8 is refused');
}

nothing_crashed($node);
$node->stop;
$systems->stop;
$collector->stop;
done_testing();
