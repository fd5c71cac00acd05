# The documentation builds as a site: no broken link or anchor, nothing from other hosts, and a
# search that finds.

use strict;
use warnings;

use File::Basename qw(dirname);
use File::Find;
use IPC::Run ();
use JSON::PP;
use PostgreSQL::Test::Utils;
use Test::More;

plan skip_all => 'mkdocs is not installed' if system('command -v mkdocs >/dev/null 2>&1') != 0;

my $site = PostgreSQL::Test::Utils::tempdir();
my ($out, $err);

ok(IPC::Run::run([ 'docs/site/build.sh', $site ], '>', \$out, '2>', \$err), 'the site is built')
	or diag($out, $err);

my %page;

find(
	{   no_chdir => 1,
		wanted => sub { $page{$_} = slurp_file($_) if /\.html$/ && !/404\.html$/ }
	},
	$site);
cmp_ok(scalar(keys %page), '>', 25, 'with its pages');
ok($page{"$site/index.html"}, 'the first of them is the README');

# the path without . and ..
sub plain
{
	my @parts;

	for my $part (split m{/}, $_[0])
	{
		next if $part eq '.';
		$part eq '..' ? pop @parts : push @parts, $part;
	}
	return join '/', @parts;
}

# a file, or an anchor in a page
sub is_there
{
	my ($page, $link) = @_;
	my ($file, $anchor) = split /#/, $link, 2;
	my $target = $file eq '' ? $page : plain(dirname($page) . "/$file");

	$target .= '/index.html' if -d $target;
	return 0 unless -e $target;
	return 1 if !defined $anchor || $anchor eq '' || $anchor =~ /^__/ || !$page{$target};
	return $page{$target} =~ /\bid="\Q$anchor\E"/;
}

my (@broken, @foreign);

for my $page (sort keys %page)
{
	my %links = map { $_ => 1 } $page{$page} =~ /\bhref="([^"]*)"/g;

	for my $link (sort keys %links)
	{
		next if $link =~ /^(?:https?|mailto):/;
		push @broken, "$page: $link" unless is_there($page, $link);
	}
	push @foreign, "$page: $1"
		while $page{$page} =~ /<(?:script|img|link)[^>]*(?:src|href)="(https?:[^"]*)"/g;
}
is(join("\n", @broken), '', 'no link is broken');
is(join("\n", @foreign), '', 'nothing is fetched from other hosts');

my $index = decode_json(slurp_file("$site/search/search_index.json"));

ok((grep { $_->{location} =~ /guide/ && $_->{text} =~ /idempotency/i } @{ $index->{docs} }),
	'the search knows what the pages say');
done_testing();
