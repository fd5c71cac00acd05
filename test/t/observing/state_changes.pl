# define_workflow(notify => ...): a channel hears of each run when it waits, is stuck or has
# ended, in order and once; also after a crash and while the coordinator gave its process up.

use strict;
use warnings;

use IPC::Run ();
use Test::More;
use PostgreSQL::Test::Cluster;
use Dataflows;

my $node = new_node('state_changes');

create_app($node);
as_app($node, 'postgres', <<'SQL');
CREATE FUNCTION app.body(event jsonb) RETURNS jsonb LANGUAGE plpgsql AS $$
BEGIN
  IF event ? 'wait' THEN
    PERFORM dataflows.wait_for('first');
    PERFORM dataflows.wait_for('second');
  END IF;
  IF event ? 'break' THEN PERFORM nothing_of_that_name(); END IF;
  IF event ? 'refuse' THEN RAISE EXCEPTION 'refused'; END IF;
  RETURN event;
END $$;
SELECT dataflows.define_workflow('told', 'app.body', notify => 'signups');
SELECT dataflows.define_workflow('quiet', 'app.body');
SQL

my ($in, $out, $handle) = ('', '');

sub listen_to
{
	($in, $out) = ("LISTEN signups;\n\\echo listening\n", '');
	$handle = IPC::Run::start([ 'psql', '-XAtq', '-d', $node->connstr('postgres') ],
		'<', \$in, '>', \$out, IPC::Run::timer(300));
	$handle->pump until $out =~ /listening/;
	return;
}

# psql tells of notifications after a statement
sub heard
{
	my ($run) = @_;

	$in .= "SELECT 1;\n";
	$handle->pump;
	return join ' ',
	  $out =~ /"signups" with payload "\{"run": ?"$run", ?"state": ?"(\w+)"\}" received/g;
}

sub hears
{
	my ($run, $states, $name) = @_;

	wait_for($name, sub { heard($run) eq $states }) or diag(substr($out, -500));
	is(heard($run), $states, $name);
	return;
}

sub start
{
	my ($workflow, $input) = @_;
	return as_app($node, 'postgres', "SELECT dataflows.start('$workflow', '$input')");
}

listen_to();
my $quiet = start('quiet', '{}');
my $run = start('told', '{}');

hears($run, 'completed', 'a run that ends');
hears(start('told', '{"refuse": 1}'), 'rolled_back', 'one that is undone');
hears(start('told', '{"break": 1}'), 'stuck', 'one that is stuck');
$run = start('told', '{"wait": 1}');
hears($run, 'waiting', 'one that waits');
as_app($node, 'postgres', "SELECT dataflows.signal('$run', 'first')");
hears($run, 'waiting waiting', 'and then for something else');
as_app($node, 'postgres', "SELECT dataflows.signal('$run', 'second')");
hears($run, 'waiting waiting completed', 'and ends');
becomes($node, $quiet, 'completed', 'a workflow without a channel');
is(heard($quiet), '', 'says nothing');

my $many = as_app($node, 'postgres',
	q{SELECT count(dataflows.start('told', '{}')) FROM generate_series(1, 3000)});

wait_for(
	'all of them',
	sub {
		heard('x');
		my %runs = map { $_ => 1 } $out =~ /"run": ?"([^"]+)", ?"state": ?"completed"/g;
		return keys %runs >= 3002;
	});
is(scalar(() = $out =~ /"state": ?"completed"/g), 3002, 'three thousand, each once');
is(number_of($node, 'SELECT count(*) FROM dataflows.state_change'), 0, 'nothing is left');
$in .= "\\q\n";
$handle->finish;

# ---- a crash between the record and the sending

listen_to();
my $runs = as_app($node, 'postgres',
	q{SELECT string_agg(dataflows.start('told', '{"wait": 1}')::text, ' ') FROM
		generate_series(1, 50)});
restart_hard($node, 'kill');
$handle->kill_kill;
listen_to();
for my $run (split / /, $runs)
{
	ok(wait_until($node, "SELECT state = 'waiting' FROM dataflows.run WHERE run = '$run'"),
		'a run waits after a crash')
	  or last;
}
ok( wait_until($node, 'SELECT count(*) = 0 FROM dataflows.state_change'),
	'what was recorded is sent after a crash');
$in .= "\\q\n";
$handle->finish;

# ---- what cannot be a channel

for my $channel ('', 'x' x 64, 'dataflows')
{
	my (undef, undef, $err) = $node->psql('postgres',
		"SET ROLE app; SELECT dataflows.define_workflow('bad', 'app.body', notify => '$channel')");

	like($err, qr/ERROR:.*channel/, 'a channel that cannot be used is refused');
	like($err, qr/HINT:/, 'with a hint');
}

$node->stop;
done_testing();
