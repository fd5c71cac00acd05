# Owners of runs: the role app, which every test has, and others beside it; and two of them that
# share the systems, each with a workflow that makes one call.

package Dataflows::Owners;

use strict;
use warnings;

use Exporter 'import';
use Dataflows::Systems;

our @EXPORT = qw(create_app create_owner create_callers start_calls);

# A role with a schema of its own name, which may define workflows.  Another database of the
# server may have made the role.
sub create_owner
{
	my ($node, $owner, $db) = @_;

	$node->safe_psql($db // 'postgres', <<"SQL");
DO \$\$ BEGIN CREATE ROLE $owner LOGIN; EXCEPTION WHEN duplicate_object THEN NULL; END \$\$;
CREATE SCHEMA $owner AUTHORIZATION $owner;
GRANT EXECUTE ON FUNCTION dataflows.define_workflow TO $owner;
SQL
	return;
}

# the extension, and the owner app
sub create_app
{
	my ($node, $db) = @_;

	$node->safe_psql($db // 'postgres', 'CREATE EXTENSION dataflows');
	create_owner($node, 'app', $db);
	return;
}

# After create_systems(): another owner, shop; it and app have a workflow each, one-shop and
# one-app, which makes the call that its input describes.
sub create_callers
{
	my ($node) = @_;

	create_owner($node, 'shop');
	$node->safe_psql('postgres',
		'GRANT USAGE ON FOREIGN SERVER crm, email, billing, identity TO shop');
	for my $owner (qw(app shop))
	{
		$node->safe_psql('postgres', <<"SQL", extra_params => [ '-U', $owner ]);
CREATE FUNCTION $owner.one(event jsonb) RETURNS jsonb LANGUAGE plpgsql AS \$\$
BEGIN
  RETURN dataflows.post('call', event->>'system', event->>'path', event->'body', undo => 'none');
END \$\$;
SELECT dataflows.define_workflow('one-$owner', '$owner.one');
SQL
	}
	return;
}

# n runs of an owner's workflow (one-app or one-shop, unless another is named), which call a system
sub start_calls
{
	my ($node, $owner, $system, $n, $workflow) = @_;
	my $path = Dataflows::Systems::path_of($system);

	$workflow //= "one-$owner";
	$node->safe_psql('postgres', <<"SQL", extra_params => [ '-U', $owner ]);
SELECT count(dataflows.start('$workflow', jsonb_build_object('system', '$system', 'path', '$path',
  'body', jsonb_build_object('email', '$owner-$system-' || i, 'to', '$owner-$system-' || i))))
    FROM generate_series(1, $n) i
SQL
	return;
}

1;
