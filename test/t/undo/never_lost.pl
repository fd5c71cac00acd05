# No undo is lost: sagas of random shape meet random faults, cancels and kills, and what the
# systems have afterwards is what the runs say.
#
# Shapes, faults and the order of what happens follow from the seed (SEED=...); when it happens
# does not, and what is asserted holds whenever it does.

use strict;
use warnings;

use Test::More;
use Time::HiRes qw(usleep);
use PostgreSQL::Test::Cluster;
use Dataflows;

my $seed = $ENV{SEED} // 20261127;
my $runs = 60;

srand($seed);
diag("SEED=$seed");

my $systems = start_systems(seed => $seed);
my $node = new_node('never_lost', conf => "dataflows.sweep_interval = '3s'");
my %things = (billing => '/customers', crm => '/contacts');

create_systems($node, 'postgres', $systems, workflow => 0, untrusted => 1,
	options => { settle => '300ms', timeout => '700ms', retry_max => '200ms' });
$node->safe_psql('postgres',
	q{ALTER SERVER billing OPTIONS (ADD idempotency_header 'Idempotency-Key')});
$systems->config('crm', idempotency => JSON::PP::false(), location => $systems->url('crm'),
	upsert => JSON::PP::true());
as_app($node, 'postgres', <<'SQL');
CREATE FUNCTION app.saga(event jsonb) RETURNS jsonb LANGUAGE plpgsql AS $$
DECLARE
  action jsonb;
  system text;
  things text;
  undo text;
  name text;
  later text[] := '{}';
BEGIN
  FOR action IN SELECT * FROM jsonb_array_elements(event->'plan') LOOP
    name := action->>'name';
    system := action->>'system';
    things := CASE system WHEN 'crm' THEN '/contacts' ELSE '/customers' END;
    undo := 'DELETE ' || CASE system WHEN 'crm' THEN '{response.headers.location|path}'
      ELSE '/customers/{id}' END;
    CASE action->>'do'
      WHEN 'post' THEN
        IF (action->>'before')::boolean THEN
          PERFORM dataflows.on_rollback('undo-' || name, system, undo, of_step => name);
          undo := 'none';
        END IF;
        PERFORM dataflows.post(name, system, things,
          jsonb_build_object('email', event->>'email', 'run', dataflows.run_id()),
          undo => undo, wait => (action->>'wait')::boolean, doubt => action->>'doubt');
        IF NOT (action->>'wait')::boolean THEN
          later := later || name;
        END IF;
      WHEN 'put' THEN
        undo := format('{"request": "DELETE /contacts/%s", "if": "$status == 201"}',
          action->>'id');
        IF (action->>'before')::boolean THEN
          PERFORM dataflows.on_rollback('undo-' || name, 'crm', undo, of_step => name);
          undo := 'none';
        END IF;
        PERFORM dataflows.put(name, 'crm', '/contacts/' || (action->>'id'), event, undo => undo,
          accept => CASE WHEN (action->>'before')::boolean THEN ARRAY[200] END,
          wait => (action->>'wait')::boolean);
        IF NOT (action->>'wait')::boolean THEN
          later := later || name;
        END IF;
      WHEN 'child' THEN
        PERFORM dataflows.call(name, 'saga', jsonb_build_object('email', event->>'email', 'plan',
          action->'plan'));
      WHEN 'wait' THEN
        PERFORM dataflows.wait_for('never', timeout => '300 ms');
      WHEN 'next' THEN
        PERFORM dataflows.wait_all(VARIADIC later);
        PERFORM dataflows.continue_with(jsonb_build_object('email', event->>'email', 'plan',
          action->'plan'));
      WHEN 'fail' THEN
        RAISE EXCEPTION 'something fails';
    END CASE;
  END LOOP;
  PERFORM dataflows.wait_all(VARIADIC later);
  RETURN '"done"';
END $$;
SELECT dataflows.define_workflow('saga', 'app.saga', deadline => '5 s');
SQL

# ---- the sagas -------------------------------------------------------------------------

sub one_of { return $_[ int(rand(@_)) ]; }

sub truth { return one_of(JSON::PP::true(), JSON::PP::false()); }

my $name = 0;

sub plan
{
	my ($email, $depth) = @_;
	my @plan;

	for (1 .. 1 + int(rand(4)))
	{
		my $do = one_of(qw(post post post put put wait child next));

		$do = 'post' if $depth > 1 && $do =~ /child|next/;
		my $action = { do => $do, name => 's' . ++$name };

		if ($do eq 'post')
		{
			$action->{system} = one_of(keys %things);
			$action->{wait} = truth();
			$action->{before} = truth();
			$action->{doubt} = one_of('fail', 'stuck');
		}
		if ($do eq 'put')
		{
			$action->{id} = "$email-$action->{name}";
			$action->{wait} = truth();
			$action->{before} = truth();
		}
		$action->{plan} = plan($email, $depth + 1) if $do =~ /child|next/;
		push @plan, $action;
		last if $do eq 'next';
	}
	push @plan, { do => 'fail', name => 'fail' } if rand() < 0.4 && $plan[-1]{do} ne 'next';
	return \@plan;
}

