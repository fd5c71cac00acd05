# What people do takes effect: resolve() with each outcome, retry() by what was answered, cancel in
# every state; each recorded with
# who, when and why.

use strict;
use warnings;

use Test::More;
use PostgreSQL::Test::Cluster;
use Dataflows;

my $systems = start_systems();
my $node = new_node('effects', conf => "dataflows.undo_for = '1s'");
my @crm = (
	$systems->url('crm'),
	timeout => '400ms',
	retry_max => '200ms',
	settle => '200ms',
	breaker_failures => 100_000);
my @trusted = (@crm, idempotency_header => 'Idempotency-Key');

create_systems($node, 'postgres', $systems, workflow => 0);
$systems->config('crm', idempotency => JSON::PP::false());
create_server($node, 'plain', @crm);
create_server($node, 'brief', @trusted, idempotency_ttl => '1ms');
create_server($node, 'moved', @trusted);
as_app($node, 'postgres', <<'SQL');
CREATE FUNCTION app.doubtful(event jsonb) RETURNS jsonb LANGUAGE plpgsql AS $$
DECLARE
  made jsonb;
BEGIN
  made := dataflows.post('make', coalesce(event->>'system', 'plain'), '/contacts',
    jsonb_build_object('email', event->>'email', 'run', dataflows.run_id()),
    undo => 'DELETE /contacts/{id}',
      probe => event->>'probe', timeout => (event->>'timeout')::interval);
  IF event ? 'after' THEN RAISE EXCEPTION 'after'; END IF;
  RETURN made;
END $$;
CREATE FUNCTION app.put_it(event jsonb) RETURNS jsonb LANGUAGE plpgsql AS $$
BEGIN
  RETURN dataflows.put('put', 'plain', '/contacts/7', jsonb_build_object('email', event->>'email'),
    undo => 'none', accept => ARRAY[404]);
END $$;
CREATE FUNCTION app.sleeps(event jsonb) RETURNS jsonb LANGUAGE plpgsql AS $$
BEGIN
  PERFORM dataflows.post('make', 'plain', '/contacts', jsonb_build_object('email', event->>'email'),
    undo => 'DELETE /contacts/{id}');
  IF event ? 'sleep' THEN PERFORM dataflows.sleep('rest', '1 day'); END IF;
  RETURN dataflows.wait_for('go');
END $$;
CREATE FUNCTION app.told(context jsonb) RETURNS jsonb LANGUAGE plpgsql AS $$
BEGIN
  PERFORM dataflows.post('tell', 'plain', '/contacts', jsonb_build_object('email',
    'told-' || (context->'input'->>'email')), doubt => 'resend');
  RETURN NULL;
END $$;
SELECT dataflows.define_workflow('doubtful', 'app.doubtful', undo_on => 'never'),
  dataflows.define_workflow('undoing', 'app.doubtful'),
  dataflows.define_workflow('put', 'app.put_it'), dataflows.define_workflow('sleeps', 'app.sleeps'),
  dataflows.define_workflow('telling', 'app.doubtful', on_failure => 'app.told');
SQL
my $cases = new_cases($node, $systems, 'crm');

sub app   { return as_app($node, 'postgres', $_[0]); }
sub sql   { return $node->safe_psql('postgres', $_[0]); }

sub asked
{
	my ($run) = @_;
	return sql(
		"SELECT string_agg(concat_ws(' ', request, sent_by, outcome, note), ', ' ORDER BY id)
			FROM dataflows.requests WHERE run = '$run'"
	);
}

my ($email, $run);

# ---- a step in doubt, and each outcome -----------------------------------------------------

