# Runs that call runs: results, failures, cancel and rollback through the
# generations, keys that are taken, owners, and a thousand of them in one run.

use strict;
use warnings;

use Test::More;
use JSON::PP;
use PostgreSQL::Test::Cluster;
use PostgreSQL::Test::Utils;
use Dataflows;

my $systems = start_systems();
my $node = new_node('children', conf => <<'CONF');
dataflows.sweep_interval = '1s'
log_min_messages = log
CONF

create_systems($node, 'postgres', $systems, workflow => 0);
as_app($node, 'postgres', <<'SQL');
-- does what its input says, step by step
CREATE FUNCTION app.kid(e jsonb) RETURNS jsonb LANGUAGE plpgsql AS $$
BEGIN
  IF e ? 'email' THEN
    PERFORM dataflows.post('contact', 'crm', '/contacts', jsonb_build_object('email', e->>'email'),
      undo => 'DELETE /contacts/{id}');
  END IF;
  IF e ? 'stick' AND EXISTS (SELECT FROM app.broken) THEN PERFORM no_such_function(); END IF;
  IF e ? 'go' THEN PERFORM dataflows.wait_for('go'); END IF;
  IF e ? 'call' THEN PERFORM dataflows.call('grandchild', 'kid', e->'call'); END IF;
  IF e ? 'fail' THEN RAISE EXCEPTION 'no %', e->>'fail'; END IF;
  RETURN jsonb_build_object('got', e->'n');
END $$;
CREATE TABLE app.broken (); INSERT INTO app.broken DEFAULT VALUES;
-- calls what its input says
CREATE FUNCTION app.parent(e jsonb) RETURNS jsonb LANGUAGE plpgsql AS $$
DECLARE
  result jsonb;
BEGIN
  IF e ? 'email' THEN
    PERFORM dataflows.post('first', 'crm', '/contacts', jsonb_build_object('email', e->>'email'),
      undo => 'DELETE /contacts/{id}');
  END IF;
  result := dataflows.call('child', coalesce(e->>'workflow', 'kid'), e->'child', key => e->>'key');
  IF e ? 'email' THEN
    PERFORM dataflows.post('last', 'crm', '/contacts', jsonb_build_object('email', e->>'email'),
      undo => 'DELETE /contacts/{id}');
  END IF;
  IF e ? 'go' THEN PERFORM dataflows.wait_for('go'); END IF;
  IF e ? 'fail' THEN RAISE EXCEPTION 'no %', e->>'fail'; END IF;
  RETURN result;
END $$;
SELECT dataflows.define_workflow('kid', 'app.kid');
SELECT dataflows.define_workflow('parent', 'app.parent');
SQL

sub start
{
	my ($workflow, $input, $key) = @_;
	my $text = encode_json($input);

	$key = defined $key ? "'$key'" : 'NULL';
	return as_app($node, 'postgres', "SELECT dataflows.start('$workflow', '$text', $key)");
}

sub await
{
	my ($run) = @_;

	return as_app($node, 'postgres', "SELECT dataflows.await('$run', '20 s')");
}

sub ask
{
	my ($sql) = @_;

	return $node->safe_psql('postgres', $sql);
}

sub column
{
	my ($run, $column) = @_;

	return ask("SELECT $column FROM dataflows.runs WHERE run = '$run'");
}

# the child of a step, once it is there
sub child_of
{
	my ($run, $step) = @_;

	$step //= 'child';
	wait_until(
		$node,
		"SELECT count(*) = 1 FROM dataflows.steps WHERE run = '$run' AND step = '$step' AND child
			IS NOT NULL"
	);
	return ask("SELECT child FROM dataflows.steps WHERE run = '$run' AND step = '$step'");
}

my ($run, $child, $answer);

# ---- the result, the failure ------------------------------------------------------------

$run = start('parent', { child => { n => 7 } }, 'p1');
is(await($run), 'completed', 'a parent completes with its child');
is(column($run, 'result'), '{"got": 7}', "and has the child's result");
$child = child_of($run);
is(column($child, 'parent'), $run, 'the child knows its parent');
is(ask("SELECT started_by FROM dataflows.runs WHERE run = '$child'"),
	'app', 'it was started by the owner');
like(
	ask("SELECT string_agg(t, E'\n') FROM dataflows.timeline('$run') t"),
	qr/called child: run $child, completed/,
	"the parent's timeline shows the child");
