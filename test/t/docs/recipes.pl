# docs/recipes.md: each recipe works as it stands, and does what the page says of it.

use strict;
use warnings;

use JSON::PP;
use Test::More;
use PostgreSQL::Test::Cluster;
use PostgreSQL::Test::Utils;
use Dataflows;
use Dataflows::Recipes;

my $systems = start_systems();
my $node = new_node('recipes');

create_systems($node, 'postgres', $systems, workflow => 0);
$node->safe_psql('postgres', 'CREATE EXTENSION plpython3u; CREATE ROLE web LOGIN');

my @blocks = slurp_file('docs/recipes.md') =~ /^```sql\n(.*?)^```$/msg;

works($node, $_) for @blocks;
as_app($node, 'postgres', "SELECT dataflows.define_workflow('welcome', 'app.welcome')");

# ---- create, or take what is there

for my $workflow (qw(ensure-customer find-or-create))
{
	my $there = "there-$workflow\@example.com";

	$systems->make('billing', $there);
	$systems->fault('billing', status => 409, match => { method => 'POST', email => $there },
		times => 1) if $workflow eq 'ensure-customer';
	my $run = started($node, $workflow, qq({"email": "$there"}));

	becomes($node, $run, 'completed', "$workflow: it was there");
	is( of_run($node, $run, "result->>'customer'"),
		$systems->id_of('billing', $there),
		'and is taken');
	as_app($node, 'postgres', "SELECT dataflows.undo('$run', 'test')");
	becomes($node, $run, 'rolled_back', 'undone');
	is($systems->made_and_left('billing', $there), '1/1', 'it stays there');

	my $new = "new-$workflow\@example.com";

	$run = started($node, $workflow, qq({"email": "$new"}));
	becomes($node, $run, 'completed', 'a new one');
	as_app($node, 'postgres', "SELECT dataflows.undo('$run', 'test')");
	becomes($node, $run, 'rolled_back', 'undone');
	is($systems->made_and_left('billing', $new), '1/0', 'is gone');
}

# ---- a 200 that says no

$systems->fault('crm', status => 200, body => { ok => JSON::PP::false(), error => 'no seats' },
	times => 1);
my $run = started($node, 'invite', '{"email": "no@example.com"}');

becomes($node, $run, 'completed', 'a 200 that says no');
is(of_run($node, $run, 'result'), '{"why": "no seats", "invited": false}', 'is a refusal');
$run = started($node, 'invite', '{"email": "yes@example.com"}');
becomes($node, $run, 'completed', 'a 201');
is(of_run($node, $run, 'result'), '{"invited": true}', 'is none');

# ---- signed or declined

$run = started($node, 'contract', '{}');
signalled($node, $run, 'signed', '{"name": "Ann"}');
becomes($node, $run, 'completed', 'signed');
is(of_run($node, $run, "result->>'signed_by'"), 'Ann', 'by whom');
$run = started($node, 'contract', '{}');
signalled($node, $run, 'declined', '{"why": "too dear"}');
becomes($node, $run, 'rolled_back', 'declined');
is(of_run($node, $run, 'reason'), 'declined: too dear', 'and why');

# ---- a reminder

$run = started($node, 'confirm-address', '{"email": "slow@example.com", "patience": "100 ms"}');
becomes($node, $run, 'rolled_back', 'nobody confirms');
is($systems->made_and_left('email', 'slow@example.com'), '2/2', 'after two reminders');
$run = started($node, 'confirm-address', '{"email": "quick@example.com"}');
signalled($node, $run, 'confirmed', '{}');
becomes($node, $run, 'completed', 'somebody does');
is(of_run($node, $run, 'result'), '{"reminders": 0}', 'without one');

# ---- approved by a user of the application

$run = started($node, 'refund', '{}');
signalled($node, $run, 'approved', '{"yes": true}');
is(of_run($node, $run, 'state'), 'waiting', 'the owner is not the application');
$node->safe_psql(
	'postgres',
	"SELECT dataflows.signal('$run', 'approved', '{\"yes\": true}',
		on_behalf_of => 'ann\@example.com')",
	extra_params => [ '-U', 'web' ]);
becomes($node, $run, 'completed', 'approved');
is(of_run($node, $run, "result->>'approved_by'"), 'ann@example.com', 'by whom');

# ---- wait for money

$systems->fault('billing', status => 402, times => 1);
$run = started($node, 'subscribe', '{"email": "poor@example.com"}');
signalled($node, $run, 'paid-in', '{}');
becomes($node, $run, 'completed', 'money came');
is($systems->made_and_left('billing', 'poor@example.com'), '1/1', 'and was taken once');

# ---- PL/Python

$run = started($node, 'welcome', '{"email": "py@example.com"}');
signalled($node, $run, 'confirmed', '{}');
becomes($node, $run, 'completed', 'Python');
is(of_run($node, $run, "result->>'contact'"),
	$systems->id_of('crm', 'py@example.com'), 'with its contact');

$node->stop;
$systems->stop;
done_testing();
