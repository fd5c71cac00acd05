# The four systems of test/systems/systems.py, their faults and their books.

package Dataflows::Systems;

use strict;
use warnings;
use parent 'Dataflows::Program';

use HTTP::Tiny;
use JSON::PP;
use PostgreSQL::Test::Utils;

sub names
{
	return qw(identity billing crm email);
}

# where a system's resources are made
sub path_of
{
	my ($name) = @_;
	my %path =
		(identity => '/users', billing => '/customers', crm => '/contacts', email => '/send');

	return $path{$name};
}

# params: seed, ledger
sub new
{
	my ($class, %params) = @_;
	my $self = bless {
		seed => $params{seed} // 1,
		ledger => $params{ledger} // PostgreSQL::Test::Utils::tempdir_short() . '/books',
		http => HTTP::Tiny->new(timeout => 60),
	}, $class;

	$self->start;
	return $self;
}

# again after a stop: with the same ports and books
sub start
{
	my ($self) = @_;

	$self->{urls} = $self->launch('systems.py', '--books', $self->{ledger}, '--seed', $self->{seed},
		$self->{ports} ? ('--ports', $self->{ports}) : ());
	$self->{ports} = join(',', map { $self->{urls}{$_} =~ /:(\d+)$/ } (names(), 'control'));
	return;
}

sub url
{
	my ($self, $name) = @_;

	return $self->{urls}{$name};
}

sub command
{
	my ($self, $name, $method, $path, $data) = @_;
	my %options = defined $data ? (content => encode_json($data)) : ();
	my $response = $self->{http}->request($method, "$self->{urls}{control}/$name/$path", \%options);

	die "$name $path: $response->{status} $response->{content}" unless $response->{success};
	return decode_json($response->{content});
}

# every resource ever, and counts of requests
sub books { my ($self, $name) = @_; return $self->command($name, 'GET', '_books'); }

# {address => [ever, live]}
sub summary { my ($self, $name) = @_; return $self->command($name, 'GET', '_summary'); }

# the requests: method, target, email, key, status, fault
sub requests { my ($self, $name) = @_; return $self->command($name, 'GET', '_log'); }

# of one address: "ever made/left"
sub made_and_left
{
	my ($self, $name, $email) = @_;

	return join('/', @{ $self->summary($name)->{$email} // [ 0, 0 ] });
}

# the id of the first resource made for an address
sub id_of
{
	my ($self, $name, $email) = @_;

	return (map { $_->{id} } grep { $_->{email} eq $email } @{ $self->books($name)->{records} })[0];
}

# makes a resource, as somebody else does; the status
sub make
{
	my ($self, $name, $email) = @_;

	return $self->{http}->post($self->url($name) . path_of($name),
		{ content => encode_json({ email => $email }) })->{status};
}

sub fault
{
	my ($self, $name, %rule) = @_;
	return $self->command($name, 'POST', '_faults', \%rule);
}

sub config
{
	my ($self, $name, %switches) = @_;
	return $self->command($name, 'POST', '_config', \%switches);
}

# the authorization server, POST /token on each: sets switches; {asked, refused, issued}
sub tokens
{
	my ($self, %switches) = @_;
	return $self->command('identity', 'POST', '_tokens', \%switches);
}

sub down { my ($self, $name) = @_; return $self->command($name, 'POST', '_down'); }

sub up { my ($self, $name) = @_; return $self->command($name, 'POST', '_up'); }

sub clear_faults
{
	my ($self, @names) = @_;

	$self->command($_, 'DELETE', '_faults') for (@names ? @names : names());
	return;
}

sub reset
{
	my ($self) = @_;

	$self->command($_, 'POST', '_reset') for names();
	return;
}

# "identity/billing/crm/email" numbers of live resources of an address
sub live
{
	my ($self, $email) = @_;

	return join('/', map { ($self->summary($_)->{$email} // [ 0, 0 ])->[1] } names());
}

# the same, of resources ever made
sub ever
{
	my ($self, $email) = @_;

	return join('/', map { ($self->summary($_)->{$email} // [ 0, 0 ])->[0] } names());
}

1;
