# Schedules by pg_cron: a firing starts one run, with the right of who scheduled
# it; what is said where pg_cron is missing, or lives in another database.

use strict;
use warnings;

use Test::More;
use PostgreSQL::Test::Cluster;
use PostgreSQL::Test::Utils;
use Dataflows;

my $library = `"\${PG_CONFIG:-pg_config}" --pkglibdir`;

chomp $library;
plan skip_all => 'pg_cron is not installed' unless -e "$library/pg_cron.so";

my $setup = <<'SQL';
CREATE EXTENSION dataflows;
DO $$ BEGIN CREATE ROLE app LOGIN; EXCEPTION WHEN duplicate_object THEN NULL; END $$;
DO $$ BEGIN CREATE ROLE other LOGIN; EXCEPTION WHEN duplicate_object THEN NULL; END $$;
CREATE SCHEMA app AUTHORIZATION app;
GRANT EXECUTE ON FUNCTION dataflows.define_workflow TO app;
SQL
my $workflow = <<'SQL';
CREATE FUNCTION app.report(event jsonb) RETURNS jsonb LANGUAGE plpgsql AS $$
BEGIN
  RETURN jsonb_build_object('for', event->'for', 'key', dataflows.run_key());
END $$;
SELECT dataflows.define_workflow('report', 'app.report');
CREATE FUNCTION app.fails(event jsonb) RETURNS jsonb LANGUAGE plpgsql AS $$ BEGIN RAISE
  EXCEPTION 'no'; END $$;
SELECT dataflows.define_workflow('fails', 'app.fails');
SQL

# what psql says as a role: the error, its hint, its SQLSTATE
sub refusal
{
	my ($node, $db, $role, $sql) = @_;
	my ($rc, $out, $err) =
		$node->psql($db, "\\set VERBOSITY verbose\n$sql", extra_params => [ '-U', $role ]);

	return $rc == 0 ? "it was accepted: $out" : $err;
}

# ---- without pg_cron ---------------------------------------------------------------

my $bare = new_node('bare', conf => "cron.database_name = 'postgres'");

$bare->safe_psql('postgres', $setup);
as_app($bare, 'postgres', $workflow);
my $settings = qr/HINT:.*shared_preload_libraries.*cron\.database_name = 'postgres'/s;
like(
	refusal($bare, 'postgres', 'app', "SELECT dataflows.schedule('r', '* * * * *', 'report')"),
	qr/ERROR:  55000: cannot schedule workflow "report": pg_cron is not loaded.*$settings/s,
	'without pg_cron the error says how to get it, also where a setting of it is left over');
is($bare->safe_psql('postgres', 'SELECT count(*) FROM dataflows.schedules'),
	'0', 'and nothing is kept');
is(as_app($bare, 'postgres', "SELECT dataflows.unschedule('r')"),
	'f', 'unschedule() works without it');

# a schema that is only called cron is not called as the extension's owner
$bare->safe_psql('postgres', <<'SQL');
CREATE SCHEMA cron AUTHORIZATION app;
SQL
as_app($bare, 'postgres', <<'SQL');
CREATE TABLE cron.job (jobid bigint, jobname text, username text, active boolean);
INSERT INTO cron.job VALUES (1, 'dataflows.r', 'postgres', true);
CREATE FUNCTION cron.unschedule(bigint) RETURNS boolean LANGUAGE plpgsql AS
  $$ BEGIN EXECUTE 'ALTER ROLE app SUPERUSER'; RETURN true; END $$;
CREATE FUNCTION cron.schedule(text, text, text) RETURNS bigint LANGUAGE plpgsql AS
  $$ BEGIN EXECUTE 'ALTER ROLE app SUPERUSER'; RETURN 1; END $$;
SQL
like(
	refusal($bare, 'postgres', 'app', "SELECT dataflows.schedule('r', '* * * * *', 'report')"),
	qr/pg_cron is not loaded/,
	'a false pg_cron is not asked');
