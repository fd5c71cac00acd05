# examples/programs: the programs insert, wait and signal, directly and behind a pooler in
# transaction mode, of which await() takes a connection and polling does not.

use strict;
use warnings;

use Cwd qw(abs_path);
use IO::Socket::INET;
use IPC::Run ();
use Test::More;
use Time::HiRes qw(time usleep);
use PostgreSQL::Test::Cluster;
use PostgreSQL::Test::Utils;
use Dataflows;

my $programs = abs_path('examples/programs');
# Debian's python3 has Debian's psycopg2, whatever else is on the path
my ($python) = grep { -x } qw(/usr/bin/python3);
my ($pooler) = grep { -x } map { "$_/pgbouncer" } split(/:/, $ENV{PATH}), '/usr/sbin';

chomp(my $modules = `npm root -g 2>/dev/null` // '');
$ENV{NODE_PATH} = "$programs/node_modules:$modules";
my %program;

$program{python} = [ $python, "$programs/signup.py" ]
	if $python && system("$python -c 'import psycopg2' 2>/dev/null") == 0;
$program{node} = [ 'node', "$programs/signup.js" ]
	if system(q{node -e 'require("pg")' 2>/dev/null}) == 0;

my $systems = start_systems();
my $node = new_node('programs');
my $callback = PostgreSQL::Test::Cluster::get_free_port();

$node->safe_psql('postgres', <<'SQL');
CREATE EXTENSION dataflows;
CREATE ROLE app LOGIN;
GRANT CREATE ON SCHEMA public TO app;
SELECT dataflows.allow_author('app');
SQL
# what its page has a superuser do
my ($setup) = slurp_file("$programs/README.md") =~ /^```sql\n(.*?)^```/ms;

$setup =~ s{http://127\.0\.0\.1:8101}{$systems->url('identity')}e;
$setup =~ s{127\.0\.0\.1:8200}{127.0.0.1:$callback};
$node->safe_psql('postgres', $setup);
as_app($node, 'postgres', slurp_file("$programs/workflow.sql"));

my $direct = 'postgresql://web@/postgres?host=' . $node->host . '&port=' . $node->port;

# starts the program; its handle, and where its output comes
sub begin
{
	my ($program, $url, @arguments) = @_;
	my ($out, $err) = ('', '');

	local $ENV{DATABASE_URL} = $url;
	local $ENV{DIRECT_URL} = $direct;
	my $handle = IPC::Run::start([ @$program, @arguments ],
		'<', \undef, '>', \$out, '2>', \$err, IPC::Run::timeout(180));

	return { handle => $handle, out => \$out, err => \$err };
}

sub end_of
{
	my ($begun) = @_;

	$begun->{handle}->finish;
	return ${ $begun->{out} } . ${ $begun->{err} };
}

sub run_program { return end_of(begin(@_)); }

sub comes_true
{
	my ($condition) = @_;
	my $end = time() + 120;

	usleep(50_000) until $condition->() || time() > $end;
	return $condition->();
}

# as a person uses it: each way to wait hears that the run has ended
sub use_program
{
	my ($name, $url, $where) = @_;
	my $program = $program{$name};
	my $told = begin($program, $url, 'serve', $callback);

	chomp(my $id = run_program($program, $url, 'add', "$name\@example.com"));
	like($id, qr/^\d+$/, "$name, $where: inserts");
	my %waits = map { $_ => begin($program, $url, $_, $id) } qw(await poll listen);

	like(run_program($program, $url, 'confirm', $id), qr/^t(?:rue)?$/i, "$name, $where: signals");
	is(end_of($waits{$_}), "completed\n", "$name, $where: $_") for sort keys %waits;
	like(end_of($told), qr{^/signed-up $id \S+\n$}, "$name, $where: is told by the run");
	return;
}

sub start_pooler
{
	my $dir = PostgreSQL::Test::Utils::tempdir_short();
	my $port = PostgreSQL::Test::Cluster::get_free_port();

	append_to_file("$dir/users", qq{"web" ""\n"postgres" ""\n});
	append_to_file("$dir/pgbouncer.ini", <<"INI");
[databases]
postgres = host=${\ $node->host} port=${\ $node->port} dbname=postgres
[pgbouncer]
listen_addr = 127.0.0.1
listen_port = $port
unix_socket_dir = $dir
auth_type = trust
auth_file = $dir/users
admin_users = postgres
pool_mode = transaction
default_pool_size = 1
INI
	my ($out, $err);
	my $handle = IPC::Run::start([ $pooler, '-q', "$dir/pgbouncer.ini" ],
		'<', \undef, '>', \$out, '2>', \$err);

	ok( comes_true(
			sub { IO::Socket::INET->new(PeerAddr => '127.0.0.1', PeerPort => $port) }),
		'the pooler listens') or diag($err);
	return ($handle, $port);
}

# clients of web that wait for a connection of the pool
sub queued
{
	my ($port) = @_;
	my ($out, $err);

	IPC::Run::run([ 'psql', '-X', '-A', '-t', '-h', '127.0.0.1', '-p', $port, '-U', 'postgres',
			'-d', 'pgbouncer', '-c', 'SHOW POOLS' ],
		'<', \undef, '>', \$out, '2>', \$err);
	my ($line) = $out =~ /^postgres\|web\|(.*)$/m;

	return (split /\|/, $line // '0|0')[1];
}

for my $name (qw(python node))
{
	SKIP:
	{
		skip "$name has no driver for PostgreSQL", 6 unless $program{$name};
		use_program($name, $direct, 'directly');
	}
}
SKIP:
{
	skip 'pgbouncer is not installed', 1 unless $pooler;
	my ($handle, $port) = start_pooler();
	my $url = "postgresql://web\@127.0.0.1:$port/postgres";

	for my $name (grep { $program{$_} } qw(python node))
	{
		my $program = $program{$name};

		chomp(my $id = run_program($program, $url, 'add', "pool-$name\@example.com"));
		# the pool has one connection: two that poll share it, and it is free for the signal
		my $told = begin($program, $url, 'serve', $callback);
		my @polls = map { begin($program, $url, 'poll', $id) } 1, 2;
		my $listens = begin($program, $url, 'listen', $id);

		like(run_program($program, $url, 'confirm', $id),
			qr/^t/i, "$name, behind a pooler: signals while others poll");
		is(end_of($_), "completed\n", "$name, behind a pooler: polls") for @polls;
		is(end_of($listens), "completed\n", "$name, beside the pooler: listens");
		like(end_of($told), qr{^/signed-up $id}, "$name, behind a pooler: is told by the run");

		# await() has it for itself until it returns
		chomp($id = run_program($program, $url, 'add', "held-$name\@example.com"));
		$told = begin($program, $url, 'serve', $callback);
		my $awaits = begin($program, $url, 'await', $id);

		ok( $node->poll_query_until('postgres', <<'SQL'), "$name, behind a pooler: awaits");
SELECT count(*) = 1 FROM pg_stat_activity WHERE usename = 'web' AND query LIKE '%dataflows.await%'
 AND state = 'active'
SQL
		my $poll = begin($program, $url, 'poll', $id);

		ok(comes_true(sub { queued($port) == 1 }),
			"$name: who polls meanwhile waits for the connection");
		as_app($node, 'postgres',
			"SELECT dataflows.signal_by_key('signup', '$id', 'email-confirmed')");
		is(end_of($awaits), "completed\n", "$name: await returns");
		is(end_of($poll), "completed\n", "$name: and the other one has its turn");
		end_of($told);
	}
	$handle->kill_kill;
}
$node->stop;
done_testing();
