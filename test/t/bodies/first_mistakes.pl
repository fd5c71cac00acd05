# The mistakes of somebody's first day: each makes the run stuck, says what is wrong and how it is
# done right, and nothing is sent.  Who does what the hint says, and calls retry(), has a run that
# completes.

use strict;
use warnings;

use Test::More;
use PostgreSQL::Test::Cluster;
use Dataflows;

my $systems = start_systems();
my $node = new_node('first', conf => "dataflows.sweep_interval = '500ms'\n");

create_systems($node, 'postgres', $systems, workflow => 0);
as_app($node, 'postgres', 'CREATE TABLE app.customers (email text)');

# a step with these arguments beside what is sent
sub made { return "dataflows.post('make', 'crm', '/contacts', who, $_[0])"; }

# name => wrong, what is said, the hint, right
my @mistakes = (
	[ 'a system that is not there',
		q{dataflows.post('make', 'crn', '/contacts', who, undo => 'none')},
		qr/step "make" cannot call system "crn": system "crn" does not exist/,
		qr/Correct the name.*the view dataflows.systems shows which there are/,
		made(q{undo => 'none'}) ],
	[ 'a method with a typo',
		q{dataflows.http('make', 'crm', 'PSOT', '/contacts', who, undo => 'none')},
		qr/method "PSOT" of step "make" is not known/, qr/Use GET, HEAD, POST/,
		q{dataflows.http('make', 'crm', 'POST', '/contacts', who, undo => 'none')} ],
	[ 'no name', q{dataflows.post('', 'crm', '/contacts', who, undo => 'none')},
		qr/step must not be empty/, qr/Give it a name that says what it does/,
		made(q{undo => 'none'}) ],
	[ 'a name of NULL', q{dataflows.wait_for(NULL)},
		qr/event must not be empty/, qr/Give it a name/, q{dataflows.wait_for('go', '10 ms')} ],
	[ 'a path without a slash', q{dataflows.post('make', 'crm', 'contacts', who, undo => 'none')},
		qr{path "contacts" of step "make" does not begin with "/"},
		qr/Give the path below the system's url, such as '\/users'/,
		made(q{undo => 'none'}) ],
	[ 'an undo that names no field of the response',
		made(q~undo => 'DELETE /contacts/{ID}'~),
		qr/undo of step "make" cannot be rendered: there is no field "ID", there are .*"id"/,
		qr/Correct the undo in the function, then SELECT dataflows.retry/,
		made(q~undo => 'DELETE /contacts/{id}'~) ],
	[ 'an undo that names no field of the request',
		made(q~undo => 'DELETE /contacts/{request.mail}'~),
		qr/undo ".*" cannot be rendered: there is no field "request.mail", there are "email"/,
		qr/Name what is in the body of the request, such as \{request.email\}/,
		made(q~undo => 'DELETE /contacts/{request.email}'~) ],
	[ 'a field of the request that is null',
		q~dataflows.post('make', 'crm', '/contacts', jsonb_build_object('email', event->>'nothing'),
			undo => 'DELETE /contacts/{request.email}')~,
		qr/undo ".*" cannot be rendered: field "request.email" is null$/,
		qr/Name what is in the body of the request/,
		made(q~undo => 'DELETE /contacts/{request.email}'~) ],
	[ 'a field of the request that is an object',
		q~dataflows.post('make', 'crm', '/contacts', jsonb_build_object('who', who),
			undo => 'DELETE /contacts/{request.who}')~,
		qr/undo ".*" cannot be rendered: field "request.who" is an object or a list$/,
		qr/Name what is in the body of the request/,
		made(q~undo => 'DELETE /contacts/{request.email}'~) ],
	[ 'a brace that is not closed',
		made(q~undo => 'DELETE /contacts/{id'~),
		qr/undo ".*" is malformed/, qr/Write a field as \{id\}/,
		made(q~undo => 'DELETE /contacts/{id}'~) ],
	[ 'an undo without a method',
		made(q~undo => '/contacts/{id}'~),
		qr/undo ".*" is not a request/, qr/Write a method and a path, such as "DELETE/,
		made(q~undo => 'DELETE /contacts/{id}'~) ],
	[ 'an unknown option',
		made(q~undo => 'none', options => '{"encodng": "json"}'~),
		qr/option "encodng" is not known/, qr/The options of a step are "encoding"/,
		made(q~undo => 'none', options => '{"encoding": "json"}'~) ],
	[ 'an unknown key of retry',
		made(q~undo => 'none', retry => '{"attempts": 3}'~),
		qr/"retry" has an unknown key "attempts"/, qr/\{"max_attempts": 5/,
		made(q~undo => 'none', retry => '{"max_attempts": 3}'~) ],
	[ 'an unknown meaning',
		made(q{undo => 'none', answers => '409=kep'}),
		qr/"answers" has an unknown meaning "kep"/, qr/Perhaps you meant "kept"/,
		made(q{undo => 'none', answers => '409=kept'}) ],
	[ 'an unknown doubt',
		made(q{undo => 'none', doubt => 'acept'}),
		qr/doubt "acept" is not known/, qr/Use 'stuck', 'fail', 'resend' or 'accept'/,
		made(q{undo => 'none', doubt => 'accept'}) ],
	[ 'a condition that is SQL',
		q{dataflows.get('look', 'crm', '/contacts', until => '$.type() = "array"')},
		qr/"until" is no jsonpath \(syntax error/, qr/compared by ==/,
		q{dataflows.get('look', 'crm', '/contacts', until => '$.type() == "array"')} ],
	[ 'an argument with a typo',
		made(q{undoo => 'none'}),
		qr/function dataflows\.post\(.*undoo => unknown\) does not exist/,
		qr/No function matches the given name and argument types/,
		made(q{undo => 'none'}) ],
	[ 'a write in the body', q{app.adds(who)},
		qr/cannot execute INSERT in a read-only transaction/,
		qr/take the write out of it and put it into the step dataflows.query\(\)/,
		q{dataflows.query('add', 'SELECT app.adds($1)', jsonb_build_array(who))} ],
	[ 'a step that is not called', q{dataflows.response('make')},
		qr/the run has no step "make"/, qr/Call the step first/,
		q{dataflows.wait_for('make', '10 ms'), dataflows.response('make')} ],
	[ 'a time that is over', q{dataflows.sleep('rest', '-1 day')},
		qr/duration of step "rest" is less than zero/, qr/greatest\(\.\.\., '0'\)/,
		q{dataflows.sleep('rest', greatest('-1 day'::interval, '0'))} ],
	[ 'an unknown workflow', q{dataflows.call('child', 'chidl')},
		qr/workflow "chidl" does not exist/, qr/look for its name in the view dataflows.workflows/,
		q{dataflows.call('child', 'child')} ]);

as_app($node, 'postgres', <<'SQL');
CREATE FUNCTION app.child(event jsonb) RETURNS jsonb LANGUAGE sql AS $$ SELECT event $$;
SELECT dataflows.define_workflow('child', 'app.child');
CREATE FUNCTION app.adds(who jsonb) RETURNS text LANGUAGE sql
AS $$ INSERT INTO app.customers VALUES (who->>'email') RETURNING email $$;
SQL

my $number = 0;

sub write_body
{
	my ($call) = @_;

	return as_app($node, 'postgres', <<"SQL");
CREATE OR REPLACE FUNCTION app.body_$number(event jsonb) RETURNS jsonb LANGUAGE plpgsql AS \$body\$
DECLARE who jsonb := '{"email": "first$number\@example.com"}';
BEGIN
  PERFORM $call;
  RETURN NULL;
END \$body\$
SQL
}

sub of_run
{
	my ($run, $what) = @_;

	return as_app($node, 'postgres', "SELECT $what FROM dataflows.runs WHERE run = '$run'");
}

for my $mistake (@mistakes)
{
	my ($name, $wrong, $message, $hint, $right) = @$mistake;

	$number++;
	write_body($wrong);
	my $run = as_app($node, 'postgres',
		"SELECT dataflows.define_workflow('first-$number', 'app.body_$number');
			SELECT dataflows.start('first-$number', '{}')") =~ s/^.*\n//r;

	becomes($node, $run, 'stuck', "$name: a person is needed");
	like(of_run($run, "stuck->>'reason'"), $message, 'the reason says what is wrong');
	like(of_run($run, "concat_ws(' ', stuck->>'hint', stuck->>'remedy')"),
		$hint, 'and how it is done');
	write_body($right);
	as_app($node, 'postgres', "SELECT dataflows.retry('$run')");
	becomes($node, $run, 'completed', 'done as it says, the run completes');
}
is(number_of($node, 'SELECT count(*) FROM app.customers'),
	1, 'what was to be written is there once');

# ---- what is no mistake

$number++;
write_body(
	q{dataflows.get('look', 'crm', '/contacts'), dataflows.get('look', 'crm', '/contacts')});
my $run = as_app($node, 'postgres',
	"SELECT dataflows.define_workflow('first-$number', 'app.body_$number');
		SELECT dataflows.start('first-$number', '{}')") =~ s/^.*\n//r;

becomes($node, $run, 'completed', 'a step name twice');
is( as_app($node, 'postgres',
		"SELECT string_agg(step, ' ' ORDER BY n) FROM dataflows.steps WHERE run = '$run'"),
	'look look#2',
	'is two steps');

# ---- outside of a body

for my $mistake (
	[ q{SELECT dataflows.post('a', 'crm', '/contacts')},
		qr/"dataflows.post" was called outside a workflow/,
		qr/Call it in the function of a workflow/ ],
	[ q{SELECT dataflows.start('nosuch')},
		qr/workflow "nosuch" does not exist/, qr/view dataflows.workflows/ ],
	[ q{SELECT dataflows.define_workflow('x', 'app.nosuch')},
		qr/function app.nosuch\(jsonb\) does not exist/,
		qr/Create it as FUNCTION name\(event jsonb\)/ ],
	[ q{SELECT dataflows.define_workflow('x', 'app.child', undo_on => 'never ever')},
		qr/undo_on "never ever" is not known/,
		qr/Use "failure", "error" or "never"/ ],
	[ q{SELECT dataflows.retry('00000000-0000-0000-0000-000000000000')},
		qr/run ".*" does not exist/, qr/Look for it in the view dataflows.runs/ ])
{
	my ($sql, $message, $hint) = @$mistake;
	my ($rc, $out, $err) = $node->psql('postgres', $sql, extra_params => [ '-U', 'app' ]);

	like($err, qr/ERROR:  $message/, $sql);
	like($err, qr/HINT:  .*$hint/, 'has a hint');
}

$node->stop;
$systems->stop;
done_testing();
