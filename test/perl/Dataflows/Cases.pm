# Cases of a test of doubt: each is a run with an address of its own, whose requests to one of the
# four systems meet the faults of the case; then what the run and the system's books say of it.

package Dataflows::Cases;

use strict;
use warnings;

use Exporter 'import';
use JSON::PP;
use Dataflows::Onboarding;
use Dataflows::Owners;
use Dataflows::Server;
use Dataflows::Sql;

our @EXPORT = qw(start_plain_node create_plain);

# A node that knows one of the systems, the crm, which honours no keys, as "plain": what is lost
# there is in doubt.
sub start_plain_node
{
	my ($name, $systems) = @_;
	my $node = new_node($name, conf => "dataflows.undo_for = '10s'");

	create_app($node, 'postgres');
	$systems->config('crm', idempotency => JSON::PP::false);
	create_plain($node, 'plain', $systems);
	return $node;
}

# the same system under another name, with further options
sub create_plain
{
	my ($node, $name, $systems, %options) = @_;

	create_server(
		$node, $name, $systems->url('crm'),
		timeout => '2s',
		retry_max => '200ms',
		settle => '200ms',
		breaker_failures => 0,
		%options);
	return;
}

# system: the one whose faults and books count
sub new
{
	my ($class, $node, $systems, $system) = @_;

	return bless { node => $node, systems => $systems, system => $system, number => 0 }, $class;
}

# Starts a run; returns its address and its id.  The faults are those of POST requests, unless one
# names another method, and replace all that there are.
sub start
{
	my ($self, $workflow, $input, @faults) = @_;
	my $email = 'c' . ++$self->{number} . '@example.com';
	my $json = JSON::PP->new->encode({ email => $email, %$input });
	my $systems = $self->{systems};

	$systems->clear_faults;
	$systems->fault($self->{system}, %$_, match => { method => 'POST', %{ $_->{match} || {} } })
		for @faults;
	return ($email,
		as_app($self->{node}, 'postgres', "SELECT dataflows.start('$workflow', \$j\$$json\$j\$)"));
}

# the state in which a run ends, or is stuck
sub state_of
{
	my ($self, $run) = @_;

	return as_app($self->{node}, 'postgres', "SELECT dataflows.await('$run', '60 s')");
}

# what the run's step "call" is, by the table of steps
sub of_step
{
	my ($self, $run, $what) = @_;

	return $self->{node}->safe_psql('postgres',
		"SELECT $what FROM dataflows.step WHERE run = '$run' AND step = 'call'");
}

# what the first of the run's steps in the work list of people says
sub pending
{
	my ($self, $run, $column) = @_;

	return $self->{node}->safe_psql('postgres',
		"SELECT $column FROM dataflows.pending_undo WHERE run = '$run' ORDER BY step LIMIT 1");
}

# what the system has of an address: "ever made/left"
sub books
{
	my ($self, $email) = @_;

	return $self->{systems}->made_and_left($self->{system}, $email);
}

# the id of the first resource made for an address
sub made
{
	my ($self, $email) = @_;

	return $self->{systems}->id_of($self->{system}, $email);
}

# what became of a case: the state of the run, and the books: "completed 1/1"
sub outcome
{
	my ($self, $email, $run) = @_;

	return $self->state_of($run) . ' ' . $self->books($email);
}

# somebody else makes a resource for an address; the status
sub make_by_hand
{
	my ($self, $email) = @_;

	return $self->{systems}->make($self->{system}, $email);
}

1;
