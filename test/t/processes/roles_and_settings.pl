# The engine's processes: whose they are, what bends them, what they lack.

use strict;
use warnings;

use Test::More;
use PostgreSQL::Test::Cluster;
use PostgreSQL::Test::Utils;
use Dataflows;

my $systems = start_systems();

# ---- too few processes --------------------------------------------------------

my $node = new_node('processes', conf => <<'CONF');
max_worker_processes = 3
max_parallel_workers = 0
dataflows.sweep_interval = '1s'
CONF

create_systems($node, 'postgres', $systems);
as_app($node, 'postgres', "INSERT INTO app.signups (email, name) VALUES ('a\@x', 'A')");
let_pass(3);
my $blocker = 'launcher, logical replication launcher and coordinator leave no room';
my $state = $node->safe_psql('postgres', 'SELECT state FROM dataflows.runs');

SKIP:
{
	skip 'there was room for a worker', 3 if $state ne 'queued';
	like(slurp_file($node->logfile),
		qr/max_worker_processes/, "$blocker: the log names the setting");
	like(
		$node->safe_psql('postgres', 'SELECT * FROM dataflows.status()'),
		qr/max_worker_processes|no worker/,
		'status() says so too');
	$node->adjust_conf('postgresql.conf', 'max_worker_processes', '16');
	$node->restart;
	ok(wait_until($node, "SELECT state = 'waiting' FROM dataflows.runs"),
		'with room, the run moves');
}
$node->adjust_conf('postgresql.conf', 'max_worker_processes', '16');
$node->restart;

# ---- whose sessions ----------------------------------------------------------------

my $confirm = "SELECT dataflows.signal_by_key('customer-onboarding', id::text, 'email-confirmed')
		FROM app.signups";

as_app($node, 'postgres', $confirm);
ok(wait_for_runs($node, ['completed']), 'completed');
is( $node->safe_psql(
		'postgres',
		"SELECT DISTINCT usename FROM pg_stat_activity WHERE backend_type LIKE 'dataflows%worker%'"
	),
	'app',
	"a worker is a session of the workflow's owner");
is( $node->safe_psql(
		'postgres',
		"SELECT DISTINCT usename FROM pg_stat_activity
			WHERE backend_type LIKE 'dataflows%coordinator%'"
	),
	'postgres',
	"a coordinator is one of the extension's owner");

# ---- what ALTER ROLE may bend ---------------------------------------------------------

my @bent = (
	"search_path = 'evil, public, pg_catalog'",
	"default_transaction_read_only = 'on'",
	"default_transaction_isolation = 'serializable'",
	"default_transaction_deferrable = 'on'",
	"statement_timeout = '1ms'",
	"lock_timeout = '1ms'",
	"idle_in_transaction_session_timeout = '1ms'",
	"synchronous_commit = 'off'",
	"row_security = 'off'",
	"datestyle = 'German, DMY'",
	"intervalstyle = 'sql_standard'",
	"timezone = 'Asia/Kathmandu'",
	"client_encoding = 'LATIN1'",
	"standard_conforming_strings = 'off'",
	"bytea_output = 'escape'",
	"extra_float_digits = '-15'",
	"xmloption = 'document'",
	"enable_indexscan = 'off'",
	"plan_cache_mode = 'force_custom_plan'",
	"check_function_bodies = 'off'",
	"role = 'weak'");

$node->safe_psql('postgres', <<'SQL');
CREATE ROLE weak;
GRANT weak TO app;
CREATE SCHEMA evil AUTHORIZATION app;
SQL
# everything that the engine's SQL might pick up by name, and that must not be called
as_app($node, 'postgres', <<'SQL');
CREATE FUNCTION evil.trap(text, text) RETURNS boolean
  LANGUAGE plpgsql AS 'BEGIN RAISE EXCEPTION $$trapped$$; END';
CREATE FUNCTION evil.trap(uuid, uuid) RETURNS boolean
  LANGUAGE plpgsql AS 'BEGIN RAISE EXCEPTION $$trapped$$; END';
