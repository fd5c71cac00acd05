# docs/operate: what the pages for operators show has been run, and came out like that, in the
# situation that each is for.

use strict;
use warnings;

use Test::More;
use PostgreSQL::Test::Cluster;
use Dataflows;
use Dataflows::Walk;

my $systems = start_systems();
my $node = new_node('operate', conf => <<'CONF');
dataflows.identity = 'prod-eu'
dataflows.sweep_interval = '1s'
CONF

$node->safe_psql('postgres', 'CREATE DATABASE shop');
create_systems($node, 'shop', $systems, options => { breaker_cooldown => '1s' });
$node->safe_psql('shop', "ALTER SERVER billing OPTIONS (SET breaker_failures '3')");

sub onboard
{
	for my $name (@_)
	{
		as_app($node, 'shop', "SELECT dataflows.start('customer-onboarding',
			'{\"email\": \"$name\@example.com\"}', '$name')");
	}
	return;
}

# the run of each is there
sub are
{
	my ($state, @names) = @_;
	my $list = join ', ', map { "'$_'" } @names;

	return ok(
		wait_until(
			$node, "SELECT count(*) = ${\ scalar @names} FROM dataflows.runs
				WHERE key IN ($list) AND state = '$state'", 120, 'shop'),
		"@names: $state");
}

sub replace_body
{
	my ($wrong) = @_;
	my ($function) = onboarding_sql() =~ /(CREATE FUNCTION.*?END \$\$;)/s;

	$function =~ s/CREATE FUNCTION/CREATE OR REPLACE FUNCTION/;
	$function =~ s/jsonb_build_object\('to'/jsonb_build_objekt('to'/ if $wrong;
	as_app($node, 'shop', $function);
	return;
}

# the CRM refuses the customer, and billing to delete what was made for it
sub undo_fails
{
	my ($name) = @_;

	$systems->fault('crm', match => { method => 'POST' }, status => 402, times => 1);
	$systems->fault('billing', match => { method => 'DELETE' },
		status => 422, body => { error => 'an invoice is open' });
	onboard($name);
	return are('stuck', $name);
}

my %hooks = (
	billing_is_down => sub { $systems->down('billing'); onboard('ada'); },
	billing_is_up => sub { $systems->up('billing'); },
	typo => sub {
		onboard('ben', 'bea');
		are('waiting', 'ben', 'bea');
		replace_body(1);
		as_app($node, 'shop', "SELECT dataflows.signal_by_key('customer-onboarding', key,
			'email-confirmed') FROM dataflows.runs WHERE key IN ('ben', 'bea')");
		are('stuck', 'ben', 'bea');
	},
	mend => sub { replace_body(0); },
	undo_fails => sub { undo_fails('cy'); },
	invoice_is_closed => sub { $systems->clear_faults('billing'); },
	undo_fails_again => sub { are('rolled_back', 'cy'); undo_fails('cleo'); },
	a_run_waits => sub {
		$systems->clear_faults('billing');
		onboard('dan');
		are('waiting', 'dan');
	},
	restored => sub {
		$node->safe_psql('shop', "ALTER SYSTEM SET dataflows.identity = 'copy'");
		$node->safe_psql('shop', 'SELECT pg_reload_conf()');
	});
my $walk = Dataflows::Walk->new(
	node => $node,
	hooks => \%hooks,
	patience => 60,
	# queries are run; the rest names objects that the reader has
	blocks => { sql => sub { $_[0]->sql_block($_[1]) if $_[1] !~ /^(?!SELECT|--|\s)/m; } });
my $steps = 0;

# each page in the state that the one before has left
$steps += $walk->through("docs/operate/$_.md")
	for qw(system-down stuck undo-failed emergency-stop failover upgrade sizing alerts restore);
cmp_ok($steps, '>', 25, 'the pages have sessions');
$node->stop;
done_testing();
