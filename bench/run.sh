#!/bin/bash
#
# make bench: measures the engine on a throwaway server, and beside it what it
# cannot be faster than: libcurl alone, and commits alone.
#
# Everything lives in a temporary directory and is gone afterwards.  To change
# what is done, set in the environment: N (signups in one statement, 20000),
# ROUNDS (3), SINGLE (runs one after another, 200), WAITING (runs that wait,
# 10000), IDLE (seconds of watching them, 20), WORKERS (per owner, 1), TRACED
# (rounds each without traces, with them, and with a collector that is away, by
# turns; 0).

set -euo pipefail
cd "$(dirname "$0")/.."
. test/lib.sh
. bench/lib.sh
export PG_CONFIG=${PG_CONFIG:-pg_config}
N=${N:-20000} ROUNDS=${ROUNDS:-3} SINGLE=${SINGLE:-200} WAITING=${WAITING:-10000} IDLE=${IDLE:-20} \
	WORKERS=${WORKERS:-1} TRACED=${TRACED:-0}
LIMIT_REQUESTS=40000
LIMIT_IN_FLIGHT=64
PGBENCH_SECONDS=5
names=(identity billing crm email)

# ---- set up and tear down -----------------------------------------------------

create_objects()
{
	local i

	psql -X -q <<-SQL
	CREATE EXTENSION dataflows;
	GRANT EXECUTE ON FUNCTION dataflows.define_workflow TO app;
	GRANT CREATE ON SCHEMA public TO app;
	SQL
	for i in 0 1 2 3; do
		psql -X -q <<-SQL
		CREATE SERVER ${names[i]} FOREIGN DATA WRAPPER dataflows OPTIONS (
		  url 'http://127.0.0.1:${ports[i]}/api',
		  allow_private 'true', max_concurrency '256');
		GRANT USAGE ON FOREIGN SERVER ${names[i]} TO app;
		SQL
	done
	psql -X -q -v ON_ERROR_STOP=1 -U app -o /dev/null -f bench/schema.sql
}

# ---- asking -----------------------------------------------------------------------

ask() { psql -X -q -A -t -c "$1"; }

# from the database postgres, so that the question is not counted with the answer
ask_aside() { psql -X -q -A -t -d postgres -c "$1"; }

transactions()
{
	ask_aside "SELECT xact_commit + xact_rollback FROM pg_stat_database WHERE datname = 'bench'"
}

now() { echo "$EPOCHREALTIME"; }

# calc <awk expression> [format]
calc() { awk "BEGIN { printf \"${2:-%.1f}\", $1 }"; }

# median <numbers>
median()
{
	printf '%s\n' "$@" | sort -g |
		awk '{ a[NR] = $1 }
			END { print NR % 2 ? a[(NR + 1) / 2] : (a[NR / 2] + a[NR / 2 + 1]) / 2 }'
}

