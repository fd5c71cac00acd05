# What becomes of a step by the way in which the first response is lost, by what the system
# answers to the second request, and by what its probe can tell: judged by the system's books.
#
# One run for each combination, all at once.  A run may be completed with one resource, rolled back
# with none, or stuck so that a person finds the resource: nothing else.  Which of these it is
# follows from outcome_of(), which knows the rules alone, never what the engine did.

use strict;
use warnings;

use JSON::PP;
use Test::More;
use PostgreSQL::Test::Cluster;
use Dataflows;

my $systems = start_systems();
my $node = new_node('answers', conf => "dataflows.undo_for = '20s'");

# "trusted" is billing, which honours keys; "plain" is the crm, which does not
my %system = (
	trusted => { name => 'billing', things => '/customers' },
	plain => { name => 'crm', things => '/contacts' });
my @options = (
	timeout => '500ms',
	retry_initial => '50ms',
	retry_max => '300ms',
	# much longer than what is carried out late takes to be found
	settle => '6s',
	breaker_failures => 0,
	max_concurrency => 500);

create_systems($node, 'postgres', $systems, workflow => 0);
$systems->config('crm', idempotency => JSON::PP::false);
create_server($node, 'trusted', $systems->url('billing'), @options,
	idempotency_header => 'Idempotency-Key');
create_server($node, 'plain', $systems->url('crm'), @options);
as_app($node, 'postgres', <<'SQL');
CREATE FUNCTION app.answered(event jsonb) RETURNS jsonb LANGUAGE plpgsql AS $$
BEGIN
  PERFORM dataflows.post('call', event->>'system', event->>'things',
    jsonb_build_object('email', event->>'email', 'run', dataflows.run_id()),
    undo => 'DELETE ' || (event->>'things') || '/{id}',
    probe => 'GET ' || (event->>'things') || (event->>'probe'), probe_found => event->>'found');
  IF event->>'end' = 'undo' THEN
    RAISE EXCEPTION 'something later fails';
  END IF;
  RETURN '"done"';
END $$;
SQL

# ---- the combinations ----------------------------------------------------------------------------

my @ways = qw(before after half late router);
my %first = (
	before => { fault => 'reset_before' },
	after => { fault => 'lost' },
	half => { fault => 'truncated' },
	late => { fault => 'late', ms => 900 },
	# it gives up, and the application behind it does not
	router => {
		fault => 'status',
		status => 503,
		page => '<html>Application error</html>',
		effect => JSON::PP::true
	});

my @seconds = qw(201 409 5xx replay);
my %second = (
	201 => undef,
	409 => { fault => 'status', status => 409, times => 1 },
	'5xx' => { fault => 'status', status => 500, times => 1 },
	replay => {
		fault => 'status',
		status => 500,
		headers => { 'Idempotent-Replayed' => 'true' },
		match => { seen_key => JSON::PP::true }
	});

my @probes = qw(none right late wrong page blind);
my %probe = (
	none => {},
	right => { probe => '?run={run}', found => '$[*]' },
	# an index that lags behind, but less than `settle`
	late => { probe => '?lag=700&run={run}', found => '$[*]' },
	# what it shows is not the resource
	wrong => { probe => '?wrap=items&run={run}' },
	# something between us and the system answers in its place
	page => { probe => '?page=yes&run={run}', found => '$[*]' },
	# finds nothing, ever: that is believed, unless the system contradicts it
	blind => { probe => '?run=nobody&for={run}', found => '$[*]' });

my @cases;

for my $key (qw(trusted plain))
{
	for my $probe (@probes)
	{
		for my $way (@ways)
		{
			for my $second (@seconds)
			{
				next if $probe eq 'blind' && $second ne '409';
				push @cases,
					{
					key => $key,
					probe => $probe,
					way => $way,
					second => $second,
					end => $_,
					email => "$key-$probe-$way-$second-$_\@example.com"
					}
					for qw(done undo);
			}
		}
	}
}

# whether a run gets to its end, or a person is needed
sub outcome_of
{
	my ($case) = @_;
	my $tells = $case->{probe} =~ /^(right|late)$/;

	# the same key finds the first attempt, unless the system has done with it
	return 'end' if $case->{key} eq 'trusted' && $case->{second} ne 'replay';
	# what is not there is sent once more, with another key if need be
	return 'end' if $tells && ($case->{second} ne '409' || $case->{way} ne 'before');
	# a conflict that nothing explains, or nobody can tell
	return 'stuck';
}

# ---- all runs ------------------------------------------------------------------------------------

my (%workflows, $starts);

