# simulate(): for whom, in which databases and sessions it works, and how it fares with a thousand
# steps; keys that real runs hold.

use strict;
use warnings;

use Test::More;
use PostgreSQL::Test::Cluster;
use Dataflows;
use Dataflows::Simulation;

my $node = start_simulation_node('where_it_works');

# ---- roles --------------------------------------------------------------------------------

$node->safe_psql('postgres', <<'SQL');
CREATE ROLE dba LOGIN SUPERUSER;
CREATE ROLE colleague LOGIN IN ROLE app;
CREATE ROLE starter LOGIN;
CREATE SCHEMA shadow AUTHORIZATION colleague;
GRANT USAGE ON SCHEMA shadow TO app;
ALTER ROLE app SET search_path = app, pg_temp;
ALTER ROLE app SET dataflows.traceparent = '';
SQL
as_app($node, 'postgres', <<'SQL');
CREATE TABLE app.mine (x int, whose name DEFAULT current_user);
ALTER TABLE app.mine ENABLE ROW LEVEL SECURITY, FORCE ROW LEVEL SECURITY;
CREATE POLICY own ON app.mine USING (x > 0);
SELECT dataflows.allow('of_role', 'starter', 'start', 'see') WHERE false;
SQL
define_body($node, 'of_role', <<'SQL');
PERFORM dataflows.query('insert', 'INSERT INTO mine VALUES (1)');
r := dataflows.query('rights', 'SELECT count(*), current_user, max(whose) FROM mine');
RETURN jsonb_build_object('rows', r, 'body', current_user, 'path', current_setting('search_path'));
SQL
as_app($node, 'postgres', "SELECT dataflows.allow('of_role', 'starter', 'start', 'see')");

my $expected = '{"body": "app", "path": "app, pg_temp", '
	. '"rows": [{"max": "app", "count": 1, "current_user": "app"}]}';

for my $role (qw(app colleague dba))
{
	is( $node->safe_psql('postgres', <<"SQL", extra_params => [ '-U', $role ]),
SET search_path = shadow;
CREATE TEMP TABLE mine (x int, whose name);
SELECT output FROM dataflows.simulate('of_role', '{}') WHERE kind = 'run';
SELECT current_user, current_setting('search_path'), count(*) FROM mine;
SQL
		"$expected\n$role|shadow|0", "$role: the workflow runs as its owner");
}
my ($code, $out, $err) = $node->psql('postgres', "SELECT dataflows.simulate('of_role', '{}')",
	extra_params => [ '-U', 'starter' ]);
like($err, qr/ERROR:  role "starter" may not simulate workflow "of_role"/,
	'who may start it is no member of the owner');

# what would outlive a statement of another role
define_body($node, 'lasting', q{RETURN dataflows.query('q', 'CREATE TEMP TABLE t (x int)');});
is(simulated_ends($node, 'lasting') =~ s/ .*//r, 'completed', 'the owner may do it');
like(
	$node->safe_psql('postgres',
		"SELECT output->>'reason' FROM dataflows.simulate('lasting', '{}') WHERE kind = 'run'"),
	qr/a temporary table is not simulated in the session of another role/,
	'but not in the session of another role');

# ---- what would hold a run up --------------------------------------------------------------

define_body($node, 'one', q{RETURN dataflows.post('a', 'crm', '/a', event);});
$node->safe_psql('postgres', <<'SQL');
SELECT dataflows.pause('one');
SELECT dataflows.pause();
SELECT dataflows.pause_system('crm');
SQL
is(simulated($node, 'one'), "a http done\nrun completed", 'what is paused is no matter');
$node->safe_psql('postgres', 'SELECT dataflows.resume(); SELECT dataflows.resume_system(\'crm\')');

# ---- keys of real runs ------------------------------------------------------------------------

define_body($node, 'holds', q{RETURN dataflows.wait_for('go');});
define_body($node, 'asks', <<'SQL');
IF event ? 'alias' THEN
  PERFORM dataflows.alias('taken');
END IF;
RETURN dataflows.call('child', 'holds', '{}', key => 'key');
SQL
is(simulated($node, 'asks', '{"event:go": {"is": "done"}}'), story(<<'ROWS'), 'a key that is free');
	child > go wait done
	child call done
	run completed
ROWS
my $run = as_app($node, 'postgres', "SELECT dataflows.start('holds', '{}', 'key')");
becomes($node, $run, 'waiting', 'a real run has the key now');
is(simulated($node, 'asks'), "child call waits forever\nrun waiting", 'the call waits for it');
as_app($node, 'postgres', "SELECT dataflows.signal('$run', 'go', '7')");
becomes($node, $run, 'completed', 'which ends');
is(simulated_ends($node, 'asks'), 'completed 7', 'and its result is taken');

# ---- many steps ---------------------------------------------------------------------------

define_body($node, 'many', <<'SQL');
FOR i IN 1 .. 500 LOOP
  PERFORM dataflows.post('a', 'crm', '/a', jsonb_build_object('i', i), undo => 'DELETE /a/{id}');
  PERFORM dataflows.sleep('nap', '1 day');
END LOOP;
PERFORM dataflows.fail('over');
SQL
my $told = as_app($node, 'postgres', <<'SQL');
SELECT count(DISTINCT at) FILTER (WHERE step IN ('a#2', 'a')), max(at),
  max(outcome) FILTER (WHERE kind = 'run'), count(*)
FROM dataflows.simulate('many', '{}') WHERE kind IN ('http', 'sleep', 'undo', 'run');
SQL
is($told, '3|500 days|rolled_back|1501', 'a thousand steps and undos');
define_body($node, 'wanders', <<'SQL');
FOR i IN 1 .. 300 LOOP
  PERFORM dataflows.post('a' || i || CASE WHEN i > 200 THEN random()::text ELSE '' END, 'crm', '/a',
    '{}');
END LOOP;
SQL
like(simulated_ends($node, 'wanders'), qr/^stuck .*before the recorded step/,
	'a body that takes another way each time is found out');
define_body($node, 'for_ever', q{RETURN dataflows.get('a', 'crm', '/a', until => '$.ok == true',
  every => '1 hour');});
like(simulated($node, 'for_ever'), qr/\na http retries forever\nrun running\z/,
	'a poll that nothing ends is given up');
$node->stop;

# ---- without the library ------------------------------------------------------------------

$node->append_conf('postgresql.conf', "shared_preload_libraries = ''");
$node->start;
is(simulated($node, 'one'), "a http done\nrun completed", 'without the library, too');

done_testing();
