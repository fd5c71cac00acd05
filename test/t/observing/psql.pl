# What people see in psql: the timeline in any width and in colours, the view live,
# and each command of docs/psqlrc as it is written.

use strict;
use warnings;
use utf8;

use lib 'test/perl';
use Cwd qw(abs_path);
use Dataflows;
use PostgreSQL::Test::Cluster;
use PostgreSQL::Test::Utils;
use Test::More;

my $systems = start_systems();
my $node = new_node('psql', conf => "dataflows.sweep_interval = '500ms'\n");
my $psqlrc = abs_path('docs/psqlrc');

create_systems($node, 'postgres', $systems);
as_app($node, 'postgres', <<'SQL');
CREATE FUNCTION app.child(event jsonb) RETURNS jsonb LANGUAGE plpgsql AS $$BEGIN RETURN event;
  END$$;
CREATE FUNCTION app.all_kinds(event jsonb) RETURNS jsonb LANGUAGE plpgsql AS $$
BEGIN
  PERFORM dataflows.post('größer-als-die-spalte-breit-ist', 'identity', '/users',
    jsonb_build_object('email', event->>'email'), undo => 'DELETE /users/{id}');
  PERFORM dataflows.alias('the-other-key-of-' || (event->>'email'));
  PERFORM dataflows.query('count', 'SELECT 1');
  PERFORM dataflows.call('below', 'child', event);
  PERFORM dataflows.post('billing', 'billing', '/customers', jsonb_build_object('email',
    event->>'email'), undo => 'DELETE /customers/{id}');
  PERFORM dataflows.wait_for('soon', timeout => '20 ms');
  IF event ? 'again' THEN PERFORM dataflows.continue_with(event - 'again' ||
    jsonb_build_object('email', 'again-' || (event->>'email'))); END IF;
  IF event ? 'fail' THEN RAISE EXCEPTION '%', repeat('a long reason in many words ', 12); END IF;
  IF event ? 'stuck' THEN PERFORM nothing(); END IF;
  PERFORM dataflows.wait_for('never');
  RETURN NULL;
END $$;
SELECT dataflows.define_workflow('child', 'app.child'), dataflows.define_workflow('all-kinds',
  'app.all_kinds');
