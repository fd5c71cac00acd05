# A jsonb of half a megabyte may be gigabytes of text: every place where a value
# comes in measures the text, without rendering it, and nothing that is there
# already breaks the page.

use strict;
use warnings;

use HTTP::Tiny;
use IO::Socket::INET;
use JSON::PP;
use Test::More;
use Time::HiRes qw(time usleep);
use PostgreSQL::Test::Cluster;
use PostgreSQL::Test::Utils;
use Dataflows;
use Dataflows::Roles;

my $port = PostgreSQL::Test::Cluster::get_free_port();
my $node = new_node('large_values', conf => <<"CONF");
dataflows.listen = '127.0.0.1:$port'
dataflows.ingress_role = 'hearer'
dataflows.dashboard = on
CONF
my $http = HTTP::Tiny->new(timeout => 60, keep_alive => 0);

# 540 kB of JSON and of jsonb, 8 GB of text
my $bomb = '{"k": [' . join(',', ('1e131071') x 60_000) . ']}';
# the same made in SQL, for statements; to_jsonb() of an array would take PostgreSQL a minute
my $made = q((('{"k": [' || repeat('1e131071,', 59999) || '1e131071]}')::jsonb));

sub says { return role_hears($node, @_); }

sub refused
{
	my ($sql, $what) = @_;
	return like(says('app', $sql), qr/ERROR:  DF006: .*HINT:/s, "$what is refused");
}

create_app($node);
$node->safe_psql('postgres', <<'SQL');
CREATE ROLE hearer LOGIN;
GRANT EXECUTE ON FUNCTION dataflows.receive_webhook TO app;
SQL

# ---- the measure ------------------------------------------------------------------------

is( $node->safe_psql('postgres',
		<<'SQL'), '', 'it is the length of the text, to the byte: documents');
SELECT j FROM unnest(ARRAY['{}', '[]', '1', '"x"', 'null', 'true', 'false', '""', '[[]]', '[{}]',
  '{"a": {}}', '[null, true, false, 1, "x"]', '{"a": 1, "b": [1, 2, {"c": null}], "": ""}',
  '"quotes \" and \\ and / "', '"\b\f\n\r\t"', '"\u0001\u001f\u007f"', '"\u00e4\u20ac\ud83d\ude00"',
    '[[[[[[1]]]]], [2, [3]]]', '{"\"\\\n": "\""}', '-1', '-0', '0.0', '-0.00', '1.10', '1e3',
    '1E-3', '123456789012345678901234567890.5',
  '[1, 10, 100, 1000, 9999, 10000, 99999, 100000, 0.1, 0.01, 0.0001, 0.00001, -12345.6789]',
    '1e131071', '-1e131071', '1e-16383', '12e-16383', '[1e131071, 1e-16383]']) AS t,
    LATERAL (SELECT t::jsonb AS j) AS v
WHERE dataflows._text_size(j, 2147483647) <> octet_length(j::text)
SQL
is($node->safe_psql('postgres', <<'SQL'), '', 'numbers of all lengths, with and without a scale');
SELECT x FROM (SELECT (s || '1' || repeat('0', e % 9) || CASE WHEN d > 0 THEN '.' || repeat('7', d)
  ELSE '' END || 'e' || (e - 60))::numeric AS x
  FROM generate_series(0, 120) e, generate_series(0, 9) d, unnest(ARRAY['', '-']) s) AS n
WHERE dataflows._text_size(to_jsonb(x), 2147483647) <> octet_length(to_jsonb(x)::text)
SQL
is($node->safe_psql('postgres', <<'SQL'), '', 'rows of catalogs');
SELECT v FROM (SELECT to_jsonb(c) AS v FROM pg_class c UNION ALL SELECT to_jsonb(p) FROM pg_proc p
  UNION ALL SELECT to_jsonb(s) FROM pg_stats s) AS t
WHERE dataflows._text_size(v, 2147483647) <> octet_length(v::text)
SQL
is( $node->safe_psql(
		'postgres',
		"SELECT dataflows._text_size('[1, 2, 3]', 9), dataflows._text_size('[1, 2, 3]', 8) > 8,
			dataflows._text_size('[]', 0) > 0"
	),
	'9|t|t',
	'it stops when there is too much');
