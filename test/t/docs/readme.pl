# README.md: its example can be pasted into psql, and prints what the page shows.
#
# All blocks marked sql go to one session of psql, as if they were pasted.  What
# the last one prints is compared with the block below it; ids, times and the
# widths of columns may differ.

use strict;
use warnings;

use HTTP::Tiny;
use Test::More;
use PostgreSQL::Test::Cluster;
use PostgreSQL::Test::Utils;
use Dataflows;
use Dataflows::Pages;

my $systems = start_systems();
my $node = new_node('readme');
my $page = slurp_file('README.md');
my ($shell) = $page =~ /^```sh\n(.*?)^```$/ms;
my @pasted = $page =~ /^```sql\n(.*?)^```$/msg;
my ($shown) = $page =~ /^```sql\n(?:(?!^```).)*^```\n\n```\n(.*?)^```$/ms;

# the command that has a system refuse requests, said to this test's own system
my ($address, $fault) =
  $shell =~ m{^curl .* 127\.0\.0\.1:(\d+)/_faults(?: \\\n)? +-d '(.*)'$}m;
my %name_of = (8101 => 'identity', 8102 => 'billing');

like($shell, qr{^python3 (\S+) --ports 8101,8102,}m, 'the page starts the systems');
ok(-e ($shell =~ /^python3 (\S+)/m)[0], 'by a program that is there');
ok( HTTP::Tiny->new->post($systems->url($name_of{$address}) . '/_faults', { content => $fault })
		->{success},
	'and tells one to refuse');

s{http://127\.0\.0\.1:(810[12])}{$systems->url($name_of{$1})}ge for @pasted;
is(scalar @pasted, 2, 'there are two blocks to paste');

my ($out, $err);

IPC::Run::run(
	[ 'psql', '-X', '-P', 'footer=off', '-d', $node->connstr('postgres') ],
	'<', \join("\\echo next block\n", @pasted),
	'>', \$out, '2>', \$err);
is($err, '', 'both can be pasted');
is(plain((split /^next block\n/m, $out)[1]), plain($shown), 'and print what the page shows')
	or diag("the page must say:\n$out");

$node->stop;
done_testing();
