# Bodies that fight back: what they swallow, leave behind, hold up, read from
# live tables, and what becomes of a run when its function changes under it.

use strict;
use warnings;

use Test::More;
use PostgreSQL::Test::Cluster;
use PostgreSQL::Test::Utils;
use Dataflows;

my $systems = start_systems();
my $node = new_node('bodies_hard',
	conf => "dataflows.body_timeout = '1s'\ndataflows.sweep_interval = '500ms'");

create_systems($node, 'postgres', $systems, workflow => 0);
as_app($node, 'postgres',
	'CREATE TABLE app.live (name text PRIMARY KEY, value text); CREATE TABLE app.notes (note text)'
);

# A function app.<name> as a workflow of app's; "superuser" makes the function.
sub define
{
	my ($name, $language, $body, $as) = @_;
	my $sql =
		  "CREATE OR REPLACE FUNCTION app.$name(event jsonb) RETURNS jsonb LANGUAGE $language AS "
		. "\$body\$\n$body\n\$body\$;";

	if   ($as) { $node->safe_psql('postgres', $sql); }
	else       { as_app($node, 'postgres', $sql); }
	as_app($node, 'postgres', "SELECT dataflows.define_workflow('$name', 'app.$name')");
	return;
}

sub replace
{
	my ($name, $body) = @_;

	as_app($node, 'postgres',
			  "CREATE OR REPLACE FUNCTION app.$name(event jsonb) RETURNS jsonb LANGUAGE plpgsql AS "
			. "\$body\$\n$body\n\$body\$");
	return;
}

sub start
{
	my ($name, $input) = @_;
	$input //= '{}';
	return as_app($node, 'postgres', "SELECT dataflows.start('$name', '$input')");
}

sub await { return as_app($node, 'postgres', "SELECT dataflows.await('$_[0]', '20 s')"); }

sub look
{
	my ($run, $what) = @_;
	return $node->safe_psql('postgres', "SELECT $what FROM dataflows.runs WHERE run = '$run'");
}

sub steps_of
{
	return $node->safe_psql(
		'postgres',
		"SELECT string_agg(step || ' ' || state, ', ' ORDER BY n) FROM dataflows.steps
			WHERE run = '$_[0]'"
	);
}

sub post
{
	my ($step, $email, $undo) = @_;
	$undo //= 'DELETE /contacts/{id}';
	return
		"dataflows.post('$step', 'crm', '/contacts', '{\"email\": \"$email\"}', undo => '$undo')";
}

# ---- what swallows the suspension -----------------------------------------------------

