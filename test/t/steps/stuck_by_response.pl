# Responses that are for a person, at inconvenient times: beside other steps, while a run is
# cancelled, in on_failure, in a child, after a loss.  Nothing that was made is forgotten, and
# retry() goes on.

use strict;
use warnings;

use JSON::PP;
use Test::More;
use PostgreSQL::Test::Cluster;
use PostgreSQL::Test::Utils;
use Dataflows;
use Dataflows::Cases;

my $systems = start_systems();
my $node = new_node('stuck_by_response');
my $no = JSON::PP::false();

create_systems($node, 'postgres', $systems, workflow => 0);
$systems->config('crm', idempotency => $no);
create_server($node, 'plain', $systems->url('crm'), settle => '300ms');
as_app($node, 'postgres', <<'SQL');
CREATE FUNCTION app.one(event jsonb) RETURNS jsonb LANGUAGE plpgsql AS $$
BEGIN
  RETURN dataflows.post('call', 'plain', '/contacts', jsonb_build_object('email', event->>'email'),
    undo => 'DELETE /contacts?email={request.email}', answers => event->'answers',
    doubt => coalesce(event->>'doubt', 'stuck'), wait => NOT event ? 'cancelled');
END $$;
SELECT dataflows.define_workflow('one', 'app.one');
CREATE FUNCTION app.several(event jsonb) RETURNS jsonb LANGUAGE plpgsql AS $$
BEGIN
  PERFORM dataflows.post('call', 'plain', '/contacts', jsonb_build_object('email', event->>'email'),
    undo => 'DELETE /contacts?email={request.email}', wait => false);
  PERFORM dataflows.post('other', 'billing', '/customers', jsonb_build_object('email',
    event->>'email'), undo => 'DELETE /customers/{id}', wait => false);
  RETURN dataflows.wait_all('call', 'other');
END $$;
SELECT dataflows.define_workflow('several', 'app.several');
CREATE FUNCTION app.fails(event jsonb) RETURNS jsonb LANGUAGE plpgsql AS $$
BEGIN
  RAISE EXCEPTION 'over';
END $$;
CREATE FUNCTION app.afterwards(event jsonb) RETURNS jsonb LANGUAGE plpgsql AS $$
BEGIN
  RETURN dataflows.post('call', 'plain', '/contacts', jsonb_build_object('email',
    event->'input'->>'email'), undo => 'none');
END $$;
SELECT dataflows.define_workflow('fails', 'app.fails', on_failure => 'app.afterwards');
CREATE FUNCTION app.parent(event jsonb) RETURNS jsonb LANGUAGE plpgsql AS $$
BEGIN
  RETURN dataflows.call('child', 'one', event);
END $$;
SELECT dataflows.define_workflow('parent', 'app.parent');
CREATE FUNCTION app.catches(event jsonb) RETURNS jsonb LANGUAGE plpgsql AS $$
BEGIN
  RETURN dataflows.post('call', 'plain', '/contacts', jsonb_build_object('email', event->>'email'),
    undo => 'none');
EXCEPTION WHEN OTHERS THEN
  RETURN '"caught"';
END $$;
SELECT dataflows.define_workflow('catches', 'app.catches');
SQL
my $cases = Dataflows::Cases->new($node, $systems, 'crm');
my ($email, $run);

sub ask
{
	my ($what) = @_;

	as_app($node, 'postgres', "SELECT dataflows.$what");
	return;
}

