# Nobody puts a function beside those of the extension: not before it is there,
# not after it, not in an installation of 0.1.

use strict;
use warnings;

use Test::More;
use PostgreSQL::Test::Cluster;
use PostgreSQL::Test::Utils;
use Dataflows;
use Dataflows::Roles;

my $node = new_node('shadowing');
my $super = $node->safe_psql('postgres', 'SELECT current_user');
my $n = 0;

sub says { return role_hears($node, @_); }

# a database in which eve may CREATE
sub fresh
{
	my $db = 'db' . ++$n;

	$node->safe_psql('postgres', "CREATE DATABASE $db; GRANT CREATE ON DATABASE $db TO eve");
	return $db;
}

sub gone { my ($db) = @_; $node->safe_psql('postgres', "DROP DATABASE $db"); return; }

# what a function of eve's would do if a superuser called it
my $trap =
	"LANGUAGE plpgsql AS \$\$ BEGIN EXECUTE 'ALTER ROLE eve SUPERUSER'; RETURN true; END \$\$";

$node->safe_psql(
	'postgres',
	'CREATE ROLE eve LOGIN; CREATE ROLE app LOGIN; CREATE ROLE chief LOGIN SUPERUSER;
		CREATE ROLE readers'
);

# ---- a schema that is there before the extension ------------------------------------------

my @before = (
	[
		'it is another role\'s',
		'42501: schema "dataflows" exists already and belongs to role "eve"',
		[ eve => 'CREATE SCHEMA dataflows' ]
	],
	[
		'it is another role\'s, with a trap',
		'42501: schema "dataflows" exists already',
		[
			eve => "CREATE SCHEMA dataflows; CREATE FUNCTION dataflows.signal_by_key(workflow text,
					key varchar, event text) RETURNS boolean $trap"
		]
	],
	[
		'a function of the name of the guard is in it',
		'42723: function "_guard_schema" already exists',
		[
			eve => "CREATE SCHEMA dataflows; CREATE FUNCTION dataflows._guard_schema(boolean)
					RETURNS void LANGUAGE sql AS ''"
		]
	],
	[
		'a function that fits a call of the guard is in it',
		'42501: schema "dataflows" exists already',
		[
			eve => "CREATE SCHEMA dataflows;
					CREATE FUNCTION dataflows._guard_schema(VARIADIC boolean[]) RETURNS void
					LANGUAGE sql AS ''"
		]
	],
	[
		'others may create in it',
		'42501: eve may create objects in schema "dataflows"',
		[ $super => 'CREATE SCHEMA dataflows; GRANT ALL ON SCHEMA dataflows TO eve' ]
	],
	[
		'everybody may create in it',
		'42501: PUBLIC may create objects in schema "dataflows"',
		[ $super => 'CREATE SCHEMA dataflows; GRANT CREATE ON SCHEMA dataflows TO PUBLIC' ]
	],
	[
		'a function is in it',
		'42P06: schema "dataflows" is not empty',
		[ $super => 'CREATE SCHEMA dataflows; GRANT CREATE ON SCHEMA dataflows TO eve' ],
		[ eve => "CREATE FUNCTION dataflows.helper() RETURNS boolean $trap" ],
		[ $super => 'REVOKE CREATE ON SCHEMA dataflows FROM eve' ]
	],
	[
		'an operator is in it',
		'42P06: schema "dataflows" is not empty',
		[
			$super => 'CREATE SCHEMA dataflows; CREATE OPERATOR dataflows.=
				(FUNCTION = texteq, LEFTARG = text, RIGHTARG = text)'
		]
	],
	[
		'a table is in it',
		'42P06: schema "dataflows" is not empty',
		[ $super => 'CREATE SCHEMA dataflows CREATE TABLE run (x int)' ]
	],
	[
		'a type is in it',
		'42P06: schema "dataflows" is not empty',
		[ $super => 'CREATE SCHEMA dataflows; CREATE DOMAIN dataflows.jsonb AS text' ]
	],
	[
		'another extension is in it',
		'42P06: schema "dataflows" is not empty',
		[ $super => 'CREATE SCHEMA dataflows; CREATE EXTENSION pgcrypto SCHEMA dataflows' ],
	],
	[
		'default privileges wait in it',
		'42P06: schema "dataflows" is not empty',
		[
			$super => 'CREATE SCHEMA dataflows; ALTER DEFAULT PRIVILEGES IN SCHEMA dataflows
					GRANT ALL ON TABLES TO eve'
		]
	]);

