# Webhooks whose deliveries become rows: what is in them, with whose rights, once, in time.

use strict;
use warnings;

use HTTP::Tiny;
use Test::More;
use PostgreSQL::Test::Cluster;
use Dataflows;
use Time::HiRes;

my $port = PostgreSQL::Test::Cluster::get_free_port();
my $node = new_node('deliveries', conf => <<"CONF");
dataflows.handler_timeout = '2s'
dataflows.listen = '127.0.0.1:$port'
dataflows.ingress_role = 'hears'
dataflows.ingress_database = 'postgres'
dataflows.sweep_interval = '500ms'
CONF

create_app($node);
$node->safe_psql('postgres', <<'SQL');
CREATE ROLE plain LOGIN;
CREATE ROLE gate LOGIN;
CREATE ROLE hears LOGIN;
GRANT EXECUTE ON FUNCTION dataflows.receive_webhook TO gate;
GRANT CREATE ON SCHEMA public TO plain;
SQL
as_app($node, 'postgres', <<'SQL');
CREATE FUNCTION app.body(event jsonb) RETURNS jsonb LANGUAGE plpgsql AS $$
BEGIN RETURN dataflows.wait_for('paid'); END $$;
SELECT dataflows.define_workflow('waits', 'app.body');
CREATE TABLE app.event (id int GENERATED ALWAYS AS IDENTITY, key text, event text,
  payload jsonb NOT NULL, path varchar(50), event_id text UNIQUE, who text DEFAULT current_user);
CREATE TRIGGER signal AFTER INSERT ON app.event FOR EACH ROW
  EXECUTE FUNCTION dataflows.signal_on_change('waits', '@event', 'key');
CREATE TABLE app.strict (key int PRIMARY KEY, payload jsonb);
CREATE TABLE app.slow (payload jsonb);
CREATE FUNCTION app.sleeps() RETURNS trigger LANGUAGE plpgsql AS $$
BEGIN PERFORM pg_sleep(60); RETURN NULL; END $$;
CREATE TRIGGER slow AFTER INSERT ON app.slow FOR EACH ROW EXECUTE FUNCTION app.sleeps();
CREATE TABLE app.none (key text);
SELECT dataflows.create_webhook('/in', inserts => 'app.event', event => '$.type',
  key => '$.customer');
SELECT dataflows.create_webhook('/strict', inserts => 'app.strict', key => '$.n');
SELECT dataflows.create_webhook('/slow', inserts => 'app.slow');
SELECT dataflows.start('waits', '{}', 'c-1');
SQL

sub deliver
{
	my ($path, $body, $headers) = @_;
	my ($rc, $out, $err) = try_psql($node, 'postgres', "SET ROLE gate;
		SELECT dataflows.receive_webhook('$path', '${\($headers // '{}')}', '$body'::bytea)");

	return $out || $err;
}

# ---- what is in a row

my $body = '{"type": "paid", "customer": "c-1", "n": [1]}';
my $id = '{"Idempotency-Key": "d-1"}';
my $answer = deliver('/in', $body, $id);
like($answer, qr/"status": 202/, 'a delivery is taken');
like($answer, qr/"inserted": true/, 'and inserted');
is( as_app($node, 'postgres', 'SELECT key, event, payload, path, event_id, who FROM app.event'),
	'c-1|paid|{"n": [1], "type": "paid", "customer": "c-1"}|/in|d-1|app',
	'the row has what the table has columns for, and is inserted as the creator');
ok( wait_until($node, "SELECT state = 'completed' FROM dataflows.runs WHERE key = 'c-1'"),
	'a trigger signals the run');
like(deliver('/in', $body, $id), qr/"inserted": true/, 'a repeated one gets the same response');
is(as_app($node, 'postgres', 'SELECT count(*) FROM app.event'), '1', 'and is inserted once');
is( as_app($node, 'postgres', "SELECT inserts, deliveries FROM dataflows.webhooks
		WHERE path = '/in'"),
	'app.event|1', 'the view has the table');
is( $node->safe_psql('postgres', "SELECT outcome, run FROM dataflows.webhook_delivery"),
	'inserted|', 'and what became of the delivery is recorded');

# ---- by HTTP

my $http = HTTP::Tiny->new(timeout => 20);

sub post
{
	my ($path, $content) = @_;
	my $response;

	# the listener may not be there yet
	for (1 .. 500)
	{
		$response = $http->post("http://127.0.0.1:$port$path",
			{ content => $content, headers => { 'Content-Type' => 'application/json' } });
		last if $response->{status} != 599;
		Time::HiRes::usleep(50_000);
	}
	return $response;
}

is(post('/in', '{"customer": "c-2", "type": "paid"}')->{status}, 202, 'a delivery by HTTP');
is(as_app($node, 'postgres', "SELECT key, event, who FROM app.event WHERE key = 'c-2'"),
	'c-2|paid|app', 'is inserted by the listener, as the creator');
is(post('/slow', '{}')->{status}, 503, 'one that takes too long is cut there, too');
is(post('/in', '{"customer": "c-3", "type": "paid"}')->{status}, 202, 'and the listener goes on');

# ---- rows that do not fit

like(deliver('/strict', '{"n": 7}'), qr/"inserted": true/, 'a key becomes a number');
like(deliver('/strict', '{"n": 7}'), qr/"ignored": "there is such a row already"/,
	'a second one of it is ignored');
is(as_app($node, 'postgres', 'SELECT count(*) FROM app.strict'), '1', 'and not inserted');
like(deliver('/strict', '{"n": "seven"}'), qr/"status": 400/, 'a value of another type');
as_app($node, 'postgres', 'ALTER TABLE app.strict RENAME TO gone');
like(deliver('/strict', '{"n": 8}'), qr/"status": 503/, 'a table that is gone');
as_app($node, 'postgres', 'ALTER TABLE app.gone RENAME TO strict');
like(deliver('/strict', '{"n": 8}'), qr/"inserted": true/, 'the sender tries again');
like(deliver('/slow', '{}'), qr/"status": 503/, 'a trigger that takes too long is cut');
is(as_app($node, 'postgres', 'SELECT count(*) FROM app.slow'), '0', 'with its row');

# ---- what cannot be

sub refuses
{
	my ($role, $arguments, $says, $what) = @_;
	my ($rc, $out, $err) = try_psql($node, 'postgres', "\\set VERBOSITY verbose
		SET ROLE $role; SELECT dataflows.create_webhook('/no', $arguments)");

	like($err, $says, $what);
	return;
}

refuses('app', "inserts => 'app.nothing'", qr/42P01: table "app.nothing" does not exist/,
	'no table');
refuses('app', "inserts => 'app.none'", qr/42703: .* has no column "payload"/, 'no payload');
refuses('app', "inserts => 'app.event', starts => 'waits'", qr/22023: webhook "\/no" must either/,
	'two targets');
refuses('app', "inserts => 'pg_catalog.pg_class'", qr/42501: role "app" may not insert/,
	'no right');
$node->safe_psql('postgres',
	'CREATE TABLE public.its (payload jsonb); ALTER TABLE its OWNER TO plain');
refuses('plain', "inserts => 'public.its'",
	qr/42501: role "plain" may not take webhooks for a table/, 'no author');
as_app($node, 'postgres', 'CREATE TABLE app.later (payload jsonb)');
as_app($node, 'postgres', "SELECT dataflows.create_webhook('/later', inserts => 'app.later')");
$node->safe_psql('postgres', 'ALTER TABLE app.later OWNER TO plain');
like(deliver('/later', '{}'), qr/"status": 503/, 'a right that is lost counts at each delivery');

$node->stop;
done_testing();
