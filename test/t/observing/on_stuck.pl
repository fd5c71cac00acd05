# dataflows.on_stuck: who gets stuck is told of, once each time, in the
# transaction that makes it stuck; never in a circle, and never at a cost.

use strict;
use warnings;

use lib 'test/perl';
use Dataflows;
use PostgreSQL::Test::Cluster;
use PostgreSQL::Test::Utils;
use Test::More;
use Time::HiRes qw(usleep);

my $node = new_node('on_stuck', conf => <<'CONF');
dataflows.on_stuck = 'tell'
dataflows.sweep_interval = '300ms'
dataflows.body_timeout = '150ms'
CONF

sub ask { my ($sql) = @_; return $node->safe_psql('postgres', $sql); }

sub setting
{
	my ($value) = @_;

	ask("ALTER SYSTEM SET dataflows.on_stuck = '$value'");
	$node->reload;
	# the workers and the coordinator read it when they are woken; a run goes through them all
	my $run = as_app($node, 'postgres', q{SELECT dataflows.start('fine')});
	return wait_until($node, "SELECT state = 'completed' FROM dataflows.runs WHERE run = '$run'");
}

# starts one and waits until it is stuck; its id
sub stuck_run
{
	my ($workflow, $input, $key) = @_;
	my $run = as_app($node, 'postgres',
		"SELECT dataflows.start('$workflow', '$input'" . ($key ? ", '$key'" : '') . ')');

	wait_until($node, "SELECT state = 'stuck' FROM dataflows.runs WHERE run = '$run'");
	return $run;
}

sub alerts_of
{
	my ($run) = @_;
	return ask(
		"SELECT count(*) FROM dataflows.runs WHERE workflow = 'tell' AND input->>'run' = '$run'");
}

create_app($node);
create_owner($node, 'ops');
as_app($node, 'postgres', <<'SQL');
CREATE FUNCTION app.typo(event jsonb) RETURNS jsonb LANGUAGE plpgsql AS $$
BEGIN
  IF event ? 'deaf' THEN
    LOOP BEGIN PERFORM pg_sleep(5); EXCEPTION WHEN query_canceled THEN NULL; END; END LOOP;
  END IF;
  IF event ? 'undo' THEN
    PERFORM dataflows.query('make', 'SELECT 1', undo => 'SELECT 1/0');
    RAISE EXCEPTION 'undo it';
  END IF;
  IF event ? 'sql' THEN
    PERFORM dataflows.query('broken', 'SELECT * FROM nothing');
  END IF;
  IF event ? 'long' THEN
    RAISE EXCEPTION USING ERRCODE = '42000', MESSAGE = repeat(E'\x01é', 20000);
  END IF;
  PERFORM nothing();
END $$;
CREATE FUNCTION app.fine(event jsonb) RETURNS jsonb LANGUAGE plpgsql AS $$BEGIN RETURN event; END$$;
SELECT dataflows.define_workflow('typo', 'app.typo'), dataflows.define_workflow('fine', 'app.fine');
SQL
$node->safe_psql('postgres', <<'SQL', extra_params => [ '-U', 'ops' ]);
CREATE FUNCTION ops.tell(event jsonb) RETURNS jsonb LANGUAGE plpgsql AS $$BEGIN RETURN '1'; END$$;
SELECT dataflows.define_workflow('tell', 'ops.tell');
SQL

# ---- a workflow --------------------------------------------------------------------

my $run = stuck_run('typo', '{"secret": "of the input"}', 'key-1');
ok( wait_until(
		$node,
		"SELECT state = 'completed' FROM dataflows.runs WHERE workflow = 'tell'
			AND input->>'run' = '$run'"
	),
	'a run of another owner is started, and runs');
is( ask("SELECT key ~ ('^$run/' || '\\d{16}\$') AND owner = 'ops' AND started_by = 'ops' FROM "
			. "dataflows.runs WHERE workflow = 'tell'"),
	't',
	'its key is the run and the time');
is( ask("SELECT string_agg(k, ' ' ORDER BY k) FROM dataflows.runs, jsonb_object_keys(input) k
	WHERE workflow = 'tell'"
	),
	'at key reason remedy run sqlstate undo_failed workflow',
	'what it is told');
