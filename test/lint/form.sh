#!/bin/bash
#
# How files are laid out and named: by clang-format, in lines of at most 100 columns, no
# name twice.  README.md beside this file has the reasons; selftest.sh shows that each rule fires.
#
#   test/lint/form.sh [tree]     prints "file:line: rule: what is wrong" for each
#                                offence; exit status 1 if there is any
#   test/lint/form.sh --rules    prints the names of the rules

set -uo pipefail
here=$(cd "$(dirname "$0")" && pwd)
RULES='clang-format line-width same-name'
. "$here/common.bash"

# The version that .clang-format is written for; others break the same lines elsewhere.
CLANG_FORMAT=14

# What nobody lays out: it is frozen, or a program writes it.
WRITTEN_OTHERWISE='^src/sql/upgrade/dataflows--0\.1\.sql$|^test/fixtures/|^dataflows--.*\.sql$'
WRITTEN_OTHERWISE+='|^src/ingress/page_files\.c$'

wide_files()
{
	files | grep -E '\.(c|h|sql|spec|pl|pm|sh|bash|py)$|^test/unit/(run|build)$|^\.ci/run$' |
		grep -vE "$WRITTEN_OTHERWISE"
}

# the program of the right version, nothing if there is only another one
clang_format()
{
	local program

	for program in "clang-format-$CLANG_FORMAT" clang-format; do
		if "$program" --version 2>/dev/null | grep -q "version $CLANG_FORMAT\\."; then
			echo "$program"
			return
		fi
	done
	return 1
}

rule_clang_format()
{
	local program

	if ! program=$(clang_format); then
		if command -v clang-format >/dev/null; then
			echo "clang-format: skipped, $(clang-format --version) is not version $CLANG_FORMAT" >&2
		else
			echo "test/lint/form.sh:1: clang-format: the program is not installed" >>"$offences"
		fi
		return
	fi
	c_files | grep -vE "$WRITTEN_OTHERWISE" | tr '\n' '\0' |
		xargs -0 -r "$program" --dry-run 2>&1 |
		sed -nE 's/^([^ :]+:[0-9]+):[0-9]+: (warning|error): .*/\1: clang-format: run it, -i/p' |
		sort -u >>"$offences"
}

# Columns are characters; a tab goes on to the next multiple of four.
rule_line_width()
{
	wide_files | tr '\n' '\0' | xargs -0 -r perl -CSD -ne '
		chomp;
		my $columns = 0;
		$columns += $_ eq "\t" ? 4 - $columns % 4 : 1 for split //;
		print "$ARGV:$.: line-width: $columns columns, 100 are the most\n" if $columns > 100;
		close ARGV if eof;' >>"$offences"
}

rule_same_name()
{
	files | grep -E '^src/.*\.[ch]$' | awk -F/ '
		$NF in first { print $0 ":1: same-name: " first[$NF] " has the same name"; next }
		{ first[$NF] = $0 }' >>"$offences"
}

mkdir -p "$views/text" "$views/code"
rule_clang_format
rule_line_width
rule_same_name
tell_offences
