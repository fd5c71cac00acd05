# Rights in a workflow: each role has one, and tries everything. What EXECUTE on the function gives
# (nothing), and who sees the rights.

use strict;
use warnings;

use Test::More;
use PostgreSQL::Test::Cluster;
use PostgreSQL::Test::Utils;
use Dataflows;
use Dataflows::Roles;

my $node = new_node('rights', conf => "dataflows.sweep_interval = '500ms'\n");

sub hears { return role_hears($node, @_); }
sub as { return as_role($node, @_); }
sub may { return role_may($node, @_); }
sub starts { my ($role) = @_; return may($role, "SELECT dataflows.start('waits')"); }

my @rights = ('start', 'signal', 'signal:go', 'see', 'cancel', 'operate');
my %role_of = map { my $name = "only_$_"; $name =~ s/:/_/; ($_ => $name) } @rights;

$node->safe_psql('postgres', <<"SQL");
CREATE EXTENSION dataflows;
CREATE ROLE app LOGIN;
CREATE ROLE member LOGIN IN ROLE app;
CREATE ROLE eve LOGIN;
CREATE ROLE other LOGIN;
CREATE ROLE "Odd; ""Role""" LOGIN;
@{[ join "\n", map { "CREATE ROLE $_ LOGIN;" } values %role_of ]}
CREATE SCHEMA app AUTHORIZATION app;
CREATE SCHEMA eve AUTHORIZATION eve;
GRANT USAGE ON SCHEMA app TO PUBLIC;
SELECT dataflows.allow_author('app'), dataflows.allow_author('other');
SQL
as('app', <<"SQL");
CREATE FUNCTION app.waits(event jsonb) RETURNS jsonb LANGUAGE plpgsql AS \$\$ BEGIN
  RETURN dataflows.wait_for('go'); END \$\$;
SELECT dataflows.define_workflow('waits', 'app.waits');
GRANT EXECUTE ON FUNCTION app.waits TO eve;
@{[ join "\n", map { "SELECT dataflows.allow('waits', '$role_of{$_}', '$_');" } @rights ]}
SQL

my $secret = 'DE02-SECRET-of-alice';
my $run = as('app', "SELECT dataflows.start('waits', '{\"iban\": \"$secret\"}', 'alice')");
my $stuck = as('app', "SELECT dataflows.start('waits', '{}', 'bob')");

ok(wait_until($node, "SELECT count(*) = 2 FROM dataflows.runs WHERE state = 'waiting'"),
	'two runs wait');

# ---- what each right allows, and what it does not --------------------------------------

my %needs = (
	"SELECT dataflows.start('waits')" => ['start'],
	"SELECT dataflows.restart('$run')" => [],
	"SELECT dataflows.signal('$run', 'go')" => [ 'signal', 'signal:go' ],
	"SELECT dataflows.signal('$run', 'stop')" => ['signal'],
	"SELECT dataflows.signal_by_key('waits', 'alice', 'go')" => [ 'signal', 'signal:go' ],
	"SELECT dataflows.signal_by_key('waits', 'nobody', 'stop')" => ['signal'],
	"SELECT dataflows.cancel('$run')" => ['cancel'],
	"SELECT dataflows.retry('$run')" => ['operate'],
	"SELECT dataflows.undo('$run', 'why')" => ['operate'],
	"SELECT dataflows.abandon('$run', 'why')" => ['operate'],
	"SELECT dataflows.pause('waits')" => ['operate'],
	"SELECT dataflows.resume('waits')" => ['operate'],
	"SELECT dataflows.pause()" => [],
	"SELECT dataflows.await('$run', '0')" => ['see'],
	"SELECT dataflows.forget('waits', 'gone')" => [],
	"SELECT dataflows.drop_workflow('waits')" => [],
	"SELECT dataflows.allow('waits', 'eve', 'start')" => [],
	"SELECT dataflows.disallow('waits', 'only_see')" => [],
	"SELECT dataflows.define_workflow('waits', 'app.waits')" => [],
	"SELECT dataflows.create_webhook('/in', starts => 'waits')" => [],
	"SELECT dataflows.allow_author('eve')" => [],
	"SELECT dataflows.disallow_author('app')" => [],
	"SELECT dataflows.adopt()" => [],
	"INSERT INTO dataflows.workflow_right SELECT 'waits', 0, 'public', 'start', 'eve', now()" => [],
	"SELECT * FROM dataflows.workflow_right" => [],
	"SELECT dataflows.resolve('$run', 'go', 'done', 'why')" => ['operate'],
);

