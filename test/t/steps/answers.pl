# What a response means is data: rules of a step and of a system, and what a status means without
# any.  Each case is judged by what became of the run and by the system's books.

use strict;
use warnings;

use JSON::PP;
use MIME::Base64;
use Test::More;
use PostgreSQL::Test::Cluster;
use PostgreSQL::Test::Utils;
use Dataflows;
use Dataflows::Cases;

my $systems = start_systems();
my $node = new_node('answers', conf => "dataflows.undo_for = '20s'");
my $no = JSON::PP::false();
my $yes = JSON::PP::true();

# "plain" is the crm without a key that it is trusted to honour; no status is said to mean anything
create_systems($node, 'postgres', $systems, workflow => 0);
$systems->config('crm', idempotency => $no);
create_server($node, 'plain', $systems->url('crm'), breaker_failures => 3,
	breaker_cooldown => '200ms', settle => '1s');
as_app($node, 'postgres', <<'SQL');
CREATE FUNCTION app.asked(event jsonb) RETURNS jsonb LANGUAGE plpgsql AS $$
DECLARE made jsonb;
BEGIN
  made := dataflows.http('call', 'plain', coalesce(event->>'method', 'POST'),
    coalesce(event->>'path', '/contacts'), jsonb_build_object('email', event->>'email'),
    undo => coalesce(event->'undo', '"DELETE /contacts/{id}"'),
    answers => event->'answers', accept => (SELECT array_agg(status::int)
      FROM jsonb_array_elements_text(event->'accept') AS a (status)),
    until => event->>'until',
    every => CASE WHEN event ? 'until' THEN interval '100 ms' END,
    probe => event->'probe', doubt => coalesce(event->>'doubt', 'stuck'));
  IF event ? 'fails' THEN
    RAISE EXCEPTION 'over';
  END IF;
  RETURN jsonb_build_object('made', made, 'status', dataflows.response('call')->'status');
END $$;
SELECT dataflows.define_workflow('asked', 'app.asked');
SQL
my $cases = Dataflows::Cases->new($node, $systems, 'crm');
my ($email, $run);

sub look
{
	my ($what) = @_;

	return $node->safe_psql('postgres', "SELECT $what FROM dataflows.runs WHERE run = '$run'");
}

