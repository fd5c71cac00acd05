# fail() and failure(): how a body fails on purpose, and learns why a step has failed, in
# SQL, PL/pgSQL, Python and Perl; and what is kept of an error.

use strict;
use warnings;

use JSON::PP;
use Test::More;
use PostgreSQL::Test::Cluster;
use PostgreSQL::Test::Utils;
use Dataflows;

my $systems = start_systems();
my $node = new_node('fail', conf => "dataflows.sweep_interval = '1s'");
my $json = JSON::PP->new->canonical->allow_nonref;

create_systems($node, 'postgres', $systems, workflow => 0);

# what a run of a body, made by that role, comes to: state, result, error, stuck
sub outcome
{
	my ($name, $sql, $input, $as) = @_;

	if   ($as) { $node->safe_psql('postgres', $sql); }
	else       { as_app($node, 'postgres', $sql); }
	my $run = as_app($node, 'postgres',
		"SELECT dataflows.define_workflow('$name', 'app.$name') \\gset
		SELECT dataflows.start('$name', '" . ($input // '{}') . "')");

	as_app($node, 'postgres', "SELECT dataflows.await('$run', '60 s')");
	return $json->decode(
		$node->safe_psql(
			'postgres', "SELECT to_jsonb(r) FROM dataflows.runs r WHERE run = '$run'"));
}

sub body
{
	my ($name, $code) = @_;

	return "CREATE FUNCTION app.$name(event jsonb) RETURNS jsonb LANGUAGE plpgsql AS \$\$
DECLARE
  seen jsonb := '[]';
BEGIN
$code
END \$\$;";
}

# ---- fail() ---------------------------------------------------------------------

my $run = outcome('detailed', body('detailed', <<'SQL'));
  PERFORM dataflows.fail('out of stock', '{"item": "loom", "left": 0}');
  RETURN '"went on"';
SQL
is($run->{state}, 'rolled_back', 'fail() fails the run');
is("$run->{error}{sqlstate} $run->{error}{message}", 'DF008 out of stock', 'with its reason');
is_deeply($run->{error}{detail}, { item => 'loom', left => 0 }, 'and its detail');
like($run->{error}{context}, qr/function (app\.)?detailed\(jsonb\) line 5/, 'and where it was');

$run = outcome('plain', <<'SQL');
CREATE FUNCTION app.plain(event jsonb) RETURNS jsonb LANGUAGE sql VOLATILE AS $$
  SELECT CASE WHEN event ? 'email' THEN '"fine"' ELSE dataflows.fail('no address') END $$;
SQL
is("$run->{state} $run->{error}{message}",
	'rolled_back no address', 'in SQL it stands for a value');
$run = outcome('caught', body('caught', <<'SQL'));
  BEGIN
    PERFORM dataflows.fail('first');
  EXCEPTION WHEN SQLSTATE 'DF008' THEN
    seen := seen || to_jsonb(SQLERRM);
  END;
  RETURN seen;
SQL
is("$run->{state} @{$run->{result}}", 'completed first', 'a body may catch it');
$run = outcome('nothing', body('nothing', "PERFORM dataflows.fail(NULL);\nRETURN NULL;"));
is("$run->{state} $run->{error}{message}",
	'rolled_back no reason was given', 'without a reason it fails, too');
$run = outcome('large', body('large', <<'SQL'));
  PERFORM dataflows.fail('large', to_jsonb(repeat('x', 2000000)));
  RETURN NULL;
SQL
is("$run->{state} $run->{stuck}{sqlstate}", 'stuck DF006', 'a detail has a limit');

my ($rc, $out, $err) = $node->psql('postgres', "SELECT dataflows.fail('x')");
like($err, qr/"dataflows.fail" was called outside a workflow/, 'fail() outside a workflow');
($rc, $out, $err) = $node->psql('postgres', 'SELECT dataflows.failure()');
like($err, qr/"dataflows.failure" was called outside a workflow/, 'and failure()');

# what on_failure gets
$run = outcome('told', body('told', "PERFORM dataflows.fail('sold', '{\"n\": 1}'); RETURN NULL;"));
as_app($node, 'postgres', <<'SQL');
CREATE FUNCTION app.tell(event jsonb) RETURNS jsonb LANGUAGE plpgsql AS $$
BEGIN
  RETURN dataflows.post('tell', 'crm', '/contacts', jsonb_build_object('email', 'desk@example.com',
    'error', event->'error', 'failure', dataflows.failure()));
END $$;
SELECT dataflows.define_workflow('told', 'app.told', on_failure => 'app.tell');
SQL
my $id = as_app($node, 'postgres', "SELECT dataflows.start('told')");
becomes($node, $id, 'rolled_back', 'on_failure was called');
my ($told) = grep { $_->{email} eq 'desk@example.com' } @{ $systems->books('crm')->{records} };
is_deeply(
	[ @{ $told->{data}{error} }{ 'sqlstate', 'message', 'detail' }, $told->{data}{failure} ],
	[ 'DF008', 'sold', { n => 1 }, undef ],
	'it gets sqlstate, reason and detail, and has caught nothing itself');

# ---- failure() ------------------------------------------------------------------

$systems->fault('crm', fault => 'status', status => 409, match => { email => '^taken' });
my $taken = q(jsonb_build_object('email', 'taken@example.com'));

$run = outcome('learns', body('learns', <<"SQL"));
  seen := seen || jsonb_build_array(dataflows.failure());
  BEGIN
    PERFORM dataflows.post('one', 'crm', '/contacts', $taken);
  EXCEPTION WHEN SQLSTATE 'DF001' THEN
    seen := seen || dataflows.failure();
  END;
  PERFORM dataflows.sleep('nap', '1 ms');
  BEGIN
    PERFORM dataflows.query('two', 'SELECT 1 / 0');
  EXCEPTION WHEN SQLSTATE 'DF001' THEN
    NULL;
  END;
  RETURN seen || dataflows.failure();
SQL
is($run->{state}, 'completed', 'a body that catches two failures');
my ($none, $one, $two) = @{ $run->{result} };
is($none, undef, 'at first there is none');
is(join(' ', @{$one}{qw(step system status why)}), 'one crm 409 refused', 'then that of the step');
is(join(' ', @{$two}{qw(step sqlstate why)}), 'two 22012 error', 'at last that of the query');

$run = outcome('several', body('several', <<"SQL"));
  PERFORM dataflows.post('a', 'crm', '/contacts', $taken, wait => false);
  PERFORM dataflows.get('b', 'crm', '/no-such', wait => false, answers => '404=fail');
  BEGIN
    PERFORM dataflows.wait_all('a', 'b');
  EXCEPTION WHEN SQLSTATE 'DF001' THEN
    RETURN dataflows.failure();
  END;
SQL
is(join(' ', map { "$_->{step}=$_->{why}" } @{ $run->{result}{failures} // [] }),
	'a=refused b=refused', 'wait_all() tells why of each');

# refused by the system and not the author's limit: the worse of two decides
$node->safe_psql('postgres', <<'SQL');
CREATE SERVER down FOREIGN DATA WRAPPER dataflows OPTIONS (url 'http://127.0.0.1:9',
  allow_private 'true', retry_max_attempts '1');
GRANT USAGE ON FOREIGN SERVER down TO app;
SQL
for my $case (
	[ 'both', q(retry => '{"max_attempts": 1}', ), 'rolled_back' ],
	[ 'one', '', 'stuck' ])
{
	my ($name, $own, $state) = @$case;

	$run = outcome("mixed_$name", body("mixed_$name", <<"SQL"));
  PERFORM dataflows.post('a', 'crm', '/contacts', $taken, wait => false);
  PERFORM dataflows.get('b', 'down', '/x', ${own}wait => false);
  RETURN dataflows.wait_all('a', 'b');
SQL
	is($run->{state}, $state, "of two failures that would fail the run, $name: $state");
}
like($run->{stuck}{remedy}, qr/Once system "down" works again, call dataflows\.retry/,
	'the remedy is about the one that does not');

# ---- what is kept ---------------------------------------------------------------

as_app($node, 'postgres', <<'SQL');
CREATE TABLE app.seats (id int PRIMARY KEY, taken_by text NOT NULL);
INSERT INTO app.seats VALUES (1, 'ada');
CREATE FUNCTION app.reserve() RETURNS void LANGUAGE plpgsql AS $$
BEGIN
  RAISE not_null_violation USING MESSAGE = 'nobody', DETAIL = 'a seat', HINT = 'say who',
    SCHEMA = 'app', TABLE = 'seats', COLUMN = 'taken_by', DATATYPE = 'text', CONSTRAINT = 'none';
END $$;
SQL
$run = outcome('kept', body('kept', "  PERFORM app.reserve();\n  RETURN NULL;"));
is($run->{state}, 'stuck', 'a body that raises what PostgreSQL raises');
is_deeply(
	[ @{ $run->{stuck} }{qw(sqlstate message detail hint schema table column datatype constraint)}
	],
	[ '23502', 'nobody', 'a seat', 'say who', 'app', 'seats', 'taken_by', 'text', 'none' ],
	'all that is known of the error is kept');
like(
	$run->{stuck}{context},
	qr/function (app\.)?reserve\(\) line 3 .*function (app\.)?kept\(jsonb\) line 5/s,
	'with functions and lines');
$run = outcome('unique', body('unique', <<'SQL'));
  RETURN dataflows.query('q', 'INSERT INTO app.seats VALUES (1, ''bob'')');
SQL
is("$run->{state} $run->{error}{detail}{sqlstate} $run->{error}{detail}{constraint}",
	'rolled_back 23505 seats_pkey', 'of a query, too');

# a body can raise DF001 itself, with anything in it
my $number = 0;

for my $detail ('7', '"x"', '[1]', 'null', '{"failures": [1, null]}', '{"why": 3}', '{')
{
	my $name = 'odd_' . ++$number;

	$run = outcome($name, body($name, <<"SQL"));
  RAISE 'odd' USING ERRCODE = 'DF001', DETAIL = '$detail';
  RETURN NULL;
SQL
	is("$run->{state} $run->{stuck}{sqlstate}", 'stuck DF001', "DF001 of the body's: $detail");
}
my $crm = $systems->url('crm');

$node->safe_psql('postgres', <<"SQL");
CREATE ROLE watcher LOGIN;
GRANT pg_monitor TO watcher;
CREATE SERVER limited FOREIGN DATA WRAPPER dataflows OPTIONS (url '$crm', allow_private 'true',
  retry_max_attempts '1');
GRANT USAGE ON FOREIGN SERVER limited TO app;
SQL
$systems->fault(
	'crm',
	fault => 'status',
	status => 408,
	body => 'a secret of the customer',
	match => { email => '^slow' });
$run = outcome('secretive', body('secretive', <<'SQL'));
  PERFORM dataflows.post('b', 'limited', '/contacts', '{"email": "slow@example.com"}');
  RETURN NULL;
SQL
is("$run->{state} $run->{error}{detail}{why} $run->{error}{detail}{body}",
	'stuck limit "a secret of the customer"', 'the owner sees what a system answered');
unlike(
	$node->safe_psql(
		'postgres',
		"SELECT stuck FROM dataflows.runs WHERE workflow = 'secretive'",
		extra_params => [ '-U', 'watcher' ]),
	qr/of the customer|^$/,
	'a monitor does not');
$systems->clear_faults('crm');
as_app($node, 'postgres', "SELECT dataflows.retry('$run->{run}')");
becomes($node, $run->{run}, 'completed', 'once the system works, retry() sends it again');
is($systems->live('slow@example.com'), '0/0/1/0', 'once');
$systems->fault('crm', fault => 'status', status => 409, match => { email => '^taken' });

# ---- other languages ------------------------------------------------------------

SKIP:
{
	($rc) = $node->psql('postgres', 'CREATE EXTENSION plpython3u');
	skip 'plpython3u is not installed', 4 if $rc != 0;
	$run = outcome('py_learns', <<'SQL', '{}', 'superuser');
CREATE FUNCTION app.py_learns(event jsonb) RETURNS jsonb LANGUAGE plpython3u AS $$
import json
post = """SELECT dataflows.post('one', 'crm', '/contacts', '{"email": "taken@example.com"}')"""
try:
    plpy.execute(post)
except plpy.SPIError:
    why = json.loads(plpy.execute("SELECT dataflows.failure() AS f")[0]["f"])
    plpy.execute(plpy.prepare("SELECT dataflows.fail($1, $2)", ["text", "jsonb"]),
                 ["it is " + why["why"], json.dumps({"status": why["status"]})])
$$;
SQL
	is("$run->{state} $run->{error}{message}",
		'rolled_back it is refused', 'Python: failure() and fail()');
	is_deeply($run->{error}{detail}, { status => 409 }, 'with its detail');
	$run = outcome('py_quotes', <<'SQL', '{}', 'superuser');
CREATE FUNCTION app.py_quotes(event jsonb) RETURNS jsonb LANGUAGE plpython3u AS $$
post = """SELECT dataflows.post('one', 'crm', '/contacts', '{"email": "taken@example.com"}')"""
try:
    plpy.execute(post)
except plpy.SPIError as e:
    raise ValueError("no contact: " + str(e))
$$;
SQL
	is("$run->{state} $run->{stuck}{sqlstate}",
		'stuck 38000', 'an exception that quotes a refusal is an exception');
	like($run->{stuck}{hint}, qr/dataflows\.fail\(reason\): in PL\/Python plpy\.execute/,
		'whose hint says how to fail');
}

SKIP:
{
	($rc) = $node->psql('postgres', 'CREATE EXTENSION plperl');
	skip 'plperl is not installed', 3 if $rc != 0;
	$run = outcome('pl_learns', <<'SQL');
CREATE FUNCTION app.pl_learns(event jsonb) RETURNS jsonb LANGUAGE plperl AS $$
my $post = q(SELECT dataflows.post('one', 'crm', '/contacts', '{"email": "taken@example.com"}'));
return '"made"' if eval { spi_exec_query($post); 1 };
my $status = spi_exec_query(q(SELECT dataflows.failure()->>'status' AS s))->{rows}[0]{s};
spi_exec_query(qq(SELECT dataflows.fail('refused', '{"status": $status}')));
$$;
SQL
	is("$run->{state} $run->{error}{sqlstate} $run->{error}{message}",
		'rolled_back DF008 refused', 'Perl: failure() and fail()');
	is_deeply($run->{error}{detail}, { status => 409 }, 'with its detail');
	$run = outcome('pl_quotes', <<'SQL');
CREATE FUNCTION app.pl_quotes(event jsonb) RETURNS jsonb LANGUAGE plperl AS $$
eval { spi_exec_query("SELECT dataflows.fail('sold out')"); 1 } or die "in the shop: $@";
$$;
SQL
	is("$run->{state} $run->{stuck}{sqlstate}", 'stuck 38000', 'a die that quotes it is a die');
}

$node->stop;
$systems->stop;
done_testing();
