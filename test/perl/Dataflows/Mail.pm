# The mail server of the tests: test/systems/smtp.py, and what is in its book.

package Dataflows::Mail;

use strict;
use warnings;
use parent 'Dataflows::Program';

use IPC::Run ();
use JSON::PP;
use PostgreSQL::Test::Utils;

sub new
{
	my ($class) = @_;
	my $dir = PostgreSQL::Test::Utils::tempdir_short();
	my $self = bless {
		book => "$dir/book",
		certificate => "$dir/certificate.pem",
		tokens => "$dir/tokens"
	}, $class;

	chmod 0755, $dir;
	$self->start;
	return $self;
}

sub start
{
	my ($self) = @_;

	$self->{ports} = $self->launch(
		'smtp.py', '--book', $self->{book},
		'--certificate' => $self->{certificate},
		'--tokens' => $self->{tokens});
	return;
}

sub port { my ($self, $service) = @_; return $self->{ports}{$service}; }

# what bearer tokens that are valid from now on begin with
sub accept_tokens
{
	my ($self, @tokens) = @_;

	append_to_file("$self->{tokens}.new", join("\n", @tokens) . "\n");
	rename("$self->{tokens}.new", $self->{tokens}) or die "$self->{tokens}: $!";
	return;
}

sub certificate { my ($self) = @_; return $self->{certificate}; }

# all entries: accepted mails (message_id, recipients, headers, parts, ...) and authentications
sub book
{
	my ($self) = @_;
	my ($out, $err);

	IPC::Run::run(
		[ 'python3', Dataflows::Program::program('smtp.py'), '--book', $self->{book}, '--show' ],
		'>', \$out, '2>', \$err)
		or die "smtp.py --show: $err";
	return @{ decode_json($out) };
}

sub accepted
{
	my ($self) = @_;
	return grep { $_->{event} eq 'accepted' } $self->book;
}

1;
