# Signatures, and secrets in URLs: each request is signed anew as its system demands, which an
# implementation that is not ours checks; secrets arrive, and are nowhere else.

use strict;
use warnings;

use JSON::PP;
use Test::More;
use PostgreSQL::Test::Cluster;
use PostgreSQL::Test::Utils;
use Dataflows;
use Dataflows::Checker;

my $checker = Dataflows::Checker->new;
my $other = Dataflows::Checker->new;
my $node = new_node('signing', conf => "log_min_messages = debug1\n");
my $url = $checker->url;
my $json = JSON::PP->new->canonical->allow_nonref;
my $secret = 'the secret of signatures';

create_app($node);
as_app($node, 'postgres', <<'SQL');
CREATE FUNCTION app.one(event jsonb) RETURNS jsonb LANGUAGE plpgsql AS $$
DECLARE
  made jsonb;
BEGIN
  made := dataflows.http('make', event->>'system', coalesce(event->>'method', 'POST'),
    coalesce(event->>'path', '/make'), event->'body', query => event->'query',
    options => event->'options', headers => event->'headers', undo => event->'undo');
  IF event ? 'undo' THEN
    RAISE EXCEPTION 'enough';
  END IF;
  RETURN made;
EXCEPTION WHEN SQLSTATE '22023' THEN
  RETURN jsonb_build_object('refused', SQLERRM);
END $$;
SELECT dataflows.define_workflow('one', 'app.one');
SQL

# a system, and the credentials of app for it
sub system_of
{
	my ($name, $options, $mapping, $at) = @_;

	$at //= $url;
	$node->safe_psql('postgres', <<"SQL");
CREATE SERVER $name FOREIGN DATA WRAPPER dataflows OPTIONS (url '$at', allow_private 'true',
  retry_initial '20ms', retry_max '50ms', settle '100ms'@{[ $options ? ", $options" : '' ]});
GRANT USAGE ON FOREIGN SERVER $name TO app;
SQL
	as_app($node, 'postgres', "CREATE USER MAPPING FOR app SERVER $name OPTIONS ($mapping)")
		if $mapping;
	return;
}

# what the system understood of a run's request; else the run's state and why
sub sent
{
	my ($system, %more) = @_;
	my $input = $json->encode({ system => $system, body => { a => 1 }, %more }) =~ s/'/''/gr;
	my $run = as_app($node, 'postgres', "SELECT dataflows.start('one', '$input')");

	comes_to_rest($node, $run);
	my $row = decode_json(
		as_app($node, 'postgres', "SELECT to_jsonb(r) FROM dataflows.runs r WHERE run = '$run'"));
	return $row->{state} eq 'completed' ? $row->{result} : $row;
}

# ---- HMAC

system_of('stamped', "sign 'hmac-sha256:X-Signature:{timestamp}.{body}'",
	"signing_secret '$secret'");
my $got = sent('stamped');
is($got->{headers}{'x-signature'}, $got->{macs}{'sha256 of stamped'}, 'time and body are signed');
like($got->{headers}{'x-signature-timestamp'}, qr/^\d{10}$/, 'and the time is sent');

system_of('shop', "sign 'hmac-sha256-base64:X-Shop-Hmac:{body}'", "signing_secret '$secret'");
$got = sent('shop');
is($got->{headers}{'x-shop-hmac'}, $got->{macs}{'sha256 of body in base64'}, 'in base64');
is($got->{headers}{'x-shop-hmac-timestamp'}, undef, 'without a time, none is sent');
$got = sent('shop', body => undef, method => 'GET', path => '/a?b=1');
is($got->{headers}{'x-shop-hmac'}, $got->{macs}{'sha256 of body in base64'}, 'no body');

system_of('striped', q(sign 'hmac-sha512-hex:X-Signature:{timestamp}.{body}', sign_value
	't={timestamp},v1={signature}'), "signing_secret '$secret'");
$got = sent('striped');
is( $got->{headers}{'x-signature'} =~ s/^t=\d{10},v1=//r,
	$got->{macs}{'sha512 of stamped'},
	'a value with the time in it');
is($got->{headers}{'x-signature-timestamp'}, undef, 'which is then not sent again');

system_of('whole', q(sign E'hmac-sha1:X-Signature:{timestamp}\n{method}\n{path}\n{body}',
	sign_timestamp 'X-Request-Timestamp', sign_value 'sha1={signature}'),
	qq(signing_secret '$secret', "query.api_key" 'query-hush-1'));
