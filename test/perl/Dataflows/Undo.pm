# Runs of one step, or a few, that fail afterwards: what is undone, judged by the systems' books.

package Dataflows::Undo;

use strict;
use warnings;

use Exporter 'import';
use Dataflows::Onboarding;
use Dataflows::Owners;
use Dataflows::Server;
use Dataflows::Sql;

our @EXPORT = qw(start_undo_node define_steps start_steps ended_as failing_run undo_of);

# A server that knows one of the systems, the crm, without keys.
sub start_undo_node
{
	my ($name, $systems, %options) = @_;
	my $node = new_node($name, conf => "dataflows.undo_for = '20s'");

	create_app($node, 'postgres');
	create_server($node, 'crm', $systems->url('crm'), retry_max => '200ms', %options);
	return $node;
}

my $workflows = 0;

# A workflow whose body does this: its name.
sub define_steps
{
	my ($node, $body) = @_;
	my $name = 'w' . ++$workflows;

	as_app($node, 'postgres', <<"SQL");
CREATE FUNCTION app.$name(event jsonb) RETURNS jsonb LANGUAGE plpgsql AS \$body\$
BEGIN
  $body
END \$body\$;
SELECT dataflows.define_workflow('$name', 'app.$name');
SQL
	return $name;
}

sub start_steps
{
	my ($node, $body, $input) = @_;
	my $name = define_steps($node, $body);

	$input //= '{}';
	return as_app($node, 'postgres', "SELECT dataflows.start('$name', '$input')");
}

# the state in which a run ends, or is stuck
sub ended_as
{
	my ($node, $run) = @_;

	return as_app($node, 'postgres', "SELECT dataflows.await('$run', '60 s')");
}

# A run of these steps that fails after them: the run and its state.
sub failing_run
{
	my ($node, $steps, $input) = @_;
	my $run = start_steps($node, "$steps RAISE EXCEPTION 'something later fails';", $input);

	return ($run, ended_as($node, $run));
}

# what a run's first step is undone by, and how far that has come
sub undo_of
{
	my ($node, $run) = @_;

	return $node->safe_psql('postgres',
		"SELECT concat_ws(' ', undo, undo_state) FROM dataflows.steps WHERE run = '$run'
			ORDER BY n LIMIT 1");
}

1;
