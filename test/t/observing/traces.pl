# Traces: spans of run, step and attempt reach a collector as a tree, the trace of
# who started a run goes on through it, and a collector that is away costs nothing
# but spans, which are counted.

use strict;
use warnings;

use Test::More;
use Time::HiRes qw(time usleep);
use PostgreSQL::Test::Cluster;
use Dataflows;

my $systems = start_systems();
my $collector = start_collector();

# Spans of a run, once there are so many of them.
sub spans_of
{
	my ($run, $n) = @_;
	my $end = time() + 15;
	my @of;

	do
	{
		@of = grep { $_->{attributes}{'dataflows.run'} eq $run } $collector->spans;
	} while (@of < $n && time() < $end && usleep(50_000) >= 0);
	return @of;
}

my $node = new_node('traces', conf => "dataflows.sweep_interval = '1s'");

create_systems($node, 'postgres', $systems, workflow => 0);
as_app($node, 'postgres', <<'SQL');
CREATE FUNCTION app.child(event jsonb) RETURNS jsonb LANGUAGE plpgsql AS $$ BEGIN
  RETURN dataflows.once('x', 'SELECT 1'); END $$;
CREATE FUNCTION app.traced(event jsonb) RETURNS jsonb LANGUAGE plpgsql AS $$
BEGIN
  PERFORM dataflows.post('account', 'identity', '/users', jsonb_build_object('email',
    event->>'email'), undo => 'DELETE /users/{id}');
  PERFORM dataflows.query('sql', 'SELECT 1');
  IF event ? 'child' THEN PERFORM dataflows.call('call', 'child'); END IF;
  IF event ? 'wait' THEN PERFORM dataflows.wait_for('go'); END IF;
  IF event ? 'fail' THEN RAISE EXCEPTION 'no'; END IF;
  RETURN NULL;
END $$;
SELECT dataflows.define_workflow('child', 'app.child'), dataflows.define_workflow('traced',
  'app.traced');
SQL

sub start
{
	my ($input, $set) = @_;

	return as_app($node, 'postgres',
		($set ? "SET dataflows.traceparent = '$set';\n" : '')
			. "SELECT dataflows.start('traced', '$input')");
}
sub await { return as_app($node, 'postgres', "SELECT dataflows.await('$_[0]', '20 s')"); }

