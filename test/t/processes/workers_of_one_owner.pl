# Several workers of one owner lose no signal and run no run twice.

use strict;
use warnings;

use Test::More;
use PostgreSQL::Test::Cluster;
use PostgreSQL::Test::Utils;
use Dataflows;

my ($clients, $rounds) = (6, 400);
my $count = $clients * $rounds;
my $systems = start_systems();

# no sweep comes to the rescue of a signal that was put aside
my $node =
	new_node('workers', conf => "dataflows.workers_per_owner = 3\ndataflows.sweep_interval = '1h'");

create_systems($node, 'postgres', $systems);
as_app($node, 'postgres', <<'SQL');
CREATE FUNCTION app.waiter(event jsonb) RETURNS jsonb LANGUAGE plpgsql AS $$
BEGIN
  PERFORM dataflows.wait_for('first', timeout => '1 day');
  PERFORM dataflows.wait_for('second', timeout => '1 day');
  RETURN NULL;
END $$;
SELECT dataflows.define_workflow('waiter', 'app.waiter');
SQL

my $script = PostgreSQL::Test::Utils::tempdir() . '/signals.sql';

append_to_file($script, <<'SQL');
\set k random(1, 1000000000)
SELECT dataflows.start('waiter', '{}', :client_id || '-' || :k);
SELECT dataflows.signal_by_key('waiter', :client_id || '-' || :k, 'first');
SELECT dataflows.signal_by_key('waiter', :client_id || '-' || :k, 'second');
SQL
$node->command_ok(
	[
		'pgbench', '-n', '-c', $clients, '-t', $rounds,
		'-f', $script, '-U', 'app', '-h', $node->host,
		'-p', $node->port, 'postgres'
	],
	"$count runs are started and signalled at once");
ok( wait_until(
		$node,
		"SELECT count(*) FILTER (WHERE state = 'completed') = count(*) AND count(*) > $count * 0.99
			FROM dataflows.runs",
		60),
	'all of them end');
is(number_of($node, "SELECT count(*) FROM dataflows.inbox WHERE state <> 'done'"),
	0, 'every signal was consumed');
cmp_ok(
	number_of(
		$node, "SELECT count(*) FROM pg_stat_activity WHERE backend_type = 'dataflows worker'"),
	'>', 1,
	'by more than one worker');

# ---- one event again and again -------------------------------------------------------------------

as_app($node, 'postgres', <<'SQL');
CREATE FUNCTION app.again(event jsonb) RETURNS jsonb LANGUAGE plpgsql AS $$
BEGIN
  FOR i IN 1..40 LOOP
    PERFORM dataflows.wait_for('again', timeout => '1 day');
  END LOOP;
  RETURN NULL;
END $$;
SELECT dataflows.define_workflow('again', 'app.again');
SELECT count(dataflows.start('again', '{}', key => i::text)) FROM generate_series(1, 8) i;
SQL
my $again = PostgreSQL::Test::Utils::tempdir() . '/again.sql';

append_to_file($again, <<'SQL');
\set k random(1, 8)
SELECT dataflows.signal_by_key('again', :k::text, 'again');
SQL
$node->command_ok(
	[
		'pgbench', '-n', '-c', 8, '-t', 400,
		'-f', $again, '-U', 'app', '-h', $node->host,
		'-p', $node->port, 'postgres'
	],
	'one event comes again and again');
ok(
	wait_until(
		$node, "SELECT bool_and(state = 'completed') FROM dataflows.runs WHERE workflow = 'again'",
		60),
	'each run waits for it forty times');
unlike(slurp_file($node->logfile), qr/ERROR/, 'no message is read for two runs');

# the same with requests in flight: the books tell of doubles
as_app(
	$node, 'postgres',
	"INSERT INTO app.signups (email, name) SELECT 'm' || i || '\@example.com', 'N'
		FROM generate_series(1, 1000) i"
);
as_app(
	$node, 'postgres',
	"SELECT dataflows.signal_by_key('customer-onboarding', id::text, 'email-confirmed')
		FROM app.signups"
);
ok(wait_for_runs($node, ['completed'], 90), 'a thousand onboardings are completed');

my @wrong = reconcile($node, $systems);

is(scalar(@wrong), 0, 'the books agree with the runs')
	or diag(join("\n", @wrong[ 0 .. ($#wrong < 20 ? $#wrong : 20) ]));

# a worker ends alone, with a run on the wire that a signal had brought it
as_app($node, 'postgres',
	"INSERT INTO app.signups (email, name) VALUES ('alone\@example.com', 'N')");
ok(wait_until($node, "SELECT count(*) = 1 FROM dataflows.runs WHERE state = 'waiting'"),
	'one more waits for days');
$systems->fault('email', match => { method => 'POST' }, fault => 'latency', ms => 4000, times => 1);
as_app(
	$node, 'postgres',
	"SELECT dataflows.signal_by_key('customer-onboarding', max(id)::text, 'email-confirmed')
		FROM app.signups"
);
ok( wait_until(
		$node,
		"SELECT count(*) = 1 FROM dataflows.steps WHERE step = 'send-welcome' AND state = 'sent'"),
	'its mail is on the wire');
$node->safe_psql('postgres',
	"SELECT pg_terminate_backend(pid) FROM pg_stat_activity WHERE backend_type = 'dataflows worker'"
);
ok(wait_for_runs($node, ['completed'], 30), 'another worker takes it over');
is($systems->ever('alone@example.com'), '1/1/1/1', 'each record once');

$node->stop;
$systems->stop;
done_testing();
