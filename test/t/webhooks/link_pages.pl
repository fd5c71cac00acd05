# The pages of links say what the author gave, as text; they say when a link was used or its run
# has ended; what is no page is refused when the link is made.

use strict;
use warnings;

use HTTP::Tiny;
use PostgreSQL::Test::Cluster;
use PostgreSQL::Test::Utils;
use Test::More;
use Dataflows;

my $port = PostgreSQL::Test::Cluster::get_free_port();
my $base = "http://127.0.0.1:$port";
my $node = new_node('link_pages', conf => <<"CONF");
dataflows.ingress_database = 'postgres'
dataflows.public_url = '$base'
CONF
my $http = HTTP::Tiny->new(timeout => 30, keep_alive => 0, max_redirect => 0);

$node->safe_psql('postgres', <<'SQL');
CREATE EXTENSION dataflows;
CREATE ROLE hears LOGIN;
CREATE ROLE app LOGIN;
CREATE SCHEMA app AUTHORIZATION app;
SELECT dataflows.allow_author('app');
SQL
as_app($node, 'postgres', <<'SQL');
CREATE FUNCTION app.confirms(e jsonb) RETURNS jsonb LANGUAGE plpgsql AS $$ BEGIN
  PERFORM dataflows.wait_for('ok'); RETURN dataflows.wait_for('never'); END $$;
SELECT dataflows.define_workflow('confirms', 'app.confirms');
SQL