for my $case (@cases)
{
	my ($name, $things) = @{ $system{ $case->{key} } }{qw(name things)};
	my $second = $second{ $case->{second} };
	my %input = (
		system => $case->{key},
		things => $things,
		email => $case->{email},
		end => $case->{end},
		%{ $probe{ $case->{probe} } });
	my %match = (method => 'POST', email => "^\Q$case->{email}\E\$");
	my $workflow = join('-', @$case{qw(way second probe)});

	$systems->fault($name, %{ $first{ $case->{way} } }, times => 1, match => \%match);
	$systems->fault($name, %$second, match => { %match, %{ $second->{match} // {} } }) if $second;
	# ten failures of one workflow in a row would hold the rest
	$workflows{$workflow} = 1;
	$starts .= sprintf("SELECT dataflows.start('%s', '%s');\n", $workflow, encode_json(\%input));
}
$systems->fault(
	$_, fault => 'status', status => 404,
	page => '<html>not here</html>',
	match => { method => 'GET', path => 'page=yes' }) for qw(billing crm);
as_app($node, 'postgres',
	join('', map { "SELECT dataflows.define_workflow('$_', 'app.answered');\n" }
		  sort keys %workflows)
	  . "BEGIN;\n${starts}COMMIT;\n");
ok(wait_for_runs($node, [ 'completed', 'rolled_back', 'stuck' ], 120),
	'every run ends, or is stuck');

# ---- what the books and the views say ------------------------------------------------------------

my %rows = map { my @row = split /\|/; $row[0] => [ @row[ 1 .. 3 ] ] }
	split(/\n/, $node->safe_psql('postgres', <<'SQL'));
SELECT r.input->>'email', r.state,
  r.stuck->>'reason' LIKE 'step "call" %'
    AND r.stuck->>'remedy' LIKE '%' || p.idempotency_key || '%dataflows.resolve(%',
  p.idempotency_key
FROM dataflows.runs r LEFT JOIN dataflows.pending_undo p ON p.run = r.run AND p.step = 'call'
SQL
my %summary = map { $_ => $systems->summary($system{$_}{name}) } keys %system;
my %sent;

for my $key (keys %system)
{
	$sent{ $_->{email} }{ $_->{key} } = 1
		for grep { $_->{method} eq 'POST' } @{ $systems->requests($system{$key}{name}) };
}

my (%table, @wrong);

for my $case (@cases)
{
	my $made = $summary{ $case->{key} }{ $case->{email} } // [ 0, 0 ];
	my ($state, $named, $key) = @{ $rows{ $case->{email} } // [ 'no run', '', '' ] };
	my $done = $case->{end} eq 'done';
	my $there = $case->{way} eq 'before' ? 0 : 1;
	my $want =
		  outcome_of($case) eq 'stuck' ? "stuck: $there made, $there left"
		: $done ? 'completed: 1 made, 1 left'
		: 'rolled_back: 1 made, 0 left';
	my $is = "$state: $made->[0] made, $made->[1] left";

	$table{"$case->{key} $case->{end}"}{"$case->{way} $case->{second}"}{ $case->{probe} } = $is;
	push @wrong, "$case->{email}: $is; expected $want" if $is ne $want;
	push @wrong, "$case->{email}: a person is not led to it"
		if $state eq 'stuck' && !($named eq 't' && $sent{ $case->{email} }{$key});
}
is(scalar(keys %rows), scalar(@cases), 'one run for each of ' . @cases . ' combinations');
is(scalar(@wrong), 0, 'the books and the views say what the rules say')
	or diag(join("\n", @wrong));

# ---- the table -----------------------------------------------------------------------------------

my %letter = (
	'completed: 1 made, 1 left' => 'completed',
	'rolled_back: 1 made, 0 left' => 'rolled back',
	'stuck: 0 made, 0 left' => 'stuck, 0 there',
	'stuck: 1 made, 1 left' => 'stuck, 1 there');

for my $which (sort keys %table)
{
	my ($key, $end) = split / /, $which;

	note("a $key key, " . ($end eq 'done' ? 'nothing else fails' : 'something later fails'));
	note(sprintf('%-14s' . ('| %-15s' x @probes), 'first second', map { "probe $_" } @probes));
	for my $row (map { my $way = $_; map { "$way $_" } @seconds } @ways)
	{
		my $cells = $table{$which}{$row};

		my @said = map { $cells->{$_} // '' } @probes;

		note(sprintf('%-14s' . ('| %-15s' x @probes), $row, map { $letter{$_} // $_ } @said));
	}
}

$node->stop;
$systems->stop;
done_testing();
