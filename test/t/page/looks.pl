# A day of a small company on the page, as a person sees it: each view at a desk, on a phone and
# in the dark.  With DF_SHOTS=<directory> it makes the pictures for the documentation.

use strict;
use warnings;

use JSON::PP;
use Test::More;
use PostgreSQL::Test::Cluster;
use PostgreSQL::Test::Utils;
use Dataflows::Browser;
use Dataflows;

my $port = PostgreSQL::Test::Cluster::get_free_port();
my $base = "http://127.0.0.1:$port/page/";
my $systems = start_systems();
my $node = new_node('looks', conf => <<"CONF");
dataflows.listen = '127.0.0.1:$port'
dataflows.ingress_role = 'hearer'
dataflows.dashboard = on
CONF

$node->safe_psql('postgres', 'CREATE ROLE hearer LOGIN');
create_systems($node, 'postgres', $systems, workflow => undef);
$node->safe_psql('postgres', slurp_file('test/fixtures/page/looks.sql'));

sub run_of
{
	return $node->safe_psql('postgres',
		"SELECT run FROM dataflows.runs WHERE key = '$_[0]' ORDER BY run DESC LIMIT 1");
}

my $browser = Dataflows::Browser->new;

sub view
{
	my ($hash) = @_;

	$browser->js('location.hash = arguments[0]', $hash);
	return $browser->wait_js(
		'return document.getElementById("main").dataset.at === location.hash'
			. ' && location.hash === arguments[0]',
		$hash);
}

$browser->look(1280, 900);
$browser->go($base);
ok($browser->sees('main h1', qr/Log in/), 'the page');
my $token = as_app($node, 'postgres', 'SELECT dataflows.dashboard_token()');

$browser->type('input[name=token]', $token);
$browser->press('Log in', 'main');
ok($browser->sees('main h1', qr/Runs/), 'the list');

# ---- the list ------------------------------------------------------------------------------

ok($browser->sees('main .chips', qr/needs a person\s+42/), 'says how many need a person');
like($browser->text('main tbody tr:first-child'), qr/\x{21bb} .*create-account.*503/s,
	'why a run is tried again');
like($browser->text('main tbody tr:first-child'), qr/in \d+ s|due/, 'and when');
$browser->shot('runs');
view('#/runs?text=GRACE%40');
ok($browser->sees('main tbody', qr/grace\@example\.com.*waiting.*for email-confirmed/s),
	'part of an address finds its run');

# ---- a run -----------------------------------------------------------------------------------

view('#/run/' . run_of('grace@example.com'));
ok($browser->sees('main .verdict', qr/Waits for email-confirmed/), 'a run that waits');
is($browser->count('main .folds .fold'), 2, 'its two long waits are folded');
# the last one ends now
like($browser->text('main .folds'), qr/^2 days\n2[56] h$/, 'which says how long they are');
my $wide = 'return [...document.querySelectorAll("main .lane .seg.work")].map(s => s.offsetWidth)';

cmp_ok((sort { $a <=> $b } @{ $browser->js($wide) })[1],
	'>', 20, 'so that work of a tenth of a second beside three days is seen');
$browser->shot('run-waits');
$browser->click('main .step:nth-of-type(2) > summary');
ok($browser->sees('main .opened', qr/Attempts that failed/), 'a step opens');
like($browser->text('main .opened'), qr/Accept-Language: en/, 'to the headers that it sent');
like($browser->text('main .opened'), qr/X-Api-Key: \(not shown\)/, 'without what may be secret');
unlike($browser->text('main'), qr/k_1/, 'anywhere');
like($browser->text('main .opened'), qr/x-request-id: r-8841/, 'and to those that came back');
$browser->click('main .opened .copy');
ok($browser->sees('main .opened', qr/Copied|Selected/), 'what is there can be copied');
$browser->shot('run-step');
view('#/run/' . run_of('bob@example.com'));
ok( $browser->sees(
		'main .verdict', qr/Failed: .*402 from billing: "card declined".*2 of 2 steps undone/s),
	'a run that was undone says why first');
is($browser->count('main .lane .seg.undo'), 2, 'and shows each undo');
my $overlap = <<'JS';
const boxes = [...document.querySelectorAll('main .lane .seg.undo')]
	.map(s => s.getBoundingClientRect());
