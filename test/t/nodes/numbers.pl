# The number of a node: in the ids that it makes, in what people look at, and in the error for a
# run of another one; and its share of the limits.

use strict;
use warnings;

use Test::More;
use PostgreSQL::Test::Cluster;
use PostgreSQL::Test::Utils;
use Dataflows;

my $systems = start_systems();
my $node = new_node('seven', no_start => 1);

# ---- numbers and shares that cannot be

sub refused
{
	my ($setting, $value) = @_;
	my $conf = $node->data_dir . '/postgresql.conf';
	my $before = PostgreSQL::Test::Utils::slurp_file($conf);
	my $log = -e $node->logfile ? -s $node->logfile : 0;

	$node->append_conf('postgresql.conf', "$setting = $value");
	my $started = $node->start(fail_ok => 1);
	my $said = substr(PostgreSQL::Test::Utils::slurp_file($node->logfile), $log);
	$node->stop if $started;
	open(my $file, '>', $conf) or die $!;
	print $file $before;
	close $file;
	return !$started && $said =~ /invalid value for parameter "$setting": "$value"/;
}

ok(refused('dataflows.node', '1024'), 'there is no node 1024');
ok(refused('dataflows.node', '-1'), 'nor node -1');
ok(refused('dataflows.share', '0'), 'no share of 0');
ok(refused('dataflows.share', '2'), 'nor of 2');

# ---- without a number

$node->start;
create_systems($node, 'postgres', $systems, workflow => 0);
as_app($node, 'postgres', <<'SQL');
CREATE FUNCTION app.body(event jsonb) RETURNS jsonb LANGUAGE plpgsql AS $$
BEGIN
  IF event ? 'post' THEN
    RETURN dataflows.post('send', 'email', '/send', event->'post');
  END IF;
  RETURN dataflows.wait_for('go');
END $$;
SELECT dataflows.define_workflow('waits', 'app.body');
SQL
my $old = as_app($node, 'postgres', q{SELECT dataflows.start('waits', '{}')});
is(as_app($node, 'postgres', 'SELECT count(*) FROM (SELECT dataflows.start(\'waits\', \'{}\') AS run
	FROM generate_series(1, 200)) r WHERE ascii(substr(run::text, 20)) NOT IN (56, 57, 97, 98)
	OR (get_byte(uuid_send(run), 8) & 60) = 0'),
	'0', 'an id without a node is a UUID, and names none');
is(as_app($node, 'postgres', 'SELECT node FROM dataflows.list_runs(max => 1)'), '0',
	'a server without a number is node 0');
my $alone = '018f0000-0000-7000-8007-000000000000';
my ($rc, $out, $err) = try_psql($node, 'postgres', "SELECT dataflows.await('$alone')");
like($err, qr/run "$alone" does not exist/, 'it does not guess where a run may be');

# ---- with one

$node->append_conf('postgresql.conf', "dataflows.node = 1023\ndataflows.share = 0.25");
$node->restart;
my $new = as_app($node, 'postgres', q{SELECT dataflows.start('waits', '{}', 'new')});
like($new, qr/^\w{8}-\w{4}-7\w{3}-83ff-\w{12}$/, 'the number is in bytes 8 and 9 of the id');
is(as_app($node, 'postgres', "SELECT bool_and(dataflows.node_of(run) = 1023 AND node = 1023)
	FROM dataflows.runs WHERE run IN ('$new', '$old')"),
	't', 'all that is here lives on this node, also what was started before it had a number');
is( as_app($node, 'postgres', "SELECT dataflows.node_of('$alone')"),
	'7', 'what is not here lives on the node that its id names');
is( as_app($node, 'postgres', "SELECT dataflows.node_of('018f0000-0000-4000-8007-000000000000')"),
	'0', 'another kind of UUID names none');
is(as_app($node, 'postgres', 'SELECT dataflows.node_of(NULL)'), '', 'NULL has none');
for my $call (
	"signal('$alone', 'go')", "cancel('$alone')", "retry('$alone')", "undo('$alone', 'x')",
	"resolve('$alone', 'a', 'done', 'x')", "await('$alone')", "restart('$alone')")
{
	($rc, $out, $err) =
		try_psql($node, 'postgres', "\\set VERBOSITY verbose\nSELECT dataflows.$call");
	like($err, qr/DF005: run "$alone" lives on node 7/, "$call says where");
}
is( $node->safe_psql('postgres',
		q{SELECT labels FROM dataflows.metrics WHERE name = 'dataflows_node_info'}),
	'{"node": "1023", "share": "0.25"}', 'the metrics name the node');
as_app($node, 'postgres', "SELECT dataflows.signal('$_', 'go')") for ($old, $new);
ok( wait_until($node, "SELECT count(*) = 2 FROM dataflows.runs WHERE run IN ('$new', '$old')
		AND state = 'completed'"),
	'runs of both kinds of ids go on');

# ---- its part of the limits

# a quarter of 9 is 2; all of them are sent at once if nothing holds them back
$systems->config('email', latency_ms => 300);
$node->safe_psql('postgres', 'ALTER SERVER email OPTIONS (max_concurrency \'9\')');
is( $node->safe_psql('postgres',
		q{SELECT max_concurrency, share FROM dataflows.systems WHERE system = 'email'}),
	'9|0.25', 'the view has the limit, and the part of it');

sub most_in_flight
{
	my ($n) = @_;
	my $most = 0;

	as_app($node, 'postgres', "SELECT count(dataflows.start('waits',
		jsonb_build_object('post', jsonb_build_object('to', 'x' || i))))
		FROM generate_series(1, $n) i");
	while ($node->safe_psql('postgres', q{SELECT EXISTS (SELECT FROM dataflows.runs
		WHERE input ? 'post' AND state NOT IN ('completed', 'stuck'))}) eq 't')
	{
		my $now = $node->safe_psql('postgres',
			q{SELECT in_flight FROM dataflows.systems WHERE system = 'email'});

		$most = $now if $now > $most;
	}
	return $most;
}

is(most_in_flight(8), 2, 'two requests at a time');
$node->safe_psql('postgres', 'ALTER SERVER email OPTIONS (SET max_concurrency \'3\')');
is(most_in_flight(4), 1, 'at least one');
$node->append_conf('postgresql.conf', 'dataflows.share = 1');
$node->reload;
ok( wait_until($node, q{SELECT share = 1 FROM dataflows.systems WHERE system = 'email'}),
	'a reload changes the share');

$node->stop;
$systems->stop;
done_testing();
