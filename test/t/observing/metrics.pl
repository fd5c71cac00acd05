# GET /metrics: who may read it, that both formats are well formed, and that what
# they say is what the tables and the systems' books say.

use strict;
use warnings;

use lib 'test/perl';
use Dataflows;
use HTTP::Tiny;
use PostgreSQL::Test::Cluster;
use PostgreSQL::Test::Utils;
use Test::More;

my $port = PostgreSQL::Test::Cluster::get_free_port();
my $systems = start_systems();
my $node = new_node('metrics', conf => <<"CONF");
dataflows.listen = '127.0.0.1:$port'
dataflows.ingress_role = 'hears'
dataflows.ingress_database = 'postgres'
dataflows.sweep_interval = '500ms'
CONF
my $http = HTTP::Tiny->new(timeout => 20, keep_alive => 0);
my $open_type = 'application/openmetrics-text; version=1.0.0; charset=utf-8';

sub get
{
	my (%headers) = @_;

	return $http->get("http://127.0.0.1:$port/metrics", { headers => \%headers });
}

sub setting
{
	my ($name, $value) = @_;

	$node->safe_psql('postgres', "ALTER SYSTEM SET $name = '$value'");
	$node->reload;
	return;
}

# until the process has read its settings
sub get_until
{
	my ($status, %headers) = @_;
	my $answer;

	for (1 .. 500)
	{
		$answer = get(%headers);
		last if $answer->{status} == $status;
		Time::HiRes::usleep(20_000);
	}
	return $answer;
}

# ---- a strict reader of our own -----------------------------------------------------

