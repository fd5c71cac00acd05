# Every function that api_functions() makes of a description is one that PostgreSQL accepts, and
# sends what the description demands: a mock takes nothing else.  Each is called twice, with what
# is required and with everything, in runs of a real engine.
#
# For other descriptions: DF_OPENAPI='a.json b.json' TESTS=steps/api_calls test/check.sh tap

use strict;
use warnings;

use Cwd qw(abs_path);
use IPC::Run ();
use Test::More;
use PostgreSQL::Test::Cluster;
use PostgreSQL::Test::Utils;
use Dataflows;

# an empty one has no node_modules, and the tree is not written to
my $programs = PostgreSQL::Test::Utils::tempdir_short();

plan skip_all => 'npm, which brings ajv, is not here or has no registry'
	if system("cp test/api/* $programs && cd $programs && "
		. 'npm install --silent --no-audit --no-fund >npm.log 2>&1') != 0;

my @descriptions = map { abs_path($_) } split(' ', $ENV{DF_OPENAPI} // ''),
	glob('test/fixtures/api/*.json');
my $node = new_node('api_calls', conf => "dataflows.max_body = '4MB'\n");
my $has_check = -e $node->config_data('--sharedir') . '/extension/plpgsql_check.control';

$node->safe_psql('postgres', <<'SQL');
CREATE EXTENSION dataflows;
CREATE ROLE app LOGIN;
GRANT CREATE ON SCHEMA public TO app;
SELECT dataflows.allow_author('app');
SQL
$node->safe_psql('postgres', 'CREATE EXTENSION plpgsql_check') if $has_check;
as_app($node, 'postgres', <<'SQL');
CREATE FUNCTION one_call(event jsonb) RETURNS jsonb LANGUAGE plpgsql AS $$
DECLARE r jsonb;
BEGIN EXECUTE 'SELECT ' || (event->>'call') INTO r; RETURN r; END $$;
SELECT dataflows.define_workflow('calls', 'one_call');
SQL

# the mock of a description, and its port
sub start_mock
{
	my ($file) = @_;
	my ($in, $out, $err) = ('', '', '');
	my $mock = IPC::Run::start([ 'node', "$programs/mock.mjs", $file ],
		'<', \$in, '>', \$out, '2>', \$err, IPC::Run::timeout(300));

	$mock->pump until $out =~ /\n/;
	chomp(my $port = $out);
	return ($mock, $port, \$in);
}

# makes the functions of a description; what they are, for the maker of calls
sub make_functions
{
	my ($file, $name) = @_;
	my $text = slurp_file($file) =~ s/'/''/gr;

	append_to_file("$programs/$name.sql", <<"SQL");
CREATE SCHEMA $name;
GRANT USAGE ON SCHEMA $name TO app;
CREATE TABLE $name.description AS SELECT '$text'::jsonb AS d;
SELECT dataflows.api_functions('$name', d, '$name') FROM $name.description \\gexec
SQL
	command_ok([ 'psql', '-X', '-q', '-v', 'ON_ERROR_STOP=1', '-d', $node->connstr('postgres'),
			'-f', "$programs/$name.sql" ], "$name: the functions are made");
	return $node->safe_psql('postgres', <<"SQL");
SELECT json_agg(json_build_object('name', '$name.' || quote_ident(f.proname),
		'request', substring(obj_description(f.oid, 'pg_proc')
			FROM '(?n)^Sends ((?:[A-Z]+) .*) to system "$name"'),
		'arguments', (SELECT json_agg(json_build_object('name', n, 'type', format_type(t, NULL))
			ORDER BY i) FROM unnest(f.proargnames, f.proargtypes) WITH ORDINALITY AS a (n, t, i)))
	ORDER BY f.proname)
FROM pg_proc f WHERE pronamespace = '$name'::regnamespace
SQL
}

sub check_functions
{
	my ($name) = @_;

	is( $node->safe_psql('postgres', <<"SQL"), '', "$name: plpgsql_check finds nothing");
SELECT f.oid::regprocedure, c FROM pg_proc f, plpgsql_check_function(f.oid) c
WHERE pronamespace = '$name'::regnamespace LIMIT 20
SQL
	return;
}

sub run_calls
{
	my ($name, @calls) = @_;

	append_to_file("$programs/$name.calls", join("\n",
		'SET ROLE app;', 'BEGIN;',
		(map {
			my $call = s/'/''/gr;
			"SELECT dataflows.start('calls', jsonb_build_object('call', '$call'), "
				. "'$name' || nextval('$name.n'));"
		} @calls), 'COMMIT;', ''));
	$node->safe_psql('postgres', "CREATE SEQUENCE $name.n; GRANT USAGE ON SEQUENCE $name.n TO app");
	command_ok([ 'psql', '-X', '-q', '-o', '/dev/null', '-v', 'ON_ERROR_STOP=1', '-d',
			$node->connstr('postgres'), '-f', "$programs/$name.calls" ], "$name: the calls begin");
	wait_for_runs($node, [qw(completed failed rolled_back stuck)], 300);
	is( $node->safe_psql('postgres', <<"SQL"), '', "$name: what is sent is what is demanded");
SELECT left(input->>'call', 400) || E'\n' || state || ' '
	|| left(coalesce(error #>> '{detail,body,message}', error::text, stuck::text, ''), 1500)
FROM dataflows.runs
WHERE key LIKE '$name%' AND state <> 'completed' ORDER BY started_at LIMIT 40
SQL
	is(number_of($node, "SELECT count(*) FROM dataflows.runs WHERE key LIKE '$name%'"),
		scalar(@calls), "$name: all of " . @calls . ' calls');
	return;
}

# those that are known by then; what the response names comes from the description, too
sub check_undos
{
	my ($name, $expected) = @_;

	is( $node->safe_psql('postgres', <<"SQL"), $expected, "$name: what is made can be undone");
SELECT DISTINCT request || ' > ' || undo FROM dataflows.steps
WHERE system = '$name' AND undo IS NOT NULL AND step = 'call' ORDER BY 1
SQL
	return;
}

# calls besides those that are made for all: what is sent of them
my %further = (
	shop => {
		q{shop.update_thing('null', thing_id => 8, name => 'ab', more => '{"colour": null}')} =>
			'PATCH /things/8 {"name": "ab", "colour": null}',
		q{shop.create_thing('none', x_tenant => 'a', name => 'cd', undo => 'none')} =>
			'POST /things {"name": "cd"}',
		q{shop.create_thing('other', x_tenant => 'a', name => 'ef', undo => 'DELETE /old/{id}')} =>
			'POST /things {"name": "ef"} DELETE /old/7'
	});

sub check_further
{
	my ($name) = @_;

	is( $node->safe_psql('postgres', <<"SQL"),
SELECT concat_ws(' ', request, body, undo) FROM dataflows.steps WHERE system = '$name'
	AND step IN ('null', 'none', 'other') ORDER BY 1
SQL
		join("\n", sort values %{ $further{$name} }), "$name: null, no undo, another undo");
	return;
}

my %undos = (
	people => 'POST /people > DELETE /people/a%2Bb%26c%3D%C3%A9%2F%25',
	shop => "POST /things > DELETE /things/7\n"
		. 'POST /things/7/parts > DELETE /things/7/parts/a%2Bb%26c%3D%C3%A9%2F%25');

for my $file (@descriptions)
{
	my ($name) = $file =~ m{([a-z]\w*)[^/]*$};
	my ($mock, $port, $in) = start_mock($file);

	$node->safe_psql('postgres', <<"SQL");
CREATE SERVER $name FOREIGN DATA WRAPPER dataflows OPTIONS (url 'http://127.0.0.1:$port',
	allow_private 'true', retry_max_attempts '2', retry_initial '100ms');
GRANT USAGE ON FOREIGN SERVER $name TO app;
SQL
	append_to_file("$programs/$name.functions", make_functions($file, $name));
	check_functions($name) if $has_check;
	my ($calls, $told) = ('', '');

	IPC::Run::run([ 'node', "$programs/calls.mjs", $file, "$programs/$name.functions" ],
		'>', \$calls, '2>', \$told);
	is($told, '', "$name: each operation has a function");
	run_calls($name, split(/\n/, $calls), keys %{ $further{$name} // {} });
	check_undos($name, $undos{$name}) if $undos{$name};
	check_further($name) if $further{$name};
	$mock->kill_kill;
}
$node->stop;
done_testing();
