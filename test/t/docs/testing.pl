# docs/testing.md: its tests pass, and its outputs are those of the onboarding's own tests.
#
# The first block of SQL is the frame of a file of tests: each of the others is run in it.

use strict;
use warnings;

use Cwd;
use Test::More;
use PostgreSQL::Test::Cluster;
use PostgreSQL::Test::Utils;
use Dataflows;
use Dataflows::Walk;

my $node = new_node('testing');
my $example = getcwd() . '/examples/onboarding';
my $frame;

plan skip_all => 'the extension pgtap is not installed'
	if $node->safe_psql('postgres',
	"SELECT count(*) FROM pg_available_extensions WHERE name = 'pgtap'") eq '0';

$node->safe_psql('postgres', 'CREATE ROLE app LOGIN; CREATE DATABASE shop');
$node->command_ok(
	[ 'psql', '-X', '-q', '-v', 'ON_ERROR_STOP=1', '-U', 'postgres', '-d', 'shop',
		(map { ('-v', "$_=http://127.0.0.1:1") } qw(identity billing crm email)),
		'-f', "$example/schema.sql", '-c', 'CREATE EXTENSION pgtap' ],
	'the systems, which nobody will ask');
$node->command_ok(
	[ 'psql', '-X', '-q', '-v', 'ON_ERROR_STOP=1', '-U', 'app', '-d', 'shop', '-f',
		"$example/workflow.sql" ],
	'the workflow');

sub run_shell
{
	my ($command) = @_;
	my $out;

	local $ENV{PGHOST} = $node->host;
	local $ENV{PGPORT} = $node->port;
	IPC::Run::run([ 'sh', '-c', $command ], '>', \$out, '2>', \my $err);
	return $out;
}

# the mistakes that the page tells of; the next one begins with the function as it was
sub edit_body
{
	my ($walk, $from, $to) = @_;
	my ($function) = slurp_file("$example/workflow.sql") =~ /(CREATE FUNCTION.*?END \$\$;)/s;

	$function =~ s/CREATE FUNCTION/CREATE OR REPLACE FUNCTION/;
	ok($function =~ s/$from/$to/, "the function has $from");
	unlike($walk->run_sql('app', $function), qr/^ERROR/m, 'and is edited');
	return;
}

sub sql_block
{
	my ($walk, $text) = @_;
	my ($first) = $text =~ /^(.*)/;

	if ($text =~ /LANGUAGE plpython3u/)
	{
		unlike($walk->run_sql('postgres', $text), qr/^ERROR/m, "the block: $first");
		return;
	}
	if (!defined $frame)
	{
		$frame = $text =~ s{\\ir \.\./}{\\ir $example/../}r;
		return;
	}
	my $tap = $walk->run_sql('app', "\\pset tuples_only on\n"
			. "\\pset format unaligned\n" . ($frame =~ s/^-- the tests$/$text/mr));

	like($tap, qr/^ok 1 - .*^1\.\.[1-9]/ms, "the tests of: $first");
	unlike($tap, qr/^not ok|ERROR|WARNING/m, 'pass') or diag($tap);
	return;
}

my $walk = Dataflows::Walk->new(
	node => $node,
	shell => \&run_shell,
	patience => 0,
	hooks => {
		forget_undo =>
			sub { edit_body($_[0], qr{,\s+undo => 'DELETE /customers/\{id\}'}, '') },
		wrong_field => sub { edit_body($_[0], qr{/customers/\{id\}}, '/customers/{customer_id}') }
	},
	blocks => { sql => \&sql_block });

is($walk->through('docs/testing.md'), 4, 'the page has its sessions');
is($node->safe_psql('shop', 'SELECT count(*) FROM dataflows.run'), '0', 'and no run is left');

# what a file needs that is not there
$node->safe_psql('shop', 'CREATE ROLE stranger LOGIN');
for my $case (
	[ 'shop', 'stranger', qr/role "stranger" may create nothing in schema "public"\nHINT:  Begin/ ],
	[ 'postgres', 'app', qr/pgTAP is not there\nHINT:  As superuser/ ])
{
	my ($database, $role, $error) = @$case;

	$node->command_fails_like(
		[ 'psql', '-X', '-q', '-U', $role, '-d', $database, '-f', "$example/test.sql" ],
		$error, "run as $role in $database");
}

$node->stop;
done_testing();