return Math.min(boxes[0].right, boxes[1].right) - Math.max(boxes[0].left, boxes[1].left);
JS
cmp_ok($browser->js($overlap), '<', 2, 'in its own time');
$browser->shot('run-undone');
view('#/run/' . run_of('week 48'));
ok($browser->sees('main .verdict', qr/The run that it has called: part-3/), 'a parent');
$browser->press('part-3', 'main .verdict');
ok($browser->sees('main .crumbs', qr/called by week 48 \(weekly-digest\)/), 'and its child');
view('#/run/' . run_of('cleo@example.org'));
ok($browser->sees('main .verdict', qr/Needs a person: .*in doubt/), 'a run in doubt');
$browser->press('Resolve', 'main .verdict');
is($browser->count('dialog input[type=radio]:checked'), 0, 'no answer is chosen beforehand');
like(
	$browser->text('dialog'),
	qr/If it was carried out, it is there twice then/,
	'each is explained');
$browser->shot('resolve');
$browser->key('Escape');

# ---- what needs a person, systems ---------------------------------------------------------------

view('#/needs');
ok($browser->sees('main', qr/40 runs of monthly-invoice.*Give the system new credentials/s),
	'forty runs, one reason, one remedy');
$browser->press('Cancel and undo all 40', 'main');
is($browser->js('return document.activeElement.name'),
	'note', 'a dangerous dialog asks before it does');
$browser->key('Escape');
is($browser->count('main section.need'), 3, 'each reason once');
$browser->shot('needs');
view('#/systems?range=86400');
ok($browser->wait_js('return document.querySelectorAll("main canvas").length === 4'), 'charts');
like(
	$browser->js('return document.querySelector("main .plot").getAttribute("aria-label")'),
	qr/Runs that ended or got stuck: 46\d runs/,
	'in words, too');
$browser->js(<<'JS');
const over = document.querySelector('main .u-over'), box = over.getBoundingClientRect();
for (const type of ['mouseenter', 'mousemove'])
	over.dispatchEvent(new MouseEvent(type, { bubbles: true, clientX: box.left + box.width / 2,
		clientY: box.top + 20 }));
JS
ok($browser->sees('main .tip', qr/completed: \d+/), 'a column tells its numbers');
$browser->shot('systems');
view('#/systems?range=900');
ok($browser->wait_js('return document.querySelectorAll("main canvas").length === 4'),
	'charts of short columns');
is_deeply($browser->js(<<'JS'), [ 1, 0 ], 'show each value that has no neighbour');
let seen = 0, lost = 0;
for (const { plot } of [...document.querySelectorAll('main .plot')].slice(1)) {
	const { width, height } = plot.ctx.canvas;
	const pixels = plot.ctx.getImageData(0, 0, width, height).data;
	plot.data.slice(1).forEach(values => values.forEach((value, i) => {
		if (value == null || values[i - 1] != null || values[i + 1] != null) return;
		const x = Math.round(plot.valToPos(plot.data[0][i], 'x', true));
		const from = 4 * (Math.round(plot.valToPos(value, 'y', true)) * width + x);
		const [r, g, b] = pixels.slice(from, from + 3);
		seen++;
		if (Math.max(r, g, b) - Math.min(r, g, b) < 60) lost++;
	}));
}
return [Math.min(seen, 1), lost];
JS
view('#/workflows');
ok($browser->sees('main', qr/customer-onboarding.*version 1/s), 'workflows');
$browser->shot('workflows');

# ---- on a phone, and in the dark -------------------------------------------------------------

my %phone = (runs => '#/runs', run => '#/run/' . run_of('grace@example.com'), needs => '#/needs',
	systems => '#/systems?range=86400', workflows => '#/workflows');

$browser->look(390, 844);
for my $name (sort keys %phone)
{
	view($phone{$name});
	cmp_ok($browser->js('return document.documentElement.scrollWidth'),
		'<=', 390, "$name fits a phone");
	cmp_ok($browser->js('return document.getElementById("top").offsetHeight'),
		'<', 70, 'whose head is small');
	$browser->shot("phone-$name");
}
ok(!$browser->js('return document.getElementById("nav").offsetHeight'), 'the views are put away');
$browser->press('Menu 42', 'header');
ok($browser->js('return document.getElementById("nav").offsetHeight > 0'), 'behind a button');
$browser->press('Needs a person 42', 'header');
ok($browser->sees('main h1', qr/Needs a person/) && $browser->wait_js(
		'return !document.getElementById("nav").offsetHeight'), 'which closes by itself');
$browser->look(1280, 900, 'dark');
for my $name (qw(runs run needs systems))
{
	view($phone{$name});
	$browser->wait_js('return document.documentElement.classList.contains("dark")');
	$browser->shot("dark-$name");
}
pass('and there is the dark');
is(join("\n", grep { !/status of 401/ } $browser->complaints),
	'', 'the browser complained of nothing');
undef $browser;
$node->stop;
done_testing();