sub steps
{
	return $node->safe_psql('postgres',
		"SELECT string_agg(step || ' ' || state, ', ' ORDER BY n) FROM dataflows.steps
			WHERE run = '$run'");
}

# beside another step, which goes on
($email, $run) = $cases->start('several', {}, { status => 403, times => 1 });
is($cases->outcome($email, $run), 'stuck 0/0', 'one of two steps is forbidden');
ok(wait_until($node, "SELECT state = 'done' FROM dataflows.steps
		WHERE run = '$run' AND step = 'other'"), 'the other one ends');
is(steps(), 'call failed, other done', 'and each is what it is');
ask("retry('$run')");
is($cases->outcome($email, $run), 'completed 1/1', 'retry() sends the forbidden one alone');
is($systems->made_and_left('billing', $email), '1/1', 'and not the other');
($email, $run) = $cases->start('several', {}, { status => 403 });
is($cases->outcome($email, $run), 'stuck 0/0', 'or the run is cancelled');
ask("cancel('$run', 'no')");
becomes($node, $run, 'cancelled', 'what was done is undone');
is($systems->made_and_left('billing', $email), '1/0', 'and nothing is left');

# a body cannot catch it: there is nothing that it could know
($email, $run) = $cases->start('catches', {}, { status => 403, times => 1 });
is($cases->state_of($run), 'stuck', 'WHEN OTHERS does not catch it');
ask("retry('$run')");
is($cases->outcome($email, $run), 'completed 1/1', 'and retry() sends it again');

# what may have been carried out is undone when the run is cancelled, and not sent by resolve()
my @made = (status => 207, effect => JSON::PP::true(), body => { id => 'c-207' });

($email, $run) = $cases->start('one', { answers => '207=stuck' }, {@made});
is($cases->outcome($email, $run), 'stuck 1/1', 'a 2xx that is for a person');
is($cases->of_step($run, 'state || $$ $$ || (output->>$$id$$)'),
	'in_doubt c-207', 'its output is there');
is($cases->of_step($run, "error->>'in_doubt'"), 'true', 'and its error says that it is in doubt');
is($cases->pending($run, 'step'), 'call', 'and it is in the work list');
ask("cancel('$run', 'no')");
becomes($node, $run, 'cancelled', 'the run is cancelled');
is($cases->books($email), '1/0', 'and what was made is taken away');
($email, $run) = $cases->start('one', { answers => '207=stuck' }, {@made});
is($cases->outcome($email, $run), 'stuck 1/1', 'again');
ask("resolve('$run', 'call', 'done', 'seen', '{\"id\": \"c-207\"}')");
is($cases->outcome($email, $run), 'completed 1/1', 'a person says that it is done');
($email, $run) = $cases->start('one', { answers => '500=stuck' }, { status => 500, times => 1 });
is($cases->outcome($email, $run), 'stuck 0/0', 'a 500 that is for a person');
ask("resolve('$run', 'call', 'resend', 'it is not there')");
is($cases->outcome($email, $run), 'completed 1/1', 'who looks, and has it sent again');

# after a loss it is still in doubt
($email, $run) = $cases->start('one', { doubt => 'resend' }, { fault => 'lost', times => 1 },
	{ status => 403, times => 1 });
is($cases->outcome($email, $run), 'stuck 1/1', 'lost, sent again, and forbidden');
is($cases->of_step($run, 'state || $$ $$ || lost'), 'in_doubt 1', 'the loss is not forgotten');
ask("cancel('$run', 'no')");
becomes($node, $run, 'cancelled', 'the run is cancelled');
is($cases->books($email), '1/0', 'and what the lost attempt made is taken away');

# it comes while the run is being cancelled: nobody waits for it, and nothing stays
for my $case ([ {}, { status => 403 } ], [ { answers => '207=stuck' }, {@made} ])
{
	my ($input, $fault) = @$case;

	($email, $run) = $cases->start('one', { %$input, cancelled => 1 }, $fault);
	ask("cancel('$run', 'no')");
	becomes($node, $run, 'cancelled', "$fault->{status} while the run is cancelled");
	like($cases->books($email), qr{^[01]/0$}, 'nothing stays');
}

# in on_failure, and in a child
($email, $run) = $cases->start('fails', {}, { status => 403, times => 1 });
is($cases->state_of($run), 'stuck', 'on_failure is forbidden to send');
ask("retry('$run')");
becomes($node, $run, 'rolled_back', 'retry() sends it again');
is($cases->books($email), '1/1', 'once');
($email, $run) = $cases->start('parent', {}, { status => 403, times => 1 });
ok(wait_until($node, "SELECT count(*) = 1 FROM dataflows.stuck WHERE workflow = 'one'
		AND reason ~ '403'"), 'a child is forbidden to send');
is($node->safe_psql('postgres', "SELECT state FROM dataflows.runs WHERE run = '$run'"),
	'waiting', 'its parent waits');
like($node->safe_psql('postgres', "SELECT waiting_for FROM dataflows.runs WHERE run = '$run'"),
	qr/^run [0-9a-f-]{36} \(one\), which is stuck$/, 'and says why that takes long');
ask("retry(run) FROM dataflows.stuck WHERE workflow = 'one'");
is($cases->outcome($email, $run), 'completed 1/1', 'and goes on with it');

$node->stop;
$systems->stop;
done_testing();
