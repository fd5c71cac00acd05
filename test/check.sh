#!/bin/bash
#
# Runs the tests: lint, unit, systems, regress, isolation, tap, examples.
#
#   test/check.sh [stage ...]        all of them by default
#   TESTS='doubt steps/retry' test/check.sh tap     only the TAP files in whose path that is
#
# Everything runs on a copy of the tree in a temporary directory, as an
# unprivileged user if called by root, on servers of its own; nothing is left
# behind.  The last line is "N passed, N failed".

set -uo pipefail
cd "$(dirname "$0")/.." || exit 1
. test/lib.sh
export PG_CONFIG=${PG_CONFIG:-pg_config}
# from one to three minutes each, the longest first; see tap_files
LONG_TESTS='crash/killed_at_random steps/mail processes/many_databases steps/query
starts/trigger_spills resources/bounded systems/changed_limits webhooks/deliveries
copies/dump_and_restore observing/traces crash/postmaster_killed steps/headers page/browser'
STAGES='lint unit systems regress isolation tap examples'
JOBS=${JOBS:-2}

passed=0
failed=0

run_outside()
{
	if [ "$*" != lint ]; then
		test/setup.sh check || exit 1
	fi
	export TESTS=${TESTS:-} JOBS
	run_aside test/check.sh "$@"
}

# record <ok|failed> <what> [file to print if it failed]
record()
{
	if [ "$1" = ok ]; then
		passed=$((passed + 1))
	else
		failed=$((failed + 1))
		say "FAILED $2"
		[ -z "${3:-}" ] || tail -n 200 "$3" | sed 's/^/    /'
	fi
}

