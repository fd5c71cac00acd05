# Nobody's open transaction holds up the engine, and nobody's session is the victim
# of a deadlock because of it.

use strict;
use warnings;

use Test::More;
use IPC::Run ();
use PostgreSQL::Test::Cluster;
use PostgreSQL::Test::Utils;
use Dataflows;

my $node =
	new_node('locks', conf => "dataflows.sweep_interval = '1s'\ndataflows.retention = '1h'\n");

$node->safe_psql('postgres', 'CREATE EXTENSION dataflows; CREATE ROLE eve LOGIN');
for my $role (qw(app bob cleo dora emil))
{
	$node->safe_psql('postgres', <<"SQL");
CREATE ROLE $role LOGIN;
CREATE SCHEMA $role AUTHORIZATION $role;
GRANT EXECUTE ON FUNCTION dataflows.define_workflow TO $role;
SQL
}
as_app($node, 'postgres', <<'SQL');
CREATE FUNCTION app.waits(e jsonb) RETURNS jsonb LANGUAGE plpgsql AS $$ BEGIN
  RETURN dataflows.wait_for('go'); END $$;
CREATE FUNCTION app.noop(e jsonb) RETURNS jsonb LANGUAGE plpgsql AS $$ BEGIN RETURN e; END $$;
CREATE TABLE app.prices (item text, price int);
INSERT INTO app.prices VALUES ('x', 1);
CREATE FUNCTION app.reads(e jsonb) RETURNS jsonb LANGUAGE plpgsql AS $$ BEGIN
  RETURN to_jsonb((SELECT price FROM app.prices)); END $$;
CREATE FUNCTION app.named(e jsonb) RETURNS jsonb LANGUAGE plpgsql AS $$ BEGIN
  PERFORM dataflows.alias('further'); RETURN e; END $$;
SELECT dataflows.define_workflow('named', 'app.named'), dataflows.define_workflow('noop',
  'app.noop'), dataflows.define_workflow('waits', 'app.waits'), dataflows.define_workflow('reads',
  'app.reads');
SQL

# a session whose transaction stays open; returns it when the statements are done
sub open_session
{
	my ($role, $sql) = @_;
	my ($in, $out, $err) = ("BEGIN;\n$sql;\n\\echo open\n", '', '');
	my $session = { out => \$out, err => \$err, in => \$in };

	$session->{timer} = IPC::Run::timeout(180);
	$session->{run} = IPC::Run::start(
		[ 'psql', '-XqAt', '-v', 'ON_ERROR_STOP=1', '-U', $role, '-d', $node->connstr('postgres') ],
		'<', \$in, '>', \$out, '2>', \$err, $session->{timer});
	$session->{run}->pump until $out =~ /^open$/m || !$session->{run}->pumpable;
	like($out, qr/^open$/m, "open: $sql") or diag($err);
	return $session;
}

