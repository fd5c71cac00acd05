# Bodies that are not JSON: text, forms whose arrays are written in three ways, and files.  Each
# arrives as a parser that is not ours reads it, the same at each attempt; what cannot be sent is
# refused at the call.

use strict;
use warnings;
use utf8;

use Encode;
use JSON::PP;
use MIME::Base64;
use Test::More;
use PostgreSQL::Test::Cluster;
use PostgreSQL::Test::Utils;
use Dataflows;
use Dataflows::Checker;

my $checker = Dataflows::Checker->new;
my $node = new_node('bodies', conf => "dataflows.max_body = '1MB'\n");
my $url = $checker->url;
my $json = JSON::PP->new->canonical->allow_nonref;

sub server
{
	my ($name, $options) = @_;

	$node->safe_psql('postgres', <<"SQL");
CREATE SERVER $name FOREIGN DATA WRAPPER dataflows OPTIONS (url '$url', allow_private 'true',
  retry_initial '20ms', retry_max '50ms', settle '100ms'@{[ $options ? ", $options" : '' ]});
GRANT USAGE ON FOREIGN SERVER $name TO app;
SQL
	return;
}

create_app($node);
server('plain');
server('soap', q(encoding 'text', content_type 'text/xml; charset=UTF-8'));
server('forms', q(encoding 'form'));
server('repeating', q(encoding 'form', form_arrays 'repeat'));
server('uploads', q(encoding 'multipart', form_arrays 'brackets'));
as_app($node, 'postgres', <<'SQL');
CREATE FUNCTION app.one(event jsonb) RETURNS jsonb LANGUAGE plpgsql AS $$
DECLARE
  detail text;
  hint text;
  made jsonb;
BEGIN
  IF event ? 'undo' THEN
    made := dataflows.http('make', event->>'system', coalesce(event->>'method', 'POST'),
      event->>'path', event->'body', query => event->'query', options => event->'options',
      headers => event->'headers', undo => event->'undo');
    RAISE EXCEPTION 'enough';
  END IF;
  RETURN dataflows.http('make', event->>'system', coalesce(event->>'method', 'POST'),
    event->>'path', event->'body', query => event->'query', options => event->'options',
    headers => event->'headers');
EXCEPTION WHEN SQLSTATE '22023' OR SQLSTATE 'DF006' THEN
  GET STACKED DIAGNOSTICS hint = PG_EXCEPTION_HINT;
  RETURN jsonb_build_object('refused', SQLERRM, 'hint', hint);
END $$;
SELECT dataflows.define_workflow('one', 'app.one');
SQL

# what the system understood of the request of a run
sub sent
{
	my ($system, $body, %more) = @_;
	my $input = encode('UTF-8', $json->encode({ system => $system, path => '/make', %more }));

	# the body as it is written: its arrays and numbers too
	$input =~ s/}\z/, "body": $body}/ if defined $body;
	$input =~ s/'/''/g;
	my $run = as_app($node, 'postgres', "SELECT dataflows.start('one', '$input')");
	is(comes_to_rest($node, $run), $more{undo} ? 'rolled_back' : 'completed', 'a run ends')
		or dump_state($node);
	return $run if $more{undo};
	my $result = decode_json(
		encode('UTF-8', decode('UTF-8', as_app($node, 'postgres',
			"SELECT result FROM dataflows.runs WHERE run = '$run'"))));
	return $result;
}

sub pairs { my ($sent) = @_; return join('&', map { "$_->[0]=$_->[1]" } @{ $sent->{form} }); }

# ---- text

my $sent = sent('soap', '"<a>ä & \"b\"</a>\n"');
is($sent->{body}, encode('UTF-8', "<a>ä & \"b\"</a>\n"), 'text arrives as it is');
is($sent->{type}, 'text/xml; charset=UTF-8', 'with the type of the system');
$sent = sent('plain', '"{\"a\": 1}\n{\"a\": 2}\n"',
	options => { encoding => 'text', content_type => 'application/x-ndjson' });