like(
	ask("SELECT string_agg(t, E'\n') FROM dataflows.timeline('$child') t"),
	qr/called by run $run/,
	"and the child's the parent");

$run = start('parent', { email => 'fails@x', child => { email => 'fails@x', fail => 'luck' } });
is(await($run), 'rolled_back', 'a child that fails takes its parent with it');
$child = child_of($run);
is(column($run, "error->>'sqlstate'"), 'DF001', 'by DF001');
is(column($run, "error->'detail'->>'run'"), $child, 'whose detail names the run');
is(column($run, "error->'detail'->>'state'"), 'rolled_back', 'how it ended');
is(column($run, "error->'detail'->'error'->>'message'"), 'no luck', 'and why');
is(column($run, "(error->'detail') ? 'system'"), 'f', 'and no system');
is($systems->made_and_left('crm', 'fails@x'), '2/0', 'nothing is left of both');
is(column($run, "error->'detail'->>'why'"), 'child', 'the reason is the child');

# what a person says of the child says nothing of the parent's other steps
$run = start('parent', { email => 'stops@x', child => { email => 'stops@x', go => 1, n => 8 } });
$child = child_of($run);
ok(wait_until($node, "SELECT waiting_for = 'go' FROM dataflows.runs WHERE run = '$child'"),
	'a child waits');
as_app($node, 'postgres', "SELECT dataflows.cancel('$child', 'a mistake')");
becomes($node, $run, 'stuck', 'cancelled by a person: the parent is stuck');
is(column($child, 'state'), 'cancelled', 'the child is cancelled');
is($systems->made_and_left('crm', 'stops@x'), '2/1', 'of the parent nothing is undone');
as_app($node, 'postgres', "SELECT dataflows.retry('$run')");
ok( wait_until(
		$node,
		"SELECT waiting_for = 'go' FROM dataflows.runs WHERE parent = '$run' AND run <> '$child'"
	),
	'retry() calls another child');
as_app($node, 'postgres',
	"SELECT dataflows.signal(run, 'go') FROM dataflows.runs
		WHERE parent = '$run' AND run <> '$child'"
);
is(await($run), 'completed', 'and the parent goes on with it');
is($systems->made_and_left('crm', 'stops@x'), '4/3', 'each made once more, none undone');

as_app($node, 'postgres', <<'SQL');
CREATE FUNCTION app.tolerant(e jsonb) RETURNS jsonb LANGUAGE plpgsql AS $$
BEGIN
  BEGIN
    PERFORM dataflows.call('child', 'kid', '{"fail": "luck"}');
  EXCEPTION WHEN SQLSTATE 'DF001' THEN
    RETURN dataflows.response('child');
  END;
END $$;
SELECT dataflows.define_workflow('tolerant', 'app.tolerant');
CREATE FUNCTION app.mixed(e jsonb) RETURNS jsonb LANGUAGE plpgsql AS $$
BEGIN
  PERFORM dataflows.call('a', 'kid', '{"n": 1}', wait => false);
  PERFORM dataflows.call('b', 'kid', e, wait => false);
  PERFORM dataflows.post('c', 'crm', '/contacts', '{"email": "mixed@x"}',
    undo => 'DELETE /contacts/{id}', wait => false);
  PERFORM dataflows.query('d', 'SELECT 4 AS four');
  RETURN dataflows.wait_all('a', 'b', 'c', 'd');
END $$;
SELECT dataflows.define_workflow('mixed', 'app.mixed');
SQL
$run = start('tolerant', {});
is(await($run), 'completed', 'DF001 of a child can be caught');
is( column(
		$run,
		"(result->>'state') || ' ' || (result->'error'->>'message') || ' ' || "
			. "(result->>'attached')"),
	'rolled_back no luck false',
	'and response() tells what became of it');
$run = start('mixed', { n => 2 });
is(await($run), 'completed', 'wait_all() over children, requests and SQL');
is( column(
		$run,
		"(result->'a'->>'got') || (result->'b'->>'got') || (result->'c'->>'email') || "
			. "(result->'d')::text"),
	'12mixed@x[{"four": 4}]',
	'has all their results');
$run = start('mixed', { email => 'mixed@x', fail => 'b' });
is(await($run), 'rolled_back', 'one child of several fails');
is(column($run, "jsonb_path_query_array(error, '\$.detail.failures[*].step')"),
	'["b"]', 'and is named');