sub close_session
{
	my ($session, $how) = @_;

	${ $session->{in} } .= ($how // 'ROLLBACK') . ";\n\\q\n";
	ok($session->{run}->finish, 'its transaction ends well') or diag(${ $session->{err} });
	return;
}

sub completes
{
	my ($workflow, $key, $why) = @_;

	return ok(
		wait_until(
			$node,
			"SELECT count(*) = 1 FROM dataflows.runs WHERE workflow = '$workflow' AND key = '$key'
				AND state = 'completed'",
			60),
		$why);
}

sub new_owner_works
{
	my ($role) = @_;

	$node->safe_psql('postgres', <<"SQL", extra_params => [ '-U', $role ]);
CREATE FUNCTION $role.noop(e jsonb) RETURNS jsonb LANGUAGE plpgsql AS 'BEGIN RETURN e; END';
SELECT dataflows.define_workflow('w-$role', '$role.noop');
SELECT dataflows.start('w-$role', '{}', 'k');
SQL
	return completes("w-$role", 'k', "meanwhile a worker is started for $role");
}

sub start_app
{
	my ($workflow, $key) = @_;

	return as_app($node, 'postgres', "SELECT dataflows.start('$workflow', '{}', '$key')");
}

start_app('noop', 'first');
completes('noop', 'first', 'a run is completed');

# ---- rows that the tidying would delete
my $size = -s $node->logfile;

$node->safe_psql(
	'postgres',
	"SELECT dataflows.dashboard_token('1 second')",
	extra_params => [ '-U', 'eve' ]);
$node->safe_psql(
	'postgres',
	"INSERT INTO dataflows.page_token SELECT decode(md5(i::text), 'hex'), 'app'::regrole, 'app',
		now(), now() - interval '1 s' FROM generate_series(1, 3) i"
);
my $eve = open_session('eve', 'SELECT dataflows.revoke_dashboard_tokens()');

new_owner_works('bob');
ok(wait_until($node, 'SELECT count(*) = 1 FROM dataflows.page_token', 60),
	"others' expired tokens are deleted all the same");
close_session($eve);
ok(wait_until($node, 'SELECT count(*) = 0 FROM dataflows.page_token', 60),
	'and this one when it is free');

# each kind that a sweep deletes, half of it locked
$node->safe_psql('postgres', <<'SQL');
INSERT INTO dataflows.webhook_delivery (path, event_id, at) SELECT '/x', i::text, now()
  FROM generate_series(1, 10) i;
INSERT INTO dataflows.inbox (workflow, key, event, payload, sent_by, sent_at, expires_at, state)
  SELECT 'noop', 'k' || i, 'go', '{}', 'app', now(), now() + interval '1 h', 'kept'
    FROM generate_series(1, 10) i;
INSERT INTO dataflows.inbox (workflow, kind, sent_by, sent_at, state, consumed_at, note)
  SELECT 'noop', 'pause', 'app', now(), 'done', now(), 'note' || i FROM generate_series(1, 10) i;
SQL
start_app('noop', "old$_") for 1 .. 6;
completes('noop', "old$_", "run old$_ is completed") for 1 .. 6;
$node->safe_psql('postgres', <<'SQL');
INSERT INTO dataflows.step (run, n, started_at, kind, step, state)
  SELECT run, 1, now(), 'once', 's', 'done' FROM dataflows.run WHERE key LIKE 'old%';
SQL
my $locks = open_session('postgres', <<'SQL');
SET LOCAL deadlock_timeout = '1s';
SELECT count(*) FROM (SELECT FROM dataflows.inbox WHERE key IN ('k1', 'k2')
  OR note IN ('note1', 'note2') FOR UPDATE) x;
SELECT count(*) FROM (SELECT FROM dataflows.step s WHERE s.run IN (SELECT run FROM dataflows.run
  WHERE key = 'old1') FOR UPDATE) x;
SELECT count(*) FROM (SELECT FROM dataflows.run WHERE key = 'old2' FOR UPDATE) x;
SELECT count(*) FROM (SELECT FROM dataflows.webhook_delivery
  WHERE event_id IN ('1', '2') FOR UPDATE) x
SQL
$node->safe_psql('postgres', <<'SQL');
UPDATE dataflows.inbox SET expires_at = now() - interval '1 s' WHERE key LIKE 'k%'
  AND key NOT IN ('k1', 'k2') AND state = 'kept';
UPDATE dataflows.inbox SET consumed_at = now() - interval '2 h' WHERE note LIKE 'note%'
  AND note NOT IN ('note1', 'note2');
UPDATE dataflows.run SET finished_at = now() - interval '2 h' WHERE key LIKE 'old%'
  AND key <> 'old2';
UPDATE dataflows.webhook_delivery SET at = now() - interval '2 h' WHERE event_id NOT IN ('1', '2');
INSERT INTO dataflows.inbox (run, workflow, event, payload, sent_by, sent_at)
  SELECT gen_random_uuid(), 'nobody', 'go', '{}', 'app', now() FROM generate_series(1, 10) i;
SQL
ok(wait_until($node, <<'SQL', 60), 'what nobody has locked is deleted');
SELECT (SELECT count(*) FROM dataflows.inbox WHERE key LIKE 'k%' OR note LIKE 'note%'
  OR workflow = 'nobody') = 2 + 2
  AND (SELECT count(*) FROM dataflows.webhook_delivery) = 2
  AND (SELECT array_agg(key ORDER BY key) FROM dataflows.run WHERE key LIKE 'old%') = '{old1,old2}'
SQL
is( number_of(
		$node,
		"SELECT count(*) FROM dataflows.step s JOIN dataflows.run r USING (run)
			WHERE r.key = 'old1'"
	),
	1,
	'a run of which a part is locked is whole');
new_owner_works('cleo');
close_session($locks);
$node->safe_psql(
	'postgres',
	"UPDATE dataflows.run SET finished_at = now() - interval '2 h' WHERE key = 'old2';
		UPDATE dataflows.webhook_delivery SET at = now() - interval '2 h'"
);
ok(wait_until($node, <<'SQL', 60), 'the rest goes with a later sweep');
SELECT (SELECT count(*) FROM dataflows.webhook_delivery) = 0
  AND (SELECT count(*) FROM dataflows.run WHERE key LIKE 'old%') = 0
SQL

# ---- functions of ours in a transaction that stays open
start_app('noop', 'gone');
completes('noop', 'gone', 'a run is completed');
for my $call (
	[ 'app', "SELECT dataflows.undo(run, 'test') FROM dataflows.runs WHERE key = 'first'" ],
	[
		'app',
		"SELECT dataflows.signal_by_key('waits', 'nobody-yet', 'go'), dataflows.forget('noop',
			'gone')"
	],
	[ 'app', "SELECT dataflows.pause('noop')" ],
	[ 'postgres', "SELECT dataflows.pause()" ],
	[ 'postgres', "SELECT dataflows.adopt()" ],
	[ 'app', "SELECT dataflows.define_workflow('noop', 'app.waits')" ],
	[ 'app', "SELECT dataflows.drop_workflow('reads')" ])
{
	my ($role, $sql) = @$call;
	my $session = open_session($role, $sql);
	my $key = $sql =~ s/\W//gr;

	start_app('noop', $key);
	completes('noop', $key, 'meanwhile runs are completed');
	close_session($session);
}
# forget() has the signals by key of a run that is started before it ends
as_app($node, 'postgres', "SELECT dataflows.signal_by_key('waits', 'late', 'go', '1')");
my $forget = open_session('app', "SELECT dataflows.forget('waits', 'late')");

