# What is kept for a while only goes as fast as it comes: one sweep throws away all
# that is old, however much it is, and nothing that is not.

use strict;
use warnings;

use Test::More;
use PostgreSQL::Test::Cluster;
use Dataflows;

# a batch of 500 for each sweep would take half a minute
my $node =
	new_node('purge', conf => "dataflows.sweep_interval = '4s'\ndataflows.retention = '1h'\n");

create_app($node);
as_app($node, 'postgres', <<'SQL');
CREATE FUNCTION app.waits(event jsonb) RETURNS jsonb LANGUAGE sql VOLATILE AS $$
  SELECT dataflows.wait_for('go') $$;
SELECT dataflows.define_workflow('waits', 'app.waits');
SQL

# pause() and resume() leave a note each
as_app($node, 'postgres',
	"SELECT dataflows.pause('waits', 'old'), dataflows.resume('waits', 'old')");
is(number_of($node, "SELECT count(*) FROM dataflows.inbox WHERE kind IN ('pause', 'resume')"),
	2, 'pause and resume are on record');
$node->safe_psql(
	'postgres',
	"UPDATE dataflows.inbox SET sent_at = sent_at - interval '2 h', consumed_at = consumed_at -
		interval '2 h'"
);
as_app($node, 'postgres',
	"SELECT dataflows.pause('waits', 'new'), dataflows.resume('waits', 'new')");
my $run = as_app($node, 'postgres', "SELECT dataflows.start('waits', '{}', 'lives')");

ok(wait_until($node, "SELECT state = 'waiting' FROM dataflows.runs WHERE run = '$run'"),
	'a run waits');

# 4,000 each of the rest, as they look when their time has come, and some that are younger
$node->safe_psql('postgres', <<"SQL");
INSERT INTO dataflows.webhook_delivery (path, event_id, at) SELECT '/x', i::text,
  now() - interval '2 h' FROM generate_series(1, 4000) i;
INSERT INTO dataflows.webhook_delivery (path, event_id, at) VALUES ('/x', 'young', now());
INSERT INTO dataflows.inbox (workflow, key, event, payload, sent_by, sent_at, expires_at, state)
  SELECT 'waits', 'k' || i, 'go', '{}', 'app', now(), now() - interval '1 s', 'kept'
    FROM generate_series(1, 4000) i;
INSERT INTO dataflows.inbox (workflow, key, event, payload, sent_by, sent_at, expires_at, state)
  VALUES ('waits', 'young', 'go', '{}', 'app', now(), now() + interval '1 h', 'kept');
INSERT INTO dataflows.inbox (run, workflow, event, payload, sent_by, sent_at)
  SELECT gen_random_uuid(), 'nobody', 'go', '{}', 'app', now() FROM generate_series(1, 4000) i;
SQL
my $old = <<'SQL';
SELECT (SELECT count(*) FROM dataflows.webhook_delivery WHERE event_id <> 'young') +
  (SELECT count(*) FROM dataflows.inbox WHERE key LIKE 'k%')
  + (SELECT count(*) FROM dataflows.inbox WHERE workflow = 'nobody')
SQL
ok(wait_until($node, "SELECT ($old) = 0", 24), 'all that is old goes with one sweep')
	or diag('left: ' . number_of($node, $old));
ok(wait_until($node, "SELECT count(*) = 0 FROM dataflows.inbox WHERE note = 'old'", 24),
	'so do old notes of pause and resume');
is( $node->safe_psql(
		'postgres',
		"SELECT string_agg(kind, ' ' ORDER BY id) FROM dataflows.inbox WHERE note = 'new'"),
	'pause resume',
	'younger ones stay');
is(number_of($node, "SELECT count(*) FROM dataflows.webhook_delivery"),
	1, 'so does a younger delivery');
is(number_of($node, "SELECT count(*) FROM dataflows.inbox WHERE key = 'young'"),
	1, 'and a signal that may still be taken');

$node->stop;
done_testing();
