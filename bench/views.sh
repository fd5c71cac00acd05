#!/bin/bash
#
# What people look at, with many runs: how long the newest runs, one run by id or key, and the
# counts by state take, for an owner, for a role that may see one workflow of a hundredth of
# the runs, and for a role that may see nothing.
#
# Everything lives in a temporary directory and is gone afterwards.  To change what is done, set
# in the environment: RUNS (1000000), ROUNDS (9, the median is told).

set -euo pipefail
cd "$(dirname "$0")/.."
. test/lib.sh
. bench/lib.sh
export PG_CONFIG=${PG_CONFIG:-pg_config}
RUNS=${RUNS:-1000000} ROUNDS=${ROUNDS:-9}
work=${DF_WORK:-}

start_all()
{
	start_server "shared_buffers = 1GB
fsync = off
dataflows.retention = '-1'"
}

# of a hundred runs one is of the workflow "rare"; one of 10,000 was rolled back, some are live
fill()
{
	psql -X -q -v ON_ERROR_STOP=1 -o "$work/filled" <<-SQL
	CREATE ROLE app LOGIN;
	CREATE ROLE clerk LOGIN;
	CREATE ROLE stranger LOGIN;
	CREATE EXTENSION dataflows;
	SELECT dataflows.allow_author('app');
	GRANT CREATE ON SCHEMA public TO app;
	SET ROLE app;
	CREATE FUNCTION body(jsonb) RETURNS jsonb LANGUAGE sql AS 'SELECT \$1';
	SELECT dataflows.define_workflow('common', 'body'), dataflows.define_workflow('rare', 'body');
	SELECT dataflows.allow('rare', 'clerk', 'see');
	RESET ROLE;
	INSERT INTO dataflows.run (run, identity, started_at, version, workflow, key, started_by,
	  input, state, finished_at, waiting_for, cause)
	SELECT ('019' || lpad(to_hex(i), 9, '0') || '70008000' || lpad(to_hex(i), 12, '0'))::uuid, 0,
	  t, 1, CASE WHEN i % 100 = 0 THEN 'rare' ELSE 'common' END, 'key-' || i, 'app',
	  jsonb_build_object('email', 'user' || i || '@example.com'), s,
	  CASE WHEN s <> 'waiting' THEN t END, CASE WHEN s = 'waiting' THEN 'confirmed' END,
	  CASE WHEN s = 'rolled_back' THEN 'failed' END
	FROM generate_series(1, $RUNS) i,
	  LATERAL (SELECT '2025-01-01'::timestamptz + i * interval '20 s',
	    CASE WHEN i % 10000 = 7 THEN 'rolled_back' WHEN i % 1000 = 3 THEN 'waiting'
	      ELSE 'completed' END) x (t, s);
	INSERT INTO dataflows.run_count (workflow, state, share, runs)
	SELECT workflow, state, 0, count(*) FROM dataflows.run WHERE finished_at IS NOT NULL
	GROUP BY 1, 2;
	VACUUM ANALYZE dataflows.run;
	SQL
}

# the median of the rounds, in ms
took()
{
	local role=$1 query=$2 round

	for round in $(seq "$ROUNDS"); do
		psql -X -q -A -t -U "$role" -c '\timing on' -c "$query" |
			sed -n 's/^Time: \([0-9.]*\) ms.*/\1/p' | tail -n 1
	done | sort -n | sed -n "$(((ROUNDS + 1) / 2))p"
}

row()
{
	local name=$1 query=$2

	printf '%-44s %9s %9s %9s\n' "$name" "$(took app "$query")" "$(took clerk "$query")" \
		"$(took stranger "$query")"
}

measure()
{
	printf '%s runs, ms, median of %s\n' "$RUNS" "$ROUNDS"
	printf '%-44s %9s %9s %9s\n' '' owner 'one wf' stranger
	row 'list_runs()' 'SELECT count(*) FROM dataflows.list_runs()'
	row 'list_runs(state => rolled_back)' \
		"SELECT count(*) FROM dataflows.list_runs(state => 'rolled_back')"
	row 'list_runs(state => waiting)' \
		"SELECT count(*) FROM dataflows.list_runs(state => 'waiting')"
	row 'list_runs(state => stuck), none' \
		"SELECT count(*) FROM dataflows.list_runs(state => 'stuck')"
	row 'run_of(workflow, key)' "SELECT dataflows.run_of('rare', 'key-500')"
	row 'runs by workflow and key' \
		"SELECT state FROM dataflows.runs WHERE workflow = 'rare' AND key = 'key-500'"
	row 'runs by id' "SELECT state FROM dataflows.runs
		WHERE run = '01900000-01f4-7000-8000-0000000001f4'"
	row 'run_counts' 'SELECT count(*) FROM dataflows.run_counts'
	row 'for comparison: count(*) of runs' 'SELECT count(*) FROM dataflows.runs'
}

run_inside()
{
	PATH="$("$PG_CONFIG" --bindir):$PATH"
	export LC_ALL=C.UTF-8
	trap stop_all EXIT
	start_all
	fill
	measure
}

if [ -n "${DF_WORK:-}" ]; then
	run_inside
else
	test/setup.sh bench
	export RUNS ROUNDS
	run_aside bench/views.sh
fi
