# The page in a real browser: logging in, looking, acting, and that everybody can.
# With DF_SHOTS=<directory> there are pictures to look at.

use strict;
use warnings;

use IO::Socket::INET;
use JSON::PP;
use Test::More;
use PostgreSQL::Test::Cluster;
use Dataflows::Browser;
use Dataflows;

my $port = PostgreSQL::Test::Cluster::get_free_port();
my $base = "http://127.0.0.1:$port/page/";
my $systems = start_systems();
my $node = new_node('browser', conf => <<"CONF");
dataflows.listen = '127.0.0.1:$port'
dataflows.ingress_role = 'hearer'
dataflows.dashboard = on
dataflows.undo_for = '2s'
CONF

sub sql { return $node->safe_psql('postgres', $_[0]); }
sub app { return as_app($node, 'postgres', $_[0]); }

sub state_is
{
	return wait_until($node, "SELECT state = '$_[1]' FROM dataflows.runs WHERE run = '$_[0]'");
}

sql('CREATE ROLE hearer LOGIN');
create_systems($node, 'postgres', $systems);
app(<<'SQL');
CREATE FUNCTION app.rounds(event jsonb) RETURNS jsonb LANGUAGE plpgsql AS $$
DECLARE i int := (event->>'i')::int;
BEGIN
  PERFORM dataflows.post('make', 'crm', '/contacts', jsonb_build_object('email', event->>'email',
    'i', i), undo => 'DELETE /contacts/{id}');
  IF i = 3 THEN RAISE EXCEPTION 'round 3 is bad'; END IF;
  RETURN dataflows.continue_with(event || jsonb_build_object('i', i + 1));
END $$;
SELECT dataflows.define_workflow('rounds', 'app.rounds');
CREATE FUNCTION app.hostile(event jsonb) RETURNS jsonb LANGUAGE plpgsql AS $$
BEGIN
  PERFORM dataflows.wait_for('<img src=x onerror=hacked=1>', timeout => '1 hour');
  RETURN NULL;
END $$;
SELECT dataflows.define_workflow('<script>hacked=1</script>', 'app.hostile');
CREATE FUNCTION app.breaks(event jsonb) RETURNS jsonb LANGUAGE plpgsql AS $$ BEGIN PERFORM nosuch();
  RETURN NULL; END $$;
SELECT dataflows.define_workflow('breaks', 'app.breaks');
CREATE FUNCTION app.many(event jsonb) RETURNS jsonb LANGUAGE plpgsql AS $$
BEGIN
  FOR i IN 1 .. 450 LOOP PERFORM dataflows.once('part-' || i, 'SELECT 1'); END LOOP;
  RETURN '"all of them"';
END $$;
SELECT dataflows.define_workflow('many', 'app.many');
CREATE FUNCTION app.waits(event jsonb) RETURNS jsonb LANGUAGE plpgsql AS $$ BEGIN
  RETURN dataflows.wait_for('go'); END $$;
SELECT dataflows.define_workflow('waits', 'app.waits');
SELECT count(dataflows.start('waits', '{}', 'waiting-' || i)) FROM generate_series(1, 60) i;
SQL

# a run of each kind that there is something to see of
$systems->fault('billing', status => 503, times => 2);
app(q(INSERT INTO app.signups (email, name) VALUES ('ada@example.com', 'Ada <b>L</b>')));
my $ada = sql("SELECT run FROM dataflows.runs WHERE workflow = 'customer-onboarding'");
my $hostile = app(
	q(SELECT dataflows.start('<script>hacked=1</script>',
		'{"<img src=x onerror=hacked=1>": "<script>hacked=1</script>"}',
		'"><img src=x onerror=hacked=1>'))
);
my $breaks = app("SELECT dataflows.start('breaks', '{}', 'broken')");
my $many = app("SELECT dataflows.start('many', '{}', 'many')");

ok( wait_until(
		$node, "SELECT waiting_for = 'email-confirmed' FROM dataflows.runs WHERE run = '$ada'"),
	'a customer is asked to confirm');
$systems->fault('crm', match => { method => 'DELETE' }, status => 422, times => 3);
my $rounds =
	app(q(SELECT dataflows.start('rounds', '{"i": 1, "email": "rounds@example.com"}', 'rounds')));

