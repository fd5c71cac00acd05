# simulate(): steps that are no requests, and what replies can say: SQL, mails, children, rounds,
# keys, the point of no return, on_failure, text and headers, responses that take their time.

use strict;
use warnings;

use Test::More;
use PostgreSQL::Test::Cluster;
use Dataflows;
use Dataflows::Simulation;

my $node = start_simulation_node('other_steps');

$node->safe_psql('postgres', <<'SQL');
CREATE SERVER post FOREIGN DATA WRAPPER dataflows OPTIONS (url 'smtp://127.0.0.1:1',
	allow_private 'true');
GRANT USAGE ON FOREIGN SERVER post TO app;
SQL

# ---- SQL ----------------------------------------------------------------------------------

as_app($node, 'postgres', 'CREATE TABLE app.t (x int PRIMARY KEY)');
define_body($node, 'sql', <<'SQL');
PERFORM dataflows.once('number', 'SELECT 42');
PERFORM dataflows.query('insert', 'INSERT INTO app.t VALUES (1) RETURNING x',
  undo => 'DELETE FROM app.t WHERE x = ($1->0->>''x'')::int');
IF event ? 'again' THEN
  PERFORM dataflows.query('again', 'INSERT INTO app.t VALUES (1)');
END IF;
RETURN dataflows.query('count', 'SELECT count(*) FROM app.t');
SQL
is( simulated_ends($node, 'sql'), 'completed [{"count": 1}]',
	'SQL is run, and later SQL sees it');
is(simulated($node, 'sql', '{}', input => '{"again": 1}'), story(<<'ROWS'), 'an error undoes it');
	number once done
	insert query done
	again query failed
	insert undo undone
	run rolled_back
ROWS
is($node->safe_psql('postgres', 'SELECT count(*) FROM app.t'), '0', 'nothing of it is there');
define_body($node, 'talks', <<'SQL');
PERFORM dataflows.query('tell', 'SELECT dataflows.signal($1::uuid, ''told'', ''7'')',
  jsonb_build_array(dataflows.run_id()));
PERFORM dataflows.wait_for('told');
PERFORM dataflows.query('stop', 'SELECT dataflows.cancel($1::uuid, ''enough'')',
  jsonb_build_array(dataflows.run_id()));
PERFORM dataflows.post('never', 'crm', '/a', '{}');
SQL
is(simulated($node, 'talks'), story(<<'ROWS'), 'what SQL asks of the run counts');
	tell query done
	told wait done
	stop query done
	run cancelled
ROWS

# ---- mail ---------------------------------------------------------------------------------

define_body($node, 'mails', <<'SQL');
PERFORM dataflows.send_mail('mail', 'post', '{"from": "a@example.com", "to": "b@example.com",
  "subject": "S", "text": "T"}');
RETURN dataflows.response('mail')->'status';
SQL
is(simulated_ends($node, 'mails'), 'completed 250', 'a mail is accepted');
is( simulated($node, 'mails', '{"mail": [{"status": 451}, {"status": 550}]}'), story(<<'ROWS'),
	mail mail retry
	mail mail failed
	run rolled_back
ROWS
	'or refused by its codes');

# ---- what a run is made of ----------------------------------------------------------------

as_app($node, 'postgres', <<'SQL');
CREATE FUNCTION app.tells(context jsonb) RETURNS jsonb LANGUAGE plpgsql AS $$
BEGIN
  PERFORM dataflows.post('tell', 'crm', '/told', jsonb_build_object('why', context->'error'));
  RETURN NULL;
END $$;
SQL
define_body($node, 'rounds', <<'SQL', q{on_failure => 'app.tells'});
PERFORM dataflows.post('a', 'crm', '/a', event, undo => 'DELETE /a/{id}');
IF (event->>'left')::int > 0 THEN
  PERFORM dataflows.continue_with(jsonb_build_object('left', (event->>'left')::int - 1));
END IF;
PERFORM dataflows.alias('one more key');
IF event ? 'point' THEN
  PERFORM dataflows.point_of_no_return('point');
END IF;
PERFORM dataflows.fail('over');
SQL
is( simulated($node, 'rounds', '{"tell": {"status": 200}}', input => '{"left": 1}'),
	story(<<'ROWS'), 'rounds, an alias, on_failure');
	a http done
	continue_with continue done
	a http done
	alias alias done
	a undo undone
	a undo undone
	on_failure/tell http done
	run rolled_back
