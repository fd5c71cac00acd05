# Waiting for one of several events, further keys of a run, and its deadline.

use strict;
use warnings;

use Test::More;
use PostgreSQL::Test::Cluster;
use PostgreSQL::Test::Utils;
use Dataflows;

my $systems = start_systems();
my $node =
	new_node('flow', conf => "dataflows.sweep_interval = '5s'\ndataflows.workers_per_owner = 2");

create_systems($node, 'postgres', $systems, workflow => 0);

sub app { return as_app($node, 'postgres', $_[0]); }

sub start
{
	my ($name, $input, $key) = @_;
	my $run =
		app(  "SELECT dataflows.start('$name', '"
			. ($input // '{}') . "', "
			. (defined $key ? "'$key'" : 'NULL')
			. ')');

	return $run;
}

# await() may see it wait for the millisecond that some of the bodies give
sub ends
{
	app("SELECT dataflows.await('$_[0]', '20 s')");
	wait_until(
		$node,
		"SELECT state NOT IN ('queued', 'running', 'waiting', 'rolling_back') FROM dataflows.runs
			WHERE run = '$_[0]'"
	);
	return $node->safe_psql('postgres', "SELECT state FROM dataflows.runs WHERE run = '$_[0]'");
}

sub state_is
{
	return wait_until($node, "SELECT state = '$_[1]' FROM dataflows.runs WHERE run = '$_[0]'");
}

sub result
{
	return $node->safe_psql('postgres', "SELECT result FROM dataflows.runs WHERE run = '$_[0]'");
}

sub waits
{
	return wait_until($node,
		"SELECT state = 'waiting' AND waiting_for = '$_[1]' FROM dataflows.runs WHERE run = '$_[0]'"
	);
}

sub steps
{
	return $node->safe_psql(
		'postgres',
		"SELECT string_agg(step || ' ' || state, ', ' ORDER BY n) FROM dataflows.steps
			WHERE run = '$_[0]'"
	);
}

app(<<'SQL');
CREATE FUNCTION app.either(event jsonb) RETURNS jsonb LANGUAGE plpgsql AS $$
DECLARE
  first jsonb;
  answer jsonb;
BEGIN
  first := dataflows.wait_any(ARRAY['paid', 'refused', 'recalled'],
    timeout => (event->>'timeout')::interval);
  IF first IS NULL THEN RETURN '"timed out"'; END IF;
  answer := dataflows.response('wait_any');
  RETURN jsonb_build_array(first, answer->'event', answer->'payload', answer->'sent_by'
    IS NOT NULL, dataflows.wait_for('paid', timeout => '1 ms'),
    dataflows.wait_any(ARRAY['refused'], timeout => '1 ms')->'payload');
END $$;
SELECT dataflows.define_workflow('either', 'app.either', accept_notify => 'key');
CREATE FUNCTION app.refusals(event jsonb) RETURNS jsonb LANGUAGE plpgsql AS $$
DECLARE
  said text[];
  bad text;
BEGIN
  FOREACH bad IN ARRAY ARRAY['wait_any(''{}'')', 'wait_any(NULL)', 'wait_any(ARRAY[''a'', NULL])',
    'wait_any(ARRAY[''''])', 'wait_any(ARRAY[''a#2''])',
    'wait_any(ARRAY[repeat(''e'', 201)])', 'wait_any(array_fill(''e''::text, ARRAY[101]))',
      'alias(NULL)', 'alias('''')', 'alias(repeat(''k'', 1025))']
  LOOP
    BEGIN
      EXECUTE 'SELECT dataflows.' || bad;
    EXCEPTION WHEN OTHERS THEN said := said || SQLSTATE::text;
    END;
  END LOOP;
  RETURN to_jsonb(said);
END $$;
SELECT dataflows.define_workflow('refusals', 'app.refusals');
SQL

# ---- wait_any ------------------------------------------------------------------------

my $run = start('refusals');

is( ends($run) . ' ' . result($run),
	'completed ["22023", "22023", "22004", "22023", "22023", "DF006", "DF006", "22023", "22023", '
		. '"DF006"]',
	'what wait_any and alias refuse');
is(steps($run), '', 'and nothing is recorded of it');

$run = start('either');
ok(waits($run, 'paid, refused or recalled'), 'the run says which events it waits for');
is( app("SELECT s.step || ' ' || s.state FROM dataflows.steps s WHERE run = '$run'"),
	'wait_any waiting',
	'one step');
app("SELECT dataflows.signal('$run', 'other'), dataflows.signal('$run', 'refused', '{\"why\": 7}'),
	dataflows.signal('$run', 'paid', '1')"
);
is(ends($run), 'completed', 'the first of them lets it go on');
is( result($run),
	'[{"event": "refused", "payload": {"why": 7}}, "refused", {"why": 7}, true, 1, null]',
	'the oldest wins, the other stays for a later wait');
is( $node->safe_psql(
		'postgres',
		"SELECT string_agg(event || ' ' || coalesce(consumed_by, state), ', ' ORDER BY id)
			FROM dataflows.signals WHERE run = '$run'"
	),
	'other kept, refused wait_any, paid paid',
	'each signal is consumed once');

# before the run exists, and before it waits
app("SELECT dataflows.signal_by_key('either', 'early', 'recalled'),
	dataflows.signal_by_key('either', 'early', 'paid')"
);
$run = start('either', '{}', 'early');
is( ends($run) . ' ' . result($run),
	'completed [{"event": "recalled", "payload": {}}, "recalled", {}, true, {}, null]',
	'signals that came first');

$run = start('either', '{"timeout": "100 ms"}');
is(ends($run) eq 'waiting' ? do { state_is($run, 'completed'); result($run) } : result($run),
	'"timed out"', 'a timeout is NULL');
is(app("SELECT dataflows.signal('$run', 'paid')"), 'f', 'a signal after it is too late');
$run = start('either', '{}', 'bell');
ok(waits($run, 'paid, refused or recalled'), 'another one waits');
$node->safe_psql('postgres',
	q(NOTIFY dataflows, '{"workflow": "either", "key": "bell", "event": "paid", "payload": 5}'));
is( ends($run) eq 'completed' || state_is($run, 'completed') ? result($run) : '',
	'[{"event": "paid", "payload": 5}, "paid", 5, true, null, null]',
	'NOTIFY rings it');

# other events than recorded; the same in another order
$run = start('either', '{}', 'mended');
ok(waits($run, 'paid, refused or recalled'), 'a run that waits');
app("DO \$\$BEGIN EXECUTE replace(pg_get_functiondef('app.either(jsonb)'::regprocedure),
	'ARRAY[''paid'', ''refused'', ''recalled'']', 'ARRAY[''paid'', ''lost'']'); END\$\$"
);
app("SELECT dataflows.signal('$run', 'refused')");
ok(state_is($run, 'stuck'), 'a body that waits for other events');
like(
	$node->safe_psql(
		'postgres', "SELECT sqlstate || reason FROM dataflows.stuck WHERE run = '$run'"),
	qr/DF003.*wait_any.*"lost"/,
	'DF003 says so');
