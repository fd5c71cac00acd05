# The files of 0.2 and the schema of 0.1: nothing moves, nothing is lost, the server says which
# command to run; after it
# everything that 0.1 had under way goes on to its end.

use strict;
use warnings;

use File::Copy;
use Test::More;
use PostgreSQL::Test::Cluster;
use PostgreSQL::Test::Utils;
use Dataflows;

my $fixture = 'test/fixtures/0.1';
my $books = PostgreSQL::Test::Utils::tempdir_short() . '/books';

copy("$fixture/books", $books) or die "$fixture/books: $!";

my $systems = start_systems(ledger => $books);
my $node = new_node('upgrade_live', conf => "dataflows.sweep_interval = '1s'");

$systems->config('crm', idempotency => JSON::PP::false);
$node->safe_psql(
	'postgres',
	"CREATE EXTENSION dataflows VERSION '0.1'; CREATE ROLE app LOGIN;
		CREATE SCHEMA app AUTHORIZATION app;"
		. 'GRANT EXECUTE ON FUNCTION dataflows.define_workflow TO app;');
for my $name (qw(identity billing crm email))
{
	my $key = $name eq 'crm' ? '' : ", idempotency_header 'Idempotency-Key'";

	$node->safe_psql(
		'postgres',
		sprintf(
			"CREATE SERVER %s FOREIGN DATA WRAPPER dataflows
				OPTIONS (url '%s', allow_private 'true', timeout '5s',"
				. " retry_initial '50ms', retry_max '500ms', settle '100ms', breaker_failures "
				. "'1000'%s); GRANT USAGE ON FOREIGN SERVER %1\$s TO app",
			$name, $systems->url($name), $key));
}

# ---- as 0.1 left it: its rows, under this database's identity, roles and addresses, as of now

my $outdated = qr/the schema is of version 0\.1/;
my $command = qr/ALTER EXTENSION dataflows UPDATE/;
my $workflows = slurp_file("$fixture/workflows.sql");

$workflows =~ s/SELECT dataflows\.define_workflow.*//s;
as_app($node, 'postgres', $workflows . "INSERT INTO app.notes VALUES ('sleeps\@example.com');");
$node->safe_psql('postgres', slurp_file("$fixture/rows.sql") . <<'SQL');
UPDATE dataflows.installation SET identity = format('%s/%s', (SELECT system_identifier
  FROM pg_control_system()), (SELECT oid FROM pg_database WHERE datname = current_database()));
UPDATE dataflows.run SET identity = (SELECT hashtextextended(identity COLLATE "C", 0)
  FROM dataflows.installation);
UPDATE dataflows.workflow SET owner = 'app'::regrole, function_owner = 'app'::regrole;
-- what nobody expects in an error is no reason to refuse the update
UPDATE dataflows.step SET error = error || '{"accepted": "maybe"}' WHERE error ? 'message';
-- a 2xx was never "accepted"
UPDATE dataflows.step s SET options = coalesce(s.options, '{}') || '{"accept": [201, 409]}'
  FROM dataflows.run r WHERE r.run = s.run AND r.key = 'doubt' AND s.state <> 'done';
UPDATE dataflows.step s SET base_hash = (SELECT hashtext(split_part(o, '=', 2) COLLATE "C")
  FROM pg_foreign_server f, unnest(f.srvoptions) o
  WHERE f.srvname = s.system AND o LIKE 'url=%') WHERE s.system IS NOT NULL;
DO $$
DECLARE c record; since interval := clock_timestamp() - timestamptz '2026-11-27 06:46:10+00';
BEGIN
  FOR c IN SELECT table_name, column_name FROM information_schema.columns
    JOIN information_schema.tables USING (table_schema, table_name)
      WHERE table_schema = 'dataflows' AND data_type LIKE 'timestamp%' AND table_type = 'BASE TABLE'
  LOOP
    EXECUTE format('UPDATE dataflows.%I SET %2$I = %2$I + $1', c.table_name, c.column_name) USING
      since;
  END LOOP;
END $$;
SQL

# ---- before the update ----

my $requests = sub {
	my $n = 0;
	$n += @{ $systems->requests($_) } for qw(identity billing crm email);
	return $n;
};
my $before = $requests->();

ok( wait_until(
		$node,
		"SELECT count(*) > 0 FROM dataflows.status() WHERE process = 'coordinator'
			AND reason LIKE 'the schema is of version 0.1%'"
	),
	'the coordinator says that the schema is of another version');
like(
	$node->safe_psql(
		'postgres',
		"SELECT state || ': ' || reason FROM dataflows.status() WHERE process = 'engine'"),
	qr/^outdated: $outdated, the library of \S+\. Run $command/,
	'so does the engine, with the one command to run');
like(
	slurp_file($node->logfile),
	qr/LOG: .*dataflows does nothing in database "postgres": $outdated.*\n.*HINT: .*$command/,
	'and the log');

my ($rc, $out, $err) = $node->psql(
	'postgres',
	"SELECT dataflows.start('onboarding', '{\"email\": \"later\@example.com\"}', 'later');"
		. "SELECT dataflows.signal_by_key('onboarding', 'signalled', 'email-confirmed')",
	extra_params => [ '-U', 'app' ]);

is($rc, 0, 'an application starts and signals as before') or diag($err);
like(
	$err,
	qr/WARNING: .*does nothing in this database.*HINT: .*ALTER EXTENSION dataflows UPDATE/s,
	'and is told once that nothing moves');
is(() = $err =~ /WARNING/g, 1, 'once per session');
as_app(
	$node, 'postgres',
	"CREATE TABLE app.signups (id int, email text);
		CREATE TRIGGER t AFTER INSERT ON app.signups FOR EACH ROW"
		. " EXECUTE FUNCTION dataflows.start_on_insert('onboarding', 'id'); INSERT INTO "
		. "app.signups VALUES (7, 'row\@example.com')");
is( number_of(
		$node,
		"SELECT count(*) FROM dataflows.runs WHERE key IN ('later', '7') AND state = 'queued'"),
	2,
	'a trigger starts its run, too');
as_app($node, 'postgres', <<'SQL');
CREATE TABLE app.bookings (at timestamptz);
CREATE TRIGGER t AFTER INSERT ON app.bookings FOR EACH ROW
  EXECUTE FUNCTION dataflows.start_on_insert('onboarding', 'at');
SET timezone = 'Asia/Tokyo';
INSERT INTO app.bookings VALUES ('2026-03-04T05:06:07Z');
SQL
is( number_of(
		$node, "SELECT count(*) FROM dataflows.runs WHERE key = '2026-03-04T14:06:07+09:00'"),
	1,
	'also one whose key is a time, as before');
($rc, $out, $err) = $node->psql(
	'postgres',
	"SELECT dataflows.define_workflow('onboarding', 'app.onboarding')",
	extra_params => [ '-U', 'app' ]);
like(
	$err,
	qr/workflows cannot be defined in this database now: $outdated.*HINT: .*Run $command/s,
	'no workflow can be defined, and the hint is the command');

# what the old schema does not have is refused with the same advice
$node->safe_psql('postgres', 'ALTER TABLE dataflows.inbox RENAME COLUMN note TO remark');
($rc, $out, $err) =
	$node->psql('postgres', "SELECT dataflows.cancel(run) FROM dataflows.run WHERE key = 'waits'");
isnt($rc, 0, 'a call that the schema cannot carry out fails');
like($err, qr/HINT: .*Run ALTER EXTENSION dataflows UPDATE/, 'and says what to do');
$node->safe_psql('postgres', 'ALTER TABLE dataflows.inbox RENAME COLUMN remark TO note');

my $sweeps = $node->safe_psql('postgres', 'SELECT clock_timestamp()');

ok(wait_until($node, "SELECT clock_timestamp() > '$sweeps'::timestamptz + interval '3 s'"),
	'some sweeps pass');
is($requests->(), $before, 'nothing was sent');
is( number_of(
		$node, "SELECT count(*) FROM pg_stat_activity WHERE backend_type LIKE 'dataflows %worker'"),
	0,
	'there is no worker');
cmp_ok(scalar(() = slurp_file($node->logfile) =~ /dataflows does nothing in database/g),
	'<=', 2, 'the log is not flooded');

# ---- the update, and what was under way ----

# a body that has learned of a doubt by DF001 must see it again; others follow the new default
is( $node->safe_psql('postgres', <<'SQL'), "fail\nf|1", 'whose doubt the body knows stays so');
BEGIN;
UPDATE dataflows.step SET state = 'in_doubt', finished_at = now()
  WHERE n = 1 AND run = (SELECT run FROM dataflows.run WHERE key = 'waits');
ALTER EXTENSION dataflows UPDATE;
SELECT s.options->>'doubt' FROM dataflows.step s JOIN dataflows.run r USING (run)
  WHERE r.key = 'waits' AND s.n = 1;
SELECT array_agg(DISTINCT s.options->>'doubt') FILTER (WHERE s.options ? 'doubt'
  AND r.key <> 'waits') IS NOT NULL, count(*) FILTER (WHERE r.key = 'waits' AND s.options ? 'doubt')
  FROM dataflows.step s JOIN dataflows.run r USING (run);
ROLLBACK;
SQL

my $updated = $node->safe_psql('postgres', 'SELECT clock_timestamp()');

$node->safe_psql('postgres',
	"UPDATE dataflows.workflow SET on_error = 'stuck' WHERE name = 'sleeps'");

# what 0.1 kept in the error of its steps has columns of its own, before anything goes on by it
is( $node->safe_psql('postgres', <<'SQL'),
BEGIN;
ALTER EXTENSION dataflows UPDATE;
SELECT s.lost, s.lost_at = s.sent_at, s.may_resend IS NULL, s.ask_probe, s.probe_found,
  s.probe_said, s.options->>'accept'
  FROM dataflows.step s JOIN dataflows.run r USING (run) WHERE r.key = 'doubt';
SELECT count(*) FROM dataflows.step s JOIN dataflows.run r USING (run) WHERE r.key <> 'doubt'
  AND num_nonnulls(lost, lost_at, may_resend, ask_probe, probed_at, probe_found, probe_said,
    existed, kept, accepted, maybe_twice, resolved, meaning) > 0;
COMMIT;
SQL
	"1|t|t|t|-1|the probe was answered with status 503|[409]\n0",
	'what was known of the step in doubt is known, and nothing of the others');
is( $node->safe_psql('postgres', "SELECT extversion FROM pg_extension WHERE extname = 'dataflows'"),
	'0.2',
	'the schema is updated');
is( $node->safe_psql(
		'postgres',
		"SELECT string_agg(DISTINCT concat(name, ' ', undo_on), ', ' ORDER BY concat(name, ' ',
			undo_on)) FROM dataflows.workflow WHERE name IN ('onboarding', 'sleeps')"
	),
	'onboarding failure, sleeps never',
	'what on_error said undo_on says');
