# In a database that is not in UTF-8: pages of links and responses to deliveries are sent in UTF-8.

use strict;
use warnings;

use HTTP::Tiny;
use PostgreSQL::Test::Cluster;
use Test::More;
use Dataflows;

my $port = PostgreSQL::Test::Cluster::get_free_port();
my $base = "http://127.0.0.1:$port";
my $node = new_node('other_encoding', conf => <<"CONF");
dataflows.ingress_database = 'western'
dataflows.public_url = '$base'
CONF
my $http = HTTP::Tiny->new(timeout => 30, keep_alive => 0);

$node->safe_psql('postgres', <<'SQL');
CREATE ROLE hears LOGIN;
CREATE ROLE app LOGIN;
CREATE DATABASE western ENCODING 'LATIN1' LOCALE 'C' TEMPLATE template0;
SQL
$node->safe_psql('western', <<'SQL');
CREATE EXTENSION dataflows;
CREATE SCHEMA app AUTHORIZATION app;
SELECT dataflows.allow_author('app');
SQL
as_app($node, 'western', <<"SQL");
SET client_encoding = 'UTF8';
CREATE FUNCTION app.confirms(e jsonb) RETURNS jsonb LANGUAGE sql AS \$\$
  SELECT dataflows.wait_for('ok') \$\$;
SELECT dataflows.define_workflow('confirms', 'app.confirms');
CREATE FUNCTION app.says(headers jsonb, body jsonb) RETURNS jsonb LANGUAGE sql AS \$\$
  SELECT '{"ignored": "sch\xc3\xb6n"}'::jsonb \$\$;
SELECT dataflows.create_webhook('/in', starts => 'confirms', handler => 'app.says');
SQL
my $link = as_app($node, 'western', <<"SQL");
SET client_encoding = 'UTF8';
SELECT dataflows.event_url(dataflows.start('confirms', '{}'), 'ok', '1 day',
  '{"title": "Zu sp\xc3\xa4t?"}');
SQL

# not earlier: a listener whose role is missing is tried again later and later
$node->append_conf('postgresql.conf',
	"dataflows.listen = '127.0.0.1:$port'\ndataflows.ingress_role = 'hears'\n");
$node->reload;
my $answer;

for (1 .. 1500)
{
	$answer = $http->get("$base/event/style.css");
	last if $answer->{status} == 200;
	Time::HiRes::usleep(20_000);
}
is($answer->{status}, 200, 'the listener is there');
$answer = $http->get($link);
is($answer->{headers}{'content-type'}, 'text/html; charset=utf-8', 'a page says that it is UTF-8');
like($answer->{content}, qr{<h1>Zu sp\xc3\xa4t\?</h1>}, 'and is');
$answer = $http->post("$base/in", { content => '{}' });
is($answer->{content}, qq({"ignored": "sch\xc3\xb6n"}), 'and so is the response to a delivery');
$node->stop('fast');
done_testing();
