# A run that is simulated takes the way that a worker takes with it: the same steps, states, undos
# and failed attempts, for the same answers of the systems.

use strict;
use warnings;

use List::Util qw(uniq);
use Test::More;
use PostgreSQL::Test::Cluster;
use Dataflows;
use Dataflows::Onboarding;
use Dataflows::Simulation;

my $systems = start_systems();
my $node = start_simulation_node('as_a_worker', conf => "dataflows.undo_for = '20s'");
my $times = 0;

# crm honours no key, billing does
$systems->config('crm', idempotency => JSON::PP::false());
create_server($node, 'plain', $systems->url('crm'), retry_max => '100ms', settle => '300ms');
create_server(
	$node, 'keyed', $systems->url('billing'),
	retry_max => '100ms', settle => '300ms',
	idempotency_header => 'Idempotency-Key', idempotency_ttl => '24h');

define_body($node, 'several', <<'SQL');
PERFORM dataflows.post('a', 'keyed', '/customers', jsonb_build_object('email', event->>'email'),
  undo => 'DELETE /customers/{id}');
PERFORM dataflows.query('q', 'SELECT $1', jsonb_build_array(event->>'email'),
  undo => 'SELECT $1->0');
PERFORM dataflows.post('b', 'plain', '/contacts', jsonb_build_object('email', event->>'email'),
  undo => 'DELETE /contacts/{id}', probe => 'GET /contacts?email={request.email}',
  probe_found => '$[0]');
PERFORM dataflows.on_rollback('c', 'keyed', 'GET /customers?email=none');
PERFORM dataflows.sleep('nap', '10 ms');
r := dataflows.wait_for('paid', '20 ms');
PERFORM dataflows.post('d', 'keyed', '/customers', jsonb_build_object('email', 'd', 'paid', r),
  undo => 'DELETE /customers/{id}', retry => '{"max_attempts": 3, "initial": "10 ms"}');
PERFORM dataflows.post('e', 'plain', '/contacts', '{"email": "e"}', undo => 'none',
  wait => false);
PERFORM dataflows.wait_all('e');
IF event ? 'fails' THEN
  PERFORM dataflows.fail('over');
END IF;
RETURN '"ok"';
SQL
define_body($node, 'child', <<'SQL');
PERFORM dataflows.post('x', 'keyed', '/customers', jsonb_build_object('email', event->>'email'),
  undo => 'DELETE /customers/{id}');
PERFORM dataflows.post('y', 'plain', '/contacts', '{"email": "y"}',
  undo => 'DELETE /contacts/{id}', doubt => 'fail');
RETURN event;
SQL
define_body($node, 'parent', <<'SQL');
PERFORM dataflows.post('a', 'keyed', '/customers', '{"email": "a"}',
  undo => 'DELETE /customers/{id}');
PERFORM dataflows.call('one', 'child', event);
BEGIN
  PERFORM dataflows.call('two', 'child', event);
EXCEPTION WHEN SQLSTATE 'DF001' THEN
  PERFORM dataflows.post('instead', 'plain', '/contacts', '{"email": "i"}', undo => 'none');
END;
IF event ? 'fails' THEN
  PERFORM dataflows.fail('over');
END IF;
RETURN '"ok"';
SQL
define_body($node, 'rounds', <<'SQL');
PERFORM dataflows.post('a', 'keyed', '/customers', jsonb_build_object('email', event->>'email'),
  undo => 'DELETE /customers/{id}');
IF (event->>'left')::int > 0 THEN
  PERFORM dataflows.continue_with(event || jsonb_build_object('left', (event->>'left')::int - 1));
END IF;
PERFORM dataflows.fail('over');
SQL

# what the tables say of a run and of those that it has called
sub really
{
	my ($name, $input) = @_;
	my $run = as_app($node, 'postgres', "SELECT dataflows.start('$name', '$input')");
	my $state = as_app($node, 'postgres', "SELECT dataflows.await('$run', '60 s')");

	return $node->safe_psql('postgres', <<"SQL") . "\nrun $state";
WITH RECURSIVE called (run, path) AS (
  SELECT '$run'::uuid, ''::text
  UNION ALL
  SELECT r.run, c.path || s.step || ' > ' FROM called c
    JOIN dataflows.run r ON r.parent = c.run
    JOIN dataflows.step s ON s.run = c.run AND s.n = r.parent_n)
SELECT concat_ws(' ', c.path || s.step, s.state, nullif(s.undo_state, 'none'),
  (SELECT string_agg(CASE WHEN a.undo THEN 'undo ' ELSE '' END || a.outcome, ' '
      ORDER BY a.undo, a.seq)
    FROM dataflows.attempt a
    WHERE a.run = s.run AND a.n = s.n AND a.outcome IN ('retry', 'in_doubt'))) COLLATE "C" AS line
FROM called c JOIN dataflows.step s USING (run)
ORDER BY line
SQL
}

