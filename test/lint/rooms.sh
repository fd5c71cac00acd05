#!/bin/bash
#
# The rules of the house that a compiler does not know: which room may do what,
# how long a function may be, what every SQL object has.  README.md beside this
# file tells them one by one, with their reasons; selftest.sh shows that each
# one fires.
#
#   test/lint/rooms.sh [tree]     prints "file:line: rule: what is wrong" for
#                                 each offence; exit status 1 if there is any
#   test/lint/rooms.sh --rules    prints the names of the rules

set -uo pipefail
here=$(cd "$(dirname "$0")" && pwd)

RULES='include-arrows include-circle spi-room sql-room curl-room mhd-room json-room clock-room
transaction-room version-room role-room transition-room sql-state-room store-names http-quiet
function-length essay banned-function dead-extern machine-path sql-comment sql-replace
sql-qualified state-diagram'

. "$here/common.bash"

# Who may include whom.  Everybody may include types/, compat.h and its own room.
arrows()
{
	case $1 in
	types | flow) echo '' ;;
	shared) echo 'guc.h' ;;
	http) echo 'shared' ;;
	store) echo 'flow shared guc.h' ;;
	fdw) echo 'shared http/url.h guc.h' ;;
	session) echo 'store flow shared guc.h' ;;
	ingress)
		echo 'session store flow shared fdw guc.h worker/guarded.h worker/process.h worker/wait.h'
		;;
	engine) echo 'store flow shared fdw http/url.h guc.h' ;;
	worker) echo 'store flow shared engine http fdw guc.h' ;;
	review) echo 'simulate session store flow shared engine fdw guc.h' ;;
	simulate) echo 'store flow shared engine http/rate_limit.h fdw session/rows.h guc.h' ;;
	top-header) echo 'none' ;;
	top) echo 'session flow store engine http fdw shared simulate worker ingress review guc.h' ;;
	esac
}

