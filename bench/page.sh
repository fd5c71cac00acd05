#!/bin/bash
#
# bench/page.sh: how long the page takes to be painted in Chromium, with a million runs and a
# run of 500 steps, and what people who look at it cost webhooks.
#
# Everything lives in a temporary directory and is gone afterwards.  It needs chromium and
# chromedriver, and PostgreSQL's modules for tests.  In the environment: RUNS (1000000), ROUNDS
# (9, the median is told), DELIVERIES (1000).

set -euo pipefail
cd "$(dirname "$0")/.."
. test/lib.sh
. bench/lib.sh
export PG_CONFIG=${PG_CONFIG:-pg_config}
RUNS=${RUNS:-1000000} ROUNDS=${ROUNDS:-9} DELIVERIES=${DELIVERIES:-1000}
work=${DF_WORK:-}

start_all()
{
	read -r port _ < <(free_ports)
	start_server "shared_buffers = 1GB
fsync = off
dataflows.retention = '-1'
dataflows.listen = '127.0.0.1:$port'
dataflows.ingress_role = 'hearer'
dataflows.dashboard = on"
}

# the newest one has 500 steps; of 1000 three wait, of 20,000 one is stuck
fill()
{
	psql -X -q -v ON_ERROR_STOP=1 -o "$work/filled" <<-SQL
	CREATE ROLE hearer LOGIN;
	CREATE ROLE app LOGIN;
	CREATE EXTENSION dataflows;
	SELECT dataflows.allow_author('app');
	GRANT CREATE ON SCHEMA public TO app;
	SET ROLE app;
	CREATE FUNCTION body(jsonb) RETURNS jsonb LANGUAGE sql AS 'SELECT \$1';
	SELECT dataflows.define_workflow('onboarding', 'body'),
	  dataflows.define_workflow('invoice', 'body');
	SELECT dataflows.create_webhook('/take', starts => 'invoice'), dataflows.pause('invoice');
	RESET ROLE;
	CREATE TABLE made AS
	SELECT i, (lpad(to_hex((extract(epoch FROM t) * 1000)::bigint), 12, '0')
	  || '70008000' || lpad(to_hex(i), 12, '0'))::uuid AS run, t, s
	FROM generate_series(1, $RUNS) i, LATERAL (SELECT now() - ($RUNS - i) * interval '0.5 s',
	  CASE WHEN i % 20000 = 9 THEN 'stuck' WHEN i % 333 = 3 THEN 'waiting'
	    WHEN i % 1000 = 7 THEN 'rolled_back' ELSE 'completed' END) x (t, s);
	INSERT INTO dataflows.run (run, identity, started_at, version, workflow, key, started_by,
	  input, state, finished_at, waiting_for, cause, stuck, key_held)
	SELECT run, 0, t, 1, CASE WHEN i % 10 = 0 THEN 'invoice' ELSE 'onboarding' END, 'key-' || i,
	  'app', jsonb_build_object('email', 'user' || i || '@example.com', 'name', 'User ' || i),
	  s, CASE WHEN s IN ('completed', 'rolled_back') THEN t + interval '1 s' END,
	  CASE WHEN s = 'waiting' THEN 'confirmed' END, CASE WHEN s = 'rolled_back' THEN 'failed' END,
	  CASE WHEN s = 'stuck' THEN '{"reason": "system is gone", "sqlstate": "DF009"}'::jsonb END,
	  false
	FROM made;
	INSERT INTO dataflows.run_count (workflow, state, share, runs)
	SELECT workflow, state, 0, count(*) FROM dataflows.run WHERE finished_at IS NOT NULL
	GROUP BY 1, 2;
	INSERT INTO dataflows.step (run, n, started_at, kind, step, system, request, attempts, sent_at,
	  state, finished_at, status)
	SELECT m.run, n, m.t + n * interval '40 ms', 'http', 'step-' || n, 'crm', 'POST /things', 1,
	  m.t + n * interval '40 ms', 'done', m.t + n * interval '40 ms' + interval '35 ms', 201
	FROM made m, generate_series(1, 500) n WHERE i = $RUNS;
	INSERT INTO dataflows.step (run, n, started_at, kind, step, system, request, attempts, sent_at,
	  state, finished_at, status)
	SELECT m.run, n, m.t + n * interval '40 ms', 'http', 'step-' || n, 'crm', 'POST /things', 1,
	  m.t + n * interval '40 ms', 'done', m.t + n * interval '40 ms' + interval '35 ms', 201
	FROM made m, generate_series(1, 4) n WHERE i BETWEEN $RUNS - 100000 AND $RUNS - 1;
	VACUUM ANALYZE dataflows.run, dataflows.step;
	SQL
	until curl -sf "http://127.0.0.1:$port/ready" >/dev/null; do sleep 0.1; done
}

run_inside()
{
	local modules

	PATH="$("$PG_CONFIG" --bindir):$PATH"
	export LC_ALL=C.UTF-8
	trap stop_all EXIT
	start_all
	fill
	modules=$(dirname "$("$PG_CONFIG" --pgxs)")/../test/perl
	TESTDATADIR=$work/tmp TESTLOGDIR=$work/tmp perl -I test/perl -I "$modules" bench/page.pl \
		"http://127.0.0.1:$port" "$(psql -XAtU app -c 'SELECT dataflows.dashboard_token()')" \
		"$(psql -XAt -c "SELECT run FROM made WHERE i = $RUNS")" \
		"user$((RUNS - 90000))@exam"
}

if [ -n "${DF_WORK:-}" ]; then
	run_inside
else
	test/setup.sh check
	export RUNS ROUNDS DELIVERIES
	run_aside bench/page.sh
fi
