# A point-in-time recovery: paused before the engine is loaded, runs that were done since are taken
# off it, in any
# state; the rest goes on when it is resumed.

use strict;
use warnings;

use Test::More;
use PostgreSQL::Test::Cluster;
use PostgreSQL::Test::Utils;
use Dataflows;

my $systems = start_systems();
my $node = new_node('original',
	conf => "dataflows.sweep_interval = '1s'\ndataflows.worker_idle = '10min'\nwal_level = "
		. "replica\nmax_wal_senders = 4\n");

sub state_of
{
	my ($on, $key) = @_;
	return $on->safe_psql('postgres',
		"SELECT state FROM dataflows.runs WHERE key = '$key' ORDER BY run LIMIT 1");
}

sub is_in
{
	my ($on, $key, $state) = @_;
	return wait_until($on,
		"SELECT state = '$state' FROM dataflows.runs WHERE key = '$key' ORDER BY run LIMIT 1", 60);
}

sub run_of
{
	my ($on, $key) = @_;
	return $on->safe_psql('postgres',
		"SELECT run FROM dataflows.runs WHERE key = '$key' ORDER BY run LIMIT 1");
}
sub app { my ($on, $sql) = @_; return as_app($on, 'postgres', $sql); }

sub abandon
{
	my ($on, $key, $note) = @_;
	return app($on,
			  "SELECT dataflows.abandon('"
			. run_of($on, $key) . "', '"
			. ($note // 'done before the restore')
			. "')");
}

create_systems($node, 'postgres', $systems, workflow => 0);
app($node, <<'SQL');
CREATE FUNCTION app.waits(event jsonb) RETURNS jsonb LANGUAGE plpgsql AS $$
BEGIN
  PERFORM dataflows.post('create', 'crm', '/contacts', jsonb_build_object('email', event->>'email'),
    undo => 'DELETE /contacts/{id}');
  PERFORM dataflows.alias('alias-' || (event->>'email'));
  PERFORM dataflows.wait_for('go');
  RETURN dataflows.post('mail', 'email', '/send', jsonb_build_object('to', event->>'email'));
END $$;
CREATE FUNCTION app.calls(event jsonb) RETURNS jsonb LANGUAGE plpgsql AS $$ BEGIN
  RETURN dataflows.call('child', event->>'of', event, event->>'child'); END $$;
CREATE FUNCTION app.fails(event jsonb) RETURNS jsonb LANGUAGE plpgsql AS $$
BEGIN
  PERFORM dataflows.post('create', 'crm', '/contacts', jsonb_build_object('email', event->>'email'),
    undo => 'DELETE /contacts/{id}');
  RAISE EXCEPTION 'no';
END $$;
SELECT dataflows.define_workflow(w, 'app.' || w) FROM unnest('{waits,calls,fails}'::text[]) w;
SQL
$systems->fault('crm', match => { method => 'DELETE' }, status => 503);
app($node,
	q{SELECT dataflows.start('waits', jsonb_build_object('email', k || '@x'), k)
		FROM unnest('{done,lost,open,busy}'::text[]) k}
);
app($node, q{SELECT dataflows.start('fails', '{"email": "back@x"}', 'back')});
app($node,
	q{SELECT dataflows.start('calls', '{"of": "waits", "email": "family@x", "child": "child"}',
		'family')}
);
app($node,
	q{SELECT dataflows.start('calls', '{"of": "waits", "email": "orphan@x", "child": "orphan"}',
		'parent')}
);
ok(is_in($node, $_, 'waiting'), "$_ waits") for qw(done lost open busy family parent child orphan);
ok(is_in($node, 'back', 'rolling_back'), 'one rolls back');

# ---- a run that moves is not abandoned -----------------------------------------------------------

is(abandon($node, 'busy'), 'f', 'abandon() of a run that is not at rest');
is(state_of($node, 'busy'), 'waiting', 'does nothing');

# ---- the backup of that time, and what was done since --------------------------------------------

$node->backup('at_that_time');
app($node,
	"SELECT dataflows.signal_by_key('waits', k, 'go') FROM unnest('{done,child}'::text[]) k");
ok(is_in($node, $_, 'completed'), "$_ has ended since") for qw(done child family);
$node->stop;

my $sent = @{ $systems->requests('email') };
my $restored = PostgreSQL::Test::Cluster->new('restored');

$restored->init_from_backup($node, 'at_that_time');
$restored->append_conf('postgresql.conf', "shared_preload_libraries = ''\n");
$restored->start;

# ---- the library not preloaded: pause, and look --------------------------------------------------

is($restored->safe_psql('postgres', 'SELECT state FROM dataflows.status() LIMIT 1'),
	'not loaded', 'the engine is not loaded');
is(state_of($restored, $_), 'waiting', "$_ is where it was") for qw(done child family);
is($restored->safe_psql('postgres', "SELECT dataflows.pause(note => 'restored')"),
	't', 'pause() works without the engine');
is(abandon($restored, 'done', 'completed before the restore'),
	't', 'so does abandon() of a run that waits');
$restored->append_conf('postgresql.conf', "shared_preload_libraries = 'dataflows'\n");
$restored->restart;

# ---- loaded and paused ---------------------------------------------------------------------------

ok(is_in($restored, 'done', 'abandoned'), 'it ends as soon as there is an engine');
is($restored->safe_psql('postgres', 'SELECT state FROM dataflows.status() LIMIT 1'),
	'paused', 'which is paused');
is( $restored->safe_psql(
		'postgres',
		"SELECT error->>'reason' || ', ' || (error->>'by') || ', ' || (finished_at IS NOT NULL)
			FROM dataflows.runs WHERE key = 'done'"
	),
	'completed before the restore, app, true',
	'who and why is recorded');
isnt(
	app($restored, "SELECT dataflows.start('waits', '{\"email\": \"anew\@x\"}', 'done')"),
	run_of($restored, 'done'),
	'its key is free');
is(abandon($restored, 'family'), 't', 'one that waits for a child');
ok(is_in($restored, $_, 'abandoned'), "$_ ends") for qw(family child);
is(abandon($restored, 'orphan'), 't', 'a child alone');
ok(is_in($restored, 'orphan', 'abandoned'), 'ends');
is(state_of($restored, 'parent'), 'waiting', 'its parent does not, as long as all is paused');
is(abandon($restored, 'back'), 't', 'one that rolls back');
ok(is_in($restored, 'back', 'abandoned'), 'ends');
is(abandon($restored, 'back'), 'f', 'once');
is($restored->safe_psql('postgres', "SELECT count(*) FROM dataflows.unexplained"),
	'0', 'no run is unexplained');
is( number_of(
		$restored,
		"SELECT count(*) FROM dataflows.runs WHERE state = 'waiting' AND key IN ('lost', 'open',
			'busy')"
	),
	3,
	'the others are where they were');
