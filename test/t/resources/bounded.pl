# What waits to be taken is bounded for each run, and costs no other run anything;
# what has ended goes at the first sweep after its time.

use strict;
use warnings;

use Test::More;
use PostgreSQL::Test::Cluster;
use Dataflows;

my $node = new_node('bounded',
	conf => "dataflows.sweep_interval = '1s'\ndataflows.retention = '30 days'\n");
my $limit = 10_000;

create_app($node);
as_app($node, 'postgres', <<'SQL');
CREATE FUNCTION app.waits(e jsonb) RETURNS jsonb LANGUAGE plpgsql AS $$ BEGIN
  RETURN dataflows.wait_for('go'); END $$;
CREATE FUNCTION app.noop(e jsonb) RETURNS jsonb LANGUAGE plpgsql AS $$ BEGIN RETURN e; END $$;
CREATE FUNCTION app.twice(e jsonb) RETURNS jsonb LANGUAGE plpgsql AS $$
BEGIN
  PERFORM dataflows.wait_for('go');
  RETURN jsonb_build_array(dataflows.wait_for('noise'), dataflows.wait_for('noise'),
    dataflows.wait_for('last'));
END $$;
CREATE FUNCTION app.slow(e jsonb) RETURNS jsonb LANGUAGE plpgsql AS $$
BEGIN
  IF e->'fast' IS NULL THEN
    PERFORM dataflows.query('slow', 'SELECT pg_advisory_xact_lock(7)');
  END IF;
  RETURN dataflows.wait_for('go');
END $$;
CREATE FUNCTION app.parent(e jsonb) RETURNS jsonb LANGUAGE plpgsql AS $$
BEGIN
  PERFORM dataflows.call('child', 'noop', '{}');
  RETURN dataflows.wait_for('go');
END $$;
SELECT dataflows.define_workflow('noop', 'app.noop'), dataflows.define_workflow('waits',
  'app.waits', accept_notify => 'key'),
  dataflows.define_workflow('twice', 'app.twice'), dataflows.define_workflow('slow', 'app.slow'),
    dataflows.define_workflow('parent', 'app.parent');
CREATE TABLE app.noise (id bigint GENERATED ALWAYS AS IDENTITY, who text);
CREATE TRIGGER each AFTER INSERT ON app.noise FOR EACH ROW WHEN (NEW.who LIKE 'row%')
  EXECUTE FUNCTION dataflows.signal_on_change('waits', 'noise', 'who');
CREATE TRIGGER all_of_them AFTER INSERT ON app.noise REFERENCING NEW TABLE AS changed
  FOR EACH STATEMENT
  EXECUTE FUNCTION dataflows.signal_on_change('waits', 'noise', 'who');
SQL
as_app($node, 'postgres', 'ALTER TABLE app.noise DISABLE TRIGGER all_of_them');

sub start
{
	my ($workflow, $key) = @_;

	return as_app($node, 'postgres', "SELECT dataflows.start('$workflow', '{}', '$key')");
}

sub waiting
{
	my ($where) = @_;

	return number_of($node,
		"SELECT count(*) FROM dataflows.inbox WHERE state <> 'done' AND $where");
}

sub refused
{
	my ($way) = @_;

	return number_of(
		$node,
		"SELECT coalesce(sum(value), 0) FROM dataflows.metrics
			WHERE name = 'dataflows_signals_refused' AND labels ->> 'way' = '$way'"
	);
}

# another run of the same owner goes on, whatever waits for the first
sub another_goes_on
{
	my ($workflow, $why) = @_;
	my $run = start($workflow, "another: $why");

	as_app($node, 'postgres', "SELECT dataflows.signal('$run', 'go')");
	return becomes($node, $run, 'completed', "another run goes on: $why");
}

# ---- signal()
my $twice = start('twice', 'k');

becomes($node, $twice, 'waiting', 'a run waits');
my ($rc, $out, $err) = $node->psql(
	'postgres',
	"\\set VERBOSITY verbose\nSELECT count(dataflows.signal('$twice', 'noise', '1')) FROM "
		. "generate_series(1, $limit + 1)",
	extra_params => [ '-U', 'app' ]);

isnt($rc, 0, 'more signals than may wait are refused in one statement');
like($err, qr/54000.*$twice.*10000 wait to be taken.*HINT:.*cancel/s,
	'with SQLSTATE, run and hint');
as_app(
	$node, 'postgres',
	"SELECT count(dataflows.signal('$twice', 'noise', to_jsonb(i)))
		FROM generate_series(1, $limit - 5) i"
);
another_goes_on('waits', 'while a run has many signals');