ok(state_is($rounds, 'stuck'), 'a run of rounds cannot be undone');
ok(state_is($breaks, 'stuck') && state_is($many, 'completed') && state_is($hostile, 'waiting'),
	'and others are there');

my $browser = Dataflows::Browser->new;
my @views = qw(runs needs systems workflows ways);
my %title = (
	runs => 'Runs',
	needs => 'Needs a person',
	systems => 'Systems',
	workflows => 'Workflows',
	ways => 'Webhooks and schedules');

sub view
{
	my ($name) = @_;
	$browser->go("$base#/$name");
	return $browser->wait_js(
		'return document.querySelector("main").dataset.at === location.hash '
			. '&& !document.querySelector("main form[method=post]")');
}

# ---- logging in ---------------------------------------------------------------------------

my $token = app('SELECT dataflows.dashboard_token()');

$browser->look(1280, 900);
$browser->go($base);
ok($browser->sees('main h1', qr/^Log in$/), 'who is not logged in is asked to');
$browser->shot('login');
is($browser->name_of('input[name=token]'), 'Token', 'the field has a name');
is($browser->js('return document.activeElement.name'), 'token', 'and the focus');
$browser->type('input[name=token]', 'f' x 64);
$browser->press('Log in', 'main');
ok($browser->sees('#notice', qr/this token is not valid/), 'a wrong token is told so');
$browser->complaints;    # the 401s of these
$browser->type('input[name=token]', $token);
$browser->press('Log in', 'main');
ok($browser->sees('main h1', qr/^Runs$/), 'a good one shows the runs');
is($browser->text('#who'), 'app @ postgres', 'and whose');
unlike($browser->url, qr/$token/, 'it is in no URL');
is($browser->js('return document.cookie + localStorage.length + sessionStorage.length'),
	'00', 'and nowhere that a script could read');

# ---- the list ------------------------------------------------------------------------------

is($browser->count('main tbody tr'), 50, 'the newest fifty');
$browser->shot('runs');
$browser->press('Older', 'main');
ok($browser->sees('main tbody', qr/waiting-1\b/), 'older ones');
$browser->press('Newest', 'main');
ok($browser->wait_js('return document.querySelectorAll("main tbody tr").length === 50'),
	'and back');
ok($browser->sees('main .chips', qr/waiting\s+62\b/), 'how many there are of each state');
$browser->click('main .chips a[href="#/runs?state=stuck"]');
ok($browser->wait_js('return document.querySelectorAll("main tbody tr").length === 2'),
	'one of them leads to these');
ok($browser->sees('main tbody', qr/nosuch\(\) does not exist/), 'with the reason');
view('runs');
$browser->choose('main select[name=workflow]', 'breaks');
ok($browser->wait_js('return document.querySelectorAll("main tbody tr").length === 1'),
	'a workflow is a choice');
like($browser->url, qr/workflow=breaks/, 'which is in the address');

sub find
{
	my ($text) = @_;

	view('runs');
	$browser->type('input[name=text]', $text);
	$browser->press('Find', 'main');
	return $browser->wait_js('const main = document.querySelector("main");'
			. 'return main.dataset.at === location.hash && !/Looking/.test(main.innerText)');
}

find('waiting-3');
ok($browser->sees('main tbody', qr/waiting-3\b/) && $browser->count('main tbody tr') == 11,
	'search by a part of the key');
find('ADA@exam');
ok($browser->sees('main tbody', qr/customer-onboarding/) && $browser->count('main tbody tr') == 1,
	'by a part of an address in the input');
find('onboard');
ok($browser->sees('main', qr/Workflows: customer-onboarding/), 'a workflow by a part of its name');
is($browser->count('main tbody tr'), 1, 'with its runs');
find('nobody knows');
ok($browser->sees('main', qr/No run matches/), 'and nothing by what is not there');
find($ada);
ok($browser->sees('main h1', qr/customer-onboarding/), 'search by id');

# ---- one run, live ------------------------------------------------------------------------------