is(scalar @{ $systems->requests('email') }, $sent, 'nobody was written to');

# abandoned and resumed in one moment: it does not slip away
my $signals =
	"SELECT dataflows.signal_by_key('waits', k, 'go') FROM unnest('{open,lost}'::text[]) k";

app($restored, $signals);
$restored->safe_psql('postgres',
		  "BEGIN; SELECT dataflows.abandon('"
		. run_of($restored, 'lost')
		. "', 'done'); SELECT dataflows.resume(); COMMIT");
ok(is_in($restored, 'lost', 'abandoned'), 'abandoned and resumed in one moment');
ok(is_in($restored, 'open', 'completed'), 'the others go on');
ok(is_in($restored, 'parent', 'stuck'), 'a parent hears of its child that was abandoned');
is( join(' ',
		sort map { $_->{email} // $_->{to} // '' }
			@{ $systems->requests('email') }[ $sent .. $#{ $systems->requests('email') } ]),
	'open@x',
	'and one mail was sent');

# ---- one workflow is paused ----------------------------------------------------------------------

is(abandon($restored, 'busy'), 'f', 'a run that moves again is not abandoned');
app($restored, "SELECT dataflows.pause('waits')");
is(abandon($restored, 'busy', 'by hand'), 't', 'one of a paused workflow is');
ok(is_in($restored, 'busy', 'abandoned'), 'and ends');
app($restored,
	"SELECT dataflows.resume('waits'); SELECT dataflows.start('waits', '{\"email\": \"next\@x\"}',
		'next')"
);
ok(is_in($restored, 'next', 'waiting'), 'the workflow goes on');
app($restored, "SELECT dataflows.signal_by_key('waits', 'alias-next\@x', 'go')");
ok(is_in($restored, 'next', 'completed'), 'its alias is its own');
is( $restored->safe_psql(
		'postgres',
		"SELECT count(*) FROM dataflows.inbox WHERE kind = 'abandon' AND state <> 'done'"),
	'0',
	'no request is left');

# the coordinator is slow: no worker takes the run before it does
app($restored,
	q{SELECT dataflows.start('waits', jsonb_build_object('email', k || '@x'), k)
		FROM unnest('{slow,quick}'::text[]) k}
);
ok(is_in($restored, $_, 'waiting'), "$_ waits") for qw(slow quick);
app($restored, "SELECT dataflows.pause('waits')");
app($restored,
	"SELECT dataflows.signal_by_key('waits', k, 'go') FROM unnest('{slow,quick}'::text[]) k");

my ($coordinator) = pids_of($restored, 'coordinator');

kill_process('STOP', $coordinator);
app($restored,
		  "BEGIN; SELECT dataflows.abandon('"
		. run_of($restored, 'slow')
		. "', 'done'); SELECT dataflows.resume('waits'); COMMIT");
ok(is_in($restored, 'quick', 'completed'), 'a worker goes on without the coordinator');
is(state_of($restored, 'slow'), 'waiting', 'but not with what was abandoned');
kill_process('CONT', $coordinator);
ok(is_in($restored, 'slow', 'abandoned'), 'which ends with the coordinator there');
is(scalar(grep { ($_->{email} // '') eq 'slow@x' } @{ $systems->requests('email') }),
	0, 'and was not written to');

# ---- in a copy that is held, before it is adopted ------------------------------------------------

app($restored,
	"SELECT dataflows.start('waits', jsonb_build_object('email', k || '\@x'), k)
		FROM unnest('{held1,held2}'::text[]) k"
);
ok(is_in($restored, $_, 'waiting'), "$_ waits") for qw(held1 held2);
$restored->safe_psql('template1', 'CREATE DATABASE copy TEMPLATE postgres');
ok(wait_until($restored, "SELECT bool_or(state = 'held') FROM dataflows.status()", 60, 'copy'),
	'a copy is held');
is( as_app(
		$restored,
		'copy',
		"SELECT dataflows.abandon(run, 'the original has it') FROM dataflows.runs
			WHERE key = 'held1'"
	),
	't',
	'abandon() in it');
ok( wait_until(
		$restored, "SELECT state = 'abandoned' FROM dataflows.runs WHERE key = 'held1'",
		60, 'copy'),
	'ends a run of the copy');
is(state_of($restored, 'held1'), 'waiting', 'not that of the original');
cmp_ok(number_of($restored, 'SELECT dataflows.adopt()', 'copy'), '>=', 1, 'the rest is adopted');
as_app($restored, 'copy', "SELECT dataflows.signal_by_key('waits', 'held2', 'go')");
ok( wait_until(
		$restored, "SELECT state = 'completed' FROM dataflows.runs WHERE key = 'held2'",
		60, 'copy'),
	'and goes on');

$restored->stop;
$systems->stop;
done_testing();
