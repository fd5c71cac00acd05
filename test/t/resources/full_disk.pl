# The disk is full while answers come: they are kept, and recorded when there is
# room again.  Nothing is in doubt, nothing is undone, and nothing is sent twice.

use strict;
use warnings;

use HTTP::Tiny;
use Test::More;
use PostgreSQL::Test::Cluster;
use PostgreSQL::Test::Utils;
use Dataflows;

# A disk that is full while a file is there: files of tables cannot grow.
my $shim_source = <<'C';
#define _GNU_SOURCE
#include <dlfcn.h>
#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <sys/uio.h>
#include <unistd.h>

static int
full(int fd, off_t end)
{
	const char *flag = getenv("FULL_DISK");
	char link[64], path[4096];
	struct stat st;
	ssize_t n;

	if (flag == NULL || access(flag, F_OK) != 0 || fstat(fd, &st) != 0 || end <= st.st_size)
		return 0;
	snprintf(link, sizeof(link), "/proc/self/fd/%d", fd);
	n = readlink(link, path, sizeof(path) - 1);
	if (n < 0)
		return 0;
	path[n] = '\0';
	return strstr(path, "/base/") != NULL;
}

static size_t
total(const struct iovec *iov, int n)
{
	size_t sum = 0;

	for (int i = 0; i < n; i++)
		sum += iov[i].iov_len;
	return sum;
}

#define REAL(name) (real = real ? real : dlsym(RTLD_NEXT, name))

ssize_t
pwrite(int fd, const void *buf, size_t n, off_t at)
{
	static ssize_t (*real) (int, const void *, size_t, off_t);

	if (full(fd, at + n)) { errno = ENOSPC; return -1; }
	return REAL("pwrite")(fd, buf, n, at);
}

ssize_t pwrite64(int fd, const void *buf, size_t n, off_t at) { return pwrite(fd, buf, n, at); }

ssize_t
pwritev(int fd, const struct iovec *iov, int n, off_t at)
{
	static ssize_t (*real) (int, const struct iovec *, int, off_t);

	if (full(fd, at + total(iov, n))) { errno = ENOSPC; return -1; }
	return REAL("pwritev")(fd, iov, n, at);
}

ssize_t pwritev64(int fd, const struct iovec *iov, int n, off_t at)
{
	return pwritev(fd, iov, n, at);
}

int
posix_fallocate(int fd, off_t at, off_t n)
{
	static int (*real) (int, off_t, off_t);

	if (full(fd, at + n)) return ENOSPC;
	return REAL("posix_fallocate")(fd, at, n);
}

int posix_fallocate64(int fd, off_t at, off_t n) { return posix_fallocate(fd, at, n); }
C

my $dir = PostgreSQL::Test::Utils::tempdir_short();
my $flag = "$dir/full";

append_to_file("$dir/full_disk.c", $shim_source);
if (system("cc -shared -fPIC -o $dir/full_disk.so $dir/full_disk.c -ldl 2>$dir/cc.log") != 0)
{
	plan skip_all => 'no C compiler: no disk that can be full';
}

my $port = PostgreSQL::Test::Cluster::get_free_port();
my $systems = start_systems();
my $node = new_node('full_disk', no_start => 1, conf => <<"CONF");
dataflows.sweep_interval = '1s'
dataflows.listen = '127.0.0.1:$port'
dataflows.ingress_role = 'hearer'
autovacuum = off
CONF
my $preload = $ENV{LD_PRELOAD} // '';

$ENV{FULL_DISK} = $flag;

sub start_node
{
	local $ENV{LD_PRELOAD} = $preload eq '' ? "$dir/full_disk.so" : "$preload $dir/full_disk.so";

	$node->start;
	return;
}

sub fill { append_to_file($flag, 'full'); return; }

sub make_room { unlink $flag; return; }

# undef: its row needs a new page, and there is none
sub start_query
{
	my ($i) = @_;
	my ($code, $out) = try_psql($node, 'postgres',
		"SELECT dataflows.start('writes', '{\"i\": $i}')", extra_params => [ '-U', 'app' ]);

	return $code == 0 ? $out : undef;
}

sub requests_to { my ($name) = @_; return scalar @{ $systems->requests($name) }; }

sub wait_for_requests
{
	my ($name, $n) = @_;
	my $end = time() + 60;

	select(undef, undef, undef, 0.05) while (requests_to($name) < $n && time() < $end);
	return requests_to($name) >= $n;
}

