# The workflows of a document: its blocks of SQL, run as they stand, and runs of what they define.

package Dataflows::Recipes;

use strict;
use warnings;

use Exporter 'import';
use Test::More;
use Dataflows::Sql;
use Dataflows::Wait;

our @EXPORT = qw(works started of_run signalled);

# A test by itself: a block works, as a superuser if only that may create its language's functions.
sub works
{
	my ($node, $block) = @_;
	my $role = $block =~ /plpython3u/ ? 'postgres' : 'app';
	my ($rc, $out, $err) = $node->psql('postgres', $block, extra_params => [ '-U', $role ]);

	local $Test::Builder::Level = $Test::Builder::Level + 1;
	return is("$rc $err", '0 ', ($block =~ /^(.*)/)[0]);
}

sub started
{
	my ($node, $workflow, $input) = @_;

	return as_app($node, 'postgres', "SELECT dataflows.start('$workflow', '$input')");
}

sub of_run
{
	my ($node, $run, $what) = @_;

	return as_app($node, 'postgres', "SELECT $what FROM dataflows.runs WHERE run = '$run'");
}

# sent once the run waits
sub signalled
{
	my ($node, $run, $event, $payload) = @_;

	local $Test::Builder::Level = $Test::Builder::Level + 1;
	becomes($node, $run, 'waiting', "it waits for $event");
	as_app($node, 'postgres', "SELECT dataflows.signal('$run', '$event', '$payload')");
	return;
}

1;
