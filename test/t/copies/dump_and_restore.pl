# Dumps, whole and in parts, into another database, the same one and another cluster; TRUNCATE;
# pg_upgrade: what is
# held, what goes on, and that adopt() takes it over.

use strict;
use warnings;

use Test::More;
use PostgreSQL::Test::Cluster;
use PostgreSQL::Test::Utils;
use Dataflows;

my $conf =
	"dataflows.identity = 'prod'\ndataflows.sweep_interval = '500ms'\ndataflows.worker_idle = '1s'";
my $node = new_node('restore', conf => $conf);
my $dir = PostgreSQL::Test::Utils::tempdir();
my $live = "SELECT string_agg(key || ' ' || state, ', ' ORDER BY key) FROM dataflows.runs";

sub define_sql
{
	return <<'SQL';
CREATE SCHEMA app AUTHORIZATION app;
SET ROLE app;
CREATE FUNCTION app.waits(event jsonb) RETURNS jsonb LANGUAGE plpgsql AS $$ BEGIN
  RETURN dataflows.wait_for('go'); END $$;
CREATE TABLE app.orders (id int);
CREATE TRIGGER starts AFTER INSERT ON app.orders FOR EACH ROW
  EXECUTE FUNCTION dataflows.start_on_insert('waits', 'id');
RESET ROLE;
SQL
}

sub signal_all
{
	my ($on, $db) = @_;
	return as_app(
		$on, $db,
		"SELECT count(dataflows.signal_by_key('waits', key, 'go')) FROM dataflows.runs
			WHERE state = 'waiting'"
	);
}

sub sweeps_pass
{
	my ($on) = @_;
	my $since = $on->safe_psql('postgres', 'SELECT clock_timestamp()');

	return wait_until($on, "SELECT clock_timestamp() > '$since'::timestamptz + interval '2 s'");
}

# the first row of status() names the runs, what is sent moves none of them, and adopt() lets them
# go on
sub is_held
{
	my ($on, $db, $runs, $what) = @_;
	my $before;

	ok( wait_until(
			$on,
			"SELECT count(*) = 1 FROM dataflows.status() WHERE process = 'coordinator'
				AND reason LIKE 'held%'",
			60,
			$db),
		"$what: the coordinator holds it");
	like(
		$on->safe_psql(
			$db,
			'SELECT process || \' \' || state || \': \' || reason FROM dataflows.status() LIMIT 1'),
		qr/^engine held: $runs runs? (is|are) held.*dataflows\.adopt\(\)/,
		"$what: status() says held first, how many runs, and what to do");
	signal_all($on, $db);
	$before = $on->safe_psql($db, $live);
	sweeps_pass($on);
	is($on->safe_psql($db, $live), $before, "$what: nothing moves");
	return;
}

sub goes_on
{
	my ($on, $db, $what) = @_;

	ok( wait_until(
			$on,
			"SELECT count(*) = 0 FROM dataflows.runs WHERE state = 'waiting'
				AND key ~ '^[0-9a-z]+\$' AND workflow = 'waits'",
			60,
			$db),
		"$what: the runs go on") or diag($on->safe_psql($db, $live));
	return;
}

sub pg
{
	my ($on, $tool, $db, @arguments) = @_;
	my $err;

	ok( PostgreSQL::Test::Utils::run_log(
			[ $tool, '-d', $on->connstr($db), @arguments ],
			'2>', \$err),
		"$tool @arguments[0, 1]") or diag($err);
	return;
}

$node->safe_psql('postgres', 'CREATE ROLE app LOGIN; CREATE DATABASE shop');
$node->safe_psql('shop',
	"CREATE EXTENSION dataflows; GRANT EXECUTE ON FUNCTION dataflows.define_workflow TO app;\n"
		. define_sql());
as_app(
	$node, 'shop',
	"SELECT dataflows.define_workflow('waits', 'app.waits'); INSERT INTO app.orders SELECT *
		FROM generate_series(1, 3);"
		. "SELECT dataflows.start('waits', '{}', 'done')");
ok( wait_until(
		$node, "SELECT count(*) = 4 FROM dataflows.runs WHERE state = 'waiting'", 60, 'shop'),
	'four runs wait');
