# Whose rights count in the ingress process: a token of the page ends with its role's
# right to log in, and a handler finds no settings of the role that listens.

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
my $node = new_node('page_tokens', conf => <<"CONF");
dataflows.listen = '127.0.0.1:$port'
dataflows.ingress_role = 'hearer'
dataflows.dashboard = on
dataflows.sweep_interval = '1s'
CONF
my $http = HTTP::Tiny->new(timeout => 60, max_redirect => 0, keep_alive => 0);

$node->safe_psql('postgres', <<'SQL');
CREATE ROLE app LOGIN PASSWORD 'first-password';
CREATE ROLE hearer LOGIN;
CREATE ROLE eve LOGIN;
CREATE EXTENSION dataflows;
CREATE SCHEMA app AUTHORIZATION app;
CREATE SCHEMA eve AUTHORIZATION eve;
GRANT USAGE ON SCHEMA eve TO PUBLIC;
GRANT EXECUTE ON FUNCTION dataflows.define_workflow TO app;
REVOKE CONNECT ON DATABASE postgres FROM PUBLIC;
GRANT CONNECT ON DATABASE postgres TO app, hearer;
SQL

# until the listener answers
sub listening
{
	my $end = time() + 120;
	my $answer;

	until (($answer = $http->get("$base/page/"))->{status} == 200)
	{
		die "nobody listens: $answer->{status} $answer->{content}" if time() > $end;
		usleep(100_000);
	}
	return;
}

sub me
{
	my ($token) = @_;
	return $http->get("$base/page/api/me", { headers => { cookie => "dataflows=$token" } });
}

sub log_in
{
	my ($token) = @_;
	return $http->post(
		"$base/page/login",
		{
			headers => { 'x-dataflows' => 1, 'content-type' => 'application/json' },
			content => encode_json({ token => $token })
		});
}

sub new_token { return as_app($node, 'postgres', 'SELECT dataflows.dashboard_token()'); }

sub sql { return $node->safe_psql('postgres', $_[0]); }

# a token is good, ends with what is done, and is good again (or not) when that is taken back
sub ends_by
{
	my ($what, $back, $again) = @_;
	my $token = new_token();

	is(me($token)->{status}, 200, "good: before $what");
	sql($what);
	is(me($token)->{status}, 401, 'then not: no request');
	is(log_in($token)->{status}, 401, 'and no login');
	sql($back);
	is(me($token)->{status}, $again, "after $back: $again");
	return;
}

listening();
my $stays = new_token();
is(me($stays)->{status}, 200, 'a token');
ends_by('REVOKE CONNECT ON DATABASE postgres FROM app',
	'GRANT CONNECT ON DATABASE postgres TO app', 200);
ends_by('ALTER ROLE app NOLOGIN', 'ALTER ROLE app LOGIN', 200);
ends_by("ALTER ROLE app VALID UNTIL '2020-01-01'", "ALTER ROLE app VALID UNTIL 'infinity'", 200);
ends_by('ALTER ROLE app SUPERUSER', 'ALTER ROLE app NOSUPERUSER', 200);
is(me($stays)->{status}, 200, 'what lasted through all that');

# the same password again has another salt, and may be meant to end what is stolen
ends_by("ALTER ROLE app PASSWORD 'second-password'",
	"ALTER ROLE app PASSWORD 'first-password'", 401);
is(me($stays)->{status}, 401, 'all older ones have ended with the password');
ends_by('ALTER ROLE app PASSWORD NULL', "ALTER ROLE app PASSWORD 'third-password'", 401);
sql('ALTER ROLE app PASSWORD NULL');
ends_by("ALTER ROLE app PASSWORD 'fourth-password'", 'ALTER ROLE app PASSWORD NULL', 200);
{
	my $token = new_token();

	sql('ALTER ROLE app RENAME TO renamed');
	is(me($token)->{status}, 401, 'a token ends with the name');
	sql('ALTER ROLE renamed RENAME TO app');
}
my $kept = sql(
	"SELECT string_agg(encode(password, 'hex'), ' ') FROM dataflows.page_token WHERE password
		IS NOT NULL"
);
like(
	$kept,
	qr/^[0-9a-f]{64}( [0-9a-f]{64})*$/,
	'of a password only a hash is kept, with the token in it');
my ($rc, $out, $err) = $node->psql(
	'postgres',
	'SELECT dataflows.dashboard_token()',
	extra_params => [ '-U', 'hearer' ]);
is($rc, 0, 'a role without a password has tokens, too');
($rc, $out, $err) = $node->psql('postgres', 'SET ROLE eve; SELECT dataflows.dashboard_token()');
like($err, qr/it may not connect to this database/, 'one that may not connect has none');

