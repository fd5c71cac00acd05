# The postmaster is killed: whatever a process of the engine is doing, it ends
# by itself and at once, sends nothing more, and does not keep the server from
# being started again.

use strict;
use warnings;

use Test::More;
use Time::HiRes qw(time usleep);
use PostgreSQL::Test::Cluster;
use PostgreSQL::Test::Utils;
use Dataflows;

# a second is what is promised; what does not look by itself goes on for minutes
my $deadline = 10;
my $systems = start_systems();
my $port = PostgreSQL::Test::Cluster::get_free_port();
my $node = new_node('orphan', conf => <<"CONF");
dataflows.sweep_interval = '1s'
dataflows.body_timeout = '10min'
dataflows.handler_timeout = '10min'
dataflows.query_timeout = '10min'
dataflows.ingress_role = 'hears'
dataflows.listen = '127.0.0.1:$port'
restart_after_crash = off
wal_level = replica
max_wal_senders = 4
shared_buffers = 16MB
CONF

$node->safe_psql('postgres', 'CREATE ROLE hears LOGIN');
create_systems($node, 'postgres', $systems, options => { timeout => '10min' });
as_app($node, 'postgres', <<'SQL');
CREATE TABLE app.trouble (is_on boolean);
INSERT INTO app.trouble VALUES (true);
CREATE TABLE app.locked (id int);
CREATE FUNCTION app.goes_on() RETURNS int LANGUAGE plpgsql AS $$
BEGIN
  IF (SELECT is_on FROM app.trouble) THEN
    LOOP
      BEGIN LOOP PERFORM 1; END LOOP; EXCEPTION WHEN query_canceled THEN NULL; END;
    END LOOP;
  END IF;
  RETURN 1;
END $$;
CREATE FUNCTION app.sleeps() RETURNS int LANGUAGE plpgsql AS $$
BEGIN
  IF (SELECT is_on FROM app.trouble) THEN PERFORM pg_sleep(3600); END IF;
  RETURN 1;
END $$;
CREATE FUNCTION app.does(event jsonb) RETURNS jsonb LANGUAGE plpgsql AS $$
BEGIN
  CASE event->>'what'
    WHEN 'sleeps' THEN PERFORM app.sleeps();
    WHEN 'goes on' THEN PERFORM app.goes_on();
    WHEN 'query sleeps' THEN PERFORM dataflows.query('q', 'SELECT app.sleeps()');
    WHEN 'query goes on' THEN PERFORM dataflows.query('q', 'SELECT app.goes_on()');
    WHEN 'query is locked' THEN PERFORM dataflows.query('q', 'SELECT count(*) FROM app.locked');
    WHEN 'post' THEN PERFORM dataflows.post('post', 'identity', '/users', '{"email": "post@x"}');
  END CASE;
  RETURN NULL;
END $$;
CREATE FUNCTION app.handler(headers jsonb, body jsonb) RETURNS jsonb LANGUAGE plpgsql AS $$
BEGIN
  PERFORM app.goes_on();
  RETURN NULL;
END $$;
SELECT dataflows.define_workflow('does', 'app.does');
SELECT dataflows.create_webhook('/one', starts => 'does', handler => 'app.handler');
SQL

my $python = 0;

SKIP:
{
	my ($rc) = $node->psql('postgres', 'CREATE EXTENSION plpython3u');

	skip 'plpython3u is not installed', 0 if $rc != 0;
	$python = 1;
	$node->safe_psql('postgres', <<'SQL');
CREATE FUNCTION app.python(event jsonb) RETURNS jsonb LANGUAGE plpython3u AS $$
if plpy.execute('SELECT is_on FROM app.trouble')[0]['is_on']:
    while True:
        pass
return '1'
$$;
ALTER FUNCTION app.python OWNER TO app;
SQL
	as_app($node, 'postgres', "SELECT dataflows.define_workflow('python', 'app.python')");
}

sub start
{
	my ($what, $workflow) = @_;

	$workflow //= 'does';
	$systems->fault('identity', match => { method => 'POST' }, fault => 'hang') if $what eq 'post';
	as_app($node, 'postgres',
		"SELECT dataflows.start('$workflow', '{\"what\": \"$what\"}', gen_random_uuid()::text)");
	return;
}

my $socket;
my $in_body = process_waits_for('worker', 'the body of a run');

