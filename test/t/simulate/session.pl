# What a simulated workflow finds, and leaves behind, in the session that simulates it: what a
# worker clears away after each query step is not there for the next one, and nothing that is the
# session's own is touched.

use strict;
use warnings;

use Test::More;
use PostgreSQL::Test::Cluster;
use Dataflows;
use Dataflows::Simulation;

my $node = start_simulation_node('session');

$node->safe_psql('postgres', 'CREATE ROLE colleague LOGIN IN ROLE app');

sub reason
{
	my ($name, $role) = @_;

	return $node->safe_psql('postgres', <<"SQL", extra_params => [ '-U', $role ]);
SELECT outcome, output->>'reason' FROM dataflows.simulate('$name', '{}') WHERE kind = 'run';
SQL
}

sub function
{
	my ($name, $body) = @_;

	as_app($node, 'postgres', "CREATE FUNCTION app.$name() RETURNS int LANGUAGE plpgsql AS
		\$f\$BEGIN $body END\$f\$");
	return;
}

# ---- temporary tables ----------------------------------------------------------------------

define_body($node, 'two_steps', <<'SQL');
PERFORM dataflows.query('make', 'CREATE TEMP TABLE x AS SELECT 1 AS a');
RETURN dataflows.query('read', 'SELECT a FROM x');
SQL
my $run = as_app($node, 'postgres', "SELECT dataflows.start('two_steps', '{}')");
becomes($node, $run, 'stuck', 'a temporary table is gone before the next step');
like(reason('two_steps', 'app'), qr/^stuck\|.*relation "x" does not exist/,
	'in a simulation, too');
like(reason('two_steps', 'colleague'), qr/^stuck\|.*not simulated in the session of another role/,
	'another role is told why it cannot make one');

function('uses', 'CREATE TEMP TABLE x AS SELECT 7 AS a; RETURN a FROM x;');
define_body($node, 'one_step', <<'SQL');
PERFORM dataflows.query('one', 'SELECT app.uses()');
RETURN dataflows.query('two', 'SELECT app.uses() AS a');
SQL
is(simulated_ends($node, 'one_step'), 'completed [{"a": 7}]', 'within one step it is there');
is(as_app($node, 'postgres', <<'SQL'), "stuck\n5", q{the session's own is not touched});
CREATE TEMP TABLE mine AS SELECT 5 AS a;
SELECT outcome FROM dataflows.simulate('two_steps', '{}') WHERE kind = 'run';
SELECT a FROM mine;
SQL

# ---- cursors -------------------------------------------------------------------------------

function('opens', q{DECLARE c refcursor := 'c'; BEGIN CREATE TEMP TABLE y AS SELECT 1 AS a;
	OPEN c FOR SELECT a FROM y; RETURN 1; END;});
define_body($node, 'cursor', q{PERFORM dataflows.query('open', 'SELECT app.opens()');
	RETURN dataflows.query('fetch', 'SELECT count(*) FROM pg_cursors WHERE name = $1', '["c"]');});
is(simulated_ends($node, 'cursor'), 'completed [{"count": 0}]', 'an open cursor is closed');
is(as_app($node, 'postgres', <<'SQL'), "completed\n3", q{and not the session's});
BEGIN;
DECLARE own CURSOR FOR SELECT 3;
SELECT outcome FROM dataflows.simulate('cursor', '{}') WHERE kind = 'run';
FETCH own;
SQL

# ---- locks ---------------------------------------------------------------------------------

define_body($node, 'locks', <<'SQL');
PERFORM dataflows.query('take', 'SELECT pg_advisory_lock(7)');
RETURN dataflows.query('see', 'SELECT array_agg(objid::int ORDER BY 1) AS ids FROM pg_locks
	WHERE locktype = ''advisory'' AND pid = pg_backend_pid()');
SQL
is(simulated_ends($node, 'locks'), 'completed [{"ids": null}]',
	'an advisory lock is released after its step');
is(as_app($node, 'postgres', <<'SQL'), "\ncompleted\n8", q{the session's own stays});
SELECT pg_advisory_lock(8);
SELECT outcome FROM dataflows.simulate('locks', '{}') WHERE kind = 'run';
SELECT objid FROM pg_locks WHERE locktype = 'advisory' AND pid = pg_backend_pid();
SQL

define_body($node, 'unlocks', <<'SQL');
PERFORM dataflows.query('all', 'SELECT pg_advisory_unlock_all()');
PERFORM pg_advisory_unlock(8);
RETURN to_jsonb(pg_advisory_unlock_shared(9));
SQL
my $locks = "SELECT string_agg(objid || mode, ' ' ORDER BY objid) FROM pg_locks
	WHERE locktype = 'advisory' AND pid = pg_backend_pid()";
is(as_app($node, 'postgres', <<"SQL"),
SELECT pg_advisory_lock(8), pg_advisory_lock_shared(9);
SELECT outcome FROM dataflows.simulate('unlocks', '{}') WHERE kind = 'run';
$locks;
SELECT pg_advisory_unlock(8), pg_advisory_unlock_shared(9);
$locks;
SQL
	"|\ncompleted\n8ExclusiveLock 9ShareLock\nt|t\n", 'even if code releases it');

# ---- what would change the session ---------------------------------------------------------

for my $sql ('DEALLOCATE ALL', 'PREPARE q AS SELECT 2', 'DISCARD PLANS', 'LISTEN x', 'UNLISTEN *',
	'DECLARE h CURSOR WITH HOLD FOR SELECT 1')
{
	my ($word) = $sql =~ /^(\w+)/;

	define_body($node, lc $word, "RETURN dataflows.query('q', '$sql');");
	for my $role (qw(app colleague))
	{
		is($node->safe_psql('postgres', <<"SQL", extra_params => [ '-U', $role ]), "t\n1", $sql);
PREPARE mine AS SELECT 1;
SELECT output->>'reason' ~ '$word.* is not simulated' FROM
  dataflows.simulate(lower('$word'), '{}') WHERE kind = 'run' AND outcome = 'stuck';
EXECUTE mine;
SQL
	}
}
is(as_app($node, 'postgres', <<'SQL'), "1\n2", 'afterwards the session does as it likes');
SELECT count(*) FROM dataflows.simulate('deallocate', '{}') WHERE kind = 'run';
PREPARE q AS SELECT 2;
EXECUTE q;
DEALLOCATE ALL;
SQL

done_testing();