stage_lint()
{
	local script log=$work/lint.log

	for script in test/lint/*.sh; do
		[ -e "$script" ] || continue
		if bash "$script" >"$log" 2>&1; then
			record ok "$script"
		else
			record failed "$script" "$log"
		fi
	done
}

stage_unit()
{
	local source name log

	export UNIT_OBJECTS=$work/unit/objects
	while read -r source; do
		name=$(basename "$source" .c)
		log=$work/unit/$name.log
		mkdir -p "$work/unit"
		# shellcheck disable=SC2086
		if ! test/unit/build "$work/unit/$name" "$source" -g -Wall ${COPT:-} >"$log" 2>&1; then
			record failed "$source (build)" "$log"
			continue
		fi
		timeout 120 "$work/unit/$name" >"$log" 2>&1
		count_tap "$source" $? "$log" "$log"
	done < <(find test/unit -name '*_test.c' | LC_ALL=C sort)
}

stage_systems()
{
	local log=$work/systems.log

	timeout 60 python3 test/systems/test_systems.py -v >"$log" 2>&1
	count_lines "$?" '\.\.\. ok$' '\.\.\. (FAIL|ERROR)$' "$log" systems
}

# count_lines <exit code> <pattern ok> <pattern failed> <log> <what>
count_lines()
{
	local good bad

	good=$(grep -cE "$2" "$4")
	bad=$(grep -cE "$3" "$4")
	if [ "$1" != 0 ] && [ "$bad" = 0 ]; then bad=1; fi
	passed=$((passed + good))
	failed=$((failed + bad))
	[ "$bad" = 0 ] || { say "FAILED $5"; tail -n 100 "$4" | sed 's/^/    /'; }
}

# count_tap <name> <exit code> <TAP> <log to show>
count_tap()
{
	local good bad

	good=$(grep -c '^ok ' "$3")
	bad=$(grep -cE '^not ok .*' "$3")
	if [ "$2" != 0 ] && [ "$bad" = 0 ]; then bad=1; fi
	if [ "$2" = 0 ] && [ "$good" = 0 ] && ! grep -q '^1\.\.0 # SKIP' "$3"; then bad=1; fi
	passed=$((passed + good))
	failed=$((failed + bad))
	if [ "$bad" != 0 ]; then
		say "FAILED $1 ($bad of $((good + bad)), exit code $2)"
		grep -E -A 12 '^not ok' "$3" | head -n 60 | sed 's/^/    /'
		say "  the end of its log:"
		tail -n 60 "$4" | cut -c 1-400 | sed 's/^/    /'
	fi
}

# faults_in <directory of logs>: what a server says of itself and no test asks
# for: assertions, overwritten memory, references and snapshots that are left
faults_in()
{
	local faults='TRAP: |(reference|refcount|memory|file) leak: |resource was not closed'

	faults+='|problem in alloc set|problem in (slab|Generation)|detected write past chunk end'
	faults+='|snapshot .* still active|left non-empty SPI stack'
	grep -rshE "$faults" --include='*.log' "$1" | head -n 20
}

write_temp_config()
{
	local preload=dataflows

	cat >"$work/temp.conf" <<-CONF
	max_worker_processes = 32
	log_line_prefix = '%m [%p] %b %q%a '
	max_prepared_transactions = 4
	# what goes to disk elsewhere only with many rows goes there with few
	work_mem = 64kB
	maintenance_work_mem = 1MB
	CONF
	if [ -e "$("$PG_CONFIG" --pkglibdir)/pg_cron.so" ]; then
		preload="$preload,pg_cron"
		echo "cron.database_name = 'regression'" >>"$work/temp.conf"
	fi
	echo "shared_preload_libraries = '$preload'" >>"$work/temp.conf"
	# as PostgreSQL's own tests do, and the servers of the TAP files by themselves
	[ -z "${TEMP_CONFIG:-}" ] || cat "$TEMP_CONFIG" >>"$work/temp.conf"
}

# The schedule, then one by one what it does not name, so that no file is left out.
tests_of()
{
	local dir=$1 ext=$2 schedule=$3 file name

	for file in "$dir"/*."$ext"; do
		[ -e "$file" ] || continue
		name=$(basename "$file" ".$ext")
		# without an expected file pg_regress would leave out all that follow
		compgen -G "$dir/../expected/${name}*.out" >/dev/null ||
			echo "this file is missing" >"$dir/../expected/$name.out"
		{ [ -e "$schedule" ] && grep -qE "^test:.*\\b$name\\b" "$schedule"; } || echo "$name"
	done
}

# run_regress <program> <name> <input dir> <dir of tests> <extension> <schedule>
run_regress()
{
	local program=$1 name=$2 input=$3 out=$work/$2 log=$work/$2.log rc bad
	local tests
	local -a schedule=()

	tests=$(tests_of "$4" "$5" "$6")
	[ -e "$6" ] && schedule=(--schedule="$6")
	[ -n "$tests$(ls "$6" 2>/dev/null)" ] || return 0
	mkdir -p "$out"
	write_temp_config
	# shellcheck disable=SC2086
	timeout -k 10 "${DF_REGRESS_TIMEOUT:-300}" "$program" --inputdir="$input" --outputdir="$out" \
		--bindir="$("$PG_CONFIG" --bindir)" --temp-instance="$out/instance" \
		--temp-config="$work/temp.conf" --encoding=UTF8 --no-locale \
		--dbname=regression "${schedule[@]}" $tests >"$log" 2>&1
	rc=$?
	passed=$((passed + $(grep -cE '^(test|    ) .*\.\.\. ok |^ok [0-9]+' "$log")))
	bad=$(grep -cE '^(test|    ) .*\.\.\. FAILED|^not ok [0-9]+' "$log")
	if [ "$rc" != 0 ] && [ "$bad" = 0 ]; then bad=1; fi
	failed=$((failed + bad))
	faults_in "$out/log" >"$work/$name.faults"
	[ -s "$work/$name.faults" ] && record failed "$name: faults in the log" "$work/$name.faults"
	[ "$bad" = 0 ] && return 0
	say "FAILED $name"
	grep -vE '\.\.\. ok ' "$log" | tail -n 30 | sed 's/^/    /'
	[ -e "$out/regression.diffs" ] && head -n 400 "$out/regression.diffs"
	grep -E 'PANIC|FATAL|terminated by signal|TRAP' "$out"/log/postmaster.log 2>/dev/null |
		tail -n 20
}

stage_regress()
{
	run_regress "$pgxs/test/regress/pg_regress" regress "$PWD" sql sql test/schedule
}

stage_isolation()
{
	PATH="$PATH:$pgxs/test/isolation" \
		run_regress "$pgxs/test/isolation/pg_isolation_regress" isolation "$PWD/test/isolation" \
		test/isolation/specs spec test/isolation/schedule
}

run_tap()
{
	local file=$1 name dir rc began=$SECONDS

	name=${file#test/t/}
	name=${name%.pl}
	dir=$work/tap/$name
	mkdir -p "$dir"
	TESTDIR="$dir" TESTDATADIR="$dir/tmp_check" TESTLOGDIR="$dir/tmp_check/log" \
		timeout -k 20 "${DF_TAP_TIMEOUT:-420}" \
		perl -Itest/perl -I"$pgxs/test/perl" "$file" >"$dir/out" 2>"$dir/err"
	rc=$?
	echo "$rc $((SECONDS - began))" >"$dir/rc"
	say "  $name: $(grep -c '^ok ' "$dir/out") ok, $(grep -c '^not ok' "$dir/out") not ok," \
		"$((SECONDS - began)) s"
	faults_in "$dir"/tmp_check/log >"$dir/faults"
	[ "$rc" = 0 ] && rm -rf "$dir"/tmp_check
	return 0
}

# tap_files: those that TESTS asks for, the longest first, so that all that run beside each other
# end together
tap_files()
{
	local part pattern='' file

	for part in ${TESTS:-}; do
		pattern+=${pattern:+|}$part
	done
	for file in $LONG_TESTS; do printf '%s\n' "test/t/$file.pl"; done |
		cat - <(find test/t -name '*.pl' | LC_ALL=C sort) | awk '!seen[$0]++' |
			grep -E "^test/t/.*(${pattern})"
}

stage_tap()
{
	local name rc log dir

	export pgxs work
	export -f run_tap faults_in say
	tap_files | tr '\n' '\0' | xargs -0 -r -n 1 -P "$JOBS" bash -c 'run_tap "$0"'
	while read -r name; do
		dir=$work/tap/$name
		read -r rc _ <"$dir/rc"
		cat "$dir"/err >>"$dir/out.log"
		for log in "$dir"/tmp_check/log/regress_log_*; do
			[ -e "$log" ] && tail -n 40 "$log" >>"$dir/out.log"
		done
		for log in "$dir"/tmp_check/log/*.log; do
			[ -e "$log" ] && grep -E 'PANIC|FATAL|WARNING|ERROR|signal' "$log" |
				tail -n 25 >>"$dir/out.log"
		done
		count_tap "test/t/$name.pl" "$rc" "$dir/out" "$dir/out.log"
		[ -s "$dir/faults" ] && record failed "test/t/$name.pl: faults in the log" "$dir/faults"
	done < <(cd "$work/tap" 2>/dev/null && find . -name rc -printf '%P\n' | sed 's|/rc$||' |
		LC_ALL=C sort)
}

# each promise that a story keeps is a test passed, and so is each of an example's own tests
stage_examples()
{
	local dir name rc log

	for dir in examples/*/story.sh; do
		dir=${dir%/story.sh}
		name=$(basename "$dir")
		log=$work/example-$name.log
		DF_WORK=$work/examples timeout -k 10 120 examples/run.sh "$name" >"$log" 2>&1 </dev/null
		rc=$?
		passed=$((passed + $(grep -cE '^(kept: |ok [0-9])' "$log")))
		if [ "$rc" != 0 ] || ! grep -q '^kept: ' "$log"; then
			record failed "$dir (exit code $rc)" "$log"
		fi
	done
}

