# rename_step(), accept_drift() and what else there is for a function that changes: for whom they
# work, for how long, and what counts as a change.

use strict;
use warnings;

use Test::More;
use PostgreSQL::Test::Cluster;
use PostgreSQL::Test::Utils;
use Dataflows;

my $systems = start_systems();
my $node = new_node('remedies');

create_systems($node, 'postgres', $systems, workflow => 0, options => { timeout => '120s' });
$node->safe_psql('postgres', 'CREATE ROLE stranger LOGIN; CREATE ROLE operator LOGIN');

sub app { return as_app($node, 'postgres', $_[0]); }

sub sql { return $node->safe_psql('postgres', $_[0]); }

# what it returns, or the SQLSTATE of its error
sub as
{
	my ($role, $sql) = @_;
	my ($rc, $out, $err) = $node->psql('postgres', "\\set VERBOSITY verbose\n$sql",
		extra_params => [ '-U', $role ]);

	return $rc == 0 ? $out : $err =~ /ERROR:  (\w{5}):/ ? $1 : $err;
}

sub function
{
	my ($name, $body) = @_;

	app("CREATE OR REPLACE FUNCTION app.$name(event jsonb) RETURNS jsonb LANGUAGE plpgsql AS
		\$f\$ BEGIN $body RETURN event; END \$f\$");
	return;
}

sub post
{
	my ($step, $address, $more) = @_;

	return "PERFORM dataflows.post('$step', 'crm', '/contacts',
		jsonb_build_object('email', '$address\@example.com'" . ($more // '') . ")); ";
}

my $go = "PERFORM dataflows.wait_for('go'); ";