ROWS
like(
	simulated_ends($node, 'rounds', '{}', input => '{"left": 0, "point": 1}'),
	qr/^stuck .*point of no return/,
	'behind the point of no return it is stuck');
define_body($node, 'parent', <<'SQL');
r := dataflows.call('child', 'rounds', '{"left": 0}', key => 'k');
RETURN r;
SQL
is(simulated($node, 'parent'), story(<<'ROWS'), 'a child, too');
	child > a http done
	child > alias alias done
	child > a undo undone
	child > on_failure/tell http done
	child call failed
	run rolled_back
ROWS
define_body($node, 'limited', <<'SQL', q{deadline => '30 hours'});
PERFORM dataflows.wait_for('a', '1 day');
PERFORM dataflows.wait_for('b', '1 day');
SQL
is( simulated($node, 'limited', '{"event:b": {"after": "40 hours"}}',
		columns => q{concat_ws(' ', step, kind, outcome, at)}), story(<<'ROWS'), 'a deadline');
	a wait timed_out 1 day
	b wait failed 1 day 06:00:00
	run rolled_back 1 day 06:00:00
ROWS
define_body($node, 'reminds', <<'SQL');
FOR i IN 1 .. 3 LOOP
  r := dataflows.wait_for('done', '1 day');
  EXIT WHEN r IS NOT NULL;
  PERFORM dataflows.post('remind', 'crm', '/reminders', '{}');
END LOOP;
RETURN r;
SQL
is( simulated($node, 'reminds', '{"event:done": {"after": "36 hours", "payload": 5}}'),
	story(<<'ROWS'), 'an event that a later wait takes');
	done wait timed_out
	remind http done
	done#2 wait done
	run completed
ROWS

is( simulated_ends($node, 'reminds', '{"event:done": {"status": 200, "body": "text"}}'),
	'completed {"body": "text", "status": 200}', 'a payload that looks like a response');
is(simulated_ends($node, 'reminds', '{"event:done": "text"}'), 'completed "text"', 'or is text');

# ---- what replies can say -----------------------------------------------------------------

define_body($node, 'reads', <<'SQL');
r := dataflows.get('a', 'crm', '/a');
RETURN jsonb_build_object('output', r, 'headers', dataflows.response('a')->'headers');
SQL
is( simulated_ends(
		$node, 'reads',
		'{"a": {"body": "<x/>", "headers": {"Content-Type": "text/xml", "X-Many": ["1", "2"]}}}'),
	'completed {"output": "<x/>", "headers": {"x-many": ["1", "2"], "content-type": "text/xml"}}',
	'text, a type, a header that comes twice');
is( simulated_ends($node, 'reads', '{"a": {"body": {"status": "active", "id": 7}}}') =~
		s/, "headers".*//r,
	'completed {"output": {"id": 7, "status": "active"}',
	'a body');
is( simulated_ends($node, 'reads', '{"a": {"status": "active", "id": 7}}') =~ s/, "headers".*//r,
	'completed {"output": {"id": 7, "status": "active"}',
	'that says so by itself');
is( simulated_ends($node, 'reads', '{"a": {"body": null}}') =~ s/, "headers".*//r,
	'completed {"output": null', 'or none');

define_body($node, 'together', <<'SQL');
PERFORM dataflows.get('a', 'crm', '/a', wait => false);
PERFORM dataflows.get('b', 'crm', '/b', wait => false);
PERFORM dataflows.wait_all('a', 'b');
RETURN NULL;
SQL
my %times = (columns => q{concat_ws(' ', step, outcome, at)});

is( simulated($node, 'together', '{"a": {"after": "3 s"}, "b": {"after": "2 s"}}', %times),
	"b done 00:00:02\na done 00:00:03\ncompleted 00:00:03",
	'responses take their time');
is( simulated($node, 'together', '{"a": [{"after": "1 hour"}, {}]}', %times),
	"b done 00:00:00\na retry 00:00:30\na done 00:00:31\ncompleted 00:00:31",
	'and are given up');
is( simulated($node, 'together', '{"a": [{"status": 429, "headers": {"Retry-After": "60"}}, {}]}',
		%times), "a retry 00:00:00\nb done 00:00:00\na done 00:01:01\ncompleted 00:01:01",
	'a system that asks for time gets it');
is( simulated($node, 'together', '{"a": {"status": 401}}', %times),
	"a retry 00:00:00\na retries forever 00:00:00\nb done 00:00:00\nrunning 00:00:00",
	'credentials would be asked for ever');
