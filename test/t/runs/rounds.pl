# Rounds: continue_with() lets one run go on for ever in the memory of one round,
# and a failure undoes them all.

use strict;
use warnings;

use Test::More;
use PostgreSQL::Test::Cluster;
use PostgreSQL::Test::Utils;
use Dataflows;

my $systems = start_systems();
my $node = new_node('rounds', conf => "dataflows.undo_for = '2s'\ndataflows.max_steps = 5");

create_systems($node, 'postgres', $systems, workflow => 0);

sub app { return as_app($node, 'postgres', $_[0]); }

sub sql { return $node->safe_psql('postgres', $_[0]); }

sub start { return app("SELECT dataflows.start('$_[0]', '$_[1]')"); }

sub state_is
{
	return wait_until($node, "SELECT state = '$_[1]' FROM dataflows.runs WHERE run = '$_[0]'",
		$_[2]);
}

app(<<'SQL');
CREATE FUNCTION app.loop(event jsonb) RETURNS jsonb LANGUAGE plpgsql AS $$
DECLARE
  i int := (event->>'i')::int;
  made jsonb;
BEGIN
  made := dataflows.post('make', 'crm', '/contacts', jsonb_build_object('email', event->>'email',
    'i', i), undo => 'DELETE /contacts/{id}');
  IF (dataflows.response('make')->'body'->'i') <> to_jsonb(i) THEN
    RAISE EXCEPTION 'response() is of another round';
  END IF;
  IF i = (event->>'pivot')::int THEN PERFORM dataflows.point_of_no_return('sold'); END IF;
  IF i = (event->>'wait')::int THEN PERFORM dataflows.wait_for('go'); END IF;
  IF i = (event->>'fail')::int THEN RAISE EXCEPTION 'round % is bad', i; END IF;
  IF i < (event->>'last')::int THEN
    BEGIN
      RETURN dataflows.continue_with(event || jsonb_build_object('i', i + 1));
    EXCEPTION WHEN OTHERS THEN RETURN '"hidden"';
    END;
  END IF;
  RETURN made->'i';
END $$;
SELECT dataflows.define_workflow('loop', 'app.loop');
CREATE FUNCTION app.told(context jsonb) RETURNS jsonb LANGUAGE plpgsql AS $$
BEGIN
  BEGIN
    PERFORM dataflows.continue_with('{}');
  EXCEPTION WHEN OTHERS THEN
    RETURN dataflows.post('told', 'email', '/send', jsonb_build_object('to', 'desk@example.com',
      'said', SQLSTATE || ' ' || SQLERRM,
      'steps', context->'steps', 'i', context->'input'->'i'));
  END;
  RETURN NULL;
END $$;
SELECT dataflows.define_workflow('loop-told', 'app.loop', on_failure => 'app.told');
CREATE FUNCTION app.wrong(event jsonb) RETURNS jsonb LANGUAGE plpgsql AS $$
DECLARE
  said text[];
BEGIN
  BEGIN PERFORM dataflows.continue_with(NULL);
    EXCEPTION WHEN OTHERS THEN said := said || SQLSTATE::text; END;
  BEGIN PERFORM dataflows.continue_with(to_jsonb(repeat('x', 1100000)));
    EXCEPTION WHEN OTHERS THEN said := said || SQLSTATE::text; END;
  RETURN to_jsonb(said);
END $$;
SELECT dataflows.define_workflow('wrong', 'app.wrong');
SQL

my $run = start('wrong', '{}');

is(app("SELECT dataflows.await('$run')"), 'completed', 'wrong inputs are refused');
is( sql("SELECT result FROM dataflows.runs WHERE run = '$run'"),
	'["22004", "DF006"]',
	'for what they are');

# ---- three rounds -----------------------------------------------------------------------

$run = start('loop', '{"email": "three@example.com", "i": 1, "last": 3}');
ok(state_is($run, 'completed'), 'a run of three rounds');
is( sql("SELECT result::text || ' ' || (input->>'i') || ' ' || round FROM dataflows.runs
	WHERE run = '$run'"
	),
	'3 3 3',
	'its result and input are the last one\'s');
is( sql("SELECT string_agg(concat_ws(' ', n, round, step, kind, state), ', ' ORDER BY n)
	FROM dataflows.steps WHERE run = '$run'"
	),
	'1 1 make http done, 2 1 continue_with continue done, 3 2 make http done, 4 2 continue_with '
		. 'continue done, 5 3 make http done',
	'numbers go on, names begin anew');
is($systems->ever('three@example.com'), '0/0/3/0', 'three records: no key was used twice');
like(
	sql("SELECT string_agg(t, E'\\n') FROM dataflows.timeline('$run') t"),
	qr/1 make .*2 continue_with .*round 2 begins.*round 3 begins.*5 make/s,
	'the timeline shows the rounds');
app("SELECT dataflows.undo('$run', 'a mistake')");
ok(state_is($run, 'rolled_back'), 'undo() of the completed run');
is($systems->live('three@example.com'), '0/0/0/0', 'undoes all rounds');

# ---- three hundred, a crash in between, a failure at the end ---------------------------------

$run = start('loop-told',
	'{"email": "many@example.com", "i": 1, "last": 400, "wait": 150, "fail": 300}');
ok(wait_until($node, "SELECT waiting_for = 'go' FROM dataflows.runs WHERE run = '$run'", 60),
	'a run waits in round 150');
is(sql("SELECT round FROM dataflows.runs WHERE run = '$run'"), '150', 'as the view says');
restart_hard($node, 'immediate');
app("SELECT dataflows.signal('$run', 'go')");
ok(wait_until($node, "SELECT round > 180 FROM dataflows.runs WHERE run = '$run'", 60),
	'after a crash of the server it goes on');