as_app($node, 'postgres',
	'CREATE FUNCTION app.not_there() RETURNS void LANGUAGE sql AS $$ SELECT $$');
as_app($node, 'postgres', "SELECT dataflows.retry(run) FROM dataflows.runs WHERE key = 'stuck'");
as_app($node, 'postgres',
	"SELECT dataflows.cancel(run) FROM dataflows.runs WHERE key = 'cancelled'");
as_app($node, 'postgres', "SELECT dataflows.resume('quick')");

my %end = (
	signalled => 'completed',
	cancelled => 'cancelled',
	undo => 'rolled_back',
	doubt => 'completed',
	stuck => 'completed',
	queued => 'completed',
	later => 'completed',
	done => 'completed',
	waits => 'waiting',
	sleeps => 'waiting',
	7 => 'waiting');

for my $key (sort keys %end)
{
	ok( wait_until($node, "SELECT state = '$end{$key}' FROM dataflows.runs WHERE key = '$key'", 60),
		"$key is $end{$key}");
}
is($node->safe_psql('postgres', "SELECT state FROM dataflows.status() WHERE process = 'engine'"),
	'running', 'the engine runs');

# a system that has seen a key must see the same key again
my $keys = sub {
	return $node->safe_psql('postgres',
			"SELECT count(*) FILTER (WHERE idempotency_key = run || '/' || n),"
		  . " count(*) FILTER (WHERE idempotency_key ~ '^[-0-9a-f]{36}\$') FROM dataflows.steps"
		  . " WHERE system IS NOT NULL AND $_[0] (started_at < '$updated')");
};

