# A copy in which a system is paused: adopted, it has the system paused as well.  Each is resumed by
# itself, and neither sends before that.

use strict;
use warnings;

use Test::More;
use PostgreSQL::Test::Cluster;
use PostgreSQL::Test::Utils;
use Dataflows;

my $systems = start_systems();
my $node = new_node('paused_copy',
	conf => "dataflows.sweep_interval = '500ms'\ndataflows.worker_idle = '1s'");

create_systems($node, 'postgres', $systems, workflow => 0);
as_app($node, 'postgres', <<'SQL');
CREATE FUNCTION app.one(event jsonb) RETURNS jsonb LANGUAGE plpgsql AS $$
BEGIN
  RETURN dataflows.post('call', 'crm', '/contacts',
    jsonb_build_object('email', event->>'email'), undo => 'DELETE /contacts/{id}');
END $$;
SELECT dataflows.define_workflow('one', 'app.one');
SQL
$node->safe_psql('postgres', 'CREATE DATABASE other');

sub sent { return scalar grep { $_->{method} eq 'POST' } @{ $systems->requests('crm') }; }

sub shown
{
	my ($db) = @_;
	return $node->safe_psql($db,
		"SELECT reason || ' ' || paused_note FROM dataflows.systems WHERE system = 'crm'");
}

$node->safe_psql('postgres', "SELECT dataflows.pause_system('crm', 'their update')");
as_app($node, 'postgres', "SELECT dataflows.start('one', '{\"email\": \"a\@x\"}', 'a')");
ok(
	wait_until($node,
		"SELECT waiting_for LIKE '%whose system is held' FROM dataflows.runs WHERE key = 'a'"),
	'a run waits for the system');
$node->safe_psql('other', 'CREATE DATABASE template_copy TEMPLATE postgres');
$node->safe_psql('other', 'CREATE DATABASE dump_copy');
my $dump = PostgreSQL::Test::Utils::tempdir() . '/dump.sql';

$node->command_ok([ 'pg_dump', '-f', $dump, '-d', $node->connstr('postgres') ], 'it is dumped');
$node->command_ok(
	[ 'psql', '-X', '-q', '-v', 'ON_ERROR_STOP=1', '-f', $dump, '-d', $node->connstr('dump_copy') ],
	'and restored');

my $made = 0;

for my $copy (qw(template_copy dump_copy))
{
	is(shown($copy), 'paused their update', "$copy: the system is paused, and says why");
	is($node->safe_psql($copy, 'SELECT dataflows.adopt()'), '1', 'it is adopted');
	as_app($node, $copy, "SELECT dataflows.start('one', '{\"email\": \"$copy\@x\"}', 'new')");
	ok(
		wait_until(
			$node,
			"SELECT count(*) = 2 FROM dataflows.runs
				WHERE waiting_for LIKE '%whose system is held'",
			60, $copy),
		'its runs move, and wait for the system');
	is(sent(), $made, 'nothing is sent');
	is($node->safe_psql($copy, "SELECT dataflows.resume_system('crm')"), 't', 'it is resumed');
	ok(
		wait_until(
			$node, "SELECT count(*) = 2 FROM dataflows.runs WHERE state = 'completed'",
			180, $copy),
		'and both go on');
	$made += 2;
	is($systems->made_and_left('crm', "$copy\@x"), '1/1', 'with what is to be made');
	is(shown('postgres'), 'paused their update', 'in the original it is still paused');
	is($node->safe_psql('postgres', "SELECT state FROM dataflows.runs WHERE key = 'a'"),
		'running', 'and nothing has moved');
}

$node->stop;
$systems->stop;
done_testing();
