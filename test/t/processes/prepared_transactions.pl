# Prepared transactions: what COMMIT PREPARED makes visible is noticed at once.

use strict;
use warnings;

use Test::More;
use PostgreSQL::Test::Cluster;
use PostgreSQL::Test::Utils;
use Dataflows;

my $systems = start_systems();

# no timer of the engine is to be what makes it look
my $node = new_node('prepared', conf => "dataflows.sweep_interval = '1h'");

sub has_coordinator
{
	my ($db) = @_;

	return "SELECT EXISTS (SELECT FROM pg_stat_activity WHERE backend_type = 'dataflows coordinator'
			AND datname = '$db')";
}

sub prepare
{
	my ($db, $name, $sql) = @_;

	return $node->safe_psql($db, "BEGIN; $sql; PREPARE TRANSACTION '$name'");
}

# ---- CREATE EXTENSION --------------------------------------------------------------

# the extension is there when this process has looked at this database, and not before
$node->safe_psql('postgres', "CREATE DATABASE $_") for qw(shop later);
prepare('shop', 'create', 'CREATE EXTENSION dataflows');
$node->safe_psql('shop', "COMMIT PREPARED 'create'");
ok(wait_until($node, has_coordinator('shop')),
	'CREATE EXTENSION, COMMIT PREPARED: the engine is there');
create_owner($node, 'app', 'shop');
as_app($node, 'shop', <<'SQL');
CREATE FUNCTION app.waits(event jsonb) RETURNS jsonb LANGUAGE sql VOLATILE AS $$
  SELECT dataflows.wait_for('go') $$;
SELECT dataflows.define_workflow('waits', 'app.waits');
SQL

# ---- starts and signals --------------------------------------------------------------

as_app($node, 'shop',
	"BEGIN; SELECT dataflows.start('waits', '{\"a\": 1}', 'k'); PREPARE TRANSACTION 'start'");
as_app($node, 'shop', "COMMIT PREPARED 'start'");
ok(wait_until($node, "SELECT state = 'waiting' FROM dataflows.runs", 30, 'shop'),
	'a start: the run moves');
as_app($node, 'shop',
	"BEGIN; SELECT dataflows.signal_by_key('waits', 'k', 'go'); PREPARE TRANSACTION 'signal'");
as_app($node, 'shop', "COMMIT PREPARED 'signal'");
ok(wait_until($node, "SELECT state = 'completed' FROM dataflows.runs", 30, 'shop'),
	'a signal: it ends');

# ---- across a restart ------------------------------------------------------------------

prepare('later', 'create', 'CREATE EXTENSION dataflows');
as_app($node, 'shop',
	"BEGIN; SELECT dataflows.start('waits', '{\"a\": 2}', 'l'); PREPARE TRANSACTION 'start'");
restart_hard($node, 'immediate');
ok(wait_until($node, has_coordinator('shop')), 'the engine is there after a restart');
as_app($node, 'shop', "COMMIT PREPARED 'start'");
ok( wait_until(
		$node, "SELECT count(*) = 1 FROM dataflows.runs WHERE state = 'waiting'", 30, 'shop'),
	'a start that was prepared before it: the run moves');
$node->safe_psql('later', "COMMIT PREPARED 'create'");
ok(wait_until($node, has_coordinator('later')),
	'CREATE EXTENSION that was prepared before it: the engine is there');

# ---- DROP EXTENSION ------------------------------------------------------------------------

prepare('later', 'drop', 'DROP EXTENSION dataflows');
$node->safe_psql('later', "ROLLBACK PREPARED 'drop'");
ok( wait_until(
		$node, "SELECT state <> 'degraded' FROM dataflows.status() WHERE process = 'engine'",
		30, 'later'),
	'DROP EXTENSION, ROLLBACK PREPARED: the engine goes on');
prepare('later', 'drop', 'DROP EXTENSION dataflows');
restart_hard($node, 'immediate');
$node->safe_psql('later', "COMMIT PREPARED 'drop'");
ok( wait_until($node, 'SELECT NOT (' . substr(has_coordinator('later'), 7) . ')'),
	'DROP EXTENSION, COMMIT PREPARED after a restart: the engine is gone');
$node->safe_psql('later', 'CREATE EXTENSION dataflows');
ok(wait_until($node, has_coordinator('later')), 'and comes back with the next one');

# ---- other databases' prepared transactions cost nothing -------------------------------------


$node->safe_psql('postgres', 'CREATE TABLE t (i int)');
for my $i (1 .. 20)
{
	prepare('postgres', "t$i", "INSERT INTO t VALUES ($i)");
	$node->safe_psql('postgres', "COMMIT PREPARED 't$i'");
}
is( $node->safe_psql(
		'postgres',
		"SELECT count(*) FROM pg_stat_activity WHERE backend_type LIKE 'dataflows%'
			AND datname = 'postgres'"
	),
	'0',
	'a database without the extension is not looked at for its prepared transactions');
as_app($node, 'shop', "SELECT dataflows.signal_by_key('waits', 'l', 'go')");
ok( wait_until(
		$node, "SELECT count(*) = 2 FROM dataflows.runs WHERE state = 'completed'",
		30, 'shop'),
	'all is well in the other');
nothing_crashed($node);
$node->stop;
$systems->stop;
done_testing();
