# Loops whose order changes between two entries, though nothing is deployed: "user" and "user#2"
# never get each other's outputs, and nobody is made twice.

use strict;
use warnings;

use Test::More;
use PostgreSQL::Test::Cluster;
use PostgreSQL::Test::Utils;
use Dataflows;

my $systems = start_systems();
my $node = new_node('loop_order');

create_systems($node, 'postgres', $systems, workflow => 0, options => { timeout => '120s' });

sub app { return as_app($node, 'postgres', $_[0]); }

app('CREATE TABLE app.item (case_name text, address text, place int);
	CREATE FUNCTION app.called(event jsonb) RETURNS jsonb LANGUAGE plpgsql AS
		$$ BEGIN RETURN event; END $$;
	SELECT dataflows.define_workflow(\'called\', \'app.called\')');

my %call = (
	post => "PERFORM dataflows.post('user', 'crm', '/contacts',
		jsonb_build_object('email', r.address));",
	together => "PERFORM dataflows.post('user', 'crm', '/contacts',
		jsonb_build_object('email', r.address), wait => false);",
	clock => "PERFORM dataflows.post('user', 'crm', '/contacts',
		jsonb_build_object('email', r.address, 'at', clock_timestamp()));",
	random => "PERFORM dataflows.post('user', 'crm', '/contacts',
		jsonb_build_object('email', r.address, 'nonce', random()));",
	header => "PERFORM dataflows.put('user', 'crm', '/contacts/none', '{}', accept => '{404}',
		headers => jsonb_build_object('X-Of', r.address));",
	child => "PERFORM dataflows.call('user', 'called', jsonb_build_object('email', r.address));",
	query => "PERFORM dataflows.query('user', 'SELECT \$1::text',
		jsonb_build_array(r.address));");

# a run that has called "user" for the items a and b, and waits for "go"
sub waits
{
	my ($name, $call, @items) = @_;
	my $n = 0;
	my $all =
		$name eq 'together' ? "PERFORM dataflows.wait_all('user', 'user#2');" : '';

	@items = qw(a b) unless @items;
	app("CREATE FUNCTION app.$name(event jsonb) RETURNS jsonb LANGUAGE plpgsql AS \$f\$
		DECLARE r record;
		BEGIN
			FOR r IN SELECT address FROM app.item WHERE case_name = '$name' ORDER BY place LOOP
				$call
			END LOOP;
			$all
			PERFORM dataflows.wait_for('go');
			RETURN event;
		END \$f\$;
		SELECT dataflows.define_workflow('$name', 'app.$name')");
	app("INSERT INTO app.item VALUES ('$name', '$_.$name\@example.com', " . ++$n . ')') for @items;
	app("SELECT dataflows.start('$name', '{}', '$name')");
	return ok(
		wait_until($node, "SELECT waiting_for = 'go' FROM dataflows.runs WHERE key = '$name'"),
		"$name waits");
}

sub go { app("SELECT dataflows.signal_by_key('$_[0]', '$_[0]', 'go')"); return; }

sub turn_round { app("UPDATE app.item SET place = -place WHERE case_name = '$_[0]'"); return; }

sub ends
{
	my ($name, $state, $what) = @_;

	return ok(
		wait_until($node, "SELECT state = '$state' FROM dataflows.runs WHERE key = '$name'"),
		"$name: $what");
}

sub stuck
{
	my ($name, $pattern, $what) = @_;

	ends($name, 'stuck', $what);
	return like(app("SELECT sqlstate || ' ' || reason || ' ' || remedy FROM dataflows.stuck
			WHERE key = '$name'"),
		$pattern, "$name: it says why, and what to do");
}

sub made_once
{
	my ($name, @items) = @_;

	return is($systems->made_and_left('crm', "$_.$name\@example.com"), '1/1', "$_ is made once")
		for @items;
}

my $changed = qr/^DF003 .*"user" with what is recorded of step "user#2".*ORDER BY.*rename_step/s;

for my $name (qw(post together clock header child))
{
	waits($name, $call{$name});
	turn_round($name);
	go($name);
	stuck($name, $changed, 'in another order it is stuck');
	turn_round($name);
	app("SELECT dataflows.retry(run) FROM dataflows.stuck WHERE key = '$name'");
	ends($name, 'completed', 'in the recorded order it goes on');
}
made_once($_, qw(a b)) for qw(post together clock);

waits('query', $call{query});
turn_round('query');
go('query');
stuck('query', $changed, 'so is one of statements');

# one more item, put before the others: the last call would make "b" a second time
waits('before', $call{post});
app("INSERT INTO app.item VALUES ('before', 'new.before\@example.com', 0)");
go('before');
stuck('before', qr/^DF003 .*"user#2" with what is recorded of step "user"/s,
	'a new item before the others');
waits('first', $call{post}, 'a');
app("INSERT INTO app.item VALUES ('first', 'new.first\@example.com', 0)");
go('first');
stuck('first', qr/^DF003 .*"user#2" with what is recorded of step "user"/s,
	'a new item before the only one');
made_once('before', qw(a b));
made_once('first', 'a');

# what is no change of the order
waits('random', $call{random});
go('random');
ends('random', 'completed', 'a random number in a body changes no order');
waits('same',
	"PERFORM dataflows.put('user', 'crm', '/contacts/none', '{}', accept => '{404}');");
turn_round('same');
go('same');
ends('same', 'completed', 'calls that ask for the same have none');
waits('more', $call{post});
app("INSERT INTO app.item VALUES ('more', 'c.more\@example.com', 9)");
go('more');
ends('more', 'completed', 'an item behind the others is one more');
made_once('more', qw(a b c));

# a person may say that it does not matter
waits('accepted', $call{post});
turn_round('accepted');
go('accepted');
stuck('accepted', $changed, 'stuck as the others');
app("SELECT dataflows.accept_drift(run) FROM dataflows.stuck WHERE key = 'accepted'");
ends('accepted', 'completed', 'what is recorded counts');
is(number_of($node, 'SELECT count(*) FROM dataflows.unexplained'), 0, 'nothing is unexplained');

$node->stop;
$systems->stop;
done_testing();
