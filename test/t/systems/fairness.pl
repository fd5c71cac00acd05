# A hundred thousand queued runs of one workflow starve neither another workflow
# of their owner, nor another owner, nor another system.

use strict;
use warnings;

use Test::More;
use PostgreSQL::Test::Cluster;
use Dataflows;

my $systems = start_systems();
my $node = new_node('fairness', conf => "fsync = off\n");
my $many = 100_000;

create_systems($node, 'postgres', $systems, workflow => 0);
create_callers($node);
as_app($node, 'postgres', "SELECT dataflows.define_workflow('a-many', 'app.one')");

# the system that the many call is slow, and narrower than what the worker holds
$node->safe_psql('postgres', "ALTER SERVER crm OPTIONS (ADD max_concurrency '8')");
$systems->config('crm', latency_ms => 50);
start_calls($node, 'app', 'crm', $many, 'a-many');
ok(wait_until($node, "SELECT requests > 20 FROM dataflows.systems WHERE system = 'crm'"),
	'the many are under way');

start_calls($node, $_, 'identity', 100) for qw(app shop);
my $done =
	"SELECT count(*) = 200 FROM dataflows.run WHERE workflow LIKE 'one-%' AND state = 'completed'";
ok(wait_until($node, $done, 30), 'two hundred others complete');
my $left = number_of($node,
	"SELECT count(*) FROM dataflows.run WHERE workflow = 'a-many' AND finished_at IS NULL");
cmp_ok($left, '>', $many * 0.9, "while nearly all of the many are left: $left");
my $progress = column_of('crm');
ok( wait_until(
		$node, "SELECT requests > $progress + 50 FROM dataflows.systems WHERE system = 'crm'"),
	'and the many go on');
is( $node->safe_psql(
		'postgres',
		"SELECT count(*) FROM dataflows.run WHERE workflow = 'a-many' AND state NOT IN ('queued',
			'running', 'completed', 'waiting')"
	),
	'0',
	'none of them has failed');

sub column_of
{
	my ($system) = @_;

	return $node->safe_psql('postgres',
		"SELECT requests FROM dataflows.systems WHERE system = '$system'");
}

$node->stop('immediate');
$systems->stop;
done_testing();
