# Kills at random moments while runs call runs; then the books of the systems,
# and the family: each child exactly once, none that outlives its parent.
#
# DF_CRASH_SEED     of all randomness here and in the systems (default: by the clock)
# DF_FAMILY_SECONDS no further kills after so long (default 12)

use strict;
use warnings;

use Test::More;
use Time::HiRes qw(time usleep);
use PostgreSQL::Test::Cluster;
use Dataflows;

my $seconds = $ENV{DF_FAMILY_SECONDS} || 12;
my $seed = $ENV{DF_CRASH_SEED} || time() % 1_000_000;
my $systems = start_systems(seed => $seed);
my $node = new_node('family', conf => <<'CONF');
dataflows.sweep_interval = '1s'
log_min_messages = warning
max_connections = 20
shared_buffers = 16MB
CONF
my %kills;

srand($seed);
diag("DF_CRASH_SEED=$seed");
create_systems($node, 'postgres', $systems, workflow => 0);

# Every run posts one record whose address is its own id, so that the books tell
# what each run has done.
as_app($node, 'postgres', <<'SQL');
CREATE FUNCTION app.leave_mark(system name) RETURNS void LANGUAGE plpgsql AS $$
BEGIN
  PERFORM dataflows.post('mark', system, CASE system WHEN 'identity' THEN '/users' WHEN 'billing'
    THEN '/customers' ELSE '/contacts' END,
    jsonb_build_object('email', dataflows.run_id()), undo => CASE system WHEN 'identity'
      THEN 'DELETE /users/{id}'
      WHEN 'billing' THEN 'DELETE /customers/{id}' ELSE 'DELETE /contacts/{id}' END);
END $$;
CREATE FUNCTION app.account(e jsonb) RETURNS jsonb LANGUAGE plpgsql AS $$
BEGIN
  PERFORM app.leave_mark('identity');
  IF e->>'fails' = 'account' THEN RAISE EXCEPTION 'refused'; END IF;
  RETURN to_jsonb(dataflows.run_id());
END $$;
CREATE FUNCTION app.bill(e jsonb) RETURNS jsonb LANGUAGE plpgsql AS $$
BEGIN
  PERFORM dataflows.call('deep', 'account', e, wait => false);
  PERFORM app.leave_mark('billing');
  IF e->>'fails' = 'bill' THEN RAISE EXCEPTION 'refused'; END IF;
  RETURN dataflows.wait_all('deep');
END $$;
CREATE FUNCTION app.order(e jsonb) RETURNS jsonb LANGUAGE plpgsql AS $$
BEGIN
  PERFORM dataflows.call('account', 'account', e, key => e->>'account');
  PERFORM dataflows.call('bill:1', 'bill', e, wait => false);
  PERFORM dataflows.call('bill:2', 'bill', '{}', wait => false);
  PERFORM app.leave_mark('crm');
  PERFORM dataflows.wait_all('bill:1', 'bill:2');
  IF e->>'fails' = 'order' THEN RAISE EXCEPTION 'refused'; END IF;
  RETURN '{}';
END $$;
SELECT dataflows.define_workflow('account', 'app.account');
SELECT dataflows.define_workflow('bill', 'app.bill');
SELECT dataflows.define_workflow('order', 'app.order');
SQL
my %system_of = (account => 'identity', bill => 'billing', order => 'crm');

for my $name (values %system_of)
{
	$systems->fault($name, probability => 0.03, status => 503);
	$systems->fault($name, probability => 0.02, fault => 'lost');
	$systems->fault($name, probability => 0.02, fault => 'reset_before');
	$systems->fault($name, probability => 0.10, fault => 'latency', ms => 30);
}

# ---- load: orders with keys of their own or shared ones, some that fail, some cancelled, some
# undone later

sub as_user
{
	my ($sql) = @_;

	try_psql($node, 'postgres', $sql, extra_params => [ '-U', 'app' ]);
	return;
}

sub order
{
	my ($round) = @_;

	as_user(<<"SQL");
SELECT dataflows.start('order', jsonb_build_object('account', CASE WHEN i % 3 = 0
  THEN 'shared-$round' ELSE 'own-$round-' || i END,
    'fails', (ARRAY['account', 'bill', 'order', 'none', 'none', 'none', 'none', 'none'])[1 +
      floor(random() * 8)::int]), '$round-' || i)
FROM generate_series(1, 12) i
SQL
	return;
}

sub meddle
{
	as_user(<<'SQL');
SELECT dataflows.cancel(run, 'by the test') FROM dataflows.runs WHERE workflow = 'order'
  AND finished_at IS NULL AND random() < 0.05;
SELECT dataflows.undo(run, 'by the test') FROM dataflows.runs WHERE workflow = 'order'
  AND state = 'completed' AND random() < 0.02;
SQL
	return;
}

