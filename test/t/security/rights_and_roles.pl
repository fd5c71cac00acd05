# What becomes of rights in a workflow when roles are renamed and dropped, when the workflow is
# dropped, defined again and taken over by another owner; and who is an author.

use strict;
use warnings;

use Test::More;
use PostgreSQL::Test::Cluster;
use PostgreSQL::Test::Utils;
use Dataflows;
use Dataflows::Roles;

my $node = new_node('rights_and_roles', conf => "dataflows.sweep_interval = '500ms'\n");

sub hears { return role_hears($node, @_); }
sub as { return as_role($node, @_); }
sub may { return role_may($node, @_); }
sub starts { my ($role) = @_; return may($role, "SELECT dataflows.start('waits')"); }

$node->safe_psql('postgres', <<'SQL');
CREATE EXTENSION dataflows;
CREATE ROLE app LOGIN; CREATE ROLE other LOGIN; CREATE ROLE eve LOGIN;
CREATE ROLE starter LOGIN; CREATE ROLE seer LOGIN;
CREATE SCHEMA app AUTHORIZATION app;
SELECT dataflows.allow_author('app'), dataflows.allow_author('other');
SQL
as('app', <<'SQL');
CREATE FUNCTION app.waits(event jsonb) RETURNS jsonb LANGUAGE plpgsql AS $$ BEGIN
  RETURN dataflows.wait_for('go'); END $$;
SELECT dataflows.define_workflow('waits', 'app.waits');
SELECT dataflows.allow('waits', 'starter', 'start'), dataflows.allow('waits', 'seer', 'see');
SQL

my $run = as('app', "SELECT dataflows.start('waits', '{}', 'alice')");

sub sees { my ($role) = @_; return may($role, "SELECT dataflows.await('$run', '0')"); }

# ---- roles that are renamed and dropped ------------------------------------------------

as('app', "SELECT dataflows.allow('waits', 'eve', 'see')");
is(sees('eve'), 'yes', 'eve may see');
$node->safe_psql('postgres', 'ALTER ROLE eve RENAME TO eva; CREATE ROLE eve LOGIN');
is(sees('eva'), 'yes', 'renamed, it still may');
is(sees('eve'), 'no', 'and a new role of the old name may not');
as('app', "SELECT dataflows.allow('waits', 'eve', 'start')");
as('app', "SELECT dataflows.allow('waits', 'eva', 'see')");
ok( wait_until(
		$node, "SELECT string_agg(role || ' ' || \"right\", ', ' ORDER BY role) =
			'eva see, eve start' FROM dataflows.rights WHERE role LIKE 'ev_'"
	),
	'the view shows the new name');
is(starts('eve'), 'yes', 'each has what it was given');
is(starts('eva'), 'no', 'and no more');
$node->safe_psql('postgres', 'DROP ROLE eve; CREATE ROLE eve LOGIN');
is(starts('eve'), 'no', 'dropped and created again, it has no right');
$node->safe_psql('postgres', 'SELECT dataflows.adopt()');
is(starts('eve'), 'no', 'nor after adopt()');
is($node->safe_psql('postgres', "SELECT count(*) FROM dataflows.rights WHERE role = 'eve'"),
	0, 'what a dropped role had is deleted');
as('app', "SELECT dataflows.allow('waits', 'eve', 'start', 'see')");
$node->safe_psql('postgres', 'BEGIN; DROP OWNED BY eve; ROLLBACK');
is(starts('eve'), 'yes', 'a DROP OWNED that was rolled back takes nothing');
$node->safe_psql('postgres', 'DROP OWNED BY eve');
is(starts('eve'), 'no', 'DROP OWNED takes rights, as it takes grants');
# as if it had been dropped in another database: nobody tells this one
as('app', "SELECT dataflows.allow('waits', 'eve', 'start')");
$node->safe_psql('template1', 'DROP ROLE eve; CREATE ROLE eve LOGIN');
is(starts('eve'), 'no', 'dropped elsewhere, it has no right');
ok(wait_until($node, "SELECT count(*) = 0 FROM dataflows.rights WHERE role = 'eve'"),
	'and what it had is deleted');

# ---- workflows that are dropped, defined again, taken over -----------------------------

as('app', "SELECT dataflows.cancel(run) FROM dataflows.runs WHERE finished_at IS NULL");
ok(wait_until($node, "SELECT count(*) = 0 FROM dataflows.runs WHERE finished_at IS NULL"),
	'all has ended');
as('app', "SELECT dataflows.drop_workflow('waits')");
is(as('seer', "SELECT count(*) FROM dataflows.runs WHERE run = '$run'"), 1,
	'what has ended of a dropped workflow is still seen');
like(hears('app', "SELECT dataflows.allow('waits', 'eve', 'see')"),
	qr/DF005.*was dropped/, 'but no more is given');
as('app', "SELECT dataflows.disallow('waits', 'seer')");
is(as('seer', "SELECT count(*) FROM dataflows.runs WHERE run = '$run'"),
	0, 'what was given can be taken');
as('app', "SELECT dataflows.define_workflow('waits', 'app.waits')");
is(starts('starter'), 'yes',
	'defined again by its owner it has the rights that were given');
as('app', "SELECT dataflows.define_workflow('waits', 'app.waits', accept_notify => 'none')");
is(starts('starter'), 'yes', 'a new version too');

$node->safe_psql('postgres', <<'SQL');
REASSIGN OWNED BY app TO other; DROP OWNED BY app; DROP ROLE app;
GRANT USAGE, CREATE ON SCHEMA app TO other;
SQL
is(starts('starter'), 'yes', 'the rights that an owner gave who was dropped');
as('other', "SELECT dataflows.define_workflow('waits', 'app.waits')");
is(starts('starter'), 'no', 'are gone when another role takes the name over');
is(as('other', 'SELECT count(*) FROM dataflows.rights'), 0, 'there are none');

# ---- authors ---------------------------------------------------------------------------

sub author
{
	my ($role) = @_;
	return $node->safe_psql(
		'postgres',
		"SELECT string_agg(has_function_privilege('$role', p.oid, 'EXECUTE')::text, ' ')
			FROM pg_proc p WHERE p.pronamespace = 'dataflows'::regnamespace
			AND p.proname IN ('define_workflow', 'start_on_insert', 'signal_on_change')"
	);
}

is(author('eve'), 'false false false', 'eve is no author');
$node->safe_psql('postgres', "SELECT dataflows.allow_author('eve')");
is(author('eve'), 'true true true', 'allow_author() grants all three');
$node->safe_psql('postgres', "SELECT dataflows.disallow_author('eve')");
is(author('eve'), 'false false false', 'disallow_author() takes them back');
$node->safe_psql('postgres',
	"SELECT dataflows.allow_author('public'), dataflows.allow_author('eve')");
like(hears('postgres', "SELECT dataflows.disallow_author('eve')"),
	qr/NOTICE.*role "eve" still may execute/, 'and says where they come from another way');
$node->safe_psql('postgres', "SELECT dataflows.disallow_author('public')");
is(author('eve'), 'false false false', 'from every role');
like(hears('postgres', "SELECT dataflows.allow_author('nobody')"),
	qr/42704: role "nobody" does not exist/, 'an unknown role');
like(hears('postgres', "SELECT dataflows.allow_author(NULL)"), qr/22004/, 'no role');
$node->safe_psql('postgres',
	'GRANT EXECUTE ON FUNCTION dataflows.define_workflow TO other WITH GRANT OPTION');
is(may('other', "SELECT dataflows.allow_author('eve')"), 'yes', 'by the grant option, too');

done_testing();
