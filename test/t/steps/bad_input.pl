# What people and systems say wrongly: every case has its SQLSTATE, names the
# object, says what to do, loses nothing, and the worker goes on.

use strict;
use warnings;

use JSON::PP;
use Test::More;
use PostgreSQL::Test::Cluster;
use PostgreSQL::Test::Utils;
use Dataflows;

my $systems = start_systems();
my $node =
	new_node('bad_input', conf => "dataflows.sweep_interval = '1s'\ndataflows.max_in_flight = 64");
my $json = JSON::PP->new->canonical->allow_nonref;

create_systems($node, 'postgres', $systems, workflow => 0);
my $crm = $systems->url('crm');

$node->safe_psql('postgres', <<"SQL");
CREATE SERVER private FOREIGN DATA WRAPPER dataflows OPTIONS (url '$crm');
CREATE SERVER others FOREIGN DATA WRAPPER dataflows OPTIONS (url '$crm', allow_private 'true');
CREATE SERVER following FOREIGN DATA WRAPPER dataflows OPTIONS (url '$crm', allow_private 'true',
  follow_redirects '3');
GRANT USAGE ON FOREIGN SERVER private, following TO app;
CREATE FOREIGN DATA WRAPPER regress_strange;
CREATE SERVER strange FOREIGN DATA WRAPPER regress_strange;
GRANT USAGE ON FOREIGN SERVER strange TO app;
SQL

# The body does what its input says.  "careful" returns the error of its last
# statement; what suspends it is no error that it could catch.
as_app($node, 'postgres', <<'SQL');
CREATE FUNCTION app.plain(event jsonb) RETURNS jsonb LANGUAGE plpgsql AS $$
DECLARE
  answer jsonb;
BEGIN
  PERFORM dataflows.on_rollback('mark', 'crm', 'DELETE /contacts/nobody');
  EXECUTE event->>'sql' INTO answer;
  RETURN answer;
END $$;
CREATE FUNCTION app.careful(event jsonb) RETURNS jsonb LANGUAGE plpgsql AS $$
DECLARE
  detail text;
  hint text;
  context text;
  answer jsonb;
BEGIN
  EXECUTE event->>'sql' INTO answer;
  RETURN jsonb_build_object('answer', answer);
EXCEPTION WHEN OTHERS THEN
  GET STACKED DIAGNOSTICS detail = PG_EXCEPTION_DETAIL, hint = PG_EXCEPTION_HINT,
    context = PG_EXCEPTION_CONTEXT;
  RETURN jsonb_build_object('sqlstate', SQLSTATE, 'message', SQLERRM, 'detail', detail, 'hint',
    hint, 'context', context);
END $$;
SELECT dataflows.define_workflow('plain', 'app.plain');
SELECT dataflows.define_workflow('careful', 'app.careful');
SQL