# processor time of processes in clock ticks; nothing for those that are gone
ticks()
{
	local pid sum=0 stat

	for pid in "$@"; do
		stat=$(cat "/proc/$pid/stat" 2>/dev/null) || continue
		# shellcheck disable=SC2086
		set -- ${stat##*) }
		sum=$((sum + ${12} + ${13}))
	done
	echo "$sum"
}

# the engine's processes, from outside of the database
engine_pids() { ask_aside "SELECT pid FROM pg_stat_activity WHERE backend_type LIKE 'dataflows%'"; }
worker_pids()
{
	ask_aside "SELECT pid FROM pg_stat_activity WHERE backend_type = 'dataflows worker'"
}

# One session that is asked again and again costs less than a psql each time.
open_asker()
{
	coproc asker { psql -X -q -A -t; }
	exec 9<>"$work/pause"
}

# At its end the session reports its last transactions, which would else come
# up to ten seconds later and be taken for the engine's.
close_asker()
{
	local pid=$asker_PID

	exec {asker[1]}>&-
	wait "$pid" || true
}

# waits until no run is left that moves
wait_until_quiet()
{
	local answer i

	for ((i = 0; i < 30000; i++)); do
		echo "SELECT EXISTS (SELECT FROM dataflows.run WHERE wake_at IS NOT NULL);" >&"${asker[1]}"
		read -r answer <&"${asker[0]}"
		[ "$answer" = t ] || return 0
		# a pause that forks nothing
		read -r -t 0.02 -u 9 || true
	done
	fail "runs are left that do not end"
}

# expect_all <state> [<workflow>]: every run is in that state
expect_all()
{
	local others

	others=$(ask "SELECT state, error, stuck, count(*) FROM dataflows.run
		WHERE state <> '$1' AND workflow = '${2:-customer-onboarding}' GROUP BY 1, 2, 3 LIMIT 5")
	[ -z "$others" ] || fail "not every run is $1: $others"
}

# ---- the load ---------------------------------------------------------------------

# wal_facts <from> <to>: records of commits, bytes, bytes of full-page images
wal_facts()
{
	pg_waldump --stats=record -p "$work/data/pg_wal" -s "$1" -e "$2" 2>"$work/waldump.log" |
		awk '$1 == "Transaction/COMMIT" { commits = $2 }
			/^Total/ { gsub(/[][%()]/, " "); rest = $3; n = split($0, f, " "); fpi = f[5] }
			END { print commits + 0, fpi + 0 }'
}

load_round()
{
	local from to begun ended worker_before worker_after nginx_before nginx_after pids commits fpi \
		inserted bytes

	ask "CHECKPOINT" >/dev/null
	pids=$(worker_pids)
	# shellcheck disable=SC2086
	worker_before=$(ticks $pids)
	nginx_before=$(ticks "$nginx_pid")
	from=$(ask_aside "SELECT pg_current_wal_insert_lsn()")
	begun=$(now)
	psql -X -q -U app -c "INSERT INTO signups (email, name)
		SELECT 'user' || i || '@example.com', 'User ' || i FROM generate_series(1, $N) i"
	inserted=$(now)
	wait_until_quiet
	ended=$(now)
	to=$(ask_aside "SELECT pg_current_wal_flush_lsn()")
	pids=$(worker_pids)
	# shellcheck disable=SC2086
	worker_after=$(ticks $pids)
	nginx_after=$(ticks "$nginx_pid")
	read -r commits fpi < <(wal_facts "$from" "$to")
	bytes=$(ask_aside "SELECT '$to'::pg_lsn - '$from'::pg_lsn")
	runs_per_s+=("$(calc "$N / ($ended - $begun)" %.0f)")
	wal+=("$(calc "$bytes / $N" %.0f)")
	wal_fpi+=("$(calc "$fpi / $N" %.0f)")
	commits_per_run+=("$(calc "$commits / $N" %.3f)")
	worker_cpu+=("$(calc "($worker_after - $worker_before) / $hertz * 1e6 / $N" %.0f)")
	nginx_cpu+=("$(calc "($nginx_after - $nginx_before) / $hertz * 1e6 / $N" %.0f)")
	insert_s+=("$(calc "$inserted - $begun" %.2f)")
	expect_all completed
}

curl_round()
{
	curl_limit+=("$("$work/curl_limit" "http://127.0.0.1:${ports[0]}/api/users" \
		$LIMIT_REQUESTS $LIMIT_IN_FLIGHT \
		'{"email": "user1@example.com"}')")
}

measure_load()
{
	local i

	runs_per_s=() wal=() wal_fpi=() commits_per_run=() worker_cpu=() nginx_cpu=() insert_s=() \
		curl_limit=()
	for ((i = 0; i < ROUNDS; i++)); do
		load_round
		curl_round
		say "  round $((i + 1)): ${runs_per_s[i]} runs/s, ${wal[i]} bytes of WAL" \
			"(${wal_fpi[i]} of full pages), ${commits_per_run[i]} commits," \
			"${worker_cpu[i]} us of the worker, ${nginx_cpu[i]} us of nginx," \
			"INSERT ${insert_s[i]} s; libcurl alone ${curl_limit[i]} requests/s"
	done
}

# trace_to <port, or nothing>: from now on spans go there; all processes know of it
trace_to()
{
	ask "ALTER SYSTEM SET dataflows.otlp_endpoint = '${1:+http://127.0.0.1:$1}'"
	ask "SELECT pg_reload_conf()" >/dev/null
	sleep 1
}

# rounds by turns, so that what else goes on meets all three alike
measure_traced()
{
	local i mode before
	local runs_per_s=() wal=() wal_fpi=() commits_per_run=() worker_cpu=() nginx_cpu=() insert_s=()

	traced_off=() traced_on=() traced_away=()
	for ((i = 0; i < TRACED; i++)); do
		for mode in off on away; do
			case $mode in
				off) trace_to '' ;;
				on) trace_to "${ports[0]}" ;;
				away) trace_to 9 ;;
			esac
			before=$(ask "SELECT exported || ' and ' || dropped FROM dataflows.tracing")
			load_round
			declare -n these=traced_$mode
			these+=("${runs_per_s[-1]}")
			say "  traces $mode, round $((i + 1)): ${runs_per_s[-1]} runs/s, ${worker_cpu[-1]} us" \
				"of the worker;" \
				"spans exported and dropped: from $before to $(ask "SELECT exported || ' and '
					|| dropped FROM dataflows.tracing")"
		done
	done
	trace_to ''
}

