# The systems of vendors, test/systems/vendors.py, and the story of a connector: its extension,
# the role app, workflows that call its functions.

package Dataflows::Vendors;

use strict;
use warnings;
use parent 'Dataflows::Program';

use Exporter 'import';
use HTTP::Tiny;
use JSON::PP;
use PostgreSQL::Test::Utils;
use Test::More;
use Dataflows::Owners;
use Dataflows::Server;
use Dataflows::Sql;
use Dataflows::Wait;

our @EXPORT_OK = qw(start_connector);

# What every connector is called with here: an address of this machine, and no long waits.
our $QUICK =
	'{"allow_private": "true", "settle": "200ms", "retry_initial": "50ms", "retry_max": "300ms",
	"timeout": "5s"}';

# A server with the connector, which the superuser has connected and the role app may use; the
# vendor's system.  connect: the arguments after the name, where URL and QUICK are replaced.
# credentials: of app's own user mapping
sub start_connector
{
	my ($name, %params) = @_;
	my $self = bless { name => $name, http => HTTP::Tiny->new(timeout => 60) }, __PACKAGE__;
	my $node = $self->{node} = new_node($name);
	my $connect = $params{connect};

	$self->{url} = "http://127.0.0.1:" . $self->launch('vendors.py', $name)->{port} . "/$name";
	create_app($node);
	s/URL/$self->{url}/g for $connect, $params{mapping};
	$connect =~ s/QUICK/$QUICK/g;
	$node->safe_psql('postgres', <<"SQL");
CREATE EXTENSION dataflows_$name;
SELECT $name.connect('$name', $connect);
GRANT USAGE ON FOREIGN SERVER $name TO app;
GRANT USAGE ON FOREIGN DATA WRAPPER dataflows TO app;
SQL
	$self->{connect} = $connect;
	as_app($node, 'postgres', "SELECT dataflows.connect_system('$name', '{}', '$params{mapping}')");
	return $self;
}

sub node { my ($self) = @_; return $self->{node}; }

sub command
{
	my ($self, $what, $data) = @_;
	my $response = $self->{http}->request(
		defined $data ? 'POST' : 'GET',
		"$self->{url}/$what", defined $data ? { content => encode_json($data) } : {});

	die "$what: $response->{status} $response->{content}" unless $response->{success};
	return decode_json($response->{content});
}

sub books { my ($self) = @_; return $self->command('_books'); }

sub requests { my ($self) = @_; return @{ $self->command('_log') }; }

# match: a regexp on "METHOD /path"; fault: lost, or a status with headers and body; effect; times
sub fault { my ($self, %fault) = @_; return $self->command('_fault', \%fault); }

sub config { my ($self, %switches) = @_; return $self->command('_config', \%switches); }

# a workflow whose body is these statements, with event and out
sub workflow
{
	my ($self, $workflow, $statements) = @_;

	as_app($self->{node}, 'postgres', <<"SQL");
CREATE FUNCTION app.$workflow(event jsonb) RETURNS jsonb LANGUAGE plpgsql AS \$body\$
DECLARE
	made jsonb;
	out jsonb;
BEGIN
	$statements
	RETURN out;
END \$body\$;
SELECT dataflows.define_workflow('$workflow', 'app.$workflow');
SQL
	return;
}

sub begin
{
	my ($self, $workflow, %input) = @_;
	my $json = encode_json(\%input);

	return as_app($self->{node}, 'postgres',
		"SELECT dataflows.start('$workflow', \$j\$$json\$j\$, '$input{key}')")
		if defined $input{key};
	return as_app($self->{node}, 'postgres',
		"SELECT dataflows.start('$workflow', \$j\$$json\$j\$)");
}

# a run of a workflow: the state in which it comes to rest
sub state_of
{
	my ($self, $run) = @_;

	wait_until(
		$self->{node},
		"SELECT state IN ('completed', 'rolled_back', 'stuck', 'cancelled', 'abandoned')
			FROM dataflows.runs WHERE run = '$run'", 120);
	return $self->ask("SELECT state FROM dataflows.runs WHERE run = '$run'");
}

# a test: a run ends so
sub ends
{
	my ($self, $state, $what, $workflow, %input) = @_;
	my $run = $self->begin($workflow, %input);

	local $Test::Builder::Level = $Test::Builder::Level + 1;
	my $came = $self->state_of($run);
	is($came, $state, $what)
		or diag(
		$self->ask(
			"SELECT coalesce(stuck::text, error::text, '') FROM dataflows.runs WHERE run = '$run'"),
		$self->ask("SELECT string_agg(s::text, E'\\n') FROM dataflows.steps s WHERE run = '$run'"));
	return $run;
}

sub ask { my ($self, $sql) = @_; return $self->{node}->safe_psql('postgres', $sql); }

sub result
{
	my ($self, $run) = @_;
	my $result = $self->ask("SELECT result FROM dataflows.runs WHERE run = '$run'");

	return $result eq '' ? undef : decode_json($result);
}

1;
