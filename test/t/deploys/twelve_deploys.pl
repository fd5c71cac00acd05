# Deploys under runs that have passed the edited place, are in it, or have not reached it.  The
# systems' books tell: nothing is made twice, nothing is left out, and a run that is stuck names
# both remedies and ends by the right one; what it did can still be undone.

use strict;
use warnings;

use Test::More;
use PostgreSQL::Test::Cluster;
use PostgreSQL::Test::Utils;
use JSON::PP;
use Dataflows;

my $systems = start_systems();
my $node = new_node('twelve_deploys');

create_systems(
	$node, 'postgres', $systems,
	workflow => 0,
	options => { timeout => '300s', max_concurrency => 200 });
$systems->config('identity', unique_email => JSON::PP::false);

sub app { return as_app($node, 'postgres', $_[0]); }

sub sql { return $node->safe_psql('postgres', $_[0]); }

# ---- bodies: steps, with waits between them ------------------------------------------------------

my %place = (one => 'identity', two => 'billing', three => 'crm', four => 'email');
my %next = (one => 'two', two => 'three', three => 'four');
my %wait_behind = (one => 'first', two => 'second', three => 'third');

# what is made is known by its address, of which a system's books have a line
sub address { my ($thing, $case) = @_; return "$thing.$case\@example.com"; }

sub step
{
	my ($thing, %other) = @_;
	my $system = $other{system} // $place{$thing};

	return {
		thing => $thing,
		name => $thing,
		system => $system,
		path => Dataflows::Systems::path_of($system),
		field => 'plan', %other
	};
}

sub call_of
{
	my ($op, $case) = @_;
	my ($name, $thing) = map { "'$_'" } $op->{name}, address($op->{thing}, $case);
	my $undo = $op->{system} eq 'email' ? '' : ", undo => 'DELETE $op->{path}/{id}'";

	$undo =~ s/\?v=2//;
	($name, $thing) =
		("'$op->{name}:' || i", "'$op->{thing}' || i || '.$case\@example.com'")
		if $op->{times};
	return "dataflows.post($name, '$op->{system}', '$op->{path}',
  jsonb_build_object('email', $thing, 'to', $thing, '$op->{field}', 'basic')$undo)";
}

sub statement
{
	my ($op, $case, $verb) = @_;

	return "$verb dataflows.wait_for('$op');" unless ref $op;
	return "$verb app.helper_$case();" if $op->{helper};
	return "FOR i IN 1..$op->{times} LOOP PERFORM " . call_of($op, $case) . '; END LOOP;'
		if $op->{times};
	return "$verb " . call_of($op, $case) . ';';
}

sub function_of
{
	my ($case, $atomic, @ops) = @_;
	my $helpers = join '', map {
		"CREATE OR REPLACE FUNCTION app.helper_$case() RETURNS void\n"
			. "LANGUAGE plpgsql AS \$\$ BEGIN\n"
			. "PERFORM "
			. call_of($_, $case)
			. ";\nEND \$\$;\n"
		}
		grep { ref && $_->{helper} } @ops;
	my $verb = $atomic ? 'SELECT' : 'PERFORM';
	my $statements = join "\n", map { statement($_, $case, $verb) } @ops;

	return $helpers
		. "CREATE OR REPLACE FUNCTION app.body_$case(event jsonb) RETURNS jsonb "
		. (
		$atomic
		? "LANGUAGE sql BEGIN ATOMIC\n$statements\nSELECT event; END;\n"
		: "LANGUAGE plpgsql AS \$\$ BEGIN\n$statements\nRETURN event; END \$\$;\n");
}

