# The mail server of the tests: test/systems/smtp.py, and what is in its book.

package DataflowsMail;

use strict;
use warnings;

use Cwd qw(abs_path);
use File::Basename;
use IPC::Run ();
use JSON::PP;
use POSIX ();
use PostgreSQL::Test::Utils;
use Time::HiRes qw(usleep);

sub new
{
	my ($class) = @_;
	my $dir = PostgreSQL::Test::Utils::tempdir_short();
	my $self = bless {
		program => abs_path(dirname(__FILE__) . '/../systems/smtp.py'),
		book => "$dir/book",
		port_file => "$dir/ports",
		certificate => "$dir/certificate.pem",
	}, $class;

	chmod 0755, $dir;
	$self->start;
	return $self;
}

sub start
{
	my ($self) = @_;
	my @command = ('python3', $self->{program}, '--port-file', $self->{port_file}, '--book', $self->{book},
		'--certificate', $self->{certificate}, '--with-stdin');

	unlink $self->{port_file};
	pipe(my $reader, my $writer) or die "pipe: $!";
	$self->{pid} = fork();
	die "fork: $!" unless defined $self->{pid};
	if ($self->{pid} == 0)
	{
		close $writer;
		open STDIN, '<&', $reader or POSIX::_exit(126);
		exec @command or POSIX::_exit(127);
	}
	close $reader;
	$self->{stdin} = $writer;
	for (1 .. 1000)
	{
		last if -e $self->{port_file};
		usleep(20_000);
	}
	$self->{ports} = decode_json(PostgreSQL::Test::Utils::slurp_file($self->{port_file}));
	return;
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

sub port { my ($self, $service) = @_; return $self->{ports}{$service}; }

sub certificate { my ($self) = @_; return $self->{certificate}; }

# all entries: accepted mails (message_id, recipients, headers, parts, ...) and authentications
sub book
{
	my ($self) = @_;
	my ($out, $err);

	IPC::Run::run([ 'python3', $self->{program}, '--book', $self->{book}, '--show' ], '>', \$out, '2>', \$err)
	  or die "smtp.py --show: $err";
	return @{ decode_json($out) };
}

sub accepted { my ($self) = @_; return grep { $_->{event} eq 'accepted' } $self->book; }

1;
