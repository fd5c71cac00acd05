#!/bin/bash
#
# Web requests that wait for their run: each session starts a run of two steps, commits, waits for
# it by await(), and starts the next.  How many a second, with how many sessions; beside it, what
# the engine does when nobody waits.
#
# Everything lives in a temporary directory and is gone afterwards.  To change what is done, set in
# the environment: SESSIONS ("1 10 50 150"), SECONDS_EACH (6), ROUNDS (3, the median is told), N
# (10000 runs when nobody waits).

set -euo pipefail
cd "$(dirname "$0")/.."
. test/lib.sh
. bench/lib.sh
export PG_CONFIG=${PG_CONFIG:-pg_config}
SESSIONS=${SESSIONS:-1 10 50 150} SECONDS_EACH=${SECONDS_EACH:-6} ROUNDS=${ROUNDS:-3} N=${N:-10000}

ask() { psql -X -q -A -t -U app -c "$1"; }

start_all()
{
	start_systems
	start_server "max_connections = 300
shared_buffers = 256MB
checkpoint_timeout = 30min"
	create_bench
	psql -X -q -v ON_ERROR_STOP=1 -o /dev/null <<-SQL
	CREATE EXTENSION dataflows;
	SELECT dataflows.allow_author('app');
	GRANT CREATE ON SCHEMA public TO app;
	CREATE SERVER crm FOREIGN DATA WRAPPER dataflows
	  OPTIONS (url 'http://127.0.0.1:${ports[0]}/api', allow_private 'true', max_concurrency '256');
	GRANT USAGE ON FOREIGN SERVER crm TO app;
	SET ROLE app;
	CREATE FUNCTION two(e jsonb) RETURNS jsonb LANGUAGE plpgsql AS \$\$
	BEGIN
	  PERFORM dataflows.post('one', 'crm', '/users', e, undo => 'DELETE /users/{id}');
	  RETURN dataflows.post('two', 'crm', '/contacts', e, undo => 'DELETE /contacts/{id}');
	END \$\$;
	SELECT dataflows.define_workflow('two', 'two');
	SQL
	cat >"$work/script" <<-'SQL'
	SELECT dataflows.start('two', '{"email": "ada@example.com"}') AS run \gset
	SELECT dataflows.await(':run');
	SQL
}

median() { sort -n | sed -n "$(((ROUNDS + 1) / 2))p"; }

# runs a second that this many sessions wait for
waited_for()
{
	local round

	for round in $(seq "$ROUNDS"); do
		pgbench -n -U app -c "$1" -j 2 -T "$SECONDS_EACH" -f "$work/script" 2>&1 |
			sed -n 's/^tps = \([0-9.]*\).*/\1/p'
	done | median
}

# runs a second that nobody waits for
alone()
{
	local round from

	for round in $(seq "$ROUNDS"); do
		from=$(date +%s.%N)
		ask "SELECT count(dataflows.start('two', '{\"email\": \"ada@example.com\"}'))
			FROM generate_series(1, $N)" >/dev/null
		until [ "$(ask 'SELECT count(*) FROM dataflows.run_counts
			WHERE state IN ('"'queued', 'running', 'waiting'"')')" = 0 ]; do sleep 0.05; done
		python3 -c "import time; print($N / (time.time() - $from))"
	done | median
}

run_inside()
{
	local sessions

	work=$DF_WORK
	PATH="$("$PG_CONFIG" --bindir):$PATH"
	export LC_ALL=C.UTF-8
	trap stop_all EXIT
	start_all
	waited_for 1 >/dev/null
	for sessions in $SESSIONS; do
		printf '%4d sessions that wait: %8.0f runs/s\n' "$sessions" "$(waited_for "$sessions")"
	done
	printf 'nobody waits:          %8.0f runs/s\n' "$(alone)"
}

if [ -n "${DF_WORK:-}" ]; then
	run_inside
else
	test/setup.sh bench
	export SESSIONS SECONDS_EACH ROUNDS N
	run_aside bench/await.sh
fi