my $began = time();
is($node->safe_psql('postgres', "SELECT dataflows._text_size($made, 1000000) > 1000000"),
	't', 'eight gigabytes');
cmp_ok(time() - $began, '<', 30, 'are not rendered to be measured');

# ---- where values come in ----------------------------------------------------------------

as_app($node, 'postgres', <<"SQL");
CREATE FUNCTION app.bomb() RETURNS jsonb LANGUAGE sql AS \$\$ SELECT $made \$\$;
CREATE FUNCTION app.bomb_text() RETURNS text LANGUAGE sql AS \$\$
  SELECT '{"k": [' || repeat('1e131071,', 59999) || '1]}' \$\$;
CREATE FUNCTION app.raises() RETURNS jsonb LANGUAGE plpgsql AS \$\$ BEGIN RAISE
  EXCEPTION '%', repeat('x', 20000000) USING DETAIL = repeat('x', 20000000); END \$\$;
CREATE FUNCTION app.waits(event jsonb) RETURNS jsonb LANGUAGE plpgsql AS \$\$ BEGIN
  RETURN dataflows.wait_for('go'); END \$\$;
CREATE FUNCTION app.does(event jsonb) RETURNS jsonb LANGUAGE plpgsql AS \$\$
BEGIN
  CASE event->>'what'
    WHEN 'result' THEN RETURN app.bomb();
    WHEN 'query' THEN RETURN dataflows.query('q', 'SELECT app.bomb()');
    WHEN 'rows' THEN RETURN dataflows.query('q', 'SELECT 1e131071 FROM generate_series(1, 100)');
    WHEN 'args' THEN RETURN dataflows.query('q', 'SELECT \$1', jsonb_build_array(app.bomb()));
    WHEN 'once' THEN RETURN dataflows.once('o', 'SELECT app.bomb()');
    WHEN 'call' THEN RETURN dataflows.call('c', 'waits', app.bomb());
    WHEN 'round' THEN PERFORM dataflows.continue_with(app.bomb());
    WHEN 'post' THEN RETURN dataflows.post('p', 'fake', '/', app.bomb());
    WHEN 'undo' THEN RETURN dataflows.post('p', 'fake', '/', '{}',
      undo => 'POST /undo', undo_body => app.bomb());
    WHEN 'rollback' THEN PERFORM dataflows.on_rollback('r', 'fake', 'POST /undo', app.bomb());
      RETURN '{}';
    WHEN 'address' THEN RETURN dataflows.get('p', 'fake', '/', query => app.bomb());
    WHEN 'detail' THEN RAISE EXCEPTION 'with a detail' USING ERRCODE = 'DF001',
      DETAIL = app.bomb_text();
    WHEN 'status' THEN RAISE EXCEPTION 'with a status' USING ERRCODE = 'DF001',
      DETAIL = '{"status": 1e131071, "step": 1e131071}';
    WHEN 'nested' THEN RAISE EXCEPTION 'with levels' USING ERRCODE = 'DF001', DETAIL = repeat('[',
      30000) || repeat(']', 30000);
    WHEN 'long' THEN RAISE EXCEPTION '%', repeat('é', 20000000) USING DETAIL = repeat('x',
      20000000), HINT = repeat('y', 20000000);
    WHEN 'sql' THEN RETURN dataflows.query('q', 'SELECT app.raises()');
    WHEN 'deep' THEN RETURN (repeat('[', 1100) || repeat(']', 1100))::jsonb;
    ELSE RETURN '{}';
  END CASE;
END \$\$;
CREATE FUNCTION app.handles(headers jsonb, body jsonb) RETURNS jsonb LANGUAGE plpgsql AS \$\$ BEGIN
  RETURN jsonb_build_object('input', app.bomb()); END \$\$;
SELECT dataflows.define_workflow('waits', 'app.waits'), dataflows.define_workflow('does',
  'app.does');