kill_process('KILL', $_) for pids_of($node, 'worker');
ok(state_is($run, 'rolled_back', 120), 'it fails in round 300 and is undone');
is($systems->live('many@example.com'), '0/0/0/0', 'all 300 rounds are');
my @requests = grep { ($_->{email} // '') eq 'many@example.com' } @{ $systems->requests('crm') };
is( scalar(
		@{
			[
				split /\n/,
				sql("SELECT n FROM dataflows.steps WHERE run = '$run' AND undo_state IN ('undone',
					'gone')"
				)
			]
		}),
	300,
	'the record has 300 undos');
is( sql("SELECT count(*) FROM (SELECT undo_since, lag(undo_since) OVER (ORDER BY n DESC) AS newer
	FROM dataflows.steps WHERE run = '$run' AND undo_state <> 'none') s WHERE undo_since < newer"
	),
	'0',
	'newest first');
my ($told) =
	grep { ($_->{email} // '') eq 'desk@example.com' } @{ $systems->books('email')->{records} };
is($told->{data}{i} . ' ' . join(' ', map { $_->{step} } @{ $told->{data}{steps} }),
	'300 make', 'on_failure is told of the last round');
like($told->{data}{said}, qr/^55000 .*on_failure/, 'and cannot begin another');

# a round costs the same, the 30th or the 280th: nothing is read of the earlier ones
my ($early, $late) = map {
	sql("SELECT extract(epoch FROM percentile_cont(0.5) WITHIN GROUP (ORDER BY d))
		FROM (SELECT started_at - lag(started_at) OVER (ORDER BY n) AS d, round FROM dataflows.steps
		WHERE run = '$run' AND kind = 'http') s WHERE round BETWEEN $_"
	)
} ('10 AND 60', '240 AND 290');

cmp_ok($late, '<', 20 * $early + 0.5, "the median round took $early s early and $late s late");

# ---- a point of no return in an earlier round ---------------------------------------------------

$run = start('loop', '{"email": "sold@example.com", "i": 1, "last": 9, "pivot": 2, "fail": 4}');
ok(state_is($run, 'stuck'), 'a failure after the point of no return of round 2');
like(
	sql("SELECT reason FROM dataflows.stuck WHERE run = '$run'"),
	qr/point of no return.*round 4 is bad/,
	'is stuck');
app("SELECT dataflows.cancel('$run')");
ok(state_is($run, 'cancelled'), 'cancelled');
is($systems->live('sold@example.com'),
	'0/0/2/0', 'what came before it stays, what came after is undone');

# ---- an undo of an earlier round fails: a person settles it by its number ------------------------

$systems->fault('crm', match => { method => 'DELETE' }, status => 422, times => 1);
$run = start('loop', '{"email": "person@example.com", "i": 1, "last": 9, "fail": 3}');
ok(state_is($run, 'stuck'), 'an undo is refused');
is( sql("SELECT count(*) || ' ' || string_agg(substring(remedy from '''#\\d+''') || ' ' || n, "
			. "'') FROM dataflows.pending_undo WHERE run = '$run'"),
	"1 '#5' 5",
	'pending_undo names the step by its number');
is($systems->live('person@example.com'), '0/0/1/0', 'the others are undone');
$systems->fault('crm', match => { method => 'DELETE' }, status => 422, times => 1);
app("SELECT dataflows.retry('$run')");
ok( wait_until($node,
		"SELECT count(*) = 1 FROM dataflows.requests WHERE run = '$run' AND state = 'done'")
		&& state_is($run, 'stuck'),
	'refused again');
is(app("SELECT dataflows.resolve('$run', '#5', 'undone', 'by hand')"), 't', 'resolve() by number');
ok(state_is($run, 'rolled_back'), 'lets it end');
$systems->clear_faults;
$systems->fault('crm', match => { method => 'DELETE' }, status => 422, times => 3);
$run = start('loop', '{"email": "former@example.com", "i": 1, "last": 9, "fail": 3}');
ok(state_is($run, 'stuck'), 'undos of all rounds are refused');
is(sql("SELECT count(*) FROM dataflows.pending_undo WHERE run = '$run'"), '3', 'three are pending');
is(app("SELECT dataflows.resolve('$run', '#1', 'undone', 'by hand')"),
	't', 'the one of the first round is settled by hand');
ok( wait_until(
		$node, "SELECT undo_state = 'undone' FROM dataflows.steps WHERE run = '$run' AND n = 1"),
	'it is');
ok(state_is($run, 'stuck'), 'the other two keep it stuck');
app("SELECT dataflows.retry('$run')");
ok(state_is($run, 'rolled_back'), 'retry() undoes them');
is($systems->live('former@example.com'), '0/0/1/0', 'but for the one that was settled');
$systems->clear_faults;

# ---- a function that was replaced between two rounds ---------------------------------------------

$run = start('loop', '{"email": "new@example.com", "i": 1, "last": 2, "wait": 1}');
ok(wait_until($node, "SELECT waiting_for = 'go' FROM dataflows.runs WHERE run = '$run'"),
	'a run waits in round 1');
app("DO \$\$BEGIN EXECUTE replace(pg_get_functiondef('app.loop(jsonb)'::regprocedure),
	'RETURN made->', 'RETURN ''\"new\"'' || made->'); END\$\$"
);
app("SELECT dataflows.signal('$run', 'go')");
ok(state_is($run, 'completed'), 'round 2 takes the function as it is then');
is(sql("SELECT drifted FROM dataflows.runs WHERE run = '$run'"), 'f',
	'and has not drifted from it');
is(number_of($node, 'SELECT count(*) FROM dataflows.unexplained'), 0, 'nothing is unexplained');

$node->stop;
$systems->stop;
done_testing();