for (1 .. 20)
{
	($rc, $out, $err) = $node->psql(
		'postgres',
		"SELECT dataflows.signal('$twice', 'noise', '0')",
		extra_params => [ '-U', 'app' ]);
	last if $rc != 0;
}
isnt($rc, 0, 'and one by one');
cmp_ok(abs(waiting("run = '$twice'") - $limit), '<', 50, 'about as many as documented wait');
cmp_ok(refused('signal'), '>=', 2, 'it is counted');
($rc, $out, $err) = $node->psql(
	'postgres',
	"SELECT dataflows.signal_by_key('twice', 'k', 'go', '0')",
	extra_params => [ '-U', 'app' ]);
isnt($rc, 0, 'by its key, too');
$node->safe_psql(
	'postgres',
	"DELETE FROM dataflows.inbox WHERE id IN (SELECT id FROM dataflows.inbox WHERE run = '$twice'
		AND state <> 'done' ORDER BY id DESC LIMIT 100)"
);
as_app($node, 'postgres',
	"SELECT dataflows.signal('$twice', 'go'), dataflows.signal('$twice', 'last', '3')");
becomes($node, $twice, 'completed', 'the run takes what it waits for among them');
is($node->safe_psql('postgres', "SELECT result FROM dataflows.run WHERE run = '$twice'"),
	'[1, 2, 3]', 'in the order in which they came');

# ---- a key without a run
as_app(
	$node, 'postgres',
	"SELECT count(dataflows.signal_by_key('waits', 'nobody', 'noise'))
		FROM generate_series(1, $limit)"
);
($rc, $out, $err) = $node->psql(
	'postgres',
	"SELECT dataflows.signal_by_key('waits', 'nobody', 'noise')",
	extra_params => [ '-U', 'app' ]);
like(
	$err,
	qr/key "nobody" of workflow "waits" can be sent no more signals/,
	'a key without a run is bounded, too');
ok( wait_until(
		$node, "SELECT count(*) = 0 FROM dataflows.inbox WHERE state = 'new' AND key = 'nobody'",
		120),
	'all of it is kept');
another_goes_on('waits', 'while a key has many signals');

# ---- triggers
for my $way (qw(row stmt))
{
	as_app($node, 'postgres', 'ALTER TABLE app.noise ENABLE TRIGGER all_of_them') if $way eq 'stmt';
	my $before = refused('trigger');
	my $run = start('waits', "$way flood");

	becomes($node, $run, 'waiting', 'a run waits');
	($rc, $out, $err) = $node->psql(
		'postgres',
		"INSERT INTO app.noise (who) SELECT '$way flood' FROM generate_series(1, $limit + 1500);
			INSERT INTO app.noise (who) VALUES ('$way other'), ('$way flood');
			SELECT count(*) FROM app.noise WHERE who LIKE '$way%'",
		extra_params => [ '-U', 'app' ]);
	is($out, $limit + 1502, "$way: the statement does not fail");
	like(
		$err,
		qr/WARNING:  \d+ signals of trigger "\w+" to workflow "waits" were dropped: 10000.*HINT/s,
		"$way: it warns");
	cmp_ok(
		waiting("(run = '$run' OR key = '$way flood')"),
		'<',
		$limit + 1500,
		"$way: the rest is dropped");
	is(waiting("key = '$way other'"), 1, "$way: but not what another key is sent");
	cmp_ok(refused('trigger') - $before, '>', 0, "$way: it is counted");
	as_app($node, 'postgres', "SELECT dataflows.cancel('$run')");
	becomes($node, $run, 'cancelled', "$way: such a run can be cancelled");
}

# ---- NOTIFY
my $notified = start('waits', 'notified');

becomes($node, $notified, 'waiting', 'a run waits');
as_app(
	$node, 'postgres',
	"SELECT count(pg_notify('dataflows', json_build_object('run', '$notified', 'event', 'noise',
		'payload', i)::text)) FROM generate_series(1, $limit + 500) i"
);
ok( wait_until(
		$node,
		"SELECT coalesce(sum(value), 0) >= 400 FROM dataflows.metrics
			WHERE name = 'dataflows_signals_refused' AND labels ->> 'way' = 'notify'",
		180),
	'a flood of NOTIFY is refused from there on');
cmp_ok(waiting("run = '$notified'"), '<=', $limit + 100, 'and bounded');
another_goes_on('waits', 'after a flood of NOTIFY');

