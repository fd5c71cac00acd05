# Who waits for somebody's lock is not slow, and what came while the worker was
# away is an answer.

use strict;
use warnings;

use IPC::Run ();
use Test::More;
use PostgreSQL::Test::Cluster;
use Dataflows;

my $systems = start_systems();
my $node = new_node('lock_wait', conf => <<'CONF');
dataflows.sweep_interval = '1s'
dataflows.query_timeout = '1s'
CONF

create_systems(
	$node, 'postgres', $systems,
	workflow => 0,
	options => { timeout => '2s', retry_max_attempts => 3 });
as_app($node, 'postgres', <<'SQL');
CREATE TABLE app.seats (id int PRIMARY KEY, taken_by text);
CREATE TABLE app.other (id serial, said text);
INSERT INTO app.seats VALUES (1, NULL), (2, NULL);
CREATE FUNCTION app.book(e jsonb) RETURNS jsonb LANGUAGE plpgsql AS $$
BEGIN
  PERFORM dataflows.post('create', 'crm', '/contacts', jsonb_build_object('email', e->>'email'),
    undo => 'DELETE /contacts/{id}');
  PERFORM dataflows.query('book', 'UPDATE app.seats SET taken_by = $1 WHERE id = 1 RETURNING id',
    jsonb_build_array(e->>'email'),
                          undo =>
                            'UPDATE app.seats SET taken_by = NULL WHERE id = 1 AND $1 IS NOT NULL');
  IF e ? 'fail' THEN RAISE EXCEPTION 'as told'; END IF;
  RETURN NULL;
END $$;
CREATE FUNCTION app.free(e jsonb) RETURNS jsonb LANGUAGE plpgsql AS $$
BEGIN RETURN dataflows.query('say', 'INSERT INTO app.other (said) VALUES ($1) RETURNING id',
  jsonb_build_array(e->>'said')); END $$;
CREATE FUNCTION app.slow(e jsonb) RETURNS jsonb LANGUAGE plpgsql AS $$ BEGIN
  RETURN dataflows.query('sleep', 'SELECT pg_sleep(600)'); END $$;
CREATE FUNCTION app.asks(e jsonb) RETURNS jsonb LANGUAGE plpgsql AS $$
BEGIN RETURN dataflows.post('ask', 'billing', '/customers', jsonb_build_object('email',
  e->>'email')); END $$;
SELECT dataflows.define_workflow('book', 'app.book'), dataflows.define_workflow('free', 'app.free'),
       dataflows.define_workflow('slow', 'app.slow'), dataflows.define_workflow('asks', 'app.asks');
SQL

# a session that has a lock; "close" ends its transaction
sub open_session
{
	my ($role, $sql) = @_;
	my ($in, $out, $err) = ("BEGIN;\n$sql;\n\\echo open\n", '', '');
	my $session = { in => \$in, err => \$err };

	$session->{run} = IPC::Run::start(
		[ 'psql', '-XqAt', '-v', 'ON_ERROR_STOP=1', '-U', $role, '-d', $node->connstr('postgres') ],
		'<', \$in, '>', \$out, '2>', \$err, IPC::Run::timeout(300));
	$session->{run}->pump until $out =~ /^open$/m || !$session->{run}->pumpable;
	like($out, qr/^open$/m, "open: $sql") or diag($err);
	return $session;
}

sub close_session
{
	my ($session) = @_;

	${ $session->{in} } .= "COMMIT;\n\\q\n";
	$session->{run}->finish;
	return;
}

sub start
{
	my ($workflow, $input) = @_;

	return as_app($node, 'postgres', "SELECT dataflows.start('$workflow', '$input')");
}

sub of_step
{
	my ($run, $step, $what) = @_;
	return $node->safe_psql('postgres',
		"SELECT $what FROM dataflows.steps WHERE run = '$run' AND step = '$step'");
}

my $WAITS = "SELECT count(*) = 1 FROM pg_stat_activity WHERE backend_type = 'dataflows sql worker'
		AND wait_event_type = 'Lock'";

# ---- a lock that is held longer than query_timeout ---------------------------------------

my $session = open_session('app', 'LOCK TABLE app.seats IN ACCESS EXCLUSIVE MODE');
my $run = start('book', '{"email": "one@example.com"}');

ok(wait_until($node, $WAITS, 60), 'a query step waits for a table that is locked');
let_pass(2.5);
is( $node->safe_psql('postgres', "SELECT state FROM dataflows.runs WHERE run = '$run'") =~
		/^(running|waiting)$/,
	1,
	'longer than query_timeout');
close_session($session);
becomes($node, $run, 'completed', 'and goes on when it has the lock');
is(of_step($run, 'book', 'attempts'), '1', 'at the first attempt');

# ---- longer than a sql worker waits -------------------------------------------------------

$session = open_session('app', 'LOCK TABLE app.seats IN ACCESS EXCLUSIVE MODE');
$run = start('book', '{"email": "two@example.com"}');
ok( wait_until(
		$node,
		"SELECT error->>'message' LIKE '%lock timeout%seats%' FROM dataflows.steps
			WHERE run = '$run' AND step = 'book'",
		90),
	'the step makes room after a while, and says what it waits for');