sub link_of
{
	my ($run, $page, $expires) = @_;

	$page = defined $page ? "\$page\$$page\$page\$" : 'NULL';
	return as_app($node, 'postgres',
			  "SELECT dataflows.event_url('$run', 'ok', '"
			. ($expires // '1 day')
			. "', $page)");
}

sub new_run { return as_app($node, 'postgres', "SELECT dataflows.start('confirms', '{}')"); }

# not earlier: a listener whose role is missing is tried again later and later
$node->append_conf('postgresql.conf',
	"dataflows.listen = '127.0.0.1:$port'\ndataflows.ingress_role = 'hears'\n");
$node->reload;
ok(wait_until($node, q(SELECT count(*) > 0 FROM dataflows.status() WHERE process = 'ingress')),
	'the listener starts');
my $answer;

for (1 .. 500)
{
	$answer = $http->get("$base/event/style.css");
	last if $answer->{status} == 200;
	Time::HiRes::usleep(20_000);
}
is($answer->{status}, 200, 'the style sheet');

# ---- the author's words
my $run = new_run();
my $link = link_of($run, <<'JSON');
{"language": "de", "title": "Ist das Ihre Adresse? <b>&", "text": "Zeile 1\nZeile 2",
 "button": "Ja",
 "done": "Danke", "used": "Schon bestätigt", "ended": "Zu spät", "expired": "Abgelaufen"}
JSON

cmp_ok(length($link), '<', 2000, 'a link that mail programs keep whole');
$answer = $http->get($link);
is($answer->{status}, 200, 'the page');
like($answer->{content}, qr{<html lang="de" dir="auto">}, 'has a language');
like($answer->{content}, qr{<h1>Ist das Ihre Adresse\? &lt;b&gt;&amp;</h1>}, 'a title, as text');
like($answer->{content}, qr{<p>Zeile 1\nZeile 2</p>}, 'a text of two lines');
like($answer->{content}, qr{<button type="submit">Ja</button>}, 'and a button');
unlike($answer->{content}, qr/confirm/i, 'nothing of it is in English');
$answer = $http->post($link);
is($answer->{status}, 200, 'the button');
like($answer->{content}, qr{<h1>Danke</h1>}, 'says thank you');
like($http->get($link)->{content}, qr{<h1>Schon best\xc3\xa4tigt</h1>}, 'opened again: used');
unlike($http->get($link)->{content}, qr/<form/, 'and has no button');
like($http->post($link)->{content}, qr{<h1>Danke</h1>}, 'pressed twice: the same as once');

my $second = link_of($run, '{"ended": "Zu spät", "language": "de"}');

like($http->get($second)->{content}, qr/<html lang="en".*Please confirm/s,
	'what the author did not say is English, and says so');
as_app($node, 'postgres', "SELECT dataflows.cancel('$run')");
ok(wait_until($node, "SELECT finished_at IS NOT NULL FROM dataflows.runs WHERE run = '$run'"),
	'the run ends');
$answer = $http->get($second);
is($answer->{status}, 410, 'a link of a run that has ended');
like($answer->{content}, qr{lang="de".*<h1>Zu sp\xc3\xa4t</h1>}s, 'says so when it is opened');
unlike($answer->{content}, qr/<form/, 'without a button');
is($http->post($second)->{status}, 410, 'and signals nothing');
is($http->get($link)->{status}, 200, 'the one that was used before still says that');
my $short = link_of(new_run(), '{"expired": "Abgelaufen"}', '1 ms');

like($http->get($short)->{content}, qr{<h1>Abgelaufen</h1>}, 'a link that has expired');

# ---- where the button leads
$run = new_run();
$link = link_of($run, '{"redirect": "https://app.example.com/welcome?a=1&b=2"}');
$answer = $http->get($link);
like($answer->{headers}{'content-security-policy'},
	qr/form-action 'self' https:;/, 'browsers follow it');
$answer = $http->post($link);
is($answer->{status}, 303, 'the button leads on');
is($answer->{headers}{location}, 'https://app.example.com/welcome?a=1&b=2', 'to the address');
is(number_of($node, "SELECT count(*) FROM dataflows.inbox WHERE run = '$run' AND event = 'ok'"),
	1, 'and signals');
is($http->post($link)->{status}, 303, 'pressed twice, too');

# ---- what is no page
for my $case (
	[ '[1]', 'is no object' ],
	[ 'null', 'is no object' ],
	[ '{"titel": "x"}', 'has an unknown key "titel"' ],
	[ '{"title": 1}', 'has a "title" that is empty, no string' ],
	[ '{"title": ""}', 'has a "title" that is empty, no string' ],
	[ '{"text": "a\u0001"}', 'has a control character' ],
	[ '{"language": "de\" onload=\"x"}', 'has the language' ],
	[ '{"redirect": "javascript:alert(1)"}', 'has the redirect' ],
	[ '{"redirect": "https://"}', 'has the redirect' ],
	[ '{"redirect": "https://a\nX-Header: b"}', 'has the redirect' ],
	[ '{"redirect": "//elsewhere.example.com"}', 'has the redirect' ],
	[ '{"text": "' . 'x' x 1300 . '"}', 'has 1312 bytes of text' ])
{
	my ($rc, $out, $err) = $node->psql(
		'postgres',
		"SELECT dataflows.event_url('$run', 'ok', '1 day', \$page\$$case->[0]\$page\$)",
		extra_params => [ '-U', 'app' ]);

	like($err, qr/ERROR:  the page of a link .*\Q$case->[1]\E.*\nHINT:  /s, "refused: $case->[1]");
}
my $long = link_of($run, '{"text": "' . 'x' x 1180 . '"}');

cmp_ok(length($long), '<', 2100, 'the longest that is allowed');
is($http->get($long)->{status}, 200, 'is served');
is(as_app($node, 'postgres', "SELECT dataflows.event_url(NULL, 'ok') IS NULL"), 't', 'NULL: NULL');

# ---- a link that could not be followed now is not in the log: who reads that could follow it
$link = link_of(new_run());
my $holder = $node->background_psql('postgres', on_error_die => 1);

$holder->query_safe('BEGIN; LOCK TABLE dataflows.webhook_delivery IN ACCESS EXCLUSIVE MODE');
is($http->post($link)->{status}, 503, 'a link while its table is locked');
$holder->query_safe('ROLLBACK');
$holder->quit;
ok(log_says($node, qr{could not answer POST /event/\.\.\.: }), 'the log says that it failed');
unlike(slurp_file($node->logfile), qr{could not answer POST /event/\w}, 'and not which link');
is($http->post($link)->{status}, 200, 'it can be followed afterwards');
$node->stop('fast');
done_testing();