ok($browser->sees('main .verdict', qr/Waits for email-confirmed/), 'a run says what it waits for');
is($browser->text('main h1'), '1 customer-onboarding', 'its title is its key and workflow');
is($browser->count('main .step'), 4, 'its steps over time');
is($browser->count('main .step:nth-of-type(2) .seg.retry'), 2, 'with the two attempts that failed');
$browser->shot('run');
$browser->click('main .step:nth-of-type(2) > summary');
ok( $browser->sees(
		'main .step[open]',
		qr/Sent.*"email": "ada\@example.com".*Answered.*Status 201.*"id": .*503/s),
	'a step opens to what it sent, what was answered, and its attempts');
like($browser->text('main .step[open]'), qr/Idempotency key\s+[0-9a-f-]{36}/, 'and the key');
$browser->shot('run-step');
$browser->press('Signal', 'main');
is($browser->name_of('dialog'), 'Signal 1 (customer-onboarding)', 'a dialog names the run');
is($browser->js('return document.activeElement.name'), 'payload', 'and takes the focus');
$browser->type('dialog [name=payload]', 'no json');
$browser->shot('dialog');
$browser->press('Signal', 'dialog');
ok($browser->sees('dialog [role=alert]', qr/invalid input syntax for type json/),
	'what cannot be is said in the dialog');
$browser->type('dialog [name=payload]', '{"from": "the page"}');
$browser->press('Signal', 'dialog');
ok($browser->sees('main .verdict', qr/Completed in/),
	'a signal from the page lets it go on, and the page follows by itself');
is($browser->count('main .step[open]'), 1, 'what was open stays open');
is($systems->live('ada@example.com'),
	'1/1/1/1', 'the customer is whole, by the books of the systems');
ok($browser->sees('main', qr/signal email-confirmed.*app.*"from":\s*"the page"/s),
	'and it is recorded');
$browser->press('Undo', 'main');
like(
	$browser->text('dialog'),
	qr/in this order:\s+create-crm-contact: DELETE \/contacts.*create-billing: DELETE/s,
	'before something is undone, the page says what, and in which order');
$browser->key('Escape');
sql(q(SELECT dataflows.signal(run, 'go', '"by SQL"') FROM dataflows.runs WHERE key = 'waiting-7'));
view('run/' . sql("SELECT run FROM dataflows.runs WHERE key = 'waiting-7'"));
ok($browser->sees('main .verdict', qr/Completed/), 'and so does what is done elsewhere');
view("run/$many");
ok($browser->wait_js('return document.querySelectorAll("main .step").length === 450'),
	'a run of many steps is shown whole');

# ---- what needs a person -------------------------------------------------------------------------

view('needs');
ok($browser->sees('main', qr/nosuch\(\) does not exist/), 'the work list says why');
is($browser->text('#nav .badge'), '2', 'and the navigation how many');
is($browser->count('main section[aria-label=make] .rows li'), 3, 'what could not be undone');
$browser->shot('needs');
my $row = 'main section[aria-label=make] .rows li:nth-child(1)';

# by keys alone, from the beginning of the page
sub tab_to
{
	my ($what) = @_;

	for (1 .. 60)
	{
		$browser->key('Tab');
		return 1 if $browser->js("const e = document.activeElement; return $what");
	}
	return 0;
}

$browser->go("$base?keys#/needs");
ok($browser->sees("$row button", qr/Resolve/), 'by keyboard alone');
ok(tab_to("e.matches('$row button')"), 'the first thing to resolve is reached');
$browser->key('Enter');
is($browser->name_of('dialog'),
	'Resolve step ' . sql("SELECT step FROM dataflows.pending_undo ORDER BY n DESC LIMIT 1")
		. ' of rounds (rounds)',
	'a dialog names the step and its run');
like(
	$browser->text('dialog'),
	qr/Why: .*status 422.*The step itself was answered: status 201/s,
	'and says what the undo was answered apart from what the step was');
is($browser->count('dialog [name=output]'), 0, 'an undo has no output');
is($browser->count('dialog input:checked'), 0, 'nothing is chosen beforehand');
ok(tab_to("e.innerText === 'Resolve' && !!e.closest('dialog')"), 'its button is reached');
$browser->key('Enter');
is($browser->count('dialog'), 1, 'without an answer nothing is asked for');
ok( $browser->js('return document.activeElement.name === "outcome"'),
	'the browser leads to what is missing');
