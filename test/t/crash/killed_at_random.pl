# Kills at random moments, under a load of runs with faults; then the books.
#
# DF_CRASH_ROUNDS  kills (default 200)
# DF_CRASH_SEED    of all randomness here and in the systems (default: by the clock)
# DF_CRASH_SECONDS no further kills after so long (default 170)

use strict;
use warnings;

use Test::More;
use Time::HiRes qw(time usleep);
use PostgreSQL::Test::Cluster;
use Dataflows;

my $rounds = $ENV{DF_CRASH_ROUNDS} || 200;
my $seconds = $ENV{DF_CRASH_SECONDS} || 170;
my $seed = $ENV{DF_CRASH_SEED} || time() % 1_000_000;
my $systems = start_systems(seed => $seed);
my $node = new_node('crash', conf => <<'CONF');
dataflows.sweep_interval = '1s'
log_min_messages = warning
max_connections = 20
shared_buffers = 16MB
CONF
my %kills;
my $missed = 0;

srand($seed);
diag("DF_CRASH_SEED=$seed, $rounds rounds");
create_systems($node, 'postgres', $systems);
as_app($node, 'postgres', <<'SQL');
CREATE TRIGGER onboard_many AFTER INSERT ON app.signups REFERENCING NEW TABLE AS new_rows
  FOR EACH STATEMENT
  EXECUTE FUNCTION dataflows.start_on_insert('customer-onboarding', 'id');
DROP TRIGGER onboard ON app.signups;
SQL

# ---- faults ------------------------------------------------------------------

# Refusals for good first (the first rule that matches decides), then the weather.
for my $name (Dataflows::Systems::names())
{
	$systems->fault(
		$name,
		match => { method => 'POST', email => "^refused-by-$name" },
		status => 422);
	$systems->fault($name, probability => 0.03, status => 503);
	$systems->fault($name, probability => 0.02, fault => 'lost');
	$systems->fault($name, probability => 0.02, fault => 'reset_before');
	$systems->fault($name, probability => 0.01, fault => 'truncated');
	$systems->fault($name, probability => 0.01, status => 500, effect => JSON::PP::true());
	$systems->fault($name, probability => 0.05, fault => 'latency', ms => 30);
}

# ---- load -----------------------------------------------------------------------

# Of twenty signups one is refused by each system, at random.
sub sign_up
{
	my ($round) = @_;
	my @names = Dataflows::Systems::names();
	my @values;

	for my $i (1 .. 20)
	{
		my $name = rand() < 0.2 ? 'refused-by-' . $names[ int(rand(4)) ] : 'ok';

		push @values, "('$name-$round-$i\@example.com', 'N')";
	}
	try_psql(
		$node, 'postgres',
		'INSERT INTO app.signups (email, name) VALUES ' . join(', ', @values),
		extra_params => [ '-U', 'app' ]);
	return;
}

# Signals for most of the late ones, cancellation for few.
sub confirm
{
	try_psql($node, 'postgres', <<'SQL', extra_params => [ '-U', 'app' ]);
SELECT CASE WHEN random() < 0.05 THEN dataflows.cancel(run, 'by the test')
            ELSE dataflows.signal(run, 'email-confirmed') END
FROM dataflows.runs
WHERE state IN ('waiting', 'running') AND started_at < now() - interval '300 ms' AND random() < 0.6
LIMIT 60
SQL
	return;
}

# ---- kills -------------------------------------------------------------------------

sub kill_something
{
	my $dice = rand();
	my $kind =
		  $dice < 0.45 ? 'worker'
		: $dice < 0.65 ? 'coordinator'
		: $dice < 0.75 ? 'launcher'
		:                'postmaster';

	if ($kind eq 'postmaster')
	{
		my $how = rand() < 0.5 ? 'kill' : 'immediate';

		$kills{"postmaster ($how)"}++;
		restart_hard($node, $how);
		return;
	}
	# the engine may just be coming back; then whatever of it is there
	my ($pid) = pids_of($node, $kind);

	for (my $try = 0; !$pid && $try < 20; $try++)
	{
		usleep(50_000);
		($pid) = pids_of($node, $try < 10 ? $kind : '');
	}
	$missed++ unless $pid;
	return unless $pid;
	# a third of them politely: SIGTERM ends one process and not the server
	my $signal = rand() < 0.33 ? 'TERM' : 'KILL';

	$kills{"$kind ($signal)"}++ if kill_process($signal, $pid);
	return;
}

my $begun = time();
my $round = 0;

while ($round < $rounds && time() - $begun < $seconds)
{
	$round++;
	sign_up($round);
	usleep(int(rand(250_000)));
	confirm() if $round % 2 == 0;
	kill_something();
	usleep(int(rand(100_000)));
}
note(join(', ', map { "$_: $kills{$_}" } sort keys %kills));
diag(
	sprintf(
		'%d rounds in %d s, %d without a process to kill: %s',
		$round, time() - $begun,
		$missed, join(', ', map { "$_ $kills{$_}" } sort keys %kills)));

# ---- and now let it finish ------------------------------------------------------------

ok(wait_until($node, 'SELECT true', 30), 'the server is up');
ok( wait_until(
		$node,
		"SELECT count(*) > 0 FROM pg_stat_activity
			WHERE backend_type LIKE 'dataflows%coordinator%'",
		60),
	'so is the engine');
$systems->clear_faults;
for my $name (Dataflows::Systems::names())
{
	$systems->fault(
		$name,
		match => { method => 'POST', email => "^refused-by-$name" },
		status => 422);
}
my $end = time() + 60;

while (time() < $end)
{
	retry_killed($node);
	try_psql(
		$node,
		'postgres',
		"SELECT dataflows.signal(run, 'email-confirmed') FROM dataflows.runs
			WHERE state = 'waiting'",
		extra_params => [ '-U', 'app' ]);
	usleep(300_000);
	last
		if number_of(
		$node,
		"SELECT count(*) FROM dataflows.runs WHERE state NOT IN ('completed', 'rolled_back',
			'cancelled')"
		) == 0;
}
ok(wait_for_runs($node, [ 'completed', 'rolled_back', 'cancelled' ], 60), 'every run has ended');

my @wrong = reconcile($node, $systems);

is(scalar(@wrong), 0, 'the books agree with every run')
	or diag(
	join("\n",
		"seed $seed",
		scalar(@wrong) . ' discrepancies',
		@wrong[ 0 .. ($#wrong < 30 ? $#wrong : 30) ]));
# what became of them is chance, and told only
note(
	$node->safe_psql(
		'postgres', 'SELECT state, count(*) FROM dataflows.runs GROUP BY 1 ORDER BY 1'));
is(number_of($node, 'SELECT count(*) FROM dataflows.pending_undo'),
	0, 'nothing is left for a person to undo');
is( number_of(
		$node,
		"SELECT count(*) FROM dataflows.steps WHERE state IN ('pending', 'sent', 'in_doubt')
			AND undo_state IS NULL"
	),
	0,
	'no step is left in between');
is( number_of(
		$node,
		"SELECT count(*) FROM dataflows.run WHERE lease IS NOT NULL OR (finished_at IS NOT NULL
			AND wake_at IS NOT NULL)"
	),
	0,
	'no run that has ended is leased or due');
my $resent = 0;

$resent += $systems->books($_)->{replays} for Dataflows::Systems::names();
note("requests in doubt that were sent again with their key: $resent");

$node->stop;
$systems->stop;
done_testing();
