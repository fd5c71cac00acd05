# What a role without the right tries: to read what others' runs were started
# with, and to start workflows by triggers that act with a table owner's right.

use strict;
use warnings;

use Test::More;
use PostgreSQL::Test::Cluster;
use PostgreSQL::Test::Utils;
use Dataflows;
use Dataflows::Roles;

my $node = new_node('strangers');

sub hears { return role_hears($node, @_); }

sub refused
{
	my ($role, $sql, $pattern, $name) = @_;
	return like(hears($role, $sql), $pattern, $name);
}

sub counts { my ($what) = @_; return number_of($node, "SELECT count(*) FROM $what"); }

$node->safe_psql('postgres', <<'SQL');
CREATE EXTENSION dataflows;
CREATE ROLE app LOGIN;
CREATE ROLE mate LOGIN IN ROLE app;
CREATE ROLE starter LOGIN;
CREATE ROLE starters_friend LOGIN IN ROLE starter;
CREATE ROLE watcher LOGIN IN ROLE pg_monitor;
CREATE ROLE author LOGIN;
CREATE ROLE eve LOGIN;
CREATE SCHEMA app AUTHORIZATION app;
CREATE SCHEMA author AUTHORIZATION author;
CREATE SCHEMA eve AUTHORIZATION eve;
GRANT EXECUTE ON FUNCTION dataflows.define_workflow TO app, author;
SQL
as_app($node, 'postgres', <<'SQL');
GRANT USAGE ON SCHEMA app TO PUBLIC;
CREATE FUNCTION app.takes(event jsonb) RETURNS jsonb LANGUAGE plpgsql AS $$BEGIN RETURN event;
  END$$;
CREATE FUNCTION app.waits(event jsonb) RETURNS jsonb LANGUAGE plpgsql AS $$BEGIN
  RETURN dataflows.wait_for('go'); END$$;
SELECT dataflows.define_workflow('takes', 'app.takes'), dataflows.define_workflow('waits',
  'app.waits');
SELECT dataflows.allow(w, r, 'start', 'signal', 'cancel')
FROM unnest('{takes,waits}'::text[]) w, unnest('{starter,watcher,author}'::name[]) r;
SQL

# ---- what others' runs were started with ----------------------------------------------

my $secret = 'DE02-SECRET-of-alice';
my $start = sub {
	my ($role, $workflow, $key) = @_;
	return $node->safe_psql(
		'postgres',
		"SELECT dataflows.start('$workflow', '{\"iban\": \"$secret\"}', '$key')",
		extra_params => [ '-U', $role ]);
};
my $ended = $start->('app', 'takes', 'alice');
my $waiting = $start->('app', 'waits', 'alice');

ok(wait_until($node, "SELECT state = 'completed' FROM dataflows.runs WHERE run = '$ended'"),
	'one run of another has ended');
ok(wait_until($node, "SELECT state = 'waiting' FROM dataflows.runs WHERE run = '$waiting'"),
	'one waits');
for my $run ($ended, $waiting)
{
	for my $role (qw(starter eve author))
	{
		my $all = hears($role, <<"SQL");
SELECT dataflows.start('takes', '{}', 'alice'), dataflows.start('waits', '{}', 'alice');
SELECT dataflows.restart('$run');
SELECT dataflows.await('$run', '0');
SELECT dataflows.retry('$run'), dataflows.undo('$run', 'x'), dataflows.abandon('$run', 'x'),
  dataflows.resolve('$run', 'x', 'done', 'x');
SELECT dataflows.retry('$run');
SELECT dataflows.undo('$run', 'x');
SELECT dataflows.abandon('$run', 'x');
SELECT dataflows.resolve('$run', 'x', 'done', 'x');
SELECT dataflows.event_url('$run', 'x');
SELECT dataflows.forget('takes', 'alice');
SELECT dataflows.timeline('$run');
SELECT * FROM dataflows.runs;
SELECT * FROM dataflows.steps;
SELECT * FROM dataflows.signals;
SELECT * FROM dataflows.requests;
SELECT * FROM dataflows.run;
SQL
		unlike($all, qr/\Q$secret\E/, "$role reads no input by any function or view");
		like(
			$all,
			qr/ERROR:  42501: role "$role" may not see run "$run"/,
			"$role may not restart or await it");
	}
}
is(counts("dataflows.runs WHERE restarted_from IS NOT NULL"), 0, 'nothing was restarted');
refused(
	'watcher',
	"SELECT dataflows.restart('$ended')",
	qr/42501: role "watcher" may not see the input of run/,
	'who sees all but inputs may not restart');
