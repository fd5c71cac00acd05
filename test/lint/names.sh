#!/bin/bash
#
# Documents and comments name only what exists: files, tests, and the project's own
# symbols.  README.md beside this file has the reasons; selftest.sh shows that each rule
# fires.
#
#   test/lint/names.sh [tree]     prints "file:line: rule: what is wrong" for each
#                                 offence; exit status 1 if there is any
#   test/lint/names.sh --rules    prints the names of the rules

set -uo pipefail
here=$(cd "$(dirname "$0")" && pwd)
RULES='name-of-file name-of-symbol name-of-function name-in-file'
. "$here/common.bash"

mkdir -p "$views/text" "$views/code"
c_files | make_views c || exit 2
files >"$views/files"

perl -CSD -e '
	use strict;
	use warnings;
	my ($views, $headers) = @ARGV;
	my (%file, %symbol, %word, %words_of, %in_headers);

	sub lines_of
	{
		my ($name) = @_;
		open(my $in, "<", $name) or die "$name: $!";
		return <$in>;
	}

	chomp(my @files = lines_of("$views/files"));
	for my $name (@files)
	{
		# a file is known by its path and by each end of it: worker/turn.c, turn.c
		my $end = $name;
		do { push @{ $file{$end} }, $name } while ($end =~ s{^[^/]+/}{});
	}

	# where a symbol is that is more than spoken of: code of C, all of anything else
	for my $name (grep { !/\.(md|out)$|^LICENSE$/ && -T $_ } @files)
	{
		my $view = -e "$views/text/$name" ? "$views/text/$name" : $name;
		for my $line (lines_of($view))
		{
			$symbol{$1} = 1 while $line =~ /\b((?:df|DF|Df)\w*)/g;
			next if $name !~ /^src/;
			$word{$1} = $words_of{$name}{$1} = 1 while $line =~ /(\w+)/g;
		}
	}

	my $extension = qr/(?:c|h|sql|pl|pm|sh|py|spec|js)/;

	sub offend { my ($where, $rule, $what) = @_; print "$where: $rule: $what\n"; return; }

	# a function of PostgreSQL that we do not call may be spoken of, too
	sub is_in_headers
	{
		my ($name) = @_;
		return $in_headers{$name} //=
			$headers eq "" || system("grep", "-rqw", "--", $name, $headers) == 0;
	}

	# what a piece of prose names
	sub check
	{
		my ($where, $prose, $room) = @_;
		while ($prose =~ m{(?<![\w./*<\$-])((?:[\w-]+/)*[\w-]+\.$extension)\b(?![\w/*(])}g)
		{
			my $name = $1;
			next if $name =~ /^\W/ || $name =~ m{--}   # an ending, a version
			  || $name =~ /^(?:postgres|libpq-fe|spi|guc_tables|postmaster|bgworker)\.[ch]$/;
			offend($where, "name-of-file", "there is no file $name") unless $file{$name};
		}
		while ($prose =~ /(?<![\w.])((?:df|DF)_\w*[A-Za-z0-9]|Df[A-Z]\w*)\b(?!\*)/g)
		{
			offend($where, "name-of-symbol", "there is no $1") unless $symbol{$1};
		}
		return;
	}

	for my $name (@files)
	{
		if ($name =~ /\.md$/)
		{
			my $n = 0;
			for my $line (lines_of($name))
			{
				$n++;
				while ($line =~ /`([^`]+)`/g) { check("$name:$n", $1); }
				# `worker/turn.c` (`df_depart` after commit, `take_back`)
				while ($line =~ /`([\w\/]+\.c)` \(([^()]*)\)/g)
				{
					my ($home, $inside) = ($1, $2);
					my @homes = map { ($_, s/\.c$/.h/r) } @{ $file{$home} // [] };
					while ($inside =~ /`(\w+)`/g)
					{
						my $symbol = $1;
						offend("$name:$n", "name-in-file", "$symbol is not in $home")
							if @homes && !grep { $words_of{$_}{$symbol} } @homes;
					}
				}
			}
		}
		elsif ($name =~ /\.[ch]$/ && -e "$views/text/$name")
		{
			my @text = lines_of("$views/text/$name");
			my $n = 0;
			for my $line (lines_of($name))
			{
				# what the view without comments lacks is a comment
				my $comment = $line;
				my $kept = $text[ $n++ ];
				if ($kept =~ /\S/)
				{
					my $code = $kept =~ s/\s+$//r;
					$comment = index($line, $code) == 0 ? substr($line, length $code) : "";
				}
				check("$name:$n", $comment) if $comment =~ /\S/;
				while ($comment =~ /(?<![\w.])([A-Za-z_]\w+)\(\)/g)
				{
					offend("$name:$n", "name-of-function", "there is no function $1()")
						unless $word{$1} || is_in_headers($1);
				}
			}
		}
	}' "$views" "$("${PG_CONFIG:-pg_config}" --includedir-server 2>/dev/null)" >>"$offences"
tell_offences