$got = sent('whole', path => '/a b/%C3%A4?q=1', method => 'PUT');
is($got->{headers}{'x-signature'}, "sha1=" . $got->{macs}{'sha1 of all'},
	'method and path as they arrive, the key in the query included');
like($got->{headers}{'x-request-timestamp'}, qr/^\d{10}$/, 'the time in a header of its own name');

system_of('own_scheme', q(sign 'hmac-sha256:Authorization:{body}', sign_value
	'HMAC id="7", sig="{signature}"'), "signing_secret '$secret'");
$got = sent('own_scheme');
is($got->{headers}{authorization}, qq(HMAC id="7", sig="$got->{macs}{'sha256 of body'}"),
	'in the header Authorization');

system_of('files', "sign 'hmac-sha256:X-Signature:{body}'", "signing_secret '$secret'");
$got = sent('files', body => { f => { base64 => 'AAECAwAAAA==' } },
	options => { encoding => 'multipart' });
is($got->{headers}{'x-signature'}, $got->{macs}{'sha256 of body'}, 'bytes that are no text');

sent('stamped', path => '/failing-1/made', undo => 'DELETE /made');
my @requests = grep { $_->{path} =~ /made/ } $checker->requests;
is(join(' ', map { $_->{method} } @requests), 'POST POST DELETE', 'two attempts and an undo');
is($_->{headers}{'x-signature'}, $_->{macs}{'sha256 of stamped'}, "$_->{method} is signed")
	for @requests;

like(sent('stamped', headers => { $_ => 'x' })->{refused}, qr/must not set header "$_"/,
	"a step must not set $_")
	for 'x-signature', 'X-Signature-Timestamp';

# ---- AWS

my $keys = q(aws_access_key_id 'AKIDEXAMPLE', aws_secret_access_key
	'wJalrXUtnFEMI/K7MDENG+bPxRfiCYEXAMPLEKEY');

system_of('ses', "aws_sigv4 'aws:amz:eu-west-1:ses'", $keys);
system_of('s3', "aws_sigv4 'aws:amz:eu-west-1:s3'", "$keys, aws_session_token 'aws-hush-hush'");
system_of('by_name', "aws_sigv4 'aws:amz:us-east-1:execute-api'",
	q(username 'AKIDEXAMPLE', password 'wJalrXUtnFEMI/K7MDENG+bPxRfiCYEXAMPLEKEY'));
system_of('in_query', "aws_sigv4 'aws:amz:us-east-1:ses'", qq($keys, "query.z key" 'a b&c=/+'));
system_of('upper', "aws_sigv4 'aws:amz:us-east-1:ses'", $keys,
	$url =~ s/127\.0\.0\.1/LocalHost/r . '/');
for my $case (
	[ ses => 'POST', '/v2/email/outbound-emails' ],
	[ ses => 'GET', '/' ],
	[ ses => 'GET', '/v2?b=2&a=1&A=0' ],
	[ ses => 'GET', '/v2?x=a%20b&y&z=%2F/%2f+' ],
	[ ses => 'PUT', '/v2/contacts/ada%40example.com' ],
	[ ses => 'DELETE', '/v2/contacts/ada@example.com/a%20b%2Fc' ],
	[ ses => 'PATCH', '/v2/(a),b;c=d:e!' ],
	[ s3 => 'PUT', '/bucket/a%20b/%C3%A4.txt' ],
	[ s3 => 'GET', '/bucket?prefix=a/b&list-type=2' ],
	[ by_name => 'POST', '/stage/x' ],
	[ in_query => 'GET', '/v2?zz=1&a=2' ],
	[ upper => 'GET', '/v2' ])
{
	my ($name, $method, $path) = @$case;

	$got = sent($name, method => $method, path => $path,
		body => $method =~ /P/ ? { a => 1 } : undef,
		headers => { 'X-Amz-Meta' => ' two  words ', 'X-Free' => 'a' });
	is($got->{aws}, 'good', "$name: $method $path") or diag($json->encode($got));
}
is( sent('ses', method => 'GET', path => '/v2?z=/%2f+&a=x%20y&b', body => undef)->{path},
	'/v2?a=x%20y&b=&z=%2F%2F%2B', 'a query is sent in the spelling that is signed');
