# TLS before a system: test/systems/tls.py, with a certificate authority of its own.

package Dataflows::Tls;

use strict;
use warnings;
use parent 'Dataflows::Program';

use PostgreSQL::Test::Utils;

# url: of the system behind it
sub new
{
	my ($class, $url) = @_;
	my $directory = PostgreSQL::Test::Utils::tempdir_short();
	my $self = bless { directory => $directory }, $class;
	my ($port) = $url =~ /:(\d+)$/;

	chmod 0755, $directory;
	$self->{ports} = $self->launch('tls.py', '--directory', $directory, '--to', $port);
	return $self;
}

# the port of each kind of trouble with certificates or connections; "good" has none
sub ports { my ($self) = @_; return $self->{ports}; }

# where the authority, the certificates and the keys are
sub directory { my ($self) = @_; return $self->{directory}; }

1;
