# Databases come and go while the server runs.

use strict;
use warnings;

use Test::More;
use Time::HiRes qw(time);
use PostgreSQL::Test::Cluster;
use Dataflows;

my $systems = start_systems();
my $node = new_node('databases', conf => "dataflows.sweep_interval = '2s'");
my $signal = "SELECT dataflows.signal_by_key('customer-onboarding', id::text, 'email-confirmed')
		FROM app.signups";

sub sign_up
{
	my ($db, $email) = @_;

	as_app($node, $db, "INSERT INTO app.signups (email, name) VALUES ('$email', 'N')");
}

sub engine_in
{
	my ($db) = @_;

	return "SELECT EXISTS (SELECT FROM pg_stat_activity WHERE backend_type LIKE 'dataflows%'
			AND datname = '$db')";
}

# both were made after the server started
for my $db (qw(one two))
{
	$node->safe_psql('postgres', "CREATE DATABASE $db");
	create_systems($node, $db, $systems);
}
sign_up($_, "a\@$_") for qw(one two);
for my $db (qw(one two))
{
	ok( wait_until(
			$node, "SELECT count(*) = 1 FROM dataflows.runs WHERE state = 'waiting'",
			30, $db),
		"$db: the run waits");
	as_app($node, $db, $signal);
}
for my $db (qw(one two))
{
	ok(wait_for_runs($node, ['completed'], 30, $db), "$db: the run is completed");
	is($systems->live("a\@$db"), '1/1/1/1', "$db: the records are there");
}
is( number_of(
		$node,
		"SELECT count(DISTINCT datname) FROM pg_stat_activity WHERE backend_type LIKE 'dataflows%'
			AND datname IN ('one', 'two')"
	),
	2,
	'each database has its own engine');

# the extension goes and comes back
my $begun = time();

sign_up('one', 'b@one');
ok( wait_until($node, "SELECT count(*) = 1 FROM dataflows.runs WHERE state = 'waiting'", 30, 'one'),
	'a run waits');
$node->safe_psql('one', 'DROP EXTENSION dataflows CASCADE; DROP SCHEMA app CASCADE');
cmp_ok(time() - $begun, '<', 15, 'DROP EXTENSION is not held up');
ok(wait_until($node, 'SELECT NOT (' . substr(engine_in('one'), 7) . ')', 40),
	'the engine of that database is gone');
ok( number_of(
		$node,
		"SELECT count(*) FROM pg_stat_activity WHERE backend_type LIKE 'dataflows%'
			AND datname = 'two'"
	) > 0,
	'the other one is still there');
create_systems($node, 'one', $systems);
sign_up('one', 'c@one');
as_app($node, 'one', $signal);
ok( wait_until(
		$node, "SELECT count(*) = 1 FROM dataflows.runs WHERE state = 'completed'",
		30, 'one'),
	'after CREATE EXTENSION again a run is completed');

# DROP EXTENSION that is rolled back
$node->safe_psql('one', 'BEGIN; DROP EXTENSION dataflows CASCADE; ROLLBACK');
sign_up('one', 'd@one');
as_app($node, 'one', $signal);
ok( wait_until(
		$node, "SELECT count(*) = 2 FROM dataflows.runs WHERE state = 'completed'",
		30, 'one'),
	'the engine comes back when the drop is rolled back');

# copies do not move
sign_up('one', 'e@one');
ok( wait_until($node, "SELECT count(*) = 1 FROM dataflows.runs WHERE state = 'waiting'", 30, 'one'),
	'a run waits in the original');
$node->safe_psql('postgres', 'CREATE DATABASE three TEMPLATE one');
$node->psql(
	'three',
	"SELECT dataflows.signal_by_key('customer-onboarding', id::text, 'email-confirmed')
		FROM app.signups"
);
ok( wait_until($node, "SELECT count(*) = 1 FROM dataflows.runs WHERE state = 'waiting'", 30, 'one'),
	'it waits on');
let_pass(3);
is($systems->live('e@one'), '1/1/1/0', 'the copy of the database does not send anything');
is(number_of($node, "SELECT count(*) FROM dataflows.runs WHERE state = 'waiting'", 'three'),
	1, 'its run is held');
as_app($node, 'one', $signal);
ok(wait_for_runs($node, ['completed'], 30, 'one'), 'the original goes on');

# renaming and dropping databases under waiting runs
sign_up('two', 'b@two');
ok( wait_until($node, "SELECT count(*) = 1 FROM dataflows.runs WHERE state = 'waiting'", 30, 'two'),
	'a run waits');
$node->safe_psql('postgres', 'ALTER DATABASE two RENAME TO deux');
as_app($node, 'deux', $signal);
ok(wait_for_runs($node, ['completed'], 30, 'deux'), 'the renamed database goes on');
sign_up('deux', 'c@two');
ok( wait_until(
		$node, "SELECT count(*) = 1 FROM dataflows.runs WHERE state = 'waiting'", 30, 'deux'),
	'a run waits');
$begun = time();
$node->safe_psql('postgres', 'DROP DATABASE deux');
cmp_ok(time() - $begun, '<', 10, 'DROP DATABASE is not held up');
sign_up('one', 'f@one');
as_app($node, 'one', $signal);
ok(wait_for_runs($node, ['completed'], 30, 'one'), 'the other database goes on');
nothing_crashed($node);
$node->stop;

# not preloaded
my $plain = new_node('plain', preload => '');
my ($rc, $out, $err) = $plain->psql('postgres', 'CREATE EXTENSION dataflows');
my $said = $err;

($rc, $out, $err) = $plain->psql('postgres', "SELECT dataflows.start('x')") if $rc == 0;
$said .= $err;
like($said, qr/shared_preload_libraries/, 'not preloaded: the message names the setting');
like($said, qr/HINT/, 'and hints at what to do');
$plain->stop;
$systems->stop;
done_testing();
