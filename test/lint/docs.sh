#!/bin/bash
#
# The pages of docs/reference name what the source has, no more and no less, with
# the source's defaults and ranges.
#
#   test/lint/docs.sh [tree]      a line for each thing that is missing or
#                                 differs; exit status 1 if there is any
#
# Functions with their arguments and results, views with their columns, options,
# settings, states and SQLSTATEs are read from src; names that begin with "_" and
# the wrapper's validator are not for users.  Each argument must be explained, and
# each function say its errors.  Links in all documents lead to a file and a
# heading that are there, and the files and names of the source that they tell of
# are there, too.

set -euo pipefail
self=$(cd "$(dirname "$0")" && pwd)/$(basename "$0")
cd "${1:-$(dirname "$0")/../..}"
[ -e docs/reference/README.md ] || { echo "there is no docs/reference"; exit 1; }

exec perl -x "$self"
#!perl
use strict;
use warnings;

my $offences = 0;

sub offence { print "docs/reference: @_\n"; $offences++; }

sub offence_in { my ($file, $what) = @_; print "$file: $what\n"; $offences++; return; }

sub slurp
{
	my ($file) = @_;
	open my $in, '<', $file or die "cannot read $file: $!\n";
	local $/;
	return scalar <$in>;
}

my $page = join '', map { slurp($_) } sort glob 'docs/reference/*.md';
my $sql = join "\n", map { slurp($_) } sort glob 'src/sql/*.sql';
$sql =~ s{/\*.*?\*/}{}gs;
$sql =~ s{--[^\n]*}{}g;

