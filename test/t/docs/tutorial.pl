# docs/tutorial.md: what it shows has been run, and came out like that.

use strict;
use warnings;

use HTTP::Tiny;
use Test::More;
use PostgreSQL::Test::Cluster;
use Dataflows;
use Dataflows::Walk;

my $systems = start_systems();
my $node = new_node('tutorial', conf => "dataflows.identity = 'tutorial'");
my %address = map { 8100 + $_->[0] => $systems->url($_->[1]) =~ s{^http://}{}r } [ 1, 'identity' ],
	[ 2, 'billing' ], [ 3, 'crm' ], [ 4, 'email' ];
my $body;

$address{8480} = '127.0.0.1:' . PostgreSQL::Test::Cluster::get_free_port();
$node->safe_psql('postgres', 'CREATE DATABASE shop');

sub run_shell
{
	my ($command) = @_;

	if ($command =~ /^pg_ctl .*-m immediate restart/)
	{
		$node->stop('immediate');
		$node->start;
		return '';
	}
	my ($post, $url, $data, $header) =
		$command =~ /^curl -s (-X POST )?'?(\S+?)'?(?: -d '(.*?)')?(?: -H '(.*)')?$/
		or die "what is this? $command";
	my %headers = $data ? ('Content-Type' => 'application/x-www-form-urlencoded') : ();
	$headers{$1} = $2 if ($header // '') =~ /^(.*?): (.*)/;
	my $response = HTTP::Tiny->new->request($post || $data ? 'POST' : 'GET',
		$url, { content => $data // '', headers => \%headers });

	return $response->{content} if $url !~ /_faults$/ && !$post;
	return $response->{success} ? '' : "refused: $response->{content}";
}

# the deploy error that the page tells of
sub replace_body
{
	my ($walk, $how) = @_;
	my ($function) = $body =~ /(CREATE FUNCTION.*?END \$\$;)/s;

	$function =~ s/CREATE FUNCTION/CREATE OR REPLACE FUNCTION/;
	$function =~ s/jsonb_build_object\('to'/jsonb_build_objekt('to'/ if $how eq 'break';
	unlike($walk->run_sql('app', $function), qr/^ERROR/m, "the function: $how");
	return;
}

my $walk = Dataflows::Walk->new(
	node => $node,
	address => \%address,
	shell => \&run_shell,
	hooks => {
		break => sub { replace_body($_[0], 'break') },
		mend => sub { replace_body($_[0], 'mend') }
	},
	blocks => {
		sql => sub {
			my ($self, $text) = @_;

			$body = $text if $text =~ /CREATE FUNCTION customer_onboarding/;
			$self->sql_block($text);
		}
	});

cmp_ok($walk->through('docs/tutorial.md'), '>', 50, 'the page has its sessions');
$node->stop;
done_testing();
