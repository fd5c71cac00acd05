# The proxies before the systems: test/systems/proxies.py.

package Dataflows::Proxies;

use strict;
use warnings;
use parent 'Dataflows::Program';

use HTTP::Tiny;
use JSON::PP;
use PostgreSQL::Test::Utils;

sub new
{
	my ($class) = @_;
	my $self = bless { directory => PostgreSQL::Test::Utils::tempdir_short() }, $class;

	chmod 0755, $self->{directory};
	$self->{ports} = $self->launch('proxies.py', '--directory', $self->{directory});
	return $self;
}

sub port { my ($self, $name) = @_; return $self->{ports}{$name}; }

# of the proxy by https
sub certificate { my ($self) = @_; return "$self->{directory}/proxy.pem"; }

# what was asked of them so far: proxy, method, target, headers
sub requests
{
	my ($self) = @_;
	my $response = HTTP::Tiny->new(timeout => 60)
		->get('http://127.0.0.1:' . $self->port('http') . '/_log');

	die "$response->{status} $response->{content}" unless $response->{success};
	return grep { $_->{target} ne '/_log' } @{ decode_json($response->{content}) };
}

1;
