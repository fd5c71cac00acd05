# simulate(): each kind of step, to its end, without network and without waiting.

use strict;
use warnings;

use Test::More;
use PostgreSQL::Test::Cluster;
use Dataflows;
use Dataflows::Simulation;

my $node = start_simulation_node('kinds_of_steps');

# ---- requests and undos ---------------------------------------------------------------

define_body($node, 'steps', <<'SQL');
PERFORM dataflows.post('a', 'crm', '/a', event, undo => 'DELETE /a/{id}');
PERFORM dataflows.post('b', 'crm', '/b', event, undo => 'DELETE /b/{id}',
  probe => 'GET /b?k={idempotency_key}');
PERFORM dataflows.on_rollback('c', 'crm', 'POST /c/cancel');
r := dataflows.post('d', 'crm', '/d', event, retry => '{"max_attempts": 3}');
RETURN r;
SQL

is(simulated($node, 'steps'), story(<<'ROWS'), 'what is not named is done');
	a http done
	b http done
	c on_rollback done
	d http done
	run completed
ROWS
is( simulated_ends($node, 'steps', '{"d": {"body": [1]}}'), 'completed [1]', 'a body said so');
is( simulated_ends($node, 'steps', '{"d": {"x": 1}}'),
	'completed {"x": 1}', 'or without saying so');
is(simulated($node, 'steps', '{"d": "down"}'), story(<<'ROWS'), 'a failure is undone');
	a http done
	b http done
	c on_rollback done
	d http retry
	d http retry
	d http failed
	c undo undone
	b undo undone
	a undo undone
	run rolled_back
ROWS
is( simulated($node, 'steps',
		'{"b": "lost", "d": {"is": "fail"}, "a/undo": ["down", {"status": 500}, {"status": 204}]}'),
	story(<<'ROWS'), 'a lost answer, a probe, an undo that is tried again');
	a http done
	b http in_doubt
	b probe found
	b http done
	c on_rollback done
	d http failed
	c undo undone
	b undo undone
	a undo retry
	a undo retry
	a undo undone
	run rolled_back
ROWS
is( simulated($node, 'steps',
		'{"b": ["lost", {"body": {"id": 5}}], "b/probe": {"status": 404, "body": {}}}'),
	story(<<'ROWS'), 'a probe that finds nothing has it sent again');
	a http done
	b http in_doubt
	b probe not_found
	b probe not_found
	b http done
	c on_rollback done
	d http done
	run completed
ROWS
is(simulated($node, 'steps', '{}', crash_after => 2), story(<<'ROWS'), 'a crash is a lost answer');
	a http done
	b crash lost
	b probe found
	b http done
	c on_rollback done
	d http done
	run completed
ROWS
is(simulated($node, 'steps', '{"b": ["down", {"status": 401}]}'),
	story(<<'ROWS'), 'credentials that nobody replaces');
	a http done
	b http retry
	b http retry
	b http retries forever
	run running
ROWS

define_body($node, 'looks_first', <<'SQL');
RETURN dataflows.post('a', 'crm', '/a', event, undo => 'DELETE /a/{id}', probe => 'GET /a?x=1');
SQL
is(simulated($node, 'looks_first'), story(<<'ROWS'), 'nothing was there before');
	a probe not_found
	a http done
	run completed
ROWS
is(simulated($node, 'looks_first', '{"a": "lost"}'), story(<<'ROWS'), 'but it is there then');
	a probe not_found
	a http in_doubt
	a probe found
	a http done
	run completed
ROWS
is( simulated($node, 'looks_first', '{"a": {"is": "fail"}}', crash_after => 1),
	story(<<'ROWS'), 'unless it was refused, and nobody has seen that');
	a probe not_found
	a crash lost
	a probe not_found
	a probe not_found
	a http failed
	run rolled_back
ROWS
is(simulated($node, 'looks_first', '{"a/probe": {"id": 7}}'), story(<<'ROWS'), 'unless it is said');
	a probe found
	a http failed
	run rolled_back
ROWS

define_body($node, 'names_itself', <<'SQL');
PERFORM dataflows.post('a', 'crm', '/a', jsonb_build_object('by', dataflows.run_id()),
  undo => 'DELETE /a/{id}', probe => 'GET /a?x=1');
PERFORM dataflows.fail('no');
SQL
is(simulated($node, 'names_itself', '{"a": "lost"}'), story(<<'ROWS'), 'it is ours, and undone');
	a probe not_found
	a http in_doubt
	a probe found
	a http done
	a undo undone
	run rolled_back
ROWS

$node->safe_psql('postgres', <<'SQL');
CREATE SERVER mail FOREIGN DATA WRAPPER dataflows
  OPTIONS (url 'smtp://127.0.0.1:1', allow_private 'true');
GRANT USAGE ON FOREIGN SERVER mail TO app;
SQL
define_body($node, 'mails', <<'SQL');
PERFORM dataflows.send_mail('m', 'mail', '{"from": "a@example.com", "to": "b@example.com",
  "subject": "s", "text": "t"}');
RETURN NULL;
SQL
is(simulated($node, 'mails', "{\"m\": $$_[0]}"), "m mail $$_[1]\nrun $$_[2]", "a mail: $$_[0]")
	for [ '{}', 'done', 'completed' ], [ '{"is": "done"}', 'done', 'completed' ],
	[ '{"status": 550}', 'failed', 'rolled_back' ], [ '{"is": "fail"}', 'failed', 'rolled_back' ],
	[ '"lost"', 'in_doubt', 'stuck' ];
is( simulated($node, 'mails', '{"m": [{"is": "retry"}, {"status": 250}]}'),
	"m mail retry\nm mail done\nrun completed", 'a mail that is sent again');

# ---- time -----------------------------------------------------------------------------

define_body($node, 'days', <<'SQL');
PERFORM dataflows.post('a', 'crm', '/a', event, undo => 'DELETE /a/{id}');
PERFORM dataflows.sleep('nap', '7 days');
r := dataflows.wait_for('paid', timeout => '3 days');
IF r IS NULL THEN
  PERFORM dataflows.fail('not paid');
END IF;
RETURN r;
SQL
my $columns = q{concat_ws(' ', step, kind, outcome, at)};

is(simulated($node, 'days', '{}', columns => $columns), story(<<'ROWS'), 'time jumps');
	a http done 00:00:00
	nap sleep done 7 days
	paid wait timed_out 10 days
	a undo undone 10 days
	run rolled_back 10 days
ROWS
is( simulated($node, 'days', '{"event:paid": {"after": "2 days", "payload": {"sum": 5}}}',
		columns => $columns), story(<<'ROWS'), 'an event comes when it is said to');
	a http done 00:00:00
	nap sleep done 7 days
	paid wait done 9 days
	run completed 9 days
ROWS
is( simulated_ends($node, 'days', '{"event:paid": {"sum": 5}}'),
	'completed {"sum": 5}', 'or at once');

define_body($node, 'waits', q{RETURN dataflows.wait_any(ARRAY['yes', 'no']);});
is(simulated($node, 'waits'), story(<<'ROWS'), 'a wait that nothing ends');
	wait_any wait waits forever
	run waiting
ROWS
is( simulated_ends($node, 'waits', '{"event:no": {"after": "1 hour"}, "event:yes": "never"}'),
	'completed {"event": "no", "payload": {}}', 'one of several events');
is( simulated_ends($node, 'waits', '{"event:no": {"after": "1 hour", "payload": 5}}'),
	'completed {"event": "no", "payload": 5}', 'with what it brings');

done_testing();
