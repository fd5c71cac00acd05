# docs/python.md: the bodies of the page, by its module, do what the page says.

use strict;
use warnings;

use Cwd qw(abs_path);
use Test::More;
use PostgreSQL::Test::Cluster;
use PostgreSQL::Test::Utils;
use Dataflows;
use Dataflows::Recipes;

# where the server's Python finds the module
$ENV{PYTHONPATH} = abs_path('examples/python');

my $systems = start_systems();
my $node = new_node('python');
my @blocks = slurp_file('docs/python.md') =~ /^```sql\n(.*?)^```$/msg;

create_systems($node, 'postgres', $systems, workflow => 0);
$node->safe_psql('postgres', 'GRANT CREATE ON SCHEMA public TO app');
$node->safe_psql('postgres', 'ALTER ROLE app SET search_path = public');
my ($rc) = $node->psql('postgres', $blocks[0]);

if ($rc != 0)
{
	$node->stop;
	plan skip_all => 'plpython3u is not installed';
}
works($node, $_) for @blocks[ 1 .. $#blocks ];
as_app($node, 'postgres', "SELECT dataflows.define_workflow('$_-py', '${_}_py')")
	for qw(charge offer order ship);

# ---- the onboarding

my $run = started($node, 'onboarding-py',
	q({"email": "ada@example.com", "name": "Ada \"A\" O''Hara"}));

signalled($node, $run, 'email-confirmed', '{}');
becomes($node, $run, 'completed', 'the onboarding is completed');
is($systems->ever('ada@example.com'), '1/1/1/1', 'each step once');
like(of_run($node, $run, 'result'), qr/"accountId": "usr_\w+"/, 'with its result');
is($systems->command('crm', 'GET', '_books')->{records}[0]{data}{name},
	q{Ada "A" O'Hara}, 'values arrive as they are');

$systems->fault('crm', match => { email => '^bob@' }, status => 409);
$run = started($node, 'onboarding-py', '{"email": "bob@example.com"}');
becomes($node, $run, 'rolled_back', 'a refusal that the body lets through undoes it');
is($systems->live('bob@example.com'), '0/0/0/0', 'nothing is left');

# ---- failures

$run = started($node, 'charge-py', '{"email": "cy@example.com"}');
becomes($node, $run, 'completed', 'a charge');
like(of_run($node, $run, 'result'), qr/"paid": true/, 'is paid');
$systems->fault('billing', match => { email => '^dan@' }, status => 402);
$run = started($node, 'charge-py', '{"email": "dan@example.com"}');
becomes($node, $run, 'completed', 'a charge that is refused and caught');
is(of_run($node, $run, 'result'), '{"paid": false}', 'is not paid');
$systems->fault('billing', match => { email => '^eve@' }, status => 409);
$run = started($node, 'charge-py', '{"email": "eve@example.com"}');
becomes($node, $run, 'rolled_back', 'a charge that is refused otherwise');
$run = started($node, 'charge-py', '{"mail": "fay@example.com"}');
becomes($node, $run, 'stuck', 'a KeyError');

# ---- waits, several at once, children, SQL

$run = started($node, 'offer-py', '{"email": "gus@example.com", "patience": "200 ms"}');
ok( wait_until($node, "SELECT waiting_for LIKE '%accepted%' FROM dataflows.runs
	WHERE run = '$run'", 120), 'an offer is reminded of');
is($systems->ever('gus@example.com'), '0/0/0/1', 'once');
signalled($node, $run, 'accepted', '{"price": 7}');
becomes($node, $run, 'completed', 'and accepted');
is(of_run($node, $run, 'result'), '{"terms": {"price": 7}}', 'with its payload');
$run = started($node, 'offer-py', '{"email": "hal@example.com", "patience": "7 days"}');
signalled($node, $run, 'opened', '{}');
ok( wait_until($node, "SELECT waiting_for LIKE '%accepted%' FROM dataflows.runs
	WHERE run = '$run'", 120), 'another one is opened');
as_app($node, 'postgres', "SELECT dataflows.signal('$run', 'refused')");
becomes($node, $run, 'rolled_back', 'and refused');

$run = started($node, 'order-py', '{"email": "ida@example.com", "items": ["loom", "wheel"]}');
becomes($node, $run, 'completed', 'an order');
like(of_run($node, $run, 'result'),
	qr/^\{"number": 1000, "contact": "con_\w+", "shipped": \["LOOM", "WHEEL"\]\}$/,
	'with its number, its contact and its children');
$node->stop;
done_testing();
