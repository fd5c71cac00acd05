# Stopping: whatever a process of the engine waits for, pg_terminate_backend()
# ends it and a fast shutdown ends the server, and no run is the worse for it.

use strict;
use warnings;

use Test::More;
use Time::HiRes qw(time usleep);
use PostgreSQL::Test::Cluster;
use Dataflows;

# Two seconds and the answers are what is promised; a busy machine may take its
# time, but what does not end by itself does not end in this one either.
my $deadline = 20;
my $systems = start_systems();
my $port = PostgreSQL::Test::Cluster::get_free_port();
my $node = new_node('stop', conf => <<"CONF");
dataflows.sweep_interval = '1s'
dataflows.body_timeout = '10min'
dataflows.query_timeout = '20min'
dataflows.handler_timeout = '10min'
dataflows.worker_idle = '10min'
dataflows.ingress_role = 'hears'
dataflows.listen = '127.0.0.1:$port'
CONF

$node->safe_psql('postgres', 'CREATE ROLE hears LOGIN');
create_systems($node, 'postgres', $systems, options => { timeout => '10min' });
as_app($node, 'postgres', <<'SQL');
CREATE TABLE app.trouble (is_on boolean);
INSERT INTO app.trouble VALUES (true);
CREATE FUNCTION app.goes_on() RETURNS int LANGUAGE plpgsql AS $$
BEGIN
  WHILE (SELECT is_on FROM app.trouble) LOOP
    BEGIN PERFORM pg_sleep(3600); EXCEPTION WHEN query_canceled THEN NULL; END;
  END LOOP;
  RETURN 1;
END $$;
CREATE FUNCTION app.sleeps() RETURNS int LANGUAGE plpgsql AS $$
BEGIN
  IF (SELECT is_on FROM app.trouble) THEN PERFORM pg_sleep(3600); END IF;
  RETURN 1;
END $$;
CREATE FUNCTION app.loops() RETURNS int LANGUAGE plpgsql AS $$
BEGIN
  WHILE (SELECT is_on FROM app.trouble) LOOP
    BEGIN LOOP PERFORM 1; END LOOP; EXCEPTION WHEN query_canceled THEN NULL; END;
  END LOOP;
  RETURN 1;
END $$;
CREATE FUNCTION app.does(event jsonb) RETURNS jsonb LANGUAGE plpgsql AS $$
BEGIN
  CASE event->>'what'
    WHEN 'post' THEN PERFORM dataflows.post('post', 'identity', '/users', '{"email": "post@x"}');
    WHEN 'sleep' THEN PERFORM app.sleeps();
    WHEN 'goes on' THEN PERFORM app.goes_on();
    WHEN 'loops' THEN PERFORM app.loops();
    WHEN 'query sleeps' THEN PERFORM dataflows.query('q', 'SELECT app.sleeps()');
    WHEN 'query goes on' THEN PERFORM dataflows.query('q', 'SELECT app.goes_on()');
    WHEN 'query is locked' THEN PERFORM dataflows.query('q', 'SELECT count(*) FROM app.locked');
  END CASE;
  RETURN NULL;
END $$;
CREATE FUNCTION app.handler(headers jsonb, body jsonb) RETURNS jsonb LANGUAGE plpgsql AS $$
BEGIN
  PERFORM app.goes_on();
END $$;
CREATE TABLE app.locked (id int);
SELECT dataflows.define_workflow('does', 'app.does');
SELECT dataflows.create_webhook('/one', starts => 'does', handler => 'app.handler');
SELECT dataflows.create_webhook('/two', starts => 'does', handler => 'app.handler');
SQL

my @paths = ('/one', '/two');

sub start
{
	my ($what) = @_;

	$systems->fault('identity', match => { method => 'POST' }, fault => 'hang') if $what eq 'post';
	as_app(
		$node, 'postgres',
		"UPDATE app.trouble SET is_on = true;
			SELECT dataflows.start('does', '{\"what\": \"$what\"}', '$what')"
	);
	return;
}

# what holds a body or the SQL of a step up is gone when it is entered the next time
sub end_trouble
{
	as_app($node, 'postgres', 'UPDATE app.trouble SET is_on = false');
	$systems->clear_faults('identity');
	return;
}

sub stops
{
	my $begun = time();
	my $done;

	local $ENV{PGCTLTIMEOUT} = $deadline;
	$done = $node->stop('fast', fail_ok => 1);
	diag(sprintf('it took %.1f s', time() - $begun)) if time() - $begun > 5;
	$node->stop('immediate') if !$done;
	return $done;
}

# a delivery, whose answer nobody waits for
sub deliver
{
	as_app($node, 'postgres', 'UPDATE app.trouble SET is_on = true');
	return deliver_unheard($port, shift @paths);
}

my $waiting = "FROM pg_stat_activity WHERE backend_type = 'dataflows %s'";
my $in_body = process_waits_for('worker', 'the body of a run');
my $on_wire =
	"SELECT count(*) > 0 FROM dataflows.status() WHERE process = 'worker' AND in_flight > 0";