# Each takes another way once its first step has not answered at once.
define(
	'swallows', 'plpgsql', 'BEGIN
  BEGIN
    PERFORM ' . post('first', 'swallows@example.com') . ';
  EXCEPTION WHEN query_canceled OR OTHERS THEN
    PERFORM ' . post('other', 'swallows@example.com') . ';
    RETURN \'"the other way"\';
  END;
  RETURN \'"this way"\';
END');
define(
	'others', 'plpgsql', 'BEGIN
  FOR i IN 1 .. 3 LOOP
    BEGIN
      PERFORM ' . post('first', 'others@example.com') . ';
      PERFORM dataflows.sleep(\'nap\', \'50 ms\');
    EXCEPTION WHEN OTHERS THEN
      RETURN to_jsonb(SQLERRM);
    END;
  END LOOP;
  RETURN \'"this way"\';
END');
my %way = (
	swallows => [ 'first done', '1/1' ],
	others => [ 'first done, nap done, first#2 done, nap#2 done, first#3 done, nap#3 done', '3/3' ]
);

SKIP:
{
	my ($rc) = $node->psql('postgres', 'CREATE EXTENSION plpython3u');

	skip 'plpython3u is not installed', 0 if $rc != 0;
	define(
		'pythonic', 'plpython3u', '
for i in range(3):
    try:
        plpy.execute("""SELECT ' . post('first', 'pythonic@example.com') . '""")
    except:
        try:
            plpy.execute("""SELECT ' . post('other', 'pythonic@example.com') . '""")
        except:
            pass
try:
    with plpy.subtransaction():
        plpy.execute("SELECT dataflows.sleep(\'nap\', \'50 ms\')")
except:
    return \'"the other way"\'
return \'"this way"\'', 'superuser');
	$way{pythonic} = [ 'first done, first#2 done, first#3 done, nap done', '3/3' ];
}
SKIP:
{
	my ($rc) = $node->psql('postgres', 'CREATE EXTENSION plperl');

	skip 'plperl is not installed', 0 if $rc != 0;
	define(
		'perlish', 'plperl', '
for my $i (1 .. 3) {
	eval { spi_exec_query(q{SELECT ' . post('first', 'perlish@example.com') . '}); 1 }
	  or eval { spi_exec_query(q{SELECT ' . post('other', 'perlish@example.com') . '}); };
}
eval { spi_exec_query(q{SELECT dataflows.sleep(\'nap\', \'50 ms\')}); 1 }
  or return q{"the other way"};
return q{"this way"};');
	$way{perlish} = [ 'first done, first#2 done, first#3 done, nap done', '3/3' ];
}
my %run = map { $_ => start($_) } sort keys %way;
for my $name (sort keys %way)
{
	is( await($run{$name}) . look($run{$name}, 'result'),
		'completed"this way"',
		"$name: goes its one way");
	is(steps_of($run{$name}), $way{$name}[0], "$name: the record has nothing else");
	is($systems->made_and_left('crm', "$name\@example.com"),
		$way{$name}[1], "$name: and so have the books");
}

# ---- DF001 and another way, twice ---------------------------------------------------------

define(
	'detour', 'plpgsql', 'BEGIN
  FOR i IN 1 .. 2 LOOP
    BEGIN
      PERFORM dataflows.post(\'refused\', \'billing\', \'/customers\',
        \'{"email": "detour@example.com"}\', undo => \'none\');
    EXCEPTION WHEN SQLSTATE \'DF001\' THEN
      PERFORM ' . post('instead', 'detour@example.com') . ';
    END;
  END LOOP;
  RETURN dataflows.response(\'refused#2\');
END');
$systems->fault('billing', status => 402, match => { email => 'detour' }, times => 2);
$run{detour} = start('detour');
is(await($run{detour}) . look($run{detour}, "result->>'status'"),
	'completed402', 'a caught DF001 is a fork in the record');
is( steps_of($run{detour}),
	'refused failed, instead done, refused#2 failed, instead#2 done',
	'that each entry takes again');
is($systems->made_and_left('crm', 'detour@example.com'), '2/2', 'nothing of it twice');
$systems->clear_faults;

# ---- what it leaves behind, what it tries to set -------------------------------------------

define(
	'leaks', 'plpgsql', 'BEGIN
  PERFORM pg_advisory_lock(4242);
  EXECUTE \'PREPARE leak AS SELECT 1\';
  PERFORM set_config(\'search_path\', \'nowhere\', false),
    set_config(\'app.mark\', \'here\', false);
  EXECUTE \'DECLARE leak CURSOR WITH HOLD FOR SELECT 1\';
  PERFORM dataflows.sleep(\'nap\', \'50 ms\');
  PERFORM dataflows.wait_for(\'go\');
  RETURN \'"fine"\';
END');
define(
	'finds', 'plpgsql', 'BEGIN
  RETURN jsonb_build_array((SELECT count(*) FROM pg_prepared_statements),
    (SELECT count(*) FROM pg_cursors WHERE name = \'leak\'),
    nullif(current_setting(\'app.mark\', true), \'\'),
    current_setting(\'search_path\') ~ \'nowhere\', current_setting(\'transaction_read_only\'));
END');
define(
	'unlocks', 'plpgsql', 'BEGIN
  SET LOCAL transaction_read_only = off;
  INSERT INTO app.notes VALUES (\'written\');
  RETURN NULL;
END');
define(
	'subwrites', 'plpgsql', 'BEGIN
  BEGIN
    SET LOCAL transaction_read_only = off;
    INSERT INTO app.notes VALUES (\'written\');
  EXCEPTION WHEN OTHERS THEN
    INSERT INTO app.notes VALUES (\'written\');
  END;
  RETURN NULL;
END');
$run{leaks} = start('leaks');
becomes($node, $run{leaks}, 'waiting', 'a body that leaks comes to its wait');
is($node->safe_psql('postgres', "SELECT count(*) FROM pg_locks WHERE locktype = 'advisory'"),
	0, 'its advisory lock is gone');
$run{finds} = start('finds');
is( await($run{finds}) . look($run{finds}, 'result'),
	'completed[0, 0, null, false, "on"]',
	'the next body finds nothing of it');
as_app($node, 'postgres', "SELECT dataflows.signal('$run{leaks}', 'go')");
becomes($node, $run{leaks}, 'completed', 'and it can do so again');
for my $name (qw(unlocks subwrites))
{
	$run{$name} = start($name);
	is(await($run{$name}), 'stuck', "a body that $name is stuck");
	like(look($run{$name}, 'stuck'), qr/"25\w{3}"/, 'with a class 25');
}
is(number_of($node, 'SELECT count(*) FROM app.notes'), 0, 'nothing was written');

# ---- locks -------------------------------------------------------------------------------------

define(
	'reads', 'plpgsql', 'BEGIN
  PERFORM ' . post('before', 'reads@example.com') . ';
  RETURN to_jsonb((SELECT count(*) FROM app.notes));
END');
define('brief', 'plpgsql', 'BEGIN RETURN ' . post('make', 'brief@example.com') . '; END');
my $migration = $node->background_psql('postgres');
$migration->query_safe('BEGIN; LOCK TABLE app.notes');
$run{reads} = start('reads');
ok( wait_until(
		$node,
		"SELECT waiting_for LIKE 'transient error: %lock timeout%' FROM dataflows.runs
			WHERE run = '$run{reads}'"
	),
	'a body behind a migration\'s lock is put aside');
$run{brief} = start('brief');
is(await($run{brief}), 'completed', 'other runs go on meanwhile');
is(look($run{reads}, 'state || drifted'), 'runningfalse', 'it is not stuck, and nothing is undone');
$migration->query_safe('COMMIT');
$migration->quit;
is(await($run{reads}) . $systems->made_and_left('crm', 'reads@example.com'), 'completed1/1',
	'after the migration it goes on');

# ---- a body that reads live data -----------------------------------------------------------------

# Each waits; then app.live changes, so that the same text takes another way.
my %live = (
	request => [
		'PERFORM dataflows.get(\'look\', \'crm\', \'/contacts\',
    query => jsonb_build_object(\'email\', at));
  PERFORM dataflows.wait_for(\'go\');', qr/"look".*request.*before.*after/
	],
	kind => [
			  'IF at = \'before\' THEN PERFORM dataflows.sleep(\'nap\', \'1 ms\'); ELSE PERFORM '
			. post('nap', 'kind@example.com')
			. '; END IF;
  PERFORM dataflows.wait_for(\'go\');', qr/"nap".*kind/
	],
	new_step => [
		'PERFORM dataflows.post(at, \'crm\', \'/contacts\', \'{"email": "new_step@example.com"}\');
  PERFORM dataflows.wait_for(\'go\');', qr/new step "after" before the recorded step "before"/
	],
	returns => [
		'IF at = \'before\' THEN PERFORM '
			. post('kept', 'returns@example.com')
			. '; END IF;
  PERFORM dataflows.wait_for(\'go\');', qr/returned without.*"kept"/
	]);

for my $name (sort keys %live)
{
	as_app($node, 'postgres', "INSERT INTO app.live VALUES ('$name', 'before')");
	define(
		"live_$name", 'plpgsql',
		"DECLARE at text := (SELECT value FROM app.live WHERE name = '$name');
BEGIN
  $live{$name}[0]
  RETURN '\"as recorded\"';
END");
	$run{$name} = start("live_$name");
}
becomes($node, $run{$_}, 'waiting', "$_: waits") for sort keys %live;
as_app($node, 'postgres', "UPDATE app.live SET value = 'after'");
as_app($node, 'postgres', "SELECT dataflows.signal('$run{$_}', 'go')") for sort keys %live;
for my $name (sort keys %live)
{
	becomes($node, $run{$name}, 'stuck', "$name: live data has changed: stuck");
	like(look($run{$name}, 'stuck'), qr/DF003/, "$name: with DF003");
	like(look($run{$name}, "stuck->>'reason'"), $live{$name}[1], "$name: it says what differs");
}
is($systems->made_and_left('crm', 'kind@example.com'), '0/0', 'kind: nothing was sent');
is($systems->made_and_left('crm', "$_\@example.com"), '1/1', "$_: nothing was sent twice or undone")
	for qw(new_step returns);
as_app($node, 'postgres', "UPDATE app.live SET value = 'before'");
as_app($node, 'postgres', "SELECT dataflows.retry('$run{$_}')") for sort keys %live;
is( await($run{$_}) . look($run{$_}, 'result'),
	'completed"as recorded"',
	"$_: goes on after the repair") for sort keys %live;

# ---- the function changes under the run ----------------------------------------------------------

define(
	'waits', 'plpgsql', 'BEGIN
  PERFORM dataflows.wait_for(\'go\');
  RETURN to_jsonb(event->>\'n\');
END');
$run{drifts} = start('waits', '{"n": 1}');
becomes($node, $run{drifts}, 'waiting', 'a run waits');
replace(
	'waits', 'BEGIN
  PERFORM ' . post('added', 'drifts@example.com') . ';
  PERFORM dataflows.wait_for(\'go\');
  RETURN to_jsonb(event->>\'n\');
END');
as_app($node, 'postgres', "SELECT dataflows.signal('$run{drifts}', 'go')");
is(await($run{drifts}) . look($run{drifts}, 'drifted'),
	'completedt', 'a function that was replaced may add a step: drifted');
is(steps_of($run{drifts}), 'go done, added done', 'which is recorded after the others');

$node->safe_psql('postgres', 'CREATE ROLE other LOGIN; GRANT CREATE, USAGE ON SCHEMA app TO other');
my %broken = (
	'function dropped' =>
		[ 'DROP FUNCTION app.waits(jsonb)', undef, qr/42883.*app\.waits.*does not exist/ ],
	'owner changed' => [
		'ALTER FUNCTION app.waits(jsonb) OWNER TO other',
		'ALTER FUNCTION app.waits(jsonb) OWNER TO app',
		qr/42501.*app\.waits.*owner/
	],
	'EXECUTE revoked' => [
		'REVOKE EXECUTE ON FUNCTION app.waits(jsonb) FROM PUBLIC, app',
		'GRANT EXECUTE ON FUNCTION app.waits(jsonb) TO app',
		qr/42501.*"app" may not execute.*app\.waits/
	],
	'SECURITY DEFINER' => [
		'ALTER FUNCTION app.waits(jsonb) SECURITY DEFINER',
		'ALTER FUNCTION app.waits(jsonb) SECURITY INVOKER',
		qr/42501.*app\.waits.*SECURITY DEFINER/
	]);

replace('waits', 'BEGIN PERFORM dataflows.wait_for(\'go\'); RETURN to_jsonb(event->>\'n\'); END');
for my $what (sort keys %broken)
{
	my ($break, $mend, $words) = @{ $broken{$what} };
	my $run = start('waits', '{"n": 2}');

	becomes($node, $run, 'waiting', "$what: a run waits");
	$node->safe_psql('postgres', $break);
	$node->safe_psql('postgres', "SELECT dataflows.signal('$run', 'go')");
	becomes($node, $run, 'stuck', "$what: it is stuck");
	like(look($run, "concat(stuck->>'sqlstate', ' ', stuck->>'reason')"),
		$words, "$what: and says why");
	if ($mend) { $node->safe_psql('postgres', $mend); }
	else
	{
		replace('waits',
			'BEGIN PERFORM dataflows.wait_for(\'go\'); RETURN to_jsonb(event->>\'n\'); END');
	}
	as_app($node, 'postgres', "SELECT dataflows.retry('$run')");
	is(await($run) . look($run, 'result'), 'completed"2"', "$what: it goes on after the repair");
}

# ---- ten in a row --------------------------------------------------------------------------------

define(
	'fails', 'plpgsql', 'BEGIN
  PERFORM dataflows.post(\'make\', \'crm\', \'/contacts\',
    jsonb_build_object(\'email\', event->>\'email\'), undo => \'DELETE /contacts/{id}\');
  RETURN dataflows.post(\'refused\', \'billing\', \'/customers\',
    jsonb_build_object(\'email\', event->>\'email\'));
END');
$systems->fault('billing', status => 422);
for my $i (1 .. 10)
{
	my $run = start('fails', qq({"email": "fails$i\@example.com"}));

	is(await($run), 'rolled_back', "failure $i at one step is a rollback");
}
$run{fails} = start('fails', '{"email": "fails11@example.com"}');
is(await($run{fails}), 'stuck', 'after ten in a row the next is stuck');
like(look($run{fails}, "stuck->>'reason'"), qr/ten runs of "fails".*"refused".*422/, 'and says so');
is($systems->made_and_left('crm', 'fails11@example.com'), '1/1', 'nothing of it is undone');
$systems->clear_faults;
as_app($node, 'postgres', "SELECT dataflows.retry('$run{fails}')");
is(await($run{fails}), 'completed', 'after the repair it is completed');
is( $node->safe_psql(
		'postgres',
		"SELECT renewals FROM dataflows.step WHERE run = '$run{fails}' AND step = 'refused'"
	),
	'1',
	'with a new key');

# the repair may also leave the step out
define(
	'wrong', 'plpgsql', 'BEGIN
  PERFORM ' . post('first', 'wrong@example.com') . ';
  PERFORM dataflows.post(\'wrong\', \'billing\', \'/nowhere\', \'{}\');
  RETURN \'"wrong"\';
END');
as_app($node, 'postgres',
	"SELECT dataflows.define_workflow('wrong', 'app.wrong', undo_on => 'never')");
$run{wrong} = start('wrong');
is(await($run{wrong}), 'stuck', "undo_on => 'never'");
replace('wrong', 'BEGIN RETURN ' . post('first', 'wrong@example.com') . '; END');
as_app($node, 'postgres', "SELECT dataflows.retry('$run{wrong}')");
is(await($run{wrong}), 'completed', 'a repair may leave the failed step out');
is(steps_of($run{wrong}), 'first done, wrong failed', 'which stays failed');

# ---- a body that never gives up ------------------------------------------------------------------

define(
	'stubborn', 'plpgsql', 'BEGIN
  LOOP
    BEGIN
      PERFORM pg_sleep(60);
    EXCEPTION WHEN query_canceled OR OTHERS THEN
      NULL;
    END;
  END LOOP;
END');
my ($worker) = pids_of($node, 'worker');
my $from = -s $node->logfile;
$run{stubborn} = start('stubborn');
becomes($node, $run{stubborn}, 'stuck', 'a body that catches the cancel too is stuck in the end');
like(look($run{stubborn}, 'stuck'), qr/after its time limit and the cancel/, 'and why is said');
is( scalar(
		() =
			slurp_file($node->logfile, $from) =~ /terminating background worker "dataflows worker"/g
	),
	1,
	'one worker ended of it, no more');
unlike(join(' ', pids_of($node, 'worker')), qr/\b$worker\b/, 'the worker that had it is gone');
$run{brief} = start('brief');
is(await($run{brief}), 'completed', 'another serves the next run');

my $log = slurp_file($node->logfile);
unlike($log, qr/PANIC|TRAP|terminated by signal/, 'nothing crashed');
$node->stop;
$systems->stop;
done_testing();