is( ask("SELECT concat_ws('|', input->>'workflow', input->>'key', input->>'sqlstate',
		input->>'undo_failed', (input->>'at')::timestamptz <= now())
	FROM dataflows.runs WHERE workflow = 'tell'"),
	'typo|key-1|42883|[]|t',
	'namely this');
is( ask("SELECT r.input->>'reason' = s.reason AND r.input->>'remedy' = s.remedy
	FROM dataflows.runs r, dataflows.stuck s WHERE r.workflow = 'tell' AND s.run = '$run'"
	),
	't',
	'in the words of the view stuck');
is( ask("SELECT count(*) FROM dataflows.runs WHERE workflow = 'tell'
	AND input::text LIKE '%of the input%'"
	),
	0,
	'and not what went into the run');
as_app($node, 'postgres', "SELECT dataflows.retry('$run')");
ok( wait_until(
		$node,
		"SELECT count(*) = 2 FROM dataflows.runs WHERE workflow = 'tell' AND input->>'run' = '$run'"
	),
	'stuck again: told again');

$run = stuck_run('typo', '{"undo": 1}');
wait_until($node,
	"SELECT count(*) = 1 FROM dataflows.runs WHERE workflow = 'tell' AND input->>'run' = '$run'");
is( ask("SELECT concat_ws('|', u->>'step', u->>'undo', u->>'why' <> '') FROM dataflows.runs,
	jsonb_array_elements(input->'undo_failed') u WHERE workflow = 'tell' AND input->>'run' = '$run'"
	),
	'make|SELECT 1/0|t',
	'undos that failed are listed');
$run = stuck_run('typo', '{"sql": 1}');
is(alerts_of($run), 1, 'a run that gets stuck in a sql worker');
$run = stuck_run('typo', '{"deaf": 1}');
is(alerts_of($run), 1, 'a run whose body ended its worker three times, by the coordinator');
SKIP:
{
	skip 'roles without LOGIN may have workers from PostgreSQL 17 on', 3 if $node->pg_version >= 17;
	ask('ALTER ROLE app NOLOGIN; SELECT pg_terminate_backend(pid) FROM pg_stat_activity
		WHERE backend_type LIKE \'dataflows%worker\''
	);
	my $two = ask(
		q{SET ROLE app; SELECT string_agg(dataflows.start('fine', to_jsonb(i))::text, ',')
			FROM generate_series(1, 2) i}
	);
	ok( wait_until(
			$node,
			"SELECT count(*) = 2 FROM dataflows.runs WHERE state = 'stuck' AND run = ANY ('{$two}')"
		),
		'runs of a role without LOGIN are stuck');
	is( ask("SELECT count(DISTINCT input->>'run') || ' ' || count(*) FROM dataflows.runs
		WHERE workflow = 'tell' AND (input->>'run')::uuid = ANY ('{$two}')"
		),
		'2 2',
		'each is told of, once');
	ask('ALTER ROLE app LOGIN');
	is( ask(q{SELECT string_agg(labels->>'workflow' || ' ' || value, ', '
		ORDER BY labels->>'workflow') FROM dataflows.metrics WHERE name = 'dataflows_runs_stuck'}
		),
		'fine 2, typo 5',
		'whoever made them stuck, they are counted');
}

# ---- no circle -----------------------------------------------------------------------

$node->safe_psql('postgres', <<'SQL', extra_params => [ '-U', 'ops' ]);
CREATE OR REPLACE FUNCTION ops.tell(event jsonb) RETURNS jsonb LANGUAGE plpgsql AS $$
BEGIN
  IF event->>'key' = 'itself' THEN PERFORM nothing(); END IF;
  IF event->>'key' = 'child' THEN PERFORM dataflows.call('child', 'child', event); END IF;
  RETURN '1';
END $$;
CREATE FUNCTION ops.child(event jsonb) RETURNS jsonb LANGUAGE plpgsql AS $$BEGIN PERFORM nothing();
  END$$;
SELECT dataflows.define_workflow('child', 'ops.child');
SQL
$run = stuck_run('typo', '{}', 'itself');
ok( wait_until(
		$node,
		"SELECT state = 'stuck' FROM dataflows.runs WHERE workflow = 'tell'
			AND input->>'run' = '$run'"
	),
	'the run that tells is stuck itself');
