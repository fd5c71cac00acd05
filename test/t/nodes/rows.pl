# Rows that ask something of runs: what each action does, with whose rights, in which transaction,
# and what a row that is wrong does.

use strict;
use warnings;

use IO::Socket::INET;
use POSIX ();
use Test::More;
use PostgreSQL::Test::Cluster;
use Dataflows;

my $node = new_node('rows', conf => "dataflows.node = 3\n");

create_app($node);
$node->safe_psql('postgres', <<'SQL');
CREATE ROLE clerk LOGIN;
CREATE ROLE other LOGIN;
CREATE ROLE plain LOGIN;
GRANT CREATE ON SCHEMA public TO other, plain;
GRANT USAGE ON SCHEMA app TO clerk, other;
SELECT dataflows.allow_author('other');
SQL
as_app($node, 'postgres', <<'SQL');
CREATE FUNCTION app.body(event jsonb) RETURNS jsonb LANGUAGE plpgsql AS $$
BEGIN
  IF event ? 'division' AND (SELECT broken FROM app.world) THEN PERFORM 1 / 0; END IF;
  IF event ? 'now' THEN RETURN NULL; END IF;
  RETURN dataflows.wait_for('go');
END $$;
CREATE TABLE app.world (broken boolean);
INSERT INTO app.world VALUES (true);
SELECT dataflows.define_workflow('waits', 'app.body');
CREATE TABLE app.request (id int GENERATED ALWAYS AS IDENTITY, key text, run uuid,
  action varchar(20), event text, payload jsonb, note text, on_behalf_of text);
CREATE TRIGGER act AFTER INSERT ON app.request
  FOR EACH ROW EXECUTE FUNCTION dataflows.act_on_insert();
CREATE TABLE app.many (payload jsonb, run uuid, event text, action text);
CREATE TRIGGER act AFTER INSERT ON app.many REFERENCING NEW TABLE AS new_rows
  FOR EACH STATEMENT EXECUTE FUNCTION dataflows.act_on_insert();
GRANT INSERT ON app.request, app.many TO clerk;
SQL

sub start
{
	my ($input) = @_;

	return as_app($node, 'postgres', "SELECT dataflows.start('waits', '$input')");
}

sub state_of
{
	my ($run, $state) = @_;

	return wait_until($node, "SELECT state = '$state' FROM dataflows.runs WHERE run = '$run'");
}

sub as_role
{
	my ($role, $sql) = @_;

	return try_psql($node, 'postgres', "SET ROLE $role;\n$sql");
}

# ---- what each action does

my $run = start('{}');
my ($rc, $out, $err) = as_role('clerk', "INSERT INTO app.request (run, action, event, payload,
	on_behalf_of) VALUES ('$run', 'signal', 'go', '{\"a\": 1}', 'ann')");
is($rc, 0, 'a role without rights in the workflow inserts a signal') or diag $err;
ok(state_of($run, 'completed'), 'the run gets it');
is( as_app($node, 'postgres',
		"SELECT sent_by, on_behalf_of, event, payload FROM dataflows.signals WHERE run = '$run'"),
	'clerk|ann|go|{"a": 1}', 'who inserted is recorded');