is($sent->{body}, qq({"a": 1}\n{"a": 2}\n), 'NDJSON, said by the step');
is($sent->{type}, 'application/x-ndjson', 'with its type');
$sent = sent('plain', '"hello"', options => { encoding => 'text' });
is($sent->{type}, 'text/plain; charset=utf-8', 'plain text is the default of text');
$sent = sent('plain', '"<a/>"', options => { encoding => 'text' },
	headers => { 'Content-Type' => 'text/xml', SOAPAction => 'x' });
is($sent->{type}, 'text/xml', 'a header of the step says otherwise');
$sent = sent('soap', '{"a": [1, 2.50]}', options => { encoding => 'json' });
is($sent->{body}, '{"a": [1, 2.50]}', 'a step may send JSON to a system of text');
is($sent->{type}, 'application/json', 'whose type is not that of the system');
$sent = sent('plain', '{"a": 1}', options => { content_type => 'application/vnd.api+json' });
is($sent->{type}, 'application/vnd.api+json', 'JSON of another type');
$sent = sent('soap', undef, method => 'GET');
is($sent->{type}, undef, 'no body, no type');

# ---- forms

my $form = '{"To": ["a", "b"], "flag": true, "empty": "", "none": null, "list": [],
  "deep": {"x": [{"y": 1}, {"y": 2.50}]}, "ü&=": "+ %"}';
$sent = sent('forms', $form);
is( pairs($sent),
	'To[0]=a&To[1]=b&deep[x][0][y]=1&deep[x][1][y]=2.50&flag=true&ü&==+ %&empty=',
	'arrays by indices, as before');
$sent = sent('repeating', $form);
is(pairs($sent), 'To=a&To=b&deep[x][y]=1&deep[x][y]=2.50&flag=true&ü&==+ %&empty=', 'repeated');
$sent = sent('forms', $form, options => { form_arrays => 'brackets' });
is(pairs($sent), 'To[]=a&To[]=b&deep[x][][y]=1&deep[x][][y]=2.50&flag=true&ü&==+ %&empty=',
	'with brackets, said by the step');
$sent = sent('plain', $form, options => { encoding => 'form', form_arrays => 'repeat' });
is($sent->{type}, 'application/x-www-form-urlencoded', 'a form to a system of JSON');
$sent = sent('plain', undef, method => 'GET', query => { id => [ 1, 2 ] },
	options => { form_arrays => 'repeat' });
is($sent->{path}, '/make?id=1&id=2', 'arrays in the query');
$sent = sent('repeating', undef, method => 'GET', query => { id => [ 1, 2 ] });
is($sent->{path}, '/make?id=1&id=2', 'as the system says');

# a changed option of the system does not change what was recorded
my $held = as_app($node, 'postgres', <<'SQL');
CREATE FUNCTION app.waits(event jsonb) RETURNS jsonb LANGUAGE plpgsql AS $$
BEGIN
  PERFORM dataflows.get('first', 'repeating', '/make', query => '{"id": [1, 2]}');
  PERFORM dataflows.wait_for('go');
  RETURN dataflows.get('first', 'repeating', '/make', query => '{"id": [1, 2]}');
END $$;
SELECT dataflows.define_workflow('waits', 'app.waits')::text <> '';
SELECT dataflows.start('waits', '{}');
SQL
($held) = $held =~ /([0-9a-f-]{36})/;
becomes($node, $held, 'waiting', 'a run waits');
$node->safe_psql('postgres', "ALTER SERVER repeating OPTIONS (SET form_arrays 'indices')");
as_app($node, 'postgres', "SELECT dataflows.signal('$held', 'go')");
becomes($node, $held, 'completed', 'the recorded request is still the same');
$node->safe_psql('postgres', "ALTER SERVER repeating OPTIONS (SET form_arrays 'repeat')");

# ---- files

my $bytes = join('', map { chr } 0 .. 255) . "\r\n--x--\r\n";
my $base64 = encode_base64($bytes, "\n");
my $file = $json->encode(
	{ filename => "Grüße \"1\".pdf", content_type => 'application/pdf', base64 => $base64 });
my $upload = qq({"title": "Übersicht", "n": 1.50, "none": null, "tags": ["a", "b"], "file": $file,
  "more": [{"base64": "aGk="}, {"base64": "", "filename": "empty.txt"}]});