for my $case (@before)
{
	my ($name, $error, @steps) = @$case;
	my $db = fresh();

	next
		if $name =~ /another extension/
		&& $node->safe_psql($db,
		"SELECT count(*) FROM pg_available_extensions WHERE name = 'pgcrypto'") eq '0';
	says($_->[0], $_->[1], $db) for @steps;
	my $said = says($super, 'CREATE EXTENSION dataflows', $db);

	like($said, qr/ERROR:  \Q$error\E/, "refused: $name");
	like($said, qr/HINT:  \S/, 'with what to do') unless $name =~ /name of the guard/;
	is($node->safe_psql($db, "SELECT count(*) FROM pg_extension WHERE extname = 'dataflows'"),
		0, 'and nothing is left of it');
	gone($db);
}
is($node->safe_psql('postgres', "SELECT rolsuper FROM pg_roles WHERE rolname = 'eve'"),
	'f', 'no trap was sprung');

for my $case (
	[ 'one\'s own', $super, 'CREATE SCHEMA dataflows; GRANT USAGE ON SCHEMA dataflows TO eve' ],
	[ 'a superuser\'s', 'chief', 'CREATE SCHEMA dataflows' ],
	[ 'that the extension left', $super, 'CREATE EXTENSION dataflows; DROP EXTENSION dataflows' ])
{
	my $db = fresh();

	says($case->[1], $case->[2], $db);
	unlike(says($super, 'CREATE EXTENSION dataflows', $db),
		qr/ERROR/, "accepted: an empty schema, $case->[0]");
	gone($db);
}

# ---- once it is there -------------------------------------------------------------------------

my $db = fresh();

$node->safe_psql($db,
	'CREATE EXTENSION dataflows; GRANT EXECUTE ON FUNCTION dataflows.define_workflow TO eve, app');
for my $case (
	[
		'CREATE FUNCTION dataflows.start(workflow text, input jsonb, key varchar) RETURNS uuid
			LANGUAGE sql AS $$SELECT NULL::uuid$$',
		'permission denied for schema'
	],
	[
		'CREATE OR REPLACE FUNCTION dataflows.signal_by_key(text, text, text, jsonb) RETURNS boolean
			LANGUAGE sql AS $$SELECT true$$',
		'permission denied for schema'
	],
	[ 'CREATE VIEW dataflows.extra AS SELECT 1', 'permission denied for schema' ],
	[
		'CREATE OPERATOR dataflows.= (FUNCTION = texteq, LEFTARG = text, RIGHTARG = varchar)',
		'permission denied for schema'
	],
	[
		'CREATE FUNCTION public.start(text, jsonb, text) RETURNS uuid
			LANGUAGE sql AS $$SELECT NULL::uuid$$; ALTER FUNCTION public.start(text, jsonb, text)
			SET SCHEMA dataflows',
		'permission denied for schema'
	],
	[
		'CREATE SCHEMA eve; CREATE FUNCTION eve.start(text, jsonb, text) RETURNS uuid
			LANGUAGE sql AS $$SELECT NULL::uuid$$; ALTER FUNCTION eve.start(text, jsonb, text)
			SET SCHEMA dataflows',
		'permission denied for schema'
	],
	[ 'ALTER SCHEMA dataflows RENAME TO mine', 'must be owner of schema' ],
	[ 'ALTER SCHEMA dataflows OWNER TO eve', 'must be owner of schema' ],
	[ 'DROP SCHEMA dataflows CASCADE', 'must be owner of schema' ],
	[
		'ALTER FUNCTION dataflows.start(text, jsonb, text) OWNER TO eve',
		'must be owner of function'
	],
	[ 'DROP EVENT TRIGGER dataflows_rights', 'must be owner of event trigger' ],
	[ 'ALTER EVENT TRIGGER dataflows_rights DISABLE', 'must be owner of event trigger' ],
	[
		'CREATE TRIGGER t AFTER INSERT ON dataflows.run FOR EACH ROW
			EXECUTE FUNCTION suppress_redundant_updates_trigger()',
		'permission denied for table'
	],
	[ 'SELECT dataflows._guard_schema(true)', 'permission denied for function' ],
	[ 'SELECT dataflows._guard_grants(true)', 'permission denied for function' ])
{
	like(
		says('eve', $case->[0], $db),
		qr/ERROR:  42501: \Q$case->[1]\E/,
		"refused: " . substr($case->[0], 0, 60));
}
like(
	says($super, 'GRANT ALL ON SCHEMA dataflows TO eve', $db),
	qr/WARNING:  01000: eve may create objects in schema "dataflows".*HINT:  REVOKE CREATE/s,
	'who lets others create is warned');