sub quoted { my ($text) = @_; $text =~ s/'/''/g; return "'$text'"; }

# how one statement ends outside of a run: SQLSTATE, message with detail and hint
sub refused
{
	my ($sql, $user) = @_;
	my ($rc, $out, $err) = $node->psql(
		'postgres', "\\set VERBOSITY verbose\n$sql",
		on_error_stop => 1,
		extra_params => [ '-U', $user // 'app' ]);

	return $err =~ /(?:ERROR|FATAL):\s+(\w{5}): (.*)/s ? ($1, $2) : ('', "$out$err");
}

sub start_run
{
	my ($workflow, $sql) = @_;
	my $input = quoted($json->encode({ sql => $sql }));

	return as_app($node, 'postgres', "SELECT dataflows.start('$workflow', $input)");
}

# ---- steps with arguments that cannot be ----------------------------------------------

# A statement, the SQLSTATE, what message, detail and hint together must match;
# the state in which a run ends that does not catch it.
my $post = "SELECT dataflows.post('make', 'crm', '/contacts', '{\"email\": \"bad\@example.com\"}'";
my @bad = (
	[
		'an unknown system',
		q(SELECT dataflows.get('look', 'mrc', '/contacts')),
		'42704', qr/"look".*"mrc".*CREATE SERVER/s, 'stuck'
	],
	[
		'no USAGE', q(SELECT dataflows.get('look', 'others', '/contacts')),
		'42\w{3}', qr/"look".*"others".*USAGE/s,
		'stuck'
	],
	[
		'a server of another wrapper', q(SELECT dataflows.get('look', 'strange', '/contacts')),
		'42\w{3}', qr/"look".*"strange".*dataflows/s,
		'stuck'
	],
	[
		'no system', q(SELECT dataflows.get('look', NULL, '/contacts')),
		'22023', qr/system of step "look"/s
	],
	[ 'no path', q(SELECT dataflows.get('look', 'crm', NULL)), '22023', qr/"look".*path/s ],
	(   map {
			my ($path) = @$_;
			[
				"the path $path", "SELECT dataflows.get('look', 'crm', '$path')",
				'22023', qr/"look".*$_->[1]/s
			]
		} [ '//evil.example.com/x', 'two slashes' ],
		[ '/../x', 'dot segment' ],
		[ '/a/%2e%2e/b', 'dot segment' ],
		[ '/a/%252e%252e/b', 'dot segment' ],
		[ '/a/..%2fb', 'dot segment' ],
		[ 'http://evil.example.com/x', 'path below' ],
		[ '@evil.example.com/', 'path below' ],
		[ '/x#f', 'fragment' ],
		[ '/x\y', 'backslash' ],
		[ '/x%zz', 'percent' ],
		[ '', 'begin with' ]),
	[
		'CR/LF in a path',
		q(SELECT dataflows.get('look', 'crm', E'/x\r\nHost: evil')),
		'22023',
		qr/"look".*control character/s
	],
	[
		'a query that is no object',
		q(SELECT dataflows.get('look', 'crm', '/contacts', query => '[1]')),
		'22023',
		qr/query of step "look".*names and values/s
	],
	[
		'CR/LF in a header',
		q(SELECT dataflows.get('look', 'crm', '/contacts',
			headers => jsonb_build_object('X-A', E'a\r\nHost: evil'))),
		'22023',
		qr/header of step "look".*Remove/s
	],
	[
		'CR/LF in a header\'s name',
		q(SELECT dataflows.get('look', 'crm', '/contacts',
			headers => jsonb_build_object(E'X\r\nHost', 'evil'))),
		'22023',
		qr/header of step "look".*letters, digits and hyphens/s
	],
	[
		'a colon in a header\'s name',
		q(SELECT dataflows.get('look', 'crm', '/contacts', headers => '{"X-A: b": "c"}')),
		'22023', qr/header of step "look"/s
	],
	[
		'a header that is the engine\'s',
		q(SELECT dataflows.get('look', 'crm', '/contacts', headers => '{"content-LENGTH": "9"}')),
		'22023', qr/step "look" must not set header "content-LENGTH"/s
	],
	[
		'the idempotency header',
		q(SELECT dataflows.get('look', 'crm', '/contacts',
			headers => '{"Idempotency-Key": "mine"}')),
		'22023',
		qr/step "look" must not set header "Idempotency-Key".*idempotency_header/s
	],
	[
		'a header that is no string',
		q(SELECT dataflows.get('look', 'crm', '/contacts', headers => '{"X-A": 1}')),
		'22023', qr/header of step "look".*JSON string/s
	],
	[
		'headers that are no object',
		q(SELECT dataflows.get('look', 'crm', '/contacts', headers => '"X-A: 1"')),
		'22023', qr/headers of step "look"/s
	],
	[
		'an unknown method',
		q(SELECT dataflows.http('look', 'crm', 'FETCH', '/contacts')),
		'22023', qr/"FETCH" of step "look".*Use GET/s
	],
	[
		'a method with a line break',
		q(SELECT dataflows.http('look', 'crm', E'GET / HTTP/1.1\r\nX: ', '/contacts')),
		'22023', qr/of step "look".*Use GET/s
	],
	[ 'an unknown doubt', "$post, doubt => 'hope')", '22023', qr/"hope".*'resend'/s ],
	[ 'an accept beyond HTTP', "$post, accept => ARRAY[42])", '22023', qr/"accept".*100 to 599/s ],
	[ 'a NULL in accept', "$post, accept => ARRAY[404, NULL])", '22023', qr/"accept"/s ],
	[
		'accept of what the step makes, beside an undo',
		"$post, accept => ARRAY[200, 201], undo => 'DELETE /contacts/{id}')",
		'22023', qr/contains 201.*never undone.*answers => '201=kept'/s
	],
	[ 'accept in two dimensions', "$post, accept => '{{404},{9}}')", '22023', qr/"accept"/s ],
	[
		'a retry that is no object',
		"$post, retry => '3')",
		'22023',
		qr/"retry".*JSON object|"retry"/s
	],
	[
		'an unknown key in retry', "$post, retry => '{\"max_attemps\": 3}')",
		'22023', qr/"max_attemps".*max_attempts/s
	],
	[
		'a retry without sense',
		"$post, retry => '{\"initial\": \"soon\"}')",
		'22023',
		qr/"initial" of "retry".*30 s/s
	],
	[
		'attempts in halves',
		"$post, retry => '{\"max_attempts\": 1.5}')",
		'22023', qr/"max_attempts" of "retry"/s
	],
	[ 'a negative timeout', "$post, timeout => '-1 s')", '22023', qr/"timeout".*interval/s ],
	[
		'no time between polls',
		q(SELECT dataflows.get('look', 'crm', '/contacts', until => '$.x == 1', every => '0')),
		'22023', qr/"every"/s
	],
	[
		'an undo without a method',
		"$post, undo => '/contacts/{id}')",
		'22023',
		qr/undo "\/contacts.*DELETE/s
	],
	[
		'an undo with an open brace',
		"$post, undo => 'DELETE /contacts/{id')",
		'22023',
		qr/undo "DELETE.*brace/s
	],
	[
		'an undo with an empty field',
		"$post, undo => 'DELETE /contacts/{}')",
		'22023',
		qr/undo "DELETE.*field/s
	],
	[
		'an undo with a field in two pairs of braces',
		"$post, undo => 'DELETE /contacts/{{id}}')",
		'22023',
		qr/undo "DELETE.*placeholder.*one pair of braces/s
	],
	[
		'an undo with a route instead of a path',
		"$post, undo => 'DELETE /contacts/:id')",
		'22023', qr/undo "DELETE.*placeholder/s
	],
	[
		'a probe with a field in two pairs of braces',
		"$post, undo => 'DELETE /contacts/{id}', probe => 'GET /contacts?k={{run}}')",
		'22023', qr/probe "GET.*placeholder/s
	],
	[
		'an undo of all that is there',
		"$post, undo => 'DELETE /contacts')",
		'22023',
		qr/undo "DELETE.*adds to.*DELETE \/contacts\/\{id\}/s
	],
	[
		'an undo that chooses nothing',
		"$post, undo => 'DELETE /contacts/?email=&all')",
		'22023', qr/undo "DELETE.*no value for the parameter "email"/s
	],
	[
		'a DELETE whose parameter has no value',
		q(SELECT dataflows.delete('x', 'crm', '/contacts?email=')),
		'22023', qr/no value for the parameter "email".*all that is there/s
	],
	[
		'a PATCH whose query has no value',
		q(SELECT dataflows.patch('x', 'crm', '/contacts', query => '{"email": "", "a": 1}')),
		'22023', qr/no value for the parameter "email"/s
	],
	[
		'a DELETE of nothing',
		q(SELECT dataflows.delete('x', 'crm', '/contacts/' || '')),
		'22023', qr/empty part in its path.*trailing_slash/s
	],
	[
		'a PUT with nothing in its path',
		q(SELECT dataflows.put('x', 'crm', '/contacts//tags', '{}')),
		'22023', qr/empty part in its path/s
	],
	[
		'what on_rollback would take back of all',
		q(SELECT dataflows.on_rollback('x', 'crm', 'DELETE /contacts/' || '')),
		'22023', qr/undo "DELETE \/contacts\/" has an empty part/s
	],
	[
		'a slash at the end that is no boolean',
		q(SELECT dataflows.delete('x', 'crm', '/jane/', options => '{"trailing_slash": "yes"}')),
		'22023', qr/"trailing_slash".*not a boolean/s
	],
	[
		'answers that make another each time',
		"$post, answers => '202=retry')",
		'22023', qr/"answers".*202.*POST.*once more/s
	],
	[
		'an undo that leaves its host',
		"$post, undo => 'DELETE //evil.example.com/{id}')",
		'22023',
		qr/undo "DELETE \/\/evil.*names a host/s
	],
	[
		'a probe of what only reads',
		q(SELECT dataflows.get('look', 'crm', '/contacts/7', probe => 'GET /contacts/7',
			probe_found => '$')),
		'22023',
		qr/"probe" has nothing to find out about a GET/
	],
	[
		'a probe of what deletes',
		q(SELECT dataflows.delete('look', 'crm', '/contacts/7', probe => 'GET /contacts/7',
			probe_found => '$')),
		'22023',
		qr/"probe" has nothing to find out about a DELETE/
	],
	[ 'a probe without a path', "$post, probe => 'GET')", '22023', qr/probe "GET".*method/s ],
	[
		'a probe that changes things',
		"$post, probe => 'BREW /pot')",
		'22023',
		qr/probe "BREW.*method/s
	],
	[
		'an undo body with a bad template',
		"$post, undo => 'POST /x', undo_body => '{\"id\": \"{id\"}')",
		'22023', qr/undo_body.*brace/s
	],
	[
		'a jsonpath that is none', "$post, probe => 'GET /contacts', probe_found => '\$[')",
		'42601|22023', qr/probe_found|jsonpath/s,
		'either'
	],
	[
		'an empty jsonpath', q(SELECT dataflows.get('look', 'crm', '/contacts', until => '')),
		'22023', qr/"until".*jsonpath/s
	],
	[
		'a step\'s name with #', q(SELECT dataflows.get('look#2', 'crm', '/contacts')),
		'22023', qr/"look#2".*name#2/s
	],
	[
		'an empty name',
		q(SELECT dataflows.get('', 'crm', '/contacts')),
		'22023', qr/step must not be empty/s
	],
	[
		'no name', q(SELECT dataflows.get(NULL, 'crm', '/contacts')),
		'22023', qr/step must not be empty/s
	],
	[
		'a line break in a name',
		q(SELECT dataflows.get(E'a\nb', 'crm', '/contacts')),
		'22023', qr/control character/s
	],
	[
		'a name of 10 kB',
		q(SELECT dataflows.get(repeat('n', 10240), 'crm', '/contacts')),
		'DF006', qr/nnn\.\.\.".*shorter/s, 'stuck'
	],
	[
		'a request of 2 MB',
		q(SELECT dataflows.post('make', 'crm', '/contacts', jsonb_build_object('x', repeat('x',
			2000000)))),
		'DF006',
		qr/"make".*max_body/s,
		'stuck'
	],
	[
		'a header of 200 kB',
		q(SELECT dataflows.get('look', 'crm', '/contacts', headers => jsonb_build_object('X-A',
			repeat('a', 200000)))),
		'DF006',
		qr/headers of step "look".*body/s,
		'stuck'
	],
	[
		'a path of 2 MB',
		q(SELECT dataflows.get('look', 'crm', '/' || repeat('x', 2000000))),
		'DF006', qr/path of step "look".*body/s, 'stuck'
	],
	[
		'a query of 2 MB',
		q(SELECT dataflows.get('look', 'crm', '/contacts', query => jsonb_build_object('x',
			repeat('x', 2000000)))),
		'DF006',
		qr/query of step "look".*body/s,
		'stuck'
	],
	[
		'a probe that leaves its host',
		"$post, probe => 'GET /a/../{id}')",
		'22023',
		qr/probe "GET \/a.*dot segment/s
	],
	[
		'an event without a name',
		q(SELECT dataflows.wait_for('')),
		'22023',
		qr/event must not be empty/s
	],
	[ 'an event with #', q(SELECT dataflows.wait_for('go#2')), '22023', qr/event "go#2"/s ],
	[
		'an event of 10 kB',
		q(SELECT dataflows.wait_for(repeat('e', 10240))),
		'DF006', qr/eee\.\.\."/s, 'stuck'
	],
	[ 'a sleep of NULL', q(SELECT dataflows.sleep('nap', NULL)), '22004', qr/"nap".*interval/s ],
	[ 'a response of no step', q(SELECT dataflows.response('never')), '22023', qr/"never"/s ],
	[ 'wait_all of no step', q(SELECT dataflows.wait_all('never')), '22023', qr/"never"/s ],
	[
		'an interval of until alone',
		q(SELECT dataflows.get('look', 'crm', '/contacts', every => '1 s')),
		'22023', qr/"every" is given without "until"/s
	],
	[
		'a limit of until alone',
		q(SELECT dataflows.get('look', 'crm', '/contacts', until_timeout => '1 h')),
		'22023', qr/"until_timeout" is given without "until"/s
	],
	[
		'a POST again and again', "$post, until => '\$.x == 1')",
		'22023', qr/"until" would send a POST again and again.*dataflows\.get/s
	],
	[
		'a probe_found alone',
		"$post, probe_found => '\$[0]')",
		'22023',
		qr/"probe_found" is given without "probe"/s
	],
	[
		'an undo that only reads',
		"$post, undo => 'GET /contacts/{id}')",
		'22023', qr/undo "GET .*would take nothing back.*DELETE/s
	],
	[
		'a probe that writes',
		"$post, probe => 'DELETE /contacts/7', probe_found => '\$')",
		'22023', qr/probe "DELETE .*would have an effect of its own/s
	],
	[
		'a retry whose first pause is longer than the longest',
		q(SELECT dataflows.get('look', 'crm', '/contacts', retry =>
			'{"initial": "1 min", "max": "1 s"}')),
		'22023', qr/"initial" of "retry" is longer than "max"/s
	],
	[
		'an undo that is none, with a body',
		"$post, undo => 'none', undo_body => '{\"x\": 1}')",
		'22023', qr/"undo" is 'none', and has a body/s
	],
	[
		'a wait of less than nothing',
		q(SELECT dataflows.wait_for('go', timeout => '-1 s')),
		'22023', qr/timeout of step "go" is less than zero: -00:00:01/s
	],
	[
		'a sleep of less than nothing',
		q(SELECT dataflows.sleep('nap', '-1 day')),
		'22023', qr/duration of step "nap" is less than zero/s
	],
	[
		'a wait for nobody',
		q(SELECT dataflows.wait_for('go', by => 'nobody_here')),
		'42704', qr/role "nobody_here" does not exist/s
	],
	[
		'a query with a wrong undo',
		q(SELECT dataflows.query('look', 'SELECT 1', undo => 'DELETE FROM app.no_such')),
		'42P01', qr/relation "app.no_such" does not exist/s
	],
	[
		'a query whose undo reads what it does not return',
		q(SELECT dataflows.query('look', 'UPDATE app.cases SET i = 1',
			undo => 'DELETE FROM app.cases WHERE i = ($1->0->>''i'')::int')),
		'22023', qr/reads \$1.*RETURNING/s
	],
	[
		'a query with an undo that is not permitted',
		q(SELECT dataflows.query('look', 'SELECT 1', undo => 'DELETE FROM dataflows.run')),
		'42501', qr/permission denied/s
	],
	[
		'a query with an undo of two parameters',
		q(SELECT dataflows.query('look', 'SELECT 1', undo => 'SELECT $2')),
		'42P02', qr/an undo has \$1/s
	],
	[
		'on_rollback without a request', q(SELECT dataflows.on_rollback('later', 'crm', 'soon')),
		'22023', qr/request/s
	],
	[
		'on_rollback of an unknown system',
		q(SELECT dataflows.on_rollback('later', 'mrc', 'DELETE /x')),
		'42704', qr/"later".*"mrc"/s, 'stuck'
	]);

my $values = join(",\n",
	map { "($_, " . quoted($json->encode({ sql => $bad[$_][1] })) . '::jsonb)' } 0 .. $#bad);
as_app($node, 'postgres', <<"SQL");
CREATE TABLE app.cases (i int PRIMARY KEY, input jsonb, careful uuid, plain uuid);
INSERT INTO app.cases (i, input) VALUES $values;
UPDATE app.cases SET careful = dataflows.start('careful', input), plain = dataflows.start('plain',
  input);
SQL
ok(wait_until($node, <<'SQL', 40), 'every run with a bad argument comes to an end');
SELECT bool_and(state IN ('completed', 'rolled_back', 'stuck')) FROM dataflows.runs
  WHERE workflow IN ('careful', 'plain')
SQL
for my $i (0 .. $#bad)
{
	my ($what, undef, $sqlstate, $words, $ends) = @{ $bad[$i] };
	my ($state, $result) = split /\|/, $node->safe_psql(
		'postgres',
		"SELECT p.state, c.result FROM app.cases s JOIN dataflows.runs c ON c.run = careful
			JOIN dataflows.runs p ON p.run = plain WHERE i = $i"
		),
		2;
	my $caught = $json->decode($result || '{}');
	my $said = join("\n", map { $caught->{$_} // '' } qw(message detail hint));

	like($caught->{sqlstate} // 'none', qr/^(?:$sqlstate)$/, "$what: SQLSTATE");
	like($said, $words, "$what: its words");
	unlike($said, qr/n{200}|e{200}|x{2000}/, "$what: short words");
	like("$said\n$caught->{context}", qr/step "(look|make)"/, "$what: the step")
		if $what =~ /undo|probe|retry|doubt|accept|timeout/;
	$ends //= 'stuck';
	is($state, $ends, "$what: its run is $ends") if $ends ne 'either';
}
is(number_of($node, <<'SQL'), 0, 'none of them left a step behind');
SELECT count(*) FROM dataflows.steps JOIN dataflows.runs r USING (run)
  WHERE r.workflow IN ('careful', 'plain') AND steps.step <> 'mark'
SQL
is( $systems->books('crm')->{total} -
		scalar(grep { $_->{target} eq '/contacts/nobody' } @{ $systems->requests('crm') }),
	0,
	'and nothing was sent but the undos');

# ---- slashes that are meant ------------------------------------------------------------

for my $call (
	q('/contacts/jane/', accept => '{404}', options => '{"trailing_slash": true}'),
	q('/contacts/7/', accept => '{404}'),
	q('/contacts/none?all', accept => '{404}'))
{
	my $asked = start_run('careful', "SELECT dataflows.delete('look', 'crm', $call)");

	is(as_app($node, 'postgres', "SELECT dataflows.await('$asked', '10 s')"),
		'completed', "a DELETE of $call");
	is(number_of($node, "SELECT count(*) FROM dataflows.steps WHERE run = '$asked'
			AND step = 'look' AND state = 'done'"), 1, 'is sent');
}

# ---- a network that is not for everybody ------------------------------------------------

my $run = start_run('careful', q(SELECT dataflows.get('look', 'private', '/contacts')));
is(as_app($node, 'postgres', "SELECT dataflows.await('$run', '10 s')"),
	'completed', 'a private address without allow_private');
like(
	$node->safe_psql('postgres', "SELECT result FROM dataflows.runs WHERE run = '$run'"),
	qr/loopback.*allow_private.*DF001/s,
	'is refused by name');

# ---- start, signal and their like -----------------------------------------------------------

my $live = as_app($node, 'postgres',
	q(SELECT dataflows.start('careful', '{"sql": "SELECT dataflows.wait_for(''go'')"}', 'live')));
my $runs = number_of($node, 'SELECT count(*) FROM dataflows.run');
my @asks = (
	[
		'start of no workflow', q(SELECT dataflows.start('carefull')),
		'DF005', qr/"carefull".*HINT/s
	],
	[
		'a key of 10 kB', q(SELECT dataflows.start('careful', '{}', repeat('k', 10240))),
		'DF006', qr/key.*HINT/s
	],
	[ 'an empty key', q(SELECT dataflows.start('careful', '{}', '')), '22023', qr/key.*HINT/s ],
	[
		'an input of 100 MB',
		q(SELECT dataflows.start('careful', jsonb_build_object('x', repeat('x', 104857600)))),
		'DF006', qr/input.*max_body/s
	],
	[
		'an input that is no JSON', q(SELECT dataflows.start('careful', '{"a": }')),
		'22P02', qr/json/s
	],
	[
		'a function that is none', q(SELECT dataflows.define_workflow('new', 'app.no_such')),
		'42883', qr/app\.no_such.*HINT/s
	],
	[
		'a function of another kind',
		q(SELECT dataflows.define_workflow('new', 'pg_catalog.jsonb_typeof(jsonb)')),
		'42P13|42\w{3}', qr/jsonb_typeof.*jsonb/s
	],
	[
		'a retry without sense',
		q(SELECT dataflows.define_workflow('new', 'app.plain', retry => '{"often": 1}')),
		'22023', qr/"often".*HINT/s
	],
	[
		'an unknown accept_notify',
		q(SELECT dataflows.define_workflow('new', 'app.plain', accept_notify => 'all')),
		'22023', qr/"all".*HINT/s
	],
	[
		'a signal to no run',
		q(SELECT dataflows.signal('0199aaaa-0000-7000-8000-00000000ffff', 'go')),
		'DF005', qr/0199aaaa.*HINT/s, 'recent'
	],
	[ 'a signal to what is no id', q(SELECT dataflows.signal('live', 'go')), '22P02', qr/"live"/s ],
	[
		'an event without a name', "SELECT dataflows.signal('$live', '')", '22023',
		qr/event.*HINT/s
	],
	[ 'an event with #', "SELECT dataflows.signal('$live', 'go#2')", '22023', qr/go#2.*HINT/s ],
	[
		'an event of 10 kB', "SELECT dataflows.signal('$live', repeat('e', 10240))",
		'DF006', qr/event.*HINT/s
	],
	[
		'a payload of 2 MB',
		"SELECT dataflows.signal('$live', 'go', to_jsonb(repeat('x', 2000000)))",
		'DF006', qr/payload.*max_body/s
	],
	[
		'a key of 10 kB of a signal',
		q(SELECT dataflows.signal_by_key('careful', repeat('k', 10240), 'go')),
		'DF006', qr/key.*HINT/s
	],
	[
		'a signal to no workflow', q(SELECT dataflows.signal_by_key('carefull', 'live', 'go')),
		'DF005', qr/"carefull".*HINT/s
	],
	[
		'an unknown outcome', "SELECT dataflows.resolve('$live', 'go', 'maybe', 'note')",
		'22023', qr/"maybe".*not_done/s
	],
	[
		'an unknown step', "SELECT dataflows.resolve('$live', 'gone', 'done', 'note')",
		'DF005', qr/"gone".*HINT/s
	],
	[
		'a pause of no workflow', q(SELECT dataflows.pause('carefull')),
		'DF005', qr/"carefull".*HINT/s
	],
	[
		'await of no run', q(SELECT dataflows.await('0199aaaa-0000-7000-8000-00000000ffff')),
		'DF005', qr/0199aaaa.*HINT/s
	],
	[
		'an await of less than nothing', "SELECT dataflows.await('$live', '-1 s')",
		'22023', qr/timeout.*HINT/s
	]);
for my $case (@asks)
{
	my ($what, $sql, $sqlstate, $words, $recent) = @$case;

	# an id of the future is of no run that can have been purged
	$sql =~ s/0199aaaa/ffffaaaa/, $words = qr/ffffaaaa.*HINT/s if $sql =~ /0199aaaa/;
	my ($state, $said) = refused($sql);
	like($state, qr/^(?:$sqlstate)$/, "$what: SQLSTATE");
	like($said, $words, "$what: its words");
	unlike($said, qr/[kex]{300}/, "$what: short words");
}
is(number_of($node, 'SELECT count(*) FROM dataflows.run'), $runs, 'no run was started');
is(number_of($node, 'SELECT count(*) FROM dataflows.inbox'), 0, 'and nothing was signalled');

# ---- NOTIFY with anything in it -----------------------------------------------------------------

my ($coordinator) = pids_of($node, 'coordinator');
my $logged = -s $node->logfile;
my @payloads = (
	'',
	'go',
	'{',
	'[]',
	'"go"',
	'null',
	'{}',
	qq({"run": "$live"}),
	qq({"run": "$live", "event": 7}),
	qq({"run": "$live", "event": ""}),
	'{"run": "live", "event": "go"}',
	'{"run": 7, "event": "go"}',
	'{"event": "go"}',
	'{"run": "ffffaaaa-0000-7000-8000-00000000ffff", "event": "go"}',
	'{"workflow": "careful", "key": "live", "event": "go"}',
	'{"workflow": "carefull", "key": "live", "event": "go"}',
	'{"workflow": "careful", "key": 7, "event": "go"}',
	qq({"run": "$live", "event": "a\\nb"}),
	qq({"run": "$live", "event": "go\\u0000"}),
	qq({"run": "$live", "event": "go#2"}),
	'{"a":' x 1000,
	'[' x 7000,
	qq({"run": "$live", "event": ") . ('e' x 6000) . '"}');
$node->safe_psql('postgres',
	join("\n", map { 'SELECT pg_notify(\'dataflows\', ' . quoted($_) . ');' } @payloads));
ok(wait_until($node, 'SELECT true'), 'malformed NOTIFY payloads are sent');
log_says($node, qr/notification on channel "dataflows" from process \d+ was ignored/, $logged);
my $log = slurp_file($node->logfile, $logged);
my $complaints = () = $log =~ /notifications? on channel/g;
ok($complaints >= 1 && $complaints < @payloads / 2,
	"they cost a line or two in the log and not one each ($complaints)");
like($log, qr/was ignored: .*\n.*HINT: .*"?run"?/, 'which says what was wrong and how it is right');
is(number_of($node, "SELECT count(*) FROM dataflows.inbox WHERE state <> 'done'"),
	0, 'none of them is a signal that is kept');
is(as_app($node, 'postgres', "SELECT state FROM dataflows.runs WHERE run = '$live'"),
	'waiting', 'the run waits as before');
$node->safe_psql('postgres',
	qq(NOTIFY dataflows, '{"run": "$live", "event": "go", "payload": {"n": 1}}'));
ok(wait_until($node, "SELECT state = 'completed' FROM dataflows.runs WHERE run = '$live'"),
	'a good one is heard');
is( number_of(
		$node, "SELECT (result->'answer'->>'n')::int FROM dataflows.runs WHERE run = '$live'"),
	1,
	'with its payload');
is((pids_of($node, 'coordinator'))[0], $coordinator, 'by the same coordinator');

# ---- answers that cannot be used -----------------------------------------------------------------

# a fault of crm's GET and POST, the answer's words; what a POST becomes (error: sent by nobody;
# person: what both become, since no body can know what to make of it)
my $outside = 'http://169.254.169.254/latest/meta-data/';
my @answers = (
	[ 'invalid JSON', { fault => 'invalid_json' }, qr/cannot be read/, 'completed' ],
	[ '50 MB', { fault => 'huge', bytes => 50_000_000 }, qr/larger than max_body/, 'completed' ],
	[
		'a drip', { fault => 'drip', ms => 150 },
		qr/[Tt]ime/, 'either', ", timeout => '250 ms', retry => '{\"max_attempts\": 1}'"
	],
	[
		'a redirect to the cloud\'s metadata',
		{ fault => 'redirect', location => $outside },
		qr/status 302/,
		'person'
	],
	[
		'a redirect to a file',
		{ fault => 'redirect', location => 'file:///etc/passwd' },
		qr/status 302/, 'person'
	],
	[
		'a redirect to a file, followed',
		{ fault => 'redirect', location => 'file:///etc/passwd' },
		qr/not http or https/,
		'error', '', 'following'
	],
	[
		'a redirect to gopher, followed',
		{ fault => 'redirect', location => 'gopher://127.0.0.1:70/x' },
		qr/not http or https/,
		'error', '', 'following'
	],
	[
		'a redirect with credentials, followed',
		{ fault => 'redirect', location => 'http://a:b@127.0.0.1:70/x' },
		qr/user name/, 'error', '', 'following'
	]);
my $number = 0;

for my $case (@answers)
{
	my ($what, $fault, $words, $ends, $options, $system) = @$case;
	my $email = 'answer' . ++$number . '@example.com';

	$options //= '';
	$system  //= 'crm';
	$systems->fault('crm', %$fault, match => { email => "^\Q$email\E\$" });
	my $get = start_run(
		'careful',
		"SELECT dataflows.get('look', '$system', '/contacts',
			query => '{\"email\": \"$email\"}'$options)"
	);
	my $making = start_run(
		'plain',
		"SELECT dataflows.post('make', '$system', '/contacts', '{\"email\": \"$email\"}',
			undo => 'none'$options)"
	);
	is( as_app($node, 'postgres', "SELECT dataflows.await('$get', '20 s')"),
		$ends eq 'person' ? 'stuck' : 'completed',
		"$what: a GET ends");
	my $caught =
		$node->safe_psql('postgres',
			"SELECT coalesce(result, stuck) FROM dataflows.runs WHERE run = '$get'");
	like($caught, qr/DF001.*look|look.*DF001/s, "$what: with DF001 that names the step");
	like($caught, $words, "$what: and says why");
	cmp_ok(length($caught), '<', 6000, "$what: in few words");
	my $state = as_app($node, 'postgres', "SELECT dataflows.await('$making', '20 s')");
	is($state, $ends =~ s/error|person/stuck/r,
		"$what: a POST ends as $ends")
		if $ends ne 'either';
	like($state, qr/^(rolled_back|stuck)$/, "$what: a POST does not go on") if $ends eq 'either';
	is( ($systems->summary('crm')->{$email} // [ 0, 0 ])->[0],
		$ends =~ /person|error/ ? 0 : 1,
		"$what: and is made once or not at all");
	$systems->clear_faults('crm');
}

# ---- and then ------------------------------------------------------------------------------------

$run = start_run('plain', "$post)");
is(as_app($node, 'postgres', "SELECT dataflows.await('$run', '20 s')"),
	'completed', 'after all of it a good run is completed');
$log = slurp_file($node->logfile);
unlike($log, qr/PANIC|TRAP|terminated by signal/, 'nothing crashed');
unlike(
	$log,
	qr/(coordinator|worker).*exited with exit code [1-9]/,
	'no process of the engine ended with an error');

$node->stop;
$systems->stop;
done_testing();