# ---- one run at a time, many at rest --------------------------------------------------

measure_single()
{
	psql -X -q -U app -c "CALL one_after_another(20)" -c "TRUNCATE latency" \
		-c "CALL one_after_another($SINGLE)"
	read -r done_p50 done_p99 seen_p50 seen_p99 < <(psql -X -q -A -t -F ' ' <<-SQL
	SELECT round((percentile_cont(0.5) WITHIN GROUP (ORDER BY done))::numeric, 2),
	       round((percentile_cont(0.99) WITHIN GROUP (ORDER BY done))::numeric, 2),
	       round((percentile_cont(0.5) WITHIN GROUP (ORDER BY seen))::numeric, 2),
	       round((percentile_cont(0.99) WITHIN GROUP (ORDER BY seen))::numeric, 2)
	FROM (SELECT 1000 * extract(epoch FROM r.finished_at - l.begun) AS done,
	             1000 * extract(epoch FROM l.seen - l.begun) AS seen
	      FROM latency l JOIN dataflows.run r USING (run)) AS ms
	SQL
	)
}

measure_idle()
{
	local before after pids

	psql -X -q -U app -c "INSERT INTO waiters SELECT generate_series(1, $WAITING)"
	wait_until_quiet
	expect_all waiting wait-only
	close_asker
	# autovacuum has transactions of its own; the asking session is idle
	psql -X -q -c "ALTER SYSTEM SET autovacuum = off" -c "SELECT pg_reload_conf()" -o /dev/null
	while [ "$(ask_aside "SELECT count(*) FROM pg_stat_activity
		WHERE backend_type = 'autovacuum worker'")" != 0 ]; do
		sleep 0.2
	done
	sleep 2
	pids=$(engine_pids)
	before=$(transactions)
	# shellcheck disable=SC2086
	idle_ticks=$(ticks $pids)
	sleep "$IDLE"
	# shellcheck disable=SC2086
	idle_ticks=$(($(ticks $pids) - idle_ticks))
	after=$(transactions)
	idle_transactions=$((after - before))
}

measure_commits()
{
	local clients

	echo "INSERT INTO one_row (note) VALUES ('a row of some bytes, to be durable');" \
		>"$work/insert.sql"
	pgbench_tps=()
	for clients in 1 8; do
		pgbench_tps+=("$(pgbench -n -U app -f "$work/insert.sql" -M prepared -c "$clients" -j 1 \
			-T "$PGBENCH_SECONDS" 2>/dev/null |
			sed -n 's/^tps = \([0-9]*\).*/\1/p')")
	done
}

# ---- telling ---------------------------------------------------------------------------