room_of()
{
	case $1 in
	src/*/*) local room=${1#src/} && echo "${room%%/*}" ;;
	src/*.h) echo top-header ;;
	*) echo top ;;
	esac
}

may_include()
{
	local room=$1 target=$2 allowed

	allowed=$(arrows "$room")
	case $target in types/*) return 0 ;; esac
	[ "$allowed" = none ] && return 1
	[ "${target%%/*}" = "$room" ] && return 0
	[ "$room" = types ] && return 1
	[ "$target" = compat.h ] && return 0
	for allowed in $allowed; do
		[ "$target" = "$allowed" ] && return 0
		[ "${target%%/*}" = "$allowed" ] && return 0
	done
	return 1
}

rule_include_arrows()
{
	local file line target room

	(cd "$views/text" && grep -rnHoP --include='*.[ch]' '^\s*#\s*include\s*"\K[^"]+' src) |
		while IFS=: read -r file line target; do
			room=$(room_of "$file")
			if [ -e "src/$target" ]; then
				may_include "$room" "$target" ||
					echo "$file:$line: include-arrows: ${file#src/} may not include $target"
			elif [ -e "$(dirname "$file")/$target" ]; then
				echo "$file:$line: include-arrows: includes are relative to src"
			fi
		done >>"$offences"
}

# No file may lead back to itself; x.c and x.h are one file here.  Between rooms the arrows see
# to it.
rule_include_circle()
{
	local room

	for room in $(find src -mindepth 1 -maxdepth 1 -type d -printf '%f\n' | LC_ALL=C sort); do
		(cd "$views/text" && grep -rnoP --include='*.[ch]' \
			"^\s*#\s*include\s*\"\K$room/[^\"]+(?=\.h\")" "src/$room") | perl -ne '
				our (%includes, %place);
				my ($file, $line, $to) = m{^src/(.*\.[ch]):(\d+):(.*)$} or next;
				(my $from = $file) =~ s/\.[ch]$//;
				next if $from eq $to;
				$includes{$from}{$to} = 1;
				$place{$from}{$to} //= "src/$file:$line";
				sub leads
				{
					my ($at, $goal, $seen) = @_;
					return 1 if $at eq $goal;
					return 0 if $seen->{$at}++;
					for my $next (keys %{ $includes{$at} // {} })
					{
						return 1 if leads($next, $goal, $seen);
					}
					return 0;
				}
				END
				{
					for my $from (keys %includes)
					{
						for my $to (keys %{ $includes{$from} })
						{
							print "$place{$from}{$to}: include-circle: $to leads back to $from\n"
								if leads($to, $from, {});
						}
					}
				}'
	done >>"$offences"
}

rule_rooms()
{
	local statements='SELECT|INSERT INTO|UPDATE|DELETE FROM|MERGE INTO|WITH|VALUES|SET LOCAL'
	local transactions='StartTransactionCommand|CommitTransactionCommand|AbortCurrentTransaction'
	local json='JsonbIterator(Init|Next)|getKeyJsonValueFromContainer|getIthJsonbValueFromContainer'

	json+='|findJsonbValueFromContainer|pushJsonbValue|JsonbToCString|JsonbValueToJsonb'
	json+='|JsonbToJsonbValue|JsonbExtractScalar|jsonb_(in|out)|escape_json'
	statements+='|SET SESSION|LOCK TABLE|TRUNCATE|LISTEN|NOTIFY|COPY'
	transactions+='|AbortOutOfAnyTransaction|BeginTransactionBlock|EndTransactionBlock'
	forbid spi-room 'SPI is used in src/store only' code '\bSPI_\w+' '^src/.*\.[ch]$' '^src/store/'
	forbid spi-room 'SPI is used in src/store only' text 'include\s*"executor/spi\.h"' \
		'^src/.*\.[ch]$' '^src/store/'
	forbid sql-room 'SQL text stands in src/store only' text \
		"\"\\s*($statements)\\s" \
		'^src/.*\.[ch]$' '^src/store/'
	forbid curl-room 'libcurl is used in src/http only' code \
		'\bcurl_\w+|\bCURL(\w*)\b|include\s*<curl/' '^src/.*\.[ch]$' '^src/http/'
	forbid mhd-room 'libmicrohttpd is used in src/ingress only' code \
		'\bMHD_\w+|include\s*<microhttpd' '^src/.*\.[ch]$' '^src/ingress/'
	forbid json-room 'JSON is built and read by src/shared/json.c' code "\\b($json)\\b" \
		'^src/.*\.[ch]$' \
		'^src/shared/json(_size)?\.c$|^src/engine/template\.c$|^src/store/user_sql\.c$'
	forbid version-room 'versions of PostgreSQL differ in src/compat.h only' code \
		'\bPG_(VERSION|MAJORVERSION)(_NUM)?\b' '^src/.*\.[ch]$' '^src/compat\.h$'
	forbid role-room 'roles are switched in src/shared/as_role.c only' code \
		'\bSetUserId\w*' '^src/.*\.[ch]$' '^src/shared/as_role\.c$'
	forbid transaction-room 'transactions begin and end in src/store/xact.c only' code \
		"\\b($transactions)\\b" \
		'^src/.*\.[ch]$' '^src/store/xact\.c$'
	forbid transaction-room 'subtransactions belong to src/engine and src/store' code \
		'\b(BeginInternal|ReleaseCurrent|RollbackAndReleaseCurrent)SubTransaction\b' \
		'^src/.*\.[ch]$' '^src/(engine|store)/'
}

rule_clock()
{
	local readers='GetCurrent(Transaction|Statement)?(Start|Stop)?Timestamp|GetSQLCurrent\w+'

	readers+='|gettimeofday|clock_gettime|INSTR_TIME_SET_CURRENT\w*'

	forbid clock-room 'the clock is read in src/shared/clock.[ch] only' code "\\b($readers)\\b" \
		'^src/.*\.[ch]$' '^src/shared/clock\.[ch]$|^src/http/'
	forbid clock-room 'the clock is read in src/shared/clock.[ch] only' code \
		'(?<![\w.>])time\s*\(' \
		'^src/.*\.[ch]$' '^src/shared/clock\.[ch]$'
	forbid clock-room 'src/http reads the monotonic clock only' code \
		"\\b($readers)\\b(?!\\s*\\(\\s*CLOCK_MONOTONIC\\b)" '^src/http/'
}

# What is read back from a row, and what an undo plan is asked about, is no change.
rule_states()
{
	local assignment='(->|\.)(undo_)?state\s*=(?!=)'
	local no_change='(?![^;]*\b(df_(run|step|undo)_state_of|df_copy_text)\b)'
	local not_of_plan='(?<!\bitem)(?<!\bitems\[\w\])'

	forbid transition-room 'states change in src/engine/transition.c only' code \
		"$not_of_plan$assignment$no_change" \
		'^src/.*\.[ch]$' '^src/engine/transition\.c$|^src/(shared|worker)/'
	forbid transition-room 'src/shared and src/worker set the state of a slot only' code \
		"->undo_state\\s*=(?!=)|$assignment[^;]*\\bDF_(RUN|STEP|UNDO)_" '^src/(shared|worker)/'
	forbid sql-state-room 'run and step are updated by statements of src/store only' text \
		'\bUPDATE\s+(ONLY\s+)?dataflows\.(run|step)\b|\bSET\b[^;]*\b(undo_)?state\s*=' \
		'^src/.*\.([ch]|sql)$' '^src/store/'
}

rule_store_names()
{
	local ours='installation|origin|workflow|run|step|alias|attempt|inbox|schedule|webhook'

	ours+='|webhook_delivery|page_token'
	forbid store-names 'names resolve in pg_catalog only: write it without a schema' text \
		'"[^"\n]*(\bOPERATOR\s*\(|\bpg_catalog\.)' '^src/store/.*\.[ch]$'
	forbid store-names 'name the table with its schema, dataflows' text \
		"\"[^\"\\n]*\\b(FROM|JOIN|INTO|UPDATE|USING)\\s+(ONLY\\s+)?($ours)\\b(?!\\.)" \
		'^src/store/.*\.[ch]$'
}

rule_http_quiet()
{
	local loud='ereport|elog|PG_TRY|PG_RE_THROW|CHECK_FOR_INTERRUPTS'

	loud+='|palloc\w*|repalloc\w*|pfree|pstrdup|pnstrdup|psprintf|MemoryContext\w+'
	loud+='|initStringInfo|makeStringInfo|appendStringInfo\w*'
	forbid http-quiet 'nothing in src/http raises, or allocates by palloc' code "\\b($loud)\\b" \
		'^src/http/' '^src/http/url\.[ch]$'
}

# A function lasts from a brace in the first column to the next closing one.
rule_function_length()
{
	(cd "$views/code" && c_files | tr '\n' '\0' | xargs -0 -r awk '
		FNR == 1 { start = 0 }
		/^\{/ { start = FNR }
		/^}/ {
			if (start && /^}[ \t]*$/ && FNR - start - 1 > 100)
				print FILENAME ":" start ": function-length: " FNR - start - 1 \
					" lines, 100 are the most"
			start = 0
		}') >>"$offences"
}

# What the server looks up by name is marked PGDLLEXPORT; who else declares a function
# for others has them.
rule_dead_extern()
{
	(cd "$views/code" && c_files | tr '\n' '\0' | xargs -0 -r perl -e '
		my (%users, @declared);
		for my $file (@ARGV)
		{
			open(my $in, "<", $file) or die "$file: $!";
			while (<$in>)
			{
				push @declared, [ "$file:$.", $1, $file ]
					if $file =~ /^src.*\.h$/ && /^extern\b(?!.*PGDLLEXPORT)[^(]*?\b(\w+)\(/;
				$users{$_}{$file} = 1 for /\w+/g;
			}
		}
		for (@declared)
		{
			my ($where, $name, $header) = @$_;
			my @others = grep { $_ ne $header } keys %{ $users{$name} };
			print "$where: dead-extern: only one file has $name(): make it static, or delete it\n"
				if @others < 2;
		}') >>"$offences"
}

rule_essay()
{
	local file

	c_files | while read -r file; do
		awk -v file="$file" -v name="${file#src/}" '
			NR == 1 && $0 != "/*" {
				bad = "begins with a comment that tells what the file is"
				exit
			}
			NR == 2 && $0 != " * " name {
				bad = "names itself in its second line: \" * " name "\""
				exit
			}
			/\*\// { exit }
			/[a-z]/ { words++ }
			END {
				if (!bad && words < (file ~ /\.h$/ ? 2 : 3))
					bad = "says what it is, which process runs it, and what it must never do"
				if (bad)
					print file ":1: essay: the file " bad
			}' "$file"
	done >>"$offences"
}

rule_words()
{
	forbid banned-function 'strcpy, strcat, sprintf, atoi and gets are not used' code \
		'\b(strcpy|strcat|sprintf|vsprintf|atoi|atol|gets)\s*\(' '^(src|test)/.*\.[ch]$'
	forbid machine-path 'a path of somebody'"'"'s machine' raw \
		'(^|[^\w.}/-])/((home|root|work)/|Users/\w+/)' '.'
	forbid machine-path 'temporary files have no fixed name' text '/tmp/' '^src/.*\.([ch]|sql)$'
}

KINDS='FUNCTION|PROCEDURE|AGGREGATE|TABLE|VIEW|MATERIALIZED VIEW|SEQUENCE|TYPE|DOMAIN|OPERATOR'

rule_sql()
{
	local kinds='TABLE|INDEX|VIEW|SCHEMA|SEQUENCE|COLUMN|TYPE|EXTENSION|WRAPPER|SERVER'

	forbid sql-replace 'the install script replaces nothing that is there' code \
		"\\bOR\\s+REPLACE\\b|\\b($kinds)\\s+IF\\s+NOT\\s+EXISTS\\b" \
		'^src/sql/'
	forbid sql-qualified 'every object is created with its schema' code \
		"^\\s*CREATE\\s+(UNLOGGED\\s+)?($KINDS)\\s+(?!dataflows\\.)" '^src/sql/'
	(cd "$views/code" && sql_files | tr '\n' '\0' | xargs -0 -r perl -ne '
		BEGIN { $kinds = shift . "|FOREIGN DATA WRAPPER|EVENT TRIGGER"; }
		if (/^CREATE\s+(?:OR\s+REPLACE\s+)?(?:UNLOGGED\s+)?($kinds)\s+([\w."]+)/)
		{
			push @created, [ "$ARGV:$.", "$1 $2" ];
		}
		$comments{"$1 $2"}++ if /^COMMENT\s+ON\s+($kinds)\s+([\w."]+)/;
		close ARGV if eof;
		END
		{
			for (@created)
			{
				print "$_->[0]: sql-comment: there is no COMMENT ON $_->[1]\n"
					if $comments{$_->[1]}-- <= 0;
			}
		}' "$KINDS") >>"$offences"
}

rule_state_diagram()
{
	local said

	said=$(bash "$here/state_diagram.sh" --check "$PWD" 2>&1) ||
		echo "docs/reference/states.md:1: state-diagram: $(tail -n 1 <<<"$said")" >>"$offences"
}

mkdir -p "$views/text" "$views/code"
c_files | make_views c || exit 2
sql_files | make_views sql || exit 2
rule_include_arrows
rule_include_circle
rule_rooms
rule_clock
rule_states
rule_store_names
rule_http_quiet
rule_function_length
rule_dead_extern
rule_essay
rule_words
rule_sql
rule_state_diagram

tell_offences