becomes($node, start('free', '{"said": "hello"}'),
	'completed', 'a step that needs no lock does not wait for it');
is(of_step($run, 'book', "state || ' ' || attempts"), 'pending 0', 'no attempt is used');
close_session($session);
becomes($node, $run, 'completed', 'it is carried out when the lock is gone');
is(of_step($run, 'book', 'error IS NULL'), 't', 'and has no error then');

# ---- a row, and the undo --------------------------------------------------------------------

$session = open_session('app', "UPDATE app.seats SET taken_by = 'me' WHERE id = 1");
$run = start('book', '{"email": "three@example.com"}');
ok( wait_until(
		$node,
		"SELECT error->>'message' LIKE '%while updating tuple % in relation \"seats\"'
			FROM dataflows.steps WHERE run = '$run' AND step = 'book'",
		90),
	'of a row PostgreSQL says which');
close_session($session);
becomes($node, $run, 'completed', 'it is carried out when the row is free');

$session = open_session('app', 'LOCK TABLE app.other IN ACCESS EXCLUSIVE MODE');
$run = start('book', '{"email": "four@example.com", "fail": true}');
close_session($session);
becomes($node, $run, 'rolled_back', 'a run is rolled back');
as_app(
	$node, 'postgres',
	"CREATE FUNCTION app.fails_later(e jsonb) RETURNS jsonb LANGUAGE plpgsql AS \$\$ BEGIN
  PERFORM dataflows.query('book', 'UPDATE app.seats SET taken_by = ''x'' WHERE id = 2 RETURNING id',
    undo => 'UPDATE app.seats SET taken_by = NULL WHERE id = 2 AND \$1 IS NOT NULL');
  PERFORM dataflows.wait_for('go'); RAISE EXCEPTION 'as told'; END \$\$;
	SELECT dataflows.define_workflow('fails_later', 'app.fails_later')"
);
$run = start('fails_later', '{}');
becomes($node, $run, 'waiting', 'a query step is done');
$session = open_session('app', 'LOCK TABLE app.seats IN ACCESS EXCLUSIVE MODE');
as_app($node, 'postgres', "SELECT dataflows.signal('$run', 'go')");
ok( wait_until(
		$node,
		"SELECT undo_error->>'message' LIKE '%lock timeout%seats%' FROM dataflows.step
			WHERE run = '$run' AND step = 'book'",
		90),
	'its undo waits for a lock');
close_session($session);
becomes($node, $run, 'rolled_back', 'and is carried out when that is gone');
is($node->safe_psql('postgres', 'SELECT taken_by IS NULL FROM app.seats WHERE id = 2'),
	't', 'it is undone');

# ---- what is slow by itself -------------------------------------------------------------------

$run = start('slow', '{}');
ok( wait_until(
		$node,
		"SELECT error->>'message' LIKE '%ran longer than dataflows.query_timeout%'
			FROM dataflows.runs WHERE run = '$run'",
		60),
	'a slow statement is too slow');
is( number_of(
		$node,
		"SELECT count(*) FROM dataflows.attempt a JOIN dataflows.run r USING (run)
			WHERE r.workflow <> 'slow'"
	),
	0,
	'no other attempt is on record');

# ---- answers that lay there while the worker was away -----------------------------------------

sub requests_to { return scalar @{ $systems->requests('billing') }; }

sub while_requests_are_out
{
	my ($name, $away, $back) = @_;
	my $before = requests_to();
	my $end = time() + 60;

	$systems->fault('billing', probability => 1, fault => 'latency', ms => 700);
	as_app(
		$node, 'postgres',
		"SELECT count(dataflows.start('asks', jsonb_build_object('email', '$name-' || i ||
			'\@example.com'))) FROM generate_series(1, 10) i"
	);
	let_pass(0.02) while (requests_to() < $before + 10 && time() < $end);
	my $token = $away->();
	$systems->clear_faults;
	# longer than the timeout of the system
	let_pass(5);
	$back->($token);
	ok( wait_until(
			$node,
			"SELECT bool_and(state = 'completed') FROM dataflows.runs WHERE workflow = 'asks'", 60),
		"$name: all runs complete");
	is( number_of(
			$node,
			"SELECT count(*) FROM dataflows.attempt a JOIN dataflows.run r USING (run)
				WHERE r.workflow = 'asks'"
		),
		0,
		"$name: no answer is taken for a timeout");
	is(requests_to(), $before + 10, "$name: nothing is sent twice");
	return;
}

while_requests_are_out(
	'tables locked',
	sub {
		return open_session('postgres',
			'LOCK TABLE dataflows.run, dataflows.step IN ACCESS EXCLUSIVE MODE');
	},
	sub { close_session($_[0]); });
while_requests_are_out(
	'worker stopped',
	sub {
		my $pid = $node->safe_psql('postgres',
			"SELECT pid FROM pg_stat_activity WHERE backend_type = 'dataflows worker'");

		kill_process('STOP', $pid);
		return $pid;
	},
	sub { kill_process('CONT', $_[0]); });

$node->stop;
done_testing();