$browser->key(' ');
ok(tab_to("e.name === 'note'"), 'the note is reached');
$browser->keys('deleted by hand');
ok(tab_to("e.innerText === 'Resolve' && !!e.closest('dialog')"), 'and the button again');
$browser->key('Enter');
ok($browser->sees('#notice', qr/Resolve: asked for/), 'with one, and a note, it is, by keys alone');
is( sql("SELECT outcome || ' ' || note || ' ' || sent_by FROM dataflows.requests
	WHERE run = '$rounds'"
	),
	'undone deleted by hand app',
	'and recorded');
ok( $browser->wait_js(
		'return document.querySelectorAll("main section[aria-label=make] .rows li").length === 2'),
	'it leaves the list');
$browser->press('Abandon', 'main section:last-of-type');
$browser->key('Escape');
ok($browser->wait_js('return !document.querySelector("dialog")'), 'Escape goes back');
is(sql("SELECT count(*) FROM dataflows.requests WHERE request = 'abandon'"),
	'0', 'and asks for nothing');
view("run/$rounds");
ok($browser->sees('main .verdict', qr/Needs a person.*make/s), 'the run says what is the matter');
$browser->press('Retry', 'main');
$browser->type('dialog [name=note]', 'the CRM is mended');
$browser->press('Retry', 'dialog');
ok($browser->sees('main .verdict', qr/Failed: round 3 is bad/),
	'retry with a note undoes the rest');
ok($browser->count('main .seg.undo') >= 2, 'which is in the picture');
is($systems->live('rounds@example.com'), '0/0/1/0', 'but what was settled by hand');
$browser->press('Start again', 'main');
like(
	$browser->text('dialog'),
	qr/Start rounds \(rounds\) again\?/,
	'a run that failed is begun anew');
$browser->press('Start again', 'dialog');
ok( $browser->wait_js('return location.hash.startsWith("#/run/") && !location.hash.includes('
			. "'$rounds')"),
	'which leads to the new one');
ok($browser->sees('main', qr/Restarted from\s+rounds/), 'that names the first');
view('workflows');
$browser->press('Pause', 'main table tbody tr:first-child');
$browser->type('dialog [name=note]', 'a deploy');
$browser->press('Pause', 'dialog');
ok($browser->sees('main', qr/paused/), 'a workflow is paused');
is(sql("SELECT note FROM dataflows.requests WHERE request = 'pause'"),
	'a deploy', 'with the reason');
$browser->press('Resume', 'main');
$browser->press('Resume', 'dialog');
ok($browser->wait_js('return !/paused/.test(document.querySelector("main").innerText)'),
	'and goes on');

# ---- many at once --------------------------------------------------------------------------------

app("SELECT count(dataflows.start('breaks', '{}', 'bad-' || i)) FROM generate_series(1, 39) i");
view('needs');
ok($browser->sees('main', qr/40 runs of breaks/), 'forty runs are stuck for one reason');
app(<<'SQL');
CREATE OR REPLACE FUNCTION app.breaks(event jsonb) RETURNS jsonb LANGUAGE plpgsql AS $$ BEGIN
  RETURN '"mended"'; END $$;
SQL
$browser->press('Retry all 40', 'main');
like($browser->text('dialog'), qr/Retry 40 runs of breaks\?.*nosuch/s, 'the dialog says which');
$browser->press('Retry all 40', 'dialog');
ok($browser->sees('#notice', qr/Retry all 40: 40 runs/), 'all are retried');
ok($browser->sees('main', qr/Nothing needs a person/), 'and nothing needs a person any more');
ok($browser->wait_js('return !document.querySelector("#nav .badge")'),
	'nor does the navigation say so');

# ---- the list stays still ------------------------------------------------------------------------

sub start_one
{
	my ($key) = @_;

	app("SELECT dataflows.start('waits', '{}', '$key')");
	return;
}

