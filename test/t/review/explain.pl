# explain(): what a workflow would send, what would be undone in which order, and what is wrong.

use strict;
use warnings;

use Test::More;
use PostgreSQL::Test::Cluster;
use Dataflows;
use Dataflows::Simulation;

my $node = start_simulation_node('explain');

# columns of a part, a line for each row
sub explained
{
	my ($name, $part, $columns, $replies) = @_;

	$replies //= '{}';
	return as_app($node, 'postgres', <<"SQL");
SELECT concat_ws(' | ', $columns) FROM dataflows.explain('$name', '{"id": 1}', '$replies')
 WHERE part = '$part' ORDER BY n
SQL
}

sub findings { return explained($_[0], 'lint', 'kind, step, line', $_[1]) }

$node->safe_psql('postgres', <<'SQL');
CREATE SERVER trusting FOREIGN DATA WRAPPER dataflows OPTIONS (url 'http://127.0.0.1:1',
  allow_private 'true', settle '1s', idempotency_header 'X-Key');
CREATE SERVER post FOREIGN DATA WRAPPER dataflows OPTIONS (url 'smtp://127.0.0.1:1',
  allow_private 'true');
CREATE USER MAPPING FOR app SERVER trusting OPTIONS (bearer_token 'top-secret');
GRANT USAGE ON FOREIGN SERVER trusting, post TO app;
SQL

# ---- a workflow in which nothing is wrong ---------------------------------------------

define_body($node, 'child', <<'SQL');
RETURN dataflows.post('note', 'trusting', '/notes', event, undo => 'DELETE /notes/{id}');
SQL
define_body($node, 'sound', <<'SQL');
r := dataflows.post('a', 'trusting', '/a', event, undo => 'DELETE /a/{id}');
PERFORM dataflows.post('b', 'crm', '/b', jsonb_build_object('a', r->'id'),
  probe => 'GET /b?a={request.a}', undo => 'POST /b/{id}/cancel');
PERFORM dataflows.on_rollback('c', 'trusting', 'POST /c/{id}/cancel', of_step => 'd');
PERFORM dataflows.post('d', 'trusting', '/d', '{}');
PERFORM dataflows.call('e', 'child', event);
PERFORM dataflows.get('f', 'crm', '/f');
PERFORM dataflows.put('g', 'crm', '/g', event, undo => 'none');
PERFORM dataflows.send_mail('h', 'post',
  '{"from": "a@example.com", "to": "b@example.com", "subject": "hi", "text": "hello"}');
PERFORM dataflows.query('i', 'SELECT 1');
PERFORM dataflows.sleep('j', '7 days');
PERFORM dataflows.wait_for('k', '1 day');
RETURN r;
SQL
is( explained('sound', 'path', q{coalesce(step, '-'), line, kind, system, request, finding}),
	story(<<'ROWS'), 'the path, as it would be sent');
	a | 4 | http | trusting | POST /a | done
	b | 5 | http | crm | POST /b | done
	c | on_rollback | trusting | done
	d | 8 | http | trusting | POST /d | done
	e | 9 | call | child | done
	e > note | http | trusting | POST /notes | done
	f | 10 | http | crm | GET /f | done
	g | 11 | http | crm | PUT /g | done
	h | 12 | mail | post | MAIL b@example.com | done
	i | 14 | query | SELECT 1 | done
	j | 15 | sleep | done
	k | wait | timed_out
	- | run | completed