($rc, $out, $err) = as_role('clerk', "INSERT INTO app.request (run, action, event)
	VALUES ('$run', 'signal', 'go')");
like($err, qr/NOTICE:  1 of 1 requests of table "request" had no effect/, 'a run that has ended');

$run = start('{}');
as_role('clerk', "INSERT INTO app.request (run, action, note) VALUES ('$run', 'cancel', 'moved')");
ok(state_of($run, 'cancelled'), 'cancel');
is( as_app($node, 'postgres', "SELECT request, note, sent_by FROM dataflows.requests
		WHERE run = '$run'"),
	'cancel|moved|clerk', 'with its note');

$run = start('{"division": 1}');
ok(state_of($run, 'stuck'), 'a run is stuck');
as_app($node, 'postgres', 'UPDATE app.world SET broken = false');
as_role('clerk', "INSERT INTO app.request (run, action) VALUES ('$run', 'retry')");
ok(state_of($run, 'waiting'), 'retry');
as_app($node, 'postgres', 'UPDATE app.world SET broken = true');
as_role('clerk', "INSERT INTO app.request (run, action, event) VALUES ('$run', 'signal', 'go')");
ok(state_of($run, 'stuck'), 'and stuck again');
as_role('clerk', "INSERT INTO app.request (run, action, note) VALUES ('$run', 'abandon', 'x')");
ok(state_of($run, 'abandoned'), 'abandon');

$run = start('{"now": 1}');
ok(state_of($run, 'completed'), 'a run that completes');
as_role('clerk', "INSERT INTO app.request (run, action, note) VALUES ('$run', 'undo', 'wrong')");
ok(state_of($run, 'rolled_back'), 'undo');

# ---- resolve

$node->safe_psql('postgres', <<'SQL');
CREATE SERVER nobody FOREIGN DATA WRAPPER dataflows OPTIONS (url 'http://127.0.0.1:9');
GRANT USAGE ON FOREIGN SERVER nobody TO app;
SQL
as_app($node, 'postgres', <<'SQL');
CREATE FUNCTION app.posts(event jsonb) RETURNS jsonb LANGUAGE plpgsql AS $$
BEGIN RETURN dataflows.post('make', 'nobody', '/things', '{}'); END $$;
SELECT dataflows.define_workflow('posts', 'app.posts');
SQL
$run = as_app($node, 'postgres', "SELECT dataflows.start('posts', '{}')");
($rc, $out, $err) = as_role('clerk', "INSERT INTO app.request (run, action, event, payload, note)
	VALUES ('$run', 'resolve', 'none', '{\"outcome\": \"done\"}', 'seen')");
like($err, qr/the run has no step "none".*row of table "request": action 'resolve', run $run/s,
	'resolve of a step that is not there');
($rc, $out, $err) = as_role('clerk', "INSERT INTO app.request (run, action, event, note)
	VALUES ('$run', 'resolve', 'make', 'seen')");
like($err, qr/the outcome must not be null/, 'resolve without an outcome');
as_app($node, 'postgres', "SELECT dataflows.cancel('$run')");

# a response that cannot be told leaves the step in doubt, and the run stuck
my $socket = IO::Socket::INET->new(Listen => 5, LocalAddr => '127.0.0.1') or die $!;
my $closer = fork() // die $!;
if ($closer == 0)
{
	while (my $client = $socket->accept) { sysread($client, my $request, 4096); close $client; }
	POSIX::_exit(0);
}
my $url = 'http://127.0.0.1:' . $socket->sockport;
$node->safe_psql('postgres', "ALTER SERVER nobody OPTIONS (SET url '$url', ADD settle '0',
	ADD allow_private 'true')");
$run = as_app($node, 'postgres', "SELECT dataflows.start('posts', '{}')");
ok(state_of($run, 'stuck'), 'a step is in doubt');
as_role('clerk', "INSERT INTO app.request (run, action, event, payload, note) VALUES ('$run',
	'resolve', 'make', '{\"outcome\": \"done\", \"output\": {\"id\": 7}}', 'seen')");
ok(state_of($run, 'completed'), 'resolve');
is(as_app($node, 'postgres', "SELECT result FROM dataflows.runs WHERE run = '$run'"),
	'{"id": 7}', 'with its output');
kill('KILL', $closer);
waitpid($closer, 0);

# ---- a statement, and its transaction

my @runs = split /\n/, as_app($node, 'postgres',
	"SELECT dataflows.start('waits', '{}') FROM generate_series(1, 500)");
my $values = join(', ', map { "('$_', 'signal', 'go')" } @runs);
as_role('clerk', "BEGIN; INSERT INTO app.many (run, action, event) VALUES $values; ROLLBACK");
is(as_app($node, 'postgres', "SELECT count(*) FROM dataflows.signals WHERE run = ANY
	('{" . join(',', @runs) . "}')"), '0', 'a transaction that is rolled back asks nothing');
my $copy = join('', map { "$_,signal,go\n" } @runs);
as_role('clerk', "COPY app.many (run, action, event) FROM STDIN (FORMAT csv);\n$copy\\.\n");
ok( wait_until($node, "SELECT count(*) = 500 FROM dataflows.runs WHERE state = 'completed'
		AND run = ANY ('{" . join(',', @runs) . "}')"),
	'500 signals by one COPY');
($rc, $out, $err) = as_role('clerk', "INSERT INTO app.many (run, action, event) VALUES $values");
like($err, qr/NOTICE:  500 of 500 requests of table "many" had no effect/, 'one NOTICE for all');

# ---- rows that are wrong: none of the statement counts

$run = start('{}');
my $elsewhere = '018f0000-0000-7000-8007-000000000000';
my $unknown = '018f0000-0000-4000-8007-000000000000';
for my $case (
	[ "('$run', 'explode', NULL, NULL)", qr/22023: action "explode" does not exist/ ],
	[ "('$run', NULL, NULL, NULL)", qr/22004: the action must not be null/ ],
	[ "(NULL, 'cancel', NULL, NULL)", qr/22004: the run must not be null/ ],
	[ "('$run', 'signal', NULL, NULL)", qr/22004: the event must not be null/ ],
	[ "('$run', 'undo', NULL, NULL)", qr/22023: the note must not be empty/ ],
	[ "('$elsewhere', 'cancel', NULL, NULL)", qr/DF005: run "$elsewhere" lives on node 7/ ],
	[ "('$unknown', 'cancel', NULL, NULL)", qr/DF005: run "$unknown" does not exist/ ])
{
	my ($row, $says) = @$case;

	($rc, $out, $err) = as_role('clerk', "\\set VERBOSITY verbose
		INSERT INTO app.request (run, action, event, note)
		VALUES ('$run', 'signal', 'go', NULL), $row");
	like($err, $says, "$row");
}
is( as_app($node, 'postgres', "SELECT count(*) FROM dataflows.signals WHERE run = '$run'"),
	'0', 'and nothing of it is there');

# ---- tables and triggers that are wrong

for my $case (
	[ 'action text', 'AFTER INSERT', 'ROW', '', qr/42703: .* has no column "run"/ ],
	[ 'run uuid', 'AFTER INSERT', 'ROW', '', qr/42703: .* has no column "action"/ ],
	[ 'run text, action text', 'AFTER INSERT', 'ROW', '',
		qr/42804: .* column "run" of table "wrong" is not of type uuid/ ],
	[ 'run uuid, action text, payload json', 'AFTER INSERT', 'ROW', '',
		qr/42804: .* column "payload" .* is not of type jsonb/ ],
	[ 'run uuid, action text', 'BEFORE INSERT', 'ROW', '', qr/39P01: .* must be fired AFTER/ ],
	[ 'run uuid, action text', 'AFTER INSERT OR UPDATE', 'ROW', '',
		qr/39P01: .* by INSERT alone/ ],
	[ 'run uuid, action text', 'AFTER INSERT', 'STATEMENT', '', qr/39P01: .* needs the new rows/ ],
	[ 'run uuid, action text', 'AFTER INSERT', 'ROW', q{'waits'},
		qr/39P01: .* takes no arguments/ ])
{
	my ($columns, $when, $each, $arguments, $says) = @$case;

	as_app($node, 'postgres', "CREATE TABLE app.wrong ($columns);
		CREATE TRIGGER act $when ON app.wrong FOR EACH $each
		EXECUTE FUNCTION dataflows.act_on_insert($arguments)");
	($rc, $out, $err) = try_psql($node, 'postgres', "\\set VERBOSITY verbose
		INSERT INTO app.wrong DEFAULT VALUES");
	like($err, $says, "$columns, $when");
	as_app($node, 'postgres', 'DROP TABLE app.wrong');
}

# ---- rights

as_role('other', 'CREATE TABLE public.mine (run uuid, action text, event text);
	CREATE TRIGGER act AFTER INSERT ON public.mine
	FOR EACH ROW EXECUTE FUNCTION dataflows.act_on_insert()');
($rc, $out, $err) = as_role('other', "\\set VERBOSITY verbose
	INSERT INTO public.mine VALUES ('$run', 'signal', 'go')");
like($err, qr/42501: role "other" may not signal/, 'the owner of the table has no right');
as_app($node, 'postgres', "SELECT dataflows.allow('waits', 'other', 'signal:go')");
($rc, $out, $err) = as_role('other', "INSERT INTO public.mine VALUES ('$run', 'cancel', NULL)");
like($err, qr/role "other" may not cancel/, 'nor all rights if it has one');
($rc, $out, $err) = as_role('other', "INSERT INTO public.mine VALUES ('$run', 'signal', 'go')");
is($rc, 0, 'but that one') or diag $err;
ok(state_of($run, 'completed'), 'which is enough');
as_app($node, 'postgres', 'GRANT TRIGGER ON app.request TO other');
($rc, $out, $err) = as_role('other', 'CREATE TRIGGER mine AFTER INSERT ON app.request
	FOR EACH ROW EXECUTE FUNCTION dataflows.act_on_insert()');
like($err, qr/role "other" may not make trigger "mine" on table "request"/,
	'no trigger on the table of another role');
($rc, $out, $err) = as_role('plain', 'CREATE TABLE public.its (run uuid, action text);
	CREATE TRIGGER act AFTER INSERT ON public.its
	FOR EACH ROW EXECUTE FUNCTION dataflows.act_on_insert()');
like($err, qr/permission denied for function (dataflows\.)?act_on_insert/,
	'nor by who is no author');

# ---- an UPDATE that moves a row asks nothing

as_app($node, 'postgres', <<'SQL');
CREATE TABLE app.parts (key int, run uuid, action text) PARTITION BY LIST (key);
CREATE TABLE app.one PARTITION OF app.parts FOR VALUES IN (1);
CREATE TABLE app.two PARTITION OF app.parts FOR VALUES IN (2);
CREATE TRIGGER act AFTER INSERT ON app.parts
  FOR EACH ROW EXECUTE FUNCTION dataflows.act_on_insert();
SQL
$run = start('{}');
as_app($node, 'postgres', "INSERT INTO app.parts VALUES (1, '$run', 'retry');
	UPDATE app.parts SET key = 2, action = 'cancel'");
as_app($node, 'postgres', "SELECT dataflows.signal('$run', 'go')");
ok(state_of($run, 'completed'), 'a row that is moved was taken before');

$node->stop;
done_testing();