as_app($node, 'shop', "SELECT dataflows.signal_by_key('waits', 'done', 'go')");
ok( wait_until(
		$node, "SELECT state = 'completed' FROM dataflows.runs WHERE key = 'done'",
		60, 'shop'),
	'one of them ends');
pg($node, 'pg_dump', 'shop', '-Fc', '-f', "$dir/whole.dump");
pg($node, 'pg_dump', 'shop', '--schema-only', '-f', "$dir/schema.sql");
pg($node, 'pg_dump', 'shop', '--data-only', '-f', "$dir/data.sql");
pg($node, 'pg_dump', 'shop', '--data-only', '--disable-triggers', '-f', "$dir/data_quiet.sql");

my $key = $node->safe_psql('shop',
	"SELECT encode(link_key, 'hex') || ' ' || random FROM dataflows.origin");
my ($link_key) = split / /, $key;

unlike(slurp_file("$dir/data.sql") . slurp_file("$dir/schema.sql"),
	qr/\Q$link_key\E/, 'the key of links is in no dump');

# ---- into the same database: same cluster, oid and token -----------------------------------------

pg($node, 'pg_restore', 'shop', '--clean', '--if-exists', "$dir/whole.dump");
is_held($node, 'shop', 3, 'pg_restore --clean into the same database');
isnt(
	$node->safe_psql(
		'shop', "SELECT encode(link_key, 'hex') || ' ' || random FROM dataflows.origin"),
	$key,
	'it has another key and random part');
is($node->safe_psql('shop', 'SELECT dataflows.adopt()'), '3', 'adopt() takes three runs over');
goes_on($node, 'shop', 'adopted');
as_app($node, 'shop',
	"SELECT dataflows.undo(run, 'a mistake') FROM dataflows.runs WHERE key = 'done'");
ok( wait_until(
		$node, "SELECT state = 'rolled_back' FROM dataflows.runs WHERE key = 'done'",
		60, 'shop'),
	'a completed run came along: it can be undone');
is($node->safe_psql('shop', 'SELECT state FROM dataflows.status() LIMIT 1'),
	'running', 'the engine runs');

# a session that has used the extension before it was created anew is not of the old identity
$node->safe_psql('postgres', 'CREATE DATABASE again');
$node->safe_psql('again',
	'CREATE EXTENSION dataflows; GRANT EXECUTE ON FUNCTION dataflows.define_workflow TO app;'
		. define_sql());
$node->safe_psql('again', <<'SQL');
SET ROLE app; SELECT dataflows.define_workflow('waits', 'app.waits'), dataflows.start('waits', '{}',
  'old'); RESET ROLE;
DROP EXTENSION dataflows CASCADE; CREATE EXTENSION dataflows;
  GRANT EXECUTE ON FUNCTION dataflows.define_workflow TO app;
SET ROLE app; SELECT dataflows.define_workflow('waits', 'app.waits'), dataflows.start('waits', '{}',
  'new');
SQL
ok( wait_until(
		$node, "SELECT string_agg(key || state, ',') = 'newwaiting' FROM dataflows.runs",
		60, 'again'),
	'what it starts afterwards moves');

# ---- in parts ------------------------------------------------------------------------------------

sub load
{
	my ($db, $file) = @_;
	my @answer = ('', '');
	PostgreSQL::Test::Utils::run_log([ 'psql', '-X', '-q', '-d', $node->connstr($db), '-f', $file ],
		'>', \$answer[0], '2>', \$answer[1]);
	return $answer[1];
}

$node->safe_psql('postgres', 'CREATE DATABASE parts; CREATE DATABASE loud; CREATE DATABASE busy');
is(load('parts', "$dir/schema.sql") . load('parts', "$dir/data_quiet.sql"),
	'', 'schema, then data without triggers');
is_held($node, 'parts', 3, 'in parts');
is($node->safe_psql('parts', 'SELECT dataflows.adopt()'), '3', 'adopted');
goes_on($node, 'parts', 'in parts');

load('loud', "$dir/schema.sql");
like(
	load('loud', "$dir/data.sql"),
	qr/workflow "waits" does not exist/,
	'data with triggers: they fire, as any trigger does');

