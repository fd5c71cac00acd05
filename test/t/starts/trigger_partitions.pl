# Partitioned tables: a row that an UPDATE moves to another partition starts
# nothing and is one change; everything that inserts is a start.

use strict;
use warnings;

use Test::More;
use PostgreSQL::Test::Cluster;
use Dataflows;

my $node = new_node('partitions');
my $version =
	$node->safe_psql('postgres', "SELECT current_setting('server_version_num')::int / 10000");

create_app($node);
$node->safe_psql('postgres',
	'GRANT EXECUTE ON FUNCTION dataflows.start_on_insert, dataflows.signal_on_change TO app');
as_app($node, 'postgres', <<'SQL');
CREATE FUNCTION app.body(event jsonb) RETURNS jsonb LANGUAGE plpgsql AS $$ BEGIN RETURN event;
  END $$;
SELECT dataflows.define_workflow('w', 'app.body'), dataflows.define_workflow('other', 'app.body');
CREATE TABLE app.owner (region text PRIMARY KEY);
INSERT INTO app.owner VALUES ('eu'), ('us');
CREATE TABLE app.p (id int, status text, region text REFERENCES app.owner ON UPDATE CASCADE,
  n int DEFAULT 0) PARTITION BY LIST (status);
CREATE TABLE app.p_active PARTITION OF app.p FOR VALUES IN ('active') PARTITION BY LIST (region);
CREATE TABLE app.p_active_eu PARTITION OF app.p_active FOR VALUES IN ('eu');
-- its columns stand in another order
CREATE TABLE app.p_active_us (n int DEFAULT 0, region text, gone int, id int, status text);
ALTER TABLE app.p_active_us DROP COLUMN gone;
ALTER TABLE app.p_active ATTACH PARTITION app.p_active_us FOR VALUES IN ('us');
CREATE TABLE app.p_active_asia PARTITION OF app.p_active FOR VALUES IN ('asia');
CREATE TABLE app.p_archived PARTITION OF app.p FOR VALUES IN ('archived');
CREATE TABLE app.source (id int);
INSERT INTO app.source VALUES (1);
SQL

my $rows = "INSERT INTO app.p SELECT i, 'active', 'eu' FROM generate_series(1, 3) i";