app("DO \$\$BEGIN EXECUTE replace(pg_get_functiondef('app.either(jsonb)'::regprocedure),
	'ARRAY[''paid'', ''lost'']', 'ARRAY[''recalled'', ''paid'', ''refused'']'); END\$\$"
);
app("SELECT dataflows.retry('$run')");
ok(state_is($run, 'completed'), 'after the repair, in another order, it goes on');
like(result($run), qr/^\[\{"event": "refused"/, 'with what was decided');

# ---- alias -----------------------------------------------------------------------------

app(<<'SQL');
CREATE FUNCTION app.order(event jsonb) RETURNS jsonb LANGUAGE plpgsql AS $$
DECLARE
  detail text;
BEGIN
  PERFORM dataflows.wait_for('go');
  BEGIN
    PERFORM dataflows.alias(event->>'alias');
  EXCEPTION WHEN SQLSTATE 'DF001' THEN
    RETURN to_jsonb(SQLERRM);
  END;
  RETURN dataflows.wait_for('shipped');
END $$;
SELECT dataflows.define_workflow('order', 'app.order', accept_notify => 'key');
CREATE TABLE app.parcels (id text, state text);
CREATE TRIGGER shipped AFTER INSERT ON app.parcels FOR EACH ROW
  EXECUTE FUNCTION dataflows.signal_on_change('order', 'shipped', 'id');
SQL

sub order
{
	my ($key, $alias) = @_;
	my $order = start('order', "{\"alias\": \"$alias\"}", $key);

	waits($order, 'go');
	app("SELECT dataflows.signal('$order', 'go')");
	return $order;
}

$run = order('o1', 'parcel-1');
ok(waits($run, 'shipped'), 'a run with an alias waits');
is(steps($run), 'go done, alias done, shipped waiting', 'the alias is a step');
is( $node->safe_psql(
		'postgres', "SELECT request FROM dataflows.steps WHERE run = '$run' AND kind = 'alias'"),
	'parcel-1',
	'that shows the key');
is(app("SELECT dataflows.signal_by_key('order', 'parcel-1', 'shipped', '\"by alias\"')"),
	't', 'a signal by it');
is(ends($run) . ' ' . result($run), 'completed "by alias"', 'finds the run');

# free once its run has ended: the signal is kept for the next one
app("SELECT dataflows.signal_by_key('order', 'parcel-1', 'shipped', '\"the next\"')");
$run = order('o2', 'parcel-1');
is(ends($run) eq 'completed' || state_is($run, 'completed') ? result($run) : '',
	'"the next"', 'the next run takes the alias, and the signal that came before');

$run = order('o3', 'parcel-3');
ok(waits($run, 'shipped'), 'the third waits');
my $second = order('o4', 'parcel-3');
ok(state_is($second, 'completed'), 'an alias of a live run cannot be taken');
is( result($second),
	"\"step \\\"alias\\\" failed: the key \\\"parcel-3\\\" is held by run \\\"$run\\\"\"",
	'DF001 says which run has it');
$second = order('o5', 'o3');
ok(state_is($second, 'completed'), 'nor its key');
like(result($second), qr/held by run \\"$run\\"/, 'DF001 again');
app("INSERT INTO app.parcels VALUES ('parcel-3', 'x')");
ok(state_is($run, 'completed'), 'signal_on_change finds a run by its alias');

$run = order('o6', 'parcel-6');
ok(waits($run, 'shipped'), 'another run with an alias');
$node->safe_psql(
	'postgres',
	q(NOTIFY dataflows,
		'{"workflow": "order", "key": "parcel-6", "event": "shipped", "payload": 6}')
);
ok(state_is($run, 'completed'), 'NOTIFY finds it by its alias');
is(result($run), '6', 'with the payload');

# its own key is no conflict; a completed run's key may be another one's alias
$run = order('o7', 'o7');
ok(waits($run, 'shipped'), 'its own key as an alias');
app("SELECT dataflows.signal_by_key('order', 'o7', 'shipped')");
ok(state_is($run, 'completed'), 'is no conflict');
$run = order('o8', 'o7');
ok(waits($run, 'shipped'), 'the key of a completed run as an alias');
is(app("SELECT dataflows.signal_by_key('order', 'o7', 'shipped', '8')"), 't', 'a signal by it');
is(ends($run) eq 'completed' || state_is($run, 'completed') ? result($run) : '',
	'8', 'is for the live run');

# forty runs race for one alias; two workers
app(q(SELECT count(dataflows.start('order', '{"alias": "prize"}', 'racer' || i))
	FROM generate_series(1, 40) i)
);
ok( wait_until(
		$node,
		"SELECT count(*) = 40 FROM dataflows.runs WHERE key LIKE 'racer%' AND state = 'waiting'"),
	'forty runs wait');
app("SELECT count(dataflows.signal(run, 'go')) FROM dataflows.runs WHERE key LIKE 'racer%'");
ok( wait_until(
		$node,
		"SELECT count(*) FILTER (WHERE state = 'completed') = 39
			AND count(*) FILTER (WHERE waiting_for = 'shipped') = 1 FROM dataflows.runs
			WHERE key LIKE 'racer%'"
	),
	'exactly one wins');
app("SELECT dataflows.signal_by_key('order', 'prize', 'shipped', '\"first\"')");
ok( wait_until(
		$node,
		"SELECT count(*) FILTER (WHERE result = '\"first\"') = 1
			AND count(*) FILTER (WHERE state = 'completed') = 40 FROM dataflows.runs
			WHERE key LIKE 'racer%'"
	),
	'and gets what is sent');

# an alias outlives a crash of the worker, and a dump knows it
$run = order('o9', 'parcel-9');
ok(waits($run, 'shipped'), 'a run with an alias');
my ($coordinator) = pids_of($node, 'coordinator');

kill_process('KILL', $_) for pids_of($node, 'worker');
ok( wait_until(
		$node,
		"SELECT count(*) > 0 FROM pg_stat_activity WHERE backend_type LIKE 'dataflows coordinator%'
			AND pid <> $coordinator"
	),
	'after a crash');
app("SELECT dataflows.signal_by_key('order', 'parcel-9', 'shipped')");
ok(state_is($run, 'completed'), 'the alias is still its');
like(
	$node->safe_psql(
		'postgres', "SELECT extconfig::text FROM pg_extension WHERE extname = 'dataflows'"),
	qr/\b@{[ $node->safe_psql('postgres', q(SELECT 'dataflows.alias'::regclass::oid)) ]}\b/,
	'aliases are dumped');
app("SELECT dataflows.forget('order', 'o9')");
is(number_of($node, "SELECT count(*) FROM dataflows.alias WHERE key = 'parcel-9'"),
	0, 'forget() erases them');

# ---- two-phase commit -------------------------------------------------------------------------

$node->append_conf('postgresql.conf', "dataflows.sweep_interval = '1min'\n");
$node->reload;
app(<<'SQL');
CREATE FUNCTION app.quick(event jsonb) RETURNS jsonb LANGUAGE plpgsql AS $$ BEGIN RETURN event;
  END $$;
SELECT dataflows.define_workflow('quick', 'app.quick');
BEGIN; SELECT dataflows.start('quick', '{}', 'prepared'); PREPARE TRANSACTION 'start';
SQL
app("COMMIT PREPARED 'start'");
ok( wait_until($node, "SELECT state = 'completed' FROM dataflows.runs WHERE key = 'prepared'", 40),
	'COMMIT PREPARED wakes the engine: no sweep is waited for');

# ---- deadline --------------------------------------------------------------------------------

app(<<'SQL');
CREATE FUNCTION app.slow(event jsonb) RETURNS jsonb LANGUAGE plpgsql AS $$
BEGIN
  PERFORM dataflows.post('create-account', 'identity', '/users', jsonb_build_object('email',
    event->>'email'), undo => 'DELETE /users/{id}');
  IF event ? 'pivot' THEN PERFORM dataflows.point_of_no_return('sold'); END IF;
  BEGIN
    IF event->>'how' = 'wait' THEN PERFORM dataflows.wait_for('never');
    ELSIF event->>'how' = 'sleep' THEN PERFORM dataflows.sleep('nap', '1 hour');
    ELSIF event->>'how' = 'retry' THEN PERFORM dataflows.get('look', 'crm', '/contacts',
      retry => '{"initial": "1 h", "max": "1 h"}');
    ELSIF event->>'how' = 'flight' THEN PERFORM dataflows.post('book', 'billing', '/customers',
      jsonb_build_object('email', event->>'email'), undo => 'DELETE /customers/{id}');
    ELSIF event->>'how' = 'lock' THEN PERFORM pg_advisory_xact_lock(7);
    END IF;
  EXCEPTION WHEN OTHERS THEN
    IF event->>'how' = 'lock' THEN RAISE; END IF;
    RETURN '"caught"';
  END;
  RETURN '"in time"';
END $$;
SELECT dataflows.define_workflow('slow', 'app.slow', deadline => '700 ms');
CREATE FUNCTION app.lasting(event jsonb) RETURNS jsonb LANGUAGE plpgsql AS $$
BEGIN
  PERFORM dataflows.sleep('longer than the deadline', '1500 ms');
  RETURN dataflows.post('report', 'email', '/send', jsonb_build_object('to',
    context->'input'->>'email', 'why', context->'error'->>'message')) FROM (SELECT event AS context)
    c;
END $$;
SELECT dataflows.define_workflow('slow-told', 'app.slow', deadline => '700 ms', on_failure =>
  'app.lasting');
SELECT dataflows.define_workflow('careful', 'app.slow', deadline => '700 ms', undo_on => 'never');
SQL

sub slow
{
	my ($how, $more) = @_;
	return start(
		$more->{workflow} // 'slow',
		"{\"how\": \"$how\", \"email\": \""
			. ($more->{email} // $how)
			. "\@slow.example\""
			. ($more->{pivot} ? ', "pivot": 1' : '') . '}');
}

sub error_of
{
	return $node->safe_psql(
		'postgres',
		"SELECT error->>'sqlstate' || ' ' || (error->>'message') FROM dataflows.runs
			WHERE run = '$_[0]'"
	);
}

$run = slow('nothing');
is(ends($run) . ' ' . result($run), 'completed "in time"', 'who ends in time has no trouble');
for my $how ('wait', 'sleep')
{
	$run = slow($how);
	ok(state_is($run, 'rolled_back'), "a deadline while it ${how}s");
	like(error_of($run), qr/^DF006 .*deadline/, 'the error says so');
	is( $systems->live("$how\@slow.example") . ' ' . $systems->ever("$how\@slow.example"),
		'0/0/0/0 1/0/0/0',
		'and it is undone');
}
$systems->fault('crm', status => 503);
$run = slow('retry');
ok(state_is($run, 'rolled_back'), 'a deadline between two attempts');
is($systems->live('retry@slow.example'), '0/0/0/0', 'undone');
$systems->clear_faults;

$systems->fault('billing', match => { method => 'POST' }, fault => 'latency', ms => 1500);
$run = slow('flight');
ok(state_is($run, 'rolled_back'), 'a deadline with a request on the wire');
is( $systems->live('flight@slow.example') . ' ' . $systems->ever('flight@slow.example'),
	'0/0/0/0 1/1/0/0',
	'its answer is awaited, and it is undone too');
is( $node->safe_psql(
		'postgres',
		"SELECT string_agg(step || ' ' || state || ' ' || undo_state, ', ' ORDER BY n)
			FROM dataflows.steps WHERE run = '$run'"
	),
	'create-account done undone, book done undone',
	'the record agrees');
$systems->clear_faults;

# a body that fails again and again for a while
my $lock = $node->background_psql('postgres');
$lock->query_safe('SELECT pg_advisory_lock(7)');
$run = slow('lock');
ok(state_is($run, 'rolled_back'), 'a deadline while a lock is not to be had');
$lock->quit;

# held by pause(): that time does not count
app("SELECT dataflows.pause('slow')");
$run = slow('wait');
ok( wait_until(
		$node, "SELECT now() > started_at + '800 ms' FROM dataflows.runs WHERE run = '$run'"),
	'the deadline passes while it is paused');
is($node->safe_psql('postgres', "SELECT state FROM dataflows.runs WHERE run = '$run'"),
	'queued', 'nothing moves');
app("SELECT dataflows.resume('slow')");
ok(state_is($run, 'rolled_back'), 'resumed, it fails at its deadline');
like(steps($run), qr/^create-account done/, 'which left it the time that it had left');

# neither rollback nor on_failure has one
$run = slow('wait', { workflow => 'slow-told' });
ok(state_is($run, 'rolled_back'), 'on_failure takes longer than the deadline');
is( steps($run),
	'create-account done, never failed, on_failure/longer than the deadline done, '
		. 'on_failure/report done',
	'and is let');

# after a point of no return: stuck, and retry() gives the whole time anew
$run = slow('wait', { pivot => 1, email => 'sold' });
ok(state_is($run, 'stuck'), 'a deadline after the point of no return');
like(
	$node->safe_psql('postgres', "SELECT reason FROM dataflows.stuck WHERE run = '$run'"),
	qr/point of no return.*deadline/,
	'stuck says both');
is($systems->live('sold@slow.example'), '1/0/0/0', 'nothing is undone');
is( $node->safe_psql(
		'postgres',
		"SELECT deadline = started_at + '700 ms'::interval FROM dataflows.runs WHERE run = '$run'"),
	't',
	'the view has the deadline');
app("SELECT dataflows.signal('$run', 'never'), dataflows.retry('$run')");
ok(state_is($run, 'completed'), 'retry() gives it time anew');
is( $node->safe_psql(
		'postgres',
		"SELECT deadline > started_at + '700 ms'::interval FROM dataflows.runs WHERE run = '$run'"),
	't',
	'as the view says');
$run = slow('wait', { workflow => 'careful' });
ok(state_is($run, 'stuck'), "with undo_on => 'never' a deadline is a matter for people");
my $first =
	$node->safe_psql('postgres', "SELECT deadline FROM dataflows.runs WHERE run = '$run'");
app("SELECT dataflows.retry('$run')");
# it may be stuck again before anybody sees it wait
ok( wait_until(
		$node,
		"SELECT state = 'stuck' AND deadline > '$first' FROM dataflows.runs WHERE run = '$run'"),
	'retry() lets it wait again, until the whole time has passed once more');
app("SELECT dataflows.cancel('$run')");
ok(state_is($run, 'cancelled'), 'cancel() has none');
is(number_of($node, 'SELECT count(*) FROM dataflows.unexplained'), 0, 'nothing is unexplained');

# ---- times that have passed, whatever they look like inside -----------------------------

app(<<'SQL');
CREATE FUNCTION app.past(event jsonb) RETURNS jsonb LANGUAGE plpgsql AS $$
BEGIN
  PERFORM dataflows.sleep_until('sleep', (event->>'at')::timestamptz);
  RETURN coalesce(dataflows.wait_for('never', until => (event->>'at')::timestamptz), '"late"');
END $$;
SELECT dataflows.define_workflow('past', 'app.past');
SQL
for my $at (
	'1999-12-31 23:59:59.999999+00',
	'2000-01-01 00:00:00+00',
	'1970-01-01 00:00:00+00',
	'-infinity')
{
	$run = start('past', "{\"at\": \"$at\"}");
	ok(state_is($run, 'completed'), "nobody waits for $at");
	is(result($run), '"late"', 'nor for an event until then');
}

$node->stop;
$systems->stop;
done_testing();
