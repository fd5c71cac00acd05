# SQL of a test: as the role app, by a server that may be down, a number.

package Dataflows::Sql;

use strict;
use warnings;

use Exporter 'import';

our @EXPORT = qw(try_psql as_app number_of);

# psql that may fail, even before it has read its input (the server being down).
sub try_psql
{
	my ($node, $db, $sql, %params) = @_;
	my @answer = eval { $node->psql($db, $sql, %params) };

	return @answer ? @answer : (2, '', $@);
}

sub as_app
{
	my ($node, $db, $sql) = @_;

	return $node->safe_psql($db, $sql, extra_params => [ '-U', 'app' ]);
}

sub number_of
{
	my ($node, $sql, $db) = @_;

	return 0 + $node->safe_psql($db // 'postgres', $sql);
}

1;