view('runs');
start_one('newest');
ok($browser->sees('main tbody', qr/newest/), 'a run comes into the list while it is looked at');
$browser->js(<<'JS');
window.chosen = document.querySelector('main tbody tr:nth-child(3) a');
getSelection().selectAllChildren(window.chosen);
JS
start_one('while-selecting');
ok($browser->sees('#live', qr/Held/), 'while something is selected, the list says that it waits');
unlike($browser->text('main tbody'), qr/while-selecting/, 'and stays as it is');
is( $browser->js('return getSelection().toString() === window.chosen.innerText '
		. '&& window.chosen.isConnected'),
	JSON::PP::true(),
	'so that the selection can be copied');
$browser->js('getSelection().removeAllRanges()');
ok($browser->sees('main tbody', qr/while-selecting/), 'then it goes on');
$browser->click('#live');
start_one('while-paused');
ok($browser->sees('#live', qr/Paused, newer is there/), 'who pauses it is told of newer runs');
unlike($browser->text('main tbody'), qr/while-paused/, 'which are not shown');
$browser->click('#live');
ok($browser->sees('main tbody', qr/while-paused/), 'until then');
$browser->js('document.querySelector("main tbody a").focus()');
start_one('while-focused');
ok($browser->sees('main tbody', qr/while-focused/), 'a run comes while a link has the focus');
is($browser->js('return document.activeElement.innerText'), 'while-paused', 'which keeps it');
$browser->type('input[name=text]', 'half a k');
start_one('while-typing');
ok($browser->sees('main tbody', qr/while-typing/), 'another one');
is($browser->js('return document.querySelector("input[name=text]").value'),
	'half a k', 'who types is not disturbed');
$browser->click('main tbody tr:nth-child(1) input');
$browser->click('main tbody tr:nth-child(2) input');
$browser->press('Cancel and undo 2', 'main .bulk');
like($browser->text('dialog'), qr/while-typing.*while-focused/s, 'several can be chosen');
$browser->press('Cancel and undo 2', 'dialog');
ok(wait_until($node, "SELECT count(*) = 2 FROM dataflows.runs WHERE state = 'cancelled'"),
	'and cancelled');
ok($browser->sees('main tbody', qr/cancelled/), 'the list goes on');
is($browser->count('main .bulk'), 0, 'and what was done is chosen no more');
$browser->click('main tbody tr:nth-child(3) input');
view('runs?state=waiting');
is($browser->count('main .bulk'), 0, 'nothing stays chosen that other filters hide');

# ---- what is hostile is text ---------------------------------------------------------------------

for my $where (
	'runs?text=' . '%22%3E%3Cimg%20src%3Dx%20onerror%3Dhacked%3D1%3E', "run/$hostile",
	'workflows', 'needs')
{
	view($where);
	ok($browser->wait_js('return document.querySelector("main").innerText.length > 40'),
		"$where is drawn");
	is( $browser->js(
				  'return window.hacked === undefined && !document.querySelector("main img, main '
				. 'script, main b")'),
		JSON::PP::true(),
		'without running or drawing what came from outside');
}
ok($browser->sees('main', qr/Needs a person/), 'a link to another view works');
my $turned = app("SELECT dataflows.start('waits', '{}', E'x\\u202Egnp.y')");

view("run/$turned");
$browser->press('Cancel and undo', 'main');
is($browser->text('dialog h2'),
	'Cancel x\u202egnp.y (waits)?', 'a key does not turn what the dialog says');
$browser->js('window.kept = fetch; window.fetch = () => Promise.reject(new TypeError("dropped"))');
$browser->press('Cancel and undo', 'dialog');
ok($browser->sees('dialog [role=alert]', qr/may have been asked for/),
	'a connection that dropped tells nothing of what was done');
$browser->js('window.fetch = window.kept');
$browser->press('Back', 'dialog');
is(join("\n", grep { !/status of 400|status of 401/ } $browser->complaints),
	'', 'the browser complained of nothing: no script failed, the policy was not touched');

# ---- everybody can -------------------------------------------------------------------------------