CREATE FUNCTION evil.trap(bigint, bigint) RETURNS boolean
  LANGUAGE plpgsql AS 'BEGIN RAISE EXCEPTION $$trapped$$; END';
CREATE FUNCTION evil.trap(int, int) RETURNS boolean
  LANGUAGE plpgsql AS 'BEGIN RAISE EXCEPTION $$trapped$$; END';
CREATE FUNCTION evil.trap(timestamptz, timestamptz) RETURNS boolean
  LANGUAGE plpgsql AS 'BEGIN RAISE EXCEPTION $$trapped$$; END';
DO $$
DECLARE
  t text;
  o text;
BEGIN
  FOREACH t IN ARRAY ARRAY['text', 'uuid', 'bigint', 'int', 'timestamptz'] LOOP
    FOREACH o IN ARRAY ARRAY['=', '<>', '<', '<=', '>', '>='] LOOP
      EXECUTE format('CREATE OPERATOR evil.%s (LEFTARG = %s, RIGHTARG = %s, FUNCTION = evil.trap)',
        o, t, t);
    END LOOP;
  END LOOP;
END $$;
CREATE FUNCTION evil.now() RETURNS timestamptz
  LANGUAGE plpgsql AS 'BEGIN RAISE EXCEPTION $$trapped$$; END';
CREATE FUNCTION evil.clock_timestamp() RETURNS timestamptz
  LANGUAGE plpgsql AS 'BEGIN RAISE EXCEPTION $$trapped$$; END';
CREATE FUNCTION evil.count(anyelement) RETURNS bigint
  LANGUAGE plpgsql AS 'BEGIN RAISE EXCEPTION $$trapped$$; END';
CREATE TABLE evil.run (run uuid);
CREATE TABLE evil.step (run uuid);
CREATE TYPE evil.jsonb AS (a int);
SQL
for my $setting (@bent)
{
	$node->safe_psql('postgres',
		"SET session_replication_role = 'origin'; ALTER ROLE app SET $setting");
	$node->safe_psql('postgres', "ALTER ROLE postgres SET $setting")
		unless $setting =~ /^role|read_only|statement_timeout|idle_in/;
}
# sessions of the test's own are bent too, so they say what they mean
my $straight = 'SET search_path = pg_catalog, app; SET default_transaction_read_only = off;
		SET statement_timeout = 0; '
	. 'SET lock_timeout = 0; SET idle_in_transaction_session_timeout = 0; '
	. 'RESET role; SET ROLE app; '
	. "SET default_transaction_isolation = 'read committed'; "
	. 'SET standard_conforming_strings = on; ';

$node->restart;
$node->safe_psql('postgres',
	"${straight}INSERT INTO app.signups (email, name) VALUES ('bent\@x', E'\\u00fc')");
ok( wait_until(
		$node,
		"SET search_path = pg_catalog; SELECT count(*) = 1 FROM dataflows.runs
			WHERE state = 'waiting'",
		30),
	'a run moves under a bent role and a trapped search_path');
$node->safe_psql('postgres', "$straight$confirm");
ok( wait_until(
		$node,
		"SET search_path = pg_catalog; SELECT count(*) = 2 FROM dataflows.runs
			WHERE state = 'completed'",
		30),
	'and is completed');
is($systems->ever('bent@x'), '1/1/1/1', 'each record once');
unlike(slurp_file($node->logfile), qr/trapped/, 'no trap was sprung');
$node->safe_psql('postgres', 'ALTER ROLE app RESET ALL; ALTER ROLE postgres RESET ALL');
$node->restart;

# ---- DROP EXTENSION that is prepared, and then is not to be ----

$node->safe_psql('postgres', "BEGIN; DROP EXTENSION dataflows CASCADE; PREPARE TRANSACTION 'drop'");
$node->safe_psql('postgres', "ROLLBACK PREPARED 'drop'");
$node->safe_psql('postgres',
	"SET ROLE app; INSERT INTO app.signups (email, name) VALUES ('kept\@x', 'K')");
