# The onboarding of a customer in four systems, and the proof from their books.

package Dataflows::Onboarding;

use strict;
use warnings;

use Exporter 'import';
use Dataflows::Owners;
use Dataflows::Sql;
use Dataflows::Systems;

our @EXPORT = qw(onboarding_sql create_systems create_server reconcile);

# The options that make the tests quick: short back-offs, short settling.
sub _server_sql
{
	my ($name, $url, %options) = @_;

	%options = (
		url => $url,
		allow_private => 'true',
		timeout => '5s',
		retry_initial => '50ms',
		retry_max => '500ms',
		settle => '100ms',
		breaker_failures => 1000,
		%options);

	my $list = join(', ', map { "$_ '$options{$_}'" } sort keys %options);
	return "CREATE SERVER $name FOREIGN DATA WRAPPER dataflows OPTIONS ($list);\n"
		. "GRANT USAGE ON FOREIGN SERVER $name TO app;\n";
}

# A server that the role app may use.
sub create_server
{
	my ($node, $name, $url, %options) = @_;

	$node->safe_psql('postgres', _server_sql($name, $url, %options));
	return;
}

sub onboarding_sql
{
	return <<'SQL';
CREATE FUNCTION app.customer_onboarding(event jsonb) RETURNS jsonb LANGUAGE plpgsql AS $$
DECLARE
  account  jsonb;
  customer jsonb;
BEGIN
  account := dataflows.post('create-account', 'identity', '/users',
               jsonb_build_object('email', event->>'email'), undo => 'DELETE /users/{id}');
  customer := dataflows.post('create-billing', 'billing', '/customers',
               jsonb_build_object('email', event->>'email', 'metadata',
                 jsonb_build_object('account', account->>'id')),
               undo => 'DELETE /customers/{id}');
  PERFORM dataflows.post('create-crm-contact', 'crm', '/contacts',
               jsonb_build_object('name', event->>'name', 'email', event->>'email', 'customer',
                 customer->>'id'),
               undo => 'DELETE /contacts/{id}');
  IF dataflows.wait_for('email-confirmed', timeout => '7 days') IS NULL THEN
    RAISE EXCEPTION 'address never confirmed';
  END IF;
  PERFORM dataflows.post('send-welcome', 'email', '/send', jsonb_build_object('to', event->>'email',
    'template', 'welcome'),
               doubt => 'accept');
  RETURN jsonb_build_object('accountId', account->'id', 'customerId', customer->'id');
END $$;
CREATE TABLE app.signups (id bigint GENERATED ALWAYS AS IDENTITY PRIMARY KEY, email text NOT NULL,
  name text);
SELECT dataflows.define_workflow('customer-onboarding', 'app.customer_onboarding');
CREATE TRIGGER onboard AFTER INSERT ON app.signups FOR EACH ROW
  EXECUTE FUNCTION dataflows.start_on_insert('customer-onboarding', 'id');
SQL
}

# Extension, role app, the four servers and (unless workflow => 0) the onboarding.  The servers
# have the given options, and honour a key unless untrusted => 1.
sub create_systems
{
	my ($node, $db, $systems, %params) = @_;
	my %options = (
		$params{untrusted} ? () : (idempotency_header => 'Idempotency-Key'),
		%{ $params{options} || {} });

	create_app($node, $db);
	$node->safe_psql($db,
		join('',
			map { _server_sql($_, $systems->url($_), %options) } Dataflows::Systems::names()));
	as_app($node, $db, onboarding_sql()) unless exists $params{workflow} && !$params{workflow};
	return;
}

# Compares every run with what the systems' books say; returns the discrepancies.
# params: db, prefix (only addresses that begin so), table (each row of it has a run)
sub reconcile
{
	my ($node, $systems, %params) = @_;
	my $db = $params{db} // 'postgres';
	my $rows = $node->safe_psql(
		$db,
		"SELECT run || ' ' || state || ' ' || (input->>'email') FROM dataflows.runs
			WHERE workflow = 'customer-onboarding'"
	);
	my %books = map { $_ => $systems->summary($_) } Dataflows::Systems::names();
	my (%known, @wrong);

	for my $row (split /\n/, $rows)
	{
		my ($run, $state, $email) = split / /, $row, 3;

		push @wrong, "two runs for $email" if $known{$email}++;
		push @wrong, _compare($run, $state, $email, \%books);
	}
	for my $name (sort keys %books)
	{
		push @wrong,
			map { "$name: $_ belongs to no run" } grep { !$known{$_} } sort keys %{ $books{$name} };
	}
	push @wrong, _without_run($node, $db, $params{table} // 'app.signups');
	return @wrong;
}

sub _compare
{
	my ($run, $state, $email, $books) = @_;
	my @wrong;

	for my $name (sort keys %$books)
	{
		my ($ever, $live) = @{ $books->{$name}{$email} // [ 0, 0 ] };
		my $said = "run $run ($state) of $email: $name has $live live of $ever";

		if ($state eq 'completed')
		{
			push @wrong, $said if $live != 1 || $ever != 1;
		}
		elsif ($state eq 'rolled_back' || $state eq 'cancelled')
		{
			push @wrong, $said if $ever > 1 || ($live > 0 && $name ne 'email');
		}
		else
		{
			push @wrong, $said;
		}
	}
	return @wrong;
}

sub _without_run
{
	my ($node, $db, $table) = @_;
	my $lost = $node->safe_psql(
		$db,
		"SELECT id FROM $table s WHERE NOT EXISTS (SELECT FROM dataflows.runs r
			WHERE r.key = s.id::text)"
	);

	return map { "row $_ of $table has no run" } split /\n/, $lost;
}

1;