is( ask("SELECT string_agg(step || ' ' || undo_state, ', ' ORDER BY n) FROM dataflows.steps
	WHERE run = '$run'"
	),
	'a undone, b none, c undone, d none',
	'what the others did is undone');
is($systems->made_and_left('crm', 'mixed@x'), '3/1', 'the first run kept its contact');

# ---- cancel and undo reach all generations ---------------------------------------------------

$run = start('parent',
	{ email => 'c@x', child => { email => 'c@x', call => { email => 'c@x', go => 1 } } });
$child = child_of($run);
my $grandchild = child_of($child, 'grandchild');
becomes($node, $grandchild, 'waiting', 'a grandchild waits');
is(column($run, 'waiting_for'), "run $child (kid)", 'the parent waits for its child');
is(column($child, 'waiting_for'), "run $grandchild (kid)", 'and that for its own');
is(number_of($node, 'SELECT count(*) FROM dataflows.unexplained'), 0, 'which explains them');
as_app($node, 'postgres', "SELECT dataflows.cancel('$run', 'enough')");
is(await($run), 'cancelled', 'the parent is cancelled');
is( column($child, 'state') . ' ' . column($grandchild, 'state'),
	'cancelled cancelled',
	'and with it, before it, both below');
is(column($grandchild, "error->>'reason'"), "parent $child rolls back", 'which know why');
is($systems->made_and_left('crm', 'c@x'), '3/0', 'nothing is left of the three');
is( ask("SELECT string_agg(sent_by || ' ' || request, ', ' ORDER BY id) FROM dataflows.requests
	WHERE run IN ('$child', '$grandchild')"
	),
	'app cancel, app cancel',
	'the requests are on record');

$run = start('parent',
	{ email => 'u@x', child => { email => 'u@x', call => { email => 'u@x' } }, fail => 'more' });
is(await($run), 'rolled_back', 'a parent fails after its child has completed');
$child = child_of($run);
is(column($child, "state || ' ' || cause"), 'rolled_back undo', 'the child is undone');
is($systems->made_and_left('crm', 'u@x'), '4/0', 'with all below it');
my @order =
	map  { $_->{target} }
	sort { $a->{at} <=> $b->{at} }
	grep { $_->{email} && $_->{email} eq 'u@x' } @{ $systems->requests('crm') };
my @made =
	map  { "/contacts/$_->{id}" }
	sort { $a->{created_at} <=> $b->{created_at} }
	grep { $_->{email} eq 'u@x' } @{ $systems->books('crm')->{records} };
is( join(' ', grep { $_ ne '/contacts' } @order),
	join(' ', reverse @made),
	'newest first, across the runs');

$run = start('parent', { email => 'v@x', child => { email => 'v@x' } });
is(await($run), 'completed', 'a family completes');
as_app($node, 'postgres', "SELECT dataflows.undo('$run', 'changed our mind')");
becomes($node, $run, 'rolled_back', 'undo() of a completed parent');
is($systems->made_and_left('crm', 'v@x'), '3/0', 'undoes its child too');

# the child is undone by hand first
$run = start('parent', { email => 'w@x', child => { email => 'w@x' }, go => 1 });
becomes($node, $run, 'waiting', 'a parent waits after its child');
$child = child_of($run);
ok(wait_until($node, "SELECT waiting_for = 'go' FROM dataflows.runs WHERE run = '$run'"),
	'for an event');
as_app($node, 'postgres', "SELECT dataflows.undo('$child', 'by hand')");
ok( wait_until(
		$node,
		"SELECT undo_state = 'undone' FROM dataflows.steps WHERE run = '$run' AND step = 'child'"),
	'the parent hears that its child was undone');
as_app($node, 'postgres', "SELECT dataflows.cancel('$run')");
is(await($run), 'cancelled', 'and does not ask again');

# on_failure calls, and what came before a point of no return is left alone
as_app($node, 'postgres', <<'SQL');
CREATE FUNCTION app.caring(e jsonb) RETURNS jsonb LANGUAGE plpgsql AS $$
BEGIN
  PERFORM dataflows.call('kept', 'kid', '{"email": "kept@x"}');
  PERFORM dataflows.call('slow', 'kid', '{"email": "slow@x", "go": 1}', wait => false);
  PERFORM dataflows.point_of_no_return('pivot');
  PERFORM dataflows.call('undone', 'kid', '{"email": "gone@x"}');
  PERFORM dataflows.wait_for('never');
  RETURN NULL;
