# simulate(): nothing is sent, and nothing is left: not in the tables, not in shared memory, not in
# the session; also if it fails in the middle, or is cancelled.

use strict;
use warnings;

use Test::More;
use PostgreSQL::Test::Cluster;
use Dataflows;
use Dataflows::Onboarding;
use Dataflows::Simulation;

my $systems = start_systems();
my $node = start_simulation_node('nothing_comes_of_it');

create_server($node, 'counting', $systems->url('crm'));
define_body($node, 'everything', <<'SQL', q{deadline => '90 days', notify => 'told'});
PERFORM pg_advisory_lock(4711);
PERFORM dataflows.once('number', 'SELECT 42');
PERFORM dataflows.alias('one more key');
PERFORM dataflows.post('a', 'counting', '/contacts', '{"email": "a@example.com"}',
  undo => 'DELETE /contacts/{id}');
PERFORM dataflows.query('write', 'INSERT INTO app.written VALUES (1)',
  undo => 'DELETE FROM app.written');
PERFORM dataflows.sleep('nap', '1 month');
PERFORM dataflows.wait_for('paid', '1 day');
IF NOT event ? 'child' THEN
  PERFORM dataflows.call('child', 'everything', '{"child": true}');
  PERFORM dataflows.fail('over');
END IF;
RETURN event;
SQL
as_app($node, 'postgres', 'CREATE TABLE app.written (x int); CREATE SEQUENCE app.numbers');