start_app('waits', 'late');
start_app('waits', 'other');
as_app($node, 'postgres', "SELECT dataflows.signal_by_key('waits', 'other', 'go', '1')");
completes('waits', 'other', "another run's signal comes through");
close_session($forget, 'COMMIT');
as_app($node, 'postgres', "SELECT dataflows.signal_by_key('waits', 'late', 'go', '2')");
completes('waits', 'late', 'and the run itself goes on when it can');

# it has rows in its hands that nobody has looked at, then a further key that another run asks for
as_app($node, 'postgres', "SELECT dataflows.pause('waits')");
as_app($node, 'postgres', "SELECT dataflows.signal_by_key('waits', 'unseen', 'go', '1')");
$forget = open_session('app', "SELECT dataflows.forget('waits', 'unseen')");
as_app($node, 'postgres', "SELECT dataflows.resume('waits')");
start_app('waits', 'beside the unseen');
as_app($node, 'postgres',
	"SELECT dataflows.signal_by_key('waits', 'beside the unseen', 'go', '1')");
completes('waits', 'beside the unseen', 'signals that somebody deletes hold up no others');
close_session($forget, 'COMMIT');
start_app('named', 'a');
completes('named', 'a', 'a run has a further key');
$forget = open_session('app', "SELECT dataflows.forget('named', 'a')");
start_app('named', 'b');
ok( wait_until(
		$node, "SELECT waiting_for ~ 'the key of its alias' FROM dataflows.runs WHERE key = 'b'",
		60),
	'another one waits for it, and says so');
start_app('noop', 'beside the alias');
completes('noop', 'beside the alias', 'it holds up no other run');
close_session($forget, 'COMMIT');
completes('named', 'b', 'and gets it');

# ---- tables that are locked: ours, then one that bodies read
for my $tables ('run, dataflows.step', 'inbox', 'workflow', 'installation', 'page_token')
{
	my $session = open_session('postgres', "LOCK TABLE dataflows.$tables IN ACCESS EXCLUSIVE MODE");

	is($node->safe_psql('postgres', "SELECT count(*) > 0 FROM dataflows.status()"),
		't', 'status() waits for nobody');
	let_pass(2);
	close_session($session);
	start_app('noop', "locked $tables");
	completes('noop', "locked $tables", 'all goes on afterwards');
}
my $session = open_session('app', 'LOCK TABLE app.prices IN ACCESS EXCLUSIVE MODE');

start_app('reads', "r$_") for 1 .. 30;
start_app('noop', 'beside');
completes('noop', 'beside', 'bodies that wait for a table hold up no other run');
close_session($session);
ok( wait_until(
		$node,
		"SELECT count(*) = 30 FROM dataflows.runs WHERE workflow = 'reads' AND state = 'completed'",
		120),
	'and go on by themselves');

# ---- maintenance
start_app('noop', "busy$_") for 1 .. 20;
for my $sql (
	'REINDEX TABLE dataflows.run',
	'REINDEX TABLE CONCURRENTLY dataflows.run',
	'REINDEX TABLE CONCURRENTLY dataflows.inbox',
	'VACUUM FULL dataflows.run',
	'VACUUM FULL dataflows.inbox',
	'CLUSTER dataflows.run USING run_pkey',
	'ALTER TABLE dataflows.run SET (fillfactor = 42)')
{
	start_app('noop', "m $sql $_") for 1 .. 5;
	my ($rc, $out, $err) = $node->psql('postgres', $sql);

	is($rc, 0, $sql) or diag($err);
}
ok( wait_until(
		$node,
		"SELECT count(*) = 0 FROM dataflows.runs WHERE workflow = 'noop'
			AND state NOT IN ('completed', 'rolled_back')",
		120),
	'no run is left behind') or dump_state($node);

my @bad = grep { /ERROR|FATAL|deadlock detected/ } split(/\n/, slurp_file($node->logfile, $size));

is(scalar(@bad), 0, 'no deadlock, and no errors in the log')
	or diag(join("\n", @bad[ 0 .. ($#bad < 20 ? $#bad : 20) ]));
$node->stop('fast');
done_testing();
