# Owners that are renamed, dropped or replaced under live runs: nothing is lost before somebody was
# told, and the runs go on as the new owner.

use strict;
use warnings;

use Test::More;
use PostgreSQL::Test::Cluster;
use PostgreSQL::Test::Utils;
use Dataflows;
use Dataflows::Roles;

my $systems = start_systems();
my $node = new_node('owners', conf => "dataflows.worker_idle = '1s'");

create_systems($node, 'postgres', $systems, workflow => 0);
create_owner($node, 'other');
$node->safe_psql('postgres',
	'CREATE DATABASE elsewhere; CREATE ROLE stranger LOGIN; CREATE ROLE boss SUPERUSER;
	GRANT USAGE ON SCHEMA app TO other; GRANT USAGE ON FOREIGN SERVER crm TO other');

sub sql { return $node->safe_psql('postgres', $_[0]); }

sub app { return as_app($node, 'postgres', $_[0]); }

sub hears { return role_hears($node, @_); }

sub state_is
{
	my ($key, $state, $name) = @_;

	return ok(
		wait_until($node, "SELECT state = '$state' FROM dataflows.runs WHERE key = '$key'"), $name);
}

sub waits
{
	my ($workflow, $key) = @_;

	app("SELECT dataflows.start('$workflow', '{}', '$key')");
	return ok(
		wait_until($node, "SELECT waiting_for = 'go' FROM dataflows.runs WHERE key = '$key'"),
		"$key waits");
}

app(<<'SQL');
CREATE FUNCTION app.waits(event jsonb) RETURNS jsonb LANGUAGE plpgsql AS $$ BEGIN
  PERFORM dataflows.wait_for('go');
  RETURN to_jsonb(current_user);
END $$;
CREATE FUNCTION app.calls(event jsonb) RETURNS jsonb LANGUAGE plpgsql AS $$ BEGIN
  PERFORM dataflows.wait_for('go');
  PERFORM dataflows.post('make', 'crm', '/contacts', '{"email": "calls@example.com"}',
    undo => 'DELETE /contacts/{id}');
  RETURN to_jsonb(current_user);
END $$;
SELECT dataflows.define_workflow('waits', 'app.waits'),
  dataflows.define_workflow('calls', 'app.calls');
SQL

# ---- before anything is lost ---------------------------------------------------------------------

waits('waits', 'one');
for my $role (qw(postgres app))
{
	like(hears($role, 'DROP OWNED BY app'),
		qr/2BP01: role "app" owns.*whose functions.*DETAIL: .*"waits" \(1\).*set_owner\('waits'/s,
		"DROP OWNED by $role is refused and says what there is");
}
like(hears('postgres', 'DROP ROLE app'), qr/2BP01: role "app" owns workflows.*set_owner/s,
	'DROP ROLE as well');
like(hears('stranger', 'DROP OWNED BY app'), qr/42501/, 'a stranger may not');
unlike(hears('stranger', 'DROP OWNED BY app; DROP ROLE app'), qr/live runs/,
	'and does not learn what there is');
is(sql("SELECT count(*) FROM pg_proc WHERE proname = 'waits' AND proowner = 'app'::regrole"),
	1, 'nothing was dropped');

# ---- a workflow goes to another role ---------------------------------------------------------

like(hears('app', "SELECT dataflows.set_owner('waits', 'other')"),
	qr/42501/, 'set_owner() is not for plain roles');
like(hears('postgres', "SELECT dataflows.set_owner('waits', 'boss')"),
	qr/42501: superuser "boss" cannot/, 'nor to a superuser');
like(hears('postgres', "SELECT dataflows.set_owner('waits', 'nobody')"),
	qr/42704/, 'nor to nobody');
like(hears('postgres', "SELECT dataflows.set_owner('nothing', 'other')"),
	qr/DF005/, 'nor of a workflow that is not there');
sql('REVOKE EXECUTE ON FUNCTION app.waits(jsonb) FROM PUBLIC');
like(hears('postgres', "SELECT dataflows.set_owner('waits', 'other')"),
	qr/42501: role "other" may not execute function app.waits/, 'nor to who may not run the body');

my $warned = hears('postgres', 'REASSIGN OWNED BY app TO other');

like($warned, qr/WARNING:.*2BP01: role "app" owns workflows with live runs.*set_owner/s,
	'REASSIGN OWNED warns');
sql("SELECT dataflows.signal_by_key('waits', 'one', 'go')");
state_is('one', 'stuck', 'a function with another owner is not run');
sql("SELECT dataflows.set_owner('waits', 'other')");
state_is('one', 'completed', 'set_owner() sends the run on');
is(sql("SELECT result FROM dataflows.runs WHERE key = 'one'"), '"other"', 'as the new owner');
is( sql("SELECT string_agg(DISTINCT owner, ' ') FROM dataflows.runs WHERE workflow = 'waits'"),
	'other', 'whose run it is');
like(hears('app', "SELECT dataflows.start('waits')"), qr/42501/, 'the old one has no right left');
sql("SELECT dataflows.set_owner('calls', 'other')");

# ---- while something of it is in flight ----------------------------------------------------------

sub as_other { return $node->safe_psql('postgres', $_[0], extra_params => [ '-U', 'other' ]); }

as_other(q(SELECT dataflows.start('calls', '{}', 'busy'), dataflows.start('calls', '{}', 'idle')));
ok( wait_until(
		$node, "SELECT count(*) = 2 FROM dataflows.runs WHERE key IN ('busy', 'idle')
			AND waiting_for = 'go'"
	),
	'two runs wait');
kill 'STOP', $systems->{pid};
as_other("SELECT dataflows.signal_by_key('calls', 'busy', 'go')");
ok(wait_until($node, "SELECT count(*) = 1 FROM dataflows.steps WHERE state = 'sent'"),
	'one has a request in flight');
sql('GRANT CREATE, USAGE ON SCHEMA other TO app; ALTER FUNCTION app.calls(jsonb) OWNER TO app');
sql("SELECT dataflows.set_owner('calls', 'app')");
kill 'CONT', $systems->{pid};
state_is('busy', 'completed', 'it goes to the new owner when that has ended');
is(sql("SELECT result FROM dataflows.runs WHERE key = 'busy'"), '"app"', 'as whom it goes on');
is($systems->made_and_left('crm', 'calls@example.com'), '1/1', 'the request was sent once');
app("SELECT dataflows.signal_by_key('calls', 'idle', 'go')");
state_is('idle', 'completed', 'the other one, too');
is(sql("SELECT result FROM dataflows.runs WHERE key = 'idle'"), '"app"', 'as the new owner');

# ---- everything goes to another role at once, and the old one is dropped -----------------------

$node->safe_psql('postgres', 'CREATE ROLE heir LOGIN; CREATE SCHEMA heir AUTHORIZATION heir;
	GRANT USAGE ON SCHEMA app TO heir; GRANT USAGE ON FOREIGN SERVER crm TO heir');
create_owner($node, 'leaver');
$node->safe_psql('postgres', 'GRANT USAGE ON FOREIGN SERVER crm TO leaver');
$node->safe_psql('postgres', <<'SQL', extra_params => [ '-U', 'leaver' ]);
CREATE FUNCTION leaver.calls(event jsonb) RETURNS jsonb LANGUAGE plpgsql AS $$ BEGIN
  PERFORM dataflows.post('make', 'crm', '/contacts', '{"email": "heir@example.com"}',
    undo => 'DELETE /contacts/{id}');
  RETURN to_jsonb(current_user);
END $$;
SELECT dataflows.define_workflow('inherited', 'leaver.calls');
SQL
kill 'STOP', $systems->{pid};
$node->safe_psql('postgres', "SELECT dataflows.start('inherited', '{}', 'inherited')",
	extra_params => [ '-U', 'leaver' ]);
ok(wait_until($node, "SELECT count(*) = 1 FROM dataflows.steps WHERE state = 'sent'"),
	'a request of a run is in flight');
is( hears(
		'postgres', "SELECT dataflows.set_owner('inherited', 'heir');
		REASSIGN OWNED BY leaver TO heir; DROP OWNED BY leaver; DROP ROLE leaver"
	),
	"\n",
	'its workflow goes to an heir, and its owner is dropped, without a word');
kill 'CONT', $systems->{pid};
ok( wait_until($node, "SELECT state IN ('completed', 'stuck') FROM dataflows.runs
		WHERE key = 'inherited'"),
	'when the response comes');
is( sql("SELECT concat_ws(' ', state, result, stuck->>'reason') FROM dataflows.runs
		WHERE key = 'inherited'"),
	'completed "heir"',
	'the run goes on as the heir');
is($systems->made_and_left('crm', 'heir@example.com'), '1/1', 'and has done all once');

# ---- dropped where nobody looked -------------------------------------------------------------

as_other("SELECT dataflows.start('waits', '{}', 'left')");
ok(wait_until($node, "SELECT waiting_for = 'go' FROM dataflows.runs WHERE key = 'left'"),
	'a run waits');
ok( wait_until(
		$node, "SELECT count(*) = 0 FROM pg_stat_activity WHERE backend_type LIKE 'dataflows%'
			AND usename = 'other'"
	),
	'nobody works for it');
sql('REASSIGN OWNED BY other TO app; REVOKE ALL ON FOREIGN SERVER crm FROM other;
	REVOKE ALL ON SCHEMA app FROM other; SELECT dataflows.disallow_author(\'other\')');
is(hears('postgres', 'DROP ROLE other', 'elsewhere'), "\n",
	'in another database a role can be dropped');
sql("SELECT dataflows.signal_by_key('waits', 'left', 'go')");
state_is('left', 'stuck', 'its runs are stuck');
like(sql("SELECT remedy FROM dataflows.stuck WHERE key = 'left'"),
	qr/set_owner/, 'and say what to do');
sql("SELECT dataflows.set_owner('waits', 'app')");
state_is('left', 'completed', 'another role takes them over');

# ---- renamed -------------------------------------------------------------------------------------

waits('waits', 'renamed');
is( sql("BEGIN; ALTER ROLE app RENAME TO store;
		SELECT string_agg(DISTINCT owner_name, ' ') FROM dataflows.workflow
			WHERE name <> 'inherited'; ROLLBACK"
	),
	'store', 'a renamed owner has its new name at once');
sql('ALTER ROLE app RENAME TO store');
is(sql("SELECT owner FROM dataflows.runs WHERE key = 'renamed'"), 'store', 'in the views');
$node->safe_psql('postgres', "SELECT dataflows.signal_by_key('waits', 'renamed', 'go')",
	extra_params => [ '-U', 'store' ]);
state_is('renamed', 'completed', 'and its runs go on');
is(sql("SELECT result FROM dataflows.runs WHERE key = 'renamed'"), '"store"', 'as itself');
is(hears('postgres', 'DROP OWNED BY store'), "\n", 'with no live runs all can be dropped');
is(number_of($node, 'SELECT count(*) FROM dataflows.unexplained'), 0, 'nothing is unexplained');

$node->stop;
$systems->stop;
done_testing();