SQL
$systems->fault('billing', match => { method => 'POST' }, status => 503, times => 1);
my ($waits, $failed, $stuck) = split /\n/, as_app($node, 'postgres', <<'SQL');
SELECT dataflows.start('all-kinds', '{"email": "a@example.com", "again": 1}', 'ä-1');
SELECT dataflows.start('all-kinds', '{"email": "b@example.com", "fail": 1}', 'ä-2');
SELECT dataflows.start('all-kinds', '{"email": "c@example.com", "stuck": 1}', 'ä-3');
SQL
ok( wait_until(
		$node,
		"SELECT string_agg(state, ' ' ORDER BY key) = 'waiting rolled_back stuck'
			FROM dataflows.runs
	WHERE workflow = 'all-kinds' AND (state <> 'waiting' OR waiting_for = 'never')"),
	'one waits, one is undone, one is stuck');

# ---- the timeline --------------------------------------------------------------------

sub timeline
{
	my ($run, $rest) = @_;
	my $text = as_app($node, 'postgres', "SELECT dataflows.timeline('$run'$rest)");

	utf8::decode($text);
	return $text;
}

for my $width (60, 80, 100, 140)
{
	for my $run ($waits, $failed, $stuck)
	{
		my @lines = split /\n/, timeline($run, ", width => $width");
		my @bars = map { /\|([^|]*)\|/ ? length($1) : () } @lines;
		my ($longest) = sort { $b <=> $a } map { length } @lines;

		cmp_ok($longest, '<=', $width, "no line is longer than $width");
		is(scalar(grep { $_ != $bars[0] } @bars), 0, 'and all bars are of one length') if @bars;
	}
}
like(timeline($waits, ', width => 80'), qr/größer-als-die-~ \|/,
	'a long name is cut by characters');
like(timeline($waits, ''), qr/\bround 2 begins/, 'rounds are shown');
like(timeline($waits, ''), qr/called below: run [0-9a-f-]+, completed/, 'children');
like(timeline($waits, ''), qr/ count .* done/, 'SQL');
like(timeline($waits, ''), qr/ alias .* done/, 'and further keys');
like(timeline($failed, ''), qr/undo größer-als-di[^|]* *\|[ <]+\| undone/, 'and the undo');
like(
	timeline($failed, ', width => 80'),
	qr/error: a long reason(?:[^\n]*\n){3}/,
	'a long error goes on in the next line');
(my $plain = timeline($failed, ', true, 80')) =~ s/\x1b\[\d+m//g;
is($plain, timeline($failed, ', false, 80'), 'the colours change nothing else');
like(timeline($failed, ', true, 80'), qr/\x1b\[32m#+\x1b\[0m/, 'and are there');
is( scalar(split /\n/, timeline($failed, ', width => 1')),
	scalar(split /\n/, timeline($failed, ', width => 60')),
	'a width that is none is the smallest');

# ---- live ---------------------------------------------------------------------------------

my $live = as_app($node, 'postgres',
	"SELECT key, state, doing FROM dataflows.live WHERE workflow = 'all-kinds' ORDER BY key");
utf8::decode($live);
is( $live,
	"ä-1|waiting|waits for never\nä-3|stuck|the body raised: function nothing() does",
	'live says what each is doing');
$node->safe_psql('postgres', 'CREATE ROLE stranger LOGIN');
is( $node->safe_psql(
		'postgres',
		'SELECT count(*) FROM dataflows.live',
		extra_params => [ '-U', 'stranger' ]),
	0,
	'to who may see it');

# ---- psqlrc ----------------------------------------------------------------------------------

my @commands = slurp_file($psqlrc) =~ /^\\set (\w+) '/mg;
my $banner = join ' ', slurp_file($psqlrc) =~ /^-- .*$/mg;
cmp_ok(scalar @commands, '>=', 12, 'there are commands');
for my $command (@commands)
{
	like($banner, qr/:$command\b/, ":$command is explained");
	my ($rc, $out, $err) = $node->psql(
		'postgres',
		"\\i $psqlrc\n\\set run $stuck\n:$command\n",
		extra_params => [ '-U', 'app', '--no-align' ]);

	is("$rc $err", '0 ', ":$command works as written");
	isnt($out, '', ":$command shows something") unless $command =~ /^(?:undo|tries|asked)$/;
}
my ($rc, $out) = $node->psql('postgres', "\\i $psqlrc\n\\set run $stuck\n:tl\n",
	extra_params => [ '-U', 'app' ]);
like($out, qr/\x1b\[32m#/, ':tl is in colours');

# what \\df shows is too wide to be read
my $width = 0;

($rc, $out) = $node->psql('postgres', "\\i $psqlrc\n:functions\n", extra_params => [ '-U', 'app' ]);
for my $line (split /\n/, $out)
{
	$width = length $line if length $line > $width;
}
cmp_ok($width, '<=', 120, ':functions fits a terminal');
like($out, qr/^post\(step, system, path, \.\.\.\)\|The same as dataflows\.http\(\)/m,
	'with what a call needs');
unlike($out, qr/^_/m, 'and nothing internal');
($rc, $out) =
	$node->psql('postgres', "\\i $psqlrc\n\\set f post\n:args\n", extra_params => [ '-U', 'app' ]);
like($out, qr/^1\|step\|text\|needed\n2\|system\|name\|needed$/m, ':args has each argument');
like($out, qr/^\d+\|every\|interval\|'00:00:30'::interval$/m, 'with its default');

$node->stop;
$systems->stop;
done_testing();
