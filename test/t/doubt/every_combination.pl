# Honest about doubt: systems that lose answers, keys that are honoured or not,
# probes that can tell or not, and what is left in the systems' books.
#
# One run for each combination.  What must come of it is derived in outcome_of()
# from the rules alone, never from what the engine did.

use strict;
use warnings;

use Test::More;
use Time::HiRes qw(usleep time);
use PostgreSQL::Test::Cluster;
use Dataflows;

my $systems = start_systems();
my $node = new_node('doubt', conf => "dataflows.undo_for = '20s'");

create_systems($node, 'postgres', $systems, workflow => 0);

# "trusted" is billing, which honours keys; "plain" is the crm, which ignores them
my $options =
	  "allow_private 'true', timeout '500ms', retry_initial '50ms', retry_max '300ms', settle "
	. "'1500ms', breaker_failures '100000', max_concurrency '500'";

$systems->config('crm', idempotency => JSON::PP::false());
$node->safe_psql('postgres',
	sprintf(<<'SQL', $systems->url('billing'), $options, $systems->url('crm'), $options));
CREATE SERVER trusted FOREIGN DATA WRAPPER dataflows
  OPTIONS (url '%s', idempotency_header 'Idempotency-Key', %s);
CREATE SERVER plain FOREIGN DATA WRAPPER dataflows OPTIONS (url '%s', %s);
GRANT USAGE ON FOREIGN SERVER trusted, plain TO app;
SQL
as_app($node, 'postgres', <<'SQL');
CREATE FUNCTION app.doubtful(event jsonb) RETURNS jsonb LANGUAGE plpgsql AS $$
DECLARE
  things text := CASE event->>'system' WHEN 'trusted' THEN '/customers' ELSE '/contacts' END;
BEGIN
  PERFORM dataflows.post('call', event->>'system', things,
    jsonb_build_object('email', event->>'email', 'run', dataflows.run_id()),
    undo => 'DELETE ' || things || '/{id}', doubt => event->>'doubt',
    probe => 'GET ' || things || '?' || (event->>'probe'), probe_found => CASE WHEN event->>'probe'
      IS NOT NULL THEN '$[*]' END);
  IF event->>'end' = 'undo' THEN
    RAISE EXCEPTION 'something later fails';
  END IF;
  RETURN '"done"';
END $$;
SQL

# ---- the combinations ----------------------------------------------------------------

my %faults = (
	before => { fault => 'reset_before' },
	after => { fault => 'lost' },
	half => { fault => 'truncated' },
	late => { fault => 'late', ms => 900 },
	error_before => { status => 500 },
	error_after => { status => 500, effect => JSON::PP::true() },
	killed_before => { fault => 'hang' },
	killed_after => { fault => 'hang', effect => JSON::PP::true() });
my %carried_out = map { $_ => 1 } qw(after half late error_after killed_after);
my %probes = (
	named => {
		stuck => 'run={run}',
		fail => 'idempotency_key={idempotency_key}',
		resend => 'run={run}',
		accept => 'run={run}'
	},
	first => { map { $_ => 'email={request.email}' } qw(stuck fail resend accept) },
	none => {});
my @cases;

for my $key (qw(trusted plain))
{
	for my $probe (sort keys %probes)
	{
		for my $fault (sort keys %faults)
		{
			for my $doubt (qw(stuck fail resend accept))
			{
				push @cases,
					{
					key => $key,
					probe => $probe,
					fault => $fault,
					doubt => $doubt,
					end => $_,
					email => "$key-$probe-$fault-$doubt-$_\@example.com"
					}
					for qw(done undo);
			}
		}
	}
}

# (state of the run, records ever made, live ones, whether it stands in pending_undo)
sub outcome_of
{
	my ($case) = @_;
	my $carried_out = $carried_out{ $case->{fault} } ? 1 : 0;
	my $undo = $case->{end} eq 'undo';

	# a key that is honoured tells, and so does a probe: one record, or none after a rollback
	return $undo ? ('rolled_back', 1, 0, 0) : ('completed', 1, 1, 0)
		if $case->{key} eq 'trusted' || $case->{probe} ne 'none';

	# nobody can tell.  It is not sent again, and needs a person: at once, or, with fail, since
	# its undo lacks the id
	return ('stuck', $carried_out, $carried_out, 1) if $case->{doubt} =~ /^(stuck|fail)$/;

	# accept: a 500 is tried again, at least once
	return $undo
		? ('stuck', 1 + $carried_out, $carried_out, 1)
		: ('completed', 1 + $carried_out, 1 + $carried_out, 0)
		if $case->{doubt} eq 'accept' && $case->{fault} =~ /^error/;

	# and where no response came, as if done; but to undo it takes the id
	return $undo
		? ('stuck', $carried_out, $carried_out, 1)
		: ('completed', $carried_out, $carried_out, 0)
		if $case->{doubt} eq 'accept';

	# resend: at least once; what the last attempt made is undone, the other is a person's
	return $undo
		? ('stuck', 1 + $carried_out, $carried_out, 1)
		: ('completed', 1 + $carried_out, 1 + $carried_out, 0);
}

