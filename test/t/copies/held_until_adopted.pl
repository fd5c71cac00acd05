# A copy of the database does not talk to the world until somebody adopts it.

use strict;
use warnings;

use Test::More;
use PostgreSQL::Test::Cluster;
use PostgreSQL::Test::Utils;
use Dataflows;

my $systems = start_systems();
my $node =
	new_node('copies', conf => "dataflows.sweep_interval = '1s'\ndataflows.worker_idle = '1s'");

create_systems($node, 'postgres', $systems);
$node->safe_psql('postgres', 'CREATE DATABASE other');
as_app(
	$node, 'postgres',
	"INSERT INTO app.signups (email, name) SELECT 'c' || i || '\@example.com', 'N'
		FROM generate_series(1, 10) i"
);
ok(wait_until($node, "SELECT count(*) = 10 FROM dataflows.runs WHERE state = 'waiting'"),
	'ten runs wait');

# by template, and by dump and restore into another database
$node->safe_psql('other', 'CREATE DATABASE template_copy TEMPLATE postgres');
$node->safe_psql('other', 'CREATE DATABASE dump_copy');
my $dump = PostgreSQL::Test::Utils::tempdir() . '/dump.sql';

$node->command_ok([ 'pg_dump', '-f', $dump, '-d', $node->connstr('postgres') ],
	'the database is dumped');
$node->command_ok(
	[ 'psql', '-X', '-q', '-v', 'ON_ERROR_STOP=1', '-f', $dump, '-d', $node->connstr('dump_copy') ],
	'and restored');

my $sent = scalar @{ $systems->requests('email') };

for my $copy (qw(template_copy dump_copy))
{
	is(number_of($node, "SELECT count(*) FROM dataflows.runs WHERE state = 'waiting'", $copy),
		10, "$copy: the runs are there");
	as_app(
		$node, $copy,
		"SELECT dataflows.signal_by_key('customer-onboarding', id::text, 'email-confirmed')
			FROM app.signups"
	);
	as_app($node, $copy,
		"INSERT INTO app.signups (email, name) VALUES ('new-$copy\@example.com', 'N')");
	ok( wait_until(
			$node, "SELECT bool_or(coalesce(reason, '') LIKE '%adopt%') FROM dataflows.status()",
			30, $copy),
		"$copy: status() says that it is held");
}

# three sweeps later nothing has moved
my $since = $node->safe_psql('postgres', 'SELECT clock_timestamp()');

ok(wait_until($node, "SELECT clock_timestamp() > '$since'::timestamptz + interval '4 s'"),
	'some sweeps pass');
is(scalar @{ $systems->requests('email') }, $sent, 'no copy has sent a mail');
for my $copy (qw(template_copy dump_copy))
{
	is($systems->ever("new-$copy\@example.com"), '0/0/0/0', "$copy: a new run has called nobody");
	is( number_of(
			$node, "SELECT count(*) FROM dataflows.runs WHERE state IN ('waiting', 'queued')",
			$copy),
		11,
		"$copy: all its runs are where they were");
}

# the original goes on
as_app($node, 'postgres',
	"INSERT INTO app.signups (email, name) VALUES ('orig\@example.com', 'N')");
ok(wait_until($node, "SELECT count(*) = 11 FROM dataflows.runs WHERE state = 'waiting'"),
	'the original goes on');

# adopted, the copy does as well, with what came meanwhile
my ($rc, $out, $err) =
	$node->psql('dump_copy', 'SELECT dataflows.adopt()', extra_params => [ '-U', 'app' ]);

isnt($rc, 0, 'the owner of a workflow may not adopt a database');
is($node->safe_psql('dump_copy', 'SELECT dataflows.adopt()'), '10', 'a superuser may');
ok( wait_until(
		$node, "SELECT count(*) = 10 FROM dataflows.runs WHERE state = 'completed'",
		30, 'dump_copy'),
	'the signals that were kept are consumed');
is($systems->ever('new-dump_copy@example.com'),
	'1/1/1/0', 'the run that was started in the copy has moved');
is( number_of(
		$node, "SELECT count(*) FROM dataflows.runs WHERE state = 'waiting'", 'template_copy'),
	10,
	'the other copy is still held');

$node->stop;
$systems->stop;
done_testing();