$got = sent('s3', path => '/bucket/file', method => 'PUT', options => { encoding => 'multipart' },
	body => { f => { base64 => 'AAEC' } });
is($got->{aws}, 'good', 'bytes that are no text');
is($got->{headers}{'x-amz-security-token'}, 'aws-hush-hush', 'with the token of the session');
like(sent('ses', headers => { 'x-amz-date' => '1' })->{refused}, qr/must not set header/,
	'a step must not set the date');
sent('ses', path => '/failing-1/aws', undo => 'DELETE /aws/{path}');
is($_->{aws}, 'good', "$_->{method} $_->{path}")
	for grep { $_->{path} =~ /aws/ } $checker->requests;

# ---- secrets in URLs

system_of('key', "follow_redirects '3'", q("query.api_key" 'query-hush-2', "query.t&m" 'ü= /'));
$got = sent('key', method => 'GET', path => '/deals?a=1', query => { b => [2] }, body => undef);
is($got->{path}, '/deals?a=1&b[0]=2&api_key=query-hush-2&t%26m=%C3%BC%3D%20%2F',
	'keys are appended to the query');
$got = sent('key', method => 'GET', path => '/deals', body => undef);
is($got->{path}, '/deals?api_key=query-hush-2&t%26m=%C3%BC%3D%20%2F', 'or begin one');
is(sent('key', method => 'GET', path => "/deals?x=1&$_=hush-old&y", body => undef)->{path},
	'/deals?x=1&y&api_key=query-hush-2&t%26m=%C3%BC%3D%20%2F', "in the place of the step's own: $_")
	for 'api_key', 'api%5fkey';
is( sent('key', method => 'GET', path => '/deals', query => { api_key => 'hush-old' },
		body => undef)->{path},
	'/deals?api_key=query-hush-2&t%26m=%C3%BC%3D%20%2F', 'and of one in its query');
like(sent('key', undo => 'DELETE /deals/{id}?api_key=1')->{refused},
	qr/undo sets the parameter "api_key"/, 'an undo must not set it');

system_of('bot', '', q(secret_path '/bot12345:path-hush-3'), "$url/base");
is(sent('bot', path => '/sendMessage')->{path}, '/base/bot12345:path-hush-3/sendMessage',
	'a secret in the path');
is(sent('bot', path => '/')->{path}, '/base/bot12345:path-hush-3', 'or at its end');
is(sent('bot', path => '/?a=1')->{path}, '/base/bot12345:path-hush-3?a=1', 'with a query');

# links in answers lead back without the secrets, or are refused
for my $case (
	[ key => '{self|path}', '/linked/made?x=1&api_key=query-hush-2&t%26m=%C3%BC%3D%20%2F' ],
	[ key => '{response.headers.location|path}',
		'/linked/made?x=1&api_key=query-hush-2&t%26m=%C3%BC%3D%20%2F' ],
	[ bot => '{link|path}', '/base/bot12345:path-hush-3/linked/made?x=1' ])
{
	my ($system, $field, $path) = @$case;
	my $before = $checker->requests;
	my $row = sent($system, path => '/linked?x=1', undo => "DELETE $field");
	my $last = ($checker->requests)[-1];

	is("$row->{state} $last->{method} $last->{path}",
		"rolled_back DELETE $path", "$system: $field");
}
my $row = sent('bot', path => '/linked', undo => 'DELETE {response.headers.location|path}');
is(($checker->requests)[-1]{method}, 'POST', 'a link without its secret is not followed');
like($row->{stuck}{reason}, qr/recorded without a secret in it/, 'and the run says why');

# what a system sends back shows nothing
for my $case ([ key => qr/hush-2|hush%2d2/i ], [ bot => qr/hush-3/ ])
{
	my ($system, $secret) = @$case;
	my $run = sent($system, path => '/failing-1/refused/x')->{run};
	my $error = $node->safe_psql('postgres',
		"SELECT error FROM dataflows.steps WHERE run = '$run' AND status = 409");

	like($error, qr/\[redacted\]/, "$system: a refusal that shows what was sent shows no secret");
	unlike($error, $secret, '(indeed)');
}

