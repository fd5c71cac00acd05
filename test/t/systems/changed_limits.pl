# Limits of a system that are changed while its steps are under way: the arrivals
# in its books follow, up and down.  And undos and probes count like any request,
# and a step that was probed gets its turn; two workflows share one place.

use strict;
use warnings;

use Test::More;
use Time::HiRes qw(time);
use PostgreSQL::Test::Cluster;
use Dataflows;

my $systems = start_systems();
my $node = new_node('alter_limits');

create_systems($node, 'postgres', $systems, workflow => 0);
as_app($node, 'postgres', <<'SQL');
CREATE FUNCTION app.one(event jsonb) RETURNS jsonb LANGUAGE plpgsql AS $$
BEGIN
  PERFORM dataflows.post('call', event->>'system', event->>'path', event->'body',
    undo => 'DELETE ' || (event->>'path') || '/{id}');
  IF event ? 'fail' THEN RAISE EXCEPTION 'no'; END IF;
  RETURN NULL;
END $$;
SELECT dataflows.define_workflow('one', 'app.one'), dataflows.define_workflow('two', 'app.one');
SQL

my %path = (crm => '/contacts', email => '/send', billing => '/customers', identity => '/users');

sub start_runs
{
	my ($workflow, $system, $name, $n, $more) = @_;

	as_app($node, 'postgres', <<"SQL");
SELECT count(dataflows.start('$workflow', jsonb_build_object('system', '$system', 'path',
  '$path{$system}',
  'body', jsonb_build_object('email', '$name' || i, 'to', '$name' || i)) || '${\($more // '{}')}'))
    FROM generate_series(1, $n) i
SQL
	return;
}