for my $case (
	[
		'done', 1, 'completed', '1/1',
		'it was carried out, here is what it returned: the run goes on'
	],
	[ 'not_done', 0, 'stuck', '1/1', 'it was not: the step has failed, and so has the run' ],
	[ 'skipped', 0, 'completed', '1/1', 'go on without it' ],)
{
	my ($outcome, $with_output, $state, $books, $what) = @$case;

	($email, $run) = $cases->start('doubtful', {}, { fault => 'lost', times => 1 });
	is($cases->state_of($run), 'stuck', 'a step in doubt');
	my $output = $with_output ? ", '{\"id\": \"" . $cases->made($email) . "\"}'" : '';

	is(app("SELECT dataflows.resolve('$run', 'make', '$outcome', 'looked'$output)"),
		't', "resolve($outcome)");
	ok( wait_until(
			$node,
			"SELECT state = '$state' AND (state <> 'stuck' OR (SELECT state FROM dataflows.steps s
				WHERE s.run = r.run AND step = 'make') = 'failed') FROM dataflows.runs r
				WHERE run = '$run'"
		),
		$what);
	is($cases->books($email), $books, 'nothing was sent for it');
	is(asked($run), "resolve app $outcome looked", 'who asked, and why, is recorded');
}
is( sql("SELECT count(*) FROM dataflows.runs WHERE state = 'completed' AND result->>'id' IS NOT NULL
	AND workflow = 'doubtful'"
	),
	'1',
	'the output that was given is what the body got');

# a failed undo, and each outcome
for my $outcome (qw(undone skipped not_done))
{
	($email, $run) =
		$cases->start('undoing', { after => 1 },
			{ match => { method => 'DELETE' }, status => 422 });
	is($cases->state_of($run), 'stuck', 'an undo that was refused');
	is(app("SELECT dataflows.resolve('$run', 'make', '$outcome', 'by hand')"),
		't', "resolve($outcome)");
	becomes($node, $run, 'rolled_back', 'the rollback ends');
	is(sql("SELECT count(*) FROM dataflows.pending_undo WHERE run = '$run'"),
		'0', 'and leaves the work list');
}

# ---- retry, by what was answered ---------------------------------------------------------------