# into a database that has workflows of its own
$node->safe_psql('busy',
	'CREATE EXTENSION dataflows; GRANT EXECUTE ON FUNCTION dataflows.define_workflow TO app;'
		. define_sql());
as_app($node, 'busy',
	"SELECT dataflows.define_workflow('mine', 'app.waits'), dataflows.start('mine', '{}', 'mine')");
like(load('busy', "$dir/data_quiet.sql"),
	qr/installation_pkey/, 'data into a database with workflows: it keeps its own row');
signal_all($node, 'busy');
as_app($node, 'busy', "SELECT dataflows.signal_by_key('mine', 'mine', 'go')");
ok( wait_until(
		$node, "SELECT state = 'completed' FROM dataflows.runs WHERE key = 'mine'",
		60, 'busy'),
	'its own run goes on');
sweeps_pass($node);
is(number_of($node, "SELECT count(*) FROM dataflows.runs WHERE state = 'waiting'", 'busy'),
	3, 'those that came do not');
is($node->safe_psql('busy', 'SELECT dataflows.adopt()'), '3', 'until they are adopted');
goes_on($node, 'busy', 'data into a database with workflows');

# ---- TRUNCATE ------------------------------------------------------------------------------------

as_app($node, 'shop', 'INSERT INTO app.orders SELECT * FROM generate_series(11, 13)');
ok( wait_until(
		$node, "SELECT count(*) = 3 FROM dataflows.runs WHERE state = 'waiting'", 60, 'shop'),
	'three runs wait');
pg($node, 'pg_dump', 'shop', '--data-only', '-f', "$dir/own.sql", '-t', 'dataflows.*');
$node->safe_psql(
	'shop',
	'TRUNCATE dataflows.run, dataflows.step, dataflows.attempt, dataflows.inbox, dataflows.alias,
		dataflows.workflow, dataflows.installation, dataflows.schedule, dataflows.webhook,
		dataflows.webhook_delivery'
);
load('shop', "$dir/own.sql");
signal_all($node, 'shop');
goes_on($node, 'shop', 'data into the database that it is of');

for my $table (qw(origin installation))
{
	as_app($node, 'shop', "SELECT dataflows.start('waits', '{}', 'x$table')");
	ok( wait_until(
			$node, "SELECT state = 'waiting' FROM dataflows.runs WHERE key = 'x$table'",
			60, 'shop'),
		'a run waits');
	$node->safe_psql('shop', "TRUNCATE dataflows.$table");
	is_held($node, 'shop', 1, "TRUNCATE of $table");
	is($node->safe_psql('shop', 'SELECT dataflows.adopt()'), '1', 'adopt() writes the row anew');
	goes_on($node, 'shop', "TRUNCATE of $table");
}

# ---- another cluster under the same token, its database with the same oid by chance --------------

SKIP:
{
	my $oid = $node->safe_psql('postgres', "SELECT oid FROM pg_database WHERE datname = 'shop'");
	my $other = new_node('restore_other', conf => $conf);

	skip 'CREATE DATABASE has no OID before PostgreSQL 15', 5
		if $other->safe_psql('postgres', 'SHOW server_version_num') < 150000;
	$other->safe_psql('postgres', "CREATE DATABASE shop OID $oid");
	$other->safe_psql('postgres', 'CREATE ROLE app LOGIN');
	pg($other, 'pg_restore', 'shop', '-j2', "$dir/whole.dump");
	is_held($other, 'shop', 3, 'another cluster under the same token with the same oid');
	is($other->safe_psql('shop', 'SELECT dataflows.adopt()'), '3', 'adopted');
	goes_on($other, 'shop', 'another cluster');
	$other->stop;
}

# ---- a dump of 0.1 with the files of 0.2 ---------------------------------------------------------

$node->safe_psql('postgres', 'CREATE DATABASE old; CREATE DATABASE old_copy');
$node->safe_psql('old', "CREATE EXTENSION dataflows VERSION '0.1';" . define_sql() . <<'SQL');
INSERT INTO dataflows.installation (identity) SELECT 'prod/' || oid FROM pg_database
  WHERE datname = 'old';