sub kill_something
{
	my $dice = rand();
	my $kind = $dice < 0.7 ? 'worker' : $dice < 0.85 ? 'coordinator' : 'postmaster';
	my ($pid) = $kind eq 'postmaster' ? () : pids_of($node, $kind);

	if ($kind eq 'postmaster')
	{
		restart_hard($node, 'kill');
		$kills{$kind}++;
	}
	elsif ($pid)
	{
		$kills{$kind}++ if kill_process(rand() < 0.3 ? 'TERM' : 'KILL', $pid);
	}
	return;
}

my $begun = time();
my $round = 0;

while (time() - $begun < $seconds)
{
	$round++;
	order($round);
	usleep(int(rand(300_000)));
	meddle();
	kill_something();
}
diag(sprintf('%d rounds: %s', $round, join(', ', map { "$_ $kills{$_}" } sort keys %kills)));

# ---- and now let it finish

ok(wait_until($node, 'SELECT true', 30), 'the server is up');
$systems->clear_faults;
ok(wait_for_runs($node, [ 'completed', 'rolled_back', 'cancelled', 'stuck' ], 60),
	'every run has ended, or is taken to have crashed the server');
retry_killed($node);
# who was attached to another parent's child is stuck if that was rolled back, and calls its own
$node->safe_psql('postgres', <<'SQL');
SELECT count(dataflows.retry(run, 'the other parent was rolled back')) FROM dataflows.stuck
 WHERE sqlstate = 'DF001' AND reason ~ 'ended cancelled'
SQL
ok(wait_for_runs($node, [ 'completed', 'rolled_back', 'cancelled' ], 60), 'every run has ended');
ok(wait_until($node, "SELECT count(*) = 0 FROM dataflows.inbox WHERE state = 'new'"),
	'and all has been said');

my %books = map { $_ => $systems->summary($_) } values %system_of;
my (@wrong, %known);

for my $row (
	split /\n/,
	$node->safe_psql(
		'postgres', "SELECT run || ' ' || workflow || ' ' || state FROM dataflows.runs"))
{
	my ($run, $workflow, $state) = split / /, $row;
	my ($ever, $live) = @{ $books{ $system_of{$workflow} }{$run} // [ 0, 0 ] };

	$known{$run} = 1;
	push @wrong, "$workflow $run ($state): $live live of $ever"
		if $state eq 'completed' ? ($ever != 1 || $live != 1) : ($ever > 1 || $live != 0);
}
for my $name (sort keys %books)
{
	push @wrong,
		map { "$name: $_ belongs to no run" } grep { !$known{$_} } sort keys %{ $books{$name} };
}
is(scalar(@wrong), 0, 'the books agree with every run')
	or diag(join("\n", "seed $seed", @wrong[ 0 .. ($#wrong < 20 ? $#wrong : 20) ]));

sub none
{
	my ($sql, $what) = @_;

	is($node->safe_psql('postgres', $sql), '', $what);
	return;
}

none(
	'SELECT parent, parent_n, count(*) FROM dataflows.run WHERE parent IS NOT NULL GROUP BY 1, 2
		HAVING count(*) > 1',
	'no step has two children');
none(
	"SELECT s.run, s.step FROM dataflows.steps s WHERE s.kind = 'call' AND s.child IS NOT NULL
		AND NOT EXISTS (SELECT FROM dataflows.run r WHERE r.run = s.child)",
	'no child is missing');
none(
	"SELECT c.run FROM dataflows.run c WHERE c.parent IS NOT NULL
		AND NOT EXISTS (SELECT FROM dataflows.steps s WHERE s.run = c.parent AND s.n = c.parent_n
		AND s.child = c.run)",
	'no child is unknown to its parent');
none(
	"SELECT c.run, c.state, p.state FROM dataflows.run c JOIN dataflows.run p ON p.run = c.parent
		WHERE p.state IN ('rolled_back', 'cancelled') AND c.state = 'completed'",
	'no child is left of a parent that was undone');
none(
	"SELECT c.run, c.state, p.finished_at, c.finished_at FROM dataflows.run c
		JOIN dataflows.run p ON p.run = c.parent WHERE c.finished_at > p.finished_at",
	'no child ended after its parent');
none('SELECT * FROM dataflows.unexplained', 'nothing is unexplained');
none('SELECT * FROM dataflows.pending_undo', 'nothing is left for a person');
# what became of them is chance, and told only
note(
	$node->safe_psql(
		'postgres',
		"SELECT state, count(*) FROM dataflows.runs WHERE parent IS NOT NULL GROUP BY 1"));
note(
	'attached calls: '
		. number_of(
		$node,
		"SELECT count(*) FROM dataflows.step WHERE kind = 'call' AND answer->>'attached' = 'true'")
);

$node->stop;
$systems->stop;
done_testing();
