# A schedule, a webhook and a trigger whose key is held by a run that their role may not see:
# nothing is started, nothing fails, and nothing is told of that run.

use strict;
use warnings;

use Test::More;
use PostgreSQL::Test::Cluster;
use Dataflows;

my $node = new_node('keys_of_others');

create_app($node);
create_owner($node, 'shop');
$node->safe_psql('postgres', 'GRANT EXECUTE ON FUNCTION dataflows.start_on_insert TO shop');
as_app($node, 'postgres', <<'SQL');
CREATE FUNCTION app.waits(event jsonb) RETURNS jsonb LANGUAGE plpgsql AS $$
BEGIN
  RETURN dataflows.wait_for('go');
END $$;
SELECT dataflows.define_workflow('waits', 'app.waits'), dataflows.allow('waits', 'shop', 'start');
SQL

sub as_shop
{
	my ($sql) = @_;
	return $node->safe_psql('postgres', $sql, extra_params => [ '-U', 'shop' ]);
}

sub runs { return number_of($node, 'SELECT count(*) FROM dataflows.runs'); }

# ---- a webhook

# who took webhooks as a member of the owner, and is none any more, keeps what it was allowed
$node->safe_psql('postgres', 'GRANT app TO shop');
as_shop("SELECT dataflows.create_webhook('/signup', starts => 'waits', key => '\$.id')");
$node->safe_psql('postgres', 'REVOKE app FROM shop');

sub delivery
{
	my ($id) = @_;
	return $node->safe_psql('postgres',
		"SELECT dataflows.receive_webhook('/signup', '{\"Content-Type\": \"application/json\"}',
			convert_to('{\"id\": \"$id\"}', 'UTF8'))");
}
my $held = as_app($node, 'postgres', "SELECT dataflows.start('waits', '{}', 'taken')");

is($held =~ /^[0-9a-f-]{36}$/ ? 'started' : $held, 'started', 'the owner has a run with the key');
like(delivery('free'), qr/"run": "[0-9a-f-]{36}".*"status": 202/, 'a delivery with another key');
my $answer = delivery('taken');
like($answer, qr/"status": 20[02]/, 'one with that key is accepted, so that it is not sent again');
unlike($answer, qr/$held/, 'and tells nothing of the run');
is(runs(), 2, 'nothing was started for it');

# ---- a schedule

# each minute of the next hours has its key taken; one by the second would be too quick to foresee
as_app($node, 'postgres', <<'SQL');
SELECT count(dataflows.start('waits', '{}', to_char(at, '"daily@"YYYY-MM-DD"T"HH24:MI:00"Z"')))
  FROM generate_series(date_trunc('minute', now() AT TIME ZONE 'UTC') - interval '1 min',
    now() AT TIME ZONE 'UTC' + interval '2 hours', interval '1 min') at;
SQL
$node->safe_psql('postgres', <<'SQL');
INSERT INTO dataflows.schedule (name, cron, workflow, input, owner, owner_name, scheduled_at)
  SELECT name, '* * * * *', 'waits', '{}', oid, rolname, now()
  FROM pg_roles, unnest(ARRAY['daily', 'other']) name WHERE rolname = 'shop'
SQL
my $before = runs();

sub fire { return $node->safe_psql('postgres', "SELECT dataflows._fire('$_[0]') IS NULL"); }

is(fire('daily'), 't', 'a firing whose key is held returns no run');
is(fire('daily'), 't', 'nor does a second one in that minute');
is( $node->safe_psql(
		'postgres',
		"SELECT last_at IS NOT NULL AND last_run IS NULL FROM dataflows.schedule
			WHERE name = 'daily'"
	),
	't',
	'it has fired, and keeps nothing of that run');
is(runs(), $before, 'nothing was started');
is(fire('other'), 'f', 'one whose key is free starts a run');
is(runs(), $before + 1, 'one');

# ---- a trigger

as_shop(<<'SQL');
CREATE TABLE shop.orders (id text PRIMARY KEY);
CREATE TRIGGER start AFTER INSERT ON shop.orders FOR EACH ROW
  EXECUTE FUNCTION dataflows.start_on_insert('waits', 'id');
SQL
my ($rc, $out, $err) = $node->psql(
	'postgres',
	"INSERT INTO shop.orders VALUES ('taken')",
	extra_params => [ '-U', 'shop' ]);
is($rc, 0, 'an INSERT with that key is no error');
unlike("$out$err", qr/$held/, 'and tells nothing of the run');
is(runs(), $before + 1, 'nothing was started');

$node->stop;
done_testing();
