#!/usr/bin/perl
#
# Compares the documents with the source.  docs.sh calls it at the top of a tree
# and says what it is for.
#
# Each check_ function is a kind of difference; they are called at the end.

use strict;
use warnings;

my $offences = 0;

sub offence { my ($file, $what) = @_; print "$file: $what\n"; $offences++; return; }
sub missing { my ($what) = @_; return offence('docs/reference', $what); }

sub slurp
{
	my ($file) = @_;
	open my $in, '<', $file or die "cannot read $file: $!\n";
	local $/;
	return scalar <$in>;
}

# a document without its code blocks
sub prose
{
	my ($file) = @_;
	my $text = slurp($file);
	$text =~ s/^```.*?^```$//msg;
	return $text;
}

my $page = join '', map { slurp($_) } sort glob 'docs/reference/*.md';
my $sql = join "\n", map { slurp($_) } sort glob 'src/sql/*.sql';
$sql =~ s{/\*.*?\*/}{}gs;
$sql =~ s{--[^\n]*}{}g;

# what stands below a heading
sub section
{
	my ($heading) = @_;
	return $page =~ /^(#+) \Q$heading\E\n(.*?)(?=^#{1,3} |\z)/ms ? $2 : '';
}

# ---- functions -------------------------------------------------------------------

# in src/sql: name => arguments, name => result
sub functions_of_source
{
	my (%arguments, %result);

	while (
		$sql =~ m{CREATE\ FUNCTION\ dataflows\.(\w+)\s*\((.*?)\)
			\s*(?:RETURNS\ ((?:SETOF\ )?[\w.]+(?:\ \w+)??|TABLE\ \([^)]*\))\s+LANGUAGE
			|LANGUAGE)\b}gsx)
	{
		my ($name, $list, $type) = ($1, $2, $3);
		next if $name =~ /^_/ or $name eq 'fdw_validator';
		next if !defined $type or $type eq 'event_trigger';
		($arguments{$name}, $result{$name}) = ($list, $type =~ s/\s+/ /gr);
	}
	die "no functions found in src/sql\n" unless %arguments;
	return (\%arguments, \%result);
}

# on the pages: "dataflows.name(arguments) RETURNS type" below "## `name`"
sub functions_of_pages
{
	my %told;

	while ($page =~ /^#{2,3} `[^\n]*\n(.*?)(?=^#{1,3} |\z)/msg)
	{
		my $text = $1;

		while ($text =~ /^dataflows\.(\w+)\(([^()]*)\) RETURNS (.*)$/mg)
		{
			$told{$1} = { arguments => $2, result => $3, text => $text };
		}
	}
	return \%told;
}

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
	my ($name, $text, @arguments) = @_;

	missing("function $name(): its errors are missing") unless $text =~ /\*\*Errors:\*\*\s/;
	for my $argument (map { /^(?:VARIADIC )?(\w+)/ } @arguments)
	{
		missing("function $name(): argument \"$argument\" is not explained")
		  unless $text =~ /^\| [^|]*`$argument`[^|]*\|/m;
	}
	return;
}