# when requests came, of all methods, after a time of the books' clock
sub arrivals
{
	my ($system, $after) = @_;

	return sort { $a->{at} <=> $b->{at} }
		grep { $_->{at} > ($after // 0) } @{ $systems->requests($system) };
}

# Until when the old limit held for sure, and since when the new one does.
sub alter
{
	my ($system, $options) = @_;
	my $before = time();

	$node->safe_psql('postgres', "ALTER SERVER $system OPTIONS ($options)");
	return ($before, time());
}

# at least so many have arrived
sub until_arrived
{
	my ($system, $n) = @_;

	return wait_until($node,
		"SELECT requests >= $n FROM dataflows.systems WHERE system = '$system'");
}

# ---- places, up and down ------------------------------------------------------------

# each request stays 100 ms
alter('crm', "ADD max_concurrency '2'");
$systems->config('crm', latency_ms => 100);
start_runs('one', 'crm', 'places', 300);
ok(until_arrived('crm', 40), 'under way with two places');
my ($until_wider, $wider) = alter('crm', "SET max_concurrency '12'");

ok(until_arrived('crm', 120), 'and with twelve');
my (undef, $narrower) = alter('crm', "SET max_concurrency '1'");
my $before = number_of($node, "SELECT requests FROM dataflows.systems WHERE system = 'crm'");

ok(until_arrived('crm', $before + 30), 'and with one');
my ($until_wide) = alter('crm', "SET max_concurrency '50'");

ok(wait_for_runs($node, ['completed'], 40), 'all complete');
my @at = arrivals('crm');

is(scalar(@at), 300, 'each request once');
my $peak = most_together(grep { $_->{at} < $until_wider } @at);
cmp_ok($peak, '<=', 2, "never more than two at first: $peak");
$peak = most_together(grep { $_->{at} >= $wider && $_->{at} < $narrower } @at);
cmp_ok($peak, '<=', 12, "never more than twelve then: $peak");
cmp_ok($peak, '>', 2, 'and more than two are used');
# what was on the wire when it was changed is answered first
my @narrow = grep { $_->{at} >= $narrower && $_->{at} < $until_wide } @at;
$peak = most_together(@narrow[ 13 .. $#narrow ]);
is($peak, 1, 'then one at a time');
is(scalar(grep { $_->[0] != 1 } values %{ $systems->summary('crm') }),
	0, 'the books say each record once');

# ---- a rate, up and down ---------------------------------------------------------------

alter('email', "ADD rate_limit '1/h'");
start_runs('one', 'email', 'hour', 1);
ok(until_arrived('email', 1), 'one an hour');
start_runs('one', 'email', 'second', 1);
ok( wait_until(
		$node,
		"SELECT count(*) = 1 FROM dataflows.run WHERE state = 'running' AND lease IS NULL
			AND wake_at > now()"
	),
	'the next one waits');
my $wait = number_of($node,
	"SELECT extract(epoch FROM wake_at - now()) FROM dataflows.run WHERE state = 'running'");

cmp_ok(
	$wait, '<=', 600,
	sprintf(
		'but looks again before the hour is over, since the rate may be raised: in %d s', $wait));
my $faster = alter('email', "SET rate_limit '50/s'");

start_runs('one', 'email', 'fast', 100);
ok( wait_until(
		$node,
		"SELECT count(*) = 101 FROM dataflows.runs WHERE state = 'completed'
			AND input->>'system' = 'email'",
		40),
	'with a higher rate others need not wait for that hour');
@at = arrivals('email', $faster);
my $rate = rate_of(5, @at);
cmp_ok($rate, '<=', 55, "no more than the rate: $rate");
start_runs('one', 'email', 'slow', 100);
ok(until_arrived('email', 120), 'under way');
my $slower = alter('email', "SET rate_limit '5/s'");

$before = number_of($node, "SELECT requests FROM dataflows.systems WHERE system = 'email'");
ok(until_arrived('email', $before + 20), 'and slower');
@at = arrivals('email', $slower);
# the first of them had leave from before
$rate = rate_of(1, @at[ 6 .. $#at ]);
cmp_ok($rate, '<=', 6, "no more than the lower rate: $rate");
alter('email', "SET rate_limit '1000/s'");
# the one of the first hour is told by its worker's next look, which we do not wait for
ok( wait_until(
		$node,
		"SELECT count(*) = 1 FROM dataflows.runs WHERE state <> 'completed'
			AND input->>'system' = 'email'",
		40),
	'and all go on');

# ---- undos and probes count ----------------------------------------------------------------

alter('identity', "ADD max_concurrency '3', ADD rate_limit '30/s'");
$systems->config('identity', latency_ms => 100);
start_runs('one', 'identity', 'undone', 45, '{"fail": 1}');
# ten in a row are too many, unless one completes: that is another matter
ok( wait_until(
		$node,
		"SELECT count(*) = 45 AND bool_and(state IN ('rolled_back', 'stuck')) FROM dataflows.runs
			WHERE input->>'system' = 'identity'",
		40),
	'runs that fail are undone');
my @undos = grep { $_->{method} eq 'DELETE' } @{ $systems->requests('identity') };

cmp_ok(scalar(@undos), '>=', 10, 'by requests of their own: ' . scalar(@undos));
@at = arrivals('identity');
$peak = most_together(@at);
cmp_ok($peak, '<=', 3, "never more than max_concurrency, undos too: $peak");
$rate = rate_of(3, @at);
cmp_ok($rate, '<=', 33, "nor than the rate: $rate");

$node->safe_psql(
	'postgres',
	"ALTER SERVER billing OPTIONS (DROP idempotency_header, ADD max_concurrency '2', ADD rate_limit
		'20/s', SET settle '50ms', SET timeout '1500ms')"
);
$systems->fault(
	'billing',
	match => { method => 'POST' },
	fault => 'hang',
	effect => 1,
	times => 12);
as_app($node, 'postgres', <<'SQL');
CREATE FUNCTION app.probed(event jsonb) RETURNS jsonb LANGUAGE plpgsql AS $$
BEGIN
  RETURN dataflows.post('call', 'billing', '/customers', event, undo => 'DELETE /customers/{id}',
    probe => 'GET /customers?email={request.email}');
END $$;
SELECT dataflows.define_workflow('probed', 'app.probed');
SELECT count(dataflows.start('probed', jsonb_build_object('email', 'probed' || i)))
  FROM generate_series(1, 12) i;
SQL
ok( wait_until(
		$node,
		"SELECT count(*) = 12 AND bool_and(state = 'completed') FROM dataflows.runs
			WHERE workflow = 'probed'",
		40),
	'runs in doubt ask their probes');
is(scalar(grep { $_->[0] != 1 } values %{ $systems->summary('billing') }),
	0, 'the books say each record once');
@at = arrivals('billing');
my $asked = grep { $_->{method} eq 'GET' } @{ $systems->requests('billing') };

# before the first send, and after each answer that was lost; without a place for what follows they
# would ask for ever
like($asked, qr/^2[456]$/, 'by requests of their own, and none in vain');
$rate = rate_of(2, @at);
cmp_ok($rate, '<=', 22, "no more than the rate, probes too: $rate");

# ---- two workflows and one place ----------------------------------------------------------------

$systems->reset;
$systems->config('crm', latency_ms => 20);
alter('crm', "SET max_concurrency '1'");
# by turns, or who asked first would be served first
as_app($node, 'postgres', <<'SQL');
SELECT count(dataflows.start(w, jsonb_build_object('system', 'crm', 'path', '/contacts', 'body',
  jsonb_build_object('email', w || '-' || i))))
  FROM generate_series(1, 100) i, unnest('{one,two}'::text[]) w
SQL
ok( wait_until(
		$node,
		"SELECT count(*) = 200 AND bool_and(state = 'completed') FROM dataflows.runs
			WHERE input->'body'->>'email' ~ '^(one|two)-'",
		60),
	'two workflows and one place');
my @order = map { $_->{email} =~ /^one/ ? 'one' : 'two' }
	sort { $a->{at} <=> $b->{at} } @{ $systems->requests('crm') };
my ($longest, $row) = (1, 1);

for my $i (1 .. 149)
{
	$row = $order[$i] eq $order[ $i - 1 ] ? $row + 1 : 1;
	$longest = $row if $longest < $row;
}
cmp_ok($longest, '<=', 12,
	"neither has it for long while the other waits: $longest requests in a row");
@at = arrivals('crm');
$peak = most_together(@at);
is($peak, 1, 'one at a time');

$node->stop;
$systems->stop;
done_testing();
