# simulate_all(): what is left behind when something goes wrong at each step in turn, of a workflow
# whose author has thought of it, and of one whose author has not; and a crash after each request.

use strict;
use warnings;

use Test::More;
use PostgreSQL::Test::Cluster;
use Dataflows;
use Dataflows::Simulation;

my $node = start_simulation_node('going_wrong');

$node->safe_psql('postgres', <<'SQL');
CREATE SERVER keyed FOREIGN DATA WRAPPER dataflows OPTIONS (url 'http://127.0.0.1:1',
	allow_private 'true', idempotency_header 'Idempotency-Key', idempotency_ttl '24h');
GRANT USAGE ON FOREIGN SERVER keyed TO app;
SQL

sub all_of
{
	my ($name, $replies) = @_;

	$replies //= '{}';
	return as_app($node, 'postgres',
		"SELECT concat_ws(' ', what, state, left_behind) FROM dataflows.simulate_all('$name', '{}',
			'$replies')");
}

define_body($node, 'careful', <<'SQL');
PERFORM dataflows.post('a', 'keyed', '/a', event, undo => 'DELETE /a/{id}');
PERFORM dataflows.post('b', 'keyed', '/b', event, undo => 'DELETE /b/{id}');
RETURN dataflows.wait_for('paid', '1 day', required => true);
SQL
is(all_of('careful', '{"event:paid": {}}'), story(<<'ROWS'), 'all is well');
	as it is completed {}
	a: refused rolled_back {}
	a: answer lost completed {}
	a: no answer in time completed {}
	a: system down stuck {}
	b: refused rolled_back {}
	b: answer lost completed {}
	b: no answer in time completed {}
	b: system down stuck {}
	event:paid: does not come rolled_back {}
	a: crash after it was sent completed {}
	b: crash after it was sent completed {}
ROWS

define_body($node, 'careless', <<'SQL');
PERFORM dataflows.post('a', 'crm', '/a', event);
PERFORM dataflows.post('b', 'crm', '/b', event, undo => 'DELETE /b/{id}', doubt => 'resend');
PERFORM dataflows.post('c', 'crm', '/c', event, undo => 'none');
r := dataflows.query('d', 'SELECT 1');
RETURN dataflows.post('e', 'crm', '/e', event, undo => 'DELETE /e/{id}');
SQL
is(all_of('careless'), story(<<'ROWS'), 'an undo, a probe and a key are missing');
	as it is completed {}
	a: refused rolled_back {}
	a: answer lost stuck {a}
	a: no answer in time stuck {a}
	a: system down stuck {}
	b: refused rolled_back {a}
	b: answer lost completed {"b (made 2 times)"}
	b: no answer in time completed {}
	b: system down stuck {}
	c: refused rolled_back {a}
	c: answer lost stuck {c}
	c: no answer in time stuck {c}
	c: system down stuck {}
	e: refused rolled_back {a}
	e: answer lost stuck {e}
	e: no answer in time stuck {e}
	e: system down stuck {}
	a: crash after it was sent stuck {a}
	b: crash after it was sent completed {"b (made 2 times)"}
	c: crash after it was sent stuck {c}
	e: crash after it was sent stuck {e}
ROWS
unlike(
	all_of('careless', '{"e": {"is": "fail"}, "b/undo": {"status": 400, "body": {}}}'),
	qr/^as it is rolled_back/,
	'an undo that is refused does not end the run');
like(
	all_of('careless', '{"e": {"is": "fail"}, "b/undo": {"status": 400, "body": {}}}'),
	qr/^as it is stuck \{b\}/,
	'what could not be undone is for a person');

define_body($node, 'compensates', <<'SQL');
PERFORM dataflows.on_rollback('close', 'keyed', 'DELETE /a/{id}', of_step => 'a');
PERFORM dataflows.post('a', 'keyed', '/a', event);
PERFORM dataflows.query('q', 'CREATE TABLE app.made ()');
PERFORM dataflows.fail('over');
SQL
like(
	all_of('compensates'),
	qr/^as it is rolled_back \{q\}/,
	'on_rollback() is the undo of its step; SQL needs one, too');

# ---- a crash after each request -----------------------------------------------------------------

define_body($node, 'fails', <<'SQL');
PERFORM dataflows.post('a', 'keyed', '/a', event, undo => 'DELETE /a/{id}', wait => false);
PERFORM dataflows.post('b', 'keyed', '/b', event, undo => 'DELETE /b/{id}', wait => false);
PERFORM dataflows.wait_all('a', 'b');
PERFORM dataflows.fail('over');
SQL
for my $n (1 .. 4)
{
	my $ends = simulated($node, 'fails', '{}', crash_after => $n);

	like($ends, qr/ crash lost$/m, "it crashes after request $n");
	like($ends, qr/^b undo undone\na undo undone\nrun rolled_back$/m, 'all is undone then')
		if $n < 3;
	like($ends, qr/^run rolled_back\z/m, 'and the run ends');
}
unlike(simulated($node, 'fails', '{}', crash_after => 5), qr/crash/, 'there are no more');
define_body($node, 'many', <<'SQL');
PERFORM dataflows.call('child', 'careful', '{}');
PERFORM dataflows.sleep('nap', '1 day');
RETURN dataflows.post('last', 'keyed', '/last', event);
SQL
is( simulated($node, 'many', '{"event:paid": {"after": "1 hour"}}', crash_after => 2),
	story(<<'ROWS'), 'a crash within a child');
	child > a http done
	child > b crash lost
	child > b http done
	child > paid wait done
	child call done
	nap sleep done
	last http done
	run completed
ROWS

done_testing();