refused('watcher', "SELECT dataflows.await('$ended', '0')", qr/^completed$/m, 'and may await');
refused(
	'eve', "SELECT dataflows.restart('00000000-0000-7000-8000-000000000000')",
	qr/DF005/, 'a run that is not there');

# who may
my $own = $start->('starter', 'takes', 'by-starter');

ok(wait_until($node, "SELECT state = 'completed' FROM dataflows.runs WHERE run = '$own'"),
	'a run of the starter\'s own');
for my $case (
	[ 'starter', $own ],
	[ 'starters_friend', $own ],
	[ 'mate', $own ],
	[ 'mate', $ended ],
	[ 'app', $ended ])
{
	my ($role, $run) = @$case;

	like(hears($role, "SELECT dataflows.restart('$run', again => true)"),
		qr/^[0-9a-f-]{36}$/m, "$role restarts what is to be seen");
}

# a body that calls by the key: attached to the run, and told nothing
$node->safe_psql('postgres', <<'SQL', extra_params => [ '-U', 'author' ]);
CREATE FUNCTION author.asks(event jsonb) RETURNS jsonb LANGUAGE plpgsql AS $$
BEGIN
  RETURN jsonb_build_object('got', dataflows.call('ask', 'takes', '{}', 'alice'), 'response',
    dataflows.response('ask'));
EXCEPTION WHEN SQLSTATE 'DF001' THEN
  RETURN jsonb_build_object('error', SQLERRM);
END $$;
SELECT dataflows.define_workflow('asks', 'author.asks');
SELECT dataflows.start('asks', '{}', 'one');
SQL
ok( wait_until(
		$node,
		"SELECT state IN ('completed', 'stuck', 'rolled_back') FROM dataflows.runs
			WHERE workflow = 'asks'"
	),
	'a body called by the key');
unlike(
	hears(
		'author',
		'SELECT * FROM dataflows.runs; SELECT * FROM dataflows.steps;
			SELECT * FROM dataflows.attempts'
	),
	qr/\Q$secret\E/,
	'its owner reads nothing');

# a delivery of a webhook with the key, by who may hand deliveries in
as_app($node, 'postgres',
	"SELECT dataflows.create_webhook('/in', starts => 'takes', key => '\$.id')");
$node->safe_psql('postgres', 'GRANT EXECUTE ON FUNCTION dataflows.receive_webhook TO eve');
my $answer = hears('eve', q(SELECT dataflows.receive_webhook('/in', '{}', '{"id": "alice"}')));

like($answer, qr/"status": 202/, 'a delivery with the key is answered');
unlike($answer, qr/\Q$secret\E/, 'without the input');
$node->safe_psql('postgres', 'REVOKE EXECUTE ON FUNCTION dataflows.receive_webhook FROM eve');

# ---- who may make triggers ------------------------------------------------------------

my @functions = qw(start_on_insert signal_on_change);
my $able = sub {
	my ($role, $db) = @_;

	return $node->safe_psql(
		$db // 'postgres',
		"SELECT string_agg(has_function_privilege('$role', format('dataflows.%s()', f),
			'EXECUTE')::text, ' ') FROM unnest('{@{[join ',', @functions]}}'::text[]) f"
	);
};

is($able->('app'), 'true true', 'who may define workflows may make triggers');
is($able->('eve'), 'false false', 'who may not may not');
$node->safe_psql(
	'postgres',
	"CREATE ROLE team; CREATE ROLE member LOGIN IN ROLE team; CREATE ROLE head LOGIN;
		CREATE ROLE later LOGIN;"
);
my $define = $node->safe_psql('postgres',
	"SELECT 'dataflows.define_workflow'::regproc::oid::regprocedure");