# the same, from the rows of the simulation
sub in_simulation
{
	my ($name, $input, $replies) = @_;

	return as_app($node, 'postgres', <<"SQL");
WITH rows AS (SELECT * FROM dataflows.simulate('$name', '$input', '$replies')),
  last AS (
    SELECT DISTINCT ON (step) step, CASE WHEN outcome IN ('kept', 'accepted', 'timed_out')
      THEN 'done' WHEN outcome = 'stuck' THEN 'pending' ELSE outcome END AS state
    FROM rows WHERE kind NOT IN ('undo', 'probe', 'run') ORDER BY step, n DESC),
  undone AS (
    SELECT DISTINCT ON (step) step, outcome FROM rows WHERE kind = 'undo' ORDER BY step, n DESC),
  tries AS (
    SELECT step, string_agg(CASE WHEN kind = 'undo' THEN 'undo ' ELSE '' END || outcome, ' '
      ORDER BY kind = 'undo', n) AS words
    FROM rows WHERE outcome IN ('retry', 'in_doubt') AND kind <> 'probe' GROUP BY step)
SELECT line FROM (
  SELECT concat_ws(' ', l.step, l.state, u.outcome, t.words) COLLATE "C" AS line
  FROM last l LEFT JOIN undone u USING (step) LEFT JOIN tries t USING (step)) AS x
ORDER BY 1;
SELECT 'run ' || outcome FROM dataflows.simulate('$name', '$input', '$replies')
WHERE kind = 'run' AND step IS NULL;
SQL
}

# the lines of both are equal; faults: of the systems, [name, [rule]]; replies: the same, told to
# the simulation
sub same
{
	my ($what, $name, $input, $replies, @faults) = @_;
	my $email = 'c' . ++$times . '@example.com';

	$systems->clear_faults;
	$systems->fault($_->[0], @{ $_->[1] }) for @faults;
	$input =~ s/EMAIL/$email/;
	my ($real, $told) = (really($name, $input), in_simulation($name, $input, $replies));

	# a response that asks for time uses no attempt; names of steps are the same in each round
	s/^(a done) retry$/$1/m for ($real, $told);
	# the end of a step is a row of its own, and no attempt that left it in doubt
	$told =~ s/^(a in_doubt in_doubt) in_doubt$/$1/m;
	$real = join("\n", uniq(split(/\n/, $real))) if $name eq 'rounds';
	is($told, $real, "$what: $name");
	return;
}

sub fault
{
	my ($system, $method, $fault, %options) = @_;
	my %match = (method => $method, %{ delete $options{match} // {} });

	return [ $system, [ fault => $fault, match => \%match, times => 1, %options ] ];
}

my $plain = '{"email": "EMAIL"}';
my $fails = '{"email": "EMAIL", "fails": 1}';

same('all is well', 'several', $plain, '{}');
same('it fails at its end', 'several', $fails, '{}');
same('refused', 'several', $plain, '{"d": {"status": 422}}',
	fault('billing', 'POST', 'status', status => 422, skip => 1));
same(
	'asked to come later',
	'several', $plain,
	'{"a": [{"status": 503, "headers": {"Retry-After": "1"}}, {"body": {"id": 1}}]}',
	fault('billing', 'POST', 'status', status => 503, retry_after => 1));
same('lost, under a key', 'several', $plain, '{"a": ["lost", {"body": {"id": 1}}]}',
	fault('billing', 'POST', 'lost'));
same('lost, with a probe', 'several', $fails, '{"b": ["lost"], "b/probe": [[], [{"id": 5}]]}',
	fault('crm', 'POST', 'lost'));
same('not for us', 'several', $plain, '{"b": {"status": 403}}',
	fault('crm', 'POST', 'status', status => 403));
same('moved elsewhere', 'several', $plain, '{"b": {"status": 301}}',
	fault('crm', 'POST', 'status', status => 301));
same('moved elsewhere, without a probe', 'several', $plain, '{"e": {"status": 301}}',
	fault('crm', 'POST', 'status', status => 301, skip => 1));
same(
	'lost, and then moved elsewhere: in doubt',
	'several', $plain,
	'{"a": ["lost", {"status": 301}]}',
	fault('billing', 'POST', 'lost'),
	fault('billing', 'POST', 'status', status => 301));
same('lost, with nothing that tells', 'several', $plain, '{"e": "lost"}',
	fault('crm', 'POST', 'lost', skip => 1));
same('its own limit', 'several', $plain,
	'{"d": {"status": 429, "headers": {"Retry-After": "0"}, "is": "retry"}}',
	fault('billing', 'POST', 'status', status => 408, skip => 1, times => 5));
same(
	'an undo that is tried again',
	'several', $fails,
	'{"a/undo": [{"status": 500}, {"status": 502}, {"status": 204}]}',
	fault('billing', 'DELETE', 'status', status => 500, skip => 1, times => 2));
same('an undo of what is gone', 'several', $fails, '{"d/undo": {"status": 410}}',
	fault('billing', 'DELETE', 'status', status => 410));
same('an undo that is refused', 'several', $fails, '{"a/undo": {"status": 400}}',
	fault('billing', 'DELETE', 'status', status => 400, skip => 1));
same('all is well', 'parent', $plain, '{}');
same('undone', 'parent', $fails, '{}');
same('a child fails', 'parent', $plain, '{"one > y": {"status": 422}}',
	fault('crm', 'POST', 'status', status => 422));
same('a child that may fail', 'parent', $plain, '{"two > y": {"status": 409}}',
	fault('crm', 'POST', 'status', status => 409, skip => 1));
same('rounds', 'rounds', '{"email": "EMAIL", "left": 3}', '{}');

done_testing();