ROWS
is(explained('sound', 'path', q{step, key, doubt}) =~ s/\n$//r, story(<<'ROWS'), 'its keys');
	a | header X-Key | stuck
	b | header Idempotency-Key, not trusted | stuck
	c
	d | header X-Key | stuck
	e
	e > note | header X-Key | stuck
	f
	g | stuck
	h | stuck
	i
	j
	k
ROWS
is( explained('sound', 'path', q{CASE WHEN undo <> '' THEN step END, probe,
	undo}) =~ s/\n+/\n/gr =~ s/\n$//r,
	story(<<'ROWS'), 'its probe and its undos');
	a | DELETE /a/a
	b | GET /b?a=a | POST /b/b/cancel
	c | POST /c/d/cancel
	d | on_rollback "c"
	e > note | DELETE /notes/note
	g | none
ROWS
is(explained('sound', 'path', q{body->>'a', body->>'subject'}) =~ s/\n+/ /gr =~ s/^ | $//gr,
	'a hi', 'the bodies, and the message of a mail');
is(explained('sound', 'undo', 'step, line, kind, system, request, finding'),
	story(<<'ROWS'), 'what would be undone in which order, and what would stay');
	e > note | http | trusting | DELETE /notes/note | undone
	e | 9 | call | undone
	c | on_rollback | trusting | POST /c/d/cancel | undone
	b | 5 | http | crm | POST /b/b/cancel | undone
	a | 4 | http | trusting | DELETE /a/a | undone
	h | 12 | mail | post | stays: a mail cannot be taken back
	g | 11 | http | crm | stays: undo => 'none'
ROWS
is(findings('sound'), '', 'nothing is wrong with it');
is( explained('sound', 'undo', 'step, request, finding', '{"b": {"id": 7}, "d": {"is": "fail"}}'),
	story(<<'ROWS'), 'of a run that fails, what was undone');
	c | POST /c/{id}/cancel | gone
	b | POST /b/7/cancel | undone
	a | DELETE /a/a | undone
ROWS

define_body($node, 'forms', <<'SQL');
PERFORM dataflows.post('a', 'crm', '/a', '{"x": "1 & 2", "y": {"z": "%41"}, "l": [1, 2]}',
  undo => 'none', doubt => 'accept', options => '{"encoding": "form", "form_arrays": "repeat"}');
RETURN NULL;
SQL
is( explained('forms', 'path', 'body') =~ s/\n$//r,
	'{"l": ["1", "2"], "x": "1 & 2", "y[z]": "%41"}', 'the fields of a form');

# ---- as a text ------------------------------------------------------------------------

define_body($node, 'short', <<'SQL');
PERFORM dataflows.post('a', 'trusting', '/a', event, undo => 'DELETE /a/{id}');
PERFORM dataflows.put('b', 'crm', '/b');
RETURN NULL;
SQL
is( as_app($node, 'postgres', q{SELECT dataflows.explain_text('short', '{"id": 1}')}) =~
	  s/on_rollback.*/.../r,
	<<'TEXT' =~ s/\n$//r, 'explain_text()');
Path
  1. a (http, line 4) POST /a at trusting - done
       body: {"id": 1}
       key: header X-Key
       doubt: stuck
       undo: DELETE /a/a
  2. b (http, line 5) PUT /b at crm - done
       doubt: stuck
  The run: completed

Undo, if the run failed at its end
  1. a (http, line 4) DELETE /a/a at trusting - undone
  2. b (http, line 5) at crm - stays: it has no undo

Findings
  1. line 5: a rollback leaves what step "b" has done (no_undo)
       Give it undo, or call dataflows....
TEXT
define_body($node, 'empty', 'RETURN NULL;');
is(as_app($node, 'postgres', q{SELECT dataflows.explain_text('empty', '{}')}),
	<<'TEXT' =~ s/\n$//r, 'an empty path');
Path
  The run: completed

Undo, if the run failed at its end
  Nothing.

Findings
  Nothing.
TEXT
unlike(as_app($node, 'postgres', q{SELECT dataflows.explain_text('sound', '{}')}),
	qr/top-secret/, 'no secret is in it');

# ---- each finding ---------------------------------------------------------------------

define_body($node, 'unprotected', <<'SQL');
PERFORM dataflows.post('a', 'crm', '/a', event, undo => 'DELETE /a/{id}');
PERFORM dataflows.post('b', 'crm', '/b', event);
PERFORM dataflows.post('c', 'crm', '/c', event, undo => 'none', doubt => 'resend');
PERFORM dataflows.query('d', 'UPDATE t SET x = 1');
IF false THEN
  PERFORM dataflows.post('e', 'crm', '/e', event);
END IF;
RETURN NULL;
SQL
as_app($node, 'postgres', 'CREATE TABLE app.t (x int)');
$node->safe_psql('postgres', 'ALTER ROLE app SET search_path = app, public');
is(findings('unprotected'), story(<<'ROWS'), 'neither key nor probe, and no undo');
	no_undo | e | 9
	doubt | a | 4
	doubt | b | 5
	no_undo | b | 5
	no_undo | d | 7
ROWS

define_body($node, 'pivot', <<'SQL');
PERFORM dataflows.post('a', 'trusting', '/a', event);
PERFORM dataflows.point_of_no_return('paid');
PERFORM dataflows.post('b', 'trusting', '/b', event);
RETURN NULL;
SQL
is(explained('pivot', 'undo', 'step, finding'), story(<<'ROWS'), 'before the point of no return');
	b | stays: it has no undo
	a | stays: a point of no return comes after it
ROWS
is(findings('pivot'), 'no_undo | b | 6', 'and what comes after it may have to be undone');

define_body($node, 'wrong_field', <<'SQL');
PERFORM dataflows.post('a', 'trusting', '/a', event, undo => 'DELETE /a/{nr}');
RETURN NULL;
SQL
is( explained('wrong_field', 'lint', q{kind, step, line, split_part(finding, ': ', 2)}),
	story(<<'ROWS'), 'a field that the reply has not');
	template | a | 4 | the undo cannot be rendered
	stuck | the undo of step "a" cannot be rendered
ROWS
like(explained('wrong_field', 'lint', 'finding'), qr/there is no field "nr", there are "id"/,
	'which fields there are');
is(findings('wrong_field', '{"a": {"nr": 1}}'), '', 'it has it');
is(explained('wrong_field', 'lint', 'kind, finding', '{"a": {"nr": 1}, "a/undo": {"status": 403}}'),
	'undo | the undo of step "a" does not succeed: the system answered with status 403',
	'an undo that is refused');

define_body($node, 'values', <<'SQL');
PERFORM dataflows.get('a', 'crm', '/a/' || random());
PERFORM dataflows.get('b', 'crm', '/b/' || clock_timestamp()::date);
INSERT INTO t VALUES (1);
RETURN NULL;
SQL
is(findings('values'), story(<<'ROWS'), 'what differs at each entry, and a write');
	random | 4
	clock | 5
	write | 6
	changes | a | 4
	stuck
ROWS

as_app($node, 'postgres', <<'SQL');
CREATE FUNCTION app.helper(x int) RETURNS jsonb LANGUAGE sql AS
  $$ SELECT dataflows.post('item', 'trusting', '/items', to_jsonb(x), undo => 'none') $$;
SQL
define_body($node, 'loops', <<'SQL');
FOR r IN SELECT to_jsonb(x) FROM generate_series(1, 2) x LOOP
  PERFORM dataflows.post('a', 'trusting', '/a', r, undo => 'none');
END LOOP;
FOR i IN 1..2 LOOP
  PERFORM dataflows.post('b', 'trusting', '/b', event, undo => 'none');
  PERFORM dataflows.post('c:' || i, 'trusting', '/c', event, undo => 'none');
  PERFORM app.helper(i);
END LOOP;
RETURN NULL;
SQL
is(findings('loops'), story(<<'ROWS'), 'names in a loop');
	loop_name | a | 5
	loop_name | item#2
ROWS

# ---- runs that do not come to their end -----------------------------------------------

define_body($node, 'waits', <<'SQL');
PERFORM dataflows.post('a', 'trusting', '/a', event, undo => 'DELETE /a/{id}');
PERFORM dataflows.wait_for('paid');
PERFORM dataflows.post('b', 'trusting', '/b', event, undo => 'DELETE /b/{id}');
RETURN NULL;
SQL
is( explained('waits', 'path', q{coalesce(step, 'run'), finding}),
	story(<<'ROWS'), 'a run that waits');
	a | done
	paid | waits forever
	run | waiting
ROWS
is(explained('waits', 'undo', 'step, finding'), 'a | undone', 'what would be undone even so');
is(findings('waits'), 'waits | paid', 'is found');
is(findings('waits', '{"event:paid": {}}'), '', 'not if its event comes');
is( explained('waits', 'path', q{coalesce(step, 'run'), finding}, '{"a": {"status": 401}}'),
	story(<<'ROWS'), 'a run that is never let in');
	a | retries forever: credentials refused
	run | running
ROWS
is(findings('waits', '{"a": {"status": 401}}'), 'retries | a | 4', 'is found');
is( explained('waits', 'path', q{coalesce(step, 'run'), finding}, '{"a": {"is": "stuck"}}'),
	story(<<'ROWS'), 'a run that gets stuck');
	a | failed: the system answered with status 403
	run | stuck: step "a" ("POST /a" to system "trusting"): the system answered with status 403
ROWS
like(
	explained('waits', 'lint', q{kind, finding, remedy}, '{"a": {"is": "stuck"}}'),
	qr/^stuck \| the run gets stuck: step "a".*SELECT dataflows\.retry\(run\);/,
	'says so, and what a person would do');

# ---- rounds, on_failure and many steps ------------------------------------------------

define_body($node, 'rounds', <<'SQL');
PERFORM dataflows.post('a', 'trusting', '/a', event, undo => 'DELETE /a/{id}');
IF (event->>'id')::int < 3 THEN
  PERFORM dataflows.continue_with(jsonb_build_object('id', (event->>'id')::int + 1));
END IF;
RETURN NULL;
SQL
is(explained('rounds', 'undo', q{step, request, finding}), story(<<'ROWS'), 'rounds');
	a | DELETE /a/a | undone
	a | DELETE /a/a | undone
	a | DELETE /a/a | undone
ROWS
is(findings('rounds'), '', 'nothing is wrong with them');

as_app($node, 'postgres', <<'SQL');
CREATE FUNCTION app.tell(event jsonb) RETURNS jsonb LANGUAGE plpgsql AS $$
BEGIN
  RETURN dataflows.post('tell', 'trusting', '/tell', jsonb_build_object('at', now()));
END $$;
SQL
define_body($node, 'handled', <<'SQL', q{on_failure => 'app.tell'});
PERFORM dataflows.post('a', 'trusting', '/a', event, undo => 'DELETE /a/{id}');
PERFORM dataflows.fail('enough');
SQL
is( explained('handled', 'path', q{coalesce(step, 'run'), request, finding}),
	story(<<'ROWS'), 'on_failure is on the path');
	a | POST /a | done
	on_failure/tell | POST /tell | done
	run | rolled_back: enough
ROWS
is(explained('handled', 'undo', q{step, finding}), 'a | undone', 'and nothing of it is undone');
is( explained('handled', 'lint', q{kind, step, line, finding}),
	'clock | 3 | in on_failure: now gives another time at each entry of the body',
	'its function is read');

define_body($node, 'many', <<'SQL');
FOR i IN 1..1000 LOOP
  PERFORM dataflows.post('a' || i, 'trusting', '/a', '{}', undo => 'DELETE /a/{id}');
END LOOP;
RETURN NULL;
SQL
is( as_app($node, 'postgres',
		q{SELECT part, count(*) FROM dataflows.explain('many', '{}') GROUP BY part ORDER BY part}),
	"path|1001\nundo|1000", 'a thousand steps');

# ---- nothing comes of it, and who may -------------------------------------------------

is($node->safe_psql('postgres', 'SELECT count(*) FROM dataflows.runs'), 0, 'no run is left');
for my $function (qw(explain explain_text))
{
	my $call = "SELECT * FROM dataflows.$function";

	for (
		[ 'unknown', "('nothing', '{}')", qr/DF005/ ],
		[ 'no reply', q{('short', '{}', '{"a": {"is": "what"}}')}, qr/22023/ ],
		[ 'no input', "('short', NULL)", qr/22004/ ])
	{
		my ($what, $arguments, $like) = @$_;
		my ($rc, $out, $err) = $node->psql('postgres', "\\set VERBOSITY verbose\n$call$arguments",
			extra_params => [ '-U', 'app' ]);

		like($err, $like, "$function: $what");
	}
	my ($rc, $out, $err) = $node->psql('postgres',
		"\\set VERBOSITY verbose\nCREATE ROLE other_$function; SET ROLE other_$function; "
		  . "$call('short', '{}')");

	like($err, qr/42501/, "$function: not everybody's");
	(undef, undef, $err) = $node->psql('postgres',
		"\\set VERBOSITY verbose\nBEGIN READ ONLY; $call('short', '{}')",
		extra_params => [ '-U', 'app' ]);
	like($err, qr/25006/, "$function: not in a read-only transaction");
}

done_testing;
