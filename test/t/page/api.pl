# The page's back end: who sees and may do what, and what every answer carries.

use strict;
use warnings;

use HTTP::Tiny;
use JSON::PP;
use Test::More;
use Time::HiRes qw(time usleep);
use PostgreSQL::Test::Cluster;
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
unlike(ask(undef, 'GET', '/page/')->{content},
	qr/<script>|style=|onclick=/, 'no script or style inside');
my @modules = map { m{([^/]+)$} } glob('src/ingress/page/*.js');

cmp_ok(scalar(@modules), '>', 5, 'the modules');
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
	for qw(stuck pending_undo webhooks schedules throughput latency);
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
is(scalar(@{ get('app', 'runs?prefix=key-11')->{runs} }), 11, 'by the beginning of the key');
is(scalar(@{ get('app', 'runs_by_key?workflow=waits&key=key-7')->{runs} }),
	1, 'by workflow and key');
is(scalar(@{ get('app', 'runs?since=2000-01-01&until=2001-01-01')->{runs} }), 0, 'by time');
is(get('app', 'stuck')->[0]{workflow}, '<script>alert(1)</script>', 'what is hostile is text');
is(join(' ', map { "$_->{state} $_->{n}" } @{ get('app', 'throughput') }),
	'stuck 1', 'what got stuck is in the chart');
my ($one) = @{ get('app', 'runs_by_key?key=key-7')->{runs} };

is(get('app', "run?run=$one->{run}")->{run}{input}{secret},
	'only for app', 'the owner sees what a run was started with');
is(ask('other', 'GET', "/page/api/run?run=$one->{run}")->{status},
	404, 'another owner does not know it');
for my $what (
	"runs?since=%27%3BDROP%20TABLE%20x", 'runs?before=x',
	"run?run='", 'runs?state=%00',
	'runs?since=-infinity', 'runs?until=infinity',
	'runs?since=4000-01-01%20BC&until=290000-01-01', 'runs_by_key?key=' . ('x' x 5000),
	'runs?prefix=%ff')
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
my $answer = ask('app', 'POST', '/page/api/abandon', { run => get('app', 'stuck')->[0]{run} });

is($answer->{status}, 400, 'abandoning needs a note');
ok($answer->{json}{hint}, 'and the hint says so');
is( ask('app', 'POST', '/page/api/abandon',
		{ run => get('app', 'stuck')->[0]{run}, note => 'by hand' })->{json}{done},
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
my ($pages, $next) = (0, '');

while (defined $next && $pages < 10)
{
	$answer = get('other', "runs?before=$next");
	$next = $answer->{next};
	$pages++;
}
is($pages, 2, 'of many runs so many are looked at, and the rest when it is asked for');
is(scalar(@{ get('app', 'runs?prefix=key-11')->{runs} }), 0, 'a question looks at the newest');
is( scalar(
		@{
			get('app', 'runs?prefix=key-11&before=' . get('app', 'runs?prefix=key-11')->{next})
				->{runs}
		}),
	11,
	'and goes on where it ended');
is(scalar(@{ get('app', 'runs_by_key?key=key-7')->{runs} }),
	1, 'a key is found however old its run is');
is(scalar(@{ get('app', 'throughput') }), 0, 'the charts, too, look at the newest');

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
