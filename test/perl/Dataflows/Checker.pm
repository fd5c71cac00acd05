# The system that checks what it is sent: test/systems/checker.py.

package Dataflows::Checker;

use strict;
use warnings;
use parent 'Dataflows::Program';

use HTTP::Tiny;
use JSON::PP;
use PostgreSQL::Test::Utils;

# params: socket, the path of a Unix socket
sub new
{
	my ($class, %params) = @_;
	my $self = bless {}, $class;

	$self->{ports} =
		$self->launch('checker.py', $params{socket} ? ('--socket', $params{socket}) : ());
	return $self;
}

sub port { my ($self, $name) = @_; return $self->{ports}{ $name // 'tcp' }; }

sub url { my ($self) = @_; return 'http://127.0.0.1:' . $self->port; }

# what was understood of each request so far
sub requests
{
	my ($self) = @_;
	my $response = HTTP::Tiny->new(timeout => 60)->get($self->url . '/_requests');

	die "$response->{status} $response->{content}" unless $response->{success};
	return @{ decode_json($response->{content}) };
}

1;
