# What a body says with RAISE NOTICE and WARNING, in any language, is in the server's log once for
# each time that the body gets there, with the run, its workflow and key, and where in it; so is
# what the SQL of a query step says.  The text is the body's own, and log_min_messages counts.

use strict;
use warnings;

use Test::More;
use PostgreSQL::Test::Cluster;
use PostgreSQL::Test::Utils;
use Dataflows;

my $systems = start_systems();
my $node = new_node('messages', conf => "log_min_messages = notice\n");

create_systems($node, 'postgres', $systems, workflow => 0);
$node->safe_psql('postgres', 'CREATE EXTENSION plperl; CREATE EXTENSION plpython3u');
as_app($node, 'postgres', <<'SQL');
CREATE FUNCTION app.talks(event jsonb) RETURNS jsonb LANGUAGE plpgsql AS $$
BEGIN
  RAISE WARNING 'begins with "%"', event->>'name';
  PERFORM dataflows.post('make', 'crm', '/contacts', '{"email": "m@example.com"}', undo => 'none');
  RAISE NOTICE 'has made it';
  RAISE LOG 'a word of the author''s';
  FOR i IN 1 .. 3 LOOP
    PERFORM dataflows.get('look', 'crm', '/contacts');
    RAISE NOTICE 'looked % times', i;
  END LOOP;
  PERFORM dataflows.post('a', 'crm', '/contacts', '{"email": "a@example.com"}', undo => 'none',
    wait => false);
  PERFORM dataflows.post('b', 'crm', '/contacts', '{"email": "b@example.com"}', undo => 'none',
    wait => false);
  RAISE NOTICE 'both are under way';
  PERFORM dataflows.wait_all('a', 'b');
  RAISE NOTICE 'both are there';
  PERFORM dataflows.wait_for('go');
  RAISE WARNING 'goes on';
  PERFORM dataflows.query('count', 'SELECT app.says($1)', '["some"]');
  RAISE NOTICE 'has counted';
  RETURN NULL;
END $$;
CREATE FUNCTION app.says(what text) RETURNS text LANGUAGE plpgsql AS $$
BEGIN RAISE NOTICE 'counts %', what; RETURN what; END $$;
SELECT dataflows.define_workflow('talks', 'app.talks');
CREATE FUNCTION app.perl(event jsonb) RETURNS jsonb LANGUAGE plperl AS $$
elog(NOTICE, 'perl speaks'); spi_exec_query("SELECT dataflows.wait_for('go')");
elog(WARNING, 'perl goes on'); return undef; $$;
SELECT dataflows.define_workflow('perl', 'app.perl');
SQL
$node->safe_psql('postgres', <<'SQL');
CREATE FUNCTION app.python(event jsonb) RETURNS jsonb LANGUAGE plpython3u AS $$
plpy.notice('python speaks')
plpy.execute("SELECT dataflows.wait_for('go')")
plpy.warning('python goes on')
$$;
ALTER FUNCTION app.python(jsonb) OWNER TO app;
SQL
as_app($node, 'postgres', "SELECT dataflows.define_workflow('python', 'app.python')");

# how often the log says it, with the line of context that names the run
sub said
{
	my ($text, $run, $where, $times, $name) = @_;
	my $log = slurp_file($node->logfile);
	my @found = $log =~ /((?:NOTICE|WARNING|LOG):  \Q$text\E\n(?:.*\n)*?.*dataflows run.*\n)/g;

	is(scalar(() = $log =~ /(?:NOTICE|WARNING|LOG):  \Q$text\E$/mg), $times, $name);
	like(
		$found[0] // '',
		qr/dataflows run "$run" of workflow "\w+"(?:, key "key-1")?, \Q$where\E$/m,
		'with its run');
	return;
}

my $run = as_app($node, 'postgres',
	q{SELECT dataflows.start('talks', '{"name": "Ä\"x"}', 'key-1')});

becomes($node, $run, 'waiting', 'a run waits');
as_app($node, 'postgres', "SELECT dataflows.signal('$run', 'go')");
becomes($node, $run, 'completed', 'and ends');

my %others;

for my $language (qw(perl python))
{
	$others{$language} = as_app($node, 'postgres', "SELECT dataflows.start('$language', '{}')");
	becomes($node, $others{$language}, 'waiting', $language);
	$node->restart if $language eq 'python';
	as_app($node, 'postgres', "SELECT dataflows.signal('$others{$language}', 'go')");
	becomes($node, $others{$language}, 'completed', "$language goes on");
}

said('begins with "Ä"x"', $run, 'before its first step', 1, 'before the first step');
said('has made it', $run, 'after step "make"', 1, 'after a step');
for (1 .. 3)
{
	my $step = $_ > 1 ? "look#$_" : 'look';

	said("looked $_ times", $run, qq(after step "$step"), 1, "round $_ of a loop");
}
said('both are under way', $run, 'after step "b"', 1, 'beside steps');
said('both are there', $run, 'after step "b"', 1, 'after several');
said('goes on', $run, 'after step "go"', 1, 'after the run was parked');
said('counts some', $run, 'in step "count"', 1, 'in the SQL of a step');
said('has counted', $run, 'after step "count"', 1, 'in a sql worker');
for my $language (qw(perl python))
{
	said("$language speaks", $others{$language}, 'before its first step', 1, $language);
	said("$language goes on", $others{$language}, 'after step "go"', 1, 'and after a wait');
}
cmp_ok(scalar(() = slurp_file($node->logfile) =~ /LOG:  a word of the author's$/mg), '>', 1,
	'LOG is said at each entry');

# ---- log_min_messages

$node->append_conf('postgresql.conf', "log_min_messages = warning\n");
$node->reload;

my $offset = -s $node->logfile;
my $second = as_app($node, 'postgres', q{SELECT dataflows.start('talks', '{"name": "y"}')});

becomes($node, $second, 'waiting', 'another run');
like(slurp_file($node->logfile, $offset), qr/WARNING:  begins with "y"/, 'its warning is logged');
unlike(slurp_file($node->logfile, $offset), qr/NOTICE/, 'its notices are not');

$node->stop;
$systems->stop;
done_testing();