# a run of a new workflow, by its name, that waits for "go"
sub waits
{
	my ($name, $body, $options) = @_;

	function($name, $body);
	app("SELECT dataflows.define_workflow('$name', 'app.$name'" . ($options // '') . ')');
	app("SELECT dataflows.start('$name', '{}', '$name')");
	return ok(
		wait_until($node, "SELECT waiting_for = 'go' FROM dataflows.runs WHERE key = '$name'"),
		"$name waits");
}

sub go { app("SELECT dataflows.signal_by_key('$_[0]', '$_[0]', 'go')"); return; }

sub of { return sql("SELECT $_[1] FROM dataflows.runs WHERE key = '$_[0]'"); }

sub ends
{
	my ($name, $state, $what) = @_;

	return ok(
		wait_until($node, "SELECT state = '$state' FROM dataflows.runs WHERE key = '$name'"),
		"$name: $what");
}

sub stuck_by
{
	my ($name, $pattern, $what) = @_;

	ends($name, 'stuck', $what);
	return like(sql("SELECT sqlstate || ' ' || reason FROM dataflows.stuck WHERE key = '$name'"),
		$pattern, "$name: it says why");
}

sub run_of { return of($_[0], 'run'); }

# ---- what is there already -----------------------------------------------------------------------

function('helps', '');
function('defined', 'PERFORM app.helps(event);');

sub defines { return app("SELECT dataflows.define_workflow('defined', 'app.defined'$_[0])"); }

is(defines(''), 1, 'a workflow');
is(defines(''), 1, 'defined again it is the same version');
is(defines(", deadline => '1 day', retry => '{\"max\": 1, \"for\": 2}'"),
	2, 'not with other arguments');
is(defines(", deadline => '1 day', retry => '{\"for\": 2, \"max\": 1}'"), 2, 'in any order');
function('defined', 'PERFORM app.helps(event); PERFORM 1;');
is(defines(", deadline => '1 day', retry => '{\"max\": 1, \"for\": 2}'"),
	3, 'nor with another source');
is(defines(''), 4, 'a version');
app('ALTER FUNCTION app.defined SET work_mem = 100');
is(defines(''), 5, 'other settings of the function');
function('helps', 'PERFORM 2;');
is(defines(''), 6, 'another helper');
is(defines(''), 6, 'and no other');
app('SELECT dataflows.drop_workflow(\'defined\')');
is(defines(''), 7, 'a dropped one is not there');

# ---- the version of a run ------------------------------------------------------------------------

my $gated = 'IF dataflows.run_version() >= 2 THEN ' . post('new', 'gated') . 'END IF; ';

waits('gated', $go);
function('gated', $gated . $go);
is(app("SELECT dataflows.define_workflow('gated', 'app.gated')"), 2, 'a second version');
go('gated');
ends('gated', 'completed', 'the run of the first one does not do what is new');
is($systems->made_and_left('crm', 'gated@example.com'), '0/0', 'it was not sent');
my $second = app("SELECT dataflows.start('gated')");
app("SELECT dataflows.signal('$second', 'go')");
ok(wait_until($node, "SELECT state = 'completed' FROM dataflows.runs WHERE run = '$second'"),
	'a run of the second one');
is($systems->made_and_left('crm', 'gated@example.com'), '1/1', 'does');
is(as('app', 'SELECT dataflows.run_version()'), 'DF004', 'outside a body there is no version');

# ---- rename_step ---------------------------------------------------------------------------------

waits('early', post('a', 'early') . $go);
app("BEGIN;
CREATE OR REPLACE FUNCTION app.early(event jsonb) RETURNS jsonb LANGUAGE plpgsql AS
	\$f\$ BEGIN " . post('b', 'early') . "$go RETURN event; END \$f\$;
SELECT dataflows.rename_step(run, 'a', 'b', 'a deploy', on_behalf_of => 'Ada')
	FROM dataflows.runs WHERE key = 'early';
COMMIT");
go('early');
ends('early', 'completed', 'renamed in the transaction of the deploy, no run is stuck');
is($systems->made_and_left('crm', 'early@example.com'), '1/1', 'nothing is sent twice');
is(sql("SELECT string_agg(step, ' ' ORDER BY n) FROM dataflows.steps WHERE run = '"
			. run_of('early') . "'"), 'b go', 'the step has its new name');
is( sql("SELECT concat_ws(' ', sent_by, request, step, outcome, note, on_behalf_of)
		FROM dataflows.requests WHERE run = '" . run_of('early') . "'"),
	'app rename a b a deploy Ada',
	'the request is on record');

waits('renames', post('a', 'renames') . $go);
my $run = run_of('renames');

is(as('app', "SELECT dataflows.rename_step('$run', 'x', 'y')"), 'f', 'no such step');
is(as('app', "SELECT dataflows.rename_step('$run', 'a', 'a')"), 'f', 'nothing to do');
is(as('app', "SELECT dataflows.rename_step('$run', 'a', '$_')"), '22023', "no name: $_")
	for '', '#2', 'a#', 'a#1', 'a#x', 'a#02', "a\tb";
is(as('app', "SELECT dataflows.rename_step('$run', 'a', NULL)"), '22004', 'NULL');
is(as('app', "SELECT dataflows.$_"), 'DF005', "unknown: $_")
	for "rename_step('f0000000-0000-7000-8000-000000000000', 'a', 'b')",
	"accept_drift('f0000000-0000-7000-8000-000000000000')";
is(as('stranger', "SELECT dataflows.$_"), '42501', "not a stranger: $_")
	for "rename_step('$run', 'a', 'b')", "accept_drift('$run')";
app("SELECT dataflows.allow('renames', 'operator', 'operate')");
function('renames', post('b', 'renames') . post('c', 'renames2') . $go);
kill 'STOP', $systems->{pid};
is(as('operator', "SELECT dataflows.rename_step('$run', 'a', 'b')"), 't', 'who may operate may');
ok( wait_until(
		$node, "SELECT state = 'sent' FROM dataflows.steps WHERE run = '$run' AND step = 'c'"),
	'a run with a request in flight');
is(app("SELECT dataflows.rename_step('$run', 'b', 'd'), dataflows.accept_drift('$run')"),
	'f|f', 'is a worker\'s');
kill 'CONT', $systems->{pid};
go('renames');
ends('renames', 'completed', 'it goes on');
is(app("SELECT dataflows.rename_step('$run', 'b', 'd'), dataflows.accept_drift('$run')"),
	'f|f', 'and has ended');

# ---- accept_drift --------------------------------------------------------------------------------

waits('accepts', post('a', 'accepts') . post('b', 'accepts2') . $go);
function('accepts', $go . 'PERFORM dataflows.wait_for(\'on\'); ');
go('accepts');
ok(wait_until($node, "SELECT waiting_for = 'on' FROM dataflows.runs WHERE key = 'accepts'"),
	'a run that has left out two steps waits');
is(app("SELECT dataflows.accept_drift(run, 'a') FROM dataflows.runs WHERE key = 'accepts'"),
	't', 'one is accepted');
app("SELECT dataflows.signal_by_key('accepts', 'accepts', 'on')");
stuck_by('accepts', qr/^DF003 .*without calling.*"b"$/, 'the other one is not');
function('accepts', $go . 'PERFORM dataflows.wait_for(\'on\'); PERFORM 1; ');
is(app("SELECT dataflows.accept_drift(run, 'b') FROM dataflows.stuck WHERE key = 'accepts'"),
	't', 'it is, but for another function');
stuck_by('accepts', qr/^DF003 .*without calling.*"a"$/, 'for which the first one is not');
is(app("SELECT dataflows.accept_drift(run) FROM dataflows.stuck WHERE key = 'accepts'"),
	't', 'all of them');
ends('accepts', 'completed', 'goes on');
is($systems->live('accepts@example.com'), '0/0/1/0', 'what was done stays');

# ---- what a function asks for another way --------------------------------------------------------

my $clock = ', \'at\', clock_timestamp()';
my $clocks = $clock . ', \'deep\', jsonb_build_array(now()::text, localtimestamp,
	extract(epoch FROM now()), floor(extract(epoch FROM now()) * 1000))';
my $random = ', \'nonce\', random()';
my $appointment = ', \'at\', now() + interval \'1 day\'';

waits('clock', post('a', 'clock', $clock) . $go);
go('clock');
ends('clock', 'completed', 'the same function may put the time into a body');
is(of('clock', 'drifted'), 'f', 'it has not changed');
waits('clocks', post('a', 'clocks', $clocks) . $go);
function('clocks', post('a', 'clocks', $clocks) . $go . 'PERFORM 1; ');
go('clocks');
ends('clocks', 'completed', 'nor does another one ask for something else by it');
for my $name (qw(random appointment))
{
	my $more = $name eq 'random' ? $random : $appointment;

	waits($name, post('a', $name, $more) . $go);
	function($name, post('a', $name, $more) . $go . 'PERFORM 1; ');
	go($name);
	stuck_by($name, qr/^DF003 .*changed.*"a" with another body/, 'it does by what is no clock');
	app("SELECT dataflows.accept_drift(run) FROM dataflows.stuck");
	ends($name, 'completed', 'unless a person says that it does not');
}

function('helper', post('mail', 'welcome') . $go);
waits('helped', 'PERFORM app.helper(event); ');
function('helper', post('mail', 'terms') . post('mail', 'welcome') . $go);
go('helped');
stuck_by('helped', qr/^DF003 .*"mail" with another body/,
	'a second call with one name, put before it in a helper');
is($systems->made_and_left('crm', 'welcome@example.com'), '1/1', 'is not sent in its place');
app("SELECT dataflows.rename_step(run, 'mail', 'mail#2') FROM dataflows.stuck");
ends('helped', 'completed', 'it has another name now');
is($systems->made_and_left('crm', "$_\@example.com"), '1/1', "$_ is sent once")
	for qw(welcome terms);

function('child', '');
app("SELECT dataflows.define_workflow('child', 'app.child')");
my %asked = (
	input => [ "PERFORM dataflows.call('c', 'child', '{\"n\": 1}'); ", '"n": 1', '"n": 2' ],
	args => [ "PERFORM dataflows.query('q', 'SELECT \$1', '[1]'); ", '[1]', '[2]' ],
	sql => [ "PERFORM dataflows.query('q', 'SELECT 1'); ", 'SELECT 1', 'SELECT 2' ],
	by => [
		"PERFORM dataflows.wait_for('in', '1 ms', by => 'app'); ",
		"by => 'app'", "by => 'stranger'"
	],
	undo => [
		"PERFORM dataflows.on_rollback('u', 'crm', 'DELETE /contacts/7'); ",
		'contacts/7', 'contacts/8'
	]);

for my $name (sort keys %asked)
{
	my ($body, $from, $to) = @{ $asked{$name} };

	waits("asks_$name", $body . $go);
	$body =~ s/\Q$from\E/$to/;
	function("asks_$name", $body . $go);
	go("asks_$name");
	stuck_by("asks_$name", qr/^DF003/, "another $name");
	app("SELECT dataflows.accept_drift(run) FROM dataflows.stuck");
	ends("asks_$name", 'completed', 'accepted');
}

# ---- steps of every kind under a new name --------------------------------------------------------

my %renamed = (
	query => "PERFORM dataflows.query('old', 'SELECT 1'); ",
	call => "PERFORM dataflows.call('old', 'child'); ",
	put => "PERFORM dataflows.put('old', 'crm', '/contacts/con_1', '{}', accept => '{404}'); ",
	undo => "PERFORM dataflows.on_rollback('old', 'crm', 'DELETE /contacts/7'); ");

for my $name (sort keys %renamed)
{
	my $body = $renamed{$name};

	waits("names_$name", $body . $go);
	$body =~ s/'old'/'new'/;
	function("names_$name", $body . $go);
	go("names_$name");
	stuck_by("names_$name", qr/^DF003 .*new step "new" before.*"old"/, 'may be the old one');
	app("SELECT dataflows.rename_step(run, 'old', 'new') FROM dataflows.stuck");
	ends("names_$name", 'completed', 'it is');
}

# what has no effect may be left out, or have another name
waits('reads', "PERFORM dataflows.get('old', 'crm', '/contacts', query => '{\"email\": \"x\"}');
	PERFORM dataflows.once('value', 'SELECT 1'); PERFORM dataflows.sleep('nap', '1 ms'); " . $go);
function('reads',
	"PERFORM dataflows.get('new', 'crm', '/contacts', query => '{\"email\": \"y\"}'); " . $go);
go('reads');
ends('reads', 'completed', 'and what only read');

# a step of another kind
waits('kinds', "PERFORM dataflows.query('x', 'SELECT 1'); " . $go);
function('kinds', post('x', 'kinds') . $go);
go('kinds');
stuck_by('kinds', qr/^DF003 .*"x".*kind "query".*"http"/, 'another kind');
is(app("SELECT dataflows.accept_drift(run, $_) FROM dataflows.stuck"), 'f', "$_ is not accepted")
	for "'x'", "'#1'", 'NULL';
is(app('SELECT dataflows.accept_drift(run, \'go\') FROM dataflows.stuck'), 't', 'but another step');
stuck_by('kinds', qr/^DF003 .*"x".*kind "query".*"http"/, 'still another kind');
app("SELECT dataflows.rename_step(run, 'x', 'was') FROM dataflows.stuck");
ok(wait_until($node, "SELECT reason LIKE '%without calling%\"was\"' FROM dataflows.stuck
	WHERE key = 'kinds'"), 'under another name it is out of the way');
is(app("SELECT dataflows.accept_drift(run, 'was') FROM dataflows.stuck"), 't', 'and is accepted');
ends('kinds', 'completed', 'so it goes on');
is($systems->made_and_left('crm', 'kinds@example.com'), '1/1', 'of the new one');

# a wait that nobody asks for any more
waits('unwaited', $go);
function('unwaited', 'PERFORM 1; ');
is(app("SELECT dataflows.accept_drift(run) FROM dataflows.runs WHERE key = 'unwaited'"),
	't', 'accept_drift() of a run that waits');
ends('unwaited', 'completed', 'has its body entered');

# the settings of a session change no fingerprint
app("CREATE FUNCTION app.pinned(event jsonb) RETURNS jsonb LANGUAGE sql BEGIN ATOMIC
	SELECT dataflows.wait_for('go');
	SELECT jsonb_build_array(event, timestamptz '2026-01-02 03:04', interval '1 day', 0.1::float8);
	END; SELECT dataflows.define_workflow('pinned', 'app.pinned')");
is( app("SET search_path = app, dataflows; SET DateStyle = German; SET TimeZone = 'Asia/Tokyo';
	SET IntervalStyle = iso_8601; SET extra_float_digits = 0; SET quote_all_identifiers = on;
	SELECT dataflows.define_workflow('pinned', 'app.pinned')"
	),
	1,
	'a body in BEGIN ATOMIC is the same under other settings');

# what was never sent
function('unsent', post('a', 'unsent') . $go);
sql("SELECT dataflows.pause_system('crm')");
app("SELECT dataflows.define_workflow('unsent', 'app.unsent'),
	dataflows.start('unsent', '{}', 'unsent')");
ok( wait_until(
		$node, "SELECT count(*) = 1 FROM dataflows.steps WHERE run = '" . run_of('unsent')
			. "' AND state = 'pending'"
	),
	'a step waits for its system');
function('unsent', 'PERFORM 1; ');
ok( wait_until(
		$node, "SELECT dataflows.accept_drift(run, 'a') FROM dataflows.runs WHERE key = 'unsent'"),
	'nobody calls it any more');
ends('unsent', 'completed', 'it is not waited for');
sql("SELECT dataflows.resume_system('crm')");
is($systems->made_and_left('crm', 'unsent@example.com'), '0/0', 'nor sent');

# ---- runs of 0.1, and on_failure -----------------------------------------------------------------

waits('old', post('a', 'old', $clock) . $go);
sql("UPDATE dataflows.run r SET body_hash = hashtextextended(p.prosrc COLLATE \"C\", 0)
	FROM pg_proc p WHERE r.key = 'old' AND p.proname = 'old'");
go('old');
ends('old', 'completed', 'a run with the hash of 0.1 goes on');
is(of('old', 'drifted'), 'f', 'and has not drifted');

function('undoing', post('told', 'undoing') . $go);
waits('fails', $go, ", on_failure => 'app.undoing'");
app("SELECT dataflows.cancel(run) FROM dataflows.runs WHERE key = 'fails'");
ok( wait_until(
		$node,
		"SELECT state = 'rolling_back' AND waiting_for = 'go' FROM dataflows.runs
			WHERE key = 'fails'"
	),
	'on_failure waits');
function('undoing', post('said', 'undoing') . $go);
go('fails');
stuck_by('fails', qr/^DF003 .*new step "on_failure\/said" before.*"on_failure\/told"/,
	'its step was renamed');
is( app("SELECT dataflows.rename_step(run, 'on_failure/told', 'on_failure/said')
		FROM dataflows.stuck"),
	't',
	'so it is said');
ends('fails', 'cancelled', 'and it goes on');
is($systems->made_and_left('crm', 'undoing@example.com'), '1/1', 'nothing was sent twice');
is(number_of($node, 'SELECT count(*) FROM dataflows.unexplained'), 0, 'nothing is unexplained');

$node->stop;
$systems->stop;
done_testing();
