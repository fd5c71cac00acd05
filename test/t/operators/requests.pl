# What people do to runs: each effect, each refusal, recorded with who, when, why.

use strict;
use warnings;

use Test::More;
use PostgreSQL::Test::Cluster;
use PostgreSQL::Test::Utils;
use Dataflows;

my $systems = start_systems();
my $node = new_node('operators', conf => "dataflows.undo_for = '1s'");

create_systems($node, 'postgres', $systems, workflow => 0);
$node->safe_psql('postgres', 'CREATE ROLE stranger LOGIN; CREATE ROLE support LOGIN IN ROLE app');

sub app { return as_app($node, 'postgres', $_[0]); }

sub sql { return $node->safe_psql('postgres', $_[0]); }

sub as_role
{
	my ($role, $sql) = @_;
	my ($rc, $out, $err) =
		$node->psql('postgres', "\\set VERBOSITY sqlstate\n$sql", extra_params => [ '-U', $role ]);

	return $err =~ /ERROR:\s+(\w{5})/ ? $1 : $out;
}

sub state_is
{
	return wait_until($node, "SELECT state = '$_[1]' FROM dataflows.runs WHERE run = '$_[0]'");
}

sub start { return app("SELECT dataflows.start('job', '$_[0]')"); }

app(<<'SQL');
CREATE FUNCTION app.job(event jsonb) RETURNS jsonb LANGUAGE plpgsql AS $$
BEGIN
  PERFORM dataflows.post('make', 'crm', '/contacts', jsonb_build_object('email', event->>'email'),
    undo => 'DELETE /contacts/{id}');
  IF event ? 'wait' THEN PERFORM dataflows.wait_for('go'); END IF;
  IF event ? 'broken' THEN PERFORM no_such_function(); END IF;
  IF event ? 'fail' THEN RAISE EXCEPTION 'no'; END IF;
  RETURN '1';
END $$;
CREATE FUNCTION app.job_failed(context jsonb) RETURNS jsonb LANGUAGE plpgsql AS $$
BEGIN
  PERFORM dataflows.post('tell', 'email', '/send', jsonb_build_object('to',
    context->'input'->>'email'));
  PERFORM dataflows.wait_for('read');
  RETURN dataflows.get('look', 'crm', '/contacts');
END $$;
SELECT dataflows.define_workflow('job', 'app.job');
SELECT dataflows.define_workflow('job-told', 'app.job', on_failure => 'app.job_failed');
SQL

# ---- cancel, in bulk by one SELECT -----------------------------------------------------

my @runs = map { start(qq({"email": "c$_\@example.com", "wait": 1})) } 1 .. 3;
ok(wait_until($node, "SELECT count(*) = 3 FROM dataflows.runs WHERE state = 'waiting'"),
	'three runs wait');
is(as_role('stranger', "SELECT dataflows.cancel('$runs[0]')"), '42501',
	'a stranger may not cancel');
is(as_role('app', "SELECT dataflows.cancel('01900000-0000-4000-8000-000000000000')"),
	'DF005', 'what never existed');
is( as_role(
		'support',
		"SELECT count(*) FILTER (WHERE dataflows.cancel(run, 'closed')) FROM dataflows.runs"),
	'3',
	'three are cancelled by one SELECT');
ok(wait_for_runs($node, ['cancelled']), 'they are');
is($systems->live("c$_\@example.com"), '0/0/0/0', 'and undone') for 1 .. 3;
is(as_role('app', "SELECT string_agg(DISTINCT (dataflows.${_})::text, '') FROM dataflows.runs"),
	'false', "$_ has nothing to do any more")
	for (
	"cancel(run)", "retry(run)",
	"undo(run, 'x')",
	"abandon(run, 'x')",
	"resolve(run, 'make', 'done', 'x')");
is( sql("SELECT string_agg(DISTINCT concat_ws(' ', sent_by, request, note, state), ', ')
	FROM dataflows.requests WHERE sent_at <= consumed_at"
	),
	'support cancel closed done',
	'recorded with who, when and why');

# ---- stuck: retry after the repair, abandon --------------------------------------------------

