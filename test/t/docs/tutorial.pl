# docs/tutorial.md: what it shows has been run, and came out like that.
#
# Blocks marked sql are run as they stand, by the superuser if they create the
# extension or a system, else by app.  In the other blocks each line behind a prompt is run,
# and what is shown below it is compared: a SELECT without effects until it says
# so, all else once.  Ids, times and the widths of columns may differ.

use strict;
use warnings;

use HTTP::Tiny;
use Test::More;
use Time::HiRes qw(time usleep);
use PostgreSQL::Test::Cluster;
use PostgreSQL::Test::Utils;
use Dataflows;
use Dataflows::Pages;

my $systems = start_systems();
my $node = new_node('tutorial', conf => "dataflows.identity = 'tutorial'");
my %address = map { 8100 + $_->[0] => $systems->url($_->[1]) =~ s{^http://}{}r } [ 1, 'identity' ],
	[ 2, 'billing' ], [ 3, 'crm' ], [ 4, 'email' ];
my %ours;    # the run, or the link, of a one that the page shows
my $body;

$address{8480} = '127.0.0.1:' . PostgreSQL::Test::Cluster::get_free_port();
$node->safe_psql('postgres', 'CREATE DATABASE shop');

# what the page says, with this test's addresses and runs in it
sub here
{
	my ($text) = @_;

	$text =~ s{127\.0\.0\.1:(8\d\d\d)}{$address{$1}}g;
	$text =~ s/($UUID|$LINK)/$ours{$1} || $1/ge;
	return $text;
}

sub run_sql
{
	my ($role, $sql) = @_;
	my ($out, $err);
	my @command = (
		'psql', '-X', '-q', '-v', 'ON_ERROR_STOP=1', '-P', 'footer=off', '-U', $role, '-d',
		$node->connstr('shop'),
		'-c', $sql);

	IPC::Run::run(\@command, '<', \undef, '>', \$out, '2>', \$err) or return "ERROR: $err";
	return $out;
}

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

sub has_effects
{
	my $functions = 'signal|start|retry|cancel|resolve|forget|define|schedule|await|create_webhook';

	return $_[0] !~ /^SELECT/ || $_[0] =~ /dataflows\.(?:$functions)|pg_reload_conf/;
}

# one line behind a prompt and what is said to come of it
sub step
{
	my ($prompt, $command, $expected) = @_;
	my $until = time() + 6;
	my $found;

	$command = here($command);
	do
	{
		$found =
			$prompt eq '$'
			? run_shell($command)
			: run_sql($prompt eq 'shop=#' ? 'postgres' : 'app', $command);
	} until (plain($found) eq plain($expected)
			|| ($prompt ne '$' && has_effects($command))
			|| time() > $until
			|| usleep(100_000) < 0);
	# most statements with effects are shown without their answer
	if   (plain($expected) eq '' && $found !~ /^ERROR|^refused/) { pass($command); }
	else { is(plain($found), plain($expected), $command) or diag("the page must say:\n$found"); }
	my @said = $expected =~ /($UUID|$LINK)/g;
	@ours{@said} = $found =~ /($UUID|$LINK)/g if @said;
	return;
}

sub session
{
	my ($text) = @_;
	my @steps;

	for my $line (split /\n/, $text)
	{
		if    ($line =~ /^(shop=[>#]|\$) (.*)/) { push @steps, [ $1, $2, '' ]; }
		elsif ($line =~ /^shop-[>#] (.*)/)      { $steps[-1][1] .= "\n$1"; }
		elsif (@steps)                          { $steps[-1][2] .= "$line\n"; }
	}
	step(@$_) for @steps;
	return;
}

sub block
{
	my ($kind, $text) = @_;

	return session($text) if $kind eq '';
	return unless $kind eq 'sql';
	$body = $text if $text =~ /CREATE FUNCTION customer_onboarding/;
	my $found = run_sql($text =~ /CREATE (?:EXTENSION|SERVER)/ ? 'postgres' : 'app', here($text));
	unlike($found, qr/^ERROR/, 'the block: ' . ($text =~ /^(.*)/)[0]);
	return;
}

# the deploy error that the page tells of
sub replace_body
{
	my ($how) = @_;
	my ($function) = $body =~ /(CREATE FUNCTION.*?END \$\$;)/s;

	$function =~ s/CREATE FUNCTION/CREATE OR REPLACE FUNCTION/;
	$function =~ s/jsonb_build_object\('to'/jsonb_build_objekt('to'/ if $how eq 'break';
	unlike(run_sql('app', $function), qr/^ERROR/, "the function: $how");
	return;
}

my $page = slurp_file('docs/tutorial.md');

while ($page =~ /^```(\w*)\n(.*?)^```$|^<!-- test: (\w+) -->$/msg)
{
	if   (defined $3) { replace_body($3); }
	else              { block($1, $2); }
}
$node->stop;
done_testing();
