# Bodies in other languages, bodies that swallow errors, bodies that are wrong.

use strict;
use warnings;

use Test::More;
use PostgreSQL::Test::Cluster;
use PostgreSQL::Test::Utils;
use Dataflows;

my $systems = start_systems();
my $node =
	new_node('bodies', conf => "dataflows.body_timeout = '1s'\ndataflows.sweep_interval = '1s'");

create_systems($node, 'postgres', $systems, workflow => 0);

# define a workflow of app's with the body given; the function is made by whom
sub define
{
	my ($name, $sql, $as) = @_;

	if   ($as) { $node->safe_psql('postgres', $sql); }
	else       { as_app($node, 'postgres', $sql); }
	as_app($node, 'postgres', "SELECT dataflows.define_workflow('$name', 'app.$name')");
	return;
}

sub run_of
{
	my ($name, $input) = @_;
	my $run =
		as_app($node, 'postgres', "SELECT dataflows.start('$name', '" . ($input // '{}') . "')");
	my $state = as_app($node, 'postgres', "SELECT dataflows.await('$run', '20 s')");

	return ($run, $state);
}

sub result_of
{
	return $node->safe_psql('postgres', "SELECT result FROM dataflows.runs WHERE run = '$_[0]'");
}

sub stuck_of
{
	return $node->safe_psql('postgres', "SELECT stuck FROM dataflows.run WHERE run = '$_[0]'");
}

sub steps_of
{
	return $node->safe_psql(
		'postgres',
		"SELECT string_agg(step || ' ' || state, ', ' ORDER BY n) FROM dataflows.steps
			WHERE run = '$_[0]'"
	);
}

# ---- loops, helpers, exception blocks in PL/pgSQL ---------------------------------

define('looping', <<'SQL');
CREATE FUNCTION app.helper(email text, n int) RETURNS jsonb LANGUAGE sql VOLATILE AS $$
  SELECT dataflows.post('create', 'crm', '/contacts', jsonb_build_object('email', email, 'n', n),
    undo => 'DELETE /contacts/{id}')
$$;
CREATE FUNCTION app.looping(event jsonb) RETURNS jsonb LANGUAGE plpgsql AS $$
DECLARE
  answers jsonb := '[]';
BEGIN
  FOR i IN 1 .. 3 LOOP
    BEGIN
      answers := answers || (app.helper('loop@example.com', i)->'n');
    EXCEPTION WHEN OTHERS THEN
      RAISE WARNING 'swallowed %', SQLERRM;
      RETURN '"swallowed"';
    END;
  END LOOP;
  PERFORM dataflows.sleep('nap', '200 ms');
  RETURN answers;
END $$;
SQL
my ($run, $state) = run_of('looping');

is( "$state " . result_of($run),
	'completed [1, 2, 3]',
	'a loop over a helper function inside an exception block');
is(steps_of($run), 'create done, create#2 done, create#3 done, nap done',
	'the n-th call is name#n');
is($systems->ever('loop@example.com'), '0/0/3/0', 'each is made once');

# ---- Python and Perl ------------------------------------------------------------------

SKIP:
{
	my ($rc) = $node->psql('postgres', 'CREATE EXTENSION plpython3u');

	skip 'plpython3u is not installed', 4 if $rc != 0;
	define('pythonic', <<'SQL', 'superuser');
CREATE FUNCTION app.pythonic(event jsonb) RETURNS jsonb LANGUAGE plpython3u AS $$
import json

def post(step, system, path, body):
    plan = plpy.prepare("SELECT dataflows.post($1, $2, $3, $4::jsonb, undo => 'none') AS answer",
                        ["text", "text", "text", "text"])
    return json.loads(plpy.execute(plan, [step, system, path, json.dumps(body)])[0]["answer"])

made = []
for name in ("one", "two"):
    try:
        made.append(post(name, "crm", "/contacts", {"email": "python@example.com", "n": name})["n"])
    except:
        made.append("swallowed")
try:
    plpy.execute("SELECT dataflows.wait_for('go')")
except BaseException:
    made.append("swallowed the wait")
return json.dumps(made)
$$;
SQL
	$run = as_app($node, 'postgres', "SELECT dataflows.start('pythonic')");
	ok(wait_until($node, "SELECT state = 'waiting' FROM dataflows.runs WHERE run = '$run'"),
		'a Python body with bare excepts waits');
	as_app($node, 'postgres', "SELECT dataflows.signal('$run', 'go')");
	is( as_app($node, 'postgres', "SELECT dataflows.await('$run', '20 s')") . ' ' . result_of($run),
		'completed ["one", "two"]',
		'and is completed, with nothing swallowed in the record');
	is($systems->ever('python@example.com'), '0/0/2/0', 'each once');

	define('typo', <<'SQL', 'superuser');
CREATE FUNCTION app.typo(event jsonb) RETURNS jsonb LANGUAGE plpython3u AS $$
return no_such_name
$$;
SQL
	($run, $state) = run_of('typo');
	is($state, 'stuck', 'a NameError in Python is a deploy error');
}

SKIP:
{
	my ($rc) = $node->psql('postgres', 'CREATE EXTENSION plperl');

	skip 'plperl is not installed', 2 if $rc != 0;
	define('perlish', <<'SQL');
CREATE FUNCTION app.perlish(event jsonb) RETURNS jsonb LANGUAGE plperl AS $$
my @made;
for my $name (qw(one two)) {
	eval {
		my $plan = spi_prepare("SELECT dataflows.post(\$1, 'crm', '/contacts',
          jsonb_build_object('email', 'perl\@example.com', 'n', \$1),
          undo => 'none')->>'n' AS n", 'text');
		push @made, spi_exec_prepared($plan, $name)->{rows}[0]{n};
		1;
	} or push @made, 'swallowed';
}
return '["' . join('","', @made) . '"]';
$$;
SQL
	($run, $state) = run_of('perlish');
	is("$state " . result_of($run), 'completed ["one", "two"]', 'a Perl body with evals');
	is($systems->ever('perl@example.com'), '0/0/2/0', 'each once');
}

# ---- what a wrong body does ---------------------------------------------------------------

# what (a body after one step that can be undone), the state, what the reason says
my @wrong = (
	[ 'raises', q(RAISE EXCEPTION 'no'), 'rolled_back', 'no' ],
	[ 'divides', q(PERFORM 1 / (event->>'zero')::int), 'stuck', 'zero' ],
	[ 'misspells', q(PERFORM * FROM no_such_table), 'stuck', 'no_such_table' ],
	[ 'writes', q(INSERT INTO app.notes VALUES ('x')), 'stuck', 'dataflows.query' ],
	[ 'commits', q(COMMIT), 'stuck', '' ],
	[ 'loops', q(LOOP PERFORM 1; END LOOP), 'stuck', 'body_timeout' ],
	[ 'sleeps', q(PERFORM pg_sleep(60)), 'stuck', 'body_timeout' ],
	[
		'catches',
		q(BEGIN PERFORM pg_sleep(60); EXCEPTION WHEN query_canceled OR OTHERS THEN NULL; END),
		'stuck', ''
	],
	[ 'forbidden', q(PERFORM * FROM app_secret), 'stuck', 'app_secret' ]);

as_app($node, 'postgres', 'CREATE TABLE app.notes (note text)');
$node->safe_psql('postgres', 'CREATE TABLE public.app_secret (x int)');
for my $case (@wrong)
{
	my ($name, $what, $expected, $reason) = @$case;

	define($name, <<"SQL");
CREATE FUNCTION app.$name(event jsonb) RETURNS jsonb LANGUAGE plpgsql AS \$\$
BEGIN
  PERFORM dataflows.post('create', 'identity', '/users', jsonb_build_object('email',
    '$name\@example.com'), undo => 'DELETE /users/{id}');
  $what;
  RETURN NULL;
END \$\$;
SQL
	($run, $state) = run_of($name, '{"zero": 0}');
	is($state, $expected, "a body that $name: $expected");
	like(
		$node->safe_psql(
			'postgres', "SELECT coalesce(stuck, error) FROM dataflows.run WHERE run = '$run'"),
		qr/$reason/,
		'and says why');
	is( $systems->live("$name\@example.com"),
		$expected eq 'stuck' ? '1/0/0/0'            : '0/0/0/0',
		$expected eq 'stuck' ? 'nothing was undone' : 'it was undone');
}
is(number_of($node, 'SELECT count(*) FROM app.notes'), 0, 'nothing was written');

# ---- repaired and retried -------------------------------------------------------------------

$run = $node->safe_psql('postgres', "SELECT run FROM dataflows.runs WHERE workflow = 'misspells'");
as_app($node, 'postgres', <<"SQL");
CREATE OR REPLACE FUNCTION app.misspells(event jsonb) RETURNS jsonb LANGUAGE plpgsql AS \$\$
BEGIN
  PERFORM dataflows.post('create', 'identity', '/users', jsonb_build_object('email',
    'misspells\@example.com'), undo => 'DELETE /users/{id}');
  RETURN '"repaired"';
END \$\$;
SELECT dataflows.retry('$run');
SQL
ok(wait_until($node, "SELECT state = 'completed' FROM dataflows.runs WHERE run = '$run'"),
	'a stuck run goes on after the repair');
is($systems->ever('misspells@example.com'), '1/0/0/0', 'without making anything twice');

# ---- a body that does not match its record ------------------------------------------------------

define('changing', <<'SQL');
CREATE FUNCTION app.changing(event jsonb) RETURNS jsonb LANGUAGE plpgsql AS $$
BEGIN
  PERFORM dataflows.post('create', 'identity', '/users', jsonb_build_object('email',
    'changing@example.com'), undo => 'DELETE /users/{id}');
  PERFORM dataflows.wait_for('go');
  RETURN NULL;
END $$;
SQL
$run = as_app($node, 'postgres', "SELECT dataflows.start('changing')");
ok(wait_until($node, "SELECT state = 'waiting' FROM dataflows.runs WHERE run = '$run'"),
	'a run waits');
as_app($node, 'postgres', <<"SQL");
CREATE OR REPLACE FUNCTION app.changing(event jsonb) RETURNS jsonb LANGUAGE plpgsql AS \$\$
BEGIN
  PERFORM dataflows.post('create', 'crm', '/contacts', jsonb_build_object('email',
    'changing\@example.com'), undo => 'DELETE /contacts/{id}');
  PERFORM dataflows.wait_for('go');
  RETURN NULL;
END \$\$;
SELECT dataflows.signal('$run', 'go');
SQL
ok(wait_until($node, "SELECT state = 'stuck' FROM dataflows.runs WHERE run = '$run'"),
	'its function calls another system now: stuck');
like(stuck_of($run), qr/DF003/, 'with DF003');
like(stuck_of($run), qr/create/, 'that names the step');
is($systems->live('changing@example.com'), '1/0/0/0', 'nothing is sent or undone');
as_app($node, 'postgres', "SELECT dataflows.cancel('$run', 'give up')");
ok(wait_until($node, "SELECT state = 'cancelled' FROM dataflows.runs WHERE run = '$run'"),
	'a stuck run can be cancelled');
is($systems->live('changing@example.com'), '0/0/0/0', 'which undoes it');

# ---- dropped functions, systems, rights ----------------------------------------------------------

define('plain', <<'SQL');
CREATE FUNCTION app.plain(event jsonb) RETURNS jsonb LANGUAGE plpgsql AS $$
BEGIN
  PERFORM dataflows.wait_for('go');
  RETURN dataflows.post('create', 'crm', '/contacts', jsonb_build_object('email', event->>'email'),
    undo => 'none');
END $$;
SQL
my %lost = (
	'no-usage' => [
		'REVOKE USAGE ON FOREIGN SERVER crm FROM app',
		'GRANT USAGE ON FOREIGN SERVER crm TO app',
		qr/crm/
	],
	'no-function' => [
		'ALTER FUNCTION app.plain(jsonb) RENAME TO gone',
		'ALTER FUNCTION app.gone(jsonb) RENAME TO plain',
		qr/plain/
	],
	'no-system' => [ 'ALTER SERVER crm RENAME TO mrc', 'ALTER SERVER mrc RENAME TO crm', qr/crm/ ]);

for my $what (sort keys %lost)
{
	my ($break, $mend, $reason) = @{ $lost{$what} };

	$run = as_app($node, 'postgres',
		qq(SELECT dataflows.start('plain', '{"email": "$what\@example.com"}')));
	ok(wait_until($node, "SELECT state = 'waiting' FROM dataflows.runs WHERE run = '$run'"),
		"$what: a run waits");
	$node->safe_psql('postgres', $break);
	as_app($node, 'postgres', "SELECT dataflows.signal('$run', 'go')");
	ok(wait_until($node, "SELECT state = 'stuck' FROM dataflows.runs WHERE run = '$run'"),
		'it is stuck');
	like(stuck_of($run), $reason, 'and names what is missing');
	$node->safe_psql('postgres', $mend);
	as_app($node, 'postgres', "SELECT dataflows.retry('$run')");
	ok(wait_until($node, "SELECT state = 'completed' FROM dataflows.runs WHERE run = '$run'"),
		'after the repair it goes on');
	is($systems->ever("$what\@example.com"), '0/0/1/0', 'once');
}

nothing_crashed($node);
$node->stop;
$systems->stop;
done_testing();
