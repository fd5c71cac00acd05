# A deploy that gives a step another name and another system or method at once: it is not taken for
# a new one, which would do the same a second time elsewhere.

use strict;
use warnings;

use Test::More;
use PostgreSQL::Test::Cluster;
use PostgreSQL::Test::Utils;
use Dataflows;

my $systems = start_systems();
my $node = new_node('moved_steps');

create_systems($node, 'postgres', $systems, workflow => 0, options => { timeout => '120s' });
create_server($node, 'mirror', $systems->url('crm'));

sub app { return as_app($node, 'postgres', $_[0]); }

sub sql { return $node->safe_psql('postgres', $_[0]); }

sub body { return "jsonb_build_object('email', '$_[0]\@example.com')"; }

sub call
{
	my ($name, $verb, $step, $system, $path, $body) = @_;

	return "PERFORM dataflows.$verb('$step', '$system', '$path', " . ($body // body($name)) . '); ';
}

sub function
{
	my ($name, $body) = @_;

	app("CREATE OR REPLACE FUNCTION app.$name(event jsonb) RETURNS jsonb LANGUAGE plpgsql AS
		\$f\$ DECLARE r record; BEGIN $body PERFORM dataflows.wait_for('go');
		RETURN event; END \$f\$");
	return;
}

sub begins
{
	my ($name, $body) = @_;

	function($name, $body);
	app("SELECT dataflows.define_workflow('$name', 'app.$name'),
		dataflows.start('$name', '{}', '$name')");
	return ok(
		wait_until($node, "SELECT waiting_for = 'go' FROM dataflows.runs WHERE key = '$name'"),
		"$name waits");
}

sub go { app("SELECT dataflows.signal_by_key('$_[0]', '$_[0]', 'go')"); return; }

sub ends
{
	my ($name, $state, $what) = @_;

	return ok(
		wait_until($node, "SELECT state = '$state' FROM dataflows.runs WHERE key = '$name'"),
		"$name: $what");
}

sub stuck
{
	my ($name, $what) = @_;

	ends($name, 'stuck', $what);
	like(sql("SELECT sqlstate || ' ' || reason FROM dataflows.stuck WHERE key = '$name'"),
		qr/^DF003 .*new step "b" before the recorded step "a"/, "$name: it says why");
	is($systems->made_and_left('crm', "$name\@example.com"), '1/1', 'nobody is made twice');
	return;
}

# ---- the same elsewhere --------------------------------------------------------------------------

begins('system', call('system', 'post', 'a', 'crm', '/contacts'));
function('system', call('system', 'post', 'b', 'mirror', '/contacts'));
go('system');
stuck('system', 'another name and another system');
app("SELECT dataflows.rename_step(run, 'a', 'b') FROM dataflows.stuck");
ok(wait_until($node, "SELECT reason LIKE '%\"b\" is recorded with the system \"crm\"%'
	FROM dataflows.stuck WHERE key = 'system'"), 'under its new name it has another system');
app("SELECT dataflows.accept_drift(run, 'b') FROM dataflows.stuck");
ends('system', 'completed', 'which is accepted');
is($systems->made_and_left('crm', 'system@example.com'), '1/1', 'and nobody is made twice');

my $time = "jsonb_build_object('email', 'time\@example.com', 'at', clock_timestamp())";

begins('time', call('time', 'post', 'a', 'crm', '/contacts', $time));
function('time', call('time', 'post', 'b', 'mirror', '/v2/contacts', $time));
go('time');
stuck('time', 'with the time in it, below another version');

begins('method', call('method', 'post', 'a', 'crm', '/contacts'));
function('method', call('method', 'put', 'b', 'crm', '/contacts'));
go('method');
stuck('method', 'another name and another method');
app("SELECT dataflows.cancel(run) FROM dataflows.stuck");

# ---- what is new is carried out ------------------------------------------------------------------

begins('other', call('other', 'post', 'a', 'crm', '/contacts'));
function('other',
	call('other', 'post', 'b', 'mirror', '/contacts', body('another'))
		. call('other', 'post', 'c', 'identity', '/users')
		. call('other', 'post', 'a', 'crm', '/contacts'));
go('other');
ends('other', 'completed', 'steps with another body, or below another path');
is($systems->made_and_left('crm', 'another@example.com'), '1/1', 'the one is made');
is($systems->live('other@example.com'), '1/0/1/0', 'and so is the other');

app("CREATE TABLE app.place (name text); INSERT INTO app.place VALUES ('mirror')");
begins('loop', 'FOR r IN SELECT name FROM app.place ORDER BY name LOOP
	PERFORM dataflows.post(r.name, r.name, \'/contacts\', ' . body('loop') . '); END LOOP; ');
app("INSERT INTO app.place VALUES ('crm')");
go('loop');
ends('loop', 'completed', 'a loop over systems that has one more now');
is($systems->made_and_left('crm', 'loop@example.com'), '2/2', 'goes there, too');

is(number_of($node, 'SELECT count(*) FROM dataflows.unexplained'), 0, 'nothing is unexplained');
$node->stop;
$systems->stop;
done_testing();