# what it does, how it comes about, how it is seen
my @cases = (
	[ 'a body sleeps', sub { start('sleeps') }, $in_body ],
	[ 'a body loops and catches cancels', sub { start('goes on') }, $in_body ],
	[ 'a body loops in Python', sub { start('python', 'python') }, $in_body, !$python ],
	[
		'a system does not answer',
		sub { start('post') },
		"SELECT count(*) > 0 FROM dataflows.status() WHERE process = 'worker' AND in_flight > 0"
	],
	[
		'the SQL of a step sleeps',
		sub { start('query sleeps') },
		has_wait_event('sql worker', 'wait_event', 'PgSleep')
	],
	[
		'the SQL of a step loops',
		sub { start('query goes on') },
		process_waits_for('sql worker', 'the body of a run')
	],
	[
		'the SQL of a step waits for a lock',
		sub { lock_for_good($node, 'app.locked'); start('query is locked') },
		has_wait_event('sql worker', 'wait_event_type', 'Lock')
	],
	[
		'a handler loops',
		sub { $socket = deliver_unheard($port, '/one') },
		process_waits_for('ingress', 'the handler of a webhook')
	],
	[
		'a commit waits for a standby',
		sub {
			start('sleeps');
			wait_until($node, $in_body, 30);
			$node->safe_psql('postgres', "ALTER SYSTEM SET synchronous_standby_names = 'nowhere'");
			$node->reload;
			$node->safe_psql('postgres',
				'SET synchronous_commit = local; UPDATE app.trouble SET is_on = false');
			$node->safe_psql(
				'postgres',
				"SELECT pg_cancel_backend(pid) FROM pg_stat_activity
					WHERE backend_type = 'dataflows worker'"
			);
		},
		has_wait_event('worker', 'wait_event', 'SyncRep')
	],
	[
		'our own tables are locked',
		sub { lock_for_good($node, 'dataflows.installation') },
		has_wait_event('coordinator', 'wait_event_type', 'Lock')
	],);

for my $case (@cases)
{
	my ($name, $begin, $seen, $skipped) = @$case;

	next if $skipped;
	$node->safe_psql('postgres', 'UPDATE app.trouble SET is_on = true');
	$begin->();
	ok(wait_until($node, $seen, 30), $name);
	$node->safe_psql('postgres',
		'SET synchronous_commit = local; UPDATE app.trouble SET is_on = false')
		if $name !~ /our own/;
	my $took = kill_postmaster($node);
	cmp_ok($took, '<', $deadline, sprintf('all processes end with the postmaster (%.2f s)', $took));
	$systems->clear_faults('identity');

	if ($name =~ /standby/)
	{
		unlink $node->data_dir . '/postgresql.auto.conf';
		append_to_file($node->data_dir . '/postgresql.auto.conf', '');
	}
	ok($node->start(fail_ok => 1), 'and it can be started again');
	end_lock($node) if $name =~ /lock/;
	ok(wait_for_runs($node, ['completed'], 60), 'the run goes on, and completes');
}
is($systems->ever('post@x'), '1/0/0/0', 'what was on the wire has had one effect');

# ---- under load -------------------------------------------------------------------------

for my $name (Dataflows::Systems::names())
{
	$systems->fault($name, probability => 0.1, fault => 'latency', ms => 50);
}
my $confirm = "SELECT count(dataflows.signal(run, 'email-confirmed')) FROM dataflows.runs
		WHERE state IN ('running', 'waiting') AND workflow <> 'does'";

for my $round (1, 2)
{
	as_app(
		$node, 'postgres',
		"INSERT INTO app.signups (email, name) SELECT 'load-$round-' || i || '\@x', 'N'
			FROM generate_series(1, 400) i"
	);
	ok( wait_until(
			$node,
			"SELECT count(*) > 50 FROM dataflows.steps WHERE state = 'done'
				AND step = 'create-account' AND run IN (SELECT run FROM dataflows.runs
				WHERE input->>'email' LIKE 'load-$round-%')",
			60),
		"round $round: the engine is busy");
	my $took = kill_postmaster($node);

	cmp_ok($took, '<', $deadline, sprintf('all processes end with the postmaster (%.2f s)', $took));
	# what libcurl had taken may still have come in; no more after this
	my $sent = scalar(@{ $systems->requests('identity') });

	let_pass(1);
	is(scalar(@{ $systems->requests('identity') }), $sent, 'and nothing is sent after them');
	ok($node->start(fail_ok => 1), 'it can be started again');
	as_app($node, 'postgres', $confirm);
}
my $end = time() + 120;

while (
	time() < $end
	&& number_of($node,
		"SELECT count(*) FROM dataflows.runs WHERE state NOT IN ('completed', 'rolled_back')") > 0)
{
	try_psql($node, 'postgres', $confirm, extra_params => [ '-U', 'app' ]);
	usleep(300_000);
}
ok(wait_for_runs($node, ['completed'], 10), 'every run is completed');
my @wrong = grep { !/post\@x/ } reconcile($node, $systems);

is(scalar(@wrong), 0, 'and the books agree')
	or diag(join("\n", @wrong[ 0 .. ($#wrong < 20 ? $#wrong : 20) ]));
unlike(
	slurp_file($node->logfile),
	qr/shared memory block .* still in use/,
	'no start was held up by an old process');

$node->stop;
$systems->stop;
done_testing();