# sections by heading: "## Settings" or "### `name(...)`, `name(...)`"
sub section
{
	my ($heading) = @_;
	return $page =~ /^(#+) \Q$heading\E\n(.*?)(?=^#{1,3} |\z)/ms ? $2 : '';
}

# ---- functions --------------------------------------------------------------

# what a page writes below "## `name`": dataflows.name(arguments) RETURNS type
my (%documented, %result, %below);
while ($page =~ /^#{2,3} `[^\n]*\n(.*?)(?=^#{1,3} |\z)/msg)
{
	my $text = $1;

	while ($text =~ /^dataflows\.(\w+)\(([^()]*)\) RETURNS (.*)$/mg)
	{
		($documented{$1}, $result{$1}, $below{$1}) = ($2, $3, $text);
	}
}

my (%functions, %returned);
while ($sql =~ /CREATE FUNCTION dataflows\.(\w+)\s*\((.*?)\)\s*(?:RETURNS (\w+(?: \w+)??)\s+LANGUAGE|LANGUAGE)\b/gs)
{
	my ($name, $arguments, $result) = ($1, $2, $3);
	next if $name =~ /^_/ or $name eq 'fdw_validator' or !defined $result or $result eq 'event_trigger';
	($functions{$name}, $returned{$name}) = ($arguments, $result);
}
die "no functions found in src/sql\n" unless %functions;

# name, type and default of each argument, as one would write them
sub arguments_of
{
	my ($list) = @_;
	$list =~ s/\s+/ /g;
	$list =~ s/^ | $//g;
	return grep { !/^OUT / } split /, ?(?![^(]*\))/, $list;
}

# the text below a function's heading explains each argument, and its errors
sub check_explained
{
	my ($name, @arguments) = @_;

	offence("function $name() returns $returned{$name}, not $result{$name}") if $result{$name} ne $returned{$name};
	offence("function $name(): its errors are missing") unless $below{$name} =~ /\*\*Errors:\*\*\s/;
	for my $argument (map { /^(?:VARIADIC )?(\w+)/ } @arguments)
	{
		offence("function $name(): argument \"$argument\" is not explained") unless $below{$name} =~ /^\| [^|]*`$argument`[^|]*\|/m;
	}
	return;
}

for my $name (sort keys %functions)
{
	if (!exists $documented{$name}) { offence("function $name() is missing"); next; }
	my @wanted = arguments_of($functions{$name});
	if ($documented{$name} =~ /^'/) { check_explained($name); next; }    # a trigger's arguments
	if ($documented{$name} =~ s/, \.\.\.$//)
	{
		# the others are those of http(), which has the method besides
		my @all = grep { !/^method / } arguments_of($functions{http});
		offence("function $name() differs from http()") unless "@wanted" eq "@all";
		@wanted = @wanted[ 0 .. arguments_of($documented{$name}) - 1 ];
		check_explained($name);
	}
	else { check_explained($name, @wanted); }
	my $given = join ', ', arguments_of($documented{$name});
	my $wanted = join ', ', @wanted;
	offence("function $name(): its arguments are ($wanted), not ($given)") unless $given eq $wanted;
}
offence("there is no function $_()") for grep { !exists $functions{$_} } sort keys %documented;

# ---- views --------------------------------------------------------------------

my %views = map { $_ => 1 } $sql =~ /CREATE VIEW dataflows\.(\w+)/g;
for my $view (sort keys %views)
{
	my $section = section("`$view`");
	if ($section eq '') { offence("view $view is missing"); next; }
	my %wanted = map { $_ => 1 } $sql =~ /COMMENT ON COLUMN dataflows\.\Q$view\E\.(\w+)/g;
	my %given = map { $_ => 1 } $section =~ /^\| `(\w+)` \|/mg;
	offence("view $view: column \"$_\" is missing") for grep { !$given{$_} } sort keys %wanted;
	offence("view $view: there is no column \"$_\"") for grep { !$wanted{$_} } sort keys %given;
}
offence("there is no view $_") for grep { !$views{$_} } slurp('docs/reference/views.md') =~ /^## `(\w+)`$/mg;

my ($out) = $sql =~ /CREATE FUNCTION dataflows\.status\((.*?)\) RETURNS/s;
my $status = section('`status`');
for my $column (defined $out ? $out =~ /OUT (\w+)/g : ())
{
	offence("status(): column \"$column\" is missing") unless $status =~ /`$column`/;
}

# the index leads to all of them
my $index = slurp('docs/reference/README.md');
for my $name (sort(keys %functions, keys %views))
{
	offence("the index has no link to $name") unless $index =~ /\[`$name`\]\(/;
}

# ---- settings -------------------------------------------------------------------

my %size = (ms => 1, s => 1000, min => 60_000, h => 3_600_000, d => 86_400_000, B => 1, kB => 1024, MB => 1024**2, '' => 1);

# a default as it is written, in milliseconds, bytes or as it is
sub base
{
	my ($text) = @_;
	return $text =~ /^(-?\d+) ?(ms|s|min|h|d|B|kB|MB)$/ ? $1 * $size{$2} : $text;
}

sub value_of
{
	my ($expression, %names) = @_;
	$expression =~ s/\(\w+\) //g;
	$expression =~ s/\b([A-Z_]+)\b/exists $names{$1} ? "($names{$1})" : die "unknown $1\n"/ge;
	die "cannot compute $expression\n" if $expression =~ /[^0-9+*\/(). -]/;
	return eval $expression;
}

# "1ms to 1d" in a text, each end as base() has it; none = ()
sub range_in
{
	my ($text) = @_;
	return $text =~ /(-?\d+ ?(?:ms|s|min|h|d|B|kB|MB)?) to (\d+ ?(?:ms|s|min|h|d|B|kB|MB)?)(?!\w)/ ? (base_of_number($1), base_of_number($2)) : ();
}

sub base_of_number { my ($text) = @_; return $text =~ /^-?\d+$/ ? $text : base($text); }

# a range must be told, and be the source's; one that is open above need not be
sub check_range
{
	my ($what, $text, $low, $high) = @_;
	my @given = range_in($text);
	my $wanted = "$low to " . ($high // 'any');

	if (@given == 0) { offence("$what: its range is missing, $wanted") if defined $high; return; }
	offence("$what: the range is $wanted, not $given[0] to $given[1]")
	  if $given[0] != $low || (defined $high && $given[1] != $high);
}

my $guc = slurp('src/guc.c');
my %names = $guc =~ /^#define (\w+) ([0-9]+)$/mg;
my %initial = $guc =~ /^(?:int|bool|char)\s+\*?(\w+) = (.*?);/mg;
# how the lines are broken says nothing
$guc =~ s/"\s*\n\s*"//g;
$guc =~ s/\s+/ /g;
$guc =~ s/\( /(/g;
my %rows = map { /^\| `(dataflows\.\w+)` \| (.*?) \| (\w+) \| (.*)/ ? ($1 => [ $2, $3, $4 ]) : () } split /\n/, section('Settings');
my %settings;
my %unit = (GUC_UNIT_MS => 1, GUC_UNIT_S => 1000, GUC_UNIT_BYTE => 1, 0 => 1);
my %context = (SIGHUP => 'sighup', SUSET => 'superuser', POSTMASTER => 'postmaster', USERSET => 'user');

my %ranges;
sub bound { my ($text, $unit) = @_; return $text eq 'INT_MAX' ? undef : value_of($text, %names) * $unit; }

while ($guc =~ /\{"(dataflows\.\w+)",.*?&(\w+), ([^,]*), ([^,]*), PGC_(\w+), (\w+)\}/gs)
{
	my ($name, $variable, $low, $high, $when, $unit) = ($1, $2, $3, $4, $5, $unit{$6});

	$settings{$name} = [ value_of($initial{$variable}, %names) * $unit, $context{$when} ];
	$ranges{$name} = [ bound($low, $unit), bound($high, $unit) ];
}
# the table of texts: all of them are empty by default and SIGHUP
while ($guc =~ /\{"(dataflows\.\w+)",[^{}]*?&\w+\}/gs)
{
	$settings{$1} = [ "''", 'sighup' ];
}
while ($guc =~ /DefineCustom(Bool|Int|String)Variable\("(dataflows\.\w+)",.*?&(\w+), (.*?);/gs)
{
	my ($type, $name, $variable, $rest) = ($1, $2, $3, $4);
	my $default = $type eq 'String' ? "''" : $initial{$variable} eq 'true' ? 'on' : $initial{$variable} eq 'false' ? 'off' : $initial{$variable};

	$settings{$name} = [ $default, $rest =~ /PGC_(\w+)/ ? $context{$1} : 'postmaster' ];
	$ranges{$name} = [ bound($1, 1), bound($2, 1) ] if $type eq 'Int' && $rest =~ /^\w+, ([^,]*), ([^,]*),/;
}
die "no settings found in src/guc.c\n" unless keys %settings > 5;
for my $name (sort keys %settings)
{
	my ($default, $context) = @{ $settings{$name} };
	if (!$rows{$name}) { offence("setting $name is missing"); next; }
	offence("setting $name: the default is $default, not $rows{$name}[0]") unless base($rows{$name}[0]) eq $default;
	offence("setting $name: the context is $context, not $rows{$name}[1]") unless $rows{$name}[1] eq $context;
	check_range("setting $name", $rows{$name}[2], @{ $ranges{$name} }) if $ranges{$name};
}
offence("there is no setting $_") for grep { !$settings{$_} } sort keys %rows;

# ---- options ----------------------------------------------------------------------

my $options = slurp('src/fdw/options.c');
my %numbers = (SECOND => 1000, MINUTE => 60_000, HOUR => 3_600_000, DAY => 86_400_000);
my %known = ('header.Name' => 1);
my ($mail) = $page =~ /^For a mail server, (.*?)(?:;|unless)/ms;
my %sections = (SERVER => section('SERVER'), MAPPING => section('USER MAPPING'));

%numbers = (%numbers, $options =~ /^#define (LONGEST_\w+) \(([0-9. *+-]+)\)$/mg);
$options =~ s/\s+/ /g;
while ($options =~ /\{(SERVER|MAPPING)(?:_[A-Z_]+)?\("(\w+)", (\w+), [\w.]+(?:, ([^,]*), ([^,]*), ([^,)]*)(?:, ([^)]*))?)?\)/g)
{
	my ($object, $name, $kind, $low, $high, $preset, $for_mail) = ($1, $2, $3, $4, $5, $6, $7);

	$known{$name} = 1;
	if ($sections{$object} !~ /^\|[^|]*`\Q$name\E`[^|]*\|/m) { offence("option $name of $object is missing"); next; }
	next unless $object eq 'SERVER' and $kind =~ /_(MS|LONG_MS|INT|BYTES)$/;
	my ($given, $text) = $sections{$object} =~ /^\| `\Q$name\E` \| (.*?) \| (.*)/m;
	check_range("option $name", $text, value_of($low, %numbers), value_of($high, %numbers));
	my $wanted = value_of($preset, %numbers);
	offence("option $name: for a mail server it is $for_mail, which $mail does not say")
	  if defined $for_mail && !grep { base($_) eq value_of($for_mail, %numbers) } $mail =~ /`$name`.*? (\d+\w+)/;
	next if $wanted eq '0' and $given =~ /^`dataflows\.\w+`$/;    # unset: as the setting says
	offence("option $name: the default is $wanted, not $given") unless base($given) eq $wanted;
}
die "no options found in src/fdw/options.c\n" unless keys %known > 5;
for my $section (values %sections)
{
	for my $cell ($section =~ /^\| (`[^|]*`) \|/mg)
	{
		for my $name ($cell =~ /`([\w.]+)`/g) { offence("there is no option $name") unless $known{$name}; }
	}
}

# ---- states and errors ----------------------------------------------------------------

my $states = slurp('docs/reference/states.md');
for my $file ('src/flow/run_state.c', 'src/flow/step_state.c')
{
	for my $array (slurp($file) =~ /\b(?:state|undo)_names\[\] = \{(.*?)\};/gs)
	{
		for my $state ($array =~ /"(\w+)"/g) { offence("state $state is missing") unless $states =~ /`$state`/; }
	}
}
my $errors = section('Errors');
for my $code (slurp('src/types/base.h') =~ /MAKE_SQLSTATE\((.*?)\)/g)
{
	$code =~ s/[', ]//g;
	offence("SQLSTATE $code is missing") unless $errors =~ /^\| $code \|/m;
}

# ---- links between documents -------------------------------------------------------------

# the anchors that a page has: its headings as GitHub and GitLab name them
sub anchors_of
{
	my ($file) = @_;
	my (%anchors, %seen);
	my $text = slurp($file);

	$text =~ s/^```.*?^```$//msg;
	while ($text =~ /^#{1,6} +(.*?) *$/mg)
	{
		my $anchor = lc $1;

		$anchor =~ s/\[([^\]]*)\]\([^)]*\)/$1/g;
		$anchor =~ s/[^\w\- ]//g;
		$anchor =~ s/ /-/g;
		my $again = $seen{$anchor}++;
		$anchors{ $again ? "$anchor-$again" : $anchor } = 1;
	}
	return \%anchors;
}

my %anchors;

# a link leads to a file of the tree, and to a heading that it has
sub check_links
{
	my ($file) = @_;
	my ($folder) = $file =~ m{^(.*/)};
	my $text = slurp($file);

	$text =~ s/^```.*?^```$//msg;
	$text =~ s/`[^`\n]*`//g;
	for my $link ($text =~ /\]\(([^)\s]+)\)/g)
	{
		next if $link =~ /^[a-z]+:/;
		my ($path, $anchor) = split /#/, $link, 2;
		my $target = $path eq '' ? $file : ($folder // '') . $path;

		1 while $target =~ s{(^|/)(?!\.\.?/)[^/]+/\.\./}{$1};
		if (!-e $target) { offence_in($file, "there is no $link"); next; }
		next if !defined $anchor;
		if (!-f $target) { offence_in($file, "$link: a folder has no headings"); next; }
		$anchors{$target} //= anchors_of($target);
		offence_in($file, "$link: no such heading") unless $anchors{$target}{$anchor};
	}
	return;
}

check_links($_) for glob '*.md docs/*.md docs/*/*.md bench/*.md examples/*.md examples/*/*.md test/*/*.md test/*/*/*.md';

# ---- files and names of the source that documents tell of ------------------------------------

my $source = join '', map { slurp($_) } glob 'src/*.[ch] src/*/*.[ch] src/sql/*.sql';
my %word = map { $_ => 1 } $source =~ /\b(df_\w+)/g;

# `folder/file.c`, below the top, src or test; `df_name`; and names beside a file
sub check_names
{
	my ($file) = @_;
	my $text = slurp($file);

	$text =~ s/^```.*?^```$//msg;
	for my $name ($text =~ /`([\w.-]+(?:\/[\w.*-]+)+\.(?:c|h|pl|pm|sql|sh|py|spec))`/g)
	{
		next if $name =~ /^pg_stat_tmp|NN_topic|<|\.\./;
		offence_in($file, "there is no file $name") unless grep { -e } map { glob "$_$name" } '', 'src/', 'test/';
	}
	for my $name ($text =~ /`(df_\w+)(?:\(\))?`/g)
	{
		offence_in($file, "src has no $name") unless $word{$name};
	}
	# `worker/turn.c` (`take_back`): a name in that file
	while ($text =~ /`([\w\/]+\.[ch])`\s+\(([^()]*`[^()]*)\)/g)
	{
		my ($path, $names) = ($1, $2);

		next unless -e "src/$path";
		my $code = slurp("src/$path");
		for my $name ($names =~ /`([a-z_]\w*)`/g)
		{
			offence_in($file, "$path has no $name") unless $code =~ /\b\Q$name\E\b/;
		}
	}
	return;
}

check_names($_) for glob '*.md docs/*.md docs/*/*.md test/lint/*.md';

exit($offences == 0 ? 0 : 1);
