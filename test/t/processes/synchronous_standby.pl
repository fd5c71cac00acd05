# Synchronous replication: nothing leaves whose intent is not on the standby,
# whoever cancels the wait for it, and what did not leave has used no attempt.

use strict;
use warnings;

use IO::Select;
use IO::Socket::INET;
use Test::More;
use Time::HiRes qw(time usleep);
use PostgreSQL::Test::Cluster;
use Dataflows;

my $systems = start_systems();
my $port = PostgreSQL::Test::Cluster::get_free_port();
my $node = new_node('syncrep', no_start => 1, conf => <<"CONF");
dataflows.sweep_interval = '1s'
dataflows.worker_idle = '10min'
dataflows.ingress_role = 'hears'
dataflows.listen = '127.0.0.1:$port'
wal_level = replica
max_wal_senders = 4
synchronous_commit = on
CONF
my $standby = PostgreSQL::Test::Cluster->new('standby');
my $waits = "SELECT count(*) > 0 FROM pg_stat_activity WHERE backend_type LIKE 'dataflows %s'
		AND wait_event = 'SyncRep'";

# the name of the standby that is waited for, '' = none
sub wait_for_standby
{
	my ($name) = @_;

	$node->safe_psql('postgres', "ALTER SYSTEM SET synchronous_standby_names = '$name'");
	$node->reload;
	return wait_until($node, "SELECT current_setting('synchronous_standby_names') = '$name'", 30);
}

# a row whose own commit waits for nobody
sub sign_up
{
	my ($email) = @_;

	return as_app(
		$node, 'postgres',
		"SET synchronous_commit = local; INSERT INTO app.signups (email, name)
			VALUES ('$email', 'N')"
	);
}

sub seen_waiting { return wait_until($node, sprintf($waits, $_[0]), 30); }

sub attempts
{
	return $node->safe_psql(
		'postgres',
		"SELECT string_agg(s.state || ' ' || s.attempts, ', ') FROM dataflows.steps s
			JOIN dataflows.runs r USING (run) WHERE r.input->>'email' = '$_[0]'"
	);
}

# until they have been heard, many times over
sub cancel_all
{
	my ($kind) = @_;

	for (1 .. 10)
	{
		$node->safe_psql(
			'postgres',
			"SELECT pg_cancel_backend(pid) FROM pg_stat_activity
				WHERE backend_type = 'dataflows $kind'"
		);
		usleep(50_000);
	}
	return;
}

$node->start;
$node->safe_psql('postgres', 'CREATE ROLE hears LOGIN');
create_systems($node, 'postgres', $systems);
as_app($node, 'postgres', <<'SQL');
SELECT dataflows.create_webhook('/in', starts => 'customer-onboarding');
INSERT INTO app.signups (email, name) VALUES ('first@x', 'N');
SQL
ok(wait_until($node, "SELECT state = 'waiting' FROM dataflows.runs"),
	'the engine is there, and so is a worker');

# ---- nobody is there to wait for, and somebody cancels -------------------------------------

wait_for_standby('nowhere');
sign_up('cancelled@x');
ok(seen_waiting('worker'), 'a worker waits for the standby');
is( $node->safe_psql(
		'postgres', "SELECT waits_for FROM dataflows.status() WHERE process = 'worker'"),
	'a synchronous standby: see synchronous_standby_names',
	'and status() says so');
cancel_all('worker');
ok(seen_waiting('worker'), 'and goes on waiting, whoever cancels it');
is($systems->ever('cancelled@x'), '0/0/0/0', 'nothing has left');

# ---- a delivery that is not on the standby is not answered ----------------------------------

my $delivery = IO::Socket::INET->new(PeerAddr => '127.0.0.1', PeerPort => $port);

syswrite($delivery,
	"POST /in HTTP/1.1\r\nHost: x\r\nContent-Length: 20\r\n\r\n{\"email\": \"hook\@x\"} ");
ok(seen_waiting('ingress'), 'the ingress waits for it, too');
cancel_all('ingress');
ok(!IO::Select->new($delivery)->can_read(0.5), 'and answers nobody when it is cancelled');

# ---- who is ended takes back what has not left ------------------------------------------------

my $worker = $node->safe_psql('postgres',
	"SELECT pid FROM pg_stat_activity WHERE backend_type = 'dataflows worker'");