sub attempts
{
	return $node->safe_psql('postgres',
		"SELECT string_agg(outcome || ' ' || status, ', ' ORDER BY undo, attempt)
			FROM dataflows.attempts WHERE run = '$run'");
}

# state, made and left, output or message
sub begin
{
	my ($input, @faults) = @_;

	($email, $run) = $cases->start('asked', $input, @faults);
	return $cases->outcome($email, $run);
}

sub text_of
{
	my ($type, $text) = @_;

	return (
		fault => 'as_is',
		headers => [ [ 'Content-Type', $type ] ],
		base64 => encode_base64($text, ''));
}

# ---- what cannot be used is refused, in the same words ------------------------------------------

for my $case (
	[ '409', qr/does not say what its last entry means/ ],
	[ '409=keep', qr/unknown meaning "keep".*Perhaps you meant "kept"/s ],
	[ '999=kept', qr/"999" where a status must be/ ],
	[ '409=kept, , 5xx=doubt', qr/empty entry/ ],
	[ 'PURGE 409=kept', qr/unknown method "PURGE"/ ],
	[ ' ', qr/is empty/ ],
	[ '[]', qr/is empty/ ],
	[ '[{"status": 409}]', qr/has no "is"/ ],
	[ '[{"is": "kept", "code": 1}]', qr/key "code"/ ],
	[ '[{"is": "kept", "status": []}]', qr/"status" of "answers"/ ],
	[ '[{"is": "kept", "if": "$.a ="}]', qr/"if" of "answers" is not a jsonpath/ ],
	[ '[{"is": "kept", "if": "$code == 1"}]', qr/no variable "\$code"/ ],
	[ '[409]', qr/not a JSON object/ ])
{
	my ($list, $words) = @$case;
	my ($rc, $out, $err) = try_psql($node, 'postgres',
		"ALTER SERVER plain OPTIONS (ADD answers '$list')");
	my ($message) = $err =~ /ERROR: +(.*)/;

	like($err, $words, "a server is not given \"$list\"");
	like($err, qr/HINT/, 'and learns what to give');
	is(begin({ answers => $list =~ /^\[/ ? decode_json($list) : $list }),
		'stuck 0/0', 'nor is a step, and nothing is sent');
	like(look(q(stuck->>'reason')), qr/\Q$message\E/, 'in the same words');
}

# ---- what each meaning does ----------------------------------------------------------------------

my @not_made = (status => 418, effect => $no);
my @made = (status => 418, effect => $yes, body => { id => 'c-418' });

is(begin({ answers => '418=done' }, { @not_made, body => { id => 'c-1' } }),
	'completed 0/0', 'done');
is(begin({ answers => '418=kept', undo => 'DELETE /contacts?email={request.email}', fails => 1 },
		{@made}), 'rolled_back 1/1', 'kept: the output is recorded, and nothing is undone');
is(begin({ answers => '418=done', undo => 'DELETE /contacts?email={request.email}', fails => 1 },
		{@made}), 'rolled_back 1/0', 'done: it is undone');
is(begin({ answers => '418=retry' }, { @not_made, times => 2 }), 'completed 1/1', 'retry');
is(attempts(), 'retry 418, retry 418', 'as attempts that were not carried out');
is(begin({ answers => [ { status => '2xx', if => '$.email starts with "n"', is => 'retry' } ] }),
	'completed 1/1', 'retry by a condition that does not hold');
is(begin({ answers => [ { status => '2xx', if => '$.id != "ready"', is => 'retry' } ] }),
	'stuck 1/1', 'a 2xx that is "retry" and has what the undo names: not made again');
is(begin({ answers => [ { status => '2xx', if => '$.ok == false', is => 'retry' } ] },
		{ status => 200, body => { ok => $no }, times => 2 }), 'completed 1/1',
	'a 2xx that is "retry" and has made nothing');
is(begin({ answers => '418=doubt' }, { @not_made, times => 1 }),
	'stuck 0/0', 'doubt: not sent again');
is(attempts(), 'in_doubt 418', 'which the attempt says');
is(begin({}, {@not_made}), 'rolled_back 0/0', 'fail, which 418 means by itself');
is(begin({ answers => '418=stuck' }, { @not_made, times => 1 }), 'stuck 0/0', 'stuck');
is(attempts(), 'stuck 418', 'which the attempt says');
like(
	look(q(stuck->>'reason')),
	qr/"call" \("POST \/contacts" to system "plain"\).*418.*as you wished/,
	'and the run names step, request, system, status and words');
is($cases->of_step($run, 'meaning'), 'stuck', 'as does the step');
as_app($node, 'postgres', "SELECT dataflows.retry('$run')");
is($cases->outcome($email, $run), 'completed 1/1', 'retry() sends it again');

$systems->clear_faults;
($email, $run) =
	$cases->start('asked', { answers => '418=credentials' }, { @not_made, times => 2 });
is($cases->outcome($email, $run), 'completed 1/1', 'credentials: it waits until they are repaired');
is($cases->of_step($run, 'attempts'), 1, 'and uses no attempt');

# a list in each of its forms, and its order
for my $answers (
	'409=fail, 418=kept', '400, 418=kept', '4xx=kept', '410-419=kept', 'DELETE 418=stuck, 418=kept',
	{ status => 418, is => 'kept' },
	[ { status => [ 409, '415-418' ], is => 'kept' } ],
	[ { method => [ 'PUT', 'post' ], is => 'kept' } ],
	[ { is => 'kept' }, { status => 418, is => 'stuck' } ],
	[ { if => '$.error like_regex "wished" && $status == 418', is => 'kept' } ],
	[ { if => '$headers."retry-after" == "0"', is => 'kept' }, { is => 'stuck' } ])
{
	my $text = ref $answers ? JSON::PP->new->canonical->encode($answers) : $answers;

	is(begin({ answers => $answers }, { @not_made, retry_after => 0 }), 'completed 0/0', $text);
}
is(begin({ answers => '409=kept, 418=stuck', accept => [418] }, {@not_made}),
	'stuck 0/0', 'accept comes behind answers');
is(begin({ accept => [200], fails => 1 }, { status => 200, effect => $yes, body => { id => 'c' } }),
	'rolled_back 1/1', 'accept holds for a 2xx, too');
is(begin({ accept => [201], fails => 1, undo => 'none' }), 'rolled_back 1/1',
	'201 as well, if there is nothing to undo');
is(begin({ accept => [ 200, 201 ], fails => 1 }), 'stuck 0/0', 'but not beside an undo');
is(begin({ answers => '201=kept', fails => 1 }), 'rolled_back 1/1', 'unless it is said in words');

# an upsert: what it has made is undone, and what was there is left alone
$systems->config('crm', upsert => $yes);
my %upsert = (method => 'PUT', path => '/contacts/up-1', answers => 'PUT 200=kept');

begin({ %upsert, fails => 1 });
is(look('state') . ' ' . $cases->books('up-1'), 'rolled_back 1/0', 'an upsert that has made it');
begin(\%upsert);
is(look('state') . ' ' . $cases->books('up-1'), 'completed 1/1', 'one that stays');
begin({ %upsert, fails => 1 });
is(look('state') . ' ' . $cases->books('up-1'), 'rolled_back 1/1', 'one that has met it');
$systems->config('crm', upsert => $no);

# ---- a 2xx that is not good ----------------------------------------------------------------------

my $slack = [ { status => '2xx', if => '$.ok != true', is => 'fail' } ];
my %says_no = (status => 200, effect => $no, body => { ok => $no, error => 'channel_not_found' });

is(begin({ answers => $slack }, {%says_no}), 'rolled_back 0/0', 'a 200 that says no is a refusal');
is(look(q(error->'detail'->>'status' || ' ' || (error->'detail'->'body'->>'error'))),
	'200 channel_not_found', 'with status and body');
like(look(q(error->>'message')), qr/channel_not_found/, 'and the words of the system');
is(begin({ answers => $slack }, { status => 200, effect => $yes, body => { ok => $yes, id => 1 } }),
	'completed 1/1', 'one that says yes is done');
is(begin({ answers => $slack }, { status => 200, effect => $yes, body => { id => 1 } }),
	'stuck 1/1', 'one that does not say it is for a person');
like(look(q(stuck->>'reason')), qr/does not tell whether "\$\.ok != true" holds/, 'who learns why');
unlike(look(q(stuck->>'remedy')), qr/200=fail/, 'and is not told to call each 200 a failure');
is(begin({ answers => $slack }, { status => 200, effect => $yes, body => { id => 1 }, times => 1 }),
	'stuck 1/1', 'what it has made');
as_app($node, 'postgres', "SELECT dataflows.retry('$run')");
ok( wait_until(
		$node,
		"SELECT state = 'stuck' AND stuck->>'reason' LIKE '%is in doubt%' FROM dataflows.runs
			WHERE run = '$run'"
	),
	'retry() does not make twice at a system that promises nothing');
is($cases->outcome($email, $run), 'stuck 1/1', 'and the run is stuck as in any doubt');
is(begin({ answers => $slack }, { text_of('text/html', '<h1>Be back soon</h1>'), status => 200 }),
	'stuck 0/0', 'a page is no answer to that');
is(begin({ answers => $slack }, { text_of('application/json', '{"ok": tr'), status => 200 }),
	'stuck 0/0', 'nor is what cannot be read');
is(begin({ answers => $slack }, { text_of('application/json', ''), status => 200 }),
	'stuck 0/0', 'nor is no body');
for my $is (qw(retry doubt stuck kept))
{
	my %ends = (retry => 'completed 1/1', doubt => 'stuck 0/0', stuck => 'stuck 0/0',
		kept => 'completed 0/0');

	is(begin({ answers => [ { status => 200, if => '$.ok == false', is => $is } ] },
			{ %says_no, times => 1 }),
		$ends{$is}, "not good is $is");
}
my $graphql = [ { status => '2xx', if => 'exists($.errors[*])', is => 'fail' } ];
my $soap = [ { status => '2xx', if => '$ like_regex "<soap:Fault>"', is => 'fail' } ];

is(begin({ answers => $graphql },
		{
			status => 200,
			effect => $no,
			body => { data => undef, errors => [ { message => 'no' } ] }
		}),
	'rolled_back 0/0', 'errors of GraphQL');
is(begin({ answers => $graphql }), 'completed 1/1', 'and none');
is(begin({ answers => $soap },
		{ text_of('text/xml', '<soap:Fault>no</soap:Fault>'), status => 200 }),
	'rolled_back 0/0', 'a fault of SOAP');
is(begin({}, {%says_no}), 'rolled_back 0/0',
	'a 200 that says no and has nothing to undo is a refusal without any rule');
is(begin({ undo => 'DELETE {response.headers.location|path}', fails => 1 },
		{
			fault => 'as_is', status => 201, times => 1,
			headers => [ [ 'Content-Type', 'application/json' ], [ 'Location', '/contacts/c-0' ] ],
			base64 => encode_base64('{"errors": ["no mail was sent"]}', '')
		}),
	'rolled_back 0/0', 'but not one whose headers say what was made');
is($cases->of_step($run, q(undo || ' ' || undo_state)), 'DELETE /contacts/c-0 gone',
	'which is undone');
is(begin({ undo => 'none' }, {%says_no}),
	'completed 0/0', 'where nothing is to be undone the body reads it');

# a condition, and a 200 for which it is true, false or unknown
my %deep = (fault => 'as_is', status => 200, headers => [ [ 'Content-Type', 'application/json' ] ]);

for my $case (
	[ '$.a == 1', { a => 1 }, 'true' ],
	[ '$.a == 1', { a => 2 }, 'false' ],
	[ '$.a == 1', { b => 1 }, 'false' ],
	[ '$.a > 1', { a => 'one' }, 'unknown' ],
	[ '$.a != 1', { a => 2 }, 'true' ],
	[ '$.a != 1', { a => 1 }, 'false' ],
	[ '$.a != 1', { b => 1 }, 'unknown' ],
	[ '$.a != null', { b => 1 }, 'false' ],
	[ '$.a == null', { b => 1 }, 'unknown' ],
	[ '!exists($.a)', { b => 1 }, 'true' ],
	[ 'exists($.a)', { b => 1 }, 'false' ],
	[ 'exists($.a ? (@.b != 1))', { a => { c => 1 } }, 'false' ],
	[ '$.a', { a => $yes }, 'true' ],
	[ '$.a', { a => $no }, 'false' ],
	[ '$.a', { a => 'yes' }, 'unknown' ],
	[ '$.a', { b => 1 }, 'unknown' ],
	[ '$.a == 1 || $status == 200', { b => 1 }, 'true' ],
	[ '$headers."content-type" like_regex "json"', {}, 'true' ],
	[ '$headers."x-none" == "1"', {}, 'false' ],
	[ '$.all[*].state == "bad"', { all => [ { state => 'good' }, { state => 'bad' } ] }, 'true' ],
	[ '$.at.datetime() < "2026-01-01T00:00:00Z".datetime()', { at => '2025-01-01' }, 'unknown' ],
	[ '($.a > 1) is unknown', { a => 'one' }, 'true' ])
{
	my ($condition, $body, $truth) = @$case;
	my %ends = (true => 'completed t', false => 'completed f', unknown => 'stuck f');

	begin({ undo => 'none', answers => [ { if => $condition, is => 'kept' } ] },
		{ status => 200, effect => $no, body => $body });
	is(look('state') . ' ' . $cases->of_step($run, 'coalesce(kept, false)'),
		$ends{$truth}, encode_json($body) . ": $condition is $truth");
}
begin({ undo => 'none', answers => [ { if => '$.**.a == 1', is => 'kept' } ] },
	{ %deep, base64 => encode_base64(('[' x 5000) . (']' x 5000), '') });
like(look('state'), qr/^(?:completed|stuck)$/, 'a document that is very deep');

# however it is written in a body
as_app($node, 'postgres', <<'SQL');
CREATE FUNCTION app.written(event jsonb) RETURNS jsonb LANGUAGE plpgsql AS $$
BEGIN
  PERFORM dataflows.post('call', 'plain', '/a', answers => '404=kept', undo => 'none');
  PERFORM dataflows.post('b', 'plain', '/b', answers => '404=kept'::text, undo => 'none');
  PERFORM dataflows.post('c', 'plain', '/c', answers => '{"status": 404, "is": "kept"}',
    undo => 'none');
  PERFORM dataflows.post('d', 'plain', '/d', answers => '[{"status": 404, "is": "kept"}]'::json,
    undo => 'none');
  PERFORM dataflows.post('e', 'plain', '/e', answers => '{"status": 404, "is": "kept"}'::jsonb,
    undo => 'none');
  RETURN NULL;
END $$;
SELECT dataflows.define_workflow('written', 'app.written');
SQL
($email, $run) = $cases->start('written', {});
is($cases->state_of($run), 'completed', 'as text, a literal, json and jsonb');

# ---- undo and probe ------------------------------------------------------------------------------

my @delete = (match => { method => 'DELETE' });
my @get = (match => { method => 'GET' });

$node->safe_psql('postgres',
	q(ALTER SERVER plain OPTIONS (ADD answers
		'[{"status": 200, "if": "exists($.error)", "is": "fail"}]')));
is(begin({ fails => 1 }, { @delete, status => 200, body => { error => 'busy' }, times => 1 }),
	'rolled_back 1/0', 'an undo that is answered by what is not good is asked again');
is(attempts(), 'retry 200', 'as an attempt');
is(begin({ probe => 'GET /contacts?email={request.email}' },
		{ fault => 'lost', times => 1 },
		{ @get, status => 200, body => { error => 'busy' }, skip => 1, times => 1 }),
	'completed 1/1', 'and so is a probe');
is(begin({ answers => '500=kept', fails => 1 }, { @delete, status => 500, times => 1 }),
	'rolled_back 1/0', 'the rules of a step are not those of its undo');
is(begin({ undo => { request => 'DELETE /contacts/{id}', answers => '423=stuck' }, fails => 1 },
		{ @delete, status => 423, times => 1 }),
	'stuck 1/1', 'which has its own');
like($cases->pending($run, 'why'), qr/423.*as you wished/, 'a person learns the words');
as_app($node, 'postgres', "SELECT dataflows.retry('$run')");
becomes($node, $run, 'rolled_back', 'retry() sends the undo again');
is($cases->books($email), '1/0', 'and nothing is left');
is(begin({ undo => 'POST /contacts/{id}/close', fails => 1 }),
	'stuck 1/1', 'a 404 to a POST is about its path: nothing counts as undone');
is(begin({ undo => { request => 'POST /contacts/{id}/close', answers => '404=kept' }, fails => 1 }),
	'rolled_back 1/1', 'unless its author says so');
$node->safe_psql('postgres', 'ALTER SERVER plain OPTIONS (DROP answers)');

# ---- without rules -------------------------------------------------------------------------------

# of a POST and of a GET: the state that the run comes to
for my $case (
	[ 302, 'stuck', 'stuck' ],
	[ 402, 'rolled_back', 'rolled_back' ],
	[ 403, 'stuck', 'stuck' ],
	[ 404, 'stuck', 'rolled_back' ],
	[ 405, 'stuck', 'stuck' ],
	[ 406, 'stuck', 'stuck' ],
	[ 407, 'stuck', 'stuck' ],
	[ 409, 'rolled_back', 'rolled_back' ],
	[ 410, 'rolled_back', 'rolled_back' ],
	[ 411, 'stuck', 'stuck' ],
	[ 415, 'stuck', 'stuck' ],
	[ 431, 'stuck', 'stuck' ],
	[ 451, 'rolled_back', 'rolled_back' ],
	[ 501, 'stuck', 'stuck' ])
{
	my ($status, @expected) = @$case;

	for my $method ('POST', 'GET')
	{
		is(begin({ method => $method },
				{ match => { method => $method }, status => $status, effect => $no }),
			shift(@expected) . ' 0/0', "$method: $status");
	}
}
is(begin({}, { status => 403, retry_after => 1, times => 1 }),
	'completed 1/1', '403 with Retry-After');
is(begin({}, { status => 409, retry_after => 1, times => 1 }),
	'completed 1/1', '409 with Retry-After');
is(begin({}, { status => 503, retry_after => 1, times => 1 }),
	'completed 1/1', '503 with Retry-After');
is(begin({}, { status => 503, times => 1 }), 'stuck 0/0', '503 without it may be a router');
is(begin({},
		{
			fault => 'as_is', status => 403, times => 1,
			headers => [ [ 'X-RateLimit-Remaining', '0' ], [ 'X-RateLimit-Reset', '1' ] ]
		}),
	'completed 1/1', '403 when a limit is used up');

# 400: by mistake, until the step has once been done by this function; 422 never is
as_app($node, 'postgres', <<'SQL');
CREATE FUNCTION app.fresh(event jsonb) RETURNS jsonb LANGUAGE plpgsql AS $$
BEGIN
  RETURN dataflows.post('call', 'plain', '/contacts', jsonb_build_object('email', event->>'email'),
    undo => 'DELETE /contacts/{id}');
END $$;
SELECT dataflows.define_workflow('fresh', 'app.fresh');
SQL
($email, $run) = $cases->start('fresh', {}, { status => 422 });
is($cases->state_of($run), 'rolled_back', '422 is a refusal of what was understood');
($email, $run) = $cases->start('fresh', {}, { status => 400 });
is($cases->state_of($run), 'stuck', '400 to a step that was never done');
$systems->clear_faults;
as_app($node, 'postgres', "SELECT dataflows.retry('$run')");
is($cases->outcome($email, $run), 'completed 1/1', 'the mistake is repaired, and it is sent again');
for my $when ('then', 'after a restart')
{
	for my $status (400, 422)
	{
		($email, $run) = $cases->start('fresh', {}, { status => $status });
		is($cases->state_of($run), 'rolled_back', "$when $status is a refusal");
	}
	$node->restart;
}
as_app($node, 'postgres', <<'SQL');
CREATE OR REPLACE FUNCTION app.fresh(event jsonb) RETURNS jsonb LANGUAGE plpgsql AS $$
BEGIN
  RETURN dataflows.post('call', 'plain', '/contacts', jsonb_build_object('mail', event->>'email'),
    undo => 'DELETE /contacts/{id}');
END $$;
SQL
($email, $run) = $cases->start('fresh', {}, { status => 400 });
is($cases->state_of($run), 'stuck', 'the function is another: a mistake again');
is( number_of($node, "SELECT count(*) FROM dataflows.proven_step WHERE workflow = 'fresh'"),
	1, 'what is remembered is one row');

# ---- one forbidden record, and everybody else ----------------------------------------------------

my $before = number_of($node, "SELECT count(*) FROM dataflows.runs WHERE state = 'completed'");

$systems->clear_faults;
$systems->fault('crm', match => { email => '^forbidden' }, status => 403,
	body => { message => 'not allowed to share with this user' });
as_app($node, 'postgres',
	q(SELECT dataflows.start('asked', jsonb_build_object('email', who || i || '@example.com'))
		FROM unnest('{forbidden,fine}'::text[]) AS who, generate_series(1, 8) i));
wait_for_runs($node, [ 'completed', 'rolled_back', 'stuck' ]);
is(number_of($node, "SELECT count(*) FROM dataflows.runs WHERE state = 'completed'"),
	$before + 8, 'the others go on');
is( number_of(
		$node, q(SELECT count(*) FROM dataflows.stuck
			WHERE reason ~ 'not allowed to share with this user')),
	8,
	'each forbidden one is for a person');
is($node->safe_psql('postgres', q(SELECT breaker FROM dataflows.systems WHERE system = 'plain')),
	'closed', 'and no breaker opens');

# what a step expects is no failure of the system
is(begin({ accept => [500] }, { status => 500 }), 'completed 0/0', 'a 500 that is accepted')
	for 1 .. 4;
is($node->safe_psql('postgres', q(SELECT breaker FROM dataflows.systems WHERE system = 'plain')),
	'closed', 'opens no breaker');

# a list that is given anew while responses are judged by it
$systems->clear_faults;
$systems->fault('crm', status => 409, effect => $no);
$node->safe_psql('postgres', q(ALTER SERVER plain OPTIONS (ADD answers '409=kept')));
as_app($node, 'postgres',
	q(SELECT dataflows.start('asked', jsonb_build_object('email', i || 'x@example.com',
		'undo', 'DELETE /contacts/{request.email}')) FROM generate_series(1, 200) i));
for my $i (1 .. 40)
{
	my $list = qq([{"if": "\$status == 409 && \$status > $i", "is": "kept"}]);

	$node->safe_psql('postgres', "ALTER SERVER plain OPTIONS (SET answers '$list')");
}
ok(wait_until($node, q(SELECT count(*) FILTER (WHERE state = 'completed') = 200
		FROM dataflows.runs WHERE input->>'email' LIKE '%x@example.com'), 120),
	'each response is judged by one of them');
$node->safe_psql('postgres', 'ALTER SERVER plain OPTIONS (DROP answers)');

# ---- there already -------------------------------------------------------------------------------

as_app($node, 'postgres', <<'SQL');
CREATE FUNCTION app.there(event jsonb) RETURNS jsonb LANGUAGE plpgsql AS $$
DECLARE found jsonb;
BEGIN
  found := dataflows.put('call', 'plain', '/contacts/none', '{}', undo => 'DELETE /contacts/{id}',
    answers => '409=kept', probe => 'GET /contacts?email=' || (event->>'email'), doubt => 'resend');
  IF event ? 'fails' THEN
    RAISE EXCEPTION 'over';
  END IF;
  RETURN jsonb_build_object('id', found->>'id', 'status', dataflows.response('call')->'status');
END $$;
SELECT dataflows.define_workflow('there', 'app.there');
SQL
my @put = (match => { method => 'PUT' }, status => 409);
my @first = (match => { method => 'GET' }, status => 200, body => [], times => 1);

# it is not there when the probe is asked before the first attempt, and then it is
$systems->clear_faults;
is($cases->make_by_hand('there@example.com'), 201, 'somebody has made it');
my $id = $systems->id_of('crm', 'there@example.com');

for my $fails (0, 1)
{
	$systems->clear_faults;
	$systems->fault('crm', @put);
	$systems->fault('crm', @first);
	$run = as_app($node, 'postgres', sprintf(
			q(SELECT dataflows.start('there', '{"email": "there@example.com"%s}')),
			$fails ? ', "fails": 1' : ''));
	is($cases->state_of($run), $fails ? 'rolled_back' : 'completed',
		'a 409 that is kept: the probe is asked for it');
	is($node->safe_psql('postgres', "SELECT output->>'id' FROM dataflows.steps WHERE run = '$run'"),
		$id, 'what it finds is the output');
	is($cases->books('there@example.com'), '1/1', 'and it is never undone');
}
is($node->safe_psql('postgres', "SELECT status FROM dataflows.steps WHERE run = '$run'"),
	409, 'the step says what it was answered');
$systems->clear_faults;
$systems->fault('crm', @put);
$run = as_app($node, 'postgres',
	q(SELECT dataflows.start('there', '{"email": "nowhere@example.com"}')));
is($cases->state_of($run), 'stuck', 'there already, and not to be found');
like(
	look(q(stuck->>'reason')),
	qr/there already \(status 409\), but the probe found 0/,
	'is for a person');
is($cases->make_by_hand('nowhere@example.com'), 201, 'once it can be found');
$systems->fault('crm', @first);
as_app($node, 'postgres', "SELECT dataflows.retry('$run')");
is($cases->state_of($run), 'completed', 'retry() goes on with it');

# ---- until ---------------------------------------------------------------------------------------

my @poll = (match => { method => 'GET' });

is(begin({ method => 'GET', undo => 'none', until => '$status == 200 && $.state == "ready"' },
		{ @poll, status => 200, body => { state => 'ready' }, skip => 2 },
		{ @poll, status => 202, body => { state => 'ready' } }),
	'completed 0/0', 'until may ask for the status');
is(begin({ method => 'GET', undo => 'none', until => '$.state != "pending"' },
		{ @poll, status => 200, body => { state => 'ready' }, skip => 1 },
		{ @poll, status => 200, body => { state => 'pending' } }),
	'completed 0/0', 'or for what is not');
is(begin({ method => 'GET', undo => 'none', until => '$.state != "pending"' },
		{ @poll, status => 200, body => {} }),
	'stuck 0/0', 'what is not there at all is unknown');
like(look(q(stuck->>'reason')), qr/does not tell whether "until" is met/, 'and the run says so');

$node->stop;
$systems->stop;
done_testing();
