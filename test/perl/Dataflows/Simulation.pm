# simulate() of workflows, and what its rows say.

package Dataflows::Simulation;

use strict;
use warnings;

use Exporter 'import';
use Dataflows::Owners;
use Dataflows::Server;
use Dataflows::Sql;

our @EXPORT = qw(start_simulation_node define_body simulated simulated_ends story);

# A server, the role app, and a system that cannot be reached: whoever sent would be seen.
sub start_simulation_node
{
	my ($name, %options) = @_;
	my $node = new_node($name, %options);

	create_app($node, 'postgres');
	$node->safe_psql('postgres', <<'SQL');
CREATE SERVER crm FOREIGN DATA WRAPPER dataflows
	OPTIONS (url 'http://127.0.0.1:1', allow_private 'true', settle '1s');
GRANT USAGE ON FOREIGN SERVER crm TO app;
SQL
	return $node;
}

sub define_body
{
	my ($node, $name, $body, $options) = @_;

	$options = defined $options ? ", $options" : '';
	as_app($node, 'postgres', <<"SQL");
CREATE OR REPLACE FUNCTION app.$name(event jsonb) RETURNS jsonb LANGUAGE plpgsql AS \$body\$
DECLARE r jsonb;
BEGIN
  $body
END \$body\$;
SELECT dataflows.define_workflow('$name', 'app.$name'$options);
SQL
	return;
}

# one line for each row: "step kind outcome", of the run "run outcome"
sub simulated
{
	my ($node, $name, $replies, %options) = @_;
	my $input = $options{input} // '{}';
	my $crash = $options{crash_after} // 'NULL';
	my $columns = $options{columns} // q{concat_ws(' ', step, kind, outcome)};

	$replies //= '{}';
	return as_app($node, 'postgres', <<"SQL");
SELECT $columns FROM dataflows.simulate('$name', '$input', '$replies', $crash) ORDER BY n;
SQL
}

sub simulated_ends
{
	my ($node, $name, $replies, %options) = @_;
	my $output = simulated($node, $name, $replies, %options,
		columns => "CASE WHEN kind = 'run' THEN outcome || coalesce(' ' || output::text, '') END");

	return $output =~ s/^\n+//r;
}

# what is expected, without what is easier to read
sub story
{
	my ($text) = @_;

	$text =~ s/^\s+//mg;
	$text =~ s/\s+$//;
	return $text;
}

1;