sub shown
{
	my ($sent) = @_;

	return join("\n", map { join('|', map { $_ // '-' } @$_{qw(name filename type)}) }
			@{ $sent->{parts} });
}

my $parts = <<'PARTS' =~ s/\n\z//r;
n|-|-
tags[]|-|-
tags[]|-|-
title|-|-
file|Grüße %221%22.pdf|application/pdf
more[]|-|application/octet-stream
more[]|empty.txt|application/octet-stream
PARTS
$sent = sent('uploads', $upload);
is(shown($sent), $parts, 'fields, then files');
is_deeply($sent->{defects}, [], 'without defects');
is_deeply([ map { decode_base64($_->{base64}) } @{ $sent->{parts} } ],
	[ '1.50', 'a', 'b', encode('UTF-8', 'Übersicht'), $bytes, 'hi', '' ],
	'every byte arrives');
like($sent->{type}, qr/^multipart\/form-data; boundary=dataflows-[0-9a-f]{30}$/, 'and its type');
my $again = sent('uploads', $upload, path => '/failing-2/make');
my @attempts = grep { $_->{path} eq '/failing-2/make' } $checker->requests;
is(scalar @attempts, 3, 'an upload is tried three times');
is_deeply([ map { $_->{digest} eq $sent->{digest} ? 'same' : 'other' } @attempts ],
	[qw(same same same)], 'with the same bytes');
is_deeply([ map { $_->{type} } @attempts ], [ ($sent->{type}) x 3 ], 'and the same boundary');
$sent = sent('plain', $upload, options => { encoding => 'multipart' });
like(shown($sent), qr/^tags\[0\]/m, 'said by the step, arrays by indices');

# ---- the undo of each: its own body is as the system says, and knows the request

sub undone
{
	my ($system, $body, $undo, %more) = @_;
	$undo = { request => $undo->{request} // 'POST /undo', %$undo };
	sent($system, $body, undo => $undo, %more);
	return ($checker->requests)[-1];
}

$sent = undone('plain', $upload,
	{ body => { title => '{request.title}', tag => '{request.tags.1}' } },
	options => { encoding => 'multipart' });
is($sent->{type}, 'application/json', 'the undo of an upload is as the system says');
is_deeply(decode_json($sent->{body}), { title => 'Übersicht', tag => 'b' },
	'and names a field of the upload');
$sent = undone('forms', '{"email": "a@b.c", "n": 1, "list": [7]}',
	{ request => 'DELETE /things?email={request.email}', body => { n => '{request.list}' } });
is($sent->{path}, '/things?email=a%40b.c', 'the undo of a form names a field of it');
is(pairs($sent), 'n[0]=7', 'and is a form');
$sent = undone('soap', '"<a/>"', { body => '<undo>{request}</undo>' });
is($sent->{body}, '<undo><a/></undo>', 'the undo of a text is a text, and has the text');
is($sent->{type}, 'text/xml; charset=UTF-8', 'of the type of the system');

$sent = undone('plain', '"<a/>"', { body => { a => 1 } },
	options => { encoding => 'text' }, headers => { 'Content-Type' => 'text/xml', 'X-A' => 'b' });
is($sent->{type}, 'application/json', 'a type that the step gave is not that of its undo');
is($sent->{headers}{'x-a'}, 'b', '(its other headers are)');

# ---- the type of the system

server('typed', q("header.Content-Type" 'application/vnd.api+json'));
is(sent('typed', '{"a": 1}')->{type}, 'application/vnd.api+json', 'a header of the system');
is(sent('typed', '"<a/>"', options => { encoding => 'text', content_type => 'text/xml' })->{type},
	'text/xml', 'but not for a body that a step writes otherwise');
$sent = undone('typed', '"<a/>"', { body => { a => 1 } }, options => { encoding => 'text' });
is($sent->{type}, 'application/vnd.api+json', 'and again for its undo');
$sent = sent('typed', $upload, options => { encoding => 'multipart' });
like($sent->{type}, qr/^multipart\/form-data; boundary=/, 'files have their own');

# ---- what cannot be sent is refused, before anything is

my $before = $checker->requests;

sub refused
{
	my ($what, $like, $hint, @call) = @_;
	my $result = sent(@call);

	like($result->{refused}, $like, $what) or diag($json->encode($result));
	like($result->{hint}, $hint, 'and what to do');
	return;
}

refused('text of an object', qr/the body of step "make" cannot be sent: the body is not a JSON str/,
	qr/to_jsonb/, 'soap', '{"a": 1}');
refused('text of a number', qr/not a JSON string/, qr/to_jsonb/, 'soap', '1');
refused('a form of an array', qr/the body is an array/, qr/object/, 'repeating', '[1]');
refused('files of a string', qr/not a JSON object/, qr/filename/, 'uploads', '"a"');
refused('a file with another key', qr/field "f" has the unknown key "name"/, qr/filename/,
	'uploads', '{"f": {"base64": "", "name": "x"}}');
refused('bytes that are no base64', qr/field "f\[0\]" has a "base64" that cannot be decoded/,
	qr/encode/, 'uploads', '{"f": [{"base64": "%%%"}]}');
refused('a filename of two lines', qr/"filename" that is empty or has a control/, qr/one line/,
	'uploads', '{"f": {"base64": "", "filename": "a\r\nb: c"}}');
refused('a file of no type', qr/"content_type" that cannot be used/, qr/application/, 'uploads',
	'{"f": {"base64": "", "content_type": "pdf"}}');
refused('a type for the boundary', qr/must not set header "content-type"/, qr/Leave it out/,
	'uploads', '{}', headers => { 'content-type' => 'multipart/form-data' });
refused('an unknown option', qr/option "encodng" is not known/, qr/"encoding", "content_type", "fo/,
	'plain', '{}', options => { encodng => 'text' });
refused('an unknown encoding', qr/option "encoding" cannot be used/, qr/"multipart"/, 'plain', '{}',
	options => { encoding => 'xml' });
refused('unknown arrays', qr/option "form_arrays" cannot be used/, qr/"repeat"/, 'plain', '{}',
	options => { form_arrays => 'commas' });
refused('an option that is no string', qr/option "encoding" cannot be used: it is not a/,
	qr/string/, 'plain', '{}', options => { encoding => ['text'] });
refused('options that are no object', qr/"options" is not a JSON object/, qr/names and values/,
	'plain', '{}', options => ['text']);
refused('a type in another charset', qr/names another charset than utf-8/, qr/text\/xml/, 'plain',
	'"a"', options => { encoding => 'text', content_type => 'text/xml; charset=iso-8859-1' });
refused('a type of files for text', qr/needs the encoding multipart/, qr/Drop it/, 'plain', '"a"',
	options => { encoding => 'text', content_type => 'multipart/mixed' });
refused('a type for files', qr/is written by the engine, with its boundary/, qr/Drop it/, 'plain',
	'{}', options => { encoding => 'multipart', content_type => 'multipart/form-data' });
refused('too much', qr/is larger than dataflows.max_body/, qr/Send less/, 'forms',
	qq({"a": "@{[ '+' x 400_000 ]}"}));
is(scalar($checker->requests), $before, 'nothing was sent');

# ---- options of a system

sub bad_option
{
	my ($what, $options, $like) = @_;
	my ($rc, $out, $err) = $node->psql('postgres',
		"CREATE SERVER bad FOREIGN DATA WRAPPER dataflows OPTIONS (url 'https://x', $options)");

	like($err, $like, $what);
	return;
}

bad_option('an unknown encoding', "encoding 'xml'",
	qr/Write "json", "form", "text" or "multipart"/);
bad_option('unknown arrays', "form_arrays 'x'", qr/"indices" \(a\[0\]=1\), "brackets"/);
bad_option('no type', "content_type 'xml'", qr/invalid value for option "content_type"/);
bad_option('another charset', "encoding 'text', content_type 'text/xml; charset=\"latin1\"'",
	qr/bodies are sent in UTF-8/);
bad_option('a type for files', "encoding 'multipart', content_type 'multipart/form-data'",
	qr/"content_type" does not go with option "encoding"/);
bad_option('a header for files', "encoding 'multipart', \"header.Content-Type\" 'a/b'",
	qr/"content_type" does not go with option "encoding"/);
bad_option('files without the encoding', "content_type 'multipart/mixed'",
	qr/needs the encoding multipart/);
bad_option('two types', "content_type 'text/xml', \"header.Content-Type\" 'text/xml'",
	qr/type of content is set twice/);

done_testing();