SELECT dataflows.define_workflow('hears', 'app.waits', accept_notify => 'key');
SELECT dataflows.create_webhook('/in', starts => 'waits'), dataflows.create_webhook('/decided',
  starts => 'waits', handler => 'app.handles'),
  dataflows.create_webhook('/filtered', starts => 'waits', filter => '\$.k[*] ? (@ > 1)');
CREATE TABLE app.numbers (id int, many numeric[]);
CREATE TRIGGER starts AFTER INSERT ON app.numbers FOR EACH ROW
  EXECUTE FUNCTION dataflows.start_on_insert('waits', 'id');
CREATE TABLE app.more (id int, many numeric[]);
CREATE TRIGGER starts AFTER INSERT ON app.more REFERENCING NEW TABLE AS n FOR EACH STATEMENT
  EXECUTE FUNCTION dataflows.start_on_insert('waits', 'id');
CREATE TABLE app.changes (id int, many numeric[]);
CREATE TRIGGER signals AFTER INSERT ON app.changes FOR EACH ROW
  EXECUTE FUNCTION dataflows.signal_on_change('waits', 'go', 'id');
CREATE TABLE app.keys (id numeric);
CREATE TRIGGER starts AFTER INSERT ON app.keys FOR EACH ROW
  EXECUTE FUNCTION dataflows.start_on_insert('waits', 'id');
SQL
my $waiting = $node->safe_psql(
	'postgres',
	"SELECT dataflows.start('waits', '{}', 'one')",
	extra_params => [ '-U', 'app' ]);

refused("SELECT dataflows.start('waits', app.bomb())", 'an input');
refused("SELECT dataflows.signal('$waiting', 'go', app.bomb())", 'a payload');
refused("SELECT dataflows.signal_by_key('waits', 'one', 'go', app.bomb())", 'a payload by key');
refused("SELECT dataflows.signal_by_key('waits', 'later', 'go', app.bomb())",
	'a payload for a run that is to come');
refused("SELECT dataflows.resolve('$waiting', 'x', 'done', 'note', app.bomb())",
	'the output of a resolve');
refused("SELECT dataflows.schedule('s', '* * * * *', 'waits', app.bomb())",
	'the input of a schedule');
refused("INSERT INTO app.numbers VALUES (1, array_fill('1e131071'::numeric, ARRAY[20]))",
	'a row of a trigger');
refused(
	"INSERT INTO app.more SELECT i, array_fill('1e131071'::numeric, ARRAY[20])
		FROM generate_series(1, 3) i",
	'rows of a statement\'s trigger');
refused("INSERT INTO app.changes VALUES (1, array_fill('1e-16383'::numeric, ARRAY[100]))",
	'a row that signals');
refused("INSERT INTO app.keys VALUES (1e131071)", 'a key of 131,072 digits');
refused("SELECT dataflows.start('waits', (repeat('[', 1001) || repeat(']', 1001))::jsonb)",
	'an input that is nested 1001 deep');
like(
	says('app', "SELECT dataflows.start('waits', (repeat('[', 1000) || repeat(']', 1000))::jsonb)"),
	qr/^[0-9a-f-]{36}$/m,
	'one of 1000 is not');
like(
	says(
		'app',
		"SELECT dataflows.start('waits', (repeat('[', 200000) || repeat(']', 200000))::jsonb)"),
	qr/ERROR:  54001/,
	'one of 200,000 is an error of PostgreSQL\'s');
like(
	says('app', "SELECT dataflows.start('waits', jsonb_build_object(repeat('k', 268435456), 1))"),
	qr/ERROR:  (54000|DF006|53200)/,
	'so is a key of 256 MB');
refused("SELECT dataflows.start('waits', jsonb_build_object(repeat('k', 2000000), 1))",
	'a key of 2 MB');
refused("SELECT dataflows.start('waits', to_jsonb(repeat(E'\\x01', 200000)))",
	'a string that its escapes make six times as long');
like(says('app', "SELECT dataflows.start('waits', to_jsonb(repeat('x', 1048574)))"),
	qr/^[0-9a-f-]{36}$/m, 'a string of exactly the limit is accepted');