END $$;
CREATE FUNCTION app.care(context jsonb) RETURNS jsonb LANGUAGE plpgsql AS $$
BEGIN
  RETURN dataflows.call('report', 'kid', '{"email": "report@x"}');
END $$;
SELECT dataflows.define_workflow('caring', 'app.caring', on_failure => 'app.care');
SQL
$run = start('caring', {});
ok( wait_until(
		$node, "SELECT count(*) = 1 FROM dataflows.steps WHERE run = '$run' AND step = 'never'"),
	'past the point of no return');
as_app($node, 'postgres', "SELECT dataflows.cancel('$run')");
becomes($node, $run, 'rolling_back', 'it rolls back');
my $slow = child_of($run, 'slow');
ok(wait_until($node, "SELECT waiting_for LIKE '%$slow%' FROM dataflows.runs WHERE run = '$run'"),
	'and waits for the child from before');
is(column($slow, 'state'), 'waiting', 'which nobody cancels');
is(number_of($node, 'SELECT count(*) FROM dataflows.unexplained'), 0, 'that is no riddle');
as_app($node, 'postgres', "SELECT dataflows.signal('$slow', 'go')");
is(await($run), 'cancelled', 'it ends with that child');
is( join(' ', map { $systems->made_and_left('crm', "$_\@x") } qw(kept slow gone report)),
	'1/1 1/1 1/0 1/1',
	'what came before is kept, the rest undone, and on_failure has called');

# ---- stuck, abandoned, forgotten ----------------------------------------------------------------

$run = start('parent', { child => { stick => 1, n => 1 } });
$child = child_of($run);
becomes($node, $child, 'stuck', 'a child is stuck');
is(column($run, "state || ' ' || waiting_for"), "waiting run $child (kid), which is stuck",
	'its parent waits, and says why');
as_app($node, 'postgres', "DELETE FROM app.broken; SELECT dataflows.retry('$child')");
is(await($run), 'completed', 'and goes on with it after the repair');
as_app($node, 'postgres', 'INSERT INTO app.broken DEFAULT VALUES');

$run = start('parent', { email => 'ab@x', child => { stick => 1, email => 'ab@x' } });
$child = child_of($run);
becomes($node, $child, 'stuck', 'another is stuck');
as_app($node, 'postgres', "SELECT dataflows.abandon('$child', 'mine')");
is(await($run), 'stuck', 'abandoned: a person decides about the parent, too');
is(column($run, "error->'detail'->>'state'"), 'abandoned', 'as abandoned');
is($systems->made_and_left('crm', 'ab@x'),
	'2/2', 'nothing is undone');
as_app($node, 'postgres', "SELECT dataflows.cancel('$run')");
becomes($node, $run, 'cancelled', 'cancelled, it is undone but for the child');
is($systems->made_and_left('crm', 'ab@x'),
	'2/1', 'what that did is the business of who abandoned it');

$run = start('parent', { email => 'fg@x', child => { email => 'fg@x' }, key => 'fg', go => 1 });
ok(wait_until($node, "SELECT waiting_for = 'go' FROM dataflows.runs WHERE run = '$run'"),
	'a child has completed');
as_app($node, 'postgres', "SELECT dataflows.forget('kid', 'fg')");
as_app($node, 'postgres', "SELECT dataflows.cancel('$run')");
becomes($node, $run, 'stuck', 'forgotten, it cannot be undone: the parent is stuck');
like(
	ask("SELECT undo || ': ' || why FROM dataflows.pending_undo WHERE run = '$run'"),
	qr/undo of run \S+: run \S+ was forgotten/,
	'and a person knows why');
is($systems->made_and_left('crm', 'fg@x'), '3/1', 'the rest of the parent was undone');
as_app($node, 'postgres', "SELECT dataflows.resolve('$run', 'child', 'undone', 'by hand')");
is(await($run), 'cancelled', 'resolved by hand');

# forget() of the parent erases its children
$run = start('parent', { child => { email => 'fp@x' } }, 'fp');
is(await($run), 'completed', 'a family to be forgotten');
$child = child_of($run);
is(as_app($node, 'postgres', "SELECT dataflows.forget('parent', 'fp')"),
	'2', 'is forgotten with the child');
is( ask("SELECT count(*) FROM dataflows.step WHERE run IN ('$run', '$child') AND (body IS NOT NULL
	OR output IS NOT NULL)"
	),
	'0',
	'and its data');