INSERT INTO dataflows.workflow (name, version, function, function_owner, owner, owner_name)
  VALUES ('waits', 1, 'app.waits(jsonb)', 'app'::regrole, 'app'::regrole, 'app');
INSERT INTO dataflows.run (run, identity, started_at, wake_at, version, workflow, key, started_by,
  input)
  SELECT '01a21bc0-eda7-7414-9653-6b984444db24', hashtextextended(identity COLLATE "C", 0), now(),
    now(), 1, 'waits', 'old', 'app', '{}' FROM dataflows.installation;
SQL
pg($node, 'pg_dump', 'old', '-Fc', '-f', "$dir/old.dump");
pg($node, 'pg_restore', 'old_copy', '-e', "$dir/old.dump");
is_held($node, 'old_copy', 1, 'a dump of 0.1');
is($node->safe_psql('old_copy', 'SELECT dataflows.adopt()'), '1', 'adopted');
ok( wait_until(
		$node, "SELECT state = 'waiting' FROM dataflows.runs WHERE key = 'old'",
		60, 'old_copy'),
	'its run goes on');

# updated where it is, under its token, it goes on by itself; and what is held under 0.1 stays held
$node->safe_psql('postgres', 'CREATE DATABASE old_held TEMPLATE old');
$node->safe_psql($_, 'ALTER EXTENSION dataflows UPDATE') for qw(old old_held);
ok( wait_until($node, "SELECT state = 'waiting' FROM dataflows.runs WHERE key = 'old'", 60, 'old'),
	'updated, a run of 0.1 goes on');
is($node->safe_psql('old', 'SELECT token FROM dataflows.installation'), 'prod', 'under its token');
is_held($node, 'old_held', 1, 'a copy of 0.1 that was held');
is($node->safe_psql('old_held', 'SELECT dataflows.adopt()'), '1', 'adopted');
ok( wait_until(
		$node, "SELECT state = 'waiting' FROM dataflows.runs WHERE key = 'old'",
		60, 'old_held'),
	'then it goes on');

# ---- pg_upgrade ----------------------------------------------------------------------------------

as_app($node, 'shop', "SELECT dataflows.start('waits', '{}', 'upgraded')");
ok( wait_until(
		$node, "SELECT state = 'waiting' FROM dataflows.runs WHERE key = 'upgraded'",
		60, 'shop'),
	'a run waits');
$key = $node->safe_psql('shop',
	"SELECT encode(link_key, 'hex') || ' ' || random FROM dataflows.origin");
$node->safe_psql('postgres',
	'DROP DATABASE loud; DROP DATABASE busy; DROP DATABASE parts; DROP DATABASE again');
$node->stop;

my $upgraded = new_node('restore_upgraded', conf => $conf, no_start => 1);
my $bin = `"\${PG_CONFIG:-pg_config}" --bindir`;

chomp $bin;
$upgraded->stop('immediate', fail_ok => 1);
chdir $dir or die "chdir $dir: $!";
command_ok(
	[
		'pg_upgrade', '--no-sync', '-b', $bin, '-B', $bin, '-d', $node->data_dir, '-D',
		$upgraded->data_dir, '-s', $node->host, '-p', $node->port, '-P', $upgraded->port
	],
	'pg_upgrade');
$upgraded->start;
is( $upgraded->safe_psql(
		'shop', "SELECT encode(link_key, 'hex') || ' ' || random FROM dataflows.origin"),
	$key,
	'pg_upgrade keeps key and random part');
SKIP:
{
	skip 'before PostgreSQL 15 pg_upgrade gives databases other oids', 2
		if $upgraded->safe_psql('postgres', 'SHOW server_version_num') < 150000;
	as_app($upgraded, 'shop', "SELECT dataflows.signal_by_key('waits', 'upgraded', 'go')");
	ok( wait_until(
			$upgraded, "SELECT state = 'completed' FROM dataflows.runs WHERE key = 'upgraded'",
			60, 'shop'),
		'under the same token the runs go on');
	is($upgraded->safe_psql('shop', 'SELECT state FROM dataflows.status() LIMIT 1'),
		'running', 'and status() says so');
}

$upgraded->stop;
done_testing();