refused("SELECT dataflows.start('waits', to_jsonb(repeat('x', 1048575)))", 'one byte more');
like(says('app', "SELECT dataflows.start('waits', '{\"n\": [1e131071, -1e-16383]}')"),
	qr/^[0-9a-f-]{36}$/m, 'two large numbers are no harm');

# by SQL and by HTTP
for my $path ('/in', '/filtered')
{
	like(
		says(
			'app',
			"SELECT dataflows.receive_webhook('$path', '{}', convert_to('{\"k\":[' ||
				repeat('1e131071,', 59999) || '1]}', 'UTF8'))"
		),
		qr/"status": 413/,
		"a delivery to $path is refused");
}
like(
	says('app', "SELECT dataflows.receive_webhook('/decided', '{}', '{}')"),
	qr/"status": 413/,
	'and what a handler makes of one');
ok( wait_until(
		$node, "SELECT count(*) = 1 FROM pg_stat_activity WHERE backend_type = 'dataflows ingress'"
	),
	'the listener is up');
my $end = time() + 30;
usleep(50_000) while time() < $end && $http->get("http://127.0.0.1:$port/ready")->{status} != 200;
for my $body (
	$bomb,
	'[' x 900 . $bomb . ']' x 900,
	'[' x 1100 . ']' x 1100,
	'[' x 300_000,
	'{"k":' x 50_000)
{
	my $answer = $http->post("http://127.0.0.1:$port/in",
		{ content => $body, headers => { 'content-type' => 'application/json' } });

	like($answer->{status}, qr/^(400|413)$/, 'by HTTP: ' . substr($body, 0, 24));
}
is( $http->post("http://127.0.0.1:$port/in",
		{ content => '{"a": 1}', headers => { 'content-type' => 'application/json' } })->{status},
	202,
	'an ordinary one is taken');

# NOTIFY: 8 kB of it are 100 MB of text
my $at = -s $node->logfile;
$node->safe_psql(
	'postgres',
	q(SELECT pg_notify('dataflows',
		'{"workflow": "hears", "key": "k", "event": "go", "payload": [' || repeat('1e131071,',
		800) || '1]}'))
);
my $patience = time() + 30;
usleep(50_000)
	while time() < $patience && slurp_file($node->logfile, $at) !~ /"payload" is too large/;
like(
	slurp_file($node->logfile, $at),
	qr/was ignored: "payload" is too large/,
	'a notification is ignored, and the log says why');
is(number_of($node, "SELECT count(*) FROM dataflows.inbox WHERE workflow = 'hears'"),
	0, 'and leaves nothing');

# ---- what bodies make --------------------------------------------------------------------

# a system that answers with one
my $server = IO::Socket::INET->new(Listen => 20, LocalAddr => '127.0.0.1', ReuseAddr => 1)
	or die "listen: $!";
my $answers = fork();
die "fork: $!" unless defined $answers;
if ($answers == 0)
{
	$SIG{TERM} = 'DEFAULT';
	while (my $client = $server->accept)
	{
		my $head = '';
		my ($length, $status, $type) = (0, 200, 'application/json');

		while (my $line = <$client>)
		{
			$head .= $line;
			$length = $1 if $line =~ /^content-length: (\d+)/i;
			last if $line =~ /^\r?\n$/;
		}
		read($client, my $sent, $length) if $length;
		my $body =
			  $head =~ m{ /deep}  ? '[' x 1100 . ']' x 1100
			: $head =~ m{ /small} ? '{"id": 1}'
			:                       $bomb;
		$status = 422 if $head =~ m{ /refuses};
		$type = '' if $head =~ m{ /untyped};
		print $client "HTTP/1.1 $status X\r\n"
			. ($type ? "Content-Type: $type\r\n" : '')
			. 'Content-Length: '
			. length($body)
			. "\r\nConnection: close\r\n\r\n$body";
		close $client;
	}
	POSIX::_exit(0);
}
END { local $?; kill('TERM', $answers), waitpid($answers, 0) if $answers; }

$node->safe_psql('postgres',
		  "CREATE SERVER fake FOREIGN DATA WRAPPER dataflows OPTIONS (url 'http://127.0.0.1:"
		. $server->sockport
		. "', allow_private 'true', retry_initial '50ms', settle '100ms'); GRANT USAGE ON "
		. "FOREIGN SERVER fake TO app");