for my $grant (
	'EXECUTE ON FUNCTION dataflows.define_workflow',
	'ALL ON FUNCTION dataflows.define_workflow',
	"EXECUTE ON FUNCTION $define",
	'EXECUTE ON ROUTINE dataflows.define_workflow',
	'EXECUTE ON FUNCTION dataflows.adopt, dataflows.define_workflow',
	'EXECUTE ON ALL FUNCTIONS IN SCHEMA dataflows')
{
	$node->safe_psql('postgres', "GRANT $grant TO eve");
	is($able->('eve'), 'true true', "GRANT $grant");
	$node->safe_psql('postgres', "REVOKE $grant FROM eve");
	is($able->('eve'), 'false false', "REVOKE $grant");
}
$node->safe_psql(
	'postgres',
	'GRANT EXECUTE ON FUNCTION dataflows.start(text, jsonb, text) TO eve;
		GRANT SELECT ON pg_class TO eve; GRANT team TO eve'
);
is($able->('eve'), 'false false', 'other grants give nothing');
$node->safe_psql('postgres', 'REVOKE team FROM eve');
$node->safe_psql('postgres',
	'SET search_path = dataflows; GRANT EXECUTE ON FUNCTION define_workflow TO team');
is($able->('member'), 'true true', 'by a group, named by the search_path');
$node->safe_psql('postgres', 'GRANT EXECUTE ON FUNCTION dataflows.define_workflow TO PUBLIC');
is($able->('eve'), 'true true', 'to PUBLIC');
$node->safe_psql('postgres', 'REVOKE EXECUTE ON FUNCTION dataflows.define_workflow FROM PUBLIC');
is($able->('eve'), 'false false', 'and back');
$node->safe_psql('postgres',
	'GRANT EXECUTE ON FUNCTION dataflows.define_workflow TO head WITH GRANT OPTION');
is(hears('head', 'GRANT EXECUTE ON FUNCTION dataflows.define_workflow TO later'),
	"\n", 'the grant option is passed on');
is($able->('later'), 'true true', 'with both functions');
$node->safe_psql('postgres',
	'REVOKE EXECUTE ON FUNCTION dataflows.define_workflow FROM head CASCADE');
is($able->('later'), 'false false', 'and taken back with all that came of it');
refused(
	'eve', 'GRANT EXECUTE ON FUNCTION dataflows.define_workflow TO eve',
	qr/42501/, 'no role grants it to itself');
refused(
	'eve', 'GRANT EXECUTE ON FUNCTION dataflows.start_on_insert TO eve',
	qr/42501/, 'nor the trigger function');
# a function of the same name in another schema is nothing to us
hears(
	'eve',
	'CREATE FUNCTION eve.define_workflow(text) RETURNS int LANGUAGE sql AS $$SELECT 1$$;
		GRANT EXECUTE ON FUNCTION eve.define_workflow TO eve'
);
is($able->('eve'), 'false false', 'nor by a function of that name');

# two at a time: PostgreSQL alone would fail the second ("tuple concurrently updated")
for my $pair (
	[ 'dataflows.define_workflow', 'dataflows.start_on_insert' ],
	[ 'dataflows.signal_on_change', 'dataflows.define_workflow' ],
	[ 'dataflows.define_workflow', 'dataflows.define_workflow' ])
{
	my ($first, $second) = map { $node->background_psql('postgres') } 1 .. 2;

	$first->query_safe("BEGIN; GRANT EXECUTE ON FUNCTION $pair->[0] TO head");
	$second->query_until(qr/begun/,
		"\\echo begun\nGRANT EXECUTE ON FUNCTION $pair->[1] TO later;\n");
	ok( wait_until(
			$node,
			"SELECT count(*) = 1 FROM pg_stat_activity WHERE wait_event_type = 'Lock'
				AND query LIKE 'GRANT%'"
		),
		"a GRANT of $pair->[1] waits for one of $pair->[0]");
	$first->query_safe('COMMIT');
	$second->query_safe('SELECT 1');
	$_->quit for $first, $second;
	my $granted = join ' ', map {
			  $pair->[$_] =~ /define/ ? 'true true'
			: $pair->[$_] =~ /start/  ? 'true false'
			: 'false true'
	} 0, 1;
	is($able->('head') . ' ' . $able->('later'), $granted, 'and both are there');
	$node->safe_psql(
		'postgres',
		'REVOKE EXECUTE ON FUNCTION dataflows.define_workflow, dataflows.start_on_insert,
			dataflows.signal_on_change FROM head, later'
	);
}