is(ask("SELECT count(*) FROM dataflows.inbox WHERE run = '$run' AND payload IS NOT NULL"),
	'0', 'also in what the child said');

# retry() of a parent whose child failed calls another one
as_app($node, 'postgres',
	"SELECT dataflows.define_workflow('insisting', 'app.parent', undo_on => 'never')");
$systems->fault('crm', match => { method => 'POST', email => '^again@' }, status => 422);
$run = start('insisting', { child => { email => 'again@x', n => 5 } });
becomes($node, $run, 'stuck', 'a parent is stuck at a child that failed');
my $failed = child_of($run);
$systems->clear_faults('crm');
as_app($node, 'postgres', "SELECT dataflows.retry('$run')");
is(await($run), 'completed', 'retry() goes on');
isnt(child_of($run), $failed, 'with another child');
is($systems->made_and_left('crm', 'again@x'), '1/1', 'which did it');

# ---- keys ----------------------------------------------------------------------------------------

my $other = start('kid', { email => 'k1@x', n => 3, go => 1 }, 'k1');
becomes($node, $other, 'waiting', 'a run holds a key');
$run = start('parent', { child => { n => 9 }, key => 'k1' });
is(child_of($run), $other, 'a parent that calls by that key is attached to it');
is( ask("SELECT response->>'attached' FROM (SELECT answer AS response FROM dataflows.step
	WHERE run = '$run') s"
	),
	'true',
	'and knows');
as_app($node, 'postgres', "SELECT dataflows.cancel('$run')");
is(await($run), 'cancelled', 'cancelled, the parent ends at once');
is(column($other, 'state'), 'waiting', 'and leaves the run alone');
$run = start('parent', { child => { n => 9 }, key => 'k1', fail => 'more' });
is(child_of($run), $other, 'another parent is attached');
as_app($node, 'postgres', "SELECT dataflows.signal('$other', 'go')");
is(await($run), 'rolled_back', 'it gets the result, and fails later');
is(ask("SELECT output FROM dataflows.steps WHERE run = '$run' AND step = 'child'"),
	'{"got": 3}', 'it was the result of the other input');
is(column($other, 'state') . ' ' . $systems->made_and_left('crm', 'k1@x'),
	'completed 1/1', 'which is not undone');

# an open transaction holds the key: nobody else is held up
my $session = $node->background_psql('postgres', on_error_stop => 0);
$session->query_safe('SET ROLE app');
$session->query_safe('BEGIN');
$session->query_safe("SELECT dataflows.start('kid', '{\"n\": 4}', 'open')");
$run = start('parent', { child => { n => 5 }, key => 'open' });
ok( wait_until(
		$node,
		"SELECT waiting_for = 'key \"open\" of workflow \"kid\"' FROM dataflows.runs
			WHERE run = '$run'"
	),
	'a key in an open transaction is waited for');
is(await(start('parent', { child => { n => 6 }, key => 'free' })),
	'completed', 'while others go on');
is(number_of($node, 'SELECT count(*) FROM dataflows.unexplained'), 0, 'with a time to look again');
$session->query_safe('ROLLBACK');
is(await($run), 'completed', 'then the child is started');
is(column($run, 'result'), '{"got": 5}', 'as called');
$session->query_safe('BEGIN');
$session->query_safe("SELECT dataflows.start('kid', '{\"n\": 4}', 'open2')");
$run = start('parent', { child => { n => 5 }, key => 'open2' });
ok(wait_until($node, "SELECT waiting_for LIKE 'key%' FROM dataflows.runs WHERE run = '$run'"),
	'again');
$session->query_safe('COMMIT');
$session->quit;
is(await($run), 'completed', 'or the one that was started is waited for');
is(column($run, 'result'), '{"got": 4}', 'and its result taken');

# a call that waits for itself
$run = start('parent', { workflow => 'parent', child => { child => {} }, key => 'me' }, 'me');
is(await($run), 'stuck', 'a run that calls its own key is stuck');
like(column($run, "stuck->>'reason'"), qr/waits for this call itself/, 'and is told why');
as_app($node, 'postgres', <<'SQL');
CREATE FUNCTION app.endless(e jsonb) RETURNS jsonb LANGUAGE sql VOLATILE AS $$
SELECT dataflows.call('again', 'endless') $$;
SELECT dataflows.define_workflow('endless', 'app.endless');
SQL
$run = start('endless', {});
ok( wait_until(
		$node,
		"SELECT count(*) = 1 FROM dataflows.stuck WHERE workflow = 'endless'
			AND reason LIKE '%101th call within a call%'"
	),
	'an endless chain of calls ends');
