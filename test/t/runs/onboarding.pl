# A signup becomes a customer in four systems, or nothing.

use strict;
use warnings;

use Test::More;
use PostgreSQL::Test::Cluster;
use Dataflows;

my $systems = start_systems();
my $node = new_node('onboarding');

create_systems($node, 'postgres', $systems);

sub state_of
{
	my ($key, $state) = @_;

	return "SELECT EXISTS (SELECT FROM dataflows.runs WHERE key = '$key' AND state = '$state')";
}

# confirmed by NOTIFY
as_app($node, 'postgres',
	"INSERT INTO app.signups (email, name) VALUES ('ada\@example.com', 'Ada')");
ok(wait_until($node, state_of(1, 'waiting')), 'the run waits');
is($systems->live('ada@example.com'),
	'1/1/1/0', 'the account, the customer and the contact are there');
is( $node->safe_psql(
		'postgres',
		"SELECT waiting_for, owner, started_by, workflow, version FROM dataflows.runs
			WHERE key = '1'"
	),
	'email-confirmed|app|app|customer-onboarding|1',
	'the view runs tells what it waits for and whose it is');

my $run = $node->safe_psql('postgres', "SELECT run FROM dataflows.runs WHERE key = '1'");

$node->safe_psql('postgres', qq(NOTIFY dataflows, '{"run": "$run", "event": "email-confirmed"}'));
ok(wait_until($node, state_of(1, 'completed')), 'NOTIFY completes it');
is($systems->live('ada@example.com'), '1/1/1/1', 'each system has one record');
is($systems->ever('ada@example.com'), '1/1/1/1', 'and never had more');

my $account = $systems->books('identity')->{records}[0]{id};
my $customer = $systems->books('billing')->{records}[0];

is( $node->safe_psql(
		'postgres',
		"SELECT result->>'accountId', result->>'customerId' FROM dataflows.runs WHERE run = '$run'"
	),
	"$account|$customer->{id}",
	'the result names the records');
is($customer->{data}{metadata}{account}, $account,
	'a later step used the output of an earlier one');
is( $node->safe_psql(
		'postgres',
		"SELECT string_agg(n || ' ' || step || ' ' || kind || ' ' || state, ', ' ORDER BY n)
			FROM dataflows.steps WHERE run = '$run'"
	),
	'1 create-account http done, 2 create-billing http done, 3 create-crm-contact http done, '
		. '4 email-confirmed wait done, 5 send-welcome http done',
	'the view steps has the story');
like($node->safe_psql('postgres', "SELECT * FROM dataflows.timeline('$run')"),
	qr/create-crm-contact/, 'so has the timeline');
is( $node->safe_psql('postgres', "SELECT sent_by, event FROM dataflows.signals WHERE run = '$run'"),
	'NOTIFY|email-confirmed',
	'the signal says that it came by NOTIFY');

# confirmed by key, by the application
as_app($node, 'postgres',
	"INSERT INTO app.signups (email, name) VALUES ('bob\@example.com', 'Bob')");
ok(wait_until($node, state_of(2, 'waiting')), 'a second one waits');
as_app($node, 'postgres',
	"SELECT dataflows.signal_by_key('customer-onboarding', '2', 'email-confirmed')");
ok(wait_until($node, state_of(2, 'completed')), 'and is completed by a signal by key');

# confirmed before the run exists
as_app($node, 'postgres',
	"SELECT dataflows.signal_by_key('customer-onboarding', '3', 'email-confirmed')");
as_app($node, 'postgres', "INSERT INTO app.signups (email, name) VALUES ('cy\@example.com', 'Cy')");
ok(wait_until($node, state_of(3, 'completed')), 'a signal that came before the run is not lost');

# refused for good
$systems->fault(
	'billing',
	match => { method => 'POST', email => '^dan@' },
	status => 402,
	fault => 'status',
	body => { error => 'card declined' });
as_app($node, 'postgres',
	"INSERT INTO app.signups (email, name) VALUES ('dan\@example.com', 'Dan')");
ok(wait_until($node, state_of(4, 'rolled_back')), 'a refused one is rolled back');
is($systems->live('dan@example.com'), '0/0/0/0', 'nothing is left of it');
is($systems->ever('dan@example.com'), '1/0/0/0', 'what was made was deleted');
like($node->safe_psql('postgres', "SELECT error FROM dataflows.runs WHERE key = '4'"),
	qr/402/, 'the run says why');
is( $node->safe_psql(
		'postgres',
		"SELECT undo_state FROM dataflows.steps s JOIN dataflows.runs r USING (run)
			WHERE r.key = '4' AND s.step = 'create-account'"
	),
	'undone',
	'the step says that it was undone');

# an INSERT that is rolled back
as_app($node, 'postgres',
	"BEGIN; INSERT INTO app.signups (email, name) VALUES ('eve\@example.com', 'Eve'); ROLLBACK");
as_app($node, 'postgres',
	"INSERT INTO app.signups (email, name) VALUES ('fay\@example.com', 'Fay')");
ok(wait_until($node, state_of(6, 'waiting')), 'the next one starts');
is(number_of($node, "SELECT count(*) FROM dataflows.runs WHERE key = '5'"),
	0, 'no run of a signup that was rolled back');
is($systems->ever('eve@example.com'), '0/0/0/0', 'and no trace in the systems');

# many in one statement
as_app($node, 'postgres', <<'SQL');
CREATE TRIGGER onboard_many AFTER INSERT ON app.signups REFERENCING NEW TABLE AS new_rows
  FOR EACH STATEMENT
  EXECUTE FUNCTION dataflows.start_on_insert('customer-onboarding', 'id');
DROP TRIGGER onboard ON app.signups;
INSERT INTO app.signups (email, name) SELECT 'many' || i || '@example.com', 'N'
  FROM generate_series(1, 200) i;
SQL
ok( wait_until(
		$node,
		"SELECT count(*) = 200 FROM dataflows.runs WHERE state = 'waiting'
			AND input->>'email' LIKE 'many%'",
		60),
	'200 of one statement wait');
as_app(
	$node, 'postgres',
	"SELECT dataflows.signal_by_key('customer-onboarding', id::text, 'email-confirmed')
		FROM app.signups"
);
ok(wait_for_runs($node, [ 'completed', 'rolled_back' ], 60), 'and are completed by one statement');

my @wrong = reconcile($node, $systems);

is(scalar(@wrong), 0, 'the books agree with the runs') or diag(join("\n", @wrong));

$node->stop;
$systems->stop;
done_testing();