# ---- a stranger with TRIGGER on somebody's table ------------------------------------------

$node->safe_psql('postgres', <<'SQL');
CREATE TABLE public.visits (id int, amount int) PARTITION BY RANGE (id);
CREATE TABLE public.visits_1 PARTITION OF public.visits FOR VALUES FROM (0) TO (1000);
CREATE TABLE public.plain (id int, amount int);
CREATE VIEW public.seen AS SELECT * FROM public.plain;
GRANT ALL ON public.visits, public.visits_1, public.plain, public.seen TO eve, author;
GRANT CREATE ON SCHEMA public TO eve, author;
SQL
my $before = counts('dataflows.run') . counts('dataflows.inbox');
my @ways = (
	"AFTER INSERT ON public.visits FOR EACH ROW EXECUTE FUNCTION "
		. "dataflows.start_on_insert('takes', 'id')",
	"AFTER INSERT ON public.plain FOR EACH ROW EXECUTE FUNCTION "
		. "dataflows.start_on_insert('takes', 'id')",
	"AFTER INSERT ON public.plain FOR EACH ROW EXECUTE PROCEDURE "
		. "dataflows.start_on_insert('takes')",
	"AFTER INSERT ON public.plain FOR EACH ROW WHEN (new.id > 0) EXECUTE FUNCTION "
		. "dataflows.start_on_insert('takes', 'id')",
	"AFTER INSERT ON public.plain REFERENCING NEW TABLE AS n FOR EACH STATEMENT EXECUTE FUNCTION "
		. "dataflows.start_on_insert('takes', 'id')",
	"AFTER INSERT OR UPDATE ON public.plain FOR EACH ROW EXECUTE FUNCTION "
		. "dataflows.signal_on_change('waits', 'go', 'id')",
	"INSTEAD OF INSERT ON public.seen FOR EACH ROW EXECUTE FUNCTION "
		. "dataflows.start_on_insert('takes', 'id')",
	"AFTER INSERT ON eve.own FOR EACH ROW EXECUTE FUNCTION dataflows.start_on_insert('takes', "
		. "'id')",
	"AFTER INSERT ON pg_temp.own FOR EACH ROW EXECUTE FUNCTION "
		. "dataflows.start_on_insert('takes', 'id')");

hears('eve', 'CREATE TABLE eve.own (id int, amount int)');
for my $way (@ways)
{
	my $said = hears(
		'eve',
		"CREATE TEMP TABLE own (id int, amount int); CREATE TRIGGER t $way;
			INSERT INTO public.visits VALUES (7, 1); INSERT INTO public.plain VALUES (7, 1);
			INSERT INTO eve.own VALUES (7, 1); INSERT INTO pg_temp.own VALUES (7, 1);"
	);

	like($said, qr/42501: permission denied for function dataflows\./, "refused: $way");
}
refused(
	'eve',
	"CREATE CONSTRAINT TRIGGER t AFTER INSERT ON public.plain DEFERRABLE INITIALLY DEFERRED
		FOR EACH ROW EXECUTE FUNCTION dataflows.start_on_insert('takes', 'id')",
	qr/42501/,
	'refused: a constraint trigger');
refused(
	'eve',
	"SET search_path = dataflows; CREATE OR REPLACE TRIGGER t AFTER
		INSERT ON public.plain FOR EACH ROW EXECUTE FUNCTION start_on_insert('takes', 'id')",
	qr/42501/,
	'refused: by the search_path');
refused(
	'eve',
	'CREATE FUNCTION eve.via() RETURNS trigger LANGUAGE plpgsql AS $$BEGIN
		PERFORM dataflows.start_on_insert(); RETURN NULL; END$$;
		CREATE TRIGGER via AFTER INSERT ON eve.own FOR EACH ROW EXECUTE FUNCTION eve.via();
		INSERT INTO eve.own VALUES (1, 1)',
	qr/trigger functions can only be called as triggers|permission denied for function/,
	'refused: from a trigger function of its own');