for my $sql (sort keys %needs)
{
	my %yes = map { $_ => 1 } @{ $needs{$sql} };
	my $expected = join ' ', map { "$_=" . ($yes{$_} ? 'yes' : 'no') } @rights;
	my $got = join ' ', map { "$_=" . may($role_of{$_}, $sql) } @rights;

	is($got, $expected, $sql);
	is(may('eve', $sql), 'no', 'nor does EXECUTE on the function');
}
is(as($role_of{see}, 'SELECT count(*) FROM dataflows.runs'), 2, 'see shows all runs');
is(may('member', $_), 'yes', "a member of the owner: $_")
	for grep { @{ $needs{$_} } } sort keys %needs;

# what each sees
my @views = split ' ', as('app',
	"SELECT string_agg(viewname, ' ') FROM pg_views WHERE schemaname = 'dataflows'");

for my $role (@role_of{qw(start signal signal:go cancel operate)}, 'eve')
{
	my $all = hears($role, join("\n", map { "SELECT * FROM dataflows.$_;" } @views)
			. "SELECT dataflows.timeline('$run');");

	unlike($all, qr/\Q$secret\E/, "$role reads no input in any view");
	unlike($all, qr/\Q$run\E.*waiting/, 'nor that there is a run');
	like(hears($role, "SELECT dataflows.start('waits', '{}', 'alice')"),
		$role eq $role_of{start}
		? qr/^\n\n?.*NOTICE:  23505: key "alice" of workflow "waits" is taken: nothing was started/s
		: qr/ERROR:  42501/,
		'starting by its key tells no more than that it is taken');
}
my $all = hears($role_of{see}, join "\n", map { "SELECT * FROM dataflows.$_;" } @views);

like($all, qr/\Q$secret\E/, 'who may see reads inputs');
is(as($role_of{see}, "SELECT dataflows.await('$run', '0')"), 'waiting', 'and awaits');
as('app', "SELECT dataflows.allow('waits', '$role_of{see}', 'start')");
is(as($role_of{see}, "SELECT dataflows.start('waits', '{}', 'alice')"),
	$run, 'who may see and start gets the run that holds the key');
as('app', "SELECT dataflows.disallow('waits', '$role_of{see}', 'start')");
is(starts($role_of{see}), 'no', 'taken back: no more');

# the same in parallel workers
my $parallel = hears($role_of{see}, <<'SQL');
SELECT set_config(name, 'on', false) FROM pg_settings
  WHERE name IN ('force_parallel_mode', 'debug_parallel_query');
EXPLAIN (COSTS off) SELECT count(*) FROM dataflows.runs;
SELECT 'runs: ' || count(*) FROM dataflows.runs;
SQL

like($parallel, qr/Gather/, 'a query in a parallel worker');
like($parallel, qr/^runs: 2$/m, 'sees the same');

# ---- SECURITY DEFINER, search_path, names in quotes ------------------------------------

hears('eve', <<'SQL');
CREATE FUNCTION eve.has_privs(text) RETURNS boolean LANGUAGE sql AS 'SELECT true';
CREATE FUNCTION eve.starts_with(text, text) RETURNS boolean LANGUAGE sql AS 'SELECT true';
CREATE FUNCTION eve.eq(text, text) RETURNS boolean LANGUAGE sql AS 'SELECT true';
CREATE OPERATOR eve.= (leftarg = text, rightarg = text, function = eve.eq);
CREATE TABLE eve.workflow_right AS SELECT 'waits'::text AS workflow, 0::oid AS role,
  'public'::text AS role_name, 'start'::text AS "right";
CREATE VIEW eve.pg_roles AS SELECT 'app'::name AS rolname, 10::oid AS oid;
SQL
is(may('eve', "SET search_path = eve, pg_catalog; SELECT dataflows.start('waits')"),
	'no', 'functions, operators and tables in a search_path decide nothing');
as('app', <<'SQL');
CREATE FUNCTION app.start_one() RETURNS uuid LANGUAGE sql SECURITY DEFINER SET search_path = ''
  AS $$SELECT dataflows.start('waits', '{}', 'by definer')$$;
CREATE FUNCTION app.who() RETURNS name LANGUAGE sql AS 'SELECT current_user';
SQL
is(may('eve', 'SELECT app.start_one()'), 'yes', 'a function of the owner starts with its rights');
hears('eve', <<'SQL');
CREATE FUNCTION eve.mine() RETURNS void LANGUAGE sql SECURITY DEFINER
  AS $$SELECT dataflows.allow('waits', 'eve', 'start')$$;
GRANT EXECUTE ON FUNCTION eve.mine TO PUBLIC;
GRANT USAGE ON SCHEMA eve TO PUBLIC;
SQL
is(may('app', 'SELECT eve.mine()'), 'no', 'one of a stranger gives nothing, whoever calls it');