my ($mend, $leave) = map { start(qq({"email": "$_\@example.com", "broken": 1})) } 'mend', 'leave';
ok(state_is($_, 'stuck'), 'a deploy error is stuck') for $mend, $leave;
is(as_role('stranger', "SELECT dataflows.$_"), '42501', "a stranger may not: $_")
	for (
	"retry('$mend')", "abandon('$mend', 'x')",
	"undo('$mend', 'x')", "resolve('$mend', 'make', 'done', 'x')",
	"pause('job')", "resume('job')",
	"restart('$runs[0]')");
is(as_role('app', "SELECT dataflows.restart('$mend')"),
	'55000', 'a run that has not ended cannot be restarted');
is(as_role('app', "SELECT dataflows.abandon('$leave', 'by hand')"), 't', 'abandon()');
ok(state_is($leave, 'abandoned'), 'takes it off our hands');
is($systems->live('leave@example.com'), '0/0/1/0', 'nothing is undone');
app('CREATE FUNCTION app.no_such_function() RETURNS int LANGUAGE sql AS $$SELECT 1$$');
app("DO \$\$BEGIN EXECUTE replace(pg_get_functiondef('app.job(jsonb)'::regprocedure),
	'PERFORM no_such', 'PERFORM app.no_such'); END\$\$"
);
is(as_role('app', "SELECT dataflows.retry('$mend')"), 't', 'retry() after the repair');
ok(state_is($mend, 'completed'), 'goes on to the end');
is(sql("SELECT drifted FROM dataflows.runs WHERE run = '$mend'"),
	't', 'and the view says that the body was replaced');
is($systems->ever('mend@example.com'), '0/0/1/0', 'without a second record');

# ---- undo, restart -------------------------------------------------------------------------------

is(as_role('app', "SELECT dataflows.undo('$mend', '  ')"), '22023', 'undo() without a reason');
is(as_role('app', "SELECT dataflows.undo('$mend', 'sold by mistake')"), 't', 'undo()');
ok(state_is($mend, 'rolled_back'), 'of a completed run');
is($systems->live('mend@example.com'), '0/0/0/0', 'takes back what it did');
my $again = app("SELECT dataflows.restart('$mend')");
ok(state_is($again, 'completed'), 'restart() begins another');
is(sql("SELECT restarted_from FROM dataflows.runs WHERE run = '$again'"),
	$mend, 'linked to the old one');
is($systems->live('mend@example.com'), '0/0/1/0', 'with a resource of its own');
is(as_role('app', "SELECT dataflows.restart('$again')"),
	'55000', 'nor one of what is completed, whose customers are there');
is(as_role('app', 'SELECT count(dataflows.restart(run)) FROM dataflows.runs'),
	'55000', 'nor of all that there are');
is($systems->ever('mend@example.com'), '0/0/2/0', 'nobody is made once more by it');
my $twice = app("SELECT dataflows.restart('$again', again => true)");
ok(state_is($twice, 'completed'), 'but if that is said');
is($systems->live('mend@example.com'), '0/0/2/0', 'then there are two');

# ---- pause and resume, of a workflow and of all --------------------------------------------------

is(as_role('app', "SELECT dataflows.pause('job', 'a deploy'), dataflows.pause('job')"),
	't|f', 'pause() says whether that changed anything');
my $held = start('{"email": "held@example.com"}');
is(as_role('app', 'SELECT dataflows.pause()'), '42501',
	'the database is not the owner\'s to pause');
sql('SELECT dataflows.pause()');
is(as_role('app', "SELECT dataflows.resume('job')"), 't', 'resume()');
is(sql("SELECT state FROM dataflows.runs WHERE run = '$held'"),
	'queued', 'the whole database is still held');
sql('SELECT dataflows.resume()');
ok(state_is($held, 'completed'), 'and goes on');
is( sql("SELECT string_agg(concat_ws(' ', request, workflow, note, (sent_by = 'app')::text,
	(consumed_at = sent_at)::text), ', ' ORDER BY id) FROM dataflows.requests WHERE run IS NULL"
	),
	'pause job a deploy true true, pause false true, resume job true true, resume false true',
	'who paused what, when and why');
