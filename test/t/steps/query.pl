# SQL as a step: exactly once, with its record, whatever happens; and `once`.

use strict;
use warnings;

use Test::More;
use Time::HiRes ();
use PostgreSQL::Test::Cluster;
use Dataflows;

my $systems = start_systems();
my $node = new_node('query', conf => <<'CONF');
dataflows.sweep_interval = '1s'
dataflows.query_timeout = '2s'
dataflows.undo_for = '2s'
CONF

create_systems($node, 'postgres', $systems, workflow => 0);
$node->safe_psql('postgres',
	'CREATE ROLE other; GRANT other TO app; CREATE EXTENSION IF NOT EXISTS plpgsql');

# Defines a workflow of that name whose body is "DECLARE v jsonb; BEGIN ... END".
sub define
{
	my ($name, $body) = @_;

	return as_app($node, 'postgres', <<"SQL");
CREATE OR REPLACE FUNCTION app.$name(event jsonb) RETURNS jsonb LANGUAGE plpgsql AS \$body\$
DECLARE
  v jsonb;
  w jsonb;
BEGIN
$body
END \$body\$;
SELECT dataflows.define_workflow('$name', 'app.$name');
SQL
}

sub start
{
	my ($name, $input) = @_;

	return as_app($node, 'postgres', "SELECT dataflows.start('$name', '" . ($input // '{}') . "')");
}

sub await
{
	my ($run, $timeout) = @_;

	return as_app($node, 'postgres',
		"SELECT dataflows.await('$run', '" . ($timeout // '20 s') . "')");
}

sub of_run
{
	my ($run, $what) = @_;
	return $node->safe_psql('postgres', "SELECT $what FROM dataflows.runs WHERE run = '$run'");
}

sub of_step
{
	my ($run, $step, $what) = @_;

	return $node->safe_psql('postgres',
		"SELECT $what FROM dataflows.steps WHERE run = '$run' AND step = '$step'");
}

# ---- parameters and results -----------------------------------------------------

as_app($node, 'postgres', <<'SQL');
CREATE TABLE app.parent (id int PRIMARY KEY);
CREATE TABLE app.things (id serial PRIMARY KEY, name text, n int, big numeric, at timestamptz,
  tags text[], doc jsonb, plain json, ok boolean,
  parent int REFERENCES app.parent DEFERRABLE INITIALLY DEFERRED);
CREATE TYPE app.colour AS ENUM ('red', 'green');
SQL
define('types', <<'SQL');
  v := dataflows.query('insert',
    'INSERT INTO app.things (name, n, big, at, tags, doc, plain, ok)
       VALUES ($1, $2, $3, $4, $5, $6, $7, $8) RETURNING *',
         '["it''s", 7, 12345678901234567890.5, "2026-01-02T03:04:05Z", ["a", null, "b c"],
           {"x": [1]}, {"y": 2}, true]');
  w := dataflows.query('colours',
    'SELECT $1::app.colour AS c, $2 AS open, array_length($3::int[], 1) AS n, $4->>''k'' AS k,
       $5 IS NULL AS none',
         '["green", "text", [1, 2, 3], {"k": "v"}, null]');
  RETURN jsonb_build_object('inserted', v->0, 'colours', w, 'any', dataflows.query('any',
    'SELECT name FROM app.things WHERE id = ANY($1)', '[[1, 99]]'),
    'none', dataflows.query('nothing', 'DELETE FROM app.things WHERE id = $1', '[-1]'));
SQL
my $run = start('types');

is(await($run), 'completed', 'parameters of all types');
is( of_run($run, "result#>'{inserted}'"),
	'{"n": 7, "at": "2026-01-02T03:04:05+00:00", "id": 1, "ok": true, "big": '
		. '12345678901234567890.5, "doc": {"x": [1]}, "name": "it\'s", "tags": ["a", null, "b '
		. 'c"], "plain": {"y": 2}, "parent": null}',
	'and what was written comes back as a row');
is( of_run($run, "result->'colours'"),
	'[{"c": "green", "k": "v", "n": 3, "none": true, "open": "text"}]',
	'enums, arrays, objects, NULL');
is(of_run($run, "result->'any'"), '[{"name": "it\'s"}]', 'an array for = ANY($1)');
is(of_run($run, "result->'none'"), '[]', 'a statement without rows returns []');

# ---- what is refused, in the body --------------------------------------------------

for my $case (
	[ 'empty', q(dataflows.query('q', ' ')), 'stuck', 'sql of step "q" is empty' ],
	[
		'notarray', q(dataflows.query('q', 'SELECT 1', '{"a": 1}')),
		'stuck', 'args of step "q" are not a JSON array'
	],
	[
		'scalar', q(dataflows.query('q', 'SELECT 1', '7')),
		'stuck', 'args of step "q" are not a JSON array'
	],
	[ 'oncewrite', q(dataflows.once('q', 'INSERT INTO app.parent VALUES (1)')), 'stuck', 'INSERT' ],
	[ 'onceraise', q(dataflows.once('q', 'SELECT 1/0')), 'stuck', 'division by zero' ],
	[
		'zero', q(dataflows.query('q', 'SELECT 1/0')),
		'stuck', 'step "q" failed: division by zero'
	],
	[
		'deferred', q(dataflows.query('q', 'INSERT INTO app.things (parent) VALUES (99)')),
		'rolled_back', 'violates foreign key constraint'
	],
	[
		'cast', q(dataflows.query('q', 'SELECT $1::int', '["x"]')),
		'stuck', 'invalid input syntax for type integer'
	],
	[ 'params', q(dataflows.query('q', 'SELECT $3', '[1]')), 'stuck', 'there is no parameter $3' ],
	[
		'two', q(dataflows.query('q', 'SELECT 1; SELECT 2')),
		'stuck', 'must be one statement, not 2'
	],
	[ 'commits', q(dataflows.query('q', 'COMMIT')), 'stuck', 'must not be a transaction command' ],
	[ 'copies', q(dataflows.query('q', 'COPY app.parent TO STDOUT')), 'stuck', 'must not be COPY' ],
	[
		'typo', q(dataflows.query('q', 'SELECT * FROM app.nosuch')),
		'stuck', 'relation "app.nosuch" does not exist'
	],
	[
		'rights', q(dataflows.query('q', 'SELECT * FROM dataflows.run')),
		'stuck', 'permission denied'
	],
	[
		'nested', q(dataflows.query('q', 'SELECT dataflows.sleep(''x'', ''1 s'')')),
		'stuck', 'outside a workflow'
	],
	[
		'slow', q(dataflows.query('q', 'SELECT pg_sleep(60)')),
		'stuck', 'ran longer than dataflows.query_timeout'
	],
	[
		'large', q(dataflows.query('q', 'SELECT repeat(''x'', 2000000)')),
		'stuck', 'larger than dataflows.max_body'
	],)
{
	my ($name, $call, $state, $message) = @$case;

	define($name, "  PERFORM $call;\n  RETURN NULL;");
	$run = start($name);
	is(await($run), $state, "$name: $state");
	like(of_run($run, "coalesce(error->>'message', '') || coalesce(stuck->>'reason', '')"),
		qr/\Q$message\E/, 'and says why');
}
is($node->safe_psql('postgres', 'SELECT count(*) FROM app.parent'),
	'0', 'nothing of it was written');
my ($rc, $out, $err) = $node->psql('postgres', q(SELECT dataflows.query('x', 'SELECT 1')));

like($err, qr/was called outside a workflow/, 'query() outside a workflow is refused');
($rc, $out, $err) = $node->psql('postgres', q(SELECT dataflows.once('x', 'SELECT 1')));
like($err, qr/was called outside a workflow/, 'and so is once()');

# ---- errors reach the body ------------------------------------------------------------

define('catches', <<'SQL');
  PERFORM dataflows.query('first', 'INSERT INTO app.parent VALUES (1)');
  BEGIN
    PERFORM dataflows.query('second', 'INSERT INTO app.parent VALUES (1)');
  EXCEPTION WHEN SQLSTATE 'DF001' THEN
    GET STACKED DIAGNOSTICS v = PG_EXCEPTION_DETAIL;
    RETURN v;
  END;
SQL
$run = start('catches');
is(await($run), 'completed', 'a violated constraint can be caught');
is( of_run($run, "result->>'sqlstate' || ' ' || (result->>'detail')"),
	'23505 Key (id)=(1) already exists.',
	'and tells its SQLSTATE and detail');

# a deploy error: the run waits for the repair and goes on with it
define('mended', <<'SQL');
  PERFORM dataflows.query('one', 'INSERT INTO app.parent VALUES (2)',
    undo => 'DELETE FROM app.parent WHERE id = 2');
  RETURN dataflows.query('two', 'SELECT n FROM app.later');
SQL
$run = start('mended');
is(await($run), 'stuck', 'a missing table makes the run stuck');
is(of_run($run, "stuck->>'sqlstate'"), '42P01', 'with the SQLSTATE of the SQL');
is($node->safe_psql('postgres', 'SELECT count(*) FROM app.parent WHERE id = 2'),
	'1', 'and undoes nothing');
as_app($node, 'postgres',
	"CREATE TABLE app.later AS SELECT 5 AS n; SELECT dataflows.retry('$run')");
is(await($run), 'completed', 'after the repair retry() goes on');
is(of_run($run, 'result'), '[{"n": 5}]', 'with the result');
is(of_step($run, 'one', 'attempts'), '1', 'and runs nothing twice');

# ---- transient errors -------------------------------------------------------------------

as_app($node, 'postgres', <<'SQL');
CREATE SEQUENCE app.tries;
CREATE TABLE app.effects (what text);
CREATE FUNCTION app.fails_twice() RETURNS int LANGUAGE plpgsql AS $$
BEGIN
  INSERT INTO app.effects VALUES ('twice');
  IF nextval('app.tries') < 3 THEN
    RAISE EXCEPTION 'could not serialize' USING ERRCODE = '40001';
  END IF;
  RETURN 1;
END $$;
CREATE TABLE app.locked (id int PRIMARY KEY);
INSERT INTO app.locked VALUES (1);
SQL
define('transient', "  RETURN dataflows.query('q', 'SELECT app.fails_twice()');");
$run = start('transient');
is(await($run), 'completed', 'class 40 is tried again');
is(of_step($run, 'q', 'attempts'), '3', 'three attempts');
is( $node->safe_psql(
		'postgres',
		"SELECT string_agg(outcome || ' ' || error, ', ' ORDER BY attempt) FROM dataflows.attempts
			WHERE run = '$run'"
	),
	'retry could not serialize, retry could not serialize',
	'of which the record tells');
is($node->safe_psql('postgres', 'SELECT count(*) FROM app.effects'), '1', 'one effect');

define('nowait', "  RETURN dataflows.query('q', 'SELECT id FROM app.locked FOR UPDATE NOWAIT');");
my $session = $node->background_psql('postgres');

$session->query_safe('BEGIN; SELECT * FROM app.locked FOR UPDATE');
$run = start('nowait');
ok( wait_until(
		$node,
		"SELECT state = 'pending' AND error->>'sqlstate' = '55P03' FROM dataflows.steps
			WHERE run = '$run'"
	),
	'a lock that is not there is waited for');
$session->query_safe('COMMIT');
$session->quit;
is(await($run), 'completed', 'and got');

# what fails after the statement, its record or the commit, takes its effect with it
$node->safe_psql('postgres', <<'SQL');
CREATE SEQUENCE public.refusals;
CREATE FUNCTION public.refuse() RETURNS trigger LANGUAGE plpgsql AS $$
BEGIN
  IF NEW.step = 'unrecorded' AND NEW.state = 'done' AND nextval('public.refusals') <= 2 THEN RAISE
    EXCEPTION 'the record cannot be written'; END IF;
  RETURN NEW;
END $$;
CREATE TRIGGER refuse BEFORE UPDATE ON dataflows.step FOR EACH ROW EXECUTE FUNCTION public.refuse();
GRANT USAGE ON SEQUENCE public.refusals TO app;
SQL
define('unrecorded',
	"  RETURN dataflows.query('unrecorded', 'INSERT INTO app.effects VALUES (''unrecorded'')');");
$run = start('unrecorded');
is(await($run), 'completed', 'a statement whose record could not be written at first');
is($node->safe_psql('postgres', "SELECT count(*) FROM app.effects WHERE what = 'unrecorded'"),
	'1', 'has one effect');
is( $node->safe_psql(
		'postgres',
		"SELECT string_agg(outcome || ' ' || error, ', ' ORDER BY attempt) FROM dataflows.attempts
			WHERE run = '$run'"
	),
	'retry the record cannot be written, retry the record cannot be written',
	'and the attempts say why it was tried again');
$node->safe_psql('postgres', 'DROP TRIGGER refuse ON dataflows.step');

# ---- undo --------------------------------------------------------------------------------

as_app($node, 'postgres', 'CREATE TABLE app.log (id serial, what text)');
define('undoes', <<'SQL');
  PERFORM dataflows.query('a', 'INSERT INTO app.log (what) VALUES (''a'') RETURNING id',
    undo => 'INSERT INTO app.log (what) VALUES (''undo a '' || ($1->0->>''id''))');
  PERFORM dataflows.post('account', 'identity', '/users', jsonb_build_object('email',
    event->>'email'), undo => 'DELETE /users/{id}');
  PERFORM dataflows.query('b', 'INSERT INTO app.log (what) VALUES (''b'')',
    undo => 'INSERT INTO app.log (what) SELECT ''undo b '' || jsonb_array_length($1)');
  IF event ? 'fails' THEN RAISE EXCEPTION 'no'; END IF;
  RETURN NULL;
SQL
$run = start('undoes', '{"email": "undo@example.com", "fails": true}');
is(await($run), 'rolled_back', 'a run of SQL and HTTP is rolled back');
is( $node->safe_psql('postgres', "SELECT string_agg(what, ', ' ORDER BY id) FROM app.log"),
	'a, b, undo b 0, undo a 1',
	'newest first, with the result');
is($systems->live('undo@example.com'), '0/0/0/0', 'the account too');
$run = start('undoes', '{"email": "undo2@example.com"}');
is(await($run), 'completed', 'one that completes');
as_app($node, 'postgres', "SELECT dataflows.undo('$run', 'regret')");
is(await($run), 'rolled_back', 'can be undone later');
is($systems->live('undo2@example.com'), '0/0/0/0', 'as a whole');

define('cannot', <<'SQL');
  PERFORM dataflows.query('a', 'INSERT INTO app.log (what) VALUES (''cannot'')',
    undo => 'DELETE FROM app.not_there');
  PERFORM dataflows.wait_for('go');
  RAISE EXCEPTION 'no';
SQL
$run = start('cannot');
is(await($run), 'stuck', 'an undo that cannot be is found when the step is called');
is( of_run($run, "concat_ws(' ', stuck->>'sqlstate', split_part(stuck->>'context', E'\n', 1))"),
	'42P01 undo of step "a"',
	'it says which');
is( $node->safe_psql('postgres', "SELECT count(*) FROM app.log WHERE what = 'cannot'"),
	'0', 'before anything is written');
as_app($node, 'postgres', "CREATE TABLE app.not_there (x int); SELECT dataflows.retry('$run')");
ok(wait_until($node, "SELECT waiting_for = 'go' FROM dataflows.runs WHERE run = '$run'"),
	'after the repair it goes on');
as_app($node, 'postgres', "DROP TABLE app.not_there; SELECT dataflows.signal('$run', 'go')");
ok(wait_until($node, "SELECT state = 'stuck' FROM dataflows.runs WHERE run = '$run'"),
	'what breaks later is found when it is undone: stuck');
is( of_step($run, 'a', "undo_state || ' ' || (undo_error->>'sqlstate')"),
	'undo_failed 42P01',
	'it says why');
is( $node->safe_psql('postgres', "SELECT undo FROM dataflows.pending_undo WHERE run = '$run'"),
	'DELETE FROM app.not_there',
	'and stands in the work list with its SQL');
as_app($node, 'postgres', "CREATE TABLE app.not_there (x int); SELECT dataflows.retry('$run')");
is(await($run), 'rolled_back', 'after the repair it is undone');

# ---- what a statement leaves behind ----------------------------------------------------------

define('leaves', <<'SQL');
  PERFORM dataflows.query('temp', 'CREATE TEMP TABLE things AS SELECT 1 AS x');
  PERFORM dataflows.query('path',
    'SELECT set_config(''search_path'', ''nowhere'', false),
       set_config(''role'', ''other'', false)');
  PERFORM dataflows.query('role', 'SET SESSION ROLE other');
  PERFORM dataflows.query('lock', 'SELECT pg_advisory_lock(77)::text');
  PERFORM dataflows.query('cursor', 'DECLARE c CURSOR WITH HOLD FOR SELECT 1');
  PERFORM dataflows.query('prepare', 'PREPARE p AS SELECT 1');
  PERFORM dataflows.query('deferred', 'SET CONSTRAINTS ALL DEFERRED');
  RETURN dataflows.query('after',
    'SELECT current_user AS who, current_setting(''search_path'') AS path,
    (SELECT count(*) FROM pg_class WHERE relname = ''things'' AND relpersistence = ''t'') AS temps,
    (SELECT count(*) FROM pg_locks WHERE locktype = ''advisory'') AS locks, (SELECT count(*)
      FROM pg_cursors) AS cursors,
    (SELECT count(*) FROM pg_prepared_statements) AS prepared');
SQL
$run = start('leaves');
is(await($run), 'completed', 'SQL that leaves much behind');
is( of_run($run, 'result->0'),
	'{"who": "app", "path": "\"$user\", public", "locks": 0, "temps": 0, "cursors": 0, '
		. '"prepared": 0}',
	'leaves nothing to the next');

# ---- once, replay -----------------------------------------------------------------------------

define('records', <<'SQL');
  v := dataflows.once('now', 'SELECT clock_timestamp()');
  w := dataflows.once('random', 'SELECT $1 || random()', '["r"]');
  PERFORM dataflows.wait_for('go');
  RETURN jsonb_build_array(v = dataflows.once('again', 'SELECT $1', jsonb_build_array(v)), w,
    dataflows.once('none', 'SELECT 1 WHERE false') IS NULL);
SQL
$run = start('records');
ok(wait_until($node, "SELECT state = 'waiting' FROM dataflows.runs WHERE run = '$run'"),
	'it waits');
my $random = of_step($run, 'random', 'output');

as_app($node, 'postgres', "SELECT dataflows.signal('$run', 'go')");
is(await($run), 'completed', 'once() records a value');
is(of_run($run, 'result'), "[true, $random, true]", 'that is the same at each entry');

define('changes', <<'SQL');
  PERFORM dataflows.query('q', 'INSERT INTO app.log (what) VALUES (''first'')');
  PERFORM dataflows.wait_for('go');
  RETURN NULL;
SQL
$run = start('changes');
ok(wait_until($node, "SELECT state = 'waiting' FROM dataflows.runs WHERE run = '$run'"),
	'it waits');
as_app($node, 'postgres', <<"SQL");
CREATE OR REPLACE FUNCTION app.changes(event jsonb) RETURNS jsonb LANGUAGE plpgsql AS \$\$
BEGIN
  PERFORM dataflows.query('q', 'INSERT INTO app.log (what) VALUES (''second'')');
  PERFORM dataflows.wait_for('go');
  RETURN NULL;
END \$\$;
SELECT dataflows.signal('$run', 'go');
SQL
is(await($run), 'stuck', 'other SQL than the recorded is a mismatch');
is(of_run($run, "stuck->>'sqlstate'"), 'DF003', 'DF003');

# ---- beside requests, cancelled, fan-out --------------------------------------------------------

as_app($node, 'postgres',
	'CREATE TABLE app.gate (id int PRIMARY KEY); INSERT INTO app.gate VALUES (1)');
define('gated', <<'SQL');
  RETURN dataflows.query('gate', 'UPDATE app.gate SET id = id RETURNING id',
    undo => 'INSERT INTO app.log (what) VALUES (''gate undone'')');
SQL
define('requests', <<'SQL');
  RETURN dataflows.post('account', 'identity', '/users', jsonb_build_object('email',
    event->>'email'));
SQL
define('both', <<'SQL');
  PERFORM dataflows.post('one', 'identity', '/users', jsonb_build_object('email', event->>'email'),
    wait => false);
  v := dataflows.query('sql', 'SELECT 1 AS one');
  RETURN dataflows.wait_all('one')->'one'->'email';
SQL
$node->safe_psql('postgres',
	"ALTER SYSTEM SET dataflows.query_timeout = 0; SELECT pg_reload_conf()");
$session = $node->background_psql('postgres');
$session->query_safe('BEGIN; SELECT * FROM app.gate FOR UPDATE');
my $slow = start('gated');

ok( wait_until(
		$node,
		"SELECT count(*) = 1 FROM pg_stat_activity WHERE backend_type = 'dataflows sql worker'
			AND wait_event_type = 'Lock'"
	),
	'a statement that waits for a lock');
$run = start('requests', '{"email": "beside@example.com"}');
is(await($run), 'completed', 'holds up no request');
is(of_run($slow, 'state'), 'running', 'while it still waits');
as_app($node, 'postgres', "SELECT dataflows.cancel('$slow', 'not any more')");
$session->query_safe('COMMIT');
$session->quit;
ok(wait_until($node, "SELECT state = 'cancelled' FROM dataflows.runs WHERE run = '$slow'"),
	'a run that is cancelled during its SQL is undone after it');
# a slow machine takes longer to come here than a sql worker waits for a lock: then it was not
# carried out
is( $node->safe_psql('postgres', "SELECT count(*) FROM app.log WHERE what = 'gate undone'"),
	of_step($slow, 'gate', "(state = 'done')::int"),
	'by its undo');
$run = start('both', '{"email": "both@example.com"}');
is(await($run), 'completed', 'SQL beside a request that was not waited for');
is(of_run($run, 'result'), '"both@example.com"', 'and both are done');

define('child',
		  "  RETURN dataflows.post('account', 'identity', '/users', jsonb_build_object('email', "
		. "event->>'email'));");
define('fan',
		  "  RETURN dataflows.query('start', 'SELECT count(dataflows.start(''child'', "
		. "jsonb_build_object(''email'', ''fan'' || i || ''\@example.com''))) FROM "
		. "generate_series(1, \$1) i', '[50]');");
$run = start('fan');
is(await($run), 'completed', 'start() in SQL');
ok(wait_for_runs($node, [ 'completed', 'rolled_back', 'cancelled', 'stuck' ], 40), 'starts runs');
is(scalar(grep { /^fan/ } keys %{ $systems->summary('identity') }), 50, 'each exactly once');

# ---- fairness: a workflow with much SQL due starves no other ----------------------------------

as_app($node, 'postgres', 'CREATE TABLE app.order_of (id serial, what text)');
define($_,
	"  RETURN dataflows.query('q', 'INSERT INTO app.order_of (what) VALUES (\$1)', '[\"$_\"]');")
	for qw(aaa zzz);
as_app(
	$node, 'postgres',
	"SELECT dataflows.start('aaa', '{}') FROM generate_series(1, 300);
		SELECT dataflows.start('zzz', '{}')"
);
ok(wait_until($node, "SELECT count(*) = 301 FROM app.order_of"), 'SQL of two workflows');
cmp_ok(number_of($node, "SELECT id FROM app.order_of WHERE what = 'zzz'"),
	'<', 250, 'the one that came last is not the last');

# ---- kill -9 at random moments, under load -----------------------------------------------------

$node->safe_psql('postgres',
	"ALTER SYSTEM SET dataflows.undo_for = '10min'; SELECT pg_reload_conf()");
my $rounds = $ENV{DF_QUERY_ROUNDS} || 30;
my $seed = $ENV{DF_CRASH_SEED} || time() % 1_000_000;

srand($seed);
as_app($node, 'postgres', <<'SQL');
CREATE TABLE app.counter (run text PRIMARY KEY, n int NOT NULL);
CREATE TABLE app.entries (run text, k int);
SQL
define('counts', <<'SQL');
  PERFORM dataflows.query('create', 'INSERT INTO app.counter VALUES ($1, 0)',
    jsonb_build_array(dataflows.run_id()), undo => 'DELETE FROM app.counter WHERE run = ' ||
    quote_literal(dataflows.run_id()));
  FOR k IN 1 .. 3 LOOP
    PERFORM dataflows.query('count',
      'WITH e AS (INSERT INTO app.entries VALUES ($1, $2) RETURNING run)
       UPDATE app.counter c SET n = n + 1 FROM e WHERE c.run = e.run RETURNING n',
      jsonb_build_array(dataflows.run_id(), k),
      undo =>
        format('WITH e AS (DELETE FROM app.entries WHERE run = %L AND k = %s RETURNING run)
         UPDATE app.counter c SET n = n - 1 FROM e WHERE c.run = e.run', dataflows.run_id(), k));
    IF k = 2 THEN
      PERFORM dataflows.post('account', 'identity', '/users', jsonb_build_object('email',
        event->>'email'), undo => 'DELETE /users/{id}');
    END IF;
  END LOOP;
  IF (event->>'fails')::boolean THEN RAISE EXCEPTION 'no'; END IF;
  RETURN NULL;
SQL
my %kills;

for my $round (1 .. $rounds)
{
	my $dice = rand();

	try_psql(
		$node,
		'postgres',
		"SELECT dataflows.start('counts', jsonb_build_object('email', 'k$round-' || i ||
			'\@example.com', 'fails', i % 5 = 0)) FROM generate_series(1, 15) i",
		extra_params => [ '-U', 'app' ]);
	Time::HiRes::usleep(int(rand(120_000)));
	if ($dice < 0.1)
	{
		restart_hard($node, rand() < 0.5 ? 'kill' : 'immediate');
		$kills{postmaster}++;
	}
	else
	{
		my $kind = $dice < 0.65 ? ' sql worker' : $dice < 0.9 ? ' worker' : 'coordinator';
		my ($pid) = pids_of($node, $kind);

		$kills{$kind}++ if $pid && kill_process(rand() < 0.5 ? 'TERM' : 'KILL', $pid);
	}
}
diag("seed $seed, $rounds rounds: " . join(', ', map { "$_ $kills{$_}" } sort keys %kills));
ok(wait_until($node, 'SELECT true', 30), 'the server is up');
ok( wait_until(
		$node,
		"SELECT NOT EXISTS (SELECT FROM dataflows.runs WHERE workflow = 'counts'
			AND state NOT IN ('completed', 'rolled_back', 'stuck'))",
		60),
	'all runs have ended, or are taken to have crashed the server');
retry_killed($node);
ok( wait_until(
		$node,
		"SELECT NOT EXISTS (SELECT FROM dataflows.runs WHERE workflow = 'counts'
			AND state NOT IN ('completed', 'rolled_back'))",
		60),
	'all runs have ended');
is($node->safe_psql('postgres', <<'SQL'), '', 'each counter is exactly right: three, or gone');
SELECT r.run, r.state, c.n, (SELECT count(*) FROM app.entries e WHERE e.run = r.run::text)
FROM dataflows.runs r FULL JOIN app.counter c ON c.run = r.run::text
WHERE (r.workflow = 'counts' OR r.run IS NULL) AND NOT (CASE WHEN r.state = 'completed' THEN c.n = 3
  ELSE c.n IS NULL END
  AND (SELECT count(*) FROM app.entries e WHERE e.run = coalesce(r.run::text, c.run)) = CASE
    WHEN r.state = 'completed' THEN 3 ELSE 0 END)
SQL
my %live = %{ $systems->summary('identity') };
my %expected = map { split(/\|/) } split(
	/\n/,
	$node->safe_psql(
		'postgres',
		"SELECT input->>'email', CASE state WHEN 'completed' THEN 1 ELSE 0 END FROM dataflows.runs
			WHERE workflow = 'counts'"
	));

is(scalar(grep { ($live{$_} ? $live{$_}[1] : 0) != $expected{$_} } keys %expected),
	0, 'and so are the accounts');
note(
		  scalar(grep { $_ } values %expected)
		. ' completed, '
		. scalar(grep { !$_ } values %expected)
		. ' were rolled back');
is( number_of(
		$node,
		"SELECT count(*) FROM dataflows.run WHERE lease IS NOT NULL OR (finished_at IS NOT NULL
			AND (wake_at IS NOT NULL OR sql))"
	),
	0,
	'none is left leased or due');

$node->stop;
$systems->stop;
done_testing();