run_inside()
{
	local stage began

	work=$DF_WORK
	pgxs=$(dirname "$("$PG_CONFIG" --pgxs 2>/dev/null || echo /x/x)")/..
	pgxs=$(cd "$pgxs" 2>/dev/null && pwd)
	PATH="$("$PG_CONFIG" --bindir 2>/dev/null):$PATH"
	export PATH PG_REGRESS="$pgxs/test/regress/pg_regress" PG_TEST_PORT_DIR="$work/ports"
	export LC_ALL=C.UTF-8
	unset PGHOST PGPORT PGDATABASE PGUSER PGOPTIONS PGSERVICE
	mkdir -p "$work/ports"
	for stage in "$@"; do
		began=$SECONDS
		say "== $stage"
		"stage_$stage"
		say "   $((SECONDS - began)) s; so far $passed ok, $failed not"
	done
	say "$passed passed, $failed failed"
	[ "$failed" = 0 ] && [ "$passed" -gt 0 ]
}

for stage in "$@"; do
	if [[ " $STAGES " != *" $stage "* ]]; then
		say "no such stage: $stage (there are: $STAGES)" >&2
		exit 2
	fi
done
# shellcheck disable=SC2086
[ $# -gt 0 ] || set -- $STAGES
if [ -n "${DF_WORK:-}" ]; then run_inside "$@"; else run_outside "$@"; fi