sub header
{
	my ($email) = @_;
	my ($r) = grep { ($_->{email} // '') eq $email } @{ $systems->requests('identity') };
	return $r->{headers}{traceparent} // $r->{traceparent};
}

# ---- off ------------------------------------------------------------------------------

my $run = start('{"email": "off@example.com"}');

is(await($run), 'completed', 'without a collector');
is($node->safe_psql('postgres', 'SELECT exported + dropped + waiting FROM dataflows.tracing'),
	'0', 'no spans are made');
is(header('off@example.com'), undef, 'and no header is sent');

# ---- the trace of the caller, without a collector -----------------------------------------

my $trace = '4bf92f3577b34da6a3ce929d0e0e4736';
my $parent = "00-$trace-00f067aa0ba902b7-01";

$run = start('{"email": "given@example.com"}', $parent);
is(await($run), 'completed', 'with a trace that was given');
is($node->safe_psql('postgres', "SELECT traceparent FROM dataflows.runs WHERE run = '$run'"),
	$parent, 'it is stored with the run');
like(header('given@example.com'), qr/^00-$trace-[0-9a-f]{16}-01$/,
	'and goes out with its requests');
for my $bad (
	'x',
	'00-' . ('0' x 32) . '-00f067aa0ba902b7-01',
	"00-$trace-" . ('0' x 16) . '-01',
	"ff-$trace-00f067aa0ba902b7-01",
	uc $parent)
{
	my ($rc, $out, $err) = $node->psql('postgres', "SET dataflows.traceparent = '$bad'");

	like($err, qr/invalid value for parameter "dataflows.traceparent"/, "$bad is no traceparent");
}

# ---- on --------------------------------------------------------------------------------------

$node->safe_psql('postgres',
		  "ALTER SYSTEM SET dataflows.otlp_endpoint = '"
		. $collector->url
		. "'; SELECT pg_reload_conf()");
ok(wait_until($node, "SELECT current_setting('dataflows.otlp_endpoint') <> ''"), 'a collector');
$systems->fault('identity', match => { email => 'again' }, status => 503, times => 1);
$run = start('{"email": "again@example.com"}', $parent);
is(await($run), 'completed', 'a run with a retry');
my @of = spans_of($run, 5);
my ($root) = grep { !defined $_->{attributes}{'dataflows.step'} } @of;
my ($step) = grep { $_->{name} eq 'account' && !defined $_->{attributes}{'dataflows.attempt'} } @of;
my @attempts =
	sort { $a->{attributes}{'dataflows.attempt'} <=> $b->{attributes}{'dataflows.attempt'} }
	grep { defined $_->{attributes}{'dataflows.attempt'} } @of;
my ($sql) = grep { $_->{name} eq 'sql' } @of;

is(scalar(@of), 5, 'run, two steps and two attempts are spans');
is($root->{name}, 'traced', 'the run by its workflow');
is($root->{parentSpanId}, '00f067aa0ba902b7', 'below the span of who started it');
is(scalar(grep { $_->{traceId} eq $trace } @of), 5, 'all of them in his trace');
is($step->{parentSpanId}, $root->{spanId}, 'steps are below the run');
is($sql->{parentSpanId}, $root->{spanId}, 'also those that a sql worker carried out');
is(join(' ', map { $_->{parentSpanId} eq $step->{spanId} ? 'below' : 'not' } @attempts),
	'below below', 'attempts below their step');
is( join(' ',
		map { "$_->{attributes}{'http.response.status_code'}/$_->{status}{code}/$_->{kind}" }
			@attempts),
	'503/2/3 201/1/3',
	'with status, result and kind');
is( (split /-/, header('again@example.com'))[2],
	$attempts[0]{spanId},
	'the header of a request names the span of its attempt');
is( $root->{resource}{'service.name'} . ' ' . $root->{resource}{'db.namespace'},
	'dataflows postgres',
	'the resource says whose they are');
cmp_ok($root->{endTimeUnixNano} - $root->{startTimeUnixNano}, '>', 0, 'spans have a length');
cmp_ok(abs($root->{startTimeUnixNano} / 1e9 - time()), '<', 60, 'and the time of now');
is(scalar(grep { $_->{spanId} !~ /^[0-9a-f]{16}$/ } @of), 0, 'ids as they should be');

$run = start('{"email": "own@example.com", "fail": true}');
is(await($run), 'rolled_back', 'a run that is undone, in a trace of its own');
@of = spans_of($run, 5);
(my $own = $run) =~ s/-//g;
is(scalar(grep { $_->{traceId} eq $own } @of), scalar(@of), 'which is the run');
($root) = grep { !defined $_->{attributes}{'dataflows.step'} } @of;
is( $root->{status}{code} . ' ' . $root->{attributes}{'dataflows.state'},
	'2 rolled_back',
	'its span says how it ended');
is(scalar(grep { ($_->{attributes}{'dataflows.phase'} // '') eq 'undo' } @of),
	1, 'the undo is an attempt');

$run = start('{"email": "parent@example.com", "child": true}');
is(await($run), 'completed', 'a run that calls another');
my $child = $node->safe_psql('postgres', "SELECT run FROM dataflows.runs WHERE workflow = 'child'");
my ($called) = grep { !defined $_->{attributes}{'dataflows.step'} } spans_of($child, 2);
my ($call) = grep { $_->{name} eq 'call' } spans_of($run, 5);

is( $called->{parentSpanId} . $called->{traceId},
	$call->{spanId} . $call->{traceId},
	'is its parent in the trace');

$run = start('{"email": "quiet@example.com"}', "00-$trace-00f067aa0ba902b7-00");
is(await($run), 'completed', 'a trace that is not sampled');
like(header('quiet@example.com'), qr/^00-$trace-[0-9a-f]{16}-00$/, 'is passed on so');

# ---- a burst, and a collector that is far away ---------------------------------------------------

is(number_of($node, 'SELECT dropped FROM dataflows.tracing'), 0, 'nothing has been dropped so far');
$collector->mode(delay => 0.3);
as_app(
	$node, 'postgres',
	q(SELECT dataflows.start('traced', jsonb_build_object('email', 'burst' || i || '@example.com'))
		FROM generate_series(1, 2000) i)
);
ok(wait_for_runs($node, [qw(completed rolled_back)], 60), 'two thousand runs at once');
ok(wait_until($node, 'SELECT waiting = 0 FROM dataflows.tracing', 30), 'all spans have left');
is(number_of($node, 'SELECT dropped FROM dataflows.tracing'),
	0, 'several requests are on their way at a time, so that none is lost');
$collector->mode;

# ---- the collector is away -----------------------------------------------------------------------

my $before = $node->safe_psql('postgres', 'SELECT exported FROM dataflows.tracing');

is(scalar(grep { $_->{attributes}{'dataflows.run'} eq $run } $collector->spans),
	0, 'and makes no spans');
$collector->mode(status => 503);
as_app(
	$node, 'postgres',
	q(SELECT dataflows.start('traced', jsonb_build_object('email', 'away' || i || '@example.com'))
		FROM generate_series(1, 100) i)
);
ok( wait_for_runs($node, [qw(completed rolled_back)], 30),
	'runs do not wait for a collector that refuses');
ok(wait_until($node, 'SELECT dropped > 0 FROM dataflows.tracing'),
	'spans are dropped, and counted');
is( $node->safe_psql('postgres', 'SELECT last_error FROM dataflows.tracing'),
	'the collector answered with status 503',
	'with the reason');
# so long that a slow server, too, makes more than leaves meanwhile
$collector->mode(delay => 8);
as_app(
	$node, 'postgres',
	q(SELECT dataflows.start('traced', jsonb_build_object('email', 'slow' || i || '@example.com'))
		FROM generate_series(1, 3000) i)
);
ok( wait_for_runs($node, [qw(completed rolled_back)], 60),
	'nor for one that is slow, with more spans than there is room for');
$collector->mode;
ok(wait_until($node, 'SELECT waiting = 0 AND last_error IS NULL FROM dataflows.tracing', 60),
	'once it is back, what waited is sent');
my ($exported, $dropped) =
	split(/\|/, $node->safe_psql('postgres', 'SELECT exported, dropped FROM dataflows.tracing'));

cmp_ok($dropped, '>', 1000, "some were dropped ($dropped)");
cmp_ok(scalar(my @taken = $collector->spans),
	'>=', $exported, "each that counts as exported ($exported) is there");
is( $node->safe_psql(
		'postgres',
		"SELECT count(*) FROM dataflows.runs WHERE state <> 'completed'
			AND input->>'email' ~ '^(slow|away)'"
	),
	'0',
	'and every run completed');

$collector->stop;
$run = start('{"email": "gone@example.com"}');
is(await($run), 'completed', 'a collector that is gone');
ok(wait_until($node, "SELECT last_error IS NOT NULL FROM dataflows.tracing"),
	'is an error that is shown');

$node->stop;
$systems->stop;
done_testing();