my @tables = split ' ',
	$node->safe_psql('postgres',
		"SELECT string_agg(tablename, ' ' ORDER BY tablename) FROM pg_tables
			WHERE schemaname IN ('dataflows', 'app')");

sub contents
{
	return $node->safe_psql('postgres', join ' ', map {
		my $schema = $_ eq 'written' ? 'app' : 'dataflows';

		"SELECT '$_', count(*), md5(string_agg(t::text, ' ' ORDER BY t::text)) FROM $schema.$_ t;"
	} @tables);
}

my $before = contents();
my $metrics = q{SELECT string_agg(m::text, ' ' ORDER BY m::text) FROM dataflows.metrics m
	WHERE m.name ~ 'run|step|attempt|undo|wait|alert|sent|received'};
my $counted = $node->safe_psql('postgres', $metrics);

# ---- a whole simulation ------------------------------------------------------------------

my $session = $node->background_psql('postgres', on_error_stop => 0);

$session->query_safe('SET ROLE app; LISTEN told; LISTEN dataflows');
my $ends = $session->query_safe(<<'SQL');
SELECT string_agg(concat_ws(' ', step, kind, outcome), ',' ORDER BY n)
FROM dataflows.simulate('everything', '{}', '{"event:paid": {}}');
SQL
like($ends, qr/,nap sleep done,paid wait done,child > number once done,/, 'it goes on');
like($ends, qr/,child call failed,|,child > a undo undone,/, 'its child, too');
like($ends, qr/,write undo undone,a undo undone,run rolled_back$/, 'and is undone');

sub nothing_is_left
{
	my ($after) = @_;

	is(contents(), $before, "after $after: the tables are what they were");
	is(scalar @{ $systems->requests('crm') }, 0, '... nothing was sent');
	is($node->safe_psql('postgres', $metrics), $counted, '... nothing was counted');
	is( $session->query_safe("SELECT count(*) FROM pg_locks WHERE locktype = 'advisory'"),
		'0', '... the session holds no lock of the body');
	is( $session->query_safe(
			"SELECT concat_ws(' ', current_user, (SELECT count(*) FROM pg_prepared_statements),
				(SELECT count(*) FROM pg_cursors),
				(SELECT string_agg(c, ' ' ORDER BY c) FROM pg_listening_channels() AS c))"),
		'app 0 0 dataflows told',
		'... and is what it was');
	return;
}

nothing_is_left('a simulation');

# ---- within a transaction of the caller's -----------------------------------------------------

my $seen = $session->query_safe(<<'SQL');
BEGIN;
INSERT INTO app.written VALUES (7);
SAVEPOINT here;
SELECT count(*) FROM dataflows.simulate('everything', '{}') WHERE kind = 'run';
SELECT sum(x) + 1 FROM app.written;
ROLLBACK TO here;
SELECT count(*) FROM dataflows.simulate('everything', '{}') WHERE kind = 'run';
SELECT array_agg(x) = '{7}' FROM app.written;
ROLLBACK;
SQL
is($seen, "1\n8\n1\nt", 'within savepoints, too');
nothing_is_left('a transaction that was rolled back');
$session->query_safe(<<'SQL');
BEGIN; SELECT count(*) FROM dataflows.simulate('everything', '{}'); COMMIT;
SQL
nothing_is_left('one that was committed');

my ($out, $code) = (
	$session->query_safe(<<'SQL'), 0);
SELECT pg_advisory_lock(1), pg_advisory_lock(4711);
PREPARE mine AS SELECT 5;
SELECT count(*) > 0 FROM dataflows.simulate('everything', '{}');
EXECUTE mine;
SELECT string_agg(objid::text, ' ' ORDER BY objid) FROM pg_locks WHERE locktype = 'advisory';
SELECT pg_advisory_unlock_all();
DEALLOCATE mine;
SQL
is($out, "|\nt\n5\n1 4711\n", 'what the session had before it still has');

# ---- what stops it --------------------------------------------------------------------

define_body($node, 'endless', <<'SQL');
PERFORM dataflows.post('a', 'counting', '/contacts', '{}');
PERFORM pg_advisory_lock(4711);
PERFORM pg_sleep(3600);
SQL
define_body($node, 'endless_sql', q{RETURN dataflows.query('q', 'SELECT pg_sleep(3600)');});
$before = contents();
for my $name ('endless', 'endless_sql')
{
	like(
		$session->query("SET statement_timeout = '500ms'; SELECT dataflows.simulate('$name', '{}');
			RESET statement_timeout") . $session->{stderr},
		qr/canceling statement due to statement timeout/, "$name is cancelled");
	$session->{stderr} = '';
	nothing_is_left('a cancel');
}
for my $case (
	[ 'a read-only transaction', 'BEGIN READ ONLY', 'COMMIT', qr/cannot simulate a run in a read/ ],
	[ 'no member', 'SET ROLE eve', 'RESET ROLE; SET ROLE app', qr/role "eve" may not simulate/ ])
{
	my ($what, $begin, $end, $error) = @$case;

	$node->safe_psql('postgres', 'CREATE ROLE eve; GRANT USAGE ON SCHEMA app TO eve')
		if $what eq 'no member';
	$session->query("RESET ROLE; $begin; SELECT * FROM dataflows.simulate('everything', '{}');");
	like($session->{stderr}, $error, "$what: it says why it cannot");
	$session->{stderr} = '';
	$session->query("$end; SET ROLE app");
}
nothing_is_left('errors');

# a function whose author says that it may be called in parallel mode, in which nothing can be
# simulated
$session->query_safe(<<'SQL');
CREATE FUNCTION app.wrongly_parallel() RETURNS bigint PARALLEL RESTRICTED LANGUAGE plpgsql AS
  $$BEGIN RETURN count(*) FROM dataflows.simulate('everything', '{}'); END$$;
SELECT set_config(name, 'on', false) FROM pg_settings
  WHERE name IN ('force_parallel_mode', 'debug_parallel_query');
SQL
$session->query('SELECT app.wrongly_parallel()');
like($session->{stderr}, qr/ERROR: .* parallel operation/, 'not in parallel mode');
$session->{stderr} = '';
$session->query_safe(<<'SQL');
SELECT set_config(name, 'off', false) FROM pg_settings
  WHERE name IN ('force_parallel_mode', 'debug_parallel_query');
SQL
is($session->query_safe('SELECT app.wrongly_parallel() > 0'), 't', '... but afterwards');
nothing_is_left('an error before the simulation began');

# ---- a run that is really started afterwards ---------------------------------------------------

my $present = $session->query_safe(<<'SQL');
SELECT dataflows.start('endless_sql') > dataflows.start('endless_sql') IS FALSE;
SELECT max(started_at) <= clock_timestamp() FROM dataflows.runs;
SQL
like($present, qr/^t\nt\s*$/, 'ids and times of the session are not of the future');
$session->quit;

done_testing();