as_app($node, 'postgres', "SELECT dataflows.cancel('$run')");
is(await($run), 'cancelled', 'and can be cancelled');
is(ask("SELECT string_agg(DISTINCT state, ' ') FROM dataflows.runs WHERE workflow = 'endless'"),
	'cancelled', 'all of it');

# ---- workflows that are not there, owners --------------------------------------------------------

$run = start('parent', { workflow => 'later', child => { n => 1 } });
becomes($node, $run, 'stuck', 'a workflow that does not exist: stuck, nothing is undone');
like(
	ask("SELECT reason FROM dataflows.stuck WHERE run = '$run'"),
	qr/workflow "later" does not exist/,
	'the reason says which');
as_app($node, 'postgres',
	"SELECT dataflows.define_workflow('later', 'app.kid'); SELECT dataflows.retry('$run')");
is(await($run), 'completed', 'defined, it goes on');

$node->safe_psql('postgres', <<'SQL');
CREATE ROLE other LOGIN; CREATE SCHEMA other AUTHORIZATION other;
  GRANT USAGE ON SCHEMA other TO app;
GRANT EXECUTE ON FUNCTION dataflows.define_workflow TO other;
SET ROLE other;
CREATE FUNCTION other.work(e jsonb) RETURNS jsonb LANGUAGE plpgsql AS $$
BEGIN
  IF e ? 'go' THEN PERFORM dataflows.wait_for('go'); END IF;
  RETURN jsonb_build_object('as', current_user);
END $$;
SELECT dataflows.define_workflow('theirs', 'other.work');
SQL
$run = start('parent', { workflow => 'theirs', child => {} });
becomes($node, $run, 'stuck', "another owner's workflow: stuck without the right");
like(
	ask("SELECT reason FROM dataflows.stuck WHERE run = '$run'"),
	qr/role "app" may not start workflow "theirs"/,
	'the reason says so');
$node->safe_psql('postgres',
	"SET ROLE other; SELECT dataflows.allow('theirs', 'app', 'start')");
as_app($node, 'postgres', "SELECT dataflows.retry('$run')");
is(await($run), 'completed', 'granted, it goes on');
is(column($run, 'result'), '{"as": "other"}', 'as the other role');
$run = start('parent', { workflow => 'theirs', child => { go => 1 } });
$child = child_of($run);
becomes($node, $child, 'waiting', "a child of the other owner's waits");
as_app($node, 'postgres', "SELECT dataflows.cancel('$run')");
is(await($run), 'cancelled', 'cancel reaches it');
is(column($child, 'state'), 'cancelled', 'across owners');
my $secret = $node->safe_psql('postgres',
	q(SET ROLE other; SELECT dataflows.start('theirs', '{}', 'secret')));
is($node->safe_psql('postgres', "SELECT dataflows.await('$secret')"),
	'completed', 'a run that the other role started');
$run = start('parent', { workflow => 'theirs', child => {}, key => 'secret' });
becomes($node, $run, 'stuck', 'whoever may only start the workflow does not get its result');
like(
	ask("SELECT reason FROM dataflows.stuck WHERE run = '$run'"),
	qr/key "secret" of workflow "theirs" is taken by a run that the role "app" may not see/,
	'the reason says so');

# ---- a query step before a call; drop, purge -----------------------------------------------------

as_app($node, 'postgres', <<'SQL');
CREATE FUNCTION app.sqlfirst(e jsonb) RETURNS jsonb LANGUAGE plpgsql AS $$
BEGIN
  PERFORM dataflows.query('q', 'SELECT 1');
  PERFORM dataflows.call('keyed', 'kid', '{"n": 1}', key => 'sqlfirst');
  PERFORM dataflows.query('q', 'SELECT 1');
  RETURN dataflows.call('plain', 'kid', '{"n": 2}');
END $$;
SELECT dataflows.define_workflow('sqlfirst', 'app.sqlfirst');
SQL
$run = start('sqlfirst', {});
is(await($run), 'completed', 'children are started after SQL');
is(column($run, 'result'), '{"got": 2}', 'and bring their results');

