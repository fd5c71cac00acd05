# What the limits of a system do at their edges: no entry is left, a server is
# dropped, one owner's credentials are refused, the worker itself is full.

use strict;
use warnings;

use Test::More;
use PostgreSQL::Test::Cluster;
use Dataflows;

my $systems = start_systems();
my $node = new_node('limits', conf => "dataflows.max_systems = 1\n");

create_systems($node, 'postgres', $systems, workflow => 0);
create_callers($node);
$node->safe_psql('postgres', <<'SQL');
CREATE USER MAPPING FOR app SERVER billing OPTIONS (bearer_token 'right-hush-1');
CREATE USER MAPPING FOR shop SERVER billing OPTIONS (bearer_token 'wrong-hush-2');
ALTER SERVER billing OPTIONS (ADD breaker_cooldown '300ms');
SQL

my $told =
	"SELECT count(*) > 0 FROM dataflows.status() WHERE reason LIKE '%dataflows.max_systems%'";

# one entry for two systems
start_calls($node, 'app', 'crm', 3);
ok(wait_for_runs($node, ['completed']), 'the first system has the only entry');
is($node->safe_psql('postgres', $told), 'f', 'nothing is to be told');
start_calls($node, 'app', 'email', 3);
ok(wait_for_runs($node, ['completed']), 'another system goes on without one');
is($node->safe_psql('postgres', $told), 't', 'which status() tells');
$node->safe_psql('postgres', 'DROP SERVER crm CASCADE');
ok( wait_until(
		$node,
		"SELECT count(dataflows.start('one-app',
			'{\"system\": \"email\", \"path\": \"/send\", \"body\": {\"to\": \"more\"}}')) = 0
			OR NOT ($told)"
	),
	'once a server is dropped, its entry is another\'s and the reason goes');
is( $node->safe_psql(
		'postgres', "SELECT requests > 0 FROM dataflows.systems WHERE system = 'email'"),
	't',
	'the view counts it now');
ok(wait_for_runs($node, ['completed']), 'all complete');

# one owner's credentials are refused: he waits, the other goes on
$node->append_conf('postgresql.conf', "dataflows.max_systems = 8\ndataflows.max_in_flight = 2\n");
$node->restart;
$systems->config('billing', bearer => 'right-hush-1');
start_calls($node, 'shop', 'billing', 5);
ok( wait_until(
		$node,
		"SELECT reason = 'credentials refused' FROM dataflows.systems WHERE system = 'billing'"),
	'refused');
start_calls($node, 'app', 'billing', 5);
ok( wait_until(
		$node,
		"SELECT count(*) = 5 FROM dataflows.runs WHERE owner = 'app' AND state = 'completed'
			AND input->>'system' = 'billing'"
	),
	'the other owner is not held');
is( $node->safe_psql(
		'postgres',
		"SELECT count(*) FROM dataflows.runs WHERE owner = 'shop' AND state <> 'completed'"),
	'5',
	'he whose credentials are refused is');
unlike($node->safe_psql('postgres', 'SELECT s::text FROM dataflows.systems s'),
	qr/hush/, 'the view shows no secret');
$node->safe_psql('postgres',
	"ALTER USER MAPPING FOR shop SERVER billing OPTIONS (SET bearer_token 'right-hush-1')");
ok(wait_for_runs($node, ['completed']), 'ALTER USER MAPPING lets them go on by themselves');
is( $node->safe_psql('postgres', "SELECT breaker FROM dataflows.systems WHERE system = 'billing'"),
	'closed',
	'and nothing is held');

# the worker is full: who waits for a system that is held waits in the table
$systems->fault(
	'identity',
	match => { method => 'POST' },
	status => 503,
	retry_after => 20,
	times => 1);
start_calls($node, 'app', 'identity', 1);
ok( wait_until(
		$node,
		"SELECT reason = 'asked to wait' AND held_until > now() FROM dataflows.systems
			WHERE system = 'identity'"
	),
	'Retry-After holds the system');
$systems->config('email', latency_ms => 20000);
start_calls($node, 'app', 'email', 2);
ok(wait_until($node, "SELECT in_flight = 2 FROM dataflows.systems WHERE system = 'email'"),
	'the worker is full');
start_calls($node, 'app', 'identity', 5);
ok( wait_until(
		$node,
		"SELECT count(*) = 6 AND bool_and(r.lease IS NULL) AND sum(s.attempts) <= 1
			FROM dataflows.run r JOIN dataflows.steps s USING (run) WHERE s.system = 'identity'
			AND s.state = 'pending'",
		15),
	'those of the held system are in the table');
is( $node->safe_psql('postgres', "SELECT in_flight FROM dataflows.systems WHERE system = 'email'"),
	'2',
	'while it is full');

$node->stop;
$systems->stop;
done_testing();
