# What systems write into the bodies of their responses, and what is read there: an id must
# be found whatever is around it, and a response that came is never lost for its body.

use strict;
use warnings;
use utf8;

use Encode;
use MIME::Base64;
use Test::More;
use PostgreSQL::Test::Cluster;
use Dataflows;

my $systems = start_systems();
my $node = new_node('read_bodies');
my $functions = <<'SQL';
CREATE FUNCTION app.make(event jsonb) RETURNS jsonb LANGUAGE plpgsql AS $$
BEGIN
  RETURN dataflows.post('make', 'crm', '/contacts', '{}',
    undo => COALESCE(event->>'undo', 'none')) -> 'name';
END $$;
SELECT dataflows.define_workflow('make', 'app.make');
CREATE FUNCTION app.look(event jsonb) RETURNS jsonb LANGUAGE plpgsql AS $$
BEGIN
  RETURN dataflows.get('make', 'crm', '/contacts');
END $$;
SELECT dataflows.define_workflow('look', 'app.look');
SQL

sub in_db
{
	my ($db, $text) = @_;

	return decode('UTF-8',
		as_app($node, $db, encode('UTF-8', "SET client_encoding = 'UTF8'; $text")));
}

# a run whose request is answered so; its state, the undo, and the output of the step
sub answered
{
	my ($db, $headers, $bytes, %params) = @_;
	my $workflow = $params{workflow} // 'make';
	my $undo = $params{undo} // 'DELETE /contacts/{id}';

	$systems->clear_faults('crm');
	$systems->fault(
		'crm',
		fault => 'as_is',
		headers => $headers,
		base64 => encode_base64($bytes, ''));
	my $run = as_app($node, $db, "SELECT dataflows.start('$workflow', '{\"undo\": \"$undo\"}')");
	my $state = as_app($node, $db, "SELECT dataflows.await('$run', '60 s')");

	return (
		$state,
		split(
			/\|/,
			in_db(
				$db,
				"SELECT COALESCE(undo, ''), COALESCE(output::text, ''), COALESCE(error::text, '')
				FROM dataflows.steps WHERE run = '$run'"
			),
			3));
}

sub type { return [ [ 'Content-Type', $_[0] ] ]; }

# the id is found, and with it the undo
sub found
{
	my ($db, $headers, $bytes, $what) = @_;
	my ($state, $undo, $output) = answered($db, $headers, $bytes);

	is("$state $undo", 'completed DELETE /contacts/x1', "$db: $what");
	return $output;
}

my %encoding_of = (utf8 => 'UTF8', latin1 => 'LATIN1', ascii => 'SQL_ASCII');