is(counts('dataflows.run') . counts('dataflows.inbox'), $before,
	'nothing was started or signalled');
is( number_of(
		$node,
		"SELECT count(*) FROM pg_trigger WHERE tgfoid IN ('dataflows.start_on_insert'::regproc,
			'dataflows.signal_on_change'::regproc)"
	),
	0,
	'and no trigger is left');

# ---- an author with TRIGGER on somebody's table ---------------------------------------------

as_app(
	$node, 'postgres',
	"CREATE FUNCTION app.pay(event jsonb) RETURNS jsonb LANGUAGE plpgsql AS \$\$BEGIN RETURN event;
		END\$\$; SELECT dataflows.define_workflow('pay-out', 'app.pay')"
);
for my $way (
	  "AFTER INSERT ON public.visits FOR EACH ROW EXECUTE FUNCTION "
	. "dataflows.start_on_insert('pay-out', 'id')",
	"AFTER INSERT ON public.plain REFERENCING NEW TABLE AS n FOR EACH STATEMENT EXECUTE FUNCTION "
	. "dataflows.start_on_insert('pay-out', 'id')",
	"AFTER UPDATE ON public.plain FOR EACH ROW EXECUTE FUNCTION "
	. "dataflows.signal_on_change('pay-out', 'approved', 'id')",
	"AFTER INSERT ON public.plain FOR EACH ROW EXECUTE FUNCTION "
	. "dataflows.start_on_insert('to-be-defined', 'id')")
{
	refused(
		'author',
		"CREATE TRIGGER t $way",
		qr/42501: role "author" may not make trigger "t" on table "\w+" for workflow/,
		"not for another's workflow: $way");
	refused(
		'author',
		"SET search_path = public, dataflows; DO \$do\$ BEGIN EXECUTE \$q\$CREATE TRIGGER t
			$way\$q\$; END \$do\$",
		qr/42501: role "author" may not make trigger/,
		'nor out of a function');
}
refused(
	'author',
	"CREATE TRIGGER mine AFTER INSERT ON public.plain FOR EACH ROW
		EXECUTE FUNCTION dataflows.start_on_insert('takes', 'id'); INSERT INTO public.plain
		VALUES (41, 1)",
	qr/^\s*$/,
	'but for one that it may start itself');
is(counts("dataflows.runs WHERE workflow = 'takes' AND key = '41'"), 1, 'and it starts');
hears(
	'author',
	q(CREATE TABLE author.own (id int); CREATE TRIGGER own AFTER INSERT ON author.own FOR EACH ROW
		EXECUTE FUNCTION dataflows.start_on_insert('pay-out', 'id'))
);
refused(
	'author',
	'INSERT INTO author.own VALUES (1)',
	qr/42501: role "author" may not start workflow "pay-out"/,
	'its own table starts what it may start');
hears('author', 'GRANT INSERT ON author.own TO app; GRANT USAGE ON SCHEMA author TO app');
refused(
	'app',
	'INSERT INTO author.own VALUES (2)',
	qr/42501: role "author" may not start workflow "pay-out"/,
	'whoever inserts');

# tables that come by a trigger without CREATE TRIGGER
as_app($node, 'postgres', <<'SQL');
CREATE TABLE app.orders (id int, at int) PARTITION BY RANGE (at);
CREATE TRIGGER onboard AFTER INSERT ON app.orders FOR EACH ROW
  EXECUTE FUNCTION dataflows.start_on_insert('pay-out', 'id');
CREATE TABLE app.orders_1 PARTITION OF app.orders FOR VALUES FROM (0) TO (10);
CREATE TABLE app.orders_2 (id int, at int);
ALTER TABLE app.orders ATTACH PARTITION app.orders_2 FOR VALUES FROM (10) TO (20);
INSERT INTO app.orders VALUES (101, 1), (102, 11);
SQL
is(counts("dataflows.runs WHERE workflow = 'pay-out' AND key IN ('101', '102')"),
	2, 'partitions made and attached by the table\'s owner start runs');