ok( wait_until($node, "SELECT count(*) = 1 FROM dataflows.runs WHERE state = 'waiting'", 40),
	'the engine comes back when DROP EXTENSION was prepared and rolled back');
as_app($node, 'postgres', $confirm);
ok(wait_until($node, "SELECT count(*) = 3 FROM dataflows.runs WHERE state = 'completed'", 40),
	'and goes on');

# ---- an owner that may not log in, or is gone --------------------------------------------

my ($rc, $out, $err) = $node->psql('postgres', <<'SQL');
GRANT EXECUTE ON FUNCTION dataflows.define_workflow TO weak;
GRANT USAGE, CREATE ON SCHEMA app TO weak;
SET ROLE weak;
CREATE FUNCTION app.weak(event jsonb) RETURNS jsonb LANGUAGE sql AS 'SELECT event';
SELECT dataflows.define_workflow('weak', 'app.weak');
SQL
SKIP:
{
	skip 'NOLOGIN roles may own workflows from PostgreSQL 17 on', 1 if $node->pg_version >= 17;
	like($err, qr/weak.*HINT/s,
		'a role without LOGIN cannot own a workflow: the error names it and hints');
}
$node->safe_psql('postgres', 'ALTER ROLE app NOLOGIN');
$node->restart;
$node->safe_psql('postgres',
	"SET ROLE app; INSERT INTO app.signups (email, name) VALUES ('later\@x', 'L')");
