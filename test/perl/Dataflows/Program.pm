# A program of test/systems that runs beside a test, and ends with it: its stdin is
# ours, and it goes when that is closed, however we end.

package Dataflows::Program;

use strict;
use warnings;

use Cwd qw(abs_path);
use File::Basename;
use JSON::PP;
use POSIX ();
use PostgreSQL::Test::Utils;
use Time::HiRes qw(time usleep);

sub program { my ($name) = @_; return abs_path(dirname(__FILE__) . "/../../systems/$name"); }

# starts it, and returns what it writes into its port file once it listens
sub launch
{
	my ($self, $name, @arguments) = @_;
	my $port_file = $self->{port_file} //= PostgreSQL::Test::Utils::tempdir_short() . '/ports';
	my $end = time() + 20;

	unlink $port_file;
	pipe(my $reader, my $writer) or die "pipe: $!";
	$self->{pid} = fork();
	die "fork: $!" unless defined $self->{pid};
	if ($self->{pid} == 0)
	{
		close $writer;
		open STDIN, '<&', $reader or POSIX::_exit(126);
		exec('python3', program($name), '--port-file', $port_file, '--with-stdin', @arguments)
			or POSIX::_exit(127);
	}
	close $reader;
	$self->{stdin} = $writer;
	usleep(20_000) while time() < $end && !-e $port_file;
	return decode_json(PostgreSQL::Test::Utils::slurp_file($port_file));
}

sub stop
{
	my ($self) = @_;

	return unless $self->{pid};
	close $self->{stdin};
	waitpid($self->{pid}, 0);
	$self->{pid} = 0;
	return;
}

sub DESTROY
{
	my ($self) = @_;

	local ($?, $!);
	$self->stop;
	return;
}

1;