# the steps of a body in their order; each but the last is followed by its wait
sub body
{
	my (%instead) = @_;

	return map { ($instead{$_} ? @{ $instead{$_} } : step($_), $wait_behind{$_} // ()) }
		qw(one two three four);
}

sub swapped
{
	my ($thing) = @_;

	return body($thing => [ step($next{$thing}) ], $next{$thing} => [ step($thing) ]);
}

# ---- the deploys ---------------------------------------------------------------------------------

# before, after: the bodies; remedy: of a run that has passed the edited place or is in it; made and
# left_out: what is made beside the four, and what is not, by where the run was
sub deploys
{
	my ($t) = @_;
	my $behind = $wait_behind{$t};
	my $other = $t eq 'three' ? 'billing' : 'crm';

	return (
		'insert' => { after => [ body($t => [ step('added', system => 'email'), step($t) ]) ],
			made => ['added'] },
		'rename' => { after => [ body($t => [ step($t, name => "$t-new") ]) ], remedy => 'rename',
			now => "$t-new" },
		'remove' => { after => [ body($t => []) ], remedy => 'accept',
			left_out => { ahead => [$t] } },
		'swap' => { after => [ swapped($t) ] },
		'loop, fewer' => {
			before => [ body($t => [ step($t, times => 2) ]) ],
			after => [ body($t => [ step($t, times => 1) ]) ],
			remedy => 'accept', only => 'passed', step => "$t:2",
			made => ["${t}1"], made_where => { passed => ["${t}2"] }, left_out => { all => [$t] } },
		'loop, more' => {
			before => [ body($t => [ step($t, times => 2) ]) ],
			after => [ body($t => [ step($t, times => 3) ]) ],
			made => [ "${t}1", "${t}2", "${t}3" ], left_out => { all => [$t] } },
		'helper' => {
			before => [ body($t => [ step($t, helper => 1) ]) ],
			after => [ body($t => [ step($t, helper => 1, name => "$t-new") ]) ],
			remedy => 'rename', now => "$t-new" },
		'atomic body' => { atomic => 1,
			after => [ body($t => [ step('added', system => 'email'), step($t) ]) ],
			made => ['added'] },
		'same name twice' => {
			after => [
				body($t => [ step($t, thing => 'added'), step($t) ])
			],
			remedy => 'rename', now => "$t#2", made => ['added'] },
		'other path' => {
			after => [ body($t =>
				[ step($t, path => Dataflows::Systems::path_of($place{$t}) . '?v=2') ]) ],
			remedy => 'accept' },
		'other system' => { after => [ body($t => [ step($t, system => $other) ]) ],
			remedy => 'accept' },
		'event renamed' => {
			after => [ map { ref || $_ ne $behind ? $_ : "$behind-new" } body() ],
			remedy => 'rename', waits => 1, only => 'passed',
			step => $behind, now => "$behind-new" },
		'argument renamed' => { after => [ body($t => [ step($t, field => 'tier') ]) ],
			remedy => 'accept' });
}

my %where = (one => 'passed', two => 'in it', three => 'ahead');
my @order = ('insert', 'rename', 'remove', 'swap', 'loop, fewer', 'loop, more', 'helper',
	'atomic body', 'same name twice', 'other path', 'other system', 'event renamed',
	'argument renamed');
my @cases;

for my $t (qw(one two three))
{
	my %deploy = deploys($t);

	for my $what (@order)
	{
		my $case = { t => $t, what => $what, where => $where{$t}, %{ $deploy{$what} } };
		my $stops = $t ne 'three' && (!$case->{only} || $case->{only} eq $case->{where});

		delete @$case{qw(remedy waits)} unless $stops;
		$case->{step} //= $t;
		($case->{id} = "${what}_$t") =~ s/\W+/_/g;
		push @cases, $case;
	}
}

sub define_all { app(join '', @_); return; }

define_all(map {
		function_of($_->{id}, $_->{atomic}, @{ $_->{before} // [ body() ] })
			. "SELECT dataflows.define_workflow('$_->{id}', 'app.body_$_->{id}');\n"
			. "SELECT dataflows.start('$_->{id}', '{}', '$_->{id}');\n"
	} @cases);

# ---- all of them are in the step "two" -----------------------------------------------------------

my $n = @cases;

ok(wait_until($node, "SELECT count(*) = $n FROM dataflows.runs WHERE waiting_for = 'first'"),
	"$n runs have done one thing and wait");
kill 'STOP', $systems->{pid};
app("SELECT dataflows.signal(run, 'first') FROM dataflows.runs");
ok( wait_until(
		$node,
		"SELECT count(*) = $n FROM dataflows.steps WHERE system = 'billing' AND state = 'sent'"),
	'and are in the second one');

# of a wait: the run is in it when it waits
my @late = grep { $_->{what} eq 'event renamed' && $_->{t} eq 'two' } @cases;
my @now = grep { $_->{what} ne 'event renamed' || $_->{t} ne 'two' } @cases;

sub deploy { return function_of($_[0]{id}, $_[0]{atomic}, @{ $_[0]{after} }); }

define_all(map { deploy($_) } @now);
is(sql("SELECT count(*) FROM dataflows.steps WHERE system = 'billing' AND state = 'sent'"),
	$n, 'when the functions are replaced');

# what replay_check() foresees while requests are in flight: no trouble that does not come, and all
# that comes.  What is only left out is found when the body returns: till then it is drifted.
for my $case (@now)
{
	my $verdict = app("SELECT verdict FROM dataflows.replay_check('$case->{id}')");
	my $may =
		$case->{where} eq 'ahead' ? 'same' : $case->{remedy} ? 'stuck|drifted' : 'same|drifted';

	like($verdict, qr/^($may)$/, "$case->{what}, $case->{where}: foreseen");
}
is(sql("SELECT count(*) FROM dataflows.steps WHERE system = 'billing' AND state = 'sent'"),
	$n, 'which changes nothing');
kill 'CONT', $systems->{pid};
ok( wait_until($node, "SELECT waiting_for = 'second' FROM dataflows.runs WHERE key = '$_->{id}'"),
	'a run waits for the event that is to be renamed')
	for @late;
define_all(map { deploy($_) } @late);
app("SELECT dataflows.signal(run, e) FROM dataflows.runs,
	unnest('{second, third, second-new, third-new}'::text[]) AS e");

# ---- what becomes of them ------------------------------------------------------------------------

sub of_case { my ($case, $what) = @_; return sql("SELECT $what WHERE key = '$case->{id}'"); }

# how often each thing of a case was made, over all systems
sub made
{
	my ($case) = @_;
	my %made;

	for my $name (Dataflows::Systems::names())
	{
		my $books = $systems->summary($name);

		for my $address (keys %$books)
		{
			$made{$1} += $books->{$address}[0] if $address =~ /^(\w+)\.\Q$case->{id}\E\@/;
		}
	}
	return \%made;
}

sub expected
{
	my ($case) = @_;
	my %left_out = %{ $case->{left_out} // {} };
	my %made = map { $_ => 1 } qw(one two three four), @{ $case->{made} // [] },
		@{ ($case->{made_where} // {})->{ $case->{where} } // [] };

	delete $made{$_} for @{ $left_out{all} // [] }, @{ $left_out{ $case->{where} } // [] };
	return \%made;
}

my %outcome;

for my $case (@cases)
{
	my $name = "$case->{what}, $case->{where}";
	my $state = !$case->{remedy} ? 'completed' : $case->{waits} ? 'waiting' : 'stuck';
	my $made;

	ok( wait_until(
			$node,
			"SELECT state = '$state' AND " . ($case->{waits} ? "waiting_for LIKE '%-new'" : 'true')
				. " FROM dataflows.runs WHERE key = '$case->{id}'", 60),
		"$name: $state");
	$outcome{ $case->{what} }{ $case->{where} } = of_case($case, 'state FROM dataflows.runs');
	$made = made($case);
	is(join(' ', grep { $made->{$_} > 1 } sort keys %$made), '', "$name: nothing is made twice");
	next if !$case->{remedy} || $case->{waits};
	like(
		of_case($case, "sqlstate || ' ' || remedy FROM dataflows.stuck"),
		qr/^DF003 .*SELECT dataflows\.(rename_step|accept_drift)\(.*SELECT dataflows\.(?!\1)\w+\(/s,
		"$name: both remedies are named");
}

for my $case (grep { $_->{remedy} } @cases)
{
	my $call =
		$case->{remedy} eq 'rename'
		? "rename_step(run, '$case->{step}', '$case->{now}')"
		: "accept_drift(run, '$case->{step}')";
	my $from = $case->{waits} ? 'runs' : 'stuck';

	is( app("SELECT dataflows.$call FROM dataflows.$from WHERE workflow = '$case->{id}'"),
		't', "$case->{what}, $case->{where}: $call");
	$outcome{ $case->{what} }{ $case->{where} } .=
		", then $case->{remedy}" . ($case->{remedy} eq 'rename' ? '_step' : '_drift');
}
for my $case (@cases)
{
	my $name = "$case->{what}, $case->{where}";

	ok( wait_until(
			$node, "SELECT state = 'completed' FROM dataflows.runs WHERE key = '$case->{id}'"),
		"$name: it completes");
	is_deeply(made($case), expected($case), "$name: all is made once");
}

# ---- what was recorded keeps its undo ------------------------------------------------------------

app("SELECT dataflows.undo(run, 'a test') FROM dataflows.runs");
ok(wait_until($node, "SELECT count(*) = $n FROM dataflows.runs WHERE state = 'rolled_back'"),
	'undo() of all');
for my $name (qw(identity billing crm))
{
	my $books = $systems->summary($name);

	is(join(' ', grep { $books->{$_}[1] > 0 } sort keys %$books), '', "nothing is left in $name");
}

my $line = '%-18s  %-32s  %-32s  %s';

diag(sprintf $line, 'deploy', 'the run has passed it', 'is in it', 'is before it');
diag(sprintf $line, $_, @{ $outcome{$_} }{ 'passed', 'in it', 'ahead' }) for @order;
is(number_of($node, 'SELECT count(*) FROM dataflows.unexplained'), 0, 'nothing is unexplained');

$node->stop;
$systems->stop;
done_testing();