is(as_role('stranger', "SELECT count(*) FROM dataflows.requests WHERE workflow IS NOT NULL"),
	'0', 'a stranger sees none of a workflow');

# ---- on_failure with steps of its own ------------------------------------------------------------

my $told = app(q(SELECT dataflows.start('job-told', '{"email": "told@example.com", "fail": 1}')));
ok( wait_until(
		$node,
		"SELECT state = 'rolling_back' AND waiting_for = 'read' FROM dataflows.runs
			WHERE run = '$told'"
	),
	'on_failure waits for an event');
is($systems->live('told@example.com'), '0/0/0/1', 'what was done is undone, the mail is sent');
$systems->fault('crm', match => { method => 'GET' }, status => 404, times => 1);
app("SELECT dataflows.signal('$told', 'read')");
ok(state_is($told, 'stuck'), 'on_failure that fails is stuck');
app("SELECT dataflows.retry('$told')");
ok(wait_until($node, "SELECT state = 'done' FROM dataflows.requests WHERE run = '$told'"),
	'retry() of it is taken');
is($systems->ever('told@example.com'), '0/0/1/1', 'and does nothing twice');

# ---- versions ------------------------------------------------------------------------------------

app(<<'SQL');
CREATE FUNCTION app.v1(event jsonb) RETURNS jsonb LANGUAGE plpgsql AS $$BEGIN
  PERFORM dataflows.wait_for('go'); RETURN '"one"'; END$$;
CREATE FUNCTION app.v2(event jsonb) RETURNS jsonb LANGUAGE plpgsql AS $$BEGIN
  PERFORM dataflows.wait_for('go'); RETURN '"two"'; END$$;
SELECT dataflows.define_workflow('versions', 'app.v1');
SQL
my @v = app("SELECT dataflows.start('versions')");
ok(wait_until($node, "SELECT state = 'waiting' FROM dataflows.runs WHERE run = '$v[0]'"),
	'a run of version 1 is in flight');
is(app("SELECT dataflows.define_workflow('versions', 'app.v2')"),
	'2', 'version 2 is another function');
push @v, app("SELECT dataflows.start('versions')"), app("SELECT dataflows.start('versions')");
ok( wait_until(
		$node,
		"SELECT count(*) = 3 FROM dataflows.runs WHERE workflow = 'versions' AND state = 'waiting'"
	),
	'newer runs take it');
app("SELECT dataflows.signal('$_', 'go')") for @v[ 0, 1 ];
ok(state_is($_, 'completed'), 'both end')  for @v[ 0, 1 ];
is( sql("SELECT string_agg(version || ' ' || result::text || ' ' || drifted, ', ' ORDER BY version)
	FROM dataflows.runs WHERE workflow = 'versions' AND state = 'completed'"
	),
	'1 "one" false, 2 "two" false',
	'each by the function of its version');
app("CREATE OR REPLACE FUNCTION app.v2(event jsonb) RETURNS jsonb
	LANGUAGE plpgsql AS 'BEGIN PERFORM dataflows.sleep(''go'', ''1 h''); RETURN 2; END'"
);
app("SELECT dataflows.signal('$v[2]', 'go')");
ok(state_is($v[2], 'stuck'), 'a step of another kind under a recorded name');
like(
	sql("SELECT sqlstate || ' ' || reason FROM dataflows.stuck WHERE run = '$v[2]'"),
	qr/^DF003 .*"go".*kind.*wait.*sleep/,
	'is DF003');
app("CREATE OR REPLACE FUNCTION app.v2(event jsonb) RETURNS jsonb
	LANGUAGE plpgsql AS 'BEGIN PERFORM dataflows.wait_for(''go''); RETURN ''\"mended\"''; END'"
);
app("SELECT dataflows.retry('$v[2]')");
ok(state_is($v[2], 'completed'), 'after the repair retry() goes on');
is( sql("SELECT result::text || ' ' || drifted FROM dataflows.runs WHERE run = '$v[2]'"),
	'"mended" true',
	'and the view says that it was replaced');
is(number_of($node, 'SELECT count(*) FROM dataflows.unexplained'), 0, 'nothing is unexplained');

$node->stop;
$systems->stop;
done_testing();
