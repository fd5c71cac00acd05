# EXECUTE on a workflow's function, which was the right to use it in 0.1, becomes rights in the
# workflow: nothing stops working, and nobody gets more. By the update, by adopt() after a dump of
# 0.1, and before the update, while the library is new and the schema old. Dumps keep rights.

use strict;
use warnings;

use Test::More;
use PostgreSQL::Test::Cluster;
use PostgreSQL::Test::Utils;
use Dataflows;
use Dataflows::Roles;

my $node = new_node('upgrade_rights', conf => "dataflows.sweep_interval = '500ms'\n");
my @dump = ('pg_dump', '-h', $node->host, '-p', $node->port);

sub may { my ($role, $sql, $db) = @_; return role_may($node, $role, $sql, $db // 'shop'); }

sub start { my ($role, $db) = @_; return may($role, "SELECT dataflows.start('flow')", $db); }

sub rights
{
	my ($db) = @_;
	return $node->safe_psql($db,
		"SELECT string_agg(format('%s:%s:%s', workflow, role, \"right\"), ' '
			ORDER BY workflow, role, \"right\") FROM dataflows.rights");
}

$node->safe_psql('postgres', <<'SQL');
CREATE ROLE app LOGIN; CREATE ROLE web LOGIN; CREATE ROLE desk; CREATE ROLE ann LOGIN IN ROLE desk;
CREATE ROLE late LOGIN; CREATE ROLE old LOGIN; CREATE ROLE eve LOGIN; CREATE ROLE gone LOGIN;
CREATE ROLE keeper LOGIN;
CREATE DATABASE shop; CREATE DATABASE from_0_1; CREATE DATABASE from_0_2; CREATE DATABASE ignored;
SQL
$node->safe_psql('shop', <<'SQL');
CREATE EXTENSION dataflows VERSION '0.1';
CREATE SCHEMA app AUTHORIZATION app; CREATE SCHEMA keeper AUTHORIZATION keeper;
GRANT USAGE ON SCHEMA app TO PUBLIC;
GRANT EXECUTE ON FUNCTION dataflows.define_workflow TO app;
SET ROLE app;
CREATE FUNCTION app.first(event jsonb) RETURNS jsonb LANGUAGE sql AS 'SELECT event';
CREATE FUNCTION app.second(event jsonb) RETURNS jsonb LANGUAGE sql AS 'SELECT event';
CREATE FUNCTION app.plain(event jsonb) RETURNS jsonb LANGUAGE sql AS 'SELECT event';
GRANT EXECUTE ON FUNCTION app.first TO old, web;
GRANT EXECUTE ON FUNCTION app.second TO web, desk, PUBLIC;
GRANT EXECUTE ON FUNCTION app.plain TO PUBLIC;
RESET ROLE;
INSERT INTO dataflows.installation (identity) SELECT format('%s/%s', system_identifier, (SELECT oid
  FROM pg_database WHERE datname = current_database())) FROM pg_control_system();
INSERT INTO dataflows.workflow (name, version, function, function_owner, owner, owner_name)
SELECT v.name, v.version, format('app.%s(jsonb)', v.function), r, r, 'app'
FROM (VALUES ('flow', 1, 'first'), ('flow', 2, 'second'), ('plain', 1, 'plain'),
  ('missing', 1, 'missing')) AS v (name, version, function), CAST('app'::regrole AS oid) AS r;
SET ROLE keeper;
CREATE TABLE keeper.t (id int);
CREATE TRIGGER t AFTER INSERT ON keeper.t FOR EACH ROW
  EXECUTE FUNCTION dataflows.start_on_insert('flow', 'id');
CREATE TRIGGER at AFTER INSERT ON keeper.t FOR EACH ROW WHEN (false)
  EXECUTE FUNCTION dataflows.signal_on_change('flow', '@home', 'id');
SQL

# ---- the files of 0.2, the schema of 0.1 -------------------------------------------------

is(start('web'), 'yes', 'before the update a role starts by EXECUTE, as in 0.1');
is(start('ann'), 'yes', 'a member of such a role, too');
is(start('eve'), 'no', 'not by EXECUTE of PUBLIC');
is(start('old'), 'no', 'nor by EXECUTE on the function of an old version');
command_ok([ @dump, '-f', $node->basedir . '/0.1.sql', 'shop' ], 'a dump of 0.1');

# ---- the update --------------------------------------------------------------------------

my ($rc, $out, $err) = $node->psql('shop', 'ALTER EXTENSION dataflows UPDATE');

is($rc, 0, 'the update');
like($err, qr/WARNING:  trigger "at" on table "keeper\.t" signals an event.*"\@"/,
	'names a trigger whose event would be a column now');

my $given = join ' ', map { ("flow:$_:cancel", "flow:$_:signal", "flow:$_:start") } qw(desk web);

is(rights('shop'), $given, 'EXECUTE by name on the newest function is start, signal and cancel');
is(start('web'), 'yes', 'who could start still can');
is(start('ann'), 'yes', 'a member, too');
is(start($_), 'no', "$_ got nothing") for qw(eve old);
is(may('eve', "SELECT dataflows.start('plain')"), 'no', 'nor did PUBLIC');
is(may('web', 'SELECT 1 / (count(*) = 0)::int FROM dataflows.runs'),
	'yes', 'and it sees no more than before');
$node->safe_psql('shop', 'REVOKE EXECUTE ON FUNCTION app.second FROM web, PUBLIC;
	GRANT EXECUTE ON FUNCTION app.second TO late');
is(start('web'), 'yes', 'a REVOKE on the function changes nothing any more');
is(start('late'), 'no', 'nor does a GRANT');
is(may('keeper', 'CREATE TABLE keeper.p (id int); CREATE TRIGGER t AFTER INSERT ON keeper.p
	FOR EACH ROW EXECUTE FUNCTION dataflows.start_on_insert(\'flow\')'),
	'yes', 'the owner of a table with our trigger may make such triggers');
is(may('keeper', "SELECT dataflows.define_workflow('x', 'keeper.x')"), 'no', 'it is no author');
is(may('eve', 'CREATE TEMP TABLE p (id int); CREATE TRIGGER t AFTER INSERT ON p
	FOR EACH ROW EXECUTE FUNCTION dataflows.start_on_insert(\'flow\')'),
	'no', 'others may not');

# ---- a dump of 0.2: rights go along, by oid and name while it is held --------------------

$node->safe_psql('shop', "SET ROLE app; SELECT dataflows.allow('flow', 'gone', 'start', 'see'),
	dataflows.allow('plain', 'public', 'signal:go')");

my $dumped = rights('shop');

command_ok([ @dump, '-f', $node->basedir . '/0.2.sql', 'shop' ], 'a dump of 0.2');
is( scalar(() = slurp_file($node->basedir . '/0.2.sql') =~ /COPY dataflows\.workflow_right /g),
	1, 'has the rights');
$node->safe_psql('from_0_2', slurp_file($node->basedir . '/0.2.sql'));
is(rights('from_0_2'), $dumped, 'which are restored');
is(start('web', 'from_0_2'), 'yes', 'they count in the copy, where oid and name agree');
# as in another cluster: the oids are others' there
$node->safe_psql('from_0_2', "UPDATE dataflows.workflow_right SET role = 'eve'::regrole
	WHERE role_name = 'web'; UPDATE dataflows.workflow_right SET role = 4294967000
	WHERE role_name = 'gone'; UPDATE dataflows.workflow SET owner = 'eve'::regrole");
is(start('eve', 'from_0_2'), 'no', 'not for another role with that oid');
is(start('web', 'from_0_2'), 'no', 'nor for one of that name with another oid');
$node->safe_psql('postgres', 'ALTER ROLE gone RENAME TO away');
$node->safe_psql('from_0_2', 'SELECT dataflows.adopt()');
is(start('web', 'from_0_2'), 'yes', 'adopt() finds the role by its name');
is(start('eve', 'from_0_2'), 'no', 'and no other');
is( $node->safe_psql('from_0_2', "SELECT DISTINCT role FROM dataflows.workflow_right
		WHERE role_name = 'gone'"), 0, 'a name that is no role waits');
let_pass(2);
is($node->safe_psql('from_0_2', "SELECT count(*) FROM dataflows.rights WHERE role = 'gone'"),
	2, 'and is not tidied away');
$node->safe_psql('postgres', 'ALTER ROLE away RENAME TO gone');
is(start('gone', 'from_0_2'), 'no', 'and has no right');
$node->safe_psql('from_0_2', 'SELECT dataflows.adopt()');
is(start('gone', 'from_0_2'), 'yes', 'until adopt() is called again');
is(rights('from_0_2'), $dumped, 'all is as it was');
is(may('eve', "SELECT dataflows.signal_by_key('plain', 'k', 'go')", 'from_0_2'), 'yes',
	'what every role has, every role has');

# ---- a dump of 0.1: restored as such, then updated ---------------------------------------

$node->safe_psql('from_0_1', "CREATE EXTENSION dataflows VERSION '0.1'");
$node->safe_psql('from_0_1',
	slurp_file($node->basedir . '/0.1.sql') =~ s/^CREATE SCHEMA dataflows;$//mr);
# as in another cluster, where the oids are others'
$node->safe_psql('from_0_1',
	"UPDATE dataflows.workflow SET owner = 'web'::regrole, function_owner = 'eve'::regrole");
$node->safe_psql('from_0_1', 'ALTER EXTENSION dataflows UPDATE');
is(rights('from_0_1'), $given, 'rights are taken from the grants');
$node->safe_psql('from_0_1', 'SELECT dataflows.adopt()');
is(rights('from_0_1'), $given, 'adopt() changes none of them');
is(start('web', 'from_0_1'), 'yes', 'who could start can');
is(start('eve', 'from_0_1'), 'no', 'and nobody else');
is(may('keeper', "INSERT INTO keeper.t VALUES (1)", 'from_0_1'), 'no',
	'a table of a role without the right starts nothing');
$node->safe_psql('from_0_1', "SET ROLE app; SELECT dataflows.disallow('flow', 'web')");
$node->safe_psql('from_0_1', 'SELECT dataflows.adopt()');
is(start('web', 'from_0_1'), 'no', 'once: what was taken back stays so');

# restored into 0.2, where some grants of functions fail, it is complete but for these
$node->psql('ignored', slurp_file($node->basedir . '/0.1.sql'), on_error_stop => 0);
is(rights('ignored'), '', 'a dump of 0.1 has no rights');
is(start('web', 'ignored'), 'no', 'while it is held nothing follows from grants');
$node->safe_psql('ignored', 'SELECT dataflows.adopt()');
is(rights('ignored'), $given, 'adopt() takes them from there');

$node->stop;
done_testing();