my $label = qr/[a-z]+="(?:[^"\\\n]|\\[\\"n])*"/;

# {family => {type, samples => {'name{labels}' => value}}}; dies at what the format forbids
sub parse
{
	my ($text, $open) = @_;
	my (%families, %seen, $family);

	die "no newline at the end\n" unless $text =~ /\n\z/;
	die "no # EOF at the end\n" if $open && $text !~ s/# EOF\n\z//;
	for my $line (split /\n/, $text)
	{
		if ($line =~ /^# HELP ([a-z_]+) (\S.*)$/)
		{
			die "family $1 comes twice\n" if $families{$1};
			$family = $1;
			$families{$family} = { help => $2, samples => {} };
		}
		elsif ($line =~ /^# TYPE ([a-z_]+) (counter|gauge|histogram)$/)
		{
			die "type of $1 without its help\n"
				unless defined $family && $family eq $1 && !$families{$1}{type};
			$families{$family}{type} = $2;
		}
		elsif ($line =~ /^([a-z_]+)(\{$label(?:,$label)*\})? (\S+)$/)
		{
			my ($name, $labels, $value) = ($1, $2 // '', $3);
			my $type = $families{ $family // '' }{type} or die "sample without a type: $line\n";
			my $suffix = qr//;
			$suffix = qr/_(?:bucket|sum|count)/ if $type eq 'histogram';
			$suffix = qr/_total/ if $type eq 'counter' && $open;

			die "not of $family: $line\n" unless $name =~ /^\Q$family\E$suffix$/;
			die "no number: $line\n" unless $value =~ /^-?\d+(?:\.\d+)?(?:e[+-]?\d+)?$/;
			die "comes twice: $line\n" if $seen{"$name$labels"}++;
			$families{$family}{samples}{"$name$labels"} = $value;
		}
		else { die "no line of the format: $line\n"; }
	}
	check_histograms($_, $families{$_}{samples})
		for grep { $families{$_}{type} eq 'histogram' } keys %families;
	return \%families;
}

sub check_histograms
{
	my ($family, $samples) = @_;
	my %last;

	for my $key (grep { /_bucket/ } keys %$samples)
	{
		my ($labels, $le) = $key =~ /\{(.*?),?le="(.*?)"\}/ or die "bucket without le: $key\n";

		push @{ $last{$labels} }, [ $le eq '+Inf' ? 9**9**9 : $le, $samples->{$key} ];
	}
	for my $labels (keys %last)
	{
		my @buckets = sort { $a->[0] <=> $b->[0] } @{ $last{$labels} };
		my $shown = $labels eq '' ? '' : "{$labels}";

		for my $i (1 .. $#buckets)
		{
			die "buckets of $family fall\n" if $buckets[$i][1] < $buckets[ $i - 1 ][1];
		}
		die "no +Inf in $family\n" unless $buckets[-1][0] == 9**9**9;
		die "count of $family is not that of +Inf\n"
			unless $samples->{"${family}_count$shown"} == $buckets[-1][1];
		die "no sum of $family\n" unless defined $samples->{"${family}_sum$shown"};
	}
	return;
}

sub value_of
{
	my ($families, $family, $key) = @_;
	return $families->{$family}{samples}{$key} // 0;
}

# what a real parser says, if there is one
sub real_parsers
{
	my ($plain, $open) = @_;
	my $dir = PostgreSQL::Test::Utils::tempdir();

	PostgreSQL::Test::Utils::append_to_file("$dir/plain", $plain);
	PostgreSQL::Test::Utils::append_to_file("$dir/open", $open);
SKIP:
	{
		skip 'promtool is not installed', 1 if system('command -v promtool >/dev/null 2>&1') != 0;
		my $said = `promtool check metrics <$dir/plain 2>&1`;
		is("$? $said", '0 ', 'promtool has nothing to say');
	}
SKIP:
	{
		skip 'there is no OpenMetrics parser for python3', 1
			if system('python3 -c "import prometheus_client.openmetrics" 2>/dev/null') != 0;
		my $program =
			  'import sys; from prometheus_client.openmetrics import parser; '
			. 'families = parser.text_string_to_metric_families(open(sys.argv[1]).read()); '
			. 'print(len(list(families)) > 15)';
		my $said = `python3 -c "$program" $dir/open 2>&1`;
		is($said, "True\n", 'so has the parser of OpenMetrics');
	}
	return;
}

# ---- who may read -----------------------------------------------------------------------

create_systems($node, 'postgres', $systems);
$node->safe_psql('postgres', <<'SQL');
CREATE ROLE hears LOGIN;
CREATE ROLE watcher LOGIN IN ROLE pg_monitor;
CREATE ROLE stranger LOGIN;
CREATE SERVER prometheus FOREIGN DATA WRAPPER dataflows OPTIONS (url 'http://prometheus.invalid');
CREATE USER MAPPING FOR hears SERVER prometheus OPTIONS (webhook_secret 'the-scraper-token',
  webhook_secret_old 'the-old-token');
SQL

is(get_until(404)->{status}, 404, 'off by default: there is no such path');
setting('dataflows.metrics', 'local');
is(get_until(200)->{status}, 200, 'local: who is on this machine may read');
is(get('X-Forwarded-For' => '192.0.2.1')->{status},
	403, 'but not whom a proxy on this machine speaks for');
setting('dataflows.metrics', 'token:prometheus');
is(get_until(401)->{status}, 401, 'token: not without one');
is(get('Authorization' => 'Bearer the-scraper-token')->{status},
	401, 'nor while the role may not use the system');
$node->safe_psql('postgres', 'GRANT USAGE ON FOREIGN SERVER prometheus TO hears');
is(get_until(200, 'Authorization' => 'Bearer the-scraper-token')->{status},
	200, 'with the token: yes');
is(get('Authorization' => 'Bearer the-old-token')->{status},
	200, 'also with the old one, while it is rotated');
is(get('Authorization' => 'Bearer the-scraper-toke')->{status}, 401, 'with another one: no');
is(get('Authorization' => 'Basic the-scraper-token')->{status}, 401, 'nor by another scheme');
like(slurp_file($node->logfile), qr/dataflows shows no metrics: /, 'the log said what was missing');
unlike(slurp_file($node->logfile), qr/the-scraper-tok/, 'and not what was tried');
setting('dataflows.metrics', 'everybody');
is(get_until(404)->{status}, 404, 'what is none of these is off');
setting('dataflows.metrics', 'local');
get_until(200);

# ---- what they say ------------------------------------------------------------------------

as_app($node, 'postgres', <<'SQL');
CREATE FUNCTION app.odd(event jsonb) RETURNS jsonb LANGUAGE plpgsql AS $$
BEGIN
  PERFORM dataflows.query('one', 'SELECT 1');
  IF event ? 'wait' THEN
    PERFORM dataflows.wait_for('never', timeout => '50 ms');
  END IF;
  IF event ? 'park' THEN
    PERFORM dataflows.wait_for('never');
  END IF;
  IF event ? 'typo' THEN
    PERFORM nothing();
  END IF;
  RETURN NULL;
END $$;
SELECT dataflows.define_workflow('od"d\work-flow ä', 'app.odd');
SELECT dataflows.create_webhook('/odd', starts => 'od"d\work-flow ä');
SQL
as_app(
	$node, 'postgres',
	q{INSERT INTO app.signups (email, name) SELECT 'u' || i || '@example.com', 'U'
		FROM generate_series(1, 40) i}
);
wait_until($node, "SELECT count(*) = 40 FROM dataflows.runs WHERE state = 'waiting'");
as_app(
	$node, 'postgres',
	q{SELECT dataflows.signal(run, 'email-confirmed') FROM dataflows.runs WHERE key::int <= 30;
	SELECT dataflows.cancel(run) FROM dataflows.runs WHERE key::int > 35});
as_app(
	$node, 'postgres',
	q{SELECT dataflows.start('od"d\work-flow ä', i) FROM (VALUES ('{}'::jsonb), ('{"wait": 1}'),
		('{"park": 1}'), ('{"typo": 1}')) v(i)}
);
is($http->post("http://127.0.0.1:$port/odd", { content => '{}' })->{status}, 202, 'a webhook');
is($http->post("http://127.0.0.1:$port/unknown-$_", { content => '{}' })->{status},
	404, 'an unknown path')
	for (1, 2);
wait_until(
	$node,
	"SELECT count(*) FILTER (WHERE state IN ('completed', 'cancelled')) = 38
			AND count(*) FILTER (WHERE state = 'stuck') = 1
	AND count(*) FILTER (WHERE state = 'waiting') = 6 FROM dataflows.runs");
# what is kept for a second is older then
let_pass(1.1);

my $plain = get();
my $open = get('Accept' => "$open_type,text/plain;q=0.5");
is( $plain->{headers}{'content-type'},
	'text/plain; version=0.0.4; charset=utf-8',
	'the older format by default');
is($open->{headers}{'content-type'}, $open_type, 'OpenMetrics to who accepts it');
my $families = eval { parse($plain->{content}, 0) };
ok($families, "the older format is well formed") or diag($@);
my $open_families = eval { parse($open->{content}, 1) };
ok($open_families, 'so is OpenMetrics') or diag($@);
real_parsers($plain->{content}, $open->{content});

my $odd = 'workflow="od\"d\\\\work-flow ' . "\xc3\xa4" . '"';
my $onboarding = 'workflow="customer-onboarding"';
is( value_of(
		$families, 'dataflows_runs_started_total', "dataflows_runs_started_total{$onboarding}"),
	40,
	'runs started');
is( value_of(
		$families, 'dataflows_runs_ended_total',
		"dataflows_runs_ended_total{$onboarding,state=\"completed\"}"),
	30,
	'completed');
is( value_of(
		$families, 'dataflows_runs_ended_total',
		"dataflows_runs_ended_total{$onboarding,state=\"cancelled\"}"),
	5,
	'cancelled');
is( value_of(
		$families, 'dataflows_run_duration_seconds',
		"dataflows_run_duration_seconds_count{$onboarding}"),
	30,
	'with their durations');
is(value_of($families, 'dataflows_runs', "dataflows_runs{$onboarding,state=\"waiting\"}"),
	5, 'those that wait');
is(value_of($families, 'dataflows_runs_started_total', "dataflows_runs_started_total{$odd}"),
	5, 'of a workflow with an odd name');
cmp_ok(
	value_of($families, 'dataflows_table_bytes', 'dataflows_table_bytes{table="step"}'),
	'>', 8192, 'and how large the tables are');
cmp_ok(
	value_of(
		$families, 'dataflows_oldest_ended_age_seconds', 'dataflows_oldest_ended_age_seconds'),
	'>', 0, 'and how old the oldest run is that has ended');
is(value_of($families, 'dataflows_runs', "dataflows_runs{$odd,state=\"stuck\"}"),
	1, 'and the one that is stuck');
is(value_of($families, 'dataflows_runs', "dataflows_runs{$odd,state=\"waiting\"}"),
	1, 'and the one that waits without a time');
is(value_of($families, 'dataflows_runs_stuck_total', "dataflows_runs_stuck_total{$odd}"),
	1, 'how often they got stuck');
is( value_of(
		$families, 'dataflows_waits_total',
		"dataflows_waits_total{$onboarding,outcome=\"signalled\"}"),
	30,
	'signals');
is( value_of(
		$families, 'dataflows_waits_total', "dataflows_waits_total{$odd,outcome=\"timed_out\"}"),
	1,
	'timeouts');
is( value_of(
		$families, 'dataflows_webhooks_total',
		'dataflows_webhooks_total{path="/odd",outcome="started"}'),
	1,
	'webhooks');
is( value_of(
		$families, 'dataflows_webhooks_total',
		'dataflows_webhooks_total{path="",outcome="not_found"}'),
	2,
	'unknown paths have no name');
is( value_of(
		$families, 'dataflows_steps_total',
		'dataflows_steps_total{system="",kind="query",outcome="done"}'),
	5,
	'steps that are no calls');
is(value_of($families, 'dataflows_ready', 'dataflows_ready'), 1, 'the engine is ready');
is(value_of($families, 'dataflows_processes', 'dataflows_processes{process="ingress"}'),
	1, 'processes');
is( value_of(
		$families, 'dataflows_system_breaker_open',
		'dataflows_system_breaker_open{system="crm"}'),
	0,
	'breakers');
ok( value_of(
		$families, 'dataflows_system_latency_seconds',
		'dataflows_system_latency_seconds{system="crm"}') > 0,
	'and what is known of systems');
ok(value_of($families, 'dataflows_ingress_connections', 'dataflows_ingress_connections') >= 1,
	'connections');

# the systems' books, from outside
for my $system (qw(identity billing crm email))
{
	my $requests = $systems->requests($system);
	my $undos = grep { $_->{method} eq 'DELETE' } @$requests;
	my $counted = 0;

	$counted += $families->{dataflows_attempts_total}{samples}{$_}
		for grep { /system="$system"/ } keys %{ $families->{dataflows_attempts_total}{samples} };
	is($counted, scalar @$requests, "$system: as many requests as its books have");
	is( value_of(
			$families, 'dataflows_undos_total',
			"dataflows_undos_total{system=\"$system\",outcome=\"undone\"}"),
		$undos,
		"$system: as many undos");
	is( value_of(
			$families,
			'dataflows_attempt_duration_seconds',
			"dataflows_attempt_duration_seconds_count{system=\"$system\"}"),
		scalar @$requests,
		"$system: all of them timed");
}
unlike(
	$plain->{content},
	qr/example\.com|[0-9a-f]{8}-[0-9a-f]{4}/,
	'no address and no run is shown');

# ---- the same by SQL ---------------------------------------------------------------------

sub seen_by
{
	my ($role, $sql) = @_;

	return $node->safe_psql('postgres', $sql, extra_params => [ '-U', $role ]);
}

is( seen_by(
		'watcher',
		"SELECT value FROM dataflows.metrics WHERE name = 'dataflows_runs_ended'
			AND labels = '{\"workflow\": \"customer-onboarding\", \"state\": \"completed\"}'"
	),
	30,
	'the view says the same');
is( seen_by(
		'watcher',
		"SELECT count(*) > 0 AND bool_and(p50 > 0 AND p50 <= p95 AND p95 <= p99)
			FROM dataflows.metrics WHERE type = 'histogram'
			AND name = 'dataflows_attempt_duration_seconds'"
	),
	't',
	'with percentiles');
is(seen_by('stranger', 'SELECT count(*) FROM dataflows.metrics'), 0, 'a stranger sees nothing');
is( seen_by('app', "SELECT count(*) > 0 AND bool_and(labels ? 'workflow') FROM dataflows.metrics"),
	't',
	'an owner sees what concerns its workflows');
is( seen_by(
		'app',
		"SELECT started || ' ' || ended || ' ' || got_stuck || ' ' || completed || ' ' || (p50 > '0'
			AND p50 <= p99) FROM dataflows.stats WHERE workflow LIKE 'od%'"
	),
	'5 3 1 3 true',
	'stats has the counters beside what the tables say');

# ---- bounded: names that are too many ------------------------------------------------------

setting('dataflows.max_metrics', '200');
$node->restart;
as_app(
	$node, 'postgres',
	q{SELECT dataflows.define_workflow('w' || i, 'app.odd') FROM generate_series(1, 250) i;
	SELECT dataflows.start('w' || i) FROM generate_series(1, 250) i});
wait_until($node,
	"SELECT count(*) = 250 FROM dataflows.runs WHERE workflow LIKE 'w%' AND state = 'completed'",
	60);
$families = eval { parse(get_until(200)->{content}, 0) };
ok($families, 'with more names than there is room for it is still well formed') or diag($@);
my $started = $families->{dataflows_runs_started_total}{samples};
my $sum = 0;
$sum += $_ for values %$started;
is($sum, 250, 'every run is counted');
ok( value_of(
		$families, 'dataflows_runs_started_total',
		'dataflows_runs_started_total{workflow="other"}') > 100,
	'most of them under "other"');
ok(value_of($families, 'dataflows_metrics_lost_total', 'dataflows_metrics_lost_total') > 100,
	'which is told');

# ---- a process that dies is counted, one thing that must not be is not ---------------------

kill_process('KILL', $_) for pids_of($node, 'ingress');
is(get_until(200)->{status}, 200, 'after a crash of the server it answers again');

$node->stop;
$systems->stop;
done_testing();
