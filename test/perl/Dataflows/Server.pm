# The server of a test: started with the extension preloaded, locked, killed, started again.

package Dataflows::Server;

use strict;
use warnings;

use Exporter 'import';
use IO::Socket::INET;
use PostgreSQL::Test::Cluster;
use PostgreSQL::Test::Utils;
use Time::HiRes qw(time usleep);
use Dataflows::Sql;

our @EXPORT = qw(new_node lock_for_good end_lock deliver_unheard pids_of is_there kill_process
	kill_postmaster restart_hard retry_killed);

# A server with the extension preloaded, sockets only, durable.
sub new_node
{
	my ($name, %params) = @_;
	my $node = PostgreSQL::Test::Cluster->new($name);
	my $preload = $params{preload} // 'dataflows';

	$node->init;
	$node->append_conf('postgresql.conf', <<"CONF");
shared_preload_libraries = '$preload'
max_worker_processes = 32
fsync = on
restart_after_crash = on
log_statement = none
log_line_prefix = '%m [%p] %b %d '
max_wal_size = 256MB
checkpoint_timeout = 30min
max_prepared_transactions = 4
CONF
	$node->append_conf('postgresql.conf', $params{conf}) if $params{conf};
	$node->start unless $params{no_start};
	return $node;
}

# Locks tables: the lock outlives its session, and the server.
sub lock_for_good
{
	my ($node, $tables) = @_;

	$node->safe_psql('postgres', "BEGIN; LOCK TABLE $tables; PREPARE TRANSACTION 'lock'");
	return;
}

sub end_lock
{
	my ($node) = @_;

	$node->safe_psql('postgres', "ROLLBACK PREPARED 'lock'");
	return;
}

# A delivery to the listener at this port, once it listens.  Nobody waits for the response: the
# socket, which closes when it is forgotten.
sub deliver_unheard
{
	my ($port, $path) = @_;
	my $end = time() + 30;
	my $socket;

	usleep(100_000)
		until ($socket = IO::Socket::INET->new(PeerAddr => '127.0.0.1', PeerPort => $port))
		|| time() > $end;
	syswrite($socket, "POST $path HTTP/1.1\r\nHost: x\r\nContent-Length: 2\r\n\r\n{}");
	return $socket;
}

# kind: launcher, coordinator, worker
sub pids_of
{
	my ($node, $kind) = @_;
	my ($rc, $out) = try_psql(
		$node, 'postgres',
		"SELECT pid FROM pg_stat_activity WHERE backend_type LIKE 'dataflows%$kind%'
			ORDER BY random()"
	);

	return $rc == 0 ? split(/\n/, $out) : ();
}

sub kill_process
{
	my ($signal, $pid) = @_;

	return kill($signal, $pid);
}

sub _children
{
	my ($pid) = @_;
	my @children;

	for my $stat (glob '/proc/[0-9]*/stat')
	{
		open(my $file, '<', $stat) or next;
		my $line = <$file> // '';
		close $file;
		push @children, $1 if $line =~ /^(\d+) \(.*\) \S (\d+)/ && $2 == $pid;
	}
	return @children;
}

# a process that runs; one that has ended may wait for somebody to ask how
sub is_there
{
	my ($pid) = @_;

	open(my $file, '<', "/proc/$pid/stat") or return 0;
	my $line = <$file> // '';
	close $file;
	return $line =~ /^\d+ \(.*\) [^ZX] /;
}

# kill -9 of the postmaster.  Every child, ours too, must notice and end by
# itself: the seconds until the last one has.
sub kill_postmaster
{
	my ($node) = @_;
	my ($pid) =
		PostgreSQL::Test::Utils::slurp_file($node->data_dir . '/postmaster.pid') =~ /^(\d+)/;
	my @children = _children($pid);
	my $begun = time();
	my $took;

	# PostgreSQL's startup process, left without a checkpointer, goes on for a minute
	$node->kill9;
	usleep(10_000) while (time() < $begun + 90 && grep { is_there($_) } @children);
	$took = time() - $begun;
	@children = grep { is_there($_) } @children;
	if (@children)
	{
		kill('KILL', @children);
		die "left by the postmaster: @children";
	}
	# a new one is not started as long as there is any process of that number
	usleep(10_000) while (time() < $begun + 60 && kill(0, $pid));
	return $took;
}

# kill -9 of the postmaster or an immediate shutdown, then a start
sub restart_hard
{
	my ($node, $how) = @_;

	if ($how eq 'kill')
	{
		kill_postmaster($node);
	}
	else
	{
		$node->stop('immediate');
	}
	$node->start;
	return;
}

# Runs in whose bodies the test has killed a process three times are stuck, as if they had crashed
# it.  Who knows
# better lets them go on.
sub retry_killed
{
	my ($node) = @_;

	try_psql(
		$node, 'postgres',
		"SELECT dataflows.retry(run, 'killed by the test') FROM dataflows.runs WHERE state = 'stuck'
			AND stuck->>'sqlstate' = '57P02'"
	);
	return;
}

1;
