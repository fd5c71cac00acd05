# abandon() in every state, while a workflow or the database is paused: nothing more is done for the
# run, not even what would follow a response that is on its way.

use strict;
use warnings;

use Test::More;
use PostgreSQL::Test::Cluster;
use PostgreSQL::Test::Utils;
use Dataflows;

my $systems = start_systems();
my $node = new_node('abandon');

create_systems($node, 'postgres', $systems, workflow => 0, options => { timeout => '120s' });

sub sql { return $node->safe_psql('postgres', $_[0]); }

sub app { return as_app($node, 'postgres', $_[0]); }

sub is_soon
{
	my ($sql, $name) = @_;
	return ok(wait_until($node, "SELECT $sql"), $name);
}

app(<<'SQL');
CREATE FUNCTION app.job(event jsonb) RETURNS jsonb LANGUAGE plpgsql AS $$ BEGIN
  IF event ? 'break' THEN PERFORM app.not_there(); END IF;
  PERFORM dataflows.post('one', 'crm', '/contacts', jsonb_build_object('email', event->>'email'),
    undo => 'DELETE /contacts/{id}');
  IF event ? 'wait' THEN PERFORM dataflows.wait_for('go'); END IF;
  PERFORM dataflows.post('two', 'crm', '/contacts', jsonb_build_object('email', event->>'email'),
    undo => 'DELETE /contacts/{id}');
  RAISE EXCEPTION 'now undo';
END $$;
SELECT dataflows.define_workflow('job', 'app.job');
SQL

sub start
{
	my ($name, $more) = @_;
	return app("SELECT dataflows.start('job',
		'{\"email\": \"$name\@example.com\"$more}', '$name')");
}

for my $what ("'job'", '')
{
	my $paused = $what ? 'workflow' : 'database';
	my @runs = map { "${_}_$paused" } qw(waiting stuck sent undone queued);
	my $by_key = "FROM dataflows.runs WHERE key LIKE '%_$paused'";

	start("waiting_$paused", ', "wait": 1');
	start("stuck_$paused", ', "break": 1');
	start("undone_$paused", ', "wait": 1');
	is_soon("count(*) = 3 $by_key AND state IN ('waiting', 'stuck')", 'runs wait and are stuck');
	kill 'STOP', $systems->{pid};
	start("sent_$paused", '');
	app("SELECT dataflows.cancel(run, 'why') $by_key AND key LIKE 'undone%'");
	is_soon("count(*) = 1 FROM dataflows.steps WHERE state = 'sent'",
		'one has a request in flight');
	is_soon("count(*) = 1 FROM dataflows.steps WHERE undo_state = 'sent'", 'one an undo');
	sql("SELECT dataflows.pause($what)");
	start("queued_$paused", '');
	is(app("SELECT count(*) $by_key AND dataflows.abandon(run, 'by hand')"),
		5, "$paused paused: abandon() of a run in each state");
	is_soon("count(*) = 3 $by_key AND state = 'abandoned'", 'those at rest are abandoned at once');
	kill 'CONT', $systems->{pid};
	is_soon("count(*) = 5 $by_key AND state = 'abandoned'", 'the others after their response');
	is($systems->made_and_left('crm', "sent_$paused\@example.com"),
		'1/1', 'for which nothing more is sent');
	is($systems->made_and_left('crm', "waiting_$paused\@example.com"),
		'1/1', 'and nothing is undone');
	is($systems->made_and_left('crm', "undone_$paused\@example.com"),
		'1/0', 'but what was on its way');
	sql("SELECT dataflows.resume($what)");
}
is(number_of($node, 'SELECT count(*) FROM dataflows.unexplained'), 0, 'nothing is unexplained');

$node->stop;
$systems->stop;
done_testing();
