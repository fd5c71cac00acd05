# A system that asks for time, is paused by hand or refuses our credentials uses up nothing: no
# attempt, and neither the time of retry nor the deadline.  So does a paused workflow.

use strict;
use warnings;

use Test::More;
use PostgreSQL::Test::Cluster;
use PostgreSQL::Test::Utils;
use Dataflows;
use Time::HiRes qw(time);

my $systems = start_systems();
my $node = new_node('pauses', conf => "dataflows.sweep_interval = '500ms'\n");

create_systems($node, 'postgres', $systems, workflow => 0,
	options => { retry_initial => '100ms', breaker_failures => 3, breaker_cooldown => '4s' });
$node->safe_psql('postgres', 'DROP USER MAPPING IF EXISTS FOR app SERVER identity');
create_callers($node);
$node->safe_psql('postgres', <<'SQL');
CREATE ROLE keeper LOGIN;
CREATE ROLE stranger LOGIN;
ALTER SERVER crm OWNER TO keeper;
GRANT USAGE ON FOREIGN SERVER crm, billing TO app, stranger;
SQL
as_app($node, 'postgres', <<'SQL');
CREATE FUNCTION app.strict(event jsonb) RETURNS jsonb LANGUAGE plpgsql AS $$
BEGIN
  RETURN dataflows.post('call', event->>'system', event->>'path',
    '{"email": "strict@x", "to": "strict@x"}',
    undo => 'none', retry => '{"max_attempts": 2, "for": "2 s"}');
END $$;
SELECT dataflows.define_workflow('strict', 'app.strict', deadline => '3 s');
CREATE FUNCTION app.undone(event jsonb) RETURNS jsonb LANGUAGE plpgsql AS $$
BEGIN
  PERFORM dataflows.post('make', 'billing', '/customers', '{"email": "undone@x"}',
    undo => 'DELETE /customers/{id}');
  PERFORM dataflows.wait_for('go');
  RETURN NULL;
END $$;
SELECT dataflows.define_workflow('undone', 'app.undone');
CREATE FUNCTION app.parent(event jsonb) RETURNS jsonb LANGUAGE plpgsql AS $$
BEGIN
  RETURN dataflows.call('child', 'strict', event);
END $$;
SELECT dataflows.define_workflow('parent', 'app.parent', deadline => '3 s');
SQL

sub as_role
{
	my ($role, $sql) = @_;
	my ($rc, $out, $err) =
		$node->psql('postgres', $sql, extra_params => [ '-U', $role ], on_error_stop => 1);

	return $rc == 0 ? $out : "error: $err";
}

sub strict_run
{
	my ($system) = @_;
	my $path = Dataflows::Systems::path_of($system);

	return as_app($node, 'postgres',
		qq(SELECT dataflows.start('strict', '{"system": "$system", "path": "$path"}')));
}