# In one transaction that is rolled back, so that no engine comes in between:
# the trigger, three rows, what is tried; then what there is more than before.
sub more
{
	my ($trigger, $sql, %params) = @_;
	my $count =
		$params{signals}
		? "dataflows.inbox WHERE workflow = 'w'"
		: "dataflows.run WHERE workflow = 'w'";
	my $out = $node->safe_psql('postgres', <<"SQL");
BEGIN;
SET LOCAL ROLE app;
$trigger;
$rows;
${\ ($params{before} // '')};
RESET ROLE;
CREATE TEMP TABLE before AS SELECT count(*) AS n FROM $count;
GRANT SELECT ON before TO app;
SET LOCAL ROLE app;
$sql;
RESET ROLE;
SELECT (SELECT count(*) FROM $count) - n FROM before;
ROLLBACK;
SQL

	return (split /\n/, $out)[-1];
}

sub started_by
{
	my ($args, $form) = @_;

	return "CREATE TRIGGER t AFTER INSERT ON app.p $form
			EXECUTE FUNCTION dataflows.start_on_insert($args)";
}

sub signalled_by
{
	my ($event, $form) = @_;

	return "CREATE TRIGGER t AFTER $event ON app.p $form
			EXECUTE FUNCTION dataflows.signal_on_change('w', 'changed', 'id')";
}

my $row = started_by("'w'", 'FOR EACH ROW');
my $keyed = started_by("'w', 'id'", 'FOR EACH ROW');
my $statement = started_by("'w'", 'REFERENCING NEW TABLE AS fresh FOR EACH STATEMENT');
my $archive = "UPDATE app.p SET status = 'archived'";

# ---- moved by an UPDATE -----------------------------------------------------------------------

for my $form ([ 'by row', $row ], [ 'by row with a key', $keyed ], [ 'by statement', $statement ])
{
	my ($how, $trigger) = @$form;

	is(more($trigger, $archive), 0, "$how: rows that are moved start nothing");
	is( more(
			$trigger,
			"$archive WHERE id = 1; UPDATE app.p SET status = 'active', region = 'us'; UPDATE "
				. "app.p SET region = 'eu'"),
		0,
		"$how: nor moved back and on, also below a partition");
	is(more($trigger, "UPDATE app.p_active SET region = 'us'"),
		0, "$how: nor by an UPDATE of the partition that has partitions");
	is(more($trigger, "INSERT INTO app.p VALUES (4, 'archived', 'us'), (5, 'active', 'us')"),
		2, "$how: rows that are inserted do");
	is(more($trigger, "UPDATE app.owner SET region = 'asia' WHERE region = 'eu'"),
		0, "$how: moved by a foreign key, it starts nothing");
	is(more($trigger, "WITH m AS ($archive RETURNING id) SELECT count(*) FROM m"),
		0, "$how: moved in a WITH, it starts nothing");
	is(more($trigger, "PREPARE m AS $archive; EXECUTE m"),
		0, "$how: moved by a prepared statement, it starts nothing");
	is(more($trigger, "EXPLAIN (ANALYZE, COSTS OFF) $archive"),
		0, "$how: moved by EXPLAIN ANALYZE, it starts nothing");
	is( more(
			$trigger,
			"SAVEPOINT s; $archive; ROLLBACK TO s; INSERT INTO app.p VALUES (9, 'archived', 'us')"),
		1,
		"$how: an INSERT after a move that was rolled back starts a run");
}
is(more($row, 'INSERT INTO app.p_archived VALUES (6, \'archived\', \'us\')'),
	1, 'by row: a row inserted into the partition itself starts a run');
is( more(
		'CREATE TRIGGER t AFTER INSERT ON app.p_archived FOR EACH ROW
			EXECUTE FUNCTION dataflows.start_on_insert(\'w\')',
		$archive),
	0,
	'a trigger of one partition: what is moved there starts nothing');
is( more(
		'CREATE TRIGGER t AFTER INSERT ON app.p_archived FOR EACH ROW
			EXECUTE FUNCTION dataflows.start_on_insert(\'w\')',
		"ALTER TABLE app.p DETACH PARTITION app.p_archived; INSERT INTO app.p_archived
			VALUES (7, 'archived', 'us')"
	),
	1,
	'a detached one is a table like any other');

# ---- inserted, while an UPDATE is under way -----------------------------------------------------

my $insert = q(INSERT INTO app.p VALUES (100, 'archived', 'us'));
my $inserts =
	"CREATE FUNCTION app.inserts() RETURNS int LANGUAGE plpgsql AS \$\$ BEGIN $insert; RETURN 1;
		END \$\$";
my $trigger_inserts =
	"CREATE FUNCTION app.fires() RETURNS trigger LANGUAGE plpgsql AS \$\$ BEGIN $insert;
		RETURN NULL; END \$\$";

is(more($row, "UPDATE app.source SET id = app.inserts()", before => $inserts),
	1, 'a function that an UPDATE of another table calls');
is( more(
		$row,
		"UPDATE app.p SET n = app.inserts(), status = 'archived' WHERE id = 1",
		before => $inserts),
	1,
	'a function that the moving UPDATE itself calls');
is( more(
		$row,
		"UPDATE app.source SET id = 2",
		before =>
			"$trigger_inserts; CREATE TRIGGER f AFTER UPDATE ON app.source FOR EACH ROW EXECUTE "
			. "FUNCTION app.fires()"),
	1,
	'a trigger that an UPDATE fires');
is( more(
		$row,
		"$archive WHERE id = 1",
		before => "$trigger_inserts; CREATE TRIGGER f AFTER DELETE ON app.p FOR EACH ROW EXECUTE "
			. "FUNCTION app.fires()"),
	1,
	'a trigger that the move fires');
is(more($row, "WITH i AS ($insert RETURNING id) UPDATE app.source SET id = 2"),
	1, 'an INSERT in a WITH of an UPDATE of another table');
is(more($row, "$archive; $insert; $archive; $insert"), 2, 'in turns');
is( more(
		$row,
		"DO \$\$ BEGIN $archive; BEGIN UPDATE app.p SET status = 'nowhere';
			EXCEPTION WHEN check_violation THEN $insert; END; END \$\$"
	),
	1,
	'after an UPDATE that failed');
is( more(
		'CREATE UNIQUE INDEX u ON app.p_active_eu (id); ' . $row,
		"INSERT INTO app.p_active_eu SELECT i, 'active', 'eu'
			FROM generate_series(1, 4) i ON CONFLICT (id) DO UPDATE SET n = 1"
	),
	1,
	'an upsert: the row that was not there');

my $file = $node->basedir . '/p.csv';

PostgreSQL::Test::Utils::append_to_file($file, "200,archived,us,0\n201,active,us,0\n");
chmod(0644, $file);
is(more($row, "RESET ROLE; COPY app.p FROM '$file' CSV"), 2, 'COPY');
# a superuser's trigger that loads a file when a row is moved
is( more(
		$row,
		"RESET ROLE; CREATE FUNCTION app.loads() RETURNS trigger LANGUAGE plpgsql AS \$\$
			BEGIN COPY app.p FROM '$file' CSV; RETURN NULL; END \$\$;"
			. "CREATE TRIGGER f AFTER DELETE ON app.p FOR EACH ROW EXECUTE FUNCTION app.loads();
				$archive WHERE id = 1"
	),
	2,
	'COPY in a trigger that a move fires');
SKIP:
{
	skip 'no MERGE', 4 if $version < 15;
	my $merge =
		'MERGE INTO app.p USING generate_series(1, 5) i ON p.id = i WHEN MATCHED THEN UPDATE SET';

	is(more($row, "$merge status = 'archived'"), 0, 'MERGE that only moves');
	is(more($row, "$merge n = 1 WHEN NOT MATCHED THEN INSERT VALUES (i, 'archived', 'us')"),
		2, 'MERGE that inserts');
	is( more(
			$keyed,
			"$merge status = 'archived' WHEN NOT MATCHED THEN INSERT VALUES (i, 'archived', 'us')"),
		2,
		'MERGE that does both, with a key');
	# PostgreSQL puts what a MERGE has moved among the new rows of the statement
	is( more(
			started_by("'w', 'id'", 'REFERENCING NEW TABLE AS fresh FOR EACH STATEMENT'),
			"$merge status = 'archived' WHEN NOT MATCHED THEN INSERT VALUES (i, 'archived', 'us')",
			before => 'INSERT INTO app.p VALUES (4, \'active\', \'us\')'),
		1,
		'MERGE that does both, by statement, with a key');
}

# ---- deferred: a key tells what the trigger cannot -----------------------------------------------

my $deferred =
	"CREATE CONSTRAINT TRIGGER t AFTER INSERT ON app.p DEFERRABLE INITIALLY DEFERRED FOR EACH ROW
		EXECUTE FUNCTION dataflows.start_on_insert('w', 'id')";

is( more(
		$deferred,
		"$archive; $insert; SET CONSTRAINTS ALL IMMEDIATE",
		before => 'SET CONSTRAINTS ALL IMMEDIATE; SET CONSTRAINTS ALL DEFERRED'),
	1,
	'a deferred trigger with a key');

# ---- signals -------------------------------------------------------------------------------------

my $both = signalled_by('INSERT OR UPDATE', 'FOR EACH ROW');

is(more($both, $archive, signals => 1), 3,
	'INSERT OR UPDATE by row: a moved row is signalled once');
is(more($both, 'UPDATE app.p SET n = 1', signals => 1), 3, 'like one that stays');
is(more($both, $insert, signals => 1), 1, 'and one that is inserted');
is(more(signalled_by('INSERT', 'FOR EACH ROW'), $archive, signals => 1),
	0, 'INSERT by row: a moved row was not inserted');
is(more(signalled_by('INSERT', 'FOR EACH ROW'), $insert, signals => 1),
	1, 'one that is inserted was');
is( more(
		signalled_by('UPDATE', 'REFERENCING NEW TABLE AS fresh FOR EACH STATEMENT'),
		$archive, signals => 1),
	3,
	'UPDATE by statement: a moved row is signalled once');
is( more(
		signalled_by('UPDATE', 'REFERENCING NEW TABLE AS fresh FOR EACH STATEMENT'),
		$insert, signals => 1),
	0,
	'one that is inserted is not');

# ---- tables that inherit: nothing moves ----------------------------------------------------------

is( more(
		'CREATE TABLE app.mother (id int, status text);
			CREATE TABLE app.child () INHERITS (app.mother); '
			. "CREATE TRIGGER t AFTER INSERT ON app.child FOR EACH ROW
				EXECUTE FUNCTION dataflows.start_on_insert('w')",
		"INSERT INTO app.child VALUES (1, 'active'); UPDATE app.mother SET status = 'archived'"),
	1,
	'a table that inherits: the INSERT, and not the UPDATE');

$node->stop;
done_testing();
