# An installation of 0.1 that is updated has the same catalog as a new one.

use strict;
use warnings;

use Test::More;
use PostgreSQL::Test::Cluster;
use Dataflows;

my $node = new_node('upgrade');

$node->safe_psql('postgres', "CREATE DATABASE $_") for qw(new updated);
$node->safe_psql('new', 'CREATE EXTENSION dataflows');
$node->safe_psql('updated', "CREATE EXTENSION dataflows VERSION '0.1'");
$node->safe_psql('updated', 'ALTER EXTENSION dataflows UPDATE');

# everything that belongs to the extension, a line each, without oids; a column's place in its table
# does not count
my $members = <<'SQL';
WITH m AS (SELECT d.classid, d.objid FROM pg_depend d JOIN pg_extension e ON e.oid = d.refobjid
    WHERE d.refclassid = 'pg_extension'::regclass AND d.deptype = 'e' AND e.extname = 'dataflows'),
  t AS (SELECT c.* FROM m JOIN pg_class c ON m.classid = 'pg_class'::regclass AND c.oid = m.objid)
SELECT line FROM (
  SELECT pg_describe_object(classid, objid, 0) || ' -- ' || coalesce(obj_description(objid,
    classid::regclass::name), 'no comment') FROM m
  UNION ALL SELECT pg_get_functiondef(p.oid) || p.proacl::text FROM m JOIN pg_proc p ON m.classid =
    'pg_proc'::regclass AND p.oid = m.objid
  UNION ALL SELECT pg_get_functiondef(p.oid) FROM m JOIN pg_proc p ON m.classid =
    'pg_proc'::regclass AND p.oid = m.objid WHERE p.proacl IS NULL
  UNION ALL SELECT format('%s.%s %s %s %s %s %s -- %s', t.relname, a.attname,
    format_type(a.atttypid, a.atttypmod), a.attnotnull, a.attidentity,
      a.attacl, pg_get_expr(x.adbin, x.adrelid), coalesce(col_description(t.oid, a.attnum),
        'no comment'))
    FROM t JOIN pg_attribute a ON a.attrelid = t.oid AND a.attnum > 0 AND NOT a.attisdropped
    LEFT JOIN pg_attrdef x ON x.adrelid = t.oid AND x.adnum = a.attnum
  UNION ALL SELECT format('%s %s %s %s %s', relname, relkind, relacl, reloptions, relpersistence)
    FROM t
  UNION ALL SELECT pg_get_viewdef(oid) FROM t WHERE relkind = 'v'
  UNION ALL SELECT pg_get_indexdef(i.indexrelid) FROM t JOIN pg_index i ON i.indrelid = t.oid
  UNION ALL SELECT format('%s %s', t.relname, pg_get_constraintdef(k.oid)) FROM t
    JOIN pg_constraint k ON k.conrelid = t.oid
  UNION ALL SELECT pg_get_triggerdef(g.oid) FROM t JOIN pg_trigger g ON g.tgrelid = t.oid
  UNION ALL SELECT format('event trigger %s %s %s %s %s', evtname, evtevent, evttags, evtenabled,
    evtfoid::regproc)
    FROM m JOIN pg_event_trigger v ON m.classid = 'pg_event_trigger'::regclass AND v.oid = m.objid
  UNION ALL SELECT pg_get_ruledef(r.oid) FROM t JOIN pg_rewrite r ON r.ev_class = t.oid
    WHERE t.relkind <> 'v'
  UNION ALL SELECT format('dumped: %s %s', c.oid::regclass, e.extcondition[i]) FROM pg_extension e,
    generate_subscripts(e.extconfig, 1) i
    JOIN pg_class c ON true WHERE e.extname = 'dataflows' AND c.oid = e.extconfig[i]
  UNION ALL SELECT format('initial rights: %s %s', pg_describe_object(i.classoid, i.objoid,
    i.objsubid), i.initprivs)
    FROM pg_init_privs i JOIN m ON m.classid = i.classoid AND m.objid = i.objoid
  UNION ALL SELECT format('schema %s %s', nspname, nspacl) FROM pg_namespace
    WHERE nspname = 'dataflows'
  UNION ALL SELECT format('version %s', extversion) FROM pg_extension WHERE extname = 'dataflows'
) AS l(line) ORDER BY line COLLATE "C"
SQL
my %lines = map {
	$_ => { map { $_ => 1 } split(/\n(?=\S)/, $node->safe_psql($_, $members)) }
} qw(new updated);

cmp_ok(scalar keys %{ $lines{new} }, '>', 300, 'the catalog is read');
is(join("\n", grep { !$lines{updated}{$_} } sort keys %{ $lines{new} }),
	'', 'an update leaves out nothing that a new installation has');
is(join("\n", grep { !$lines{new}{$_} } sort keys %{ $lines{updated} }),
	'', 'and leaves nothing that it has not');

$node->stop;
done_testing();