sub seconds_of
{
	my ($run) = @_;

	return number_of($node,
		"SELECT extract(epoch FROM finished_at - started_at) FROM dataflows.runs
			WHERE run = '$run'");
}

sub attempts_of
{
	my ($run) = @_;

	return number_of($node, "SELECT attempts FROM dataflows.steps WHERE run = '$run'");
}

sub breaker_of
{
	my ($system) = @_;

	return $node->safe_psql('postgres',
		"SELECT breaker || ' ' || COALESCE(reason, '-') FROM dataflows.systems
			WHERE system = '$system'");
}

# ---- a system that asks for time -----------------------------------------------------------------

# more often than the step may try, longer than the run may take, and more often than the
# breaker allows
$systems->fault('billing', status => 429, retry_after => 1, times => 6);
my $run = strict_run('billing');

becomes($node, $run, 'completed', '429 for longer than the deadline: the run goes on');
cmp_ok(seconds_of($run), '>=', 6, 'as late as the system asked');
is(attempts_of($run), 1, 'and no attempt was used');
unlike(
	PostgreSQL::Test::Utils::slurp_file($node->logfile),
	qr/"billing" keeps failing/,
	'nor did the breaker open');

$systems->fault('billing', status => 429, times => 4);
$run = strict_run('billing');
becomes($node, $run, 'completed', '429 that does not say for how long');
is(attempts_of($run), 1, 'uses no attempt either');

$systems->fault('billing', status => 503, retry_after => 5, times => 1);
$run = strict_run('billing');
ok( wait_until(
		$node, "SELECT held_until IS NOT NULL FROM dataflows.systems WHERE system = 'billing'"),
	'a 503 with Retry-After holds the system');
is(breaker_of('billing'), 'closed asked to wait', 'but its breaker is closed');
like(
	$node->safe_psql('postgres', "SELECT waiting_for FROM dataflows.runs WHERE run = '$run'"),
	qr/whose system is held/,
	'the run says what it waits for');
becomes($node, $run, 'completed', 'then it goes on');

# an undo
$run = as_app($node, 'postgres', "SELECT dataflows.start('undone')");
becomes($node, $run, 'waiting', 'a run waits');
$systems->fault('billing', match => { method => 'DELETE' }, status => 429, retry_after => 1,
	times => 3);
as_app($node, 'postgres', "SELECT dataflows.cancel('$run')");
becomes($node, $run, 'cancelled', 'an undo is asked to wait, and done');
is(number_of($node, "SELECT undo_attempts FROM dataflows.step WHERE run = '$run' AND n = 1"),
	1, 'without a second attempt');

# ---- what keeps failing --------------------------------------------------------------------------

$systems->fault('email', status => 503, times => 3);
start_calls($node, 'app', 'email', 3);
ok( wait_until($node, "SELECT breaker = 'open' FROM dataflows.systems WHERE system = 'email'"),
	'a breaker opens');
$run = strict_run('email');
becomes($node, $run, 'completed', 'a run behind it ends later than its deadline');
is(attempts_of($run), 1, 'by one attempt');
wait_for_runs($node, [qw(completed cancelled)], 120);

# ---- credentials that are refused ----------------------------------------------------------------

$systems->config('identity', bearer => 'the-right-one');
$run = strict_run('identity');
ok( wait_until(
		$node,
		"SELECT reason = 'credentials refused' FROM dataflows.systems WHERE system = 'identity'"),
	'credentials are refused');
let_pass(4);
is($node->safe_psql('postgres', "SELECT state || ' ' || (deadline > now())
		FROM dataflows.runs WHERE run = '$run'"), 'running true', 'a deadline does not pass');
$node->safe_psql('postgres',
	"CREATE USER MAPPING FOR app SERVER identity OPTIONS (bearer_token 'the-right-one')");
becomes($node, $run, 'completed', 'with the right ones it goes on');
is(attempts_of($run), 1, 'by one attempt');

# ---- a system paused by hand ---------------------------------------------------------------------

like(as_role('stranger', "SELECT dataflows.pause_system('crm')"),
	qr/permission denied to pause system "crm".*member of role "keeper"/s,
	'USAGE does not suffice to pause');
like(as_role('keeper', "SELECT dataflows.pause_system('crn')"),
	qr/system "crn" does not exist/, 'a system must be there');
like(as_role('keeper', "SELECT dataflows.pause_system(NULL)"), qr/must not be null/, 'or named');
like(as_role('keeper', "SELECT dataflows.pause_system('crm', repeat('x', 2000))"),
	qr/note is too long/, 'in few words');
is( as_role('keeper', "SELECT dataflows.pause_system('crm'), dataflows.resume_system('crm'),
		dataflows.resume_system('crm')"),
	't|t|f',
	'both in one statement');
is(as_role('keeper', "SELECT dataflows.pause_system('crm', 'their \"update\"')"),
	't', 'its owner pauses it, though a superuser set allow_private');
is(as_role('keeper', "SELECT dataflows.pause_system('crm')"), 'f', 'once');
is( $node->safe_psql(
		'postgres',
		"SELECT reason, paused_by, paused_note, paused_at > now() - interval '1 minute'
			FROM dataflows.systems WHERE system = 'crm'"
	),
	'paused|keeper|their "update"|t',
	'the view says who, when and why');
like(as_role('keeper', "ALTER SERVER crm OPTIONS (SET paused 'yes')"),
	qr/error/, 'nobody writes that by hand');

my $asked = @{ $systems->requests('crm') };
my $held = strict_run('crm');
my $parent = as_app($node, 'postgres',
	q(SELECT dataflows.start('parent', '{"system": "crm", "path": "/contacts"}')));
my $call = start_calls($node, 'shop', 'crm', 3);

ok( wait_until(
		$node, "SELECT count(*) = 5 FROM dataflows.step WHERE held_since IS NOT NULL"),
	'the steps of all owners are held');
$node->restart;
let_pass(6);
is(scalar(@{ $systems->requests('crm') }), $asked, 'nothing is sent, after a restart either');
is(number_of($node, "SELECT count(*) FROM dataflows.runs
		WHERE state IN ('running', 'queued', 'waiting')"), 6, 'and no run has failed');
my ($dump, $complaints) =
	run_command([ 'pg_dump', '-s', '-h', $node->host, '-p', $node->port, 'postgres' ]);

like($dump, qr/paused E?'\{"by":\s*"keeper"/, 'a dump has it');
is(as_role('keeper', "SELECT dataflows.resume_system('crm')"), 't', 'its owner resumes it');
is(as_role('keeper', "SELECT dataflows.resume_system('crm')"), 'f', 'once');
becomes($node, $held, 'completed', 'a run whose deadline had passed goes on');
becomes($node, $parent, 'completed', 'so does one whose child was held');
wait_for_runs($node, [qw(completed cancelled)], 120);
is( $node->safe_psql('postgres', "SELECT paused_by IS NULL AND reason IS NULL
		FROM dataflows.systems WHERE system = 'crm'"),
	't', 'and the view forgets it');

# ---- a paused workflow, a paused database --------------------------------------------------------

for my $what ("'strict'", '')
{
	my $role = $what eq '' ? 'postgres' : 'app';

	$systems->fault('billing', status => 503, times => 1);
	$systems->fault('billing', latency_ms => 0, fault => 'latency', ms => 1000, times => 1);
	$run = strict_run('billing');
	ok( wait_until(
			$node, "SELECT error IS NOT NULL FROM dataflows.steps WHERE run = '$run'"),
		'a run has tried once');
	as_role($role, "SELECT dataflows.pause($what)");
	let_pass(5);
	is($node->safe_psql('postgres', "SELECT state IN ('running', 'completed') FROM dataflows.runs
			WHERE run = '$run'"), 't', 'its deadline passes while it is paused');
	as_role($role, "SELECT dataflows.resume($what)");
	becomes($node, $run, 'completed', 'and it goes on');
}

# of a run that was not paused the time passes
$systems->fault('billing', status => 425, times => 100);
$run = strict_run('billing');
becomes($node, $run, 'rolled_back', 'a run that nobody holds uses up its time');
$systems->clear_faults('billing');

nothing_crashed($node);
$node->stop;
$systems->stop;
done_testing();