as_app($node, 'postgres', <<'SQL');
CREATE FUNCTION app.asks(event jsonb) RETURNS jsonb LANGUAGE plpgsql AS $$
BEGIN
  IF event->>'method' = 'GET' THEN RETURN dataflows.get('a', 'fake', event->>'path'); END IF;
  RETURN dataflows.post('a', 'fake', event->>'path', '{}', doubt => event->>'doubt');
EXCEPTION WHEN SQLSTATE 'DF001' THEN
  RETURN jsonb_build_object('failed', SQLERRM, 'response', length(dataflows.response('a')::text));
END $$;
SELECT dataflows.define_workflow('asks', 'app.asks');
SQL
as_app(
	$node, 'postgres',
	"SELECT dataflows.start('does', jsonb_build_object('what', w), w)
		FROM
		unnest('{result,query,rows,args,once,call,round,post,undo,deep,rollback,address,detail,
			status,nested,long,sql}'::text[]) w"
);
as_app($node, 'postgres', <<'SQL');
SELECT dataflows.start('asks', '{"method": "GET", "path": "/bomb"}', 'get'), dataflows.start('asks',
  '{"method": "POST", "path": "/bomb"}', 'post'),
  dataflows.start('asks', '{"method": "POST", "path": "/bomb", "doubt": "accept"}', 'accept'),
    dataflows.start('asks', '{"method": "GET", "path": "/deep"}', 'deep'),
  dataflows.start('asks', '{"method": "GET", "path": "/untyped"}', 'untyped'),
    dataflows.start('asks', '{"method": "POST", "path": "/refuses"}', 'refused'),
  dataflows.start('asks', '{"method": "GET", "path": "/small"}', 'small');
SQL
ok( wait_until(
		$node,
		"SELECT count(*) = 24 FROM dataflows.runs WHERE workflow IN ('does', 'asks')
			AND state IN ('completed', 'stuck', 'rolled_back')",
		120),
	'all runs come to rest');
my %came = map { split(/\|/, $_, 2) } split(
	/\n/,
	$node->safe_psql(
		'postgres',
		"SELECT key, state || ' ' || coalesce(stuck->>'sqlstate', '') || ' ' ||
			coalesce(stuck->>'reason', '') FROM dataflows.runs WHERE workflow = 'does'"
	));

like(
	$came{$_},
	qr/^stuck (DF006|DF001) .*(too large|too long|larger than|the result of the SQL)/,
	"a body is told: $_"
) for qw(result rows query args once call round post undo deep rollback address);
like($came{$_}, qr/^(rolled_back|stuck) /, "and comes to rest by an error of its own: $_")
	for qw(detail status nested long sql);
is( number_of(
		$node,
		"SELECT count(*) FROM dataflows.run WHERE octet_length(error::text) > 300000
			OR octet_length(stuck::text) > 300000"
	),
	0,
	'of which so much is kept as is worth a row');
is( number_of(
		$node, "SELECT count(*) FROM dataflows.step WHERE octet_length(error::text) > 300000"),
	0,
	'of a query step\'s, too');
is(number_of($node, "SELECT count(*) FROM dataflows.attempt WHERE octet_length(error) > 300000"),
	0, 'and of its attempts');
%came = map { split(/\|/, $_, 2) } split(
	/\n/,
	$node->safe_psql(
		'postgres',
		"SELECT key, state || ' ' || coalesce(result::text, '') || coalesce(stuck->>'reason', '')
			FROM dataflows.runs WHERE workflow = 'asks'"
	));