unlike(says($super, 'REVOKE CREATE ON SCHEMA dataflows FROM eve', $db),
	qr/WARNING/, 'and not who takes it back');
unlike(
	says(
		$super,
		'GRANT USAGE ON SCHEMA dataflows TO eve; CREATE SCHEMA other;
			GRANT ALL ON SCHEMA other TO eve',
		$db),
	qr/WARNING/,
	'nor who grants something else');

# none of our functions has an overload that unknown literals could miss
my $definers = $node->safe_psql($db, <<'SQL');
SELECT p.oid::regprocedure FROM pg_proc p WHERE p.pronamespace = 'dataflows'::regnamespace
AND (p.prosecdef OR p.proowner <> (SELECT extowner FROM pg_extension WHERE extname = 'dataflows'))
SQL
is($definers, '', 'every function has a trusted owner, and none is SECURITY DEFINER');
# SQL bodies are bound when they are made; what is text would be parsed in the caller's search_path,
# unless it has one of its own
my $bent = $node->safe_psql($db, <<'SQL');
SELECT p.oid::regprocedure FROM pg_proc p JOIN pg_language l ON l.oid = p.prolang
WHERE p.pronamespace = 'dataflows'::regnamespace AND l.lanname NOT IN ('c', 'internal')
  AND p.prosqlbody IS NULL
  AND NOT coalesce('search_path=pg_catalog, pg_temp' = ANY (p.proconfig), false)
SQL
is($bent, '', 'no function of the extension is text that a search_path bends');
$node->safe_psql($db, "CREATE SCHEMA eve AUTHORIZATION eve")
	unless $node->safe_psql($db, "SELECT count(*) FROM pg_namespace WHERE nspname = 'eve'");
says(
	'eve',
	"GRANT USAGE ON SCHEMA eve TO PUBLIC;
		CREATE FUNCTION eve.rpad(text, int) RETURNS text $trap;
		CREATE FUNCTION eve._duration(interval) RETURNS text $trap;
		CREATE FUNCTION eve.concat(text, text) RETURNS text $trap;
		CREATE OPERATOR eve.|| (FUNCTION = eve.concat, LEFTARG = text, RIGHTARG = text)",
	$db);
says(
	$super,
	"SET search_path = eve, pg_catalog;
		SELECT dataflows.timeline('00000000-0000-7000-8000-000000000000'), * FROM dataflows.runs;
		SELECT * FROM dataflows.pending_undo; SELECT * FROM dataflows.stats;
		SELECT * FROM dataflows.systems",
	$db);
is($node->safe_psql($db, "SELECT rolsuper FROM pg_roles WHERE rolname = 'eve'"),
	'f', 'views and the timeline call nothing of a search_path');
gone($db);

# ---- default privileges --------------------------------------------------------------------------

$db = fresh();
$node->safe_psql($db, <<'SQL');
ALTER DEFAULT PRIVILEGES GRANT SELECT ON TABLES TO readers, PUBLIC;
ALTER DEFAULT PRIVILEGES GRANT ALL ON TABLES TO eve;
ALTER DEFAULT PRIVILEGES GRANT ALL ON SEQUENCES TO eve, PUBLIC;
ALTER DEFAULT PRIVILEGES GRANT EXECUTE ON FUNCTIONS TO eve;
CREATE EXTENSION dataflows;
SQL
my $leaks = <<'SQL';
SELECT string_agg(c.relname || ' ' || a.privilege_type || ' ' || a.grantee::regrole, ', ')
  FROM pg_class c, aclexplode(c.relacl) a
WHERE c.relnamespace = 'dataflows'::regnamespace AND a.grantee <> c.relowner AND (a.grantee <> 0
  OR c.relkind <> 'v' OR a.privilege_type <> 'SELECT')
SQL
is($node->safe_psql($db, $leaks), '', 'default privileges open no table of the extension');
is($node->safe_psql($db, <<'SQL'), '', 'and no function');
SELECT string_agg(p.oid::regprocedure || ' ' || a.grantee::regrole, ', ') FROM pg_proc p,
  aclexplode(p.proacl) a
WHERE p.pronamespace = 'dataflows'::regnamespace AND a.grantee NOT IN (0, p.proowner)
SQL
like(says('eve', 'SELECT * FROM dataflows.run', $db),
	qr/42501/, 'a reader of everything else does not read them');