refused(
	'eve',
	'CREATE TABLE eve.p (id int, at int); ALTER TABLE app.orders ATTACH PARTITION eve.p FOR VALUES
		FROM (20) TO (30)',
	qr/42501: must be owner of table orders/,
	'nobody else attaches one');
refused(
	'eve', 'CREATE TABLE eve.child () INHERITS (app.orders_2)',
	qr/ERROR/, 'or inherits from one');
refused('eve', 'CREATE TABLE eve.same (LIKE app.orders_2 INCLUDING ALL)',
	qr/42501/, 'or copies one');

# a table changes hands: the trigger acts with the right of its new owner
$node->safe_psql('postgres', 'ALTER TABLE app.orders_2 OWNER TO eve');
refused(
	'eve',
	'INSERT INTO app.orders_2 VALUES (103, 12)',
	qr/42501: role "eve" may not start workflow "pay-out"/,
	'a partition of another owner starts what that one may');
$node->safe_psql('postgres', 'ALTER TABLE app.orders_2 OWNER TO app');
$node->safe_psql('postgres', 'REVOKE EXECUTE ON FUNCTION dataflows.define_workflow FROM app');
is($able->('app'), 'false false', 'who may define no more may make no more triggers');
as_app($node, 'postgres', 'INSERT INTO app.orders VALUES (104, 1)');
is(counts("dataflows.runs WHERE workflow = 'pay-out' AND key = '104'"),
	1, 'those that are there go on');
refused(
	'app',
	'CREATE TABLE app.orders_3 PARTITION OF app.orders FOR VALUES FROM (30) TO (40)',
	qr/42501: permission denied for function/,
	'but no partition is made, which would clone one');
$node->safe_psql('postgres', 'GRANT EXECUTE ON FUNCTION dataflows.define_workflow TO app');

# ---- a dump and its copy ---------------------------------------------------------------------

my $dump = $node->basedir . '/dump.sql';
$node->command_ok([ 'pg_dump', '-h', $node->host, '-p', $node->port, '-f', $dump, 'postgres' ],
	'pg_dump works');
my $text = slurp_file($dump);

like($text, qr/GRANT ALL ON FUNCTION dataflows\.$_\(\) TO app;/, "the right to $_ is dumped")
	for @functions;
unlike(
	$text,
	qr/CREATE EVENT TRIGGER|REVOKE ALL ON FUNCTION dataflows\.start_on_insert/,
	'what belongs to the extension is not');
$node->safe_psql('postgres', 'CREATE DATABASE copy');
$node->command_ok(
	[
		'psql', '-X', '-q', '-v', 'ON_ERROR_STOP=1', '-h',
		$node->host, '-p', $node->port, '-f', $dump, 'copy'
	],
	'and restored');
is($able->('app', 'copy'), 'true true', 'in the copy it is there');
is($able->('eve', 'copy'), 'false false', 'and nobody else\'s');
like(
	hears(
		'eve',
		"CREATE TRIGGER t AFTER INSERT ON public.plain FOR EACH ROW
			EXECUTE FUNCTION dataflows.start_on_insert('takes')",
		'copy'),
	qr/42501/,
	'nor may a stranger make a trigger there');

# with many connections all rights are granted at a time
my $archive = $node->basedir . '/dump.custom';
$node->safe_psql('postgres', 'CREATE DATABASE granted');
$node->safe_psql(
	'granted',
	'CREATE EXTENSION dataflows; GRANT EXECUTE ON FUNCTION dataflows.define_workflow TO app, team,
		head, author'
);
$node->command_ok(
	[ 'pg_dump', '-h', $node->host, '-p', $node->port, '-Fc', '-f', $archive, 'granted' ],
	'an archive is made');
for my $round (1 .. 3)
{
	$node->safe_psql('postgres', "CREATE DATABASE copy_$round");
	$node->command_ok(
		[
			'pg_restore', '-h', $node->host, '-p', $node->port, '-j',
			'8', '-d', "copy_$round", $archive
		],
		'and restored in parallel');
	is( $able->('app', "copy_$round") . ' ' . $able->('eve', "copy_$round"),
		'true true false false',
		'with its rights');
}

