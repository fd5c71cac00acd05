
# replay_check(): what it says of each way in which a function may fit the runs that are there, that
# nothing happens to them or to the session, and what a body cannot do in it.

use strict;
use warnings;

use Test::More;
use PostgreSQL::Test::Cluster;
use PostgreSQL::Test::Utils;
use Dataflows;

my $systems = start_systems();
my $node = new_node('replay_check',
	conf => "wal_level = replica\nmax_wal_senders = 4\nhot_standby = on");

create_systems($node, 'postgres', $systems, workflow => 0, options => { timeout => '120s' });
$node->safe_psql('postgres', 'CREATE ROLE stranger LOGIN; CREATE ROLE member LOGIN;
	GRANT app TO member; GRANT pg_read_all_stats TO app;
	CREATE TABLE app.items (item text); GRANT ALL ON app.items TO app');

sub app { return as_app($node, 'postgres', $_[0]); }

sub sql { return $node->safe_psql('postgres', $_[0]); }

# what it returns, or the SQLSTATE and text of its error
sub as
{
	my ($role, $sql) = @_;
	my ($rc, $out, $err) = $node->psql('postgres', "\\set VERBOSITY verbose\n$sql",
		extra_params => [ '-U', $role ]);

	return $rc == 0 ? $out : $err =~ /ERROR:  (\w{5}: .*)/ ? $1 : $err;
}

sub function
{
	my ($name, $body) = @_;

	app("CREATE OR REPLACE FUNCTION app.$name(event jsonb) RETURNS jsonb LANGUAGE plpgsql AS
		\$f\$ BEGIN $body RETURN event; END \$f\$");
	return;
}

sub post
{
	my ($step, $path) = @_;

	return "PERFORM dataflows.post('$step', 'crm', '" . ($path // '/contacts') . "',
		'{\"email\": \"r\@example.com\"}'); ";
}

my $go = "PERFORM dataflows.wait_for('go'); ";

# a run of a new workflow, by its name, that has come to the state
sub starts
{
	my ($name, $body, $state) = @_;

	function($name, $body);
	app("SELECT dataflows.define_workflow('$name', 'app.$name');
		SELECT dataflows.start('$name', '{}', '$name')");
	return ok(
		wait_until($node, "SELECT state = '$state' FROM dataflows.runs WHERE key = '$name'"),
		"$name is $state");
}

# verdict and detail for a workflow's one run, with a new body of that function
sub verdict
{
	my ($workflow, $body) = @_;

	function('new', $body) if defined $body;
	return app("SELECT verdict || coalesce(' | ' || detail, '')
		FROM dataflows.replay_check('$workflow'" . (defined $body ? ", 'app.new'" : '') . ')');
}

# ---- what it says --------------------------------------------------------------------------------

starts('one', post('a') . $go . post('b', '/users'), 'waiting');
is(verdict('one'), 'same', 'the function that is there');
is(verdict('one', '/* a word */ ' . post('a') . $go . post('b')), 'same', 'one with a comment');
is(verdict('one', post('a') . $go . $go . post('c')), 'same', 'one that goes on otherwise');
like(
	verdict('one', post('renamed') . $go),
	qr/^stuck\ \|\ DF003:\ the\ body\ calls\ the\ new\ step\ "renamed"\ before
		\ the\ recorded\ step\ "a".*rename_step\('[-0-9a-f]+',\ 'a',\ 'renamed'\);
		.*accept_drift\(/x,
	'a step has another name: both ways out are named');
like(verdict('one', post('a', '/users') . $go), qr/^stuck \| DF003: .*\/users/,
	'a step has another path');
like(
	verdict('one', $go),
	qr/^drifted \| it does not call the recorded step "a"; .* gets stuck when its body returns$/,
	'a step is not called before it waits');
like(verdict('one', ''), qr/^stuck \| DF003: the body returned without calling .*"a"/,
	'a step is not called at all');
is(
	verdict('one', "PERFORM dataflows.get('look', 'crm', '/contacts/1'); " . post('a') . $go),
	'drifted | it calls the new step "look" before the recorded step "a" and 1 more',
	'a new step of another kind comes first');
is(
	verdict('one', "PERFORM dataflows.once('v', 'SELECT 1'); " . post('a') . $go),
	'drifted | it calls the new step "v" before steps that are recorded',
	'a value that is kept comes first');
is(
	verdict('one', post('a')),
	'drifted | it does not call the recorded step "go"; it completes',
	'it does not wait any more');
like(verdict('one', post('a') . "RAISE EXCEPTION 'no more'; "), qr/^fails \| P0001: no more$/,
	'it raises an error on purpose');
like(verdict('one', post('a') . 'PERFORM 1/0; '), qr/^stuck \| 22012: .*division by zero/,
	'it raises another error');
like(verdict('one', "PERFORM dataflows.post('a', 'nowhere', '/'); "),
	qr/^stuck \| .*nowhere/, 'a system that is not there');
like(verdict('one', 'INSERT INTO app.items VALUES (1); '), qr/^stuck \| 25006:/, 'a write');
like(
	verdict('one', "PERFORM set_config('transaction_read_only', 'off', false); "
			. 'INSERT INTO app.items VALUES (1); '),
	qr/^stuck \| /, 'a write that it asks for');
function('new', post('renamed') . $go);
app('CREATE OR REPLACE FUNCTION app.one(event jsonb) RETURNS jsonb LANGUAGE plpgsql AS $f$
	BEGIN ' . post('renamed') . $go . 'RETURN event; END $f$');
like(verdict('one'), qr/^stuck \| DF003/, 'without a function: the one that is there now');
function('one', post('a') . $go);

starts('broken', post('a') . 'PERFORM 1/0; ' . $go, 'stuck');
like(verdict('broken'), qr/^stuck \| 22012/, 'a stuck run, as it is');
like(
	verdict('broken', post('a') . $go),
	qr/^needs retry \| it is stuck now: .*division by zero.*retry\(/,
	'a stuck run that the new function repairs');
is(sql("SELECT state FROM dataflows.runs WHERE key = 'broken'"), 'stuck', 'it stays so');

starts('done', post('a'), 'completed');
is(verdict('done', post('a') . post('b', '/other')), '', 'a run that has ended fits');
like(verdict('done', post('x')), qr/^ended \| .*DF003/, 'or does not');
function('new', post('x'));
is(app("SELECT count(*) FROM dataflows.replay_check('done', 'app.new', NULL)"),
	0, 'and is left out if it is not asked for');
is(app("SELECT count(*) FROM dataflows.replay_check('one', NULL, '-1 day')"),
	1, 'live runs are listed however old they are');

app("SELECT dataflows.forget('done', 'done')");
is(verdict('done', post('x')), '', 'nor is one that was forgotten');

starts('rounds', "IF event->>'n' = '2' THEN $go END IF; " . post('a')
	. q{PERFORM dataflows.continue_with('{"n": 2}'); }, 'waiting');
is(verdict('rounds'), 'same', 'a later round');
is(
	verdict('rounds', post('a') . q{PERFORM dataflows.continue_with('{"n": 3}'); }),
	'drifted | it calls the new step "a" before the recorded step "go"',
	'a later round has its own steps');
is(
	verdict('rounds', q{PERFORM dataflows.continue_with('{"n": 3}'); }),
	'drifted | it does not call the recorded step "go"; it begins its next round',
	'a round that ends');

$systems->fault('crm', match => { method => 'POST' }, fault => 'hang', times => 1);
function('flies', post('a', '/hangs'));
app("SELECT dataflows.define_workflow('flies', 'app.flies');
	SELECT dataflows.start('flies', '{}', 'flies')");
ok(
	wait_until($node, "SELECT s.state = 'sent' FROM dataflows.steps AS s
		JOIN dataflows.runs AS r USING (run) WHERE r.key = 'flies'"),
	'a request is in flight');
is(verdict('flies'), 'same', 'its run goes on as recorded');
like(verdict('flies', post('b', '/hangs')), qr/^stuck \| DF003/, 'or not');

starts('five', post('a') . post('b') . $go, 'waiting');
app("SELECT dataflows.start('five', '{}', 'five' || i) FROM generate_series(1, 4) AS i");
ok(
	wait_until($node, "SELECT count(*) = 5 FROM dataflows.runs
		WHERE workflow = 'five' AND state = 'waiting'"),
	'several runs');
is(
	verdict('five', post('a') . post('renamed') . $go) =~ s/ \|.*//gr,
	join("\n", ('stuck') x 5),
	'each of them is tried in one call');

# ---- nothing happens -----------------------------------------------------------------------------

my $everything = "SELECT md5(string_agg(t, '|' ORDER BY t)) FROM (
	SELECT r.xmin::text || r.ctid::text || r::text FROM dataflows.run AS r UNION ALL
	SELECT s.xmin::text || s.ctid::text || s::text FROM dataflows.step AS s UNION ALL
	SELECT i.xmin::text || i::text FROM dataflows.inbox AS i UNION ALL
	SELECT w.xmin::text || w::text FROM dataflows.workflow AS w) AS x (t)";
my $before = sql($everything);
my $sent = scalar @{ $systems->requests('crm') };

function('new', post('renamed') . $go);
is(app("BEGIN READ ONLY; SELECT verdict FROM dataflows.replay_check('one', 'app.new'); COMMIT"),
	'stuck', 'it works in a read-only transaction');
is(app("BEGIN ISOLATION LEVEL SERIALIZABLE READ ONLY DEFERRABLE;
	SELECT verdict FROM dataflows.replay_check('one', 'app.new'); COMMIT"),
	'stuck', 'and in a serializable one');
is(app("BEGIN; SELECT verdict FROM dataflows.replay_check('one', 'app.new');
	SELECT pg_current_xact_id_if_assigned() IS NULL; COMMIT"),
	"stuck\nt", 'it writes nothing');
my $held = $node->background_psql('postgres', on_error_stop => 1);
$held->query_safe("BEGIN; SELECT run FROM dataflows.run FOR UPDATE");
is(app("SELECT verdict FROM dataflows.replay_check('one', 'app.new')"),
	'stuck', 'it waits for no lock of a run');
$held->query_safe('COMMIT');
is(app("BEGIN; SELECT verdict FROM dataflows.replay_check('one', 'app.new');
	SELECT mode FROM pg_locks WHERE pid = pg_backend_pid() AND relation = 'dataflows.run'::regclass;
	COMMIT"), "stuck\nAccessShareLock", 'nor takes one');
is(sql($everything), $before, 'no row is another one');
is(scalar @{ $systems->requests('crm') }, $sent, 'and nothing was sent');

# where metrics are counted: in the process that runs the SQL of a query step
my $stuck = q{SELECT value FROM dataflows.metrics WHERE name = 'dataflows_runs_stuck'
	AND labels->>'workflow' = 'one'};
my $counted = sql($stuck);
starts('checks', "event := dataflows.query('check',
	'SELECT verdict FROM dataflows.replay_check(''one'', ''app.new'')');", 'completed');
is(app("SELECT result FROM dataflows.runs WHERE key = 'checks'"),
	'[{"verdict": "stuck"}]', 'a query step can call it');
is(sql($stuck), $counted, 'and nothing was counted');

# ---- the session ---------------------------------------------------------------------------------

function('new', "PERFORM pg_advisory_lock(1), pg_advisory_lock(2), pg_advisory_lock(2);
	SET search_path = pg_catalog;
	PERFORM set_config('work_mem', '77kB', false); " . post('a') . $go);
is(app("PREPARE mine AS SELECT 2; SELECT pg_advisory_lock(1);
	SELECT verdict FROM dataflows.replay_check('one', 'app.new');
	SELECT string_agg(name, ',') FROM pg_prepared_statements;
	SELECT objid FROM pg_locks WHERE locktype = 'advisory' AND pid = pg_backend_pid();
	SELECT current_setting('work_mem') <> '77kB', current_setting('search_path'), current_user"),
	"\nsame\nmine\n1\nt|\"\$user\", public|app", 'what a body leaves in a session is dropped');
like(verdict('one', "EXECUTE 'PREPARE theirs AS SELECT 1'; "), qr/^stuck \| 42501/,
	'it can prepare no statement there');
function('new', 'PERFORM count(*) FROM items; ' . post('a') . $go);
sql('ALTER ROLE app SET search_path = app');
like(as('member', "CREATE TEMP TABLE items (item text);
	SELECT verdict FROM dataflows.replay_check('one', 'app.new')"),
	qr/^same$/, 'the body has the settings of its owner, and not the tables of the session');
sql('ALTER ROLE app RESET search_path');
my $at = "PERFORM dataflows.post('at', 'crm', '/contacts',
	jsonb_build_object('email', timestamptz '2020-01-01 00:00+00' || '')); ";
starts('zoned', $at . $go, 'waiting');
function('new', "/* a word */ $at$go");
is(app("SET TimeZone = 'Asia/Tokyo'; SET DateStyle = 'German';
	SELECT verdict FROM dataflows.replay_check('zoned', 'app.new')"),
	'same', 'and not the form of values of the session');
function('new', "IF current_user <> 'app' THEN RAISE EXCEPTION '%', current_user; END IF; "
	. post('a') . $go);
is(as('member', "SELECT verdict FROM dataflows.replay_check('one', 'app.new')"),
	'same', 'it runs as the owner');
function('new', "BEGIN EXECUTE 'RESET ROLE'; EXCEPTION WHEN OTHERS THEN NULL; END;
	BEGIN EXECUTE 'SET SESSION AUTHORIZATION DEFAULT'; EXCEPTION WHEN OTHERS THEN NULL; END;
	IF current_user <> 'app' THEN RAISE EXCEPTION '%', current_user; END IF; " . post('a') . $go);
is(sql("SELECT verdict FROM dataflows.replay_check('one', 'app.new')"),
	'same', 'and stays so under a superuser');
is(sql('SELECT current_user, session_user'), 'postgres|postgres', 'who stays itself');
function('new', "RAISE WARNING 'one more'; " . post('a') . $go);
my ($out, $err) = ('', '');
$node->psql('postgres', "SELECT verdict FROM dataflows.replay_check('one', 'app.new')",
	stdout => \$out, stderr => \$err);
is("$out$err", 'same', 'what bodies say is not said');

# ---- cancels, time and locks ---------------------------------------------------------------------

function('new', 'PERFORM pg_sleep(600); ');
like(as('app', "SET statement_timeout = '300ms';
	SELECT verdict FROM dataflows.replay_check('one', 'app.new')"),
	qr/^57014: canceling statement due to statement timeout/, 'statement_timeout');
function('new', 'BEGIN PERFORM pg_sleep(600); EXCEPTION WHEN query_canceled THEN NULL; END; '
	. post('a') . $go);
like(as('app', "SET statement_timeout = '300ms';
	SELECT verdict FROM dataflows.replay_check('one', 'app.new')"),
	qr/^57014: canceling statement due to statement timeout/, 'a body that catches it');
$node->safe_psql('postgres', "ALTER SYSTEM SET dataflows.body_timeout = '2s'");
$node->reload;
my $slow = 'BEGIN PERFORM pg_sleep(600); EXCEPTION WHEN query_canceled THEN NULL; END; ';
like(verdict('one', 'PERFORM pg_sleep(600); '), qr/^stuck \| 57014: .*body_timeout/,
	'a body that runs too long');
function('new', $slow . $slow . post('a') . $go);
like(as('app', "SET statement_timeout = '300ms';
	SELECT verdict FROM dataflows.replay_check('one', 'app.new')"),
	qr/^57014: canceling statement due to statement timeout/, 'one that catches both');
$node->safe_psql('postgres', 'ALTER SYSTEM RESET dataflows.body_timeout');
$node->reload;
like(verdict('one', "RAISE EXCEPTION 'mine' USING ERRCODE = 'query_canceled'; "),
	qr/^needs another try \| .*mine/, 'a body that raises it itself');
function('new', 'LOCK TABLE app.items IN ACCESS SHARE MODE; ' . post('a') . $go);
my $locked = $node->background_psql('postgres', on_error_stop => 1);
$locked->query_safe('BEGIN; LOCK TABLE app.items');
like(
	app("SELECT verdict || ' | ' || detail FROM dataflows.replay_check('one', 'app.new')"),
	qr/^needs another try \| .*lock timeout/,
	'a body that waits for a lock');
$locked->quit;
$held->quit;

# ---- who, and with what --------------------------------------------------------------------------

like(as('stranger', "SELECT * FROM dataflows.replay_check('one')"), qr/^42501/, 'a stranger');
like(as('app', "SELECT * FROM dataflows.replay_check('nothing')"), qr/^DF005/, 'no such workflow');
like(as('app', 'SELECT * FROM dataflows.replay_check(NULL)'), qr/^22004/, 'NULL');
like(as('app', "SELECT * FROM dataflows.replay_check('one', 'app.missing')"),
	qr/^42883/, 'no such function');
app('CREATE FUNCTION app.definer(event jsonb) RETURNS jsonb LANGUAGE sql SECURITY DEFINER AS
	$$SELECT event$$; CREATE FUNCTION app.other(event text) RETURNS jsonb LANGUAGE sql AS
	$$SELECT to_jsonb(event)$$; CREATE FUNCTION app.stable(event jsonb) RETURNS jsonb
	LANGUAGE sql STABLE AS $$SELECT event$$');
like(as('app', "SELECT * FROM dataflows.replay_check('one', 'app.$_')"), qr/^42(P13|883)/, $_)
	for qw(definer other stable);
sql('CREATE FUNCTION public.theirs(event jsonb) RETURNS jsonb LANGUAGE plpgsql AS $$BEGIN
	' . post('a') . $go . 'RETURN event; END$$');
is(as('app', "SELECT verdict FROM dataflows.replay_check('one', 'public.theirs')"),
	'same', 'a function of another role, as define_workflow() takes it');
sql('REVOKE EXECUTE ON FUNCTION public.theirs FROM PUBLIC');
like(as('app', "SELECT verdict FROM dataflows.replay_check('one', 'public.theirs')"),
	qr/^42501/, 'unless its owner may not execute it');
function('inside', "PERFORM dataflows.replay_check('one'); ");
app("SELECT dataflows.define_workflow('inside', 'app.inside');
	SELECT dataflows.start('inside', '{}', 'inside')");
ok(
	wait_until($node, "SELECT reason LIKE '%called in the body%' FROM dataflows.stuck
		WHERE key = 'inside'"),
	'it cannot be called in a body');

# ---- many runs -----------------------------------------------------------------------------------

function('many', post('a'));
app("SELECT dataflows.define_workflow('many', 'app.many'); SELECT dataflows.pause('many');
	SELECT count(dataflows.start('many', jsonb_build_object('x', repeat('x', 1000))))
	FROM generate_series(1, 10000)");
is(
	app("SELECT count(*), count(DISTINCT run), min(verdict), max(verdict), max(detail),
		(SELECT sum(total_bytes) < 64 * 1024 * 1024 FROM pg_backend_memory_contexts)
		FROM dataflows.replay_check('many')"),
	'10000|10000|same|same|it was not entered before|t',
	'ten thousand runs');

# ---- a standby -----------------------------------------------------------------------------------

my $standby = PostgreSQL::Test::Cluster->new('standby');

$node->backup('base');
$standby->init_from_backup($node, 'base', has_streaming => 1);
$standby->append_conf('postgresql.conf', "dataflows.listen = ''\n");
$standby->start;
function('new', post('renamed') . $go);
$node->wait_for_catchup($standby);
is(
	$standby->safe_psql('postgres', "SELECT verdict FROM dataflows.replay_check('one', 'app.new')"),
	'stuck', 'it works on a standby');

done_testing();