my $other = stuck_run('typo', '{}', 'child');
ok(wait_until($node, "SELECT state = 'stuck' FROM dataflows.runs WHERE workflow = 'child'"),
	'a run that it calls is stuck');
is( ask("SELECT count(*) FROM dataflows.runs t JOIN dataflows.runs s ON s.run =
	(t.input->>'run')::uuid WHERE t.workflow = 'tell' AND s.workflow IN ('tell', 'child')"
	),
	0,
	'nobody is told of either');

# ---- wrong settings ----------------------------------------------------------------------

my $before = ask("SELECT count(*) FROM dataflows.runs WHERE workflow = 'tell'");
for my $wrong ('nobody', 'channel:', 'channel:dataflows', 'channel:' . 'x' x 64)
{
	setting($wrong);
	my $offset = -s $node->logfile;

	$run = stuck_run('typo', '{}');
	ok($run, "$wrong: the run is stuck all the same");
	like(
		substr(slurp_file($node->logfile), $offset),
		qr/dataflows\.on_stuck "\Q$wrong\E" was told nothing of 1 runs/,
		'and the log says that nobody was told');
}
is(ask("SELECT count(*) FROM dataflows.runs WHERE workflow = 'tell'"),
	$before, 'nothing was started');
like(
	ask("SELECT value FROM dataflows.metrics WHERE name = 'dataflows_alerts'
		AND labels->>'outcome' = 'failed'"
	),
	qr/^4$/,
	'which is counted');
setting('');
$run = stuck_run('typo', '{}');
is(alerts_of($run), 0, 'empty: nothing happens');

# ---- a channel -----------------------------------------------------------------------------

setting('channel:ops_alarm');
my ($in, $out, $timer) = ('', '', IPC::Run::timer(30));
my $handle = IPC::Run::start([ 'psql', '-XAtq', '-d', $node->connstr('postgres') ],
	'<', \$in, '>', \$out, $timer);

# psql tells of notifications after a statement
sub notified
{
	$in .= "SELECT 1;\n";
	$handle->pump;
	return $out =~ /notification/;
}

$in .= "LISTEN ops_alarm;\n\\echo listening\n";
$handle->pump until $out =~ /listening/;
$run = stuck_run('typo', '{}', 'by-channel');
wait_for('a notification', \&notified);
like(
	$out,
	qr/notification "ops_alarm" with payload "\{.*"run": "$run".*"/,
	'the channel is notified');
unlike($out, qr/notification.*notification/s, 'once');
$out = '';
$run = stuck_run('typo', '{"long": 1}', 'é' x 300);
wait_for('a notification', \&notified);
my ($payload) = $out =~ /notification "ops_alarm" with payload "(\{.*\})"/;
like($payload // '', qr/"run": "$run"/, 'what is long is told');
cmp_ok(length($payload // ''), '<', 8000, 'cut until it fits');
is(ask("SELECT ('" . ($payload =~ s/'/''/gr) . "'::jsonb)->>'sqlstate'"),
	'42000', 'and is still JSON');
$in .= "\\q\n";
$handle->finish;

# ---- both or neither ---------------------------------------------------------------------------

setting('tell');
ask(q{DELETE FROM dataflows.run WHERE workflow IN ('tell', 'typo')});
for my $round (1 .. 3)
{
	as_app($node, 'postgres', q{SELECT dataflows.start('typo', '{}') FROM generate_series(1, 400)});
	usleep(20_000 + int(rand(150_000)));
	restart_hard($node, 'kill');
}
ok( wait_until(
		$node,
		"SELECT count(*) = 1200 FROM dataflows.run WHERE workflow = 'typo' AND state = 'stuck'", 60
	),
	'all get stuck, whatever was killed');
is( ask(q{SELECT count(*) || ' ' || count(DISTINCT input->>'run') FROM dataflows.run
	WHERE workflow = 'tell'}
	),
	'1200 1200',
	'each was told of exactly once');
is( ask(q{SELECT count(*) FROM dataflows.run t WHERE workflow = 'tell'
	AND NOT EXISTS (SELECT FROM dataflows.run s WHERE s.run = (t.input->>'run')::uuid
	AND s.state = 'stuck')}
	),
	0,
	'and none that is not stuck');

$node->stop;
done_testing();