my $becomes = $node->pg_version >= 17 ? 'waiting ' : 'stuck 28000';
ok( wait_until(
		$node,
		"SELECT concat_ws(' ', state, coalesce(stuck->>'sqlstate', '')) = '$becomes'
			FROM dataflows.run WHERE finished_at IS NULL"),
	'an owner that lost LOGIN: its run is stuck before PostgreSQL 17, and moves from then on');
SKIP:
{
	skip 'there is nothing to repair from PostgreSQL 17 on', 1 if $node->pg_version >= 17;
	like(
		$node->safe_psql('postgres', 'SELECT * FROM dataflows.stuck'),
		qr/app.*log in.*ALTER ROLE/,
		'and says how to repair it');
}
$node->safe_psql('postgres',
	"ALTER ROLE app LOGIN; SELECT dataflows.retry(run) FROM dataflows.runs WHERE state = 'stuck'");
ok(wait_until($node, "SELECT count(*) = 1 FROM dataflows.runs WHERE state = 'waiting'", 40),
	'it goes on after the repair');
as_app($node, 'postgres', $confirm);
ok(wait_for_runs($node, ['completed']), 'and is completed');

# ---- an owner that is dropped while its runs are in a worker's memory ------------------

$node->safe_psql('postgres', <<'SQL');
CREATE ROLE leaver LOGIN;
CREATE SCHEMA leaver AUTHORIZATION leaver;
GRANT EXECUTE ON FUNCTION dataflows.define_workflow TO leaver;
GRANT USAGE ON FOREIGN SERVER email TO leaver;
SET ROLE leaver;
CREATE FUNCTION leaver.one(event jsonb) RETURNS jsonb LANGUAGE sql VOLATILE AS
  $$ SELECT dataflows.post('call', 'email', '/send', '{"to": "leaver@x"}', undo => 'none') $$;
CREATE FUNCTION leaver.two(event jsonb) RETURNS jsonb LANGUAGE sql VOLATILE AS
  $$ SELECT dataflows.query('call', 'SELECT pg_sleep(2)') $$;
CREATE FUNCTION leaver.three(event jsonb) RETURNS jsonb LANGUAGE sql VOLATILE AS
  $$ SELECT dataflows.wait_for('go') $$;
SELECT dataflows.define_workflow('leaves', 'leaver.one'), dataflows.define_workflow('leaves-sql',
  'leaver.two');
SELECT dataflows.define_workflow('leaves-waiting', 'leaver.three'),
  dataflows.start('leaves-waiting', '{"a": 1}', 'waits');
SQL
$systems->fault('email', match => { email => 'leaver' }, fault => 'hang');
$node->safe_psql(
	'postgres',
	"SET ROLE leaver; SELECT dataflows.start('leaves') FROM generate_series(1, 3);
		SELECT dataflows.start('leaves-sql') FROM generate_series(1, 3)"
);
ok( wait_until(
		$node,
		"SELECT (SELECT in_flight = 3 FROM dataflows.systems WHERE system = 'email')
			AND count(*) = 2 FROM pg_stat_activity WHERE backend_type LIKE 'dataflows%worker'
			AND usename = 'leaver'"
	),
	'both workers of an owner are busy');
my $at = -s $node->logfile;

# here it is refused, because of the runs
$node->safe_psql('postgres', 'DROP SCHEMA leaver CASCADE; REVOKE ALL ON FOREIGN SERVER email FROM
	leaver; SELECT dataflows.disallow_author(\'leaver\')');
$node->safe_psql('template1', 'DROP ROLE leaver');
ok( wait_until(
		$node,
		"SELECT count(*) = 6 FROM dataflows.stuck WHERE workflow LIKE 'leaves%'
			AND reason ~ 'leaver.*does not exist any more'",
		40),
	'of a dropped owner the runs are stuck, and say why');
my @errors = grep { /ERROR: / } split(/\n/, slurp_file($node->logfile, $at));

ok( wait_until(
		$node,
		"SELECT count(*) = 1 FROM dataflows.status() WHERE owner = 'leaver' AND reason ~ 'CREATE "
			. "ROLE leaver LOGIN, then call dataflows.adopt\\(\\)'",
		40),
	'status() says what to do, for those that only wait, too');
cmp_ok(scalar(@errors), '<=', 4, 'and nothing fails over and over') or diag(join("\n", @errors));
$systems->clear_faults;

# what has no time is stuck when something comes for it; then a superuser clears up
$node->safe_psql('postgres', "SELECT dataflows.signal_by_key('leaves-waiting', 'waits', 'go')");
ok( wait_until(
		$node, "SELECT count(*) = 1 FROM dataflows.stuck WHERE workflow = 'leaves-waiting'", 40),
	'so is one that waited, when its event comes');
$node->safe_psql('postgres',
	"SELECT dataflows.abandon(run, 'nobody is left') FROM dataflows.stuck");
ok(wait_for_runs($node, [ 'completed', 'abandoned' ], 40), 'a superuser abandons them');
is( $node->safe_psql(
		'postgres',
		"SELECT string_agg(DISTINCT (error->>'reason') || ' ' || (finished_at IS NOT NULL), ', ')
			FROM dataflows.runs WHERE state = 'abandoned' AND workflow = 'leaves-waiting'"
	),
	'nobody is left true',
	'and says why');
is(number_of($node, "SELECT count(*) FROM dataflows.inbox WHERE state = 'new'"),
	0, 'nothing is left to be heard');
$node->safe_psql('postgres', "SELECT dataflows.drop_workflow('leaves-waiting')");
as_app($node, 'postgres', <<'SQL');
CREATE FUNCTION app.three(event jsonb) RETURNS jsonb LANGUAGE sql VOLATILE AS $$ SELECT event $$;
SELECT dataflows.define_workflow('leaves-waiting', 'app.three');
SQL
my $restart =
	"SELECT dataflows.restart('"
	. $node->safe_psql('postgres',
	"SELECT run FROM dataflows.runs WHERE workflow = 'leaves-waiting'")
	. "')";
like(
	($node->psql('postgres', $restart, extra_params => [ '-U', 'app' ]))[2],
	qr/role "app" may not see run/,
	'who takes the name of a workflow over does not take what its runs were started with');
$node->safe_psql('postgres', $restart);
ok( wait_until(
		$node,
		"SELECT count(*) = 1 FROM dataflows.runs WHERE workflow = 'leaves-waiting'
			AND state = 'completed' AND key = 'waits' AND owner = 'app'",
		20),
	'and the run begins again with another owner');

my @wrong = reconcile($node, $systems);

is(scalar(@wrong), 0, 'the books agree with the runs') or diag(join("\n", @wrong));
nothing_crashed($node);
$node->stop;
$systems->stop;
done_testing();