# ---- settings of the role that listens -----------------------------------------------------

$node->safe_psql('postgres', <<'SQL');
SET ROLE eve;
CREATE FUNCTION eve.lookup(b jsonb) RETURNS text LANGUAGE plpgsql AS $$ BEGIN
  RETURN 'eve as ' || current_user; END $$;
SQL
as_app($node, 'postgres', <<'SQL');
CREATE FUNCTION app.lookup(b jsonb) RETURNS text LANGUAGE sql AS $$ SELECT 'app' $$;
CREATE FUNCTION app.f(e jsonb) RETURNS jsonb LANGUAGE plpgsql AS $$ BEGIN RETURN '{}'; END $$;
CREATE FUNCTION app.h(headers jsonb, body jsonb) RETURNS jsonb LANGUAGE plpgsql AS $$
BEGIN
  RETURN jsonb_build_object('ignored', concat_ws(' ', lookup(body), current_setting('search_path'),
    current_setting('standard_conforming_strings'),
    length('a\b'), (date '2026-02-01')::text, current_setting('xmloption'),
      current_setting('exit_on_error')));
END $$;
SELECT dataflows.define_workflow('a', 'app.f');
SELECT dataflows.create_webhook('/h', starts => 'a', handler => 'app.h');
SQL
# its settings hold for sessions that begin after them: another one listens after a change of this
$node->safe_psql('postgres', <<'SQL');
ALTER ROLE hearer SET search_path = eve, app, public;
ALTER ROLE hearer SET standard_conforming_strings = off;
ALTER ROLE hearer SET escape_string_warning = off;
ALTER ROLE hearer SET datestyle = 'SQL, DMY';
ALTER ROLE hearer SET xmloption = document;
ALTER ROLE hearer SET exit_on_error = on;
SQL
my $pid = sql("SELECT pid FROM pg_stat_activity WHERE backend_type = 'dataflows ingress'");
sql('ALTER SYSTEM SET dataflows.ingress_timeout = 19');
sql('SELECT pg_reload_conf()');
ok( wait_until(
		$node,
		"SELECT count(*) = 1 FROM pg_stat_activity WHERE backend_type = 'dataflows ingress'
			AND pid <> $pid",
		120),
	'another process listens');
listening();

sub ask
{
	return decode_json(
		$http->post("$base/h",
			{ content => '{"id": 1}', headers => { 'content-type' => 'application/json' } })
			->{content});
}
my $pinned = qq(app "\$user", public, pg_temp on 3 2026-02-01 content off);

is(ask()->{ignored}, $pinned, 'a handler finds its creator\'s names, and SQL as it is elsewhere');
as_app(
	$node, 'postgres',
	q(CREATE OR REPLACE FUNCTION app.h(headers jsonb, body jsonb) RETURNS jsonb
		LANGUAGE plpgsql AS $$ BEGIN RAISE EXCEPTION 'no'; END $$)
);
$pid = sql("SELECT pid FROM pg_stat_activity WHERE backend_type = 'dataflows ingress'");
ok(ask()->{error}, 'one that fails is answered');
is(sql("SELECT pid FROM pg_stat_activity WHERE backend_type = 'dataflows ingress'"),
	$pid, 'by the same process: it does not end with an error');

# ---- and of who calls receive_webhook()

as_app(
	$node, 'postgres',
	q(CREATE OR REPLACE FUNCTION app.h(headers jsonb, body jsonb) RETURNS jsonb
  LANGUAGE plpgsql AS $$
BEGIN
  RETURN jsonb_build_object('ignored', concat_ws(' ', lookup(body),
    current_setting('search_path'), current_setting('standard_conforming_strings'),
    length('a\b'), (date '2026-02-01')::text, current_setting('xmloption'),
    current_setting('exit_on_error')));
END $$));
$out = $node->safe_psql('postgres', <<'SQL');
GRANT EXECUTE ON FUNCTION dataflows.receive_webhook TO hearer;
SET SESSION AUTHORIZATION hearer;
SET search_path = eve, app, public;
SET datestyle = 'SQL, DMY';
SET xmloption = document;
SET standard_conforming_strings = off;
SELECT dataflows.receive_webhook('/h', '{}', '{"id": 1}') ->> 'ignored';
SELECT current_setting('search_path') || ' ' || current_setting('datestyle') || ' ' ||
  current_setting('xmloption');
SQL
is( $out,
	"$pinned\neve, app, public SQL, DMY document",
	'the same there, and the caller\'s settings stay the caller\'s');

$node->stop;
done_testing();