my @faults = (
	{ fault => 'latency', ms => 400 },
	{ fault => 'lost' },
	{ fault => 'truncated' },
	{ fault => 'reset_before' },
	{ fault => 'late', ms => 900 },
	{ status => 503, retry_after => 1 },
	{ status => 500, effect => JSON::PP::true() },
	{ status => 409 },
	{ status => 403 });
my @lost = ({ fault => 'lost' }, { fault => 'truncated' }, { status => 500, effect =>
		JSON::PP::true() });
my @undo_faults =
	({ fault => 'latency', ms => 200 }, { fault => 'lost' }, { status => 503 }, { status => 500 });
my %id_of;

for my $n (1 .. $runs)
{
	my $email = "r$n\@example.com";
	my $input = JSON::PP->new->canonical->encode({ email => $email, plan => plan($email, 0) });

	for my $system (sort keys %things)
	{
		$systems->fault(
			$system, %{ one_of(@faults) },
			skip => int(rand(2)),
			times => 1,
			match => { method => 'POST', email => "^$email\$" })
			if rand() < 0.7;
		$systems->fault(
			$system, %{ one_of(@undo_faults) },
			times => 1,
			match => { method => 'DELETE', email => "^$email\$" })
			if rand() < 0.3;
	}
	# a PUT that finds what it has made itself
	$systems->fault(
		'crm', %{ one_of(@lost) },
		skip => int(rand(2)),
		times => 1,
		match => { method => 'PUT', path => "/$email-" })
		if rand() < 0.7;
	$id_of{$email} =
		as_app($node, 'postgres', "SELECT dataflows.start('saga', \$j\$$input\$j\$)");
	usleep(20_000 * rand());
	if ($n % 3 == 0)
	{
		my $victim = $id_of{ 'r' . (1 + int(rand($n))) . '@example.com' };

		as_app($node, 'postgres', "SELECT dataflows.cancel(run, 'enough') FROM dataflows.runs
			WHERE run = '$victim' AND finished_at IS NULL");
	}
	if ($n % 20 == 0)
	{
		my ($worker) = pids_of($node, 'worker');

		next unless $worker;
		kill_process($n % 40 == 0 ? 'KILL' : 'TERM', $worker);
		# as long as it is there, a restart after a crash is still to come
		wait_until($node, "SELECT NOT EXISTS (SELECT FROM pg_stat_activity WHERE pid = $worker)");
	}
}

# ---- what became of them ---------------------------------------------------------------

# A parent waits for a child that is stuck: then that one is somebody's.  Whoever waits so, or has
# ended, or is stuck itself, is at rest.
sub all_rest
{
	my ($what) = @_;

	return ok(
		wait_until($node, <<'SQL', 120),
WITH RECURSIVE waits AS (
  SELECT run, parent FROM dataflows.runs WHERE state = 'stuck'
  UNION SELECT r.run, r.parent FROM dataflows.runs r JOIN waits w ON r.run = w.parent)
SELECT NOT EXISTS (SELECT FROM dataflows.runs
  WHERE state NOT IN ('completed', 'rolled_back', 'cancelled')
    AND run NOT IN (SELECT run FROM waits))
SQL
		$what);
}

retry_killed($node);
all_rest('every run ends, or somebody has to look');
as_app($node, 'postgres', "SELECT dataflows.cancel(run, 'enough') FROM dataflows.runs
	WHERE finished_at IS NULL AND parent IS NULL AND cause IS NULL");
ok(
	wait_until($node, "SELECT NOT EXISTS (SELECT FROM dataflows.runs WHERE cause IS NULL
		AND parent IS NULL AND finished_at IS NULL)", 180),
	'who is stuck is cancelled');
all_rest('and undone as far as can be');

my %live;

for my $system (keys %things)
{
	my $summary = $systems->summary($system);

	$live{ $_ =~ s/-s\d+$//r }{$system} += $summary->{$_}[1] for keys %$summary;
}

my %count;
my @wrong;

for my $email (sort keys %id_of)
{
	my ($state, $pending) = split /\|/, $node->safe_psql('postgres', <<"SQL");
WITH RECURSIVE family AS (
  SELECT '$id_of{$email}'::uuid AS run
  UNION ALL SELECT r.run FROM dataflows.runs r JOIN family f ON r.parent = f.run)
SELECT (SELECT state FROM dataflows.runs WHERE run = '$id_of{$email}'),
  (SELECT string_agg(coalesce(p.system, 'call'), ' ') FROM dataflows.pending_undo p
    JOIN family USING (run))
SQL
	my @left = grep { $live{$email}{$_} } sort keys %things;

	$count{$state}++;
	next if $state eq 'completed';
	# it goes on when somebody has settled what its child is stuck at
	next if $state eq 'rolling_back' && $pending;
	push @wrong, "$email $id_of{$email}: $state, something is in $_, pending: " . ($pending // '')
		for grep { $state =~ /^(?:rolled_back|cancelled)$/ || ($pending // '') !~ /\b$_\b/ } @left;
}
diag(join(', ', map { "$count{$_} $_" } sort keys %count));
is(scalar(@wrong), 0, 'what is left is what somebody is told to undo')
	or diag(join("\n", @wrong));
ok($count{rolled_back} || $count{cancelled}, 'some were undone');

$node->stop;
$systems->stop;
done_testing();