describe_machine()
{
	local fsync

	fsync=$(pg_test_fsync -s 1 -f "$work/fsync" 2>/dev/null |
		awk '/fdatasync/ && /usecs/ && !seen { seen = 1; sub(/.*ops\/sec */, ""); print }')
	say "Machine: $(sed -n 's/^model name[^:]*: //p' /proc/cpuinfo | head -n 1), $(nproc) cores," \
		"$(awk '/MemTotal/ { printf "%.0f GB", $2 / 1048576 }' /proc/meminfo), Linux $(uname -r)," \
		"$("$PG_CONFIG" --version)"
	say "Disk: one 8 kB write with fdatasync takes ${fsync:-an unknown time}; load average" \
		"$(cut -d ' ' -f 1-3 /proc/loadavg)"
}

line() { printf '  %-46s %12s   %s\n' "$@"; }

report()
{
	local runs commit8 curl

	runs=$(median "${runs_per_s[@]}") curl=$(median "${curl_limit[@]}") commit8=${pgbench_tps[1]}
	say
	say "Load: $N signups in one statement, median of $ROUNDS rounds"
	line "runs/s" "$runs" "to reach: 3000"
	line "durable steps/s" "$((${runs%.*} * 4))" "to reach: 12000"
	line "WAL per run, bytes" "$(median "${wal[@]}")" \
		"to reach: 3500; $(median "${wal_fpi[@]}") of it full pages"
	line "commits per run" "$(median "${commits_per_run[@]}")" "to reach: 0.3"
	line "processor time of the worker per run, us" "$(median "${worker_cpu[@]}")" ""
	line "processor time of nginx per run, us" "$(median "${nginx_cpu[@]}")" "shares the cores"
	say "One run at a time, $SINGLE of them, idle system"
	line "start() to finished_at, p50 ms" "$done_p50" "to reach: 3"
	line "start() to finished_at, p99 ms" "$done_p99" ""
	line "start() to the return of await(), p50 ms" "$seen_p50" ""
	line "start() to the return of await(), p99 ms" "$seen_p99" ""
	say "At rest, $WAITING runs that wait, $IDLE s"
	line "transactions per second" "$(calc "$idle_transactions / $IDLE" %.2f)" \
		"to reach: 0; $idle_transactions in all, a sweep is due every 60 s"
	line "processor time of the engine, ms" "$(calc "$idle_ticks * 1000 / $hertz" %.0f)" \
		"to reach: 0"
	if [ "$TRACED" != 0 ]; then
		say "Traces, median of $TRACED rounds each, by turns"
		line "runs/s without" "$(median "${traced_off[@]}")" ""
		line "runs/s, each run, step and attempt is a span" "$(median "${traced_on[@]}")" ""
		line "runs/s, the collector is away" "$(median "${traced_away[@]}")" ""
	fi
	say "The limits, in the same session"
	line "libcurl alone, $LIMIT_IN_FLIGHT in flight, requests/s" "$curl" \
		"the engine: $(calc "100 * $runs * 4 / $curl" %.0f) % of it"
	line "one-row commits/s, 1 client" "${pgbench_tps[0]}" \
		"4 steps of one commit each: $(calc "${pgbench_tps[0]} / 4" %.0f) runs/s"
	line "one-row commits/s, 8 clients" "$commit8" \
		"the engine's durable steps: $(calc "100 * $runs * 4 / $commit8" %.0f) % of it"
}

run_inside()
{
	work=$DF_WORK
	PATH="$("$PG_CONFIG" --bindir):$PATH"
	export LC_ALL=C.UTF-8
	hertz=$(getconf CLK_TCK)
	trap stop_all EXIT
	gcc -O2 -o "$work/curl_limit" bench/curl_limit.c -lcurl
	mkfifo "$work/pause"
	start_server "max_worker_processes = 16
shared_buffers = 256MB
checkpoint_timeout = 30min
dataflows.workers_per_owner = $WORKERS"
	create_bench
	start_systems
	create_objects
	open_asker
	describe_machine
	say "Measuring: $ROUNDS rounds of $N signups, $WORKERS worker(s)"
	measure_load
	measure_traced
	measure_single
	measure_idle
	measure_commits
	report
}

if [ -n "${DF_WORK:-}" ]; then
	run_inside
else
	test/setup.sh bench
	export N ROUNDS SINGLE WAITING IDLE WORKERS TRACED
	run_aside bench/run.sh
fi
