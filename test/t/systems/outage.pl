# Limits over all workers of a database, and a system that is down for long:
# nobody is rolled back, others go on, recovery is no stampede.

use strict;
use warnings;

use Test::More;
use PostgreSQL::Test::Cluster;
use Dataflows;

my $systems = start_systems();
my $node = new_node('outage', conf => "dataflows.workers_per_owner = 3\n");

create_systems($node, 'postgres', $systems, workflow => 0);
create_callers($node);
$node->safe_psql('postgres', <<'SQL');
ALTER SERVER crm OPTIONS (ADD max_concurrency '4');
ALTER SERVER email OPTIONS (ADD rate_limit '40/s');
ALTER SERVER billing OPTIONS (ADD max_concurrency '16',
  SET breaker_failures '3', ADD breaker_cooldown '500ms');
SQL

sub arrivals
{
	my ($system) = @_;

	return sort { $a->{at} <=> $b->{at} }
		grep { $_->{method} eq 'POST' } @{ $systems->requests($system) };
}

sub column
{
	my ($system, $column) = @_;

	return $node->safe_psql('postgres',
		"SELECT $column FROM dataflows.systems WHERE system = '$system'");
}

# places: each request stays 100 ms
$systems->config('crm', latency_ms => 100);
start_calls($node, $_, 'crm', 60) for qw(app shop);
ok(wait_for_runs($node, ['completed'], 40), 'two owners share one system');
my @at = arrivals('crm');
is(scalar(@at), 120, 'each request once');
my $peak = most_together(@at);
cmp_ok($peak, '<=', 4, "never more than max_concurrency at a time, over all workers: $peak");
cmp_ok($peak, '>=', 3, "and nearly all places are used: $peak");
is(column('crm', 'in_flight'), '0', 'all places are given back');
is(column('crm', 'requests'), '120', 'all are counted');
is( scalar(
		grep { ($_->{email} // '') !~ /^(app|shop)-crm-/ }
		grep { $_->{method} eq 'POST' } @{ $systems->requests('crm') }),
	0,
	'the log tells whose each is');
my %half = map { $_ => 0 } qw(app shop);
$half{ ($_->{email} // '') =~ /^shop/ ? 'shop' : 'app' }++
	for grep { $_->{method} eq 'POST' } @{ $systems->requests('crm') }[ 0 .. 79 ];
cmp_ok($half{$_}, '>=', 15, "no owner starves the other: of the first 80 are of $_")
	for qw(app shop);

# rate: 40/s, and a tenth of a second's worth ahead
start_calls($node, $_, 'email', 60) for qw(app shop);
ok(wait_for_runs($node, ['completed'], 40), 'with a rate');
@at = arrivals('email');
is(scalar(@at), 120, 'each request once');
my $rate = rate_of(4, @at);
cmp_ok($rate, '<=', 44, "no more than the rate: $rate");

# the outage
$systems->config('billing', latency_ms => 100);
$systems->down('billing');
start_calls($node, $_, 'billing', 50) for qw(app shop);
ok( wait_until(
		$node,
		"SELECT breaker <> 'closed' AND reason = 'failing' FROM dataflows.systems
			WHERE system = 'billing'"
	),
	'the breaker opens');
ok(wait_until($node, "SELECT queued = 100 FROM dataflows.systems WHERE system = 'billing'"),
	'all its steps wait');
my $requests = column('billing', 'requests');
my $before = number_of($node, 'SELECT count(*) FROM dataflows.attempts');
start_calls($node, 'app', 'identity', 300);
ok( wait_until(
		$node,
		"SELECT count(*) = 300 FROM dataflows.runs r JOIN dataflows.steps s USING (run)
			WHERE s.system = 'identity' AND r.state = 'completed'",
		30),
	'300 other runs complete meanwhile');
# one whose request tries the system is not queued meanwhile
ok(wait_until($node, "SELECT queued = 100 FROM dataflows.systems WHERE system = 'billing'"),
	'while all of the system that is down still wait');
ok( wait_until(
		$node, "SELECT requests >= $requests + 4 FROM dataflows.systems WHERE system = 'billing'"),
	'one request of each owner at a time tries');
# in this order: what is under way counts as a request before it counts as an attempt
my $used = number_of($node, 'SELECT count(*) FROM dataflows.attempts') - $before;
my $probes = column('billing', 'requests') - $requests;
cmp_ok($used, '<=', $probes + 1, "who waits uses no attempts: $used for $probes requests");
is( $node->safe_psql(
		'postgres',
		"SELECT count(*) FROM dataflows.runs
			WHERE state IN ('rolling_back', 'rolled_back', 'stuck')"
	),
	'0',
	'nobody is rolled back');

$systems->up('billing');
ok(wait_for_runs($node, ['completed'], 40), 'it is back: all complete');
@at = arrivals('billing');
is(scalar(@at), 100, 'each request once');
cmp_ok(most_together(@at[ 0 .. 3 ]),
	'<=', 3, 'one of each owner goes first, and is answered before two of that owner follow');
$peak = most_together(@at);
cmp_ok($peak, '<=', 16, "and never more than max_concurrency: $peak");
is(scalar(grep { $_->[0] != 1 } values %{ $systems->summary('billing') }),
	0, 'the books say each record once');
is(column('billing', 'in_flight || breaker'), '0closed', 'the breaker is closed, no place is lost');

# a worker that ends gives its places back, and shared limits do not outlive their server
$systems->config('crm', latency_ms => 1500);
start_calls($node, 'app', 'crm', 4);
ok(wait_until($node, "SELECT in_flight >= 1 FROM dataflows.systems WHERE system = 'crm'"),
	'on the wire');
$node->safe_psql('postgres',
	"SELECT pg_terminate_backend(pid) FROM pg_stat_activity WHERE backend_type = 'dataflows worker'"
);
$systems->config('crm', latency_ms => 0);
ok(wait_for_runs($node, ['completed'], 30), 'others take over');
ok(wait_until($node, "SELECT in_flight = 0 FROM dataflows.systems WHERE system = 'crm'"),
	'its places are free');

# who may see it
$node->safe_psql('postgres', 'CREATE ROLE stranger LOGIN');
is( $node->safe_psql(
		'postgres',
		'SELECT count(*) FROM dataflows.systems',
		extra_params => [ '-U', 'stranger' ]),
	'0',
	'a stranger sees no system');
$node->safe_psql('postgres', 'GRANT pg_monitor TO stranger');
is( $node->safe_psql(
		'postgres',
		'SELECT count(*) FROM dataflows.systems',
		extra_params => [ '-U', 'stranger' ]),
	'4',
	'who monitors sees all');

$node->stop;
$systems->stop;
done_testing();
