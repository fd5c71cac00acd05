# Who sends a signal or asks something: the role, and the application's own user beside it. A signal
# that does not count now says so; a table's signals take their event from a column.

use strict;
use warnings;

use Test::More;
use PostgreSQL::Test::Cluster;
use PostgreSQL::Test::Utils;
use Dataflows;
use Dataflows::Roles;

my $node = new_node('who_sends');

create_app($node);
$node->safe_psql('postgres', 'CREATE ROLE sales; CREATE ROLE grace LOGIN IN ROLE sales;
	CREATE ROLE clerk LOGIN; CREATE ROLE desk LOGIN');
as_app($node, 'postgres', <<'SQL');
CREATE FUNCTION app.approve(event jsonb) RETURNS jsonb LANGUAGE plpgsql AS $$
BEGIN
  PERFORM dataflows.wait_for('decision', by => 'sales');
  RETURN dataflows.response('decision');
END $$;
CREATE FUNCTION app.paid(event jsonb) RETURNS jsonb LANGUAGE plpgsql AS $$
BEGIN RETURN dataflows.wait_any(ARRAY['paid', 'refused']); END $$;
SELECT dataflows.define_workflow('approve', 'app.approve');
SELECT dataflows.define_workflow('paid', 'app.paid');
SELECT dataflows.allow('approve', 'sales', 'signal:decision', 'see');
SELECT dataflows.allow('approve', 'clerk', 'signal');
SQL

sub hears { return role_hears($node, @_); }

sub ask { my ($sql) = @_; return $node->safe_psql('postgres', $sql); }

sub begin
{
	my ($workflow, $key) = @_;
	my $run = as_app($node, 'postgres', "SELECT dataflows.start('$workflow', '{}', '$key')");

	becomes($node, $run, 'waiting', "run $key waits");
	return $run;
}

# ---- a signal that does not count now ----------------------------------------------------

my $run = begin('approve', 'one');

like(
	hears('app', "SELECT dataflows.signal('$run', 'decision')"),
	qr/^t\n.*NOTICE:  00000: signal "decision" by role "app" does not count.*role "sales"/s,
	'who is no member of the role that is waited for hears it');
like(
	hears('app', "SELECT dataflows.signal_by_key('approve', 'one', 'decision')"),
	qr/^t\n.*NOTICE.*does not count/s, 'by key, too');
like(
	hears('app', "SELECT dataflows.signal('$run', 'decison')"),
	qr/NOTICE:  00000: run "$run" does not wait for event "decison" now.*It waits at "decision"/s,
	'who mistypes the event hears for what the run waits');
my $told = hears('clerk', "SELECT dataflows.signal('$run', 'decison')");

like($told, qr/NOTICE.*does not wait for event "decison" now/, 'who may not see it hears that');
unlike($told, qr/"decision"/, 'and not for what it waits');
is(hears('grace', "SELECT dataflows.signal('$run', 'decision', '{\"ok\": true}', 'grace\@shop')"),
	"t\n", 'a member hears nothing');
becomes($node, $run, 'completed', 'the signal of a member counts');
is(ask("SELECT sent_by, on_behalf_of FROM dataflows.signals WHERE consumed_by = 'decision'"),
	'grace|grace@shop', 'the view signals says who sent it and for whom');
like(ask("SELECT dataflows.timeline('$run')"),
	qr/by grace for grace\@shop/, 'so does the timeline');
is(ask("SELECT result->>'sent_by', result->>'on_behalf_of' FROM dataflows.runs WHERE run = '$run'"),
	'grace|grace@shop', 'and response() in the body');

# what the application says is not read by the wait
$run = begin('approve', 'two');
hears('app', "SELECT dataflows.signal('$run', 'decision', '{}', 'sales'),
	dataflows.signal('$run', 'decision', on_behalf_of => 'grace')");
ok( wait_until(
		$node, "SELECT count(*) = 2 FROM dataflows.signals WHERE run = '$run' AND state = 'kept'"
	),
	'signals on behalf of the role that is waited for are kept');
is(ask("SELECT state FROM dataflows.runs WHERE run = '$run'"), 'waiting', 'and do not count');

# ---- requests ----------------------------------------------------------------------------

as_app($node, 'postgres', <<"SQL");
SELECT dataflows.pause('approve', 'a note', 'u1'), dataflows.resume('approve', NULL, 'u2');
SELECT dataflows.cancel('$run', 'a note', on_behalf_of => 'u3');
SQL
becomes($node, $run, 'cancelled', 'cancelled on behalf of a user');
is(ask("SELECT error->>'by', error->>'on_behalf_of' FROM dataflows.runs WHERE run = '$run'"),
	'app|u3', 'which its error says');
is( ask("SELECT string_agg(concat_ws(' ', request, sent_by, on_behalf_of), ', ' ORDER BY id)
		FROM dataflows.requests"),
	'pause app u1, resume app u2, cancel app u3', 'the view requests says for whom');
for my $call (
	"retry('$run', 'n', 'u')",
	"undo('$run', 'n', 'u')",
	"abandon('$run', 'n', 'u')")
{
	like(hears('app', "SELECT dataflows.$call"), qr/^f\n/, "$call takes it, too");
}
like(hears('app', "SELECT dataflows.resolve('$run', 'no', 'done', 'n', '{}', 'u')"), qr/DF005/,
	'and resolve()');
for my $bad ([ "''", '22023' ], [ "E'a\\nb'", '22023' ], [ "repeat('x', 1025)", 'DF006' ])
{
	like(hears('app', "SELECT dataflows.cancel('$run', 'n', $bad->[0])"),
		qr/ERROR:  $bad->[1]: on_behalf_of/, "on behalf of $bad->[0] is refused");
}
as_app($node, 'postgres', "SELECT dataflows.forget('approve', 'one')");
is( ask("SELECT count(*) FROM dataflows.signals WHERE on_behalf_of IS NOT NULL
		AND workflow = 'approve' AND consumed_by IS NOT NULL"), 0, 'forget() erases it');

# ---- the event in a column ---------------------------------------------------------------

as_app($node, 'postgres', <<'SQL');
CREATE TABLE app.payments (customer text, what text, note text);
CREATE TRIGGER paid AFTER INSERT OR UPDATE ON app.payments FOR EACH ROW
  EXECUTE FUNCTION dataflows.signal_on_change('paid', '@what', 'customer');
CREATE TRIGGER paid_all AFTER INSERT ON app.payments REFERENCING NEW TABLE AS n
  FOR EACH STATEMENT EXECUTE FUNCTION dataflows.signal_on_change('paid', '@note', 'customer');
SQL
$run = begin('paid', 'eve');
as_app($node, 'postgres', "INSERT INTO app.payments VALUES ('eve', NULL), ('eve', 'refused')");
becomes($node, $run, 'completed', 'a row with an event signals it');
is(ask("SELECT result->>'event' FROM dataflows.runs WHERE run = '$run'"), 'refused', 'that one');
is(ask("SELECT count(*) FROM dataflows.signals WHERE workflow = 'paid'"),
	1, 'one without does not');
as_app($node, 'postgres',
	"INSERT INTO app.payments SELECT 'c' || i, 'paid', 'seen' FROM generate_series(1, 3) i");
is( ask("SELECT event, count(*) FROM dataflows.signals WHERE workflow = 'paid'
		AND key LIKE 'c_' GROUP BY 1 ORDER BY 1"),
	"paid|3\nseen|3", 'by row and by statement');
like(hears('app', "INSERT INTO app.payments VALUES ('eve', 'a#2')"),
	qr/ERROR:  22023: event "a#2" contains/, 'what no event can be called is refused');
like(hears('app', "INSERT INTO app.payments VALUES ('eve', '')"),
	qr/ERROR:  22023: the event must not be empty/, 'nor has it no name');
like(
	hears('app', q(CREATE TRIGGER x AFTER INSERT ON app.payments FOR EACH ROW EXECUTE FUNCTION
		dataflows.signal_on_change('paid', '@nowhere', 'customer');
		INSERT INTO app.payments VALUES ('eve', 'paid'); DROP TRIGGER x ON app.payments)),
	qr/ERROR:  42703: trigger "x": table "payments" has no column "nowhere"/,
	'the column must be there');

# the table's owner needs the right for the event of each row
ask('CREATE SCHEMA desk AUTHORIZATION desk; SELECT dataflows.allow_author(\'desk\')');
hears('desk', <<'SQL');
CREATE TABLE desk.payments (customer text, what text);
CREATE TRIGGER paid AFTER INSERT ON desk.payments FOR EACH ROW
  EXECUTE FUNCTION dataflows.signal_on_change('paid', '@what', 'customer');
SQL
like(hears('desk', "INSERT INTO desk.payments VALUES ('eve', 'paid')"),
	qr/ERROR:  42501: role "desk" may not signal workflow "paid"/, 'without a right it may not');
as_app($node, 'postgres', "SELECT dataflows.allow('paid', 'desk', 'signal:paid')");
is(hears('desk', "INSERT INTO desk.payments VALUES ('eve', 'paid')"), "\n", 'with it the event');
like(
	hears('desk', "INSERT INTO desk.payments VALUES ('eve', 'refused')"),
	qr/42501.*allow\('paid', 'desk', 'signal:refused'\)/s, 'and no other');

# who makes a trigger on another role's table needs the right that the trigger will use
ask('GRANT USAGE ON SCHEMA app TO desk; GRANT TRIGGER ON app.payments TO desk');
for my $case (
	[ "signal_on_change('paid', 'paid', 'customer')", 1, 'a right to one event is enough for it' ],
	[ "signal_on_change('paid', 'refused', 'customer')", 0, 'not for another one' ],
	[ "signal_on_change('paid', '\@what', 'customer')", 0, 'nor for any that a row may have' ],
	[ "start_on_insert('paid')", 0, 'nor to start' ])
{
	my $said = hears('desk', "BEGIN; CREATE TRIGGER desks AFTER INSERT ON app.payments FOR EACH ROW
		EXECUTE FUNCTION dataflows.$case->[0]; ROLLBACK;");

	is($said =~ /42501: role "desk" may not make trigger "desks"/ ? 0 : $said eq "\n" ? 1 : $said,
		$case->[1], $case->[2]);
}

$node->stop;
done_testing();