# ---- many rows that nobody has looked at, and very many that are kept
$node->safe_psql('postgres', <<'SQL');
INSERT INTO dataflows.inbox (workflow, key, event, payload, sent_by, sent_at, expires_at, state)
  SELECT 'waits', 'kept' || i % 100, 'go', '{}', 'app', now(), now() + interval '1 d', 'kept'
    FROM generate_series(1, 100000) i;
INSERT INTO dataflows.inbox (workflow, key, event, payload, sent_by, sent_at, expires_at)
  SELECT 'waits', 'new' || i % 100, 'go', '{}', 'app', now(), now() + interval '1 d'
    FROM generate_series(1, 50000) i;
SQL
my $beside = start('parent', 'beside');

as_app($node, 'postgres', "SELECT dataflows.signal('$beside', 'go')");
becomes($node, $beside, 'completed', 'another workflow of the same owner goes on');
cmp_ok(waiting("workflow = 'waits' AND state = 'new'"),
	'>', 0, 'while one has rows that nobody has looked at');
another_goes_on('waits', 'of that workflow, too');
$node->safe_psql('postgres', "DELETE FROM dataflows.inbox WHERE run IS NULL");

# ---- signals to a run that somebody holds, in front of all others of its workflow
my $session = $node->background_psql('postgres', on_error_stop => 1);

$session->query_safe('SELECT pg_advisory_lock(7)');
my $slow = start('slow', 'held');

ok( wait_until(
		$node, "SELECT count(*) > 0 FROM pg_locks WHERE locktype = 'advisory' AND NOT granted", 120
	),
	'the SQL of a run takes long');
as_app($node, 'postgres',
	"SELECT count(dataflows.signal('$slow', 'noise')) FROM generate_series(1, 3000)");
my $other =
	as_app($node, 'postgres', qq(SELECT dataflows.start('slow', '{"fast": true}', 'other')));

becomes($node, $other, 'waiting', 'another run of its workflow waits');
as_app($node, 'postgres',
	"SELECT dataflows.signal('$other', 'go'), dataflows.signal('$slow', 'go')");
becomes($node, $other, 'completed', 'and goes on');
$session->query_safe('SELECT pg_advisory_unlock(7)');
becomes($node, $slow, 'completed', 'and so does that run');
$session->quit;

# ---- retention
my $parent = start('parent', 'lives');
my $ended = start('parent', 'ended');

as_app($node, 'postgres', "SELECT dataflows.signal('$ended', 'go')");
becomes($node, $ended, 'completed', 'a run with a child is completed');
becomes($node, $parent, 'waiting', 'another one waits');
start('noop', 'young');
start('noop', 'late');
ok( wait_until(
		$node,
		"SELECT count(*) = 2 FROM dataflows.runs WHERE key IN ('young', 'late')
			AND state = 'completed'",
		60),
	'two are completed');
$node->safe_psql('postgres', <<"SQL");
INSERT INTO dataflows.run (run, identity, started_at, version, workflow, started_by, input, state,
  finished_at, key_held)
  SELECT gen_random_uuid(), identity, now() - interval '60 days', 1, 'noop', 'app', '{}',
    'rolled_back', now() - interval '31 days', false
  FROM dataflows.run, generate_series(1, 20000) WHERE run = '$ended';
UPDATE dataflows.run SET finished_at = now() - interval '31 days' WHERE run = '$ended'
  OR parent IN ('$ended', '$parent') OR key = 'late';
SQL
another_goes_on('waits', 'while many runs are purged');
ok(wait_until($node, <<"SQL", 120), 'what ended before the retention goes');
SELECT count(*) = 0 FROM dataflows.run WHERE finished_at < now() - interval '30 days' AND parent
  IS DISTINCT FROM '$parent'
SQL
is(number_of($node, "SELECT count(*) FROM dataflows.run WHERE parent = '$parent'"),
	1, 'but not the child of a run that lives');
is( number_of(
		$node,
		"SELECT count(*) FROM dataflows.step WHERE run NOT IN (SELECT run FROM dataflows.run)"),
	0,
	'and no part of a run stays');
as_app($node, 'postgres', "SELECT dataflows.signal('$parent', 'go')");
becomes($node, $parent, 'completed', 'the parent is completed');
$node->safe_psql('postgres',
	"UPDATE dataflows.run SET finished_at = now() - interval '31 days' WHERE run = '$parent'");
ok( wait_until(
		$node,
		"SELECT count(*) = 0 FROM dataflows.run WHERE run = '$parent' OR parent = '$parent'", 60),
	'they go together');
is(number_of($node, "SELECT count(*) FROM dataflows.run WHERE key = 'young'"),
	1, 'a younger one stays');

$node->stop('fast');
done_testing();
