# What holds for every connector: comments on functions and arguments, nothing that runs with more
# rights, a schema that nobody else can put functions into, dump and restore.

use strict;
use warnings;

use Test::More;
use PostgreSQL::Test::Utils;
use Dataflows;

my $node = new_node('connectors');

create_app($node);
my @names = split /\n/, $node->safe_psql(
	'postgres', q(SELECT substr(name, 11) FROM pg_available_extensions
	WHERE name LIKE 'dataflows\_%' ORDER BY 1));
is("@names", 'auth0 hubspot postmark scim sendgrid slack stripe', 'all of them');

# ---- a schema that is there

$node->safe_psql('postgres', <<'SQL');
GRANT CREATE ON DATABASE postgres TO app;
SET ROLE app;
CREATE SCHEMA stripe;
CREATE FUNCTION stripe.create_customer(text, varchar) RETURNS jsonb
	LANGUAGE sql AS 'SELECT NULL::jsonb';
SQL
my (undef, undef, $error) = $node->psql('postgres', 'CREATE EXTENSION dataflows_stripe');
like($error, qr/schema "stripe" is used already/, 'somebody else\'s is refused');
$node->safe_psql('postgres', 'DROP SCHEMA stripe CASCADE');
(undef, undef, $error) = $node->psql('postgres', 'CREATE EXTENSION dataflows_stripe',
	extra_params => [ '-U', 'app' ]);
like($error, qr/permission denied to create extension/, 'only superusers create them');

$node->safe_psql('postgres', "CREATE EXTENSION dataflows_$_") for @names;
my $functions = q(pg_proc p JOIN pg_depend d ON d.objid = p.oid AND d.deptype = 'e'
	JOIN pg_extension e ON e.oid = d.refobjid AND e.extname LIKE 'dataflows\_%');
cmp_ok($node->safe_psql('postgres', "SELECT count(*) FROM $functions"), '>', 50, 'functions');

# ---- each says what it is

is( $node->safe_psql(
		'postgres', "SELECT p.oid::regprocedure FROM $functions
	WHERE p.prosecdef OR p.proconfig IS DISTINCT FROM '{\"search_path=pg_catalog, pg_temp\"}'"),
	'', 'none runs with more rights, or by the caller\'s search_path');
is( $node->safe_psql(
		'postgres', "SELECT p.oid::regprocedure FROM $functions
	WHERE obj_description(p.oid) IS NULL OR p.proname NOT LIKE '\\_%'
		AND obj_description(p.oid) !~ 'Errors: '"),
	'', 'each has a comment, with its errors');
is( $node->safe_psql(
		'postgres', "SELECT p.oid::regprocedure, a FROM $functions, unnest(p.proargnames) a
	WHERE p.proname NOT LIKE '\\_%'
		AND obj_description(p.oid) !~ ('(^|[ \\n])' || a || '(, [a-z_]+)*: ')
		AND obj_description(p.oid) !~ ('[a-z_]+, ' || a || '(, [a-z_]+)*: ')"),
	'', 'which explains each argument');
is( $node->safe_psql(
		'postgres', "SELECT p.oid::regprocedure FROM $functions
	WHERE p.proname NOT IN ('connect') AND p.proname NOT LIKE '\\_%'
		AND (p.proargnames[1] <> 'step' OR p.proargnames[pronargs] <> 'system')"),
	'', 'the step is first, and the system last');

# ---- connect() by who may

for my $name (@names)
{
	my $arguments = $name eq 'auth0' ? "domain => 'a.example.com'"
	  : $name eq 'scim' ? "url => 'https://a.example.com'" : '';
	my (undef, undef, $refused) = $node->psql('postgres', "SELECT $name.connect($arguments)",
		extra_params => [ '-U', 'app' ]);

	like($refused, qr/permission denied for foreign-data wrapper/, "$name.connect() needs a right");
	$node->safe_psql('postgres', "SELECT $name.connect($arguments)");
	$node->safe_psql('postgres', "SELECT $name.connect($arguments)");
}
is($node->safe_psql('postgres',
		'SELECT count(*) FROM pg_foreign_server WHERE srvacl IS NOT NULL'),
	0, 'nothing is granted');
is($node->safe_psql('postgres', 'SELECT count(*) FROM pg_user_mappings'),
	0, 'without credentials there is no mapping');
$node->safe_psql('postgres', <<'SQL');
CREATE ROLE "Team A";
GRANT USAGE ON FOREIGN SERVER slack TO "Team A";
SET ROLE "Team A";
SELECT dataflows.connect_system('slack', '{}', '{"bearer_token": "hush-1"}');
SELECT dataflows.connect_system('slack', '{}', '{"bearer_token": "hush-2", "webhook_secret": "x"}');
SQL
is( $node->safe_psql('postgres', 'SELECT usename, umoptions FROM pg_user_mappings'),
	'Team A|{bearer_token=hush-2,webhook_secret=x}',
	'the mapping is the current role\'s, whatever its name');
(undef, undef, $error) = $node->psql('postgres', q(SELECT dataflows.connect_system('slack', '{}',
	'{"password": "hush-3", "nonsense": "hush-4"}')));
like($error, qr/nonsense/, 'an option that is none');
unlike($error, qr/hush/, 'is refused without the secrets');
(undef, undef, $error) = $node->psql('postgres', <<'SQL');
CREATE FOREIGN DATA WRAPPER other;
CREATE SERVER others FOREIGN DATA WRAPPER other;
SELECT slack.connect('others');
SQL
like(
	$error,
	qr/server "others" is there, and is no system of dataflows/,
	'another wrapper\'s server');
(undef, undef, $error) = $node->psql('postgres', 'SELECT stripe.find_customer(\'x\', \'y\')');
like($error, qr/outside|workflow/, 'steps are for workflows');

# ---- dump and restore

my $dump = $node->basedir . '/connectors.sql';
$node->command_ok([ 'pg_dump', '-f', $dump, $node->connstr('postgres') ], 'dump');
$node->safe_psql('postgres', 'CREATE DATABASE restored');
$node->command_ok(
	[ 'psql', '-Xq', '-v', 'ON_ERROR_STOP=1', '-f', $dump, $node->connstr('restored') ],
	'restore');
is( $node->safe_psql('restored', "SELECT count(*) FROM $functions"),
	$node->safe_psql('postgres', "SELECT count(*) FROM $functions"),
	'all functions are there');
$node->safe_psql('postgres', "DROP EXTENSION dataflows_$_") for @names;
is( $node->safe_psql(
		'postgres', "SELECT count(*) FROM pg_proc WHERE pronamespace::regnamespace::text
	= ANY ('{" . join(',', @names) . "}')"),
	0, 'and are gone when they are dropped');

done_testing();