# said in the log so often
sub said
{
	my ($what) = @_;

	return scalar(() = slurp_file($node->logfile) =~ /$what/g);
}

start_node();
create_systems($node, 'postgres', $systems, workflow => 0);
$node->safe_psql('postgres', 'CREATE ROLE hearer LOGIN');
as_app($node, 'postgres', <<'SQL');
CREATE TABLE app.done (i int PRIMARY KEY, pad text);
CREATE FUNCTION app.work(e jsonb) RETURNS jsonb LANGUAGE plpgsql AS $$
BEGIN
  PERFORM dataflows.post('create-account', 'identity', '/users', jsonb_build_object('email',
    e->>'email', 'pad', e->>'pad'), undo => 'DELETE /users/{id}');
  PERFORM dataflows.post('create-billing', 'billing', '/customers', jsonb_build_object('email',
    e->>'email', 'pad', e->>'pad'), undo => 'DELETE /customers/{id}');
  RETURN NULL;
END $$;
CREATE FUNCTION app.writes(e jsonb) RETURNS jsonb LANGUAGE plpgsql AS $$
BEGIN
  RETURN dataflows.query('write',
    'INSERT INTO app.done SELECT ($1)::int, string_agg(md5(i::text), '''')
       FROM generate_series(1, 20000) i RETURNING i',
                         jsonb_build_array(e->>'i'));
END $$;
CREATE FUNCTION app.waits(e jsonb) RETURNS jsonb LANGUAGE plpgsql AS $$ BEGIN
  RETURN dataflows.wait_for('go'); END $$;
SELECT dataflows.define_workflow('work', 'app.work'), dataflows.define_workflow('writes',
  'app.writes'),
       dataflows.define_workflow('waits', 'app.waits');
SELECT dataflows.create_webhook('/in', starts => 'work', key => '$.id', verify => 'none');
SQL

# random, or it would be compressed to nothing
my $PAD = "(SELECT string_agg(md5(random()::text), '') FROM generate_series(1, 100) WHERE i > 0)";
my $WORKER = "SELECT pid FROM pg_stat_activity WHERE backend_type = 'dataflows worker'";
my $ALL_ENDED = "SELECT bool_and(state IN ('completed', 'rolled_back', 'stuck')) FROM dataflows.runs
		WHERE workflow = 'work'";

sub start_work
{
	my ($from, $to) = @_;

	return as_app(
		$node, 'postgres',
		"SELECT count(dataflows.start('work', jsonb_build_object('email', i || '\@example.com',
			'pad', $PAD), i::text)) FROM generate_series($from, $to) i"
	);
}

# ---- answers come while the disk is full ------------------------------------------------

my $waiting = as_app($node, 'postgres', "SELECT dataflows.start('waits')");

ok(wait_until($node, "SELECT state = 'waiting' FROM dataflows.runs WHERE run = '$waiting'"),
	'a run waits for a signal');
$systems->fault($_, probability => 1, fault => 'latency', ms => 1500) for qw(identity billing);
start_work(1, 20);
ok(wait_for_requests('identity', 20), 'twenty requests are on the wire');
my $worker = $node->safe_psql('postgres', $WORKER);
fill();
$systems->clear_faults;
ok( wait_until(
		$node,
		"SELECT count(*) = 1 FROM dataflows.status() WHERE process = 'worker'
			AND reason LIKE '%No space left%'",
		60),
	'status() says what the worker cannot do');
my $sent = requests_to('billing');

# ---- everybody else, meanwhile -----------------------------------------------------------

my ($rc, $out, $err) = $node->psql(
	'postgres',
	"INSERT INTO app.done SELECT -i, string_agg(md5(random()::text), '')
		FROM generate_series(1, 20) i, generate_series(1, 1000) GROUP BY i"
);
like($err, qr/No space left on device/, 'a session gets the error of PostgreSQL');

my $answer = HTTP::Tiny->new(timeout => 30)->request(
	'POST',
	"http://127.0.0.1:$port/in",
	{
		content => '{"id": "w", "email": "w@example.com", "pad": "'
			. join('', map { chr(97 + int(rand(26))) } 1 .. 40000) . '"}'
	});
is($answer->{status}, 503, 'a webhook that cannot be written is refused for now')
	or diag($answer->{content});
like($answer->{headers}{'retry-after'} // '', qr/^\d+$/, 'and says when to come again');

my $query = start_query(1);

# ---- there is room again -------------------------------------------------------------------

cmp_ok(said('No space left on device'), '<', 40, 'the log is not flooded');
is(requests_to('billing'), $sent, 'nothing was sent that is not recorded');
make_room();
$query //= start_query(1);
ok(wait_until($node, $ALL_ENDED, 120), 'all runs have ended');
is( $node->safe_psql(
		'postgres',
		"SELECT string_agg(DISTINCT state, ' ') FROM dataflows.runs WHERE workflow = 'work'"),
	'completed',
	'and completed');
is(number_of($node, "SELECT count(*) FROM dataflows.attempt"),
	0, 'no attempt is on record as failed');
is( number_of(
		$node,
		"SELECT count(*) FROM dataflows.steps WHERE system IN ('identity', 'billing')
			AND attempts <> 1"
	),
	0,
	'no step used a second one');
is($node->safe_psql('postgres', $WORKER), $worker, 'the worker is the same');

for my $name (qw(identity billing))
{
	my %books = %{ $systems->summary($name) };

	is(join(' ', map { "$_->[0]/$_->[1]" } grep { $_->[0] != 1 || $_->[1] != 1 } values %books),
		'', "$name made each record once");
	is(scalar keys %books, 20, "and all of them");
	is(requests_to($name), 20, 'with one request each');
}
ok( wait_until(
		$node, "SELECT count(*) = 0 FROM dataflows.status() WHERE reason LIKE '%No space left%'"),
	'status() says nothing of it any more');
ok(wait_until($node, "SELECT state = 'completed' FROM dataflows.runs WHERE run = '$query'", 120),
	'the query step was carried out');
is(number_of($node, 'SELECT count(*) FROM app.done WHERE i = 1'), 1, 'once');

# ---- a query step -----------------------------------------------------------------------------

# where its row needs a new page, give the table one
for (1 .. 20)
{
	fill();
	last if defined($query = start_query(2));
	make_room();
	start_query(3);
}
# its rows may have room where its own SQL has none
ok( wait_until(
		$node,
		"SELECT EXISTS (SELECT FROM dataflows.status() WHERE reason LIKE '%No space left%')
			OR EXISTS (SELECT FROM dataflows.steps WHERE run = '$query'
				AND error->>'message' LIKE '%No space left%')",
		60),
	'a step that cannot be carried out or recorded waits for room') or make_room();
make_room();
ok(wait_until($node, "SELECT state = 'completed' FROM dataflows.runs WHERE run = '$query'", 120),
	'and is carried out then');
is(number_of($node, 'SELECT count(*) FROM app.done WHERE i = 2'), 1, 'once');

# ---- a signal by NOTIFY that cannot be written ---------------------------------------------

fill();
$node->safe_psql(
	'postgres',
	"SELECT pg_notify('dataflows', jsonb_build_object('run', '$waiting', 'event', 'go', 'payload',
		(SELECT string_agg(md5(random()::text), '') FROM generate_series(1, 200)))::text)"
);
ok( wait_until(
		$node,
		"SELECT count(*) = 1 FROM dataflows.status() WHERE process = 'coordinator'
			AND reason LIKE '%No space left%'",
		60),
	'the coordinator says that it cannot write a signal') or make_room();
make_room();
ok( wait_until($node, "SELECT state = 'completed' FROM dataflows.runs WHERE run = '$waiting'", 120),
	'a signal by NOTIFY is written later');

# ---- a stop while the disk is full ----------------------------------------------------------

$systems->reset;
$systems->fault($_, probability => 1, fault => 'latency', ms => 1500) for qw(identity billing);
start_work(101, 105);
ok(wait_for_requests('identity', 5), 'five requests are on the wire');
fill();
$systems->clear_faults;
wait_until(
	$node,
	"SELECT count(*) = 1 FROM dataflows.status() WHERE process = 'worker'
		AND reason LIKE '%No space left%'",
	60);
$node->stop('fast');
make_room();
start_node();
ok(wait_until($node, $ALL_ENDED, 120), 'after a stop with a full disk all runs end');
is( $node->safe_psql(
		'postgres',
		"SELECT string_agg(DISTINCT state, ' ') FROM dataflows.runs WHERE workflow = 'work'"),
	'completed',
	'the systems were asked again with the same key');
my %books = %{ $systems->summary('identity') };
is(join(' ', map { "$_->[0]/$_->[1]" } grep { $_->[0] != 1 || $_->[1] != 1 } values %books),
	'', 'and made each record once');

$node->stop;
done_testing();
