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
$node->safe_psql('postgres', <<'SQL');
CREATE ROLE shop LOGIN;
GRANT EXECUTE ON FUNCTION dataflows.define_workflow TO shop;
GRANT USAGE ON FOREIGN SERVER crm, email, billing, identity TO shop;
CREATE SCHEMA shop AUTHORIZATION shop;
SQL
for my $owner (qw(app shop))
{
	$node->safe_psql('postgres', <<"SQL", extra_params => [ '-U', $owner ]);
CREATE FUNCTION $owner.one(event jsonb) RETURNS jsonb LANGUAGE plpgsql AS \$\$
BEGIN
  RETURN dataflows.post('call', event->>'system', event->>'path', event->'body', undo => 'none');
END \$\$;
SELECT dataflows.define_workflow('few-$owner', '$owner.one');
SQL
}
as_app($node, 'postgres', "SELECT dataflows.define_workflow('a-many', 'app.one')");

# the system that the many call is slow, and narrower than what the worker holds
$node->safe_psql('postgres', "ALTER SERVER crm OPTIONS (ADD max_concurrency '8')");
$systems->config('crm', latency_ms => 50);
as_app($node, 'postgres', <<"SQL");
SELECT count(dataflows.start('a-many', jsonb_build_object('system', 'crm', 'path', '/contacts',
  'body', jsonb_build_object('email', 'm' || i)))) FROM generate_series(1, $many) i
SQL
ok(wait_until($node, "SELECT requests > 20 FROM dataflows.systems WHERE system = 'crm'"),
	'the many are under way');

for my $owner (qw(app shop))
{
	$node->safe_psql('postgres', <<"SQL", extra_params => [ '-U', $owner ]);
SELECT count(dataflows.start('few-$owner', jsonb_build_object('system', 'identity', 'path',
  '/users',
  'body', jsonb_build_object('email', '$owner' || i)))) FROM generate_series(1, 100) i
SQL
}
my $done =
	"SELECT count(*) = 200 FROM dataflows.run WHERE workflow LIKE 'few-%' AND state = 'completed'";
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