for my $db (sort keys %encoding_of)
{
	$node->safe_psql('postgres',
		"CREATE DATABASE $db ENCODING '$encoding_of{$db}' LOCALE 'C' TEMPLATE template0");
	create_systems($node, $db, $systems, workflow => 0);
	in_db($db, $functions) if $db ne 'ascii';
	as_app($node, $db, $functions) if $db eq 'ascii';

	my $json = '{"id": "x1"}';

	found($db, type($_), $json, "type $_")
		for (
		'application/json', 'Application/JSON; charset=utf-8',
		'application/vnd.api+json', 'application/hal+JSON;v=1',
		'text/json', 'text/plain',
		'text/html; charset="utf-8"', 'application/x-whatever');
	found($db, [], $json, 'no type');
	found($db, type('application/json'), "\xEF\xBB\xBF$json", 'a byte order mark');
	found($db, type('application/json'), "\r\n\t $json \n", 'white space around it');
	found($db, type('application/json'), ")]}',\n$json", 'a guard before it');
	found($db, type('application/json'), ")]}'\n$json", 'another one');
	found($db, type('application/json'), '{"id": "x0", "id": "x1"}', 'a key twice');
	found($db, type('application/json'), '{"id": "x1", "a": "\\u0000"}', 'an escaped NUL');
	found($db, type('application/json'), "{\"id\": \"x1\", \"a\": \"\0\"}", 'a NUL');
	found($db, type('application/json'), "{\"id\": \"x1\", \"a\": \"\xE9\"}", 'a byte of no UTF-8');
	found($db, type('application/json'), "{\"id\": \"x1\", \"a\": \"1\n2\"}", 'a raw line break');
	found($db, type('application/json'), '{"id": "x1", "a": "\\ud83d"}', 'half a pair');
	found($db, type('application/json'), '{"id": "x1", "n": 1e999999}', 'a number without end');
	found($db, type('application/json'), '{"id": "x1", "n": ' . '9' x 200_000 . '}',
		'a number of many digits');
	found($db, type('application/json; charset=UTF-16'), encode('UTF-16', $json), 'UTF-16');
	found($db, type('application/json'), encode('UTF-16LE', $json), 'UTF-16 that nobody announced');
	found($db, type('application/json; charset=no-such'), $json, 'a charset that nobody knows');
	found($db, [ @{ type('application/json') }, [ 'Content-Encoding', 'utf-8' ] ],
		$json, 'Content-Encoding: utf-8');
	found($db, [ @{ type('application/json') }, [ 'Content-Encoding', 'gzip' ] ],
		$json, 'gzip that is none');

	my ($state, $undo) = answered($db, type('application/json'), '{"id": 12345678901234567890}');
	is("$state $undo", 'completed DELETE /contacts/12345678901234567890', "$db: all digits");

	for my $charset ('iso-8859-1', 'ISO-8859-15', 'Windows-1252', 'utf-8', 'UTF-16BE')
	{
		next if $db eq 'ascii';
		my $output = found($db, type("application/json; charset=$charset"),
			encode($charset, '{"id": "x1", "name": "Müller"}'), "JSON in $charset");
		like($output, qr/"Müller"/, 'with its name');
		($state, $undo, $output) = answered($db, type("text/xml;charset=\"$charset\""),
			encode($charset, '<n>Müller</n>'), undo => 'none');
		is("$state $output", 'completed "<n>Müller</n>"', 'and so is text');
	}

	# nothing is there
	for my $bytes ('', "\r\n", " \t\n ", "\xEF\xBB\xBF")
	{
		my ($state, $undo, $output, $error) =
			answered($db, type('application/json'), $bytes, undo => 'none');
		is("$state $output$error", 'completed ', "$db: white space alone is an empty body");
	}

	# what cannot be read matters only where it is needed
	for my $case (
		[ 'JSON that breaks off', type('application/json'), '{"id": "x1' ],
		[ 'JSON too deep', type('application/json'), '[' x 100_000 . ']' x 100_000 ],
		[ 'unknown compression', [ [ 'Content-Encoding', 'br' ] ], "\x8b\x05\x80\xff\x00" ],
		[ 'a picture', type('image/png'), "\x89PNG\r\n\x1a\n\0\0\xff" ],
		[ 'broken compression', [ [ 'Content-Encoding', 'gzip' ] ], "\x1f\x8b\x08\0\0\0\0\0\0\3z" ])
	{
		my ($what, $headers, $bytes) = @$case;
		my ($state, $undo, $output, $error) = answered($db, $headers, $bytes, undo => 'none');

		is($state, 'completed', "$db: $what: the step is done");
		like($error, qr/done, but/, 'and says why its output is of no use');
		($state) = answered($db, $headers, $bytes);
		is($state, 'stuck', 'an undo that needs the id is left to a person');
	}
	($state, $undo) = answered($db, type('application/json'), "{\"id\": \"x\xE9\"}");
	is($state, 'stuck', "$db: so is one whose id could not be read whole") if $db eq 'utf8';

	# a word that was announced as JSON
	($state, undef, my $output) = answered($db, type('application/json'), 'OK', undo => 'none');
	is("$state $output", 'completed "OK"', "$db: a word is kept as text");
}

# ---- a response that breaks off behind its headers -----------------------------------------------

# no key tells the system that a second request is the same
$node->safe_psql('postgres', 'CREATE DATABASE plain TEMPLATE template0');
create_systems($node, 'plain', $systems, workflow => 0, untrusted => 1);
as_app($node, 'plain', <<'SQL');
CREATE FUNCTION app.once(event jsonb) RETURNS jsonb LANGUAGE plpgsql AS $$
BEGIN
  RETURN dataflows.post('make', 'crm', '/contacts', event, undo => event->>'undo');
END $$;
SELECT dataflows.define_workflow('once', 'app.once');
SQL

