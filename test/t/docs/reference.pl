# docs/reference/views.md: the columns have the types that the page says, in the
# same order.  What needs no server is compared by test/lint/docs.sh.

use strict;
use warnings;

use Test::More;
use PostgreSQL::Test::Cluster;
use PostgreSQL::Test::Utils;
use Dataflows;

my $node = new_node('reference');

$node->safe_psql('postgres', 'CREATE EXTENSION dataflows');

my %short = (
	int => 'integer',
	float8 => 'double precision',
	timestamptz => 'timestamp with time zone');
my $page = slurp_file('docs/reference/views.md');

while ($page =~ /^## `(\w+)`\n(.*?)(?=^## |\z)/msg)
{
	my ($view, $text) = ($1, $2);
	my @told = map { "$_->[0] " . ($short{ $_->[1] } // $_->[1]) }
		map { /^\| `(\w+)` \| (.*?) \|/ ? [ $1, $2 ] : () } split /\n/, $text;
	my $there = $node->safe_psql('postgres', <<"SQL");
SELECT attname || ' ' || format_type(atttypid, atttypmod)
  FROM pg_attribute WHERE attrelid = 'dataflows.$view'::regclass AND attnum > 0 ORDER BY attnum
SQL

	is_deeply(\@told, [ split /\n/, $there ], "view $view");
}
$node->stop;
done_testing();