like($keys->(''), qr/^[1-9]\d*\|0$/, 'steps that had begun keep their keys');
like($keys->('NOT'), qr/^0\|[1-9]\d*$/, 'those that begin now have UUIDs');
my ($undo) = map { $_->{key} }
	grep { $_->{method} eq 'DELETE' && $_->{email} eq 'cancelled@example.com' }
	@{ $systems->requests('identity') };

is(
	$undo,
	$node->safe_psql('postgres',
		"SELECT idempotency_key || '/undo' FROM dataflows.steps WHERE key = 'cancelled' AND n = 1"),
	'and an undo has the form of its step');

# what the systems say: identity/billing/crm/email, live of ever
my %live = (
	waits => '1/1/0/0 of 1/1/0/0',
	signalled => '1/1/0/1 of 1/1/0/1',
	cancelled => '0/0/0/0 of 1/1/0/0',
	undo => '0/0/0/0 of 1/0/0/0',
	doubt => '0/0/1/0 of 0/0/1/0',
	stuck => '1/0/0/0 of 1/0/0/0',
	done => '1/0/0/0 of 1/0/0/0',
	queued => '1/0/0/0 of 1/0/0/0',
	later => '1/1/0/1 of 1/1/0/1',
	row => '1/1/0/0 of 1/1/0/0',
	sleeps => '0/0/0/0 of 0/0/0/0');

for my $key (sort keys %live)
{
	is($systems->live("$key\@example.com") . ' of ' . $systems->ever("$key\@example.com"),
		$live{$key}, "$key: as the systems' books say");
}
is(as_app($node, 'postgres', 'SELECT count(*) FROM app.notes'),
	'1', 'the query step was not run again');
is($node->safe_psql('postgres', 'SELECT count(*) FROM dataflows.unexplained'),
	'0', 'no run is unexplained');
is($node->safe_psql('postgres', 'SELECT string_agg(key, \' \') FROM dataflows.runs WHERE drifted'),
	'', 'for no run has the function changed by the update');

$node->stop;
$systems->stop;
done_testing();
