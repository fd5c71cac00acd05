# Breaker and pauses belong to a system and an owner role: who asks for what fails, is
# refused or is asked to wait holds up no other owner of the same system.

use strict;
use warnings;

use Test::More;
use PostgreSQL::Test::Cluster;
use PostgreSQL::Test::Utils;
use Dataflows;
use Time::HiRes qw(time usleep);

my $systems = start_systems();
my $node = new_node('breaker_owners', conf => "dataflows.max_systems = 16\n");
my @many = map { "owner$_" } 1 .. 18;

create_systems(
	$node, 'postgres', $systems,
	workflow => 0,
	options =>
		{ breaker_failures => 3, breaker_cooldown => '5s', max_concurrency => 4, timeout => '60s' }
);

sub make_owner
{
	my ($role) = @_;

	$node->safe_psql('postgres', <<"SQL") if $role ne 'app';
CREATE ROLE $role LOGIN;
CREATE SCHEMA $role AUTHORIZATION $role;
GRANT EXECUTE ON FUNCTION dataflows.define_workflow TO $role;
GRANT USAGE ON FOREIGN SERVER billing, crm, email TO $role;
SQL
	$node->safe_psql('postgres', <<"SQL", extra_params => [ '-U', $role ]);
CREATE FUNCTION $role.look(e jsonb) RETURNS jsonb LANGUAGE plpgsql AS \$\$
BEGIN
  RETURN dataflows.get('look', e->>'system', CASE e->>'system' WHEN 'billing' THEN '/customers'
    WHEN 'crm' THEN '/contacts' ELSE '/send' END, query => jsonb_build_object('email',
    e->>'email'));
END \$\$;
SELECT dataflows.define_workflow('look-$role', '$role.look');
SQL
	return;
}

