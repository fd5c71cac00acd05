# The page's back end: who sees and may do what, and what every answer carries.

use strict;
use warnings;

use Digest::SHA qw(sha256_hex);
use HTTP::Tiny;
use JSON::PP;
use Test::More;
use Time::HiRes qw(time usleep);
use PostgreSQL::Test::Cluster;
use PostgreSQL::Test::Utils;
use Dataflows;

my $port = PostgreSQL::Test::Cluster::get_free_port();
my $base = "http://127.0.0.1:$port";
my $node = new_node('page', conf => <<"CONF");
dataflows.listen = '127.0.0.1:$port'
dataflows.ingress_role = 'hearer'
dataflows.sweep_interval = '1s'
CONF
my $http = HTTP::Tiny->new(timeout => 10, max_redirect => 0);

$node->safe_psql('postgres', <<'SQL');
CREATE ROLE hearer LOGIN;
CREATE EXTENSION dataflows;
CREATE ROLE app LOGIN;
CREATE ROLE other LOGIN;
CREATE ROLE caller LOGIN;
CREATE SCHEMA app AUTHORIZATION app;
GRANT USAGE ON SCHEMA app TO caller;
GRANT EXECUTE ON FUNCTION dataflows.define_workflow TO app, other;
SQL
as_app($node, 'postgres', <<'SQL');
CREATE FUNCTION app.waits(event jsonb) RETURNS jsonb LANGUAGE plpgsql AS $$ BEGIN
  RETURN dataflows.wait_for('go'); END $$;
CREATE FUNCTION app.named(event jsonb) RETURNS jsonb LANGUAGE plpgsql AS $$ BEGIN
  PERFORM dataflows.alias('invoice-9');
  RETURN dataflows.wait_for('go'); END $$;
CREATE FUNCTION app.breaks(event jsonb) RETURNS jsonb LANGUAGE plpgsql AS $$ BEGIN PERFORM nosuch();
  RETURN NULL; END $$;
SELECT dataflows.define_workflow('waits', 'app.waits'),
  dataflows.define_workflow('<script>alert(1)</script>', 'app.breaks');
SELECT dataflows.allow('waits', 'caller', 'start', 'signal', 'cancel');
SELECT dataflows.start('waits', '{"secret": "only for app"}', 'key-' || i)
  FROM generate_series(1, 120) i;
SELECT dataflows.start('<script>alert(1)</script>', '{}', 'broken');
SQL
ok( wait_until(
		$node, "SELECT count(*) = 121 FROM dataflows.runs WHERE state IN ('waiting', 'stuck')"),
	'some runs');

my %jar;

sub ask
{
	my ($role, $method, $path, $body, %headers) = @_;
	my $answer = $http->request(
		$method,
		"$base$path",
		{
			headers => {
				($role && $jar{$role} ? (cookie => "dataflows=$jar{$role}") : ()),
				($method eq 'POST'    ? ('x-dataflows' => 1)                : ()),
				%headers
			},
			(defined $body ? (content => ref $body ? encode_json($body) : $body) : ())
		});

	$answer->{json} = eval { decode_json($answer->{content}) };
	return $answer;
}

sub get
{
	my ($role, $path) = @_;
	my $answer = ask($role, 'GET', "/page/api/$path");

	die "$path: $answer->{content}" if $answer->{status} != 200;
	return $answer->{json};
}

sub token
{
	my ($role, $expires) = @_;
	return $node->safe_psql(
		'postgres',
		'SELECT dataflows.dashboard_token(' . ($expires ? "'$expires'" : '') . ')',
		extra_params => [ '-U', $role ]);
}

# ---- off --------------------------------------------------------------------------------

my $end = time() + 20;

usleep(20_000) while time() < $end && $http->get("$base/ready")->{status} != 200;
is(ask(undef, 'GET', $_)->{status}, 404, "$_ is not there by default")
	for qw(/page /page/ /page/app.js /page/api/runs);
$node->safe_psql('postgres', 'ALTER SYSTEM SET dataflows.dashboard = on; SELECT pg_reload_conf()');
$end = time() + 10;
usleep(20_000) while time() < $end && ask(undef, 'GET', '/page/')->{status} != 200;

# ---- files ---------------------------------------------------------------------------------