as('app', "SELECT dataflows.allow('waits', 'Odd; \"Role\"', 'start')");
is(starts('Odd; "Role"'), 'yes', 'a role with an odd name');
is(as('app', "SELECT count(*) FROM dataflows.rights WHERE role = 'Odd; \"Role\"'"),
	1, 'in the view');
like(hears('app', "SELECT dataflows.allow('waits', '\"Odd; \"\"Role\"\"\"', 'start')"),
	qr/42704: role .* does not exist.*HINT: .*without quotes inside/s,
	'its name is taken as it is');

# ---- bad input -------------------------------------------------------------------------

for my $case (
	[ "dataflows.allow('no such', 'eve', 'start')", qr/DF005: workflow "no such" does not exist/ ],
	[ "dataflows.allow('waits', 'nobody', 'start')", qr/42704: role "nobody" does not exist/ ],
	[
		"dataflows.allow('waits', 'eve', 'starts')",
		qr/22023: right "starts" does not exist.*HINT:  The rights are/s
	],
	[ "dataflows.allow('waits', 'eve', 'Start')", qr/22023/ ],
	[ "dataflows.allow('waits', 'eve', 'signal:')", qr/22023: the event must not be empty/ ],
	[ "dataflows.allow('waits', 'eve', 'signal:a#2')", qr/22023: event "a#2" contains/ ],
	[ "dataflows.allow('waits', 'eve', NULL)", qr/22004/ ],
	[ "dataflows.allow('waits', 'eve', 'start', NULL)", qr/22004/ ],
	[ "dataflows.allow('waits', NULL, 'start')", qr/22004/ ],
	[ "dataflows.allow('waits', 'eve', VARIADIC '{}'::text[])", qr/22023: no right is given/ ],
	[ "dataflows.disallow('no such', 'eve')", qr/DF005/ ],
	[ "dataflows.disallow('waits', 'eve', 'all')", qr/22023: right "all" does not exist/ ])
{
	like(hears('app', "SELECT $case->[0]"), qr/ERROR:  $case->[1]/, $case->[0]);
}
is(as('app', "SELECT count(*) FROM dataflows.rights WHERE role = 'eve'"),
	0, 'nothing came of that');

# ---- who sees the rights, what is left after disallow() --------------------------------

is(as('eve', 'SELECT count(*) FROM dataflows.rights'), 0, 'a stranger sees no rights');
is(as($role_of{see}, 'SELECT role, "right", granted_by FROM dataflows.rights'),
	'only_see|see|app', 'a role sees its own');
is(as('member', 'SELECT count(*) FROM dataflows.rights'), 7, 'a member of the owner sees all');
as( 'app',
	"SELECT dataflows.allow('waits', 'public', 'start'),
		dataflows.allow('waits', 'eve', 'start', 'see')"
);
is(as('eve', 'SELECT role, "right" FROM dataflows.rights ORDER BY role, "right"'),
	"eve|see\neve|start\npublic|start", 'and those of every role');
like(hears('app', "SELECT dataflows.disallow('waits', 'eve', 'start')"),
	qr/NOTICE:  00000: role "eve" still has the right "start" in workflow "waits"/,
	'who has a right otherwise is named');
unlike(hears('app', "SELECT dataflows.disallow('waits', 'eve', 'start')"),
	qr/by the right "signal"/, 'and no right that has nothing to do with it');
is(starts('eve'), 'yes', 'it has it from public');
as('app', "SELECT dataflows.disallow('waits', 'PUBLIC')");
is(starts('eve'), 'no', 'no more, and PUBLIC is public');
as('app', "SELECT dataflows.disallow('waits', '$role_of{signal}', 'signal'),
	dataflows.allow('waits', '$role_of{signal}', 'signal:go', 'signal:stop', 'signal')");
like(hears('app', "SELECT dataflows.disallow('waits', '$role_of{signal}', 'signal:go')"),
	qr/NOTICE.*still has the right "signal:go"/, 'so is one that a wider right includes');
as('app', "SELECT dataflows.disallow('waits', '$role_of{signal}', 'signal')");
is(may($role_of{signal}, "SELECT dataflows.signal('$run', 'stop')"),
	'no', 'signal takes each event along');

# in one transaction, and for a query that is running
is(as('app', "BEGIN; SELECT dataflows.allow('waits', 'eve', 'cancel');
	SET ROLE app; SELECT count(*) FROM dataflows.rights WHERE role = 'eve'; ROLLBACK;"),
	"\n2", 'they are rows of the transaction');

done_testing();
