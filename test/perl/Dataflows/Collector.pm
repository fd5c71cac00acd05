# A collector of traces: test/systems/collector.py.

package Dataflows::Collector;

use strict;
use warnings;
use parent 'Dataflows::Program';

use HTTP::Tiny;
use JSON::PP;

sub new
{
	my ($class) = @_;
	my $self = bless { http => HTTP::Tiny->new(timeout => 60) }, $class;

	$self->{url} = $self->launch('collector.py')->{url};
	return $self;
}

sub url { my ($self) = @_; return $self->{url}; }

# all spans that it took
sub spans
{
	my ($self) = @_;
	return @{ decode_json($self->{http}->get("$self->{url}/_spans")->{content}) };
}

# how it answers from now on: status, delay
sub mode
{
	my ($self, %mode) = @_;
	return $self->{http}->request('POST', "$self->{url}/_mode", { content => encode_json(\%mode) });
}

1;
