# A worker, or the listener, that may open nothing more: that is nobody's fault, uses
# no attempt, opens no breaker and uses up no processor.

use strict;
use warnings;

use HTTP::Tiny;
use IO::Socket::INET;
use Test::More;
use PostgreSQL::Test::Cluster;
use PostgreSQL::Test::Utils;
use Dataflows;

if (system("prlimit --pid $$ --nofile >/dev/null 2>&1") != 0)
{
	plan skip_all => 'there is no prlimit to take descriptors away with';
}

my $port = PostgreSQL::Test::Cluster::get_free_port();
my $systems = start_systems();
my $node = new_node('descriptors', no_start => 1, conf => <<"CONF");
dataflows.sweep_interval = '1s'
dataflows.worker_idle = '10min'
dataflows.listen = '127.0.0.1:$port'
dataflows.ingress_role = 'hearer'
CONF

sub limit
{
	my ($pid, $n) = @_;

	return system("prlimit --pid $pid --nofile=$n: 2>/dev/null") == 0;
}

sub open_files { my ($pid) = @_; my @files = glob "/proc/$pid/fd/*"; return scalar @files; }

# a limit that leaves nothing free: the lowest one above all that is open
sub starve
{
	my ($pid) = @_;
	my ($highest) = sort { $b <=> $a } map { m{/(\d+)$} } glob "/proc/$pid/fd/*";
	my %used = map { m{/(\d+)$} => 1 } glob "/proc/$pid/fd/*";
	my $free = 0;

	$free++ while $used{$free};
	return limit($pid, $free);
}

sub process
{
	my ($kind) = @_;
	return $node->safe_psql('postgres',
		"SELECT pid FROM pg_stat_activity WHERE backend_type = 'dataflows $kind'");
}

sub start_runs
{
	my ($name, $n) = @_;

	return as_app(
		$node, 'postgres',
		"SELECT count(dataflows.start('onboard', jsonb_build_object('email', '$name-' || i ||
			'\@example.com'))) FROM generate_series(1, $n) i"
	);
}

sub all_is_well
{
	my ($name, $n) = @_;
	my $counts =
		"SELECT count(*) FROM dataflows.runs WHERE input->>'email' LIKE '$name-%' AND state";

	ok(wait_until($node, "SELECT ($counts = 'completed') = $n", 90), "$name: all runs complete");
	is(number_of($node, 'SELECT count(*) FROM dataflows.attempt'),
		0, "$name: no attempt is on record as failed");
	is(number_of($node, 'SELECT count(*) FROM dataflows.steps WHERE attempts <> 1'),
		0, "$name: no step used a second one");
	is( $node->safe_psql(
			'postgres', 'SELECT count(*) FROM dataflows.systems WHERE breaker <> \'closed\''),
		'0',
		"$name: no breaker is open");
	for my $system (qw(identity billing))
	{
		my %books = %{ $systems->summary($system) };
		my @of = grep { /^$name-/ } keys %books;

		is(scalar @of, $n, "$name: $system has them all");
		is(scalar(grep { $books{$_}[0] != 1 || $books{$_}[1] != 1 } @of), 0, "$name: each once");
	}
	return;
}

# ---- a server with few descriptors ---------------------------------------------------------

my ($soft) = `prlimit --pid $$ --nofile --output SOFT --noheadings` =~ /(\d+)/;

limit($$, 140);
$node->start;
limit($$, $soft // 1024);
create_systems(
	$node,
	'postgres',
	$systems,
	workflow => 0,
	options => {
		max_concurrency => 256,
		breaker_failures => 3,
		retry_max_attempts => 3,
		timeout => '20s'
	});
$node->safe_psql('postgres', 'CREATE ROLE hearer LOGIN');
as_app($node, 'postgres', <<'SQL');
CREATE FUNCTION app.onboard(e jsonb) RETURNS jsonb LANGUAGE plpgsql AS $$
BEGIN
  PERFORM dataflows.post('create-account', 'identity', '/users', e, undo => 'DELETE /users/{id}');
  PERFORM dataflows.post('create-billing', 'billing', '/customers', e,
    undo => 'DELETE /customers/{id}');
  RETURN NULL;
END $$;
CREATE FUNCTION app.takes(e jsonb) RETURNS jsonb LANGUAGE plpgsql AS $$ BEGIN RETURN e; END $$;
SELECT dataflows.define_workflow('onboard', 'app.onboard'), dataflows.define_workflow('takes',
  'app.takes');
SELECT dataflows.create_webhook('/in', starts => 'takes');
SQL
$systems->fault($_, probability => 1, fault => 'latency', ms => 300) for qw(identity billing);
start_runs('few', 150);
all_is_well('few', 150);
like(
	slurp_file($node->logfile),
	qr/has descriptors for \d+ requests at a time/,
	'the log says that there are fewer than wanted');

# ---- none at all, for a while ---------------------------------------------------------------

my $worker = process('worker');

# what rests on idle connections is closed by then
ok(wait_until($node, 'SELECT sum(in_flight) = 0 FROM dataflows.status()'), 'nothing is in flight');
let_pass(6);
ok(starve($worker), 'the worker may open nothing more');
start_runs('none', 20);
ok( wait_until(
		$node,
		"SELECT count(*) = 1 FROM dataflows.status() WHERE process = 'worker'
			AND reason LIKE '%could not send requests%open files%'",
		90),
	'status() says why nothing is sent') or diag(open_files($worker) . ' open files of the worker');
like(slurp_file($node->logfile), qr/could not send requests: .*open files/, 'and so does the log');
limit($worker, 140);
all_is_well('none', 20);
is(process('worker'), $worker, 'the worker is the same');
ok( wait_until(
		$node, "SELECT count(*) = 0 FROM dataflows.status() WHERE reason LIKE '%could not send%'"),
	'status() says nothing of it any more');

# ---- the listener ------------------------------------------------------------------------------

my $ingress = process('ingress');
my $http = HTTP::Tiny->new(timeout => 60);

sub ticks
{
	my ($pid) = @_;
	return (split / /, slurp_file("/proc/$pid/stat") =~ s/^.*\) //r)[11] +
		(split / /, slurp_file("/proc/$pid/stat") =~ s/^.*\) //r)[12];
}

like($http->post("http://127.0.0.1:$port/in", { content => '{}' })->{status},
	qr/^2/, 'a webhook is heard');
let_pass(1);
ok(starve($ingress), 'the listener may open nothing more');
my $socket = IO::Socket::INET->new(PeerAddr => '127.0.0.1', PeerPort => $port);
ok( wait_until(
		$node,
		"SELECT count(*) = 1 FROM dataflows.status() WHERE process = 'ingress'
			AND reason LIKE '%could not accept connections%'",
		60),
	'status() says so');
my $before = ticks($ingress);
let_pass(4);
cmp_ok(ticks($ingress) - $before, '<', 200, 'and it does not use up a processor');
limit($ingress, 140);
close $socket;
like($http->post("http://127.0.0.1:$port/in", { content => '{}' })->{status},
	qr/^2/, 'webhooks are heard again');

$node->stop;
done_testing();
