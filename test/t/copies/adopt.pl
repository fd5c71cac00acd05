# Who owns what after adopt(): in another cluster roles are found by name; renamed, a role is still
# the owner. Tokens that
# are set later, a promoted standby, copies of the files, and the key of links.

use strict;
use warnings;

use HTTP::Tiny;
use Test::More;
use PostgreSQL::Test::Cluster;
use PostgreSQL::Test::Utils;
use Dataflows;

my $library = `"\${PG_CONFIG:-pg_config}" --pkglibdir`;

chomp $library;

my $cron = -e "$library/pg_cron.so";
my $dir = PostgreSQL::Test::Utils::tempdir();
my $port = PostgreSQL::Test::Cluster::get_free_port();
my $conf =
	  "dataflows.sweep_interval = '500ms'\ndataflows.worker_idle = '1s'\nwal_level = "
	. "replica\nmax_wal_senders = 4\n"
	. ($cron ? "cron.database_name = 'shop'\ncron.use_background_workers = on\n" : '');

sub node
{
	my ($name, %params) = @_;

	return new_node(
		$name,
		preload => $cron ? 'dataflows,pg_cron' : 'dataflows',
		%params, conf => $conf . ($params{conf} // ''));
}

my $node = node('adopt');

sub sql { my ($on, $sql) = @_; return $on->safe_psql('shop', $sql); }

sub as
{
	my ($on, $role, $sql) = @_;
	return $on->safe_psql('shop', $sql, extra_params => [ '-U', $role ]);
}

sub refused
{
	my ($on, $role, $sql) = @_;
	my ($rc, $out, $err) = $on->psql('shop', $sql, extra_params => [ '-U', $role ]);

	return $rc != 0 && $err =~ /may not|permission denied/ ? 'refused' : "not refused: $out$err";
}

sub ends
{
	my ($on, $key, $state) = @_;
	return wait_until($on, "SELECT state = '$state' FROM dataflows.runs WHERE key = '$key'",
		60, 'shop');
}

sub engine
{
	my ($on) = @_;
	return sql($on,
		'SELECT state || coalesce(\': \' || reason, \'\') FROM dataflows.status() LIMIT 1');
}

sub engine_is
{
	my ($on, $state) = @_;
	return wait_until($on,
		"SELECT bool_or(state = '$state') FROM (SELECT state FROM dataflows.status() LIMIT 1) s",
		60, 'shop');
}

sub live
{
	my ($on) = @_;
	return sql($on, 'SELECT count(*) FROM dataflows.run WHERE finished_at IS NULL');
}

sub key_of
{
	my ($on) = @_;
	return sql($on, "SELECT encode(link_key, 'hex') FROM dataflows.origin");
}

sub waiting
{
	my ($on, $key, $role) = @_;

	as($on, $role // 'app', "SELECT dataflows.start('waits', '{}', '$key')");
	return ends($on, $key, 'waiting');
}

sub go
{
	my ($on, $key, $role) = @_;
	return as($on, $role // 'app', "SELECT dataflows.signal_by_key('waits', '$key', 'go')");
}

# ---- a cluster, and another one where the oids of its roles are other roles' ---------------------

my $owners = <<'SQL';
GRANT EXECUTE ON FUNCTION dataflows.define_workflow TO app, ghost;
CREATE SCHEMA app AUTHORIZATION app;
CREATE SCHEMA ghost AUTHORIZATION ghost;
SET ROLE app;
CREATE FUNCTION app.waits(event jsonb) RETURNS jsonb LANGUAGE plpgsql AS $$ BEGIN
  RETURN dataflows.wait_for('go'); END $$;
CREATE FUNCTION app.echo(event jsonb) RETURNS jsonb LANGUAGE sql AS $$ SELECT event $$;
CREATE FUNCTION app.decides(headers jsonb, body jsonb) RETURNS jsonb LANGUAGE sql AS $$
  SELECT jsonb_build_object('key', body->>'id', 'input', body) $$;
SELECT dataflows.define_workflow('waits', 'app.waits'), dataflows.define_workflow('echo',
  'app.echo');
SELECT dataflows.create_webhook('/signup', starts => 'echo', key => '$.id',
  handler => 'app.decides');
SET ROLE ghost;
CREATE FUNCTION ghost.waits(event jsonb) RETURNS jsonb LANGUAGE plpgsql AS $$ BEGIN
  RETURN dataflows.wait_for('go'); END $$;
SELECT dataflows.define_workflow('haunts', 'ghost.waits'), dataflows.start('haunts', '{}',
  'haunted');
SQL

$node->safe_psql('postgres',
	'CREATE ROLE app LOGIN; CREATE ROLE ghost LOGIN; CREATE DATABASE shop');
sql($node, 'CREATE EXTENSION dataflows');
sql($node, 'CREATE EXTENSION pg_cron') if $cron;
sql($node, $owners);
as($node, 'app', "SELECT dataflows.schedule('every', '0 0 1 1 *', 'echo')") if $cron;
ok(waiting($node, 'moved'), 'a run waits');
ok(ends($node, 'haunted', 'waiting'), 'and one of another owner');

my ($app, $ghost) = split /\|/, sql($node, "SELECT 'app'::regrole::oid, 'ghost'::regrole::oid");

$node->command_ok([ 'pg_dump', '-d', $node->connstr('shop'), '-f', "$dir/shop.sql" ],
	'the database is dumped');

my $other = node('adopt_other');

# mallory and eve get the oids that app and ghost have in the original, wherever these begin
$other->safe_psql(
	'postgres',
	'CREATE ROLE mallory LOGIN; CREATE ROLE eve LOGIN; CREATE ROLE app LOGIN;
		CREATE ROLE ghost NOLOGIN; CREATE DATABASE shop'
);
$other->command_ok(
	[
		'psql', '-X', '-q', '-v',
		'ON_ERROR_STOP=1', '-d', $other->connstr('shop'), '-f',
		"$dir/shop.sql"
	],
	'and restored');
sql($other, "REASSIGN OWNED BY ghost TO postgres; DROP OWNED BY ghost; DROP ROLE ghost");
sql($other,
	"UPDATE dataflows.workflow SET owner = CASE owner_name WHEN 'app' THEN 'mallory'::regrole
		ELSE 'eve'::regrole END;"
		. "UPDATE dataflows.webhook SET owner = 'mallory'::regrole, handler_owner =
			'mallory'::regrole"
	)
	if sql($other, "SELECT 'mallory'::regrole::oid <> $app OR 'eve'::regrole::oid <> $ghost") eq
	't';
is(refused($other, 'mallory', "SELECT dataflows.start('waits')"),
	'refused', 'held: who has the oid of the owner by chance is not the owner');
is(as($other, 'mallory', 'SELECT count(*) FROM dataflows.runs'), '0', 'and sees nothing');
if ($cron)
{
	my ($rc, $out, $err) = $other->psql('shop', "SELECT dataflows._fire('every')");

	like(
		$err,
		qr/schedule "every" does not fire: this database is held/,
		'no schedule fires in a held database');
}
is(sql($other, 'SELECT dataflows.adopt()'), '2', 'adopt() takes both runs over');
is( sql($other,
		"SELECT string_agg(owner_name || ' ' || owner::regrole, ', ' ORDER BY owner_name)
			FROM (SELECT DISTINCT owner_name, owner FROM dataflows.workflow) w"
	),
	'app app, ghost -',
	'owners are found by name; what is nobody\'s here is nobody\'s');
is(refused($other, $_, "SELECT dataflows.start('waits'), dataflows.start('haunts')"),
	'refused', "$_ is still not the owner")
	for qw(mallory eve);
go($other, 'moved');
ok(ends($other, 'moved', 'completed'), 'the run goes on');
like(sql($other, "SELECT dataflows.receive_webhook('/signup', '{}', '{\"id\": \"7\"}')"),
	qr/"run"/, 'so do the webhook and its handler');
is(as($other, 'app', "SELECT count(*) FROM dataflows.webhooks"), '1', 'which is its creator\'s');
ok(ends($other, '7', 'completed'), 'the run that it starts moves');

if ($cron)
{
	ok(sql($other, "SELECT dataflows._fire('every') IS NOT NULL"), 'the schedule fires');
	is(as($other, 'app', "SELECT active FROM dataflows.schedules"), 't', 'and has its job');
}
sql($other,
	"CREATE ROLE ghost LOGIN; ALTER SCHEMA ghost OWNER TO ghost; ALTER FUNCTION ghost.waits OWNER
		TO ghost"
);
sql($other, 'SELECT dataflows.adopt()');
as($other, 'ghost', "SELECT dataflows.signal_by_key('haunts', 'haunted', 'go')");
ok(ends($other, 'haunted', 'completed'), 'with the role there, adopt() gives it what is its');
is(engine($other) =~ /^running/ ? 'running' : engine($other), 'running', 'the engine runs');
$other->stop;

# ---- renamed -------------------------------------------------------------------------------------

ok(waiting($node, 'renamed'), 'a run waits');
ok( wait_until(
		$node, "SELECT count(*) = 0 FROM pg_stat_activity WHERE backend_type = 'dataflows worker'"),
	'no worker is there');
sql($node, 'ALTER ROLE app RENAME TO store');
go($node, 'renamed', 'store');
ok(ends($node, 'renamed', 'completed'), 'its owner renamed, the run goes on');
ok(waiting($node, 'again', 'store'), 'another starts');
ok( wait_until(
		$node,
		"SELECT bool_and(owner_name = 'store') FROM (SELECT owner_name FROM dataflows.webhook
			UNION SELECT owner_name FROM dataflows.schedule UNION SELECT owner_name
			FROM dataflows.workflow WHERE owner_name <> 'ghost') o",
		60,
		'shop'),
	'a sweep brings the name up to date');
like(sql($node, "SELECT dataflows.receive_webhook('/signup', '{}', '{\"id\": \"8\"}')"),
	qr/"run"/, 'the webhook works');
ok(sql($node, "SELECT dataflows._fire('every') IS NOT NULL"), 'the schedule fires') if $cron;
sql($node, 'CREATE ROLE app LOGIN');
is(refused($node, 'app', "SELECT dataflows.signal_by_key('waits', 'again', 'go')"),
	'refused', 'who has the name now is not the owner');
is(as($node, 'app', "SELECT count(*) FROM dataflows.runs WHERE key = 'again'"),
	'0', 'and does not see its runs');
sql($node, 'DROP ROLE app');
sql($node, "BEGIN; ALTER ROLE store RENAME TO app; SELECT dataflows.adopt(); COMMIT");
is(sql($node, "SELECT string_agg(DISTINCT owner_name, ' ') FROM dataflows.workflow"),
	'app ghost', 'adopt() brings it up to date at once');
as($node, 'app', "SELECT dataflows.cancel(run) FROM dataflows.runs WHERE key = 'again'");
ok(ends($node, 'again', 'cancelled'), 'and the run obeys its owner');

# ---- dropped, and there again --------------------------------------------------------------------

sql($node, "REASSIGN OWNED BY ghost TO postgres; SELECT dataflows.disallow_author('ghost')");
$node->safe_psql('postgres', 'DROP ROLE ghost');
as($node, 'postgres', "SELECT dataflows.signal_by_key('haunts', 'haunted', 'go')");
ok(ends($node, 'haunted', 'stuck'), 'its owner dropped, a run is stuck');
like(
	sql($node, "SELECT remedy FROM dataflows.stuck"),
	qr/set_owner.*create a role of that name again and call dataflows\.adopt\(\)/,
	'and says what to do');
sql($node,
	'CREATE ROLE ghost LOGIN; ALTER SCHEMA ghost OWNER TO ghost; ALTER FUNCTION ghost.waits OWNER
		TO ghost'
);
is( refused(
		$node, 'ghost', "SELECT dataflows.retry(run) FROM dataflows.runs WHERE key = 'haunted'"),
	'refused',
	'a new role of that name is not the owner by itself');
sql($node, 'SELECT dataflows.adopt()');
as($node, 'ghost', 'SELECT dataflows.retry(run) FROM dataflows.stuck');
ok(ends($node, 'haunted', 'completed'), 'with adopt() it is, and the run goes on');

# ---- the key of links ----------------------------------------------------------------------------

my $http = HTTP::Tiny->new(timeout => 10, keep_alive => 0);
my $restart_counts =
	"SELECT count(*) = 1 FROM dataflows.status() WHERE process = 'ingress' AND state = 'running'";

$node->safe_psql('postgres', 'CREATE ROLE hears LOGIN');
$node->append_conf('postgresql.conf',
		  "dataflows.listen = '127.0.0.1:$port'\ndataflows.ingress_database = "
		. "'shop'\ndataflows.ingress_role = 'hears'\ndataflows.public_url = "
		. "'http://127.0.0.1:$port'\n");
$node->reload;
ok(wait_until($node, $restart_counts, 60, 'shop'), 'somebody hears links');
ok(waiting($node, 'linked'), 'a run waits');

my $link = as($node, 'app',
	"SELECT dataflows.event_url(run, 'go') FROM dataflows.runs WHERE key = 'linked'");
my $key = key_of($node);

is($http->get($link)->{status}, 200, 'a link is valid');
is(refused($node, 'app', 'SELECT dataflows.renew_link_key()'),
	'refused', 'a plain role may not renew the key');
is(refused($node, 'app', 'SELECT link_key FROM dataflows.origin'), 'refused', 'nor read it');
sql($node, 'SELECT dataflows.adopt()');
is(key_of($node), $key, 'adopt() of what is no copy keeps it');
sql($node, 'SELECT dataflows.renew_link_key()');
isnt(key_of($node), $key, 'renew_link_key() makes another one');
is($http->post($link)->{status}, 404, 'the link is not valid any more');
$link = as($node, 'app',
	"SELECT dataflows.event_url(run, 'go') FROM dataflows.runs WHERE key = 'linked'");
is($http->post($link)->{status}, 200, 'a new one is');
ok(ends($node, 'linked', 'completed'), 'and the run goes on');
$node->append_conf('postgresql.conf', "dataflows.listen = ''\n");
$node->reload;

# ---- a token that is set later -------------------------------------------------------------------

sub set_token
{
	my ($on, $token) = @_;
	$on->append_conf('postgresql.conf', "dataflows.identity = '$token'\n");
	return;
}

ok(waiting($node, "token$_"), 'a run waits') for 1 .. 3;
set_token($node, 'prod');
$node->reload;
ok(wait_until($node, "SELECT token = 'prod' FROM dataflows.installation", 60, 'shop'),
	'set by a reload, the token is taken over');
go($node, 'token1');
ok(ends($node, 'token1', 'completed'), 'and the runs go on');
$node->restart;
go($node, 'token2');
ok(ends($node, 'token2', 'completed'), 'also after a restart');

# another one holds, by a reload too, with a worker at work
as($node, 'app', "SELECT dataflows.start('echo', '{}', 'at-work')");
ok(ends($node, 'at-work', 'completed'), 'a worker is there');
set_token($node, 'staging');
$node->reload;
ok(engine_is($node, 'held'), 'another token holds');
my $live = live($node);
like(
	engine($node),
	qr/^held: $live runs are held.*dataflows\.identity is another one/,
	'and status() says how many and why');
go($node, 'token3');
as($node, 'app', "SELECT dataflows.start('echo', '{}', 'later')");
my $since = sql($node, 'SELECT clock_timestamp()');
ok(wait_until($node, "SELECT clock_timestamp() > '$since'::timestamptz + interval '2 s'"),
	'some sweeps pass');
is( sql($node,
		"SELECT string_agg(state, ' ' ORDER BY key) FROM dataflows.runs
			WHERE key IN ('token3', 'later')"
	),
	'queued waiting',
	'nothing moves');
set_token($node, 'prod');
$node->reload;
ok(ends($node, 'later', 'completed') && ends($node, 'token3', 'completed'),
	'the old token, and they go on');

# a standby with the same token goes on; a copy of the files with another one does not
ok(waiting($node, "copy$_"), 'a run waits') for 1 .. 2;
as($node, 'app', "SELECT dataflows.dashboard_token()");
$node->backup('files');

my $standby = PostgreSQL::Test::Cluster->new('adopt_standby');
my $clone = PostgreSQL::Test::Cluster->new('adopt_clone');

$standby->init_from_backup($node, 'files', has_streaming => 1);
$clone->init_from_backup($node, 'files');
$clone->append_conf('postgresql.conf',
	"dataflows.identity = 'staging'\nshared_preload_libraries = ''\n");
$clone->start;
like(
	engine($clone),
	qr/^held: .*dataflows\.adopt\(\); the library is not preloaded/,
	'a copy of the files says that it is held, also without the engine');
$clone->append_conf('postgresql.conf',
	"shared_preload_libraries = '" . ($cron ? 'dataflows,pg_cron' : 'dataflows') . "'\n");
$clone->restart;
ok(engine_is($clone, 'held'), 'a copy of the files with another token is held');
$live = live($clone);
like(engine($clone), qr/^held: $live runs are held/, 'with its runs');
$key = key_of($clone);
is(sql($clone, 'SELECT dataflows.adopt()'), $live, 'adopted');
isnt(key_of($clone), $key, 'it has a key of its own');
is(sql($clone, 'SELECT count(*) FROM dataflows.page_token'),
	'0', 'and no tokens of the original\'s page');
go($clone, 'copy1');
ok(ends($clone, 'copy1', 'completed'), 'and its runs go on');
$clone->stop;

$standby->start;
$node->wait_for_catchup($standby, 'replay', $node->lsn('write'));
like(engine($standby), qr/^standby/, 'a standby under the same token is not held');
$standby->append_conf('postgresql.conf', "dataflows.identity = 'other'\n");
$standby->reload;
ok(engine_is($standby, 'held'), 'under another one it says so before it is promoted');
$standby->append_conf('postgresql.conf', "dataflows.identity = 'prod'\n");
$standby->reload;
ok(engine_is($standby, 'standby'), 'and not when it is mended');
$node->stop('immediate');
$standby->promote;
go($standby, 'copy2');
ok(ends($standby, 'copy2', 'completed'), 'promoted, it goes on without anybody');
$standby->stop;

# set for the first time before a start it holds: so does a clone that somebody has given a name
my $named = node('adopt_named', conf => '');

$named->safe_psql('postgres',
	'CREATE ROLE app LOGIN; CREATE ROLE ghost LOGIN; CREATE DATABASE shop');
sql($named, 'CREATE EXTENSION dataflows');
sql($named, $owners);
ok(waiting($named, 'named'), 'a run waits, without a token');
$named->stop;
set_token($named, 'clone');
$named->start;
ok(engine_is($named, 'held'), 'a token that is there at a start holds');
like(engine($named), qr/was set before the server started.*dataflows\.adopt\(\)/, 'and says why');
is(sql($named, 'SELECT dataflows.adopt()'), '2', 'until it is adopted');
go($named, 'named');
ok(ends($named, 'named', 'completed'), 'then the run goes on');

$named->stop;
done_testing();