is(says('eve', 'SELECT count(*) FROM dataflows.runs', $db), "0\n", 'and still has the views');
$node->safe_psql($db, 'GRANT SELECT ON dataflows.run TO readers');
my $dump = $node->basedir . '/dump.sql';
$node->command_ok([ 'pg_dump', '-h', $node->host, '-p', $node->port, '-f', $dump, $db ],
	'it is dumped');
my $copy = fresh();
$node->command_ok(
	[
		'psql', '-X', '-q', '-v', 'ON_ERROR_STOP=1', '-h',
		$node->host, '-p', $node->port, '-f', $dump, $copy
	],
	'and restored');
is( $node->safe_psql($copy, $leaks),
	'run SELECT readers',
	'with what was granted by hand, and nothing else');
gone($_) for $db, $copy;

# ---- an installation of 0.1 ----------------------------------------------------------------------

# eve made the schema, then 0.1 was created in it
sub planted
{
	my (@steps) = @_;
	my $in = fresh();

	says('eve', 'CREATE SCHEMA dataflows', $in);
	$node->safe_psql(
		$in,
		"CREATE EXTENSION dataflows VERSION '0.1';
			GRANT EXECUTE ON FUNCTION dataflows.define_workflow TO app"
	);
	says('eve', $_, $in) for @steps;
	return $in;
}

$db = planted(
	'GRANT CREATE ON SCHEMA dataflows TO app, PUBLIC',
	"CREATE FUNCTION dataflows.helper() RETURNS boolean $trap");
my $said = says($super, 'ALTER EXTENSION dataflows UPDATE', $db);

like(
	$said,
	qr/WARNING:  01000: schema "dataflows" belonged to role "eve" and belongs to role "\Q$super\E"/,
	'the update takes the schema over');
like(
	$said,
	qr/WARNING:  01006: $_ could create objects in schema "dataflows"/,
	"and CREATE back from $_") for qw(app PUBLIC);
like(
	$said,
	qr/WARNING:  01000: function helper\(\) is in schema "dataflows" and does not belong/,
	'and names what is in it');
unlike($said, qr/ERROR/, 'and works');
like(
	says(
		'eve', 'CREATE FUNCTION dataflows.another() RETURNS int LANGUAGE sql AS $$SELECT 1$$', $db),
	qr/42501: permission denied for schema/,
	'that role may create no more');
like(
	says(
		'app', 'CREATE FUNCTION dataflows.another() RETURNS int LANGUAGE sql AS $$SELECT 1$$', $db),
	qr/42501: permission denied for schema/,
	'nor may others');
like(
	says('eve', 'DROP SCHEMA dataflows CASCADE', $db),
	qr/42501: must be owner of schema/,
	'nor drop it');
like(says('eve', 'SELECT count(*) FROM dataflows.runs', $db), qr/^0$/m,
	'who may use it still does');
gone($db);

for my $trapdoor (
	"CREATE FUNCTION dataflows.signal_by_key(workflow text, key varchar, event text)
		RETURNS boolean $trap",
	"CREATE FUNCTION dataflows._duration(text) RETURNS boolean $trap",
	'CREATE OPERATOR dataflows.= (FUNCTION = texteq, LEFTARG = text, RIGHTARG = text)')
{
	$db = planted($trapdoor);
	$said = says($super, 'ALTER EXTENSION dataflows UPDATE', $db);
	like(
		$said,
		qr/ERROR:  42501: (function|operator) .* may be called instead of.*HINT:  Find out who/s,
		'it refuses to run beside: ' . substr($trapdoor, 0, 50));
	is($node->safe_psql($db, "SELECT extversion FROM pg_extension WHERE extname = 'dataflows'"),
		'0.1', 'and leaves all as it was');
	my ($what) = $said =~ /ERROR:  42501: (function|operator) /;
	my $dropped =
		  $what eq 'operator'      ? 'OPERATOR dataflows.= (text, text)'
		: $trapdoor =~ /_duration/ ? 'FUNCTION dataflows._duration(text)'
		:                            'FUNCTION dataflows.signal_by_key(text, varchar, text)';
	unlike(says($super, "DROP $dropped; ALTER EXTENSION dataflows UPDATE", $db),
		qr/ERROR/, 'until it is dropped');
	gone($db);
}
is($node->safe_psql('postgres', "SELECT rolsuper FROM pg_roles WHERE rolname = 'eve'"),
	'f', 'no trap was sprung');

$node->stop;
done_testing();
