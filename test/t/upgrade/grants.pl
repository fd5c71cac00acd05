# Functions that get new arguments in an update: they keep owner and grants, also in a dump, and
# what a user made on top of them is named before anything is dropped.

use strict;
use warnings;

use Test::More;
use PostgreSQL::Test::Cluster;
use PostgreSQL::Test::Utils;
use Dataflows;

my $node = new_node('upgrade_grants');

$node->safe_psql('postgres', <<'SQL');
CREATE ROLE app;
CREATE ROLE lead;
CREATE DATABASE shop;
CREATE DATABASE restored;
SQL
$node->safe_psql('shop', <<'SQL');
CREATE EXTENSION dataflows VERSION '0.1';
REVOKE ALL ON FUNCTION dataflows.post FROM PUBLIC;
GRANT EXECUTE ON FUNCTION dataflows.post TO app;
GRANT EXECUTE ON FUNCTION dataflows.post TO lead WITH GRANT OPTION;
CREATE FUNCTION needs() RETURNS jsonb LANGUAGE sql
	BEGIN ATOMIC SELECT dataflows.get('a', 'crm', '/a'); END;
CREATE VIEW asks AS SELECT dataflows.put('a', 'crm', '/a');
SQL

my ($rc, $out, $err) = $node->psql('shop', 'ALTER EXTENSION dataflows UPDATE');
is($rc, 3, 'an update is refused while something needs the functions');
like($err, qr/needed by .*function public\.needs\(\)/, 'which is named');
like($err, qr/view public\.asks/, 'all of it');
like($err, qr/HINT:.*drop it/, 'with what to do');

my $grants = <<'SQL';
SELECT string_agg(format('%s:%s', coalesce(r.rolname, 'PUBLIC'), a.is_grantable), ' '
	ORDER BY r.rolname) FROM pg_proc p, aclexplode(p.proacl) a LEFT JOIN pg_roles r
	ON r.oid = a.grantee WHERE p.oid = 'dataflows.post'::regproc AND a.grantee <> p.proowner
SQL
my $before = $node->safe_psql('shop', $grants);

is($before, 'app:f lead:t', 'a function is granted to some');
$node->safe_psql('shop', 'DROP VIEW asks; DROP FUNCTION needs; ALTER EXTENSION dataflows UPDATE');
is($node->safe_psql('shop', $grants), $before, 'after the update to the same');
is($node->safe_psql('shop', q{SELECT pronargs FROM pg_proc WHERE oid = 'dataflows.post'::regproc}),
	21, 'and has its new arguments');

my $dump = $node->basedir . '/shop.sql';

$node->command_ok([ 'pg_dump', '-f', $dump, '-h', $node->host, '-p', $node->port, 'shop' ],
	"a dump");
$node->safe_psql('restored', slurp_file($dump));
is($node->safe_psql('restored', $grants), $before, 'restores these grants');

$node->stop;
done_testing();