$run = start('parent', { workflow => 'later', child => { go => 1 } });
$child = child_of($run);
my ($rc, $out, $err) = $node->psql(
	'postgres',
	"SELECT dataflows.drop_workflow('later')",
	extra_params => [ '-U', 'app' ]);
like($err, qr/live run/, 'a workflow with live children cannot be dropped');
as_app($node, 'postgres', "SELECT dataflows.signal('$child', 'go')");
is(await($run), 'completed', 'it goes on');

$run = start('parent', { child => { n => 1 }, go => 1 });
ok(wait_until($node, "SELECT waiting_for = 'go' FROM dataflows.runs WHERE run = '$run'"),
	'a parent outlives its child');
$child = child_of($run);
# the purge comes by once: a run that is older but has just ended it sees again hours later
ok( wait_until(
		$node,
		"SELECT max(finished_at) < now() - interval '1 s' FROM dataflows.runs
			WHERE workflow = 'sqlfirst'"
	),
	'for longer than the retention');
$node->append_conf('postgresql.conf', "dataflows.retention = '1s'");
$node->reload;
ok(wait_until($node, "SELECT count(*) = 0 FROM dataflows.runs WHERE workflow = 'sqlfirst'"),
	'old runs are purged');
is(column($child, 'state'), 'completed', 'but not the child of a live parent');
$node->append_conf('postgresql.conf', "dataflows.retention = '1h'");
$node->reload;
as_app($node, 'postgres', "SELECT dataflows.cancel('$run')");
is(await($run), 'cancelled', 'which is undone by it');
is(column($child, 'state'), 'rolled_back', 'as it was kept');

# ---- a thousand ----------------------------------------------------------------------------------

as_app($node, 'postgres', <<'SQL');
CREATE FUNCTION app.small(e jsonb) RETURNS jsonb LANGUAGE plpgsql AS $$
BEGIN
  PERFORM dataflows.get('ask', 'crm', '/contacts?email=nobody');
  RETURN e;
END $$;
CREATE FUNCTION app.fan(e jsonb) RETURNS jsonb LANGUAGE plpgsql AS $$
DECLARE
  names text[];
BEGIN
  RAISE LOG 'fan is entered';
  FOR i IN 1 .. 1000 LOOP
    IF e ? 'children' THEN
      PERFORM dataflows.call('part:' || i, 'small', to_jsonb(i), wait => false);
    ELSE
      PERFORM dataflows.get('part:' || i, 'crm', '/contacts?email=nobody', wait => false);
    END IF;
    names := names || ('part:' || i);
  END LOOP;
  RETURN jsonb_build_object('n', (SELECT count(*)
    FROM jsonb_each(dataflows.wait_all(VARIADIC names))));
END $$;
SELECT dataflows.define_workflow('small', 'app.small');
SELECT dataflows.define_workflow('fan', 'app.fan');
SQL
$node->safe_psql('postgres', 'ALTER SERVER crm OPTIONS (ADD max_concurrency \'100\')');
for my $what (qw(children steps))
{
	my $log_before = -s $node->logfile;

	$run = start('fan', { $what => 1 });
	ok( wait_until($node, "SELECT state = 'completed' FROM dataflows.runs WHERE run = '$run'", 60),
		"a thousand $what in one run");
	is(column($run, 'result'), '{"n": 1000}', 'all are there');
	my $entered = () = slurp_file($node->logfile, $log_before) =~ /fan is entered/g;
	cmp_ok($entered, '<=', 6, "the body was entered $entered times");
}
is( number_of(
		$node,
		"SELECT count(*) FROM dataflows.runs WHERE workflow = 'small' AND state = 'completed'"),
	1000,
	'each child ran once');
$run = start('fan', { children => 1 });
ok( wait_until(
		$node,
		"SELECT count(*) >= 1000 + 200 FROM dataflows.runs WHERE workflow = 'small'
			AND state = 'completed'"
	),
	'many are done');
as_app($node, 'postgres', "SELECT dataflows.cancel('$run')");
# on a quick machine all thousand may be done before the cancel is read: then it is the undo that
# takes them back
ok( wait_until(
		$node, "SELECT state IN ('cancelled', 'completed') FROM dataflows.runs WHERE run = '$run'",
		60),
	'cancelled in the middle, or too late');
as_app($node, 'postgres', "SELECT dataflows.undo('$run', 'too late to cancel')");
ok( wait_until(
		$node,
		"SELECT state IN ('cancelled', 'rolled_back') FROM dataflows.runs WHERE run = '$run'", 60),
	'and all is taken back');