# ---- an installation of 0.1 ---------------------------------------------------------------------

$node->safe_psql('postgres', 'CREATE DATABASE old');
$node->safe_psql('old', <<'SQL');
CREATE EXTENSION dataflows VERSION '0.1';
CREATE ROLE keeper LOGIN;
CREATE ROLE named LOGIN;
GRANT EXECUTE ON FUNCTION dataflows.define_workflow TO app;
GRANT EXECUTE ON FUNCTION dataflows.define_workflow TO head WITH GRANT OPTION;
GRANT EXECUTE ON FUNCTION dataflows.start_on_insert() TO named;
CREATE TABLE public.kept (id int);
CREATE TRIGGER t AFTER INSERT ON public.kept FOR EACH ROW
  EXECUTE FUNCTION dataflows.start_on_insert('takes', 'id');
ALTER TABLE public.kept OWNER TO keeper;
SQL
is($able->('eve', 'old'), 'true true', 'in 0.1 everybody may');
$node->command_ok([ 'pg_dump', '-h', $node->host, '-p', $node->port, '-f', $dump, 'old' ],
	'it is dumped');
$node->safe_psql('postgres', 'CREATE DATABASE from_old');
$node->safe_psql('from_old', "CREATE EXTENSION dataflows VERSION '0.1'");
$node->safe_psql('from_old', slurp_file($dump) =~ s/^CREATE SCHEMA dataflows;$//mr);
$node->safe_psql($_, 'ALTER EXTENSION dataflows UPDATE') for qw(old from_old);
for my $case (
	[ 'app', 'true true' ],
	[ 'head', 'true true' ],
	[ 'keeper', 'true false' ],
	[ 'named', 'true false' ],
	[ 'eve', 'false false' ])
{
	is($able->($case->[0], 'old'), $case->[1], "after the update: $case->[0]");
	is($able->($case->[0], 'from_old'), $case->[1], 'and in a copy of 0.1 that was updated');
}
like(hears('head', 'GRANT EXECUTE ON FUNCTION dataflows.define_workflow TO later', 'old'),
	qr/^\s*$/, 'who may pass it on may pass it on');
is($able->('later', 'old'), 'true true', 'with both functions');
$node->command_ok([ 'pg_dump', '-h', $node->host, '-p', $node->port, '-f', $dump, 'old' ],
	'it is dumped');
$node->safe_psql('postgres', 'CREATE DATABASE old_copy');
$node->command_ok(
	[
		'psql', '-X', '-q', '-v', 'ON_ERROR_STOP=1', '-h', $node->host, '-p', $node->port, '-f',
		$dump, 'old_copy'
	],
	'and restored');
for my $case (
	[ 'app', 'true true' ],
	[ 'head', 'true true' ],
	[ 'keeper', 'true false' ],
	[ 'named', 'true false' ],
	[ 'later', 'true true' ],
	[ 'eve', 'false false' ])
{
	is($able->($case->[0], 'old_copy'), $case->[1], "in its copy: $case->[0]");
}

# ---- a server without the engine ----------------------------------------------------------------

$node->adjust_conf('postgresql.conf', 'shared_preload_libraries', "''");
$node->restart;
$node->safe_psql('postgres', 'REVOKE EXECUTE ON FUNCTION dataflows.define_workflow FROM author');
is($able->('author'), 'false false', 'the rights follow where the library is not preloaded, too');
$node->safe_psql('postgres', 'GRANT EXECUTE ON FUNCTION dataflows.define_workflow TO author');
refused(
	'author',
	"CREATE TRIGGER t AFTER INSERT ON public.visits FOR EACH ROW
		EXECUTE FUNCTION dataflows.start_on_insert('pay-out', 'id')",
	qr/42501: role "author" may not make trigger/,
	'and triggers are judged');
$node->safe_psql('postgres', 'DROP EXTENSION dataflows CASCADE');
is(counts('pg_event_trigger'), 0, 'DROP EXTENSION leaves nothing');

$node->stop;
done_testing();
