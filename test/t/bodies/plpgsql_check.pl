
# What define_workflow() says of a PL/pgSQL function where plpgsql_check is installed, and that it
# says nothing where it is not.

use strict;
use warnings;

use Test::More;
use PostgreSQL::Test::Cluster;
use PostgreSQL::Test::Utils;
use Dataflows;

my $node = new_node('plpgsql_check');

$node->safe_psql('postgres', 'CREATE EXTENSION dataflows; CREATE ROLE app LOGIN;
	CREATE SCHEMA app AUTHORIZATION app; SELECT dataflows.allow_author(\'app\');
	CREATE TABLE app.people (id int, name text); ALTER TABLE app.people OWNER TO app');

# what app is told, and what the function returns
sub told
{
	my ($sql) = @_;
	my ($rc, $out, $err) = $node->psql('postgres', $sql, extra_params => [ '-U', 'app' ]);

	return ($rc == 0 ? $out : 'failed', $err);
}

sub function
{
	my ($name, $declare, $body) = @_;

	told("CREATE OR REPLACE FUNCTION app.$name(event jsonb) RETURNS jsonb LANGUAGE plpgsql AS \$f\$
DECLARE
	$declare
BEGIN
	$body
	RETURN to_jsonb(1);
END \$f\$");
	return;
}

my $good = "SELECT p.name INTO found FROM app.people AS p WHERE p.id = 1;
	PERFORM dataflows.post('create', 'crm', '/contacts', jsonb_build_object('name', found));";
my $bad = "SELECT p.nam INTO found FROM app.people AS p WHERE p.id = 1;
	PERFORM dataflows.post('create', 'crm', '/contacts', jsonb_build_object('name', found));
	PERFORM dataflows.pots('create', 'crm', '/contacts');";

function('good', 'found text;', $good);
function('bad', 'found text;', $bad);

sub defines { return told("SELECT dataflows.define_workflow('$_[0]', 'app.$_[0]')"); }

# ---- without it ----------------------------------------------------------------------------------

$node->safe_psql('postgres', 'CREATE TABLE app.called (x int); GRANT ALL ON app.called TO app;
	CREATE FUNCTION public.plpgsql_check_function_tb(f regprocedure, fatal_errors boolean,
		extra_warnings boolean) RETURNS TABLE (lineno int, sqlstate text, statement text,
		message text, detail text, hint text) LANGUAGE plpgsql AS
	$$BEGIN INSERT INTO app.called VALUES (1); RETURN QUERY SELECT 1, $s$22000$s$, NULL::text,
		$s$planted$s$, NULL::text, NULL::text; END$$');
is_deeply([ defines('bad') ], [ 1, '' ], 'without the extension nothing is said');
is($node->safe_psql('postgres', 'SELECT count(*) FROM app.called'),
	0, 'a function that is only called so is not called');
$node->safe_psql('postgres', 'DROP FUNCTION public.plpgsql_check_function_tb(regprocedure, boolean,
	boolean)');

SKIP:
{
	skip 'plpgsql_check is not there', 1
		if $node->safe_psql('postgres', "SELECT count(*) FROM pg_available_extensions
			WHERE name = 'plpgsql_check'") eq '0';

	# ---- with it ---------------------------------------------------------------------------------

	$node->safe_psql('postgres', 'CREATE SCHEMA "Checks"; GRANT USAGE ON SCHEMA "Checks" TO PUBLIC;
		CREATE EXTENSION plpgsql_check SCHEMA "Checks"');
	is_deeply([ defines('good') ], [ 1, '' ], 'of a good function nothing is said');

	my ($version, $said) = defines('bad');
	is($version, 1, 'a bad one is defined all the same');
	like($said, qr/WARNING:  function app\.bad\(jsonb\), line 5 at SQL statement: column p\.nam /,
		'the line and the column');
	like($said, qr/line 7 at PERFORM: function dataflows\.pots\(.*does not exist/, 'a function');
	like($said, qr/HINT: .*SELECT \* FROM "Checks"\.plpgsql_check_function\('app\.bad\(jsonb\)'\);/,
		'and how to look');
	my ($look) = $said =~ /(SELECT \* FROM "Checks"[^;]*;)/;
	like((told($look))[0], qr/nam/, 'which works');

	($version, $said) = told("SELECT dataflows.define_workflow('both', 'app.good', 'app.bad')");
	like($said, qr/WARNING:  function app\.bad/, 'on_failure is checked, too');

	function('many', '', join("\n", map { "PERFORM dataflows.no_$_();" } 1 .. 13));
	($version, $said) = defines('many');
	is(() = $said =~ /WARNING:/g, 11, 'ten warnings');
	like($said, qr/plpgsql_check finds 3 more faults/, 'and how many more there are');

	function('odd', '', q{PERFORM 'it''s "quoted" %s %n';
	PERFORM "no column %s";});
	($version, $said) = defines('odd');
	is($version, 1, 'marks in a message');
	like($said, qr/no column %s/, 'are said as they are');
	is_deeply([ told("CREATE FUNCTION app.other(event jsonb) RETURNS jsonb LANGUAGE sql AS
		'SELECT event'; SELECT dataflows.define_workflow('other', 'app.other')") ], [ 1, '' ],
		'another language has no checker');

	# ---- what works ------------------------------------------------------------------------------

	function('works', "unused text;", q{IF event ? 'a' THEN RETURN '{"a": true}'; END IF;
	IF event ? 'b' THEN RETURN 7; END IF;
	IF event ? 'c' THEN RETURN format('{"c": %s}', 1); END IF;});
	is_deeply([ defines('works') ], [ 1, '' ], 'of what works nothing is said');
	is((told(q{SELECT app.works('{"a": 1}'), app.works('{"b": 1}'), app.works('{"c": 1}')}))[0],
		'{"a": true}|7|{"c": 1}', 'it does work');
	function('cannot', '', q{IF event ? 'a' THEN RETURN now(); END IF;});
	($version, $said) = defines('cannot');
	like($said, qr/WARNING:  function app\.cannot.*target type is different/,
		'but of a cast that cannot');

	# ---- a checker that cannot -------------------------------------------------------------------

	$node->safe_psql('postgres', 'REVOKE USAGE ON SCHEMA "Checks" FROM PUBLIC');
	($version, $said) = defines('bad');
	is($version, 1, 'who may not call it defines it all the same');
	like($said, qr/NOTICE:  function app\.bad\(jsonb\) was not checked by plpgsql_check\n/,
		'and is told that it was not checked');
	like($said, qr/DETAIL:  permission denied for schema Checks/, 'and why');
	unlike($said, qr/WARNING/, 'and nothing else');
	$node->safe_psql('postgres', 'GRANT USAGE ON SCHEMA "Checks" TO PUBLIC');
	is_deeply([ told("SET search_path = app; SELECT dataflows.define_workflow('g', 'good')") ],
		[ 1, '' ], 'the search_path of the session does not hide it');
	($version, $said) = told("BEGIN; SELECT dataflows.define_workflow('w', 'app.bad');
		SELECT count(*) FROM app.people; COMMIT");
	is($version, "1\n0", 'the transaction goes on');
	$node->safe_psql('postgres', q{DO $$BEGIN EXECUTE (SELECT string_agg(
		format('ALTER FUNCTION %s RENAME TO other', p.oid::regprocedure), ';') FROM pg_proc AS p
		WHERE p.proname = 'plpgsql_check_function_tb'); END$$});
	like((defines('bad'))[1], qr/NOTICE: .*was not checked.*\n.*has no function/,
		'another version of it is not called');
	is($node->safe_psql('postgres', 'DROP EXTENSION plpgsql_check; SELECT 1'), 1, 'it is dropped');
	is_deeply([ defines('bad') ], [ 1, '' ], 'and no more is said');
}

done_testing();