sub start
{
	my (@cases) = @_;
	my $sql = '';
	my %workflows;

	for my $case (@cases)
	{
		my %input = (
			system => $case->{key},
			email => $case->{email},
			doubt => $case->{doubt},
			end => $case->{end},
			probe => $probes{ $case->{probe} }{ $case->{doubt} });

		$systems->fault(
			$case->{key} eq 'trusted' ? 'billing' : 'crm', %{ $faults{ $case->{fault} } },
			times => 1,
			match => { method => 'POST', email => "^\Q$case->{email}\E\$" });
		# one workflow for each fault and probe: ten failures of one in a row would hold the rest
		$workflows{"$case->{fault}-$case->{probe}"} = 1;
		$sql .= sprintf("SELECT dataflows.start('%s-%s', '%s');\n",
			$case->{fault}, $case->{probe}, JSON::PP->new->encode(\%input));
	}
	$sql = join('',
		map { "SELECT dataflows.define_workflow('$_', 'app.doubtful');\n" } sort keys %workflows)
		. "BEGIN;\n${sql}COMMIT;\n";
	as_app($node, 'postgres', $sql);
	return;
}

# ---- killed while on the wire ------------------------------------------------------------

$node->safe_psql('postgres', "ALTER SERVER $_ OPTIONS (SET timeout '60s')") for qw(trusted plain);
my @killed = grep { $_->{fault} =~ /^killed/ } @cases;

start(@killed);
ok( wait_until(
		$node, "SELECT count(*) = " . @killed . " FROM dataflows.steps WHERE state = 'sent'"),
	'all are on the wire');

sub number_hit
{
	my $n = 0;

	for my $name (qw(billing crm))
	{
		$n += $_->{hits} for @{ $systems->books($name)->{faults} };
	}
	return $n;
}

my $end = time() + 20;
usleep(50_000) while (number_hit() < @killed && time() < $end);
is(number_hit(), scalar(@killed), 'and have arrived');
my ($owner) = grep { defined } map { /^\d+$/ ? $_ : undef } split(
	/\n/,
	$node->safe_psql(
		'postgres',
		"SELECT pid FROM pg_stat_activity WHERE backend_type LIKE 'dataflows worker%'
			OR backend_type = 'dataflows worker' ORDER BY 1 LIMIT 1"
	));
ok($owner, 'a worker runs');
kill_process('KILL', $owner);
ok(wait_until($node, "SELECT count(*) = 0 FROM pg_stat_activity WHERE pid = $owner"),
	'it is killed');
$node->safe_psql('postgres', "ALTER SERVER $_ OPTIONS (SET timeout '500ms')") for qw(trusted plain);

# ---- all others ------------------------------------------------------------------------------

start(grep { $_->{fault} !~ /^killed/ } @cases);
ok(wait_for_runs($node, [ 'completed', 'rolled_back', 'stuck' ], 60),
	'every run ends, or is stuck');

my %rows = map { my @row = split /\|/; $row[0] => [ @row[ 1 .. 3 ] ] }
	split(/\n/, $node->safe_psql('postgres', <<'SQL'));
SELECT r.input->>'email', r.state, (SELECT count(*) FROM dataflows.pending_undo p
  WHERE p.run = r.run AND p.step = 'call'),
  (SELECT count(*) FROM dataflows.stuck s WHERE s.run = r.run AND s.reason IS NOT NULL AND s.remedy
    IS NOT NULL)
FROM dataflows.runs r
SQL
my %summary = map { $_ => $systems->summary($_) } qw(billing crm);
my @wrong;

for my $case (@cases)
{
	my ($state, $ever, $live, $pending) = outcome_of($case);
	my $book = $summary{ $case->{key} eq 'trusted' ? 'billing' : 'crm' }{ $case->{email} }
		// [ 0, 0 ];
	my $row = $rows{ $case->{email} } // [ 'no run', 0, 0 ];
	my $want =
		  "$state: $ever made, $live left, $pending pending, "
		. ($state eq 'stuck' ? 1 : 0)
		. ' stuck';
	my $is = "$row->[0]: $book->[0] made, $book->[1] left, $row->[1] pending, $row->[2] stuck";

	push @wrong, "$case->{email}: $is; expected $want" if $is ne $want;
}
is(scalar(@wrong), 0,
	'the books and the tables say what the rules say of ' . @cases . ' combinations')
	or diag(join("\n", @wrong));
is(scalar(keys %rows), scalar(@cases), 'one run for each');

$node->stop;
$systems->stop;
done_testing();