$bare->safe_psql('postgres', "UPDATE cron.job SET username = current_user");
$bare->safe_psql(
	'postgres',
	"INSERT INTO dataflows.schedule (name, cron, workflow, input, owner, owner_name, scheduled_at)
	SELECT 'r', '* * * * *', 'report', '{}', oid, rolname, now()
	FROM pg_roles WHERE rolname = 'app'");
is(as_app($bare, 'postgres', 'SELECT name, active FROM dataflows.schedules'), 'r|f',
	'nor believed');
is(as_app($bare, 'postgres', "SELECT dataflows.unschedule('r')"),
	't', 'and a schedule ends without it');
is($bare->safe_psql('postgres', "SELECT rolsuper FROM pg_roles WHERE rolname = 'app'"),
	'f', 'nothing was called as the extension\'s owner');
$bare->stop;

# ---- with it -------------------------------------------------------------------------

my $node = new_node('cron', preload => 'dataflows,pg_cron', conf => <<"CONF");
cron.database_name = 'postgres'
cron.use_background_workers = on
dataflows.sweep_interval = '1s'
CONF

$node->safe_psql('postgres', $setup);
as_app($node, 'postgres', $workflow);
like(
	refusal($node, 'postgres', 'app', "SELECT dataflows.schedule('r', '* * * * *', 'report')"),
	qr/ERROR:  55000: .*"pg_cron" is not installed in this database.*HINT:  Run CREATE EXTENSION/s,
	'preloaded but not created: the hint says it');
$node->safe_psql('postgres', 'CREATE EXTENSION pg_cron');

# refusals
like(
	refusal($node, 'postgres', 'other', "SELECT dataflows.schedule('r', '* * * * *', 'report')"),
	qr/ERROR:  42501: role "other" may not schedule workflow "report"/,
	'who may not start it may not schedule it');
like(
	refusal($node, 'postgres', 'app', "SELECT dataflows.schedule('r', '* * * * *', 'nothing')"),
	qr/ERROR:  DF005/,
	'an unknown workflow is refused');
like(
	refusal($node, 'postgres', 'app', "SELECT dataflows.schedule('r', 'at noon', 'report')"),
	qr/ERROR:  22023: invalid schedule: at noon/,
	'what pg_cron cannot read is refused by pg_cron');
like(
	refusal(
		$node, 'postgres',
		'app', "SELECT dataflows.schedule(repeat('x', 51), '* * * * *', 'report')"),
	qr/ERROR:  DF006/,
	'a name that is too long is refused');
like(
	refusal($node, 'postgres', 'app', "SELECT dataflows.schedule('', '* * * * *', 'report')"),
	qr/ERROR:  22023/,
	'and an empty one');
like(
	refusal($node, 'postgres', 'app', "SELECT dataflows._fire('r')"),
	qr/ERROR:  42501/,
	'no role fires by itself');
is($node->safe_psql('postgres', 'SELECT count(*) FROM cron.job'), '0', 'a refusal leaves no job');

# it really fires; the name is one that has to be quoted
as_app($node, 'postgres',
	q{SELECT dataflows.schedule('it''s due', '* * * * *', 'report', '{"for": "may"}')});
my $since = time();
is( as_app(
		$node,
		'postgres',
		'SELECT name, cron, workflow, owner, active, last_run IS NULL, input
			FROM dataflows.schedules'
	),
	q{it's due|* * * * *|report|app|t|t|{"for": "may"}},
	'the view shows it before it fires');
is( $node->safe_psql(
		'postgres',
		'SELECT count(*) FROM dataflows.schedules',
		extra_params => [ '-U', 'other' ]),
	'0',
	'but not to everybody');
is( $node->safe_psql(
		'postgres',
		q{SELECT active IS NULL FROM dataflows._cron_job('it''s due')},
		extra_params => [ '-U', 'other' ]),
	't',
	'nor by the back door');
like(
	refusal($node, 'postgres', 'other', q{SELECT dataflows.unschedule('it''s due')}),
	qr/ERROR:  42501: role "other" may not change schedule/,
	'nor may everybody end it');

# ---- while the minute passes: in another database ---------------------------------------

$node->safe_psql('postgres', 'CREATE DATABASE shop');
$node->safe_psql('shop', $setup);
as_app($node, 'shop', $workflow);
my $elsewhere = refusal($node, 'shop', 'app',
	q{SELECT dataflows.schedule('it''s due', '* * * * *', 'report', '{"for": "o''neil"}')});
like(
	$elsewhere,
	qr/ERROR:  55000: .*pg_cron runs in database "postgres".*HINT:  As a superuser in .*, call: /s,
	'elsewhere the error says where pg_cron is');
my ($statement) = $elsewhere =~ /call: (SELECT cron\.schedule_in_database\(.*\))$/m;
isnt($statement, undef, 'and gives the whole statement') or diag($elsewhere);
$node->safe_psql('postgres', $statement);
is( $node->safe_psql(
		'postgres',
		"SELECT database, username FROM cron.job WHERE jobname = 'dataflows.shop.it''s due'"),
	'shop|app',
	'which can be run as it stands');
my $command = $node->safe_psql('postgres', "SELECT command FROM cron.job WHERE database = 'shop'");
# twice in one minute: in one transaction, whose now() is one
is( $node->safe_psql(
		'shop',
		"BEGIN; CREATE TEMP TABLE t AS $command AS run; INSERT INTO t $command;
			SELECT count(DISTINCT run) FROM t; COMMIT",
		extra_params => [ '-U', 'app' ]),
	'1',
	'the command in it starts one run if it is called twice');

# ---- fired --------------------------------------------------------------------------------

ok(wait_until($node, "SELECT count(*) > 0 FROM dataflows.runs WHERE state = 'completed'", 90),
	'pg_cron fires within the minute')
	or diag $node->safe_psql('postgres', 'SELECT * FROM cron.job_run_details');
note('after ' . (time() - $since) . ' s');
like(
	as_app(
		$node,
		'postgres',
		'SELECT key, started_by, owner, input, result->>\'for\' FROM dataflows.runs
			ORDER BY started_at LIMIT 1'
	),
	qr/^it's due\@\d{4}-\d\d-\d\dT\d\d:\d\d:00Z\|app\|app\|\{"for": "may"\}\|may$/,
	'the run has the key of the minute and is started by who scheduled it');
ok( wait_until(
		$node,
		"SELECT count(*) = 1 FROM dataflows.schedules s JOIN dataflows.runs r ON r.run = s.last_run
			WHERE s.last_status = 'succeeded'"
	),
	'the view knows the run and what pg_cron said');
ok( wait_until(
		$node, "SELECT count(*) > 0 FROM dataflows.runs WHERE state = 'completed'",
		90, 'shop'),
	'and the other database has a run');
$node->safe_psql('postgres', "SELECT cron.unschedule(jobid) FROM cron.job WHERE database = 'shop'");

# one minute, two firings at once and one later: one run, also if that run has failed and given up
# its key
as_app($node, 'postgres', "SELECT dataflows.schedule('bad', '0 0 1 1 *', 'fails')");
for my $attempt (1 .. 3)
{
	my $minute = "to_char(now() AT TIME ZONE 'UTC', 'HH24:MI')";
	my $before = $node->safe_psql('postgres', "SELECT $minute");
	my $first = $node->safe_psql('postgres', "SELECT dataflows._fire('bad')");
	wait_until($node, "SELECT state = 'rolled_back' FROM dataflows.runs WHERE run = '$first'");
	my $second = $node->safe_psql('postgres', "SELECT dataflows._fire('bad')");

	next if $before ne $node->safe_psql('postgres', "SELECT $minute");
	is($second, $first,
		'a second firing of the minute returns the run of the first, though that has failed');
	last;
}

# rights are judged at each firing
as_app($node, 'postgres', "SELECT dataflows.allow('report', 'other', 'start')");
$node->safe_psql(
	'postgres',
	"SELECT dataflows.schedule('granted', '0 0 1 1 *', 'report')",
	extra_params => [ '-U', 'other' ]);
like(
	refusal(
		$node, 'postgres',
		'other', q{SELECT dataflows.schedule('it''s due', '0 0 1 1 *', 'report')}),
	qr/ERROR:  42501: role "other" may not change schedule "it's due"/,
	'nobody takes over a schedule of another role');
as_app($node, 'postgres', "SELECT dataflows.disallow('report', 'other')");
like(
	refusal($node, 'postgres', 'postgres', "SELECT dataflows._fire('granted')"),
	qr/ERROR:  42501: role "other" may not start workflow "report"/,
	'a right that was revoked ends the firings');

# changed, ended
as_app($node, 'postgres', q{SELECT dataflows.schedule('it''s due', '0 6 1 * *', 'report')});
is($node->safe_psql('postgres', q{SELECT schedule FROM cron.job WHERE jobname LIKE '%due'}),
	'0 6 1 * *', 'the same name again changes the schedule');
is( as_app(
		$node,
		'postgres',
		q{SELECT dataflows.unschedule(name) FROM dataflows.schedules WHERE name <> 'granted'
			ORDER BY name}
	),
	"t\nt",
	'unschedule() ends it');
is( as_app(
		$node, 'postgres', q{SELECT dataflows.unschedule('granted'), dataflows.unschedule('none')}),
	't|f',
	'the owner of the workflow ends those of others');
is( $node->safe_psql(
		'postgres',
		'SELECT (SELECT count(*) FROM cron.job), (SELECT count(*) FROM dataflows.schedules)'),
	'0|0',
	'no job is left');

$node->stop;
done_testing();