$node->safe_psql('postgres', "SELECT pg_terminate_backend($worker)");
my $end = time() + 30;

usleep(50_000) while is_there($worker) && time() < $end;
ok(!is_there($worker), 'a worker that waits can be ended');
is($systems->ever('cancelled@x'), '0/0/0/0', 'nothing has left');
# the coordinator, which starts the next one, may wait itself
ok(seen_waiting('%'), 'who comes next waits again');
is($systems->ever('cancelled@x'), '0/0/0/0', 'and still nothing has left');

# ---- a shutdown --------------------------------------------------------------------------------

my $begun = time();

{
	local $ENV{PGCTLTIMEOUT} = 20;
	ok($node->stop('fast', fail_ok => 1),
		'a fast shutdown ends the server, though the standby is away');
}
diag(sprintf('it took %.1f s', time() - $begun)) if time() - $begun > 5;
ok(!IO::Select->new($delivery)->can_read(0) || !sysread($delivery, my $answer, 1000),
	'the delivery is not answered');
is($systems->ever('cancelled@x'), '0/0/0/0', 'nothing has left');

$node->start;
wait_for_standby('');
ok(wait_until($node, "SELECT count(*) = 0 FROM dataflows.runs WHERE state NOT IN ('waiting')"),
	'with nobody to wait for, all goes on');
is($systems->ever('cancelled@x'), '1/1/1/0', 'each request has had one effect');
is( attempts('cancelled@x'),
	'done 1, done 1, done 1, waiting 0',
	'at the first attempt: what was taken back has used none');
is( $node->safe_psql(
		'postgres', "SELECT count(*) FROM dataflows.attempts WHERE outcome NOT IN ('done', 'ok')"),
	'0',
	'and none was in doubt'
) or diag($node->safe_psql('postgres', 'SELECT * FROM dataflows.attempts'));

# ---- a standby that is there, and then takes over ------------------------------------------------

$node->backup('base');
$standby->init_from_backup($node, 'base', has_streaming => 1);
$standby->append_conf('postgresql.conf',
		  "primary_conninfo = '"
		. $node->connstr
		. " application_name=standby'\ndataflows.listen = ''\nsynchronous_standby_names = ''\n");
$standby->append_conf('postgresql.auto.conf', "synchronous_standby_names = ''\n");
$standby->start;
wait_for_standby('standby');
ok(wait_until($node, "SELECT count(*) = 1 FROM pg_stat_replication WHERE sync_state = 'sync'"),
	'a synchronous standby');
is( $standby->safe_psql(
		'postgres', "SELECT reason FROM dataflows.status() WHERE process = 'launcher'"),
	'this server is a standby: the engine starts when it is promoted',
	'its status() sends nobody to the log for a launcher that is not meant to be there');
as_app($node, 'postgres', "INSERT INTO app.signups (email, name) VALUES ('there\@x', 'N')");
ok( wait_until(
		$node, "SELECT state = 'waiting' FROM dataflows.runs WHERE input->>'email' = 'there\@x'"),
	'with it all goes on');

$standby->stop('immediate');
sign_up('lost@x');
ok(seen_waiting('worker'), 'without it the worker waits');
cancel_all('worker');
kill_postmaster($node);
$standby->start;
$standby->promote;
ok( wait_until(
		$standby,
		"SELECT count(*) = 1 FROM pg_stat_activity WHERE backend_type = 'dataflows coordinator'"),
	'the standby takes over');
as_app(
	$standby, 'postgres',
	"SELECT dataflows.signal_by_key('customer-onboarding', id::text, 'email-confirmed')
		FROM app.signups"
);
ok(wait_until($standby, "SELECT count(*) = 3 FROM dataflows.runs WHERE state = 'completed'", 60),
	'and completes the runs it has');
is( $standby->safe_psql(
		'postgres', "SELECT count(*) FROM dataflows.runs WHERE input->>'email' = 'lost\@x'"),
	'0',
	'it does not know of the last one');
is($systems->ever('lost@x'), '0/0/0/0', 'for which nothing has left');
is($systems->ever('there@x'), '1/1/1/1', 'and the others have had one effect each');

$standby->stop;
$systems->stop;
done_testing();