# elements whose text is too faint on what is behind it: WCAG AA asks for 4.5, or 3 if it is large
my $faint = <<'JS';
const parse = c => {
	const m = c.match(/[\d.]+/g).map(Number);
	return { c: m.slice(0, 3), a: m.length > 3 ? m[3] : 1 };
};
const lum = c => {
	const [r, g, b] = c.map(v => (v /= 255) <= .03928 ? v / 12.92 : ((v + .055) / 1.055) ** 2.4);
	return .2126 * r + .7152 * g + .0722 * b;
};
const behind = e => {
	for (; e; e = e.parentElement) {
		const b = parse(getComputedStyle(e).backgroundColor);
		if (b.a === 1) return b.c;
	}
	return [255, 255, 255];
};
const bad = [];
for (const e of document.body.querySelectorAll('*')) {
	const own = [...e.childNodes].some(n => n.nodeType === 3 && n.textContent.trim());
	const s = getComputedStyle(e);
	if (!own || s.visibility === 'hidden' || !e.getClientRects().length) continue;
	const front = parse(e.namespaceURI.includes('svg') ? s.fill : s.color).c;
	const [a, b] = [lum(front), lum(behind(e))].sort((x, y) => y - x);
	const size = parseFloat(s.fontSize);
	const need = size >= 24 || (size >= 18.66 && s.fontWeight >= 600) ? 3 : 4.5;
	const ratio = (a + .05) / (b + .05);
	if (ratio < need)
		bad.push(e.tagName + ' ' + e.textContent.trim().slice(0, 30) + ' ' + ratio.toFixed(2));
}
return bad;
JS

# controls without a name, pictures without words, tables without heads, ids twice, headings that
# skip a level
my $mute = <<'JS';
const bad = [];
const labelledby = e => e.getAttribute('aria-labelledby');
const name = e => e.getAttribute('aria-label')
	|| (labelledby(e) && document.getElementById(labelledby(e))?.textContent)
	|| (e.labels && [...e.labels].map(l => l.textContent).join(' ').trim())
	|| e.innerText?.trim() || e.closest('.step')?.querySelector('.name').textContent || e.title;
for (const e of document.querySelectorAll('button,a,input,select,textarea,dialog,summary'))
	if (!name(e)) bad.push('no name: ' + e.outerHTML.slice(0, 80));
for (const e of document.querySelectorAll('svg'))
	if (!(e.getAttribute('role') === 'img' && e.getAttribute('aria-label')))
		bad.push('a picture without words');
for (const t of document.querySelectorAll('table'))
	if (!t.querySelector('th[scope=col]') || !name(t)) bad.push('a table without heads or name');
const ids = [...document.querySelectorAll('[id]')].map(e => e.id);
if (new Set(ids).size !== ids.length) bad.push('an id twice');
const levels = [...document.querySelectorAll('h1,h2,h3,h4')].map(h => +h.tagName[1]);
if (levels[0] !== 1 || levels.filter(l => l === 1).length !== 1) bad.push('not one first heading');
levels.forEach((l, i) => { if (i && l > levels[i - 1] + 1) bad.push('a heading skips a level'); });
const scrolls = e => e.scrollWidth > e.clientWidth + 1
	&& /auto|scroll/.test(getComputedStyle(e).overflowX);
for (const e of document.querySelectorAll('main *'))
	if (scrolls(e) && e.tabIndex < 0 && !e.querySelector('a,button'))
		bad.push('cannot be scrolled by keys: ' + e.className);
if (!document.documentElement.lang || !document.title || !document.querySelector('main')
	|| !document.querySelector('nav[aria-label]'))
	bad.push('a landmark is missing');
for (const e of document.querySelectorAll('button,nav a,select,input')) {
	const r = e.getBoundingClientRect();
	if (r.width && (r.height < 24 || r.width < 24))
		bad.push('too small to touch: ' + e.outerHTML.slice(0, 60));
}
return bad;
JS

my $axe = Dataflows::Browser::axe_source();