like($came{$_}, qr/^completed \{"k": \["1e131071", /,
	"a number of an answer that is too large is a string: $_")
	for qw(get post accept untyped);
like($came{deep}, qr/^completed .*cannot be read/, 'one that is nested too deep fails a GET');
like($came{refused}, qr/status 422/, 'a refusal with such a body is a refusal');
is($came{small}, 'completed {"id": 1}', 'an ordinary answer');
is(number_of($node, 'SELECT count(*) FROM dataflows.unexplained'),
	0, 'nothing is left without a reason');

# ---- what there is does not break what looks at it -------------------------------------------

my $dump = $node->basedir . '/dump.sql';
$node->command_ok([ 'pg_dump', '-h', $node->host, '-p', $node->port, '-f', $dump, 'postgres' ],
	'pg_dump works');
cmp_ok(-s $dump, '<', 20_000_000, 'and is small');
is(number_of($node, <<'SQL'), 0, 'no row is larger as text than it may be');
SELECT (SELECT count(*) FROM dataflows.run r WHERE greatest(dataflows._text_size(r.input, 1100000),
  dataflows._text_size(r.result, 1100000), dataflows._text_size(r.error, 1100000)) > 1048576)
 + (SELECT count(*) FROM dataflows.step s WHERE greatest(dataflows._text_size(s.output, 1100000),
   dataflows._text_size(s.error, 1100000), dataflows._text_size(s.options, 1100000)) > 1048576)
 + (SELECT count(*) FROM dataflows.inbox i WHERE dataflows._text_size(i.payload, 1100000) > 1048576)
SQL

# an installation of 0.1 may have one
$node->safe_psql('postgres', <<"SQL");
UPDATE dataflows.run SET input = $made, result = $made, error = jsonb_build_object('message', 'x',
  'detail', $made) WHERE workflow = 'asks' AND key = 'small';
UPDATE dataflows.step SET output = $made, body = repeat('x', 2000000),
  error = jsonb_build_object('message', 'x', 'body', $made), undo_error = $made
  WHERE run = (SELECT run FROM dataflows.run WHERE key = 'small');
INSERT INTO dataflows.inbox (run, workflow, kind, event, payload, sent_by, sent_at, state)
  SELECT run, workflow, 'signal', 'e', $made, 'app', now(), 'done' FROM dataflows.run
  WHERE key = 'small';
INSERT INTO dataflows.schedule (name, cron, workflow, input, owner, owner_name, scheduled_at)
  VALUES ('old', '* * * * *', 'waits', $made, 'app'::regrole, 'app', now());
SQL
my $run = $node->safe_psql('postgres', "SELECT run FROM dataflows.run WHERE key = 'small'");
my $token = $node->safe_psql(
	'postgres',
	'SELECT dataflows.dashboard_token()',
	extra_params => [ '-U', 'app' ]);

for my $call ("run?run=$run", "step?run=$run&n=1", 'runs', 'stuck', 'pending', 'schedules',
	'workflows')
{
	my $answer = $http->get("http://127.0.0.1:$port/page/api/$call",
		{ headers => { cookie => "dataflows=$token" } });

	is($answer->{status}, 200, "the page answers: $call");
	cmp_ok(length($answer->{content}), '<', 2_000_000, 'with little');
	next if $call !~ /\?/;
	my $shown = decode_json($answer->{content});

	if ($call =~ /^step/)
	{
		is($shown->{$_}, 'too large to be shown here', "so is a step's $_")
			for qw(output body error undo_error);
		next;
	}
	is($shown->{run}{$_}, 'too large to be shown here', "$_ is said to be too large")
		for qw(input result error);
	is($shown->{signals}[0]{payload}, 'too large for a list', 'and a payload');
	is($shown->{run}{key}, 'small', 'the rest is there');
}
like(says('app', "SELECT dataflows.restart('$run')"), qr/ERROR:  DF006/, 'it is not started again');
is($node->safe_psql('postgres', "SELECT count(*) FROM dataflows.timeline('$run')") > 2 ? 1 : 0,
	1, 'its timeline is drawn');
is( $node->safe_psql(
		'postgres',
		"SELECT state FROM dataflows.live WHERE key = 'small' UNION ALL SELECT state
			FROM dataflows.runs WHERE key = 'small'"
	),
	'completed',
	'and views that do not ask for it answer');
unlike(
	slurp_file($node->logfile),
	qr/PANIC|TRAP|terminated by signal|invalid memory alloc|out of memory/,
	'nothing crashed, and nothing was rendered');

$node->stop;
done_testing();