($email, $run) = $cases->start('doubtful', {}, { status => 422, times => 1 });
is($cases->state_of($run), 'stuck', 'refused');
is(app("SELECT dataflows.retry('$run', 'they mended it')"), 't', 'retry() with a note');
becomes($node, $run, 'completed', 'goes on');
is(asked($run), 'retry app they mended it', 'and the note is recorded');
my @keys = map { $_->{key} }
	grep { $_->{method} eq 'POST' && ($_->{email} // '') eq $email } @{ $systems->requests('crm') };

ok(@keys == 2 && $keys[0] ne $keys[1], 'with a new key, since the answer was a no');
is(sql("SELECT idempotency_key FROM dataflows.steps WHERE run = '$run'"),
	$keys[1], 'which the view shows');

($email, $run) = $cases->start(
	'doubtful',
	{ probe => 'GET /contacts?run={run}' },
	{ fault => 'lost', times => 1 },
	{ match => { method => 'GET' }, status => 405 });
is($cases->state_of($run), 'stuck', 'in doubt, with a probe that cannot tell');
$systems->clear_faults;
app("SELECT dataflows.retry('$run')");
becomes($node, $run, 'completed', 'retry() asks the probe again');
is($cases->books($email), '1/1', 'and sends nothing');

($email, $run) = $cases->start(
	'doubtful',
	{ probe => 'GET /contacts?run={run}', system => 'brief' },
	{ fault => 'lost', times => 1 });
is( $cases->outcome($email, $run),
	'completed 1/1',
	'a key that has outlived its TTL is not trusted: the probe is asked');
($email, $run) = $cases->start('doubtful', { system => 'brief' }, { fault => 'lost', times => 1 });
is($cases->outcome($email, $run), 'stuck 1/1', 'and without one the doubt stays');

# the url of the system changes while a step is in doubt
($email, $run) = $cases->start('doubtful', { system => 'moved' }, { fault => 'lost', times => 30 });
ok(wait_until($node, "SELECT state = 'in_doubt' FROM dataflows.steps WHERE run = '$run'"),
	'in doubt, to be sent again by its key');
my $elsewhere = $systems->url('email');

sql("ALTER SERVER moved OPTIONS (SET url '$elsewhere')");
is($cases->state_of($run), 'stuck', 'it is not sent to another place');
like(
	sql("SELECT error->>'message' FROM dataflows.steps WHERE run = '$run'"),
	qr/url of the system has changed/,
	'and says so');
is($systems->made_and_left('email', $email), '0/0', 'nothing arrived there');

# ---- timeout, PUT --------------------------------------------------------------------------------

($email, $run) =
	$cases->start('doubtful', { timeout => '200 ms' },
		{ fault => 'latency', ms => 2000, times => 1 });
is($cases->state_of($run), 'stuck', 'a step\'s own timeout');
like(
	sql("SELECT string_agg(error, ' ') FROM dataflows.attempts WHERE run = '$run'"),
	qr/timed out after 200 ms/,
	'counts before the system\'s');
($email, $run) =
	$cases->start('put', {}, { match => { method => 'PUT' }, fault => 'lost', times => 2 });
is($cases->state_of($run), 'completed', 'a PUT without an answer is sent again');
is(sql("SELECT attempts FROM dataflows.steps WHERE run = '$run'"), '3', 'until there is one');

# ---- cancel, wherever the run is -----------------------------------------------------------------

($email, $run) = $cases->start('doubtful', {}, { fault => 'lost', times => 1 });
is($cases->state_of($run), 'stuck', 'stuck in doubt, without a probe');
is(app("SELECT dataflows.cancel('$run', 'no more')"), 't', 'cancel()');
is($cases->state_of($run), 'stuck', 'the undo needs an id that nobody knows: a person must');
is(sql("SELECT undo_state FROM dataflows.steps WHERE run = '$run'"),
	'undo_failed', 'never silently skipped');
app("SELECT dataflows.resolve('$run', 'make', 'undone', 'deleted by hand')");
becomes($node, $run, 'cancelled', 'then it is cancelled');

for my $input ({ sleep => 1 }, {})
{
	($email, $run) = $cases->start('sleeps', $input);
	becomes($node, $run, 'waiting', 'a run that waits');
	app("SELECT dataflows.cancel('$run', 'not wanted')");
	becomes($node, $run, 'cancelled', 'is cancelled');
	is($cases->books($email), '1/0', 'and undone');
}
is( app("SELECT dataflows.cancel('$run'), dataflows.retry('$run'), dataflows.abandon('$run', 'x'),
	dataflows.undo('$run', 'x')"
	),
	'f|f|f|f',
	'what has ended has nothing to do any more');

# ---- on_failure: its own doubt, its own failure --------------------------------------------------

($email, $run) = $cases->start(
	'telling',
	{ after => 1 },
	{ match => { email => '^told-' }, fault => 'lost', times => 1 });
becomes($node, $run, 'rolled_back', 'a step of on_failure that says resend');
is($cases->books("told-$email"), '2/2', 'is sent again');
($email, $run) =
	$cases->start('telling', { after => 1 },
		{ match => { email => '^told-' }, status => 422, times => 1 });
becomes($node, $run, 'stuck', 'on_failure that fails');
app("SELECT dataflows.retry('$run', 'mended')");
becomes($node, $run, 'rolled_back', 'is tried again by retry()');
is($cases->books($email) . ' ' . $cases->books("told-$email"),
	'1/0 1/1', 'nothing is undone or told twice');

# ---- abandon -------------------------------------------------------------------------------------

($email, $run) = $cases->start('doubtful', {}, { status => 422 });
is($cases->state_of($run), 'stuck', 'a run that nobody will mend');
is(app("SELECT dataflows.abandon('$run', 'done by hand')"), 't', 'abandon()');
becomes($node, $run, 'abandoned', 'takes it off the engine\'s hands');
is(asked($run), 'abandon app done by hand', 'with the reason');
is(sql('SELECT count(*) FROM dataflows.unexplained'), '0', 'no run is without a reason');

$node->stop;
$systems->stop;
done_testing();
