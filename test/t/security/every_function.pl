# A role without any right calls every function of the schema that it may execute, with the run, the
# workflow, the key, the step and the event of another role, and reads every view. Nothing changes,
# and it learns nothing. The list is the catalog's: a new function is tried, too.

use strict;
use warnings;

use Test::More;
use PostgreSQL::Test::Cluster;
use PostgreSQL::Test::Utils;
use Dataflows;

my $node = new_node('every_function', conf => "dataflows.public_url = 'http://127.0.0.1'\n");
my $secret = 'DE02-SECRET-of-alice';

create_app($node);
$node->safe_psql('postgres', 'CREATE ROLE eve LOGIN; GRANT USAGE ON SCHEMA app TO PUBLIC');
as_app($node, 'postgres', <<'SQL');
CREATE FUNCTION app.waits(event jsonb) RETURNS jsonb LANGUAGE plpgsql AS $$ BEGIN
  PERFORM dataflows.alias('alias-' || dataflows.run_key());
  PERFORM dataflows.once('once', 'SELECT $1', jsonb_build_array(event->>'iban'));
  IF event ? 'break' THEN PERFORM 1/0; END IF;
  RETURN dataflows.wait_for('go'); END $$;
SELECT dataflows.define_workflow('waits', 'app.waits', on_error => 'stuck');
SQL

my %run = map {
	$_->[0] => as_app($node, 'postgres',
		"SELECT dataflows.start('waits', '{\"iban\": \"$secret\"$_->[1]}', '$_->[0]')")
} [ 'alice', '' ], [ 'stuck', ', "break": true' ], [ 'done', '' ];

becomes($node, $run{alice}, 'waiting', 'a run waits') or BAIL_OUT('no run');
becomes($node, $run{stuck}, 'stuck', 'one is stuck');
as_app($node, 'postgres', "SELECT dataflows.signal('$run{done}', 'go', '{\"iban\": \"$secret\"}')");
becomes($node, $run{done}, 'completed', 'one is completed');

my @tables = split ' ',
	$node->safe_psql('postgres',
		"SELECT string_agg(tablename, ' ' ORDER BY tablename) FROM pg_tables
			WHERE schemaname = 'dataflows' AND tablename <> 'page_token'");

# what is in the tables, but for tokens, which every role may make for itself
sub contents
{
	return $node->safe_psql('postgres', join ' ',
		map { "SELECT '$_', md5(string_agg(t::text, ' ' ORDER BY t::text)) FROM dataflows.$_ t;" }
			@tables);
}

# each function with all arguments, and with those that it needs
sub calls
{
	my ($run, $key) = @_;
	my $rows = $node->safe_psql('postgres', <<"SQL");
SELECT format('dataflows.%I(%s)', f.proname, array_to_string((array_agg(a.value ORDER BY a.n))
    [:f.pronargs - c.left_out], ', '))
FROM pg_proc f
  CROSS JOIN LATERAL (SELECT 0 UNION SELECT f.pronargdefaults::int) AS c (left_out)
  LEFT JOIN LATERAL (SELECT n, CASE
      WHEN f.provariadic <> 0 AND n = f.pronargs THEN '''start'''
      WHEN t = 'uuid'::regtype THEN quote_literal('$run') || '::uuid'
      WHEN f.proargnames[n] IN ('workflow', 'starts', 'signals') OR (f.proargnames[n] = 'name'
        AND f.proname IN ('drop_workflow', 'define_workflow')) THEN '''waits'''
      WHEN f.proargnames[n] = 'key' THEN quote_literal('$key')
      WHEN f.proargnames[n] IN ('event', 'step') THEN '''go'''
      WHEN f.proargnames[n] = 'outcome' THEN '''done'''
      WHEN f.proargnames[n] = 'owner_name' THEN '''eve'''
      WHEN f.proargnames[n] = 'owner' AND t = 'oid'::regtype THEN '''eve''::regrole::oid'
      WHEN f.proargnames[n] = 'role' THEN '''eve'''
      WHEN f.proargnames[n] = 'function' THEN '''app.waits'''
      WHEN t = 'interval'::regtype THEN '''0 s''::interval'
      WHEN t = 'boolean'::regtype THEN 'true'
      WHEN t = 'int'::regtype THEN '1'
      WHEN t IN ('text'::regtype, 'name'::regtype) THEN '''x'''
      WHEN t = 'jsonb'::regtype THEN '''{}''::jsonb'
      ELSE 'NULL::' || CASE WHEN t = '"any"'::regtype THEN 'text' ELSE format_type(t, NULL) END
      END AS value
    FROM unnest(f.proargtypes) WITH ORDINALITY AS p (t, n)) AS a ON true
WHERE f.pronamespace = 'dataflows'::regnamespace
  AND f.prorettype NOT IN ('trigger'::regtype, 'event_trigger'::regtype)
  AND has_function_privilege('eve', f.oid, 'EXECUTE')
GROUP BY f.oid, f.proname, f.pronargs, c.left_out
SQL
	my %seen;
	return grep { !$seen{$_}++ } split "\n", $rows;
}

my $before = contents();
my $said = '';
my $n = 0;

for my $key (sort keys %run)
{
	for my $call (calls($run{$key}, $key))
	{
		my ($rc, $out, $err) = $node->psql(
			'postgres', "\\set VERBOSITY verbose\nSET statement_timeout = '10 s';\nSELECT $call;",
			on_error_stop => 0,
			extra_params => [ '-U', 'eve' ]);

		$said .= "$call\n$out\n$err\n";
		$n++;
	}
}
cmp_ok($n, '>', 150, 'many calls');
like($said, qr/dataflows\.$_\(/, "among them $_()")
	for qw(start signal signal_by_key cancel retry resolve undo abandon pause restart await forget
	drop_workflow allow disallow allow_author schedule create_webhook event_url timeline _sees);
is(contents(), $before, 'nothing has changed');
unlike($said, qr/\Q$secret\E/, 'and nothing was learned');
unlike($said, qr/canceling statement due to statement timeout/, 'nothing waited');
unlike($said, qr/XX000/, 'nothing failed in an unforeseen way') or diag($said =~ /(.*XX000.*)/);

# a run that it may not see looks like one that is not there
my ($ids) = map { qr/$_/ } join '|', values %run;
my @views = split ' ', $node->safe_psql('postgres',
	"SELECT string_agg(viewname, ' ') FROM pg_views WHERE schemaname = 'dataflows'");

for my $view (@views)
{
	my ($rc, $out) = $node->psql('postgres', "SELECT * FROM dataflows.$view",
		extra_params => [ '-U', 'eve' ]);

	unlike($out, qr/\Q$secret\E|$ids|alice/, "$view shows nothing of these runs");
}

$node->stop;
done_testing();