my $in_sql = has_wait_event('sql worker', 'wait_event', 'PgSleep');
my $in_handler = process_waits_for('ingress', 'the handler of a webhook');

sub at_lock
{
	my ($process) = @_;

	return has_wait_event($process, 'wait_event_type', 'Lock');
}

# name, process, what brings it about, how it is seen
my @cases = (
	[ 'a body sleeps', 'worker', sub { start('sleep') }, $in_body ],
	[ 'a body catches cancels', 'worker', sub { start('goes on') }, $in_body ],
	[ 'a body loops and catches cancels', 'worker', sub { start('loops') }, $in_body ],
	[ 'a system does not answer', 'worker', sub { start('post') }, $on_wire ],
	[ 'the SQL of a step sleeps', 'sql worker', sub { start('query sleeps') }, $in_sql ],
	[ 'the SQL of a step catches cancels', 'sql worker', sub { start('query goes on') }, $in_sql ],
	[
		'the SQL of a step waits for a lock',
		'sql worker', sub { lock_for_good($node, 'app.locked'); start('query is locked') },
		at_lock('sql worker')
	],
	[ 'a handler catches cancels', 'ingress', sub { our $kept = deliver() }, $in_handler ],
	[
		'it sleeps', 'coordinator', sub { },
		"SELECT count(*) = 1 $waiting AND wait_event IS NOT NULL"
	],
	[ 'it sleeps', 'launcher', sub { }, "SELECT count(*) = 1 $waiting" ],);

sub ended
{
	my ($pid) = @_;
	my $begun = time();

	usleep(20_000) while (is_there($pid) && time() - $begun < $deadline);
	diag(sprintf('it took %.1f s', time() - $begun)) if time() - $begun > 5;
	return !is_there($pid);
}

for my $case (@cases)
{
	my ($name, $kind, $begin, $seen) = @$case;
	my ($pid, $begun, $stopped);

	$seen = sprintf($seen, $kind) if $seen =~ /%s/;
	$begin->();
	ok(wait_until($node, $seen, 20), "$kind: $name");
	$pid = $node->safe_psql('postgres', sprintf("SELECT max(pid) $waiting", $kind));
	# what a person does who sees that nothing comes of a cancel
	$node->safe_psql('postgres', "SELECT pg_cancel_backend($pid), pg_terminate_backend($pid)");
	ok(ended($pid), 'pg_terminate_backend() ends it');

	$begin->() if $kind eq 'ingress';
	ok(wait_until($node, $seen, 20), 'so it is again');
	end_trouble();
	ok(stops(), 'a fast shutdown ends the server');
	$node->start;
	end_lock($node) if $name =~ /lock/;
	ok(wait_for_runs($node, ['completed'], 20), 'and the run goes on, and completes');
}
is($systems->ever('post@x'), '1/0/0/0', 'what was on the wire has had one effect');
is($node->safe_psql('postgres', 'SELECT count(*) FROM dataflows.run WHERE entries > 0'),
	'0', 'no body counts as one that crashed its worker');

# ---- nobody is woken by what watches those who are busy ------------------------------------

sub wakes
{
	my ($pid) = @_;

	return PostgreSQL::Test::Utils::slurp_file("/proc/$pid/status") =~
		/^voluntary_ctxt_switches:\s+(\d+)/m ? $1 : 0;
}
# a sweep is a reason to wake
$node->safe_psql('postgres', "ALTER SYSTEM SET dataflows.sweep_interval = '10min'");
$node->reload;
$node->safe_psql(
	'postgres',
	"SELECT dataflows.start('does', '{\"what\": \"sleep\"}', 'idle')",
	extra_params => [ '-U', 'app' ]);
ok(wait_for_runs($node, ['completed'], 30), 'a run has ended');
for my $kind ('worker', 'launcher')
{
	my $pid = $node->safe_psql('postgres', sprintf("SELECT max(pid) $waiting", $kind));
	my ($at, $end) = (-1, time() + 20);

	# until it has slept for a second
	for (my $slept = 0; $slept < 20 && time() < $end; $slept = wakes($pid) == $at ? $slept + 1 : 0)
	{
		$at = wakes($pid);
		usleep(50_000);
	}
	cmp_ok(time(), '<', $end, "$kind: with nothing to do it sleeps");
}
$node->safe_psql('postgres', 'ALTER SYSTEM RESET dataflows.sweep_interval');
$node->reload;

# ---- the engine's own statements wait for a lock -----------------------------------------

lock_for_good($node, 'dataflows.installation, dataflows.run, dataflows.inbox');
ok(wait_until($node, at_lock('coordinator'), 60), 'coordinator: our tables are locked');
ok(stops(), 'a fast shutdown ends the server');
$node->start;
end_lock($node);
as_app($node, 'postgres', "INSERT INTO app.signups (email, name) VALUES ('after\@x', 'A')");
ok(wait_until($node, "SELECT state = 'waiting' FROM dataflows.runs WHERE workflow <> 'does'"),
	'and the engine comes back to work');

$node->stop;
$systems->stop;
done_testing();