for my $kind ([ 'light', 1280, 900 ], [ 'dark', 1280, 900 ], [ 'phone', 360, 740 ])
{
	my ($what, $width, $height) = @$kind;

	$browser->look($width, $height, $what eq 'dark' ? 'dark' : 'light');
	for my $where (@views, "run/$ada", "run/$rounds")
	{
		my ($name) = $where =~ /^(\w+)/;

		view($where);
		ok($browser->sees('main h1', $title{$where} ? qr/^$title{$where}$/ : qr/onboarding|rounds/),
			"$name, $what");
		$browser->js('document.querySelectorAll("main details").forEach((d, i) => d.open = i < 2)');
		ok( $browser->wait_js(
				'return !/Reading what/.test(document.querySelector("main").innerText)'),
			'read');
		is_deeply($browser->js($faint), [], 'everything can be read');
		is_deeply($browser->js($mute), [], 'everything has a name');
	SKIP:
		{
			skip 'axe-core is not there: npm cannot fetch it, and DF_AXE names no file', 1
				unless $axe;
			is_deeply($browser->axe($axe), [], 'axe-core finds nothing');
		}
		cmp_ok($browser->js('return document.documentElement.scrollWidth'),
			'<=', $width, 'nothing hangs over the side');
		$browser->shot("$what-" . ($where eq "run/$rounds" ? 'undone' : $name));
	}
}
$browser->look(1280, 900, 'light');
$browser->go("$base?anew");
ok($browser->sees('main h1', qr/^Runs$/), 'who is logged in is so after a reload');
$browser->click('#theme');
$browser->go("$base?again");
ok( $browser->sees('main h1', qr/^Runs$/)
		&& $browser->js('return document.documentElement.classList.contains("dark")'),
	'and dark stays dark for who has chosen it');
$browser->click('#theme');
$browser->go("$base?anew");
ok( $browser->sees('main h1', qr/^Runs$/)
		&& !$browser->js('return document.documentElement.classList.contains("dark")'),
	'until it is light again');
$browser->key('Tab');
is( $browser->js('return document.activeElement.innerText'),
	'Skip to the content',
	'the first key leads past the links');
my %reached;

for (1 .. 25)
{
	$browser->key('Tab');
	$reached{ $browser->js('return document.activeElement.name || document.activeElement.innerText')
			// '' } = 1;
}
ok($reached{$_}, "by keys: $_") for 'Runs', 'Systems', 'Log out', 'text', 'workflow', 'Find';
# ---- without a stream it asks again and again ----------------------------------------------------

$browser->go('about:blank');
my $own = app('SELECT dataflows.dashboard_token()');
my @streams = map {
	my $socket = IO::Socket::INET->new(PeerAddr => "127.0.0.1:$port") or die "no stream: $!";

	print $socket "GET /page/live?q=me HTTP/1.1\r\nHost: x\r\nCookie: dataflows=$own\r\n\r\n";
	sysread($socket, my $head, 100) or die 'no answer';
	die $head if $head !~ /^HTTP\/1.1 200/;
	$socket
} 1 .. 16;

$browser->go("$base?asking");
$browser->press('Log out', 'header');
ok($browser->sees('main h1', qr/^Log in$/), 'logged out');
$browser->type('input[name=token]', $own);
$browser->press('Log in', 'main');
ok($browser->sees('main h1', qr/^Runs$/), 'who gets no stream any more sees the page, too');
start_one('asked-for');
ok($browser->sees('main tbody', qr/asked-for/), 'and what is new');
close $_ for @streams;
$browser->go("$base?again-told");
ok($browser->sees('main h1', qr/^Runs$/), 'and is told again when there is one');
$browser->complaints;    # the 503 of the stream

# ---- the server goes away, the log-in ends -------------------------------------------------------

view('systems');
$node->stop('immediate');
ok($browser->sees('#notice', qr/cannot be reached/), 'a server that is away is told');
$node->start;
ok($browser->wait_js('return document.getElementById("notice").textContent === ""'),
	'and that it is back');
$browser->complaints;
view("run/$hostile");
$browser->press('Signal', 'main');
is(app('SELECT dataflows.revoke_dashboard_tokens()'), '2', 'the tokens end');
ok($browser->sees('main h1', qr/^Log in$/), 'who is logged in is asked to log in');
is($browser->count('dialog'), 0, 'and no dialog is left');
is( $browser->js(
			  'return document.getElementById("nav").hidden && '
			. 'document.getElementById("who").textContent === ""'),
	JSON::PP::true(),
	'nor anything of before');

undef $browser;
$node->stop;
done_testing();
