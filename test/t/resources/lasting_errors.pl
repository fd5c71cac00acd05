# An error that stays costs a line a minute, is told by status(), holds up nothing
# else, and when it is gone all goes on by itself.

use strict;
use warnings;

use Test::More;
use PostgreSQL::Test::Cluster;
use PostgreSQL::Test::Utils;
use Dataflows;

my $node = new_node('stays', conf => "dataflows.sweep_interval = '1s'\n");

create_app($node);
create_owner($node, $_) for qw(bob cleo);
for my $role (qw(app bob cleo))
{
	$node->safe_psql('postgres', <<"SQL");
SET ROLE $role;
CREATE FUNCTION $role.noop(e jsonb) RETURNS jsonb LANGUAGE plpgsql AS 'BEGIN RETURN e; END';
SQL
}

sub define_and_start
{
	my ($role) = @_;

	$node->safe_psql(
		'postgres',
		"SELECT dataflows.define_workflow('w-$role', '$role.noop');
			SELECT dataflows.start('w-$role', '{}', 'k')",
		extra_params => [ '-U', $role ]);
	return;
}

# lines of the log that say so, from that place on
sub lines
{
	my ($pattern, $from) = @_;

	return scalar grep { /$pattern/ } split(/\n/, slurp_file($node->logfile, $from));
}

sub log_size
{
	return -s $node->logfile;
}

my $first = "SELECT state FROM dataflows.status() LIMIT 1";

define_and_start('app');
ok( wait_until(
		$node, "SELECT state = 'completed' FROM dataflows.runs WHERE workflow = 'w-app'", 60),
	'a run is completed');
ok(wait_until($node, "SELECT ($first) = 'running'", 60), 'the engine says that it is running');

# ---- one job of the tidying fails in each sweep
my $from = log_size();

$node->safe_psql('postgres', 'ALTER TABLE dataflows.page_token RENAME TO page_token_x');
ok( wait_until($node, "SELECT ($first) = 'degraded'", 60),
	'a trouble, and the engine says so in its first row');
is( $node->safe_psql(
		'postgres',
		"SELECT reason ~ 'coordinator: could not delete expired tokens.*page_token'
			FROM dataflows.status() LIMIT 1"
	),
	't',
	'with the process and the reason');
is( $node->safe_psql(
		'postgres',
		"SELECT state || ' ' || (reason ~ 'since .* could not delete expired tokens')
			FROM dataflows.status() WHERE process = 'coordinator'"
	),
	'degraded true',
	'and so does the row of the process');
define_and_start('bob');
ok( wait_until(
		$node, "SELECT state = 'completed' FROM dataflows.runs WHERE workflow = 'w-bob'", 60),
	"a worker is started for another owner meanwhile");
$node->safe_psql(
	'postgres',
	"INSERT INTO dataflows.webhook_delivery (path, event_id, at)
		VALUES ('/x', 'old', now() - interval '400 days')"
);
ok(wait_until($node, "SELECT count(*) = 0 FROM dataflows.webhook_delivery", 60),
	'and the other jobs of the tidying are done');
cmp_ok(lines('could not delete expired tokens', $from), '<=', 2, 'a line a minute in the log');
cmp_ok(lines('ERROR', $from), '<=', 2, 'and no errors');
$node->safe_psql('postgres', 'ALTER TABLE dataflows.page_token_x RENAME TO page_token');
ok(wait_until($node, "SELECT ($first) = 'running'", 120),
	'it is mended, and the engine is running');

# ---- the look itself fails, and is woken all the time
$from = log_size();
$node->safe_psql('postgres', 'ALTER TABLE dataflows.installation RENAME TO installation_x');
ok( wait_until(
		$node,
		"SELECT (SELECT state FROM dataflows.status() WHERE process = 'coordinator') = 'degraded'",
		60),
	'the coordinator cannot look');
is($node->safe_psql('postgres', $first),
	'degraded', 'status() says so even where it cannot read the tables itself');
my $before = $node->safe_psql('postgres',
	"SELECT xact_rollback FROM pg_stat_database WHERE datname = 'postgres'");

for my $n (1 .. 30)
{
	$node->safe_psql(
		'postgres',
		"SELECT dataflows.start('w-app', '{}', 'again$n')",
		extra_params => [ '-U', 'app' ]);
}
my $after = $node->safe_psql('postgres',
	"SELECT xact_rollback FROM pg_stat_database WHERE datname = 'postgres'");

cmp_ok($after - $before, '<', 25, 'it does not try again for each wake');
like(lines('could not check what is due', $from), qr/^[12]$/, 'a line a minute');
$node->safe_psql('postgres', 'ALTER TABLE dataflows.installation_x RENAME TO installation');
ok(wait_until($node, "SELECT count(*) = 0 FROM dataflows.runs WHERE state <> 'completed'", 120),
	'all that was started meanwhile is completed, by itself');
ok(wait_until($node, "SELECT ($first) = 'running'", 60), 'and the engine is running');

# ---- the worker's turns fail
$from = log_size();
$node->safe_psql('postgres', 'ALTER TABLE dataflows.step RENAME TO step_x');
$node->safe_psql(
	'postgres',
	"SELECT dataflows.start('w-app', '{}', 'turn$_')",
	extra_params => [ '-U', 'app' ]) for 1 .. 20;
$node->safe_psql('postgres', 'ALTER TABLE dataflows.step_x RENAME TO step');
ok(wait_until($node, "SELECT count(*) = 0 FROM dataflows.runs WHERE state <> 'completed'", 120),
	'turns that failed cost nothing');

# ---- answers come while they cannot be recorded, and no key or probe could tell afterwards
my $systems = start_systems();

$node->safe_psql('postgres', 'CREATE DATABASE other');
create_systems($node, 'other', $systems, untrusted => 1);
$systems->config('identity', latency_ms => 2000);
as_app(
	$node, 'other',
	"INSERT INTO app.signups (email, name) SELECT 'late-' || i || '\@example.com', 'N'
		FROM generate_series(1, 20) i"
);
ok( wait_until(
		$node, "SELECT in_flight > 0 FROM dataflows.systems WHERE system = 'identity'",
		60, 'other'),
	'requests are on the wire');
$from = log_size();
$node->safe_psql('other', 'ALTER TABLE dataflows.step RENAME TO step_x');
ok( wait_until(
		$node,
		"SELECT (SELECT state FROM dataflows.status() WHERE process = 'worker') = 'degraded'",
		60, 'other'),
	'the worker says that it cannot record them');
cmp_ok(lines('relation "dataflows.step" does not exist', $from),
	'<=', 4, 'in a line, not in one for each run');
$node->safe_psql('other', 'ALTER TABLE dataflows.step_x RENAME TO step');
ok( wait_until(
		$node, "SELECT count(*) = 20 FROM dataflows.runs WHERE state = 'waiting'",
		120, 'other'),
	'the answers were kept: all runs go on');
is(scalar(grep { $systems->ever("late-$_\@example.com") ne '1/1/1/0' } 1 .. 20),
	0, 'by the books each record was made once');

$node->stop('fast');
$systems->stop;
done_testing();