sub redirected
{
	my ($system, $to, $status) = @_;

	return sent($system, method => 'GET', body => undef, path => '/redirect/' . ($status // 302),
		query => { to => $to });
}

is(redirected('key', "$url/there?x=1")->{path}, '/there?x=1&api_key=query-hush-2&t%26m='
	. '%C3%BC%3D%20%2F', 'within its origin a redirect keeps the key');
is(redirected('key', "$url/there?api%5Fkey=old&x=1")->{path},
	'/there?x=1&api_key=query-hush-2&t%26m=%C3%BC%3D%20%2F', 'once');
$node->safe_psql('postgres', "ALTER SERVER key OPTIONS (ADD private_origins '@{[ $other->url ]}')");
is(redirected('key', $other->url . '/there?x=1&api_key=KEY')->{path}, '/there?x=1',
	'another origin does not get it');
$got = redirected('key', $other->url . '/login?back=SELF');
like($got->{error}{message} // '', qr/redirects to another origin with a secret in its URL/,
	'nor hidden in something else') or diag($json->encode($got));
is(scalar(grep { $_->{path} =~ /hush/ } $other->requests), 0, 'it has seen none');

# ---- rows, views, logs

my $dump = '';
for my $table (qw(run step attempt inbox))
{
	$dump .= $node->safe_psql('postgres', "SELECT t::text FROM dataflows.$table t");
}
for my $view (qw(steps attempts systems))
{
	$dump .= $node->safe_psql('postgres', "SELECT t::text FROM dataflows.$view t");
}
# the system sends everything back in its answers, which the body asked for: these it may have
my $shown = $node->safe_psql('postgres',
	'SELECT request, headers, options, error, undo, undo_error, answer FROM dataflows.step')
	. $node->safe_psql('postgres', 'SELECT error FROM dataflows.attempt');

unlike($shown, qr/hush|$secret|wJalr/, 'no secret is recorded with a request');
like($dump, qr/deals/, '(the requests are)');
my $log = PostgreSQL::Test::Utils::slurp_file($node->logfile);
unlike($log =~ s/.*(?:CREATE|ALTER) (?:USER MAPPING|SERVER).*//gr,
	qr/hush|$secret|wJalr/, 'nor in the log');

# ---- what is refused

sub refused
{
	my ($what, $like, $options, $mapping) = @_;
	my ($rc, $out, $err) = $node->psql('postgres',
		defined $options
		? "CREATE SERVER bad FOREIGN DATA WRAPPER dataflows OPTIONS (url 'https://x', $options)"
		: "CREATE USER MAPPING FOR app SERVER shop OPTIONS ($mapping)");

	like($err, $like, $what);
	unlike($err, qr/hush/, 'quotes no value');
	return;
}

$node->safe_psql('postgres', 'DROP USER MAPPING FOR app SERVER shop');
refused($_->[0], $_->[1], $_->[2]) for (
	[ 'no header', qr/not of the form digest:header:text/, "sign 'hmac-sha256'" ],
	[ 'no text', qr/it signs no text/, "sign 'hmac-sha256:X:'" ],
	[ 'no digest', qr/its digest is none of/, "sign 'sha256:X-S:{body}'" ],
	[ 'other digits', qr/its digest is none of/, "sign 'hmac-sha256-base32:X-S:{body}'" ],
	[ 'a header of ours', qr/its header is not/, "sign 'hmac-sha256:Host:{body}'" ],
	[ 'an unknown field', qr/a field that is not known/, "sign 'hmac-sha256:X-S:{bodi}'" ],
	[ 'an open brace', qr/brace that is not closed/, "sign 'hmac-sha256:X-S:{body'" ],
	[ 'itself', qr/cannot have the \{signature\}/, "sign 'hmac-sha256:X-S:{signature}'" ],
	[ 'a value without it', qr/does not have the/, "sign 'hmac-sha256:X:{body}', sign_value 'v1'" ],
	[ 'a value alone', qr/"sign_value" requires option "sign"/, "sign_value '{signature}'" ],
	[ 'a time alone', qr/"sign_timestamp" requires option "sign"/, "sign_timestamp 'X-T'" ],
	[ 'one header twice', qr/does not go with/,
		"sign 'hmac-sha256:X-S:{timestamp}', sign_timestamp 'x-s'" ],
	[ 'a header with a meaning', qr/invalid value for option "sign_timestamp"/,
		"sign 'hmac-sha256:X-S:{timestamp}', sign_timestamp 'Accept'" ],
	[ 'a header with an option', qr/names a header that another option sets/,
		q(sign 'hmac-sha256:X-S:{body}', "header.X-S" 'x') ],
	[ 'the header of keys', qr/names a header that another option sets/,
		q(sign 'hmac-sha256:X-Key:{body}', idempotency_header 'X-Key') ],
	[ 'two signatures', qr/"sign" does not go with option "aws_sigv4"/,
		q(sign 'hmac-sha256:X-S:{body}', aws_sigv4 'aws:amz:a:b') ],
	[ 'redirects', qr/"follow_redirects" does not go with option "sign"/,
		q(sign 'hmac-sha256:X-S:{body}', follow_redirects '1') ],
	[ 'no service', qr/it does not have four parts/, "aws_sigv4 'aws:amz:eu-west-1'" ],
	[ 'an empty part', qr/it has an empty part/, "aws_sigv4 'aws::eu-west-1:ses'" ],
	[ 'odd letters', qr/it has an empty part, or a char/, "aws_sigv4 'aws:amz:eu west:ses'" ],
	[ 'keys on a server', qr/is an option of a USER MAPPING/, q("query.key" 'hush-hush') ],
	[ 'a secret on a server', qr/is an option of a USER MAPPING/, "signing_secret 'hush-hush'" ]);
refused($_->[0], $_->[1], undef, $_->[2]) for (
	[ 'half a pair', qr/requires option "aws_secret_access_key"/, "aws_access_key_id 'hush-hush'" ],
	[ 'a token alone', qr/requires option "aws_access_key_id"/, "aws_session_token 'hush-hush'" ],
	[ 'two ways', qr/more than one way to authenticate/, "$keys, bearer_token 'hush-hush'" ],
	[ 'no parameter', qr/parameter of URLs has no name/, q("query." 'hush-hush') ],
	[ 'no value', qr/invalid value for option "query.key"/, q("query.key" '') ],
	[ 'a path that climbs', qr/It cannot be used: .* dot segment/, "secret_path '/hush/../x'" ],
	[ 'a path with a query', qr/has a query/, "secret_path '/hush?x'" ],
	[ 'sign on a mapping', qr/is an option of a SERVER/, "sign 'hmac-sha256:X-S:{body}'" ]);

# a server and a mapping that do not go together: the run is stuck, and says why
for my $case (
	[ 'unsigned', '', "signing_secret 'x'",
		qr/"signing_secret" requires option "sign" of the SERV/ ],
	[ 'no_secret', "sign 'hmac-sha256:X-S:{body}'", "bearer_token 'x'",
		qr/"sign" requires option "signing_secret" of the USER MAPPING/ ],
	[ 'no_keys', "aws_sigv4 'aws:amz:a:b'", "bearer_token 'x'",
		qr/"aws_sigv4" requires option "aws_access_key_id" of the USER MAPPING/ ],
	[ 'no_aws', '', $keys, qr/"aws_access_key_id" requires option "aws_sigv4" of the SERVER/ ],
	[ 'two_headers', "sign 'hmac-sha256:Authorization:{body}'",
		"signing_secret 'x', bearer_token 'x'", qr/has another way to authenticate/ ])
{
	system_of(@$case[0 .. 1]);
	my ($rc, $out, $err) = $node->psql('postgres',
		"CREATE USER MAPPING FOR app SERVER $case->[0] OPTIONS ($case->[2])",
		extra_params => [ '-U', 'app' ]);
	like($err, qr/WARNING:  system "$case->[0]" cannot be used by role "app": .*$case->[3]/,
		"$case->[0]: a warning when it is set");
	$got = sent($case->[0]);
	is($got->{state}, 'stuck', "$case->[0]: the run is stuck");
	like($got->{stuck}{reason}, $case->[3], 'and says why');
}

my ($rc, $out, $err) =
	$node->psql('postgres', "ALTER SERVER stamped OPTIONS (DROP sign, DROP allow_private)");
like($err, qr/WARNING:  system "stamped" cannot be used by role "app": option "signing_secret" req/,
	'a warning when the server is changed');
($rc, $out, $err) = $node->psql('postgres',
	"ALTER SERVER stamped OPTIONS (ADD sign 'hmac-sha256:X-S:{body}')");
is($err, '', 'and none when they fit again');

done_testing();