sub begin
{
	my ($role, $system, $email, $n) = @_;

	$node->safe_psql(
		'postgres',
		"SELECT count(dataflows.start('look-$role',
			'{\"system\": \"$system\", \"email\": \"$email\"}')) FROM generate_series(1,
			@{[$n // 1]})",
		extra_params => [ '-U', $role ]);
	return;
}

sub seen_by
{
	my ($role, $system, $columns) = @_;

	return $node->safe_psql(
		'postgres',
		"SELECT @{[$columns // q(breaker, coalesce(reason, ''), coalesce(held_owners::text, ''))]}
			FROM dataflows.systems WHERE system = '$system'",
		extra_params => [ '-U', $role ]);
}

# true once a role sees this; a breaker that is open is half open now and then
sub sees
{
	my ($role, $system, $expected) = @_;
	my $end = time() + 60;

	usleep(50_000) while seen_by($role, $system) ne $expected && time() < $end;
	return is(seen_by($role, $system), $expected, "$role sees $expected");
}

# nothing else of the owner is under way
sub all_done
{
	my ($role) = @_;
	return wait_until($node,
		"SELECT bool_and(state = 'completed') FROM dataflows.runs WHERE workflow = 'look-$role'",
		120);
}

make_owner($_) for qw(app bob eve);

# ---- failing

$systems->fault('billing', match => { path => 'boom' }, status => 500);
begin('bob', 'billing', 'boom', 8);
ok( wait_until(
		$node,
		"SELECT breaker = 'open' AND reason = 'failing' AND held_owners = '{bob}'
			FROM dataflows.systems WHERE system = 'billing'",
		120),
	'the breaker of who asks for what fails opens, and one sees whose it is');
sees('bob', 'billing', 'open|failing|{bob}');
is(seen_by('app', 'billing'), 'closed||', 'the other owner sees his own, which is closed');
$node->safe_psql('postgres', 'CREATE ROLE watch LOGIN; GRANT pg_monitor TO watch');
sees('watch', 'billing', 'open|failing|{bob}');
begin('app', 'billing', 'fine', 20);
ok(all_done('app'), 'requests of the other owner go on');
is(seen_by('bob', 'billing', 'in_flight'), '0', 'no place is lost');
is( $node->safe_psql(
		'postgres',
		"SELECT count(*) FROM dataflows.runs WHERE workflow = 'look-bob' AND state = 'completed'"),
	'0',
	'those of who is held wait');

# ---- asked to wait

$systems->fault('crm', match => { path => 'busy' }, status => 429, retry_after => 3000);
begin('eve', 'crm', 'busy');
ok( wait_until(
		$node,
		"SELECT held_until IS NOT NULL AND reason = 'asked to wait' AND held_owners = '{eve}'
			FROM dataflows.systems WHERE system = 'crm'",
		120),
	'one owner is asked to wait');
begin('app', 'crm', 'fine', 20);
ok(all_done('app'), 'the other is not, nor does it stand in the queue behind it');

# ---- credentials

$systems->config('email', bearer => 'the-right-one');
$node->safe_psql(
	'postgres',
	"CREATE USER MAPPING FOR app SERVER email OPTIONS (bearer_token 'the-right-one');
		CREATE USER MAPPING FOR bob SERVER email OPTIONS (bearer_token 'a-wrong-one')"
);
begin('bob', 'email', 'fine', 3);
ok( wait_until(
		$node,
		"SELECT reason = 'credentials refused' AND held_owners = '{bob}' FROM dataflows.systems
			WHERE system = 'email'",
		120),
	'credentials of one are refused');
begin('app', 'email', 'fine', 5);
ok(all_done('app'), 'those of the other are not');

# ---- two at once, and back

$systems->fault('billing', match => { path => 'boom' }, status => 500);
begin('eve', 'billing', 'boom', 6);
ok( wait_until(
		$node,
		"SELECT cardinality(held_owners) = 2 FROM dataflows.systems WHERE system = 'billing'", 120),
	'two owners are held');
is(seen_by('eve', 'billing', 'held_owners'), '{eve}', 'each sees itself');
$node->safe_psql('postgres', 'GRANT bob TO eve');
is(seen_by('eve', 'billing', 'cardinality(held_owners)'), '2', 'and whose member it is');
$systems->clear_faults;
ok( wait_until(
		$node,
		"SELECT bool_and(state = 'completed') FROM dataflows.runs
			WHERE input->>'system' = 'billing'",
		120),
	'all complete once it answers');
ok( wait_until(
		$node,
		"SELECT breaker = 'closed' AND held_owners IS NULL FROM dataflows.systems
			WHERE system = 'billing'",
		120),
	'and the breaker is closed, for all');

# ---- more owners than are told apart: nobody waits for ever, nothing is lost

make_owner($_) for @many;
$systems->fault('billing', match => { path => 'boom' }, status => 500);
begin($_, 'billing', 'boom', 4) for @many;
ok( wait_until(
		$node,
		"SELECT cardinality(held_owners) = 16 FROM dataflows.systems WHERE system = 'billing'", 240
	),
	'sixteen owners are told apart');
$systems->clear_faults;
ok( wait_until(
		$node,
		"SELECT bool_and(state = 'completed') FROM dataflows.runs
			WHERE workflow LIKE 'look-owner%'",
		240),
	'all complete once it answers');
ok(wait_until($node, "SELECT in_flight = 0 FROM dataflows.systems WHERE system = 'billing'", 60),
	'no place is lost');

# ---- 0 = never

$node->safe_psql('postgres', "ALTER SERVER crm OPTIONS (SET breaker_failures '0')");
$systems->fault('crm', match => { path => 'often' }, status => 500, times => 12);
begin('app', 'crm', 'often');
ok(all_done('app'), 'with breaker_failures 0 a step goes on trying');
is( $node->safe_psql(
		'postgres',
		"SELECT max(attempts) FROM dataflows.steps WHERE run IN (SELECT run FROM dataflows.runs
			WHERE input->>'email' = 'often')"
	),
	'13',
	'and no breaker held it');

$node->stop;
$systems->stop;
done_testing();