# state, and how many there are
sub broken_off
{
	my ($email, $undo, %fault) = @_;

	$systems->clear_faults('crm');
	$systems->fault('crm', %fault, times => 1);
	my $run = as_app($node, 'plain',
		qq(SELECT dataflows.start('once', '{"email": "$email", "undo": "$undo"}')));
	my $state = as_app($node, 'plain', "SELECT dataflows.await('$run', '60 s')");
	my $reason = as_app($node, 'plain',
		"SELECT COALESCE(stuck, error) FROM dataflows.runs WHERE run = '$run'");

	return ($state . ($systems->summary('crm')->{$email} // [ 0, 0 ])->[1], $reason);
}

my ($state, $reason) = broken_off('cut1@x', 'none', fault => 'truncated');
is($state, 'completed1', 'a 201 that breaks off is done, where its body is not needed');
($state, $reason) = broken_off('cut2@x', 'DELETE /contacts/{id}', fault => 'truncated');
is($state, 'stuck1', 'where it is needed, a person has to look');
like($reason, qr/cut short/, 'and is told why');

# ---- secrets that come back ----------------------------------------------------------------------

$node->safe_psql('plain',
	"CREATE USER MAPPING FOR app SERVER crm OPTIONS (bearer_token 'a-token-of-ours')");
for my $charset ('UTF-8', 'UTF-16LE', 'ISO-8859-1')
{
	my (undef, $text) = broken_off(
		"secret-$charset\@x", 'none',
		fault => 'as_is',
		status => 409,
		headers => type("application/json; charset=$charset"),
		base64 => encode_base64(
			encode($charset, '{"message": "Bad ü token a-token-of-ours"}'), ''));

	like($text, qr/Bad .* token \[redacted\]/, "a secret in $charset is not kept");
}

# ---- headers and refusals ------------------------------------------------------------------------

in_db('utf8', <<'SQL');
CREATE FUNCTION app.refused(event jsonb) RETURNS jsonb LANGUAGE plpgsql AS $$
DECLARE
  d text;
BEGIN
  PERFORM dataflows.post('make', 'crm', '/contacts', '{}', undo => 'none');
  RETURN dataflows.response('make');
EXCEPTION WHEN SQLSTATE 'DF001' THEN
  GET STACKED DIAGNOSTICS d = PG_EXCEPTION_DETAIL;
  RETURN jsonb_build_object('detail', d::jsonb, 'said', SQLERRM,
    'response', dataflows.response('make'));
END $$;
SELECT dataflows.define_workflow('refused', 'app.refused');
SQL

# what a query finds in the result of that workflow
sub result_of
{
	my ($query, $status, $headers, $bytes) = @_;

	$systems->clear_faults('crm');
	$systems->fault(
		'crm',
		fault => 'as_is',
		status => $status,
		headers => $headers,
		base64 => encode_base64($bytes, ''));
	my $run = as_app($node, 'utf8', "SELECT dataflows.start('refused')");

	is(as_app($node, 'utf8', "SELECT dataflows.await('$run', '60 s')"), 'completed', 'a run ends');
	return in_db('utf8', "SELECT $query FROM dataflows.runs WHERE run = '$run'");
}

is( result_of(
		"(result->'headers') - 'content-type'", 201,
		[ [ 'X-One', 'a' ], [ 'Link', '<1>' ], [ 'X-Umlaut', "\xFC" ], [ 'link', '<2>' ] ], '{}'
	),
	'{"link": ["<1>", "<2>"], "x-one": "a", "x-umlaut": "ü"}',
	'headers that come twice are arrays, and old ones are read, too');

my $json = type('application/json');
my $long = '{"trace": "' . 'x' x 60_000 . '", "code": "MEMBER"}';

is(result_of("result->'detail'->'body'->>'code'", 409, $json, $long),
	'MEMBER', 'a refusal of 60 kB is whole');
is(result_of("(result->'detail'->>'body')::jsonb->>'code'", 409, $json, $long),
	'MEMBER', 'as text, too');
is(result_of("result->'response'->'body'->>'code'", 409, $json, $long),
	'MEMBER', 'and in response()');
is( result_of(
		"length(result->'detail'->>'body')", 409, $json, '{"trace": "' . 'x' x 200_000 . '"}'),
	65_536,
	'a longer one is cut');
is( result_of(
		"octet_length(result->'detail'->>'body') BETWEEN 65533 AND 65536", 409,
		type('text/plain'), encode('UTF-8', 'ü' x 100_000)),
	't',
	'at a character');

my %words = (
	'{"message": "No seat is left"}' => 'No seat is left',
	'{"error": "no_seat"}' => 'no_seat',
	'{"error": {"message": "No seat", "code": 7}}' => 'No seat',
	'{"errors": [{"code": 7}, {"detail": "No seat"}]}' => 'No seat',
	'{"errors": [{"message": "No\\nseat"}]}' => 'No seat',
	'{"title": "Conflict", "detail": "No seat"}' => 'No seat',
	'{"title": "Conflict"}' => 'Conflict');

for my $body (sort keys %words)
{
	my $said = result_of("result->>'said'", 409, $json, $body);

	like($said, qr/answered with status 409: \Q$words{$body}\E$/, "the words in $body");
}
like(result_of("result->>'said'", 409, $json, '{"id": 4}'), qr/status 409$/, 'or none');

nothing_crashed($node);
$node->stop;
$systems->stop;
done_testing();
