# What a role is told and may do: for tests of rights, in which many roles try many things.

package Dataflows::Roles;

use strict;
use warnings;

use Exporter 'import';

our @EXPORT = qw(as_role role_hears role_may);

sub as_role
{
	my ($node, $role, $sql, $db) = @_;

	return $node->safe_psql($db // 'postgres', $sql, extra_params => [ '-U', $role ]);
}

# Rows, notices, and errors with their SQLSTATE.
sub role_hears
{
	my ($node, $role, $sql, $db) = @_;
	my ($rc, $out, $err) = $node->psql(
		$db // 'postgres', "\\set VERBOSITY verbose\n\\set SHOW_CONTEXT always\n$sql",
		on_error_stop => 0,
		extra_params => [ '-U', $role ]);

	return "$out\n$err";
}

# 'yes', 'no' (42501), or what else it is told; what was done is rolled back.
sub role_may
{
	my ($node, $role, $sql, $db) = @_;
	my ($rc, $out, $err) = $node->psql(
		$db // 'postgres', "\\set VERBOSITY verbose\nBEGIN;\n$sql;\nROLLBACK;",
		on_error_stop => 1,
		extra_params => [ '-U', $role ]);

	return $rc == 0 ? 'yes' : $err =~ /ERROR:  42501: / ? 'no' : $err;
}

1;