for my $file ([ '', 'text/html' ], [ 'app.js', 'text/javascript' ], [ 'style.css', 'text/css' ])
{
	my $answer = ask(undef, 'GET', "/page/$file->[0]");

	is($answer->{status}, 200, "/page/$file->[0]");
	like($answer->{headers}{'content-type'}, qr/^$file->[1]/, 'with its type');
	like(
		$answer->{headers}{'content-security-policy'},
		qr/default-src 'none'; script-src 'self'; style-src 'self'/,
		'and a policy');
	unlike($answer->{headers}{'content-security-policy'}, qr/unsafe/, 'without exceptions');
	is($answer->{headers}{'x-frame-options'}, 'DENY', 'in nobody\'s frame');
	unlike($answer->{content}, qr{https?://(?!www\.w3\.org/)}, 'nothing comes from elsewhere');
}
my $copies = slurp_file('src/ingress/page/vendor/README.md');

while ($copies =~ /^\| `([\w.]+)` .*?(?:`([0-9a-f]{64})`)? \|$/mg)
{
	my ($name, $sum) = ($1, $2);
	my $answer = ask(undef, 'GET', "/page/$name");

	is($answer->{status}, 200, "what is not ours: $name");
	is(sha256_hex($answer->{content}), $sum, 'is an unchanged copy') if $sum;
}
like(ask(undef, 'GET', '/page/uPlot-LICENSE.txt')->{content}, qr/MIT License/, 'with its licence');
unlike(ask(undef, 'GET', '/page/')->{content},
	qr/<script>|style=|onclick=/, 'no script or style inside');
my @modules = map { m{([^/]+)$} } glob('src/ingress/page/*.js');

cmp_ok(scalar(@modules), '>', 5, 'the modules');
is_deeply(
	[
		sort(ask(undef, 'GET', '/page/')->{content} =~
				/(?:modulepreload" href|module" src)="([^"]+)"/g)
	],
	[ sort @modules ],
	'are all named by the page, so that they are fetched at once');
my $style = ask(undef, 'GET', '/page/style.css');

is( ask(undef, 'GET', '/page/style.css', undef, 'if-none-match' => $style->{headers}{etag})
		->{status},
	304,
	'and not again by who has them');
for my $module (@modules)
{
	unlike(
		ask(undef, 'GET', "/page/$module")->{content},
		qr/innerHTML|outerHTML|insertAdjacentHTML|document\.write|eval\(|
			localStorage(?!\.[gs]etItem\('theme')/x,
		"no way for a document to become code, and nothing is kept in the browser: $module");
}
is(ask(undef, 'GET', "/page/$_")->{status}, 404, "no file $_")
	for ('nothing', '../routes.c', 'embed.sh', 'api/nothing');

# ---- logging in -------------------------------------------------------------------------------

is(ask(undef, 'GET', '/page/api/runs')->{status}, 401, 'without a token there is nothing to see');
$jar{nobody} = 'f' x 64;
is(ask('nobody', 'GET', '/page/api/runs')->{status}, 401, 'nor with a wrong one');
is(ask(undef, 'POST', '/page/login', { token => $_ })->{status}, 401, 'a token that is none')
	for ('', 'x', 'f' x 64, "' OR true --");
is(ask(undef, 'POST', '/page/login', 'no json')->{status}, 401, 'no document');
for my $role (qw(app other caller))
{
	my $answer = ask(undef, 'POST', '/page/login', { token => token($role) });

	is($answer->{status}, 200, "$role logs in");
	like(
		$answer->{headers}{'set-cookie'},
		qr/^dataflows=[0-9a-f]{64}; Path=\/page; HttpOnly; SameSite=Strict$/,
		'by a cookie that no script reads and no other site sends');
	($jar{$role}) = $answer->{headers}{'set-cookie'} =~ /^dataflows=([0-9a-f]+)/;
	is(get($role, 'me')->{role}, $role, 'and is that role');
}
like(
	ask(undef, 'POST', '/page/login', { token => $jar{app} }, 'x-forwarded-proto' => 'https')
		->{headers}{'set-cookie'},
	qr/; Secure$/,
	'Secure behind TLS');
is( $http->request('POST', "$base/page/api/cancel",
		{ headers => { cookie => "dataflows=$jar{app}" }, content => '{}' })->{status},
	403,
	'a form of another site can ask for nothing');
is(ask('app', 'GET', '/page/api/cancel')->{status}, 405, 'nor can a link');
is($http->head("$base/page/")->{status}, 200, 'HEAD is like GET');
my ($rc, $out, $err) = $node->psql(
	'postgres',
	"SELECT dataflows.dashboard_token('1 year')",
	extra_params => [ '-U', 'app' ]);

like($err, qr/a token of the page cannot be valid for 1 year/, 'a token is not for ever');

# ---- who sees what -------------------------------------------------------------------------------

is(scalar(@{ get('app', 'runs')->{runs} }), 50, 'the owner sees its runs, a page of them');
is(scalar(@{ get('other', 'runs')->{runs} }), 0, 'another owner none');
is(scalar(@{ get('other', $_) }), 0, "nor $_")
	for qw(stuck pending webhooks schedules counts);
is(scalar(@{ get('other', $_)->{list} }), 0, "nor $_") for qw(throughput latency);
my @all;
my $before = '';

while (defined $before)
{
	my $more = get('app', "runs?before=$before");
	push @all, @{ $more->{runs} };
	$before = $more->{next};
}
is(scalar(@all), 121, 'page after page all of them');
my %seen = map { $_->{run} => 1 } @all;

is(scalar(keys %seen), 121, 'each once');
is(join(' ', map { $_->{key} } @{ get('app', 'runs?state=stuck')->{runs} }), 'broken', 'by state');
is(get('app', 'attention')->{runs}, 1, 'how many need a person');
is(join(' ', map { "$_->{state} $_->{runs}" } @{ get('app', 'counts') }),
	'stuck 1 waiting 120', 'how many there are by state');
is(scalar(@{ get('app', 'runs?since=2100-01-01')->{runs} }), 0, 'by time');
is(get('app', 'stuck')->[0]{workflow}, '<script>alert(1)</script>', 'what is hostile is text');
is(get('app', 'stuck')->[0]{n}, 1, 'and each reason says how many');
is(join(' ', map { "$_->{state} $_->{n}" } @{ get('app', 'throughput')->{list} }),
	'stuck 1', 'what got stuck is in the chart');

# ---- finding

sub found { return join(' ', map { $_->{key} } @{ get('app', $_[0])->{runs} }); }

my ($one) = @{ get('app', 'find?text=key-7')->{runs} };

is($one->{key}, 'key-7', 'a key is found');
is(found('find?text=key-7&workflow=nothing'), '', 'in a workflow');
is(found("find?text=$one->{run}"), 'key-7', 'an id, too');
is(found('find?text=' . substr($one->{run}, 0, 13)) =~ /key-7/, 1, 'or its beginning');
as_app($node, 'postgres', q(SELECT dataflows.define_workflow('named', 'app.named'),
	dataflows.start('named', '{}', 'by-alias')));
ok(wait_until($node, "SELECT state = 'waiting' FROM dataflows.runs WHERE key = 'by-alias'"),
	'a run with another name');
is(found('find?text=invoice-9'), 'by-alias', 'an alias finds it');
is(found('find?text=key'), '', 'but no part of a key');
is(found('find?text=--------'), '', 'nor what only looks like an id');
is(found('search?text=KEY-7'), 'key-79 key-78 key-77 key-76 key-75 key-74 key-73 key-72 key-71 '
	. 'key-70 key-7', 'that is searched for, in whatever letters');
is(scalar(@{ get('app', 'search?text=only%20FOR')->{runs} }), 50, 'as a text in the input is');
is(scalar(@{ get('app', 'search?text=ait')->{runs} }), 50, 'and a part of a workflow\'s name');
is(found('search?text=key-7&state=stuck'), '', 'with the filters of the list');
is(found('search?text=%25'), '', 'a percent sign is a percent sign');
is(scalar(@{ get('other', 'search?text=key')->{runs} }),
	0, 'who may not see a run does not find it');

is(get('app', "run?run=$one->{run}")->{run}{input}{secret},
	'only for app', 'the owner sees what a run was started with');
is(ask('other', 'GET', "/page/api/run?run=$one->{run}")->{status},
	404, 'another owner does not know it');
for my $what (
	"runs?since=%27%3BDROP%20TABLE%20x", 'runs?before=x',
	"run?run='", 'runs?state=%00',
	'runs?since=-infinity', 'runs?until=infinity',
	'runs?since=4000-01-01%20BC&until=290000-01-01', 'find?text=' . ('x' x 5000),
	'search?text=%ff', 'find?text=%00', 'step?run=x&n=1', "run?run=$one->{run}&after=x",
	'throughput?range=x', 'throughput?range=-1', 'latency?range=99999999999')
{
	my $answer = ask('app', 'GET', "/page/api/$what");

	like($answer->{status}, qr/^(?:200|400|414)$/,
		'a question that cannot be answered: ' . substr($what, 0, 30));
}
my $first = ask('app', 'GET', '/page/api/runs?state=stuck');

is( ask('app', 'GET',
		'/page/api/runs?state=stuck', undef,
		'if-none-match' => $first->{headers}{etag})->{status},
	304,
	'what has not changed is not sent again');

# ---- who may do what -----------------------------------------------------------------------------

is(ask('other', 'POST', '/page/api/cancel', { run => $one->{run} })->{status},
	403, 'another owner may not cancel it');
is( ask('caller', 'POST',
		'/page/api/signal', { run => $one->{run}, event => 'go', payload => '{"by": "caller"}' }
	)->{json}{done},
	JSON::PP::true(),
	'who may execute the function signals');
ok(wait_until($node, "SELECT state = 'completed' FROM dataflows.runs WHERE run = '$one->{run}'"),
	'and the run goes on');
is( $node->safe_psql('postgres', "SELECT sent_by FROM dataflows.signals WHERE run = '$one->{run}'"),
	'caller',
	'and it is the sender');
my $broken = get('app', 'stuck')->[0]{runs}[0]{run};
my $answer = ask('app', 'POST', '/page/api/abandon', { run => $broken });

is($answer->{status}, 400, 'abandoning needs a note');
ok($answer->{json}{hint}, 'and the hint says so');
is( ask('app', 'POST', '/page/api/abandon',
		{ run => $broken, note => 'by hand' })->{json}{done},
	JSON::PP::true(),
	'with one it is done');
is( $node->safe_psql(
		'postgres',
		"SELECT sent_by || ' ' || note FROM dataflows.requests WHERE request = 'abandon'"),
	'app by hand',
	'and recorded');
is( ask('app', 'POST', '/page/api/pause', { workflow => 'waits', note => 'a deploy' })
		->{json}{done},
	JSON::PP::true(), 'pause');
is(ask('app', 'POST', '/page/api/resume', { workflow => 'waits' })->{json}{done},
	JSON::PP::true(), 'and resume');

# ---- many runs of others -------------------------------------------------------------------------

is(get('other', 'runs')->{next}, undef, 'few runs: all were looked at');
as_app($node, 'postgres', "SELECT dataflows.pause('waits')");
as_app($node, 'postgres',
	"SELECT count(dataflows.start('waits', '{}', 'many-' || i)) FROM generate_series(1, 20100) i");
is(get('other', 'runs')->{next}, undef, 'who sees none of many is told so at once');
my ($looks, $next) = (0, '');

while (defined $next && $looks < 10)
{
	$answer = get('other', "search?text=key&before=$next");
	$next = $answer->{next};
	$looks++;
}
is($looks, 5, 'a search looks at some thousand runs, and at the rest when it is asked for');
is(found('search?text=many-20100&window=50'), 'many-20100', 'it looks at fewer if it is asked to');
is(found('search?text=many-9&window=50'), '', 'and then finds no more than is among these');
is(found('search?text=many-20100&window=-1'), 'many-20100', 'but never at none');
ok(get('app', 'search?text=no&window=99999999')->{next}, 'nor at more than it would');
is(found('search?text=key-117'), '', 'it begins with the newest');
is(found('search?text=key-117&before=' . get('app', 'search?text=key-117')->{next}),
	'', 'and goes on where it ended');
is(found('find?text=key-7'), 'key-7', 'a key is found however old its run is');
is(join(' ', sort map { "$_->{state} $_->{n}" } @{ get('app', 'throughput')->{list} }),
	'abandoned 1 completed 1', 'the charts count what has ended');

# ---- many at once --------------------------------------------------------------------------------

as_app($node, 'postgres', q(SELECT count(dataflows.start('<script>alert(1)</script>', '{}',
	'bad-' || i)) FROM generate_series(1, 40) i));
ok(wait_until($node, "SELECT count(*) = 40 FROM dataflows.runs WHERE state = 'stuck'"), 'stuck');
my ($group) = @{ get('app', 'stuck') };

is("$group->{n} " . scalar(@{ $group->{runs} }), '40 40', 'forty runs are stuck for one reason');
my %reason = map { $_ => $group->{$_} } qw(workflow sqlstate reason);

is(ask('other', 'POST', '/page/api/retry_reason', {%reason})->{json}{of},
	0, 'another owner has none of that reason');
is( ask('app', 'POST', '/page/api/retry_reason', { %reason, newest => '2020-01-01' })->{json}{of},
	0, 'those that got stuck after the person looked are left');
$reason{newest} = $group->{newest};
as_app($node, 'postgres', q(CREATE OR REPLACE FUNCTION app.breaks(event jsonb) RETURNS jsonb
	LANGUAGE plpgsql AS $$ BEGIN RETURN '"mended"'; END $$));
$answer = ask('app', 'POST', '/page/api/retry_reason', { %reason, note => 'mended' })->{json};
is("$answer->{done} of $answer->{of}", '40 of 40', 'all of them are retried by one request');
ok( wait_until(
		$node,
		"SELECT count(*) = 40 FROM dataflows.runs
			WHERE key LIKE 'bad-%' AND state = 'completed'"),
	'and end well');
is( $node->safe_psql(
		'postgres',
		"SELECT count(*) FROM dataflows.requests WHERE request = 'retry' AND note = 'mended'"),
	40,
	'each is recorded with the note');

# ---- what is large -------------------------------------------------------------------------------

my $long = as_app($node, 'postgres', "SELECT dataflows.run_of('waits', 'key-120')");

as_app($node, 'postgres', <<"SQL");
SELECT dataflows.signal('$long', 'other', to_jsonb(repeat('x', 500000)));
SELECT dataflows.cancel('$long', repeat('y', 500000));
SELECT dataflows.resume('waits');
SQL
ok(wait_until($node, "SELECT state = 'cancelled' FROM dataflows.runs WHERE run = '$long'"),
	'a run with a large payload and a long note ended');
$answer = get('app', "run?run=$long");
is( length($answer->{requests}[0]{note}) . ' ' . length($answer->{signals}[0]{payload}),
	'1001 20', 'which are cut, for there may be a thousand of them');
is(length(get('app', 'runs?state=cancelled')->{runs}[0]{reason}),
	500, 'and so is the reason in the list');

my @some = map { $_->{run} } @{ get('app', 'search?text=many-2009')->{runs} };

is(ask('other', 'POST', '/page/api/cancel_runs', { runs => \@some })->{status},
	403, 'of runs that one may not cancel none is');
$answer = ask('app', 'POST', '/page/api/cancel_runs', { runs => \@some })->{json};
is("$answer->{done} of $answer->{of}", '10 of 10', 'those that were chosen are');
is(ask('app', 'POST', '/page/api/cancel_runs', { runs => 'x' })->{status}, 400, 'a list is needed');

# ---- the end of tokens ---------------------------------------------------------------------------

my $short = token('app', '1 second');

ok(wait_until($node, "SELECT count(*) = 3 FROM dataflows.page_token"),
	'a token that has expired is thrown away');
is(ask(undef, 'POST', '/page/login', { token => $short })->{status}, 401,
	'and is good for nothing');
is( $node->safe_psql(
		'postgres', "SELECT count(*) FROM dataflows.page_token t WHERE t::text LIKE '%$jar{app}%'"),
	'0',
	'no token is in a table');
is( $node->safe_psql(
		'postgres',
		'SELECT dataflows.revoke_dashboard_tokens()',
		extra_params => [ '-U', 'app' ]) > 0,
	1,
	'a role ends its tokens');
is(ask('app', 'GET', '/page/api/runs')->{status}, 401, 'and is logged out');
for my $change (
	[ 'SUPERUSER', 'NOSUPERUSER', 'a superuser' ],
	[ 'NOLOGIN', 'LOGIN', 'that may not log in' ],
	[ "VALID UNTIL '2001-01-01'", "VALID UNTIL 'infinity'", 'whose password is too old' ])
{
	my ($harm, $mend, $what) = @$change;

	is(ask('other', 'GET', '/page/api/me')->{status}, 200, 'a role has a token');
	$node->safe_psql('postgres', "ALTER ROLE other $harm");
	is(ask('other', 'GET', '/page/api/me')->{status},
		401, "which is good for nothing while it is a role $what");
	($rc, $out, $err) = $node->psql('postgres',
		'SET SESSION AUTHORIZATION other; SELECT dataflows.dashboard_token()');
	like($err, qr/role "other" cannot have a token of the page/, 'nor does it get another');
	like($err, qr/HINT:  Make it as an ordinary role/, 'and is told how to');
	$node->safe_psql('postgres', "ALTER ROLE other $mend");
}
$node->safe_psql('postgres', 'ALTER ROLE other RENAME TO another');
is(ask('other', 'GET', '/page/api/runs')->{status}, 401, 'a role that was renamed, too');
like(
	ask('caller', 'POST', '/page/logout')->{headers}{'set-cookie'},
	qr/^dataflows=; .*Max-Age=0/,
	'logging out takes the cookie away');
($rc, $out, $err) = $node->psql(
	'postgres',
	'SELECT * FROM dataflows.page_token',
	extra_params => [ '-U', 'caller' ]);
like($err, qr/permission denied/, 'nobody reads the tokens\' hashes');
unlike(
	PostgreSQL::Test::Utils::slurp_file($node->logfile),
	qr/$jar{app}|$jar{other}|$jar{caller}/,
	'no token is in the log');

$node->stop;
done_testing();