# all as the source has it; $http are the arguments of http(), which some only begin to list
sub check_function
{
	my ($name, $told, $result, $http, @wanted) = @_;
	my $given = $told->{arguments};
	my @explained = @wanted;

	missing("function $name() returns $result, not $told->{result}")
	  if $told->{result} ne $result;
	# a trigger's arguments are not in its signature
	return check_explained($name, $told->{text}) if $given =~ /^'/;
	if ($given =~ s/, \.\.\.$//)
	{
		my $all = join ', ', grep { !/^method / } arguments_of($http);

		missing("function $name() differs from http()") unless join(', ', @wanted) eq $all;
		@wanted = @wanted[ 0 .. arguments_of($given) - 1 ];
		@explained = ();
	}
	check_explained($name, $told->{text}, @explained);
	$given = join ', ', arguments_of($given);
	my $wanted = join ', ', @wanted;
	missing("function $name(): its arguments are ($wanted), not ($given)") if $given ne $wanted;
	return;
}

sub check_functions
{
	my ($arguments, $result) = functions_of_source();
	my $told = functions_of_pages();

	for my $name (sort keys %$arguments)
	{
		if (!$told->{$name}) { missing("function $name() is missing"); next; }
		check_function(
			$name, $told->{$name}, $result->{$name}, $arguments->{http},
			arguments_of($arguments->{$name}));
	}
	missing("there is no function $_()") for grep { !exists $arguments->{$_} } sort keys %$told;
	check_index(keys %$arguments);
	return;
}

# the index leads to each
sub check_index
{
	my (@names) = @_;
	my $index = slurp('docs/reference/README.md');

	for my $name (sort @names)
	{
		missing("the index has no link to $name") unless $index =~ /\[`$name`\]\(/;
	}
	return;
}

# ---- views -----------------------------------------------------------------------

# what COMMENT ON COLUMN says of each column
sub comments_of
{
	my ($view) = @_;
	my %said =
	  $sql =~ /COMMENT ON COLUMN dataflows\.\Q$view\E\."?(\w+)"? IS\s+((?:'(?:[^']|'')*'\s*)+);/g;

	for my $text (values %said)
	{
		$text =~ s/'\s*\n\s*'//g;
		$text =~ s/^'|'\s*$//g;
		$text =~ s/''/'/g;
	}
	return %said;
}

sub check_views
{
	my $views_page = slurp('docs/reference/views.md');
	my %views = map { $_ => 1 } $sql =~ /CREATE VIEW dataflows\.(\w+)/g;

	for my $view (sort keys %views)
	{
		my $text = $views_page =~ /^## `$view`\n(.*?)(?=^## |\z)/ms ? $1 : '';
		my %wanted = comments_of($view);
		my %given = $text =~ /^\| `(\w+)` \| .*? \| (.*) \|$/mg;

		if ($text eq '') { missing("view $view is missing"); next; }
		missing("view $view: column \"$_\" is missing") for grep { !$given{$_} } sort keys %wanted;
		missing("view $view: there is no column \"$_\"")
		  for grep { !$wanted{$_} } sort keys %given;
		for my $column (grep { $wanted{$_} && $given{$_} } sort keys %wanted)
		{
			my $told = $given{$column} =~ s/`|\\(?=\|)//gr;

			missing("view $view: the comment on $column is: $wanted{$column}")
			  if $told ne $wanted{$column};
		}
	}
	missing("there is no view $_") for grep { !$views{$_} } $views_page =~ /^## `(\w+)`$/mg;
	check_index(keys %views);

	my ($out) = $sql =~ /CREATE FUNCTION dataflows\.status\((.*?)\) RETURNS/s;
	my $status = section('`status`');
	for my $column (defined $out ? $out =~ /OUT (\w+)/g : ())
	{
		missing("status(): column \"$column\" is missing") unless $status =~ /`$column`/;
	}
	return;
}

# ---- numbers with units ------------------------------------------------------------

my %size = (
	ms => 1, s => 1000, min => 60_000, h => 3_600_000, d => 86_400_000,
	B => 1, kB => 1024, MB => 1024**2);
my $units = join '|', sort { length $b <=> length $a } keys %size;

# in milliseconds or bytes, or as it is
sub base
{
	my ($text) = @_;
	return $text =~ /^(-?\d+) ?($units)$/ ? $1 * $size{$2} : $text;
}

# what a C expression of numbers and of these names comes to
sub value_of
{
	my ($expression, %names) = @_;
	$expression =~ s/\(\w+\) //g;
	$expression =~ s/\b([A-Z_]+)\b/exists $names{$1} ? "($names{$1})" : die "unknown $1\n"/ge;
	die "cannot compute $expression\n" if $expression =~ /[^0-9+*\/(). -]/;
	return eval $expression;
}

# "1ms to 1d" must be said, and as in the source; a range that is open above need not be
sub check_range
{
	my ($what, $text, $low, $high) = @_;
	my @given = $text =~ /(-?\d+ ?(?:$units)?) to (\d+ ?(?:$units)?)(?!\w)/;
	my $wanted = "$low to " . ($high // 'any');

	if (@given == 0)
	{
		missing("$what: its range is missing, $wanted") if defined $high;
		return;
	}
	@given = map { base($_) } @given;
	missing("$what: the range is $wanted, not $given[0] to $given[1]")
	  if $given[0] != $low || (defined $high && $given[1] != $high);
	return;
}

# ---- settings -----------------------------------------------------------------------

my %context =
  (SIGHUP => 'sighup', SUSET => 'superuser', POSTMASTER => 'postmaster', USERSET => 'user');

# in src/guc.c: name => [default, context, lowest, highest]
sub settings_of_source
{
	my $guc = slurp('src/guc.c');
	my %number = $guc =~ /^#define (\w+) ([0-9]+)$/mg;
	my %initial = $guc =~ /^(?:int|bool|char|double)\s+\*?(\w+) = (.*?);/mg;
	my %unit = (GUC_UNIT_MS => 1, GUC_UNIT_S => 1000, GUC_UNIT_BYTE => 1, 0 => 1);
	my %on = (true => 'on', false => 'off');
	my %settings;
	my $bound = sub {
		my ($text, $unit) = @_;
		return $text eq 'INT_MAX' ? undef : value_of($text, %number) * $unit;
	};

	# how the lines are broken says nothing
	$guc =~ s/"\s*\n\s*"//g;
	$guc =~ s/\s+/ /g;
	$guc =~ s/\( /(/g;
	while ($guc =~ /\{"(dataflows\.\w+)",.*?&(\w+), ([^,]*), ([^,]*), PGC_(\w+), (\w+)\}/gs)
	{
		my ($name, $variable, $low, $high, $when, $unit) = ($1, $2, $3, $4, $5, $unit{$6});

		$settings{$name} = [
			value_of($initial{$variable}, %number) * $unit,
			$context{$when}, $bound->($low, $unit), $bound->($high, $unit) ];
	}
	# the table of texts: all of them are empty by default and SIGHUP
	$settings{$1} = [ "''", 'sighup' ] while $guc =~ /\{"(dataflows\.\w+)",[^{}]*?&\w+\}/gs;
	while ($guc =~ /DefineCustom(\w+)Variable\( ?"(dataflows\.\w+)",.*?&(\w+), (.*?);/gs)
	{
		my ($type, $name, $variable, $rest) = ($1, $2, $3, $4);
		my $start = $type eq 'String' ? "''" : $on{ $initial{$variable} } // $initial{$variable};

		$settings{$name} = [ $start, $rest =~ /PGC_(\w+)/ ? $context{$1} : 'postmaster' ];
		push @{ $settings{$name} }, $bound->($1, 1), $bound->($2, 1)
		  if $type eq 'Int' && $rest =~ /^\w+, ([^,]*), ([^,]*),/;
	}
	die "no settings found in src/guc.c\n" unless keys %settings > 5;
	return \%settings;
}

sub check_settings
{
	my $settings = settings_of_source();
	my %told;

	for my $line (split /\n/, section('Settings'))
	{
		$told{$1} = [ $2, $3, $4 ] if $line =~ /^\| `(dataflows\.\w+)` \| (.*?) \| (\w+) \| (.*)/;
	}
	for my $name (sort keys %$settings)
	{
		my ($default, $context, $low, $high) = @{ $settings->{$name} };

		if (!$told{$name}) { missing("setting $name is missing"); next; }
		my ($given, $when, $text) = @{ $told{$name} };
		missing("setting $name: the default is $default, not $given") if base($given) ne $default;
		missing("setting $name: the context is $context, not $when") if $when ne $context;
		check_range("setting $name", $text, $low, $high) if defined $low;
	}
	missing("there is no setting $_") for grep { !$settings->{$_} } sort keys %told;
	return;
}

# ---- options of systems ----------------------------------------------------------------

my %section = (SERVER => section('SERVER'), MAPPING => section('USER MAPPING'));

# one row of the table of SERVER: its range, its default, and that of mail servers
sub check_option
{
	my ($name, $low, $high, $preset, $for_mail) = @_;
	my ($given, $text) = $section{SERVER} =~ /^\| `\Q$name\E` \| (.*?) \| (.*)/m;
	my ($mail) = $page =~ /^For a mail server, (.*?)(?:;|unless)/ms;

	check_range("option $name", $text, $low, $high);
	missing("option $name: for a mail server it is $for_mail, which the page does not say")
	  if defined $for_mail && !grep { base($_) eq $for_mail } $mail =~ /`$name`.*? (\d+\w+)/s;
	return if $preset eq '0' and $given =~ /^`dataflows\.\w+`$/;    # unset: as the setting says
	missing("option $name: the default is $preset, not $given") if base($given) ne $preset;
	return;
}

sub check_options
{
	my $options = slurp('src/fdw/options.c');
	my %number = (SECOND => 1000, MINUTE => 60_000, HOUR => 3_600_000, DAY => 86_400_000);
	my %known = map { $_ => 1 } 'header.Name', $options =~ /\{FAMILY\("([\w.]+)"/g;

	%number = (%number, $options =~ /^#define (LONGEST_\w+) \(([0-9. *+-]+)\)$/mg);
	$options =~ s/\s+/ /g;
	# SERVER("name", KIND, field, lowest, highest, preset, the same for mail servers)
	while (
		$options =~ m{\{(SERVER|MAPPING)(?:_[A-Z_]+)?\("(\w+)",\ (\w+),\ [\w.]+
			(?:,\ ([^,]*),\ ([^,]*),\ ([^,)]*)(?:,\ ([^)]*))?)?\)}gx)
	{
		my ($object, $name, $kind, @numbers) = ($1, $2, $3, grep { defined } $4, $5, $6, $7);

		$known{$name} = 1;
		if ($section{$object} !~ /^\|[^|]*`\Q$name\E`[^|]*\|/m)
		{
			missing("option $name of $object is missing");
			next;
		}
		check_option($name, map { value_of($_, %number) } @numbers)
		  if $object eq 'SERVER' and $kind =~ /_(MS|LONG_MS|INT|BYTES)$/;
	}
	die "no options found in src/fdw/options.c\n" unless keys %known > 5;
	for my $cell (map { /^\| (`[^|]*`) \|/mg } values %section)
	{
		missing("there is no option $_") for grep { !$known{$_} } $cell =~ /`([\w.]+)`/g;
	}
	return;
}

# ---- states and errors -------------------------------------------------------------------

sub check_states
{
	my $states = slurp('docs/reference/states.md');

	for my $file ('src/flow/run_state.c', 'src/flow/step_state.c')
	{
		for my $array (slurp($file) =~ /\b(?:state|undo)_names\[\] = \{(.*?)\};/gs)
		{
			missing("state $_ is missing") for grep { $states !~ /`$_`/ } $array =~ /"(\w+)"/g;
		}
	}
	return;
}

sub check_sqlstates
{
	my $errors = section('Errors');

	for my $code (slurp('src/types/base.h') =~ /MAKE_SQLSTATE\((.*?)\)/g)
	{
		$code =~ s/[', ]//g;
		missing("SQLSTATE $code is missing") unless $errors =~ /^\| $code \|/m;
	}
	return;
}

# ---- links between documents --------------------------------------------------------------

# the anchors that a document has: its headings as GitHub and GitLab name them
sub anchors_of
{
	my ($file) = @_;
	my (%anchors, %seen);
	my $text = prose($file);

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
	my $text = prose($file);

	$text =~ s/`[^`\n]*`//g;
	for my $link ($text =~ /\]\(([^)\s]+)\)/g)
	{
		next if $link =~ /^[a-z]+:/;
		my ($path, $anchor) = split /#/, $link, 2;
		my $target = $path eq '' ? $file : ($folder // '') . $path;

		1 while $target =~ s{(^|/)(?!\.\.?/)[^/]+/\.\./}{$1};
		if (!-e $target) { offence($file, "there is no $link"); next; }
		next if !defined $anchor;
		if (!-f $target) { offence($file, "$link: a folder has no headings"); next; }
		$anchors{$target} //= anchors_of($target);
		offence($file, "$link: no such heading") unless $anchors{$target}{$anchor};
	}
	return;
}

check_functions();
check_views();
check_settings();
check_options();
check_states();
check_sqlstates();
check_links($_)
  for glob '*.md {docs,bench,examples}/*.md {docs,examples,test}/*/*.md test/*/*/*.md';

exit($offences == 0 ? 0 : 1);
