# A thousand runs wait, for free, across a restart and a crash.

use strict;
use warnings;

use Test::More;
use Time::HiRes qw(time sleep);
use PostgreSQL::Test::Cluster;
use Dataflows;

my $count = 1000;
my $systems = start_systems();
my $node = new_node('waiting', conf => "dataflows.worker_idle = '2s'");

create_systems($node, 'postgres', $systems);
$node->safe_psql('postgres', 'CREATE DATABASE other');
as_app(
	$node, 'postgres',
	"INSERT INTO app.signups (email, name) SELECT 'w' || i || '\@example.com', 'N'
		FROM generate_series(1, $count) i"
);
my $waiting = "SELECT count(*) = $count FROM dataflows.runs WHERE state = 'waiting'";

ok(wait_until($node, $waiting, 60), "$count runs wait");

# idle: no processor time, no transactions
sub processor_time
{
	my $ticks = 0;

	for my $pid (pids_of($node, ''))
	{
		open(my $file, '<', "/proc/$pid/stat") or next;
		my @fields = split / /, <$file> =~ s/^.*\) //r;
		close $file;
		$ticks += $fields[11] + $fields[12];
	}
	return $ticks;
}

sub transactions
{
	return number_of($node,
		"SELECT xact_commit + xact_rollback FROM pg_stat_database WHERE datname = 'postgres'",
		'other');
}

ok( wait_until(
		$node,
		"SELECT count(*) = 0 FROM pg_stat_activity WHERE backend_type LIKE 'dataflows%worker%'",
		30, 'other'),
	'the idle worker retires');
let_pass(2);
my ($ticks, $transactions) = (processor_time(), transactions());

let_pass(5);
$ticks = processor_time() - $ticks;
# pids_of() looks in twice from the database postgres
$transactions = transactions() - $transactions;
cmp_ok($ticks, '<=', 1, 'idle means no processor time');
cmp_ok($transactions, '<=', 4, 'and no transactions but a sweep');

$node->restart;
ok(wait_until($node, $waiting, 30), 'they wait after a restart');
restart_hard($node, 'kill');
ok(wait_until($node, $waiting, 30), 'they wait after kill -9 of the postmaster');

my $begun = time();

as_app(
	$node, 'postgres',
	"SELECT dataflows.signal_by_key('customer-onboarding', id::text, 'email-confirmed')
		FROM app.signups"
);
ok(wait_until($node, "SELECT count(*) = $count FROM dataflows.runs WHERE state = 'completed'", 60),
	sprintf('signalled in bulk, all are completed'));
note(sprintf('%.1f s', time() - $begun));

my @wrong = reconcile($node, $systems);

is(scalar(@wrong), 0, 'the books agree with the runs')
	or diag(join("\n", @wrong[ 0 .. ($#wrong < 20 ? $#wrong : 20) ]));

# signalled while the server restarts: durable, unlike NOTIFY
as_app($node, 'postgres',
	"INSERT INTO app.signups (email, name) VALUES ('last\@example.com', 'N')");
ok(wait_until($node, "SELECT count(*) = 1 FROM dataflows.runs WHERE state = 'waiting'"),
	'one more waits');
as_app(
	$node, 'postgres',
	"SELECT dataflows.signal_by_key('customer-onboarding', max(id)::text, 'email-confirmed')
		FROM app.signups"
);
restart_hard($node, 'immediate');
ok(wait_for_runs($node, ['completed'], 30), 'a signal just before a crash is not lost');
is($systems->ever('last@example.com'), '1/1/1/1', 'each record once');

$node->stop;
$systems->stop;
done_testing();
