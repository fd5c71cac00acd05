# A key column that is a time: one key for one time, whatever time zone a session has; except
# for triggers of 0.1, until they are made anew.

use strict;
use warnings;

use Test::More;
use PostgreSQL::Test::Cluster;
use Dataflows;

my $node = new_node('time_keys');

create_app($node);
$node->safe_psql('postgres', 'CREATE DATABASE old OWNER app');

sub prepare
{
	my ($db) = @_;

	as_app($node, $db, <<'SQL');
CREATE DOMAIN moment AS timestamptz;
CREATE TABLE booking (id int, "at Ü" timestamptz, of_domain moment, local timestamp, day date);
CREATE FUNCTION body(event jsonb) RETURNS jsonb LANGUAGE sql AS 'SELECT event';
SQL
	return;
}

sub define
{
	my ($db) = @_;

	for my $column ('at Ü', 'of_domain', 'local', 'day')
	{
		as_app($node, $db, <<"SQL");
SELECT dataflows.define_workflow('$column', 'body');
CREATE TRIGGER "start $column" AFTER INSERT ON booking
	FOR EACH ROW EXECUTE FUNCTION dataflows.start_on_insert('$column', '$column');
SQL
	}
	return;
}

# the keys of a booking in two sessions whose settings differ
sub keys_of
{
	my ($db, $id) = @_;

	for my $set ("timezone = 'Asia/Tokyo'; SET datestyle = 'German'",
		"timezone = 'America/New_York'; SET datestyle = 'SQL, MDY'")
	{
		as_app($node, $db, "SET $set;
			INSERT INTO booking SELECT $id, t, t, t AT TIME ZONE 'UTC', (t AT TIME ZONE 'UTC')::date
			FROM (SELECT '2026-03-04T05:06:07.5Z'::timestamptz + $id * interval '1 day') x (t)");
	}
	return as_app($node, $db, "SELECT string_agg(DISTINCT key, ' ' ORDER BY key) FROM dataflows.runs
		WHERE input->>'id' = '$id'");
}

prepare('postgres');
define('postgres');
is( keys_of('postgres', 0),
	'2026-03-04 2026-03-04T05:06:07.5 2026-03-04T05:06:07.5+00:00',
	'one key for one time, in UTC');
is( as_app(
		$node, 'postgres',
		q{SELECT count(*) FROM dataflows.runs WHERE key = '2026-03-04T05:06:07.5+00:00'}),
	'2', 'the second row starts nothing');
as_app($node, 'postgres', q{INSERT INTO booking ("at Ü") VALUES ('infinity'), ('-infinity')});
is( as_app(
		$node, 'postgres',
		q{SELECT string_agg(key, ' ' ORDER BY key) FROM dataflows.runs WHERE key LIKE '%infinity'}),
	'-infinity infinity', 'times without an end');

# ---- triggers of 0.1

$node->safe_psql('old', <<'SQL');
CREATE EXTENSION dataflows VERSION '0.1';
GRANT EXECUTE ON FUNCTION dataflows.define_workflow TO app;
GRANT CREATE ON SCHEMA public TO app;
SQL
prepare('old');
as_app($node, 'old', <<'SQL');
CREATE TRIGGER kept AFTER INSERT ON booking
	FOR EACH ROW EXECUTE FUNCTION dataflows.start_on_insert('kept', 'at Ü');
SQL
$node->safe_psql('old', 'ALTER EXTENSION dataflows UPDATE');
as_app($node, 'old', "SELECT dataflows.define_workflow('kept', 'body')");
is( keys_of('old', 1),
	'2026-03-05T00:06:07.5-05:00 2026-03-05T14:06:07.5+09:00',
	'a trigger of 0.1 writes keys as before');
as_app($node, 'old', <<'SQL');
DROP TRIGGER kept ON booking;
CREATE TRIGGER kept AFTER INSERT ON booking
	FOR EACH ROW EXECUTE FUNCTION dataflows.start_on_insert('kept', 'at Ü');
SQL
is(keys_of('old', 2), '2026-03-06T05:06:07.5+00:00', 'until it is made anew');

$node->stop;
done_testing();