is( number_of(
		$node,
		"SELECT count(*) FROM dataflows.runs WHERE parent = '$run' AND state NOT IN ('cancelled',
			'rolled_back')"
	),
	0,
	'no child is left, done or not');

# ---- all of it -----------------------------------------------------------------------------------

is(number_of($node, 'SELECT count(*) FROM dataflows.unexplained'), 0, 'nothing is unexplained');
ok(wait_until($node, "SELECT count(*) = 0 FROM dataflows.inbox WHERE state = 'new'"),
	'nothing lies in the inbox');
is( number_of(
		$node,
		"SELECT count(*) FROM dataflows.run c JOIN dataflows.run p ON p.run = c.parent
			WHERE c.finished_at IS NULL AND p.finished_at IS NOT NULL"
	),
	0,
	'no child outlives its parent');
my @errors = grep { /ERROR|PANIC|TRAP/ && !/psql|live run/ } split /\n/, slurp_file($node->logfile);
is(scalar(grep { /worker/ } @errors), 0, 'no worker had an error of its own')
	or diag(join("\n", @errors));

# ---- circles: runs that nobody called wait for each other by their keys --------------------------

as_app($node, 'postgres', <<'SQL');
CREATE FUNCTION app.ring(e jsonb) RETURNS jsonb LANGUAGE plpgsql AS $$
BEGIN
  PERFORM dataflows.wait_for('go');
  IF e ? 'through' THEN RETURN dataflows.call('next', 'through', e->'through'); END IF;
  RETURN dataflows.call('next', 'ring', '{}', key => e->>'next');
EXCEPTION WHEN SQLSTATE 'DF001' THEN
  RETURN to_jsonb(SQLERRM);
END $$;
CREATE FUNCTION app.through(e jsonb) RETURNS jsonb LANGUAGE plpgsql AS $$
BEGIN
  RETURN dataflows.call('next', 'ring', '{}', key => e->>'next');
END $$;
SELECT dataflows.define_workflow('ring', 'app.ring'), dataflows.define_workflow('through',
  'app.through', undo_on => 'error');
SQL

# each calls the key of the next one, all at once or one after the other; how many are refused
sub ring
{
	my ($name, $at_once, @inputs) = @_;
	my @runs = map { start('ring', $inputs[$_], "$name$_") } 0 .. $#inputs;
	my $signals = join(', ', map { "dataflows.signal('$_', 'go')" } @runs);

	wait_until($node,
			  "SELECT count(*) = "
			. @runs
			. " FROM dataflows.runs WHERE key LIKE '$name%' AND waiting_for = 'go'");
	if ($at_once) { as_app($node, 'postgres', "SELECT $signals"); }
	else
	{
		for my $i (0 .. $#runs)
		{
			as_app($node, 'postgres', "SELECT dataflows.signal('$runs[$i]', 'go')");
			wait_until(
				$node,
				"SELECT waiting_for IS DISTINCT FROM 'go' FROM dataflows.runs
					WHERE run = '$runs[$i]'"
			);
		}
	}
	ok( wait_until(
			$node,
			"SELECT count(*) = "
				. @runs
				. " AND bool_and(state = 'completed') FROM dataflows.runs WHERE key LIKE '$name%'",
			20),
		"a circle ($name) is found");
	return number_of(
		$node,
		"SELECT count(*) FROM dataflows.steps s JOIN dataflows.runs r USING (run)
			WHERE (r.key LIKE '$name%' OR r.parent IN ('"
			. join("', '", @runs) . "'))"
			. " AND s.step = 'next' AND s.state = 'failed' AND s.error->>'message' ~ '^run [^ ]+ "
			. "holds key .* waits for this call itself'");
}

for my $at_once (0, 1)
{
	is(ring("two$at_once-", $at_once, { next => "two$at_once-1" }, { next => "two$at_once-0" }),
		1, 'of two one gives way');
	is( ring(
			"three$at_once-",
			$at_once,
			{ next => "three$at_once-1" },
			{ next => "three$at_once-2" },
			{ next => "three$at_once-0" }),
		1,
		'of three one does');
	is( ring(
			"child$at_once-", $at_once,
			{ through => { next => "child$at_once-1" } }, { next => "child$at_once-0" }),
		1,
		'and one of a circle through a child');
}

$node->stop;
$systems->stop;
done_testing();