for my $means ([ done => 'completed' ], [ kept => 'completed' ], [ fail => 'rolled_back' ],
	[ stuck => 'stuck' ], [ doubt => 'stuck' ])
{
	my ($is, $state) = @$means;

	define_body($node, 'makes', q{RETURN dataflows.post('a', 'crm', '/a', '{}', undo => 'none');});
	like(simulated_ends($node, 'makes', qq({"a": {"is": "$is"}})), qr/^$state\b/, "it means $is");
}

# ---- replies that are none ----------------------------------------------------------------

for my $case (
	[ '[]', qr/the replies are no object/ ],
	[ '{"a": []}', qr/the reply of "a" is an empty array/ ],
	[ '{"a": {"is": "ok"}}', qr/the reply of "a" means "ok"; what it can mean is done, kept/ ],
	[ '{"a": {"is": 5}}', qr/the reply of "a" has an "is" that is no word/ ],
	[ '{"a": {"status": 503, "retry": 1}}', qr/has the unknown field "retry" beside a status/ ],
	[ '{"a": {"status": 200, "payload": 1}}', qr/the unknown field "payload" beside a status/ ],
	[ '{"a": {"is": "fail", "bdy": {}}}', qr/has the unknown field "bdy" beside "is"/ ],
	[ '{"a": "losst"}', qr/"a" is "losst", and none of .*HINT: .* text.* is \{"body": \.\.\.\}/s ],
	[ '{"a": ["down", "refused"]}', qr/"a" is "refused", and none of/ ],
	[ '{"event:e": {"after": "1 day", "paylod": {}}}', qr/unknown field "paylod" beside "after"/ ],
	[ '{"a": {"after": "soon"}}', qr/invalid input syntax for type interval: "soon"/ ],
	[ '{"a": {"after": "2 dayz"}}', qr/type interval: "2 dayz"\nHINT:  Give an interval such as/ ],
	[ '{"a": {"status": 999}}', qr/the reply of "a" has the status 999, and none from 100 to 599/ ],
	[ '{"a": {"after": "-1 s"}}', qr/the reply of "a" comes before it was asked for/ ],
	[ '{"a": {"headers": 5}}', qr/the reply of "a" has headers that are no object/ ])
{
	my ($replies, $error) = @$case;
	my ($code, $out, $err) =
		$node->psql('postgres', "SELECT dataflows.simulate('makes', '{}', '$replies')");

	like($err, $error, $replies);
}
my ($code, $out, $err) =
	$node->psql('postgres', q{SELECT dataflows.simulate('makes', '{}', '{"A": 1}')});

like($err, qr/WARNING:  nothing has asked for the reply of "A"/, 'a key that is mistyped');

define_body($node, 'asks_sql', q{PERFORM dataflows.query('q', 'SELECT 1');
	PERFORM dataflows.query('q', 'SELECT 2');
	RETURN dataflows.post('a', 'crm', '/a', event);});
for my $key ('q', 'q#2', 'q/undo')
{
	(undef, $out, $err) = $node->psql('postgres',
		qq{SELECT count(*) FROM dataflows.simulate('asks_sql', '{}', '{"$key": [{"n": 1}]}')});
	like($err, qr/WARNING:  the reply of "\Q$key\E" is not used: the SQL of a query step/,
		"SQL takes no reply: $key");
	unlike($err, qr/nothing has asked/, 'and nothing else is said of it');
}
(undef, $out, $err) = $node->psql('postgres',
	q{SELECT outcome FROM dataflows.simulate('asks_sql', '{}', '{"a": {"status": "active"}}')
		WHERE kind = 'run'});
is($out, 'completed', 'a field "status" with a text is that of a body');

# ---- what a person would be told ------------------------------------------------------------

define_body($node, 'doubtful', q{RETURN dataflows.post('a', 'crm', '/a', event);});
like(simulated_ends($node, 'doubtful', '{"a": "lost"}'), qr/^stuck .*resolve\(run, 'a'/,
	'a remedy names no run that does not exist');
define_body($node, 'over', q{RETURN dataflows.call('child', 'doubtful', '{}');});
unlike(simulated($node, 'over', '{"a": "lost"}', columns => 'output'),
	qr/'[0-9a-f]{8}-[0-9a-f]{4}-/, 'of a child neither');

done_testing();
