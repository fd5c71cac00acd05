#!/bin/bash
#
# bench/webhooks.sh: signed webhooks that each start a run, on a throwaway server:
# how many per second, and how long the sender waits for the answer, which comes
# after the commit.  It needs wrk.
#
# In the environment: SECONDS_EACH (8), CONNECTIONS ("1 16 64").

set -euo pipefail
cd "$(dirname "$0")/.."
. test/lib.sh
export PG_CONFIG=${PG_CONFIG:-pg_config}
SECONDS_EACH=${SECONDS_EACH:-8} CONNECTIONS=${CONNECTIONS:-1 16 64}

if [ -z "${DF_WORK:-}" ]; then
	command -v wrk >/dev/null || { echo 'wrk is not installed: apt-get install wrk' >&2; exit 1; }
	test/setup.sh bench
	export SECONDS_EACH CONNECTIONS
	run_aside bench/webhooks.sh
	exit
fi

PATH=$("$PG_CONFIG" --bindir):$PATH
work=$(mktemp -d)
trap 'pg_ctl -D "$work/data" -m immediate stop >/dev/null 2>&1 || true; rm -rf "$work"' EXIT
port=$(python3 -c 'import socket
s = socket.socket(); s.bind(("127.0.0.1", 0)); print(s.getsockname()[1])')
export PGHOST=$work PGUSER=postgres PGDATABASE=postgres

initdb -D "$work/data" -U postgres -A trust -E UTF8 --no-locale >"$work/initdb.log"
cat >>"$work/data/postgresql.conf" <<CONF
shared_preload_libraries = 'dataflows'
listen_addresses = ''
unix_socket_directories = '$work'
shared_buffers = 256MB
max_wal_size = 4GB
dataflows.listen = '127.0.0.1:$port'
dataflows.ingress_role = 'hearer'
CONF
pg_ctl -D "$work/data" -l "$work/log" -w start >/dev/null
psql -X -q -v ON_ERROR_STOP=1 <<'SQL' >/dev/null
CREATE EXTENSION dataflows;
CREATE ROLE hearer LOGIN;
CREATE ROLE app LOGIN;
GRANT CREATE ON SCHEMA public TO app;
GRANT EXECUTE ON FUNCTION dataflows.define_workflow TO app;
CREATE SERVER sender FOREIGN DATA WRAPPER dataflows OPTIONS (url 'https://sender.example');
GRANT USAGE ON FOREIGN SERVER sender TO app;
CREATE USER MAPPING FOR app SERVER sender OPTIONS (webhook_secret 'secret');
SET ROLE app;
CREATE FUNCTION take(event jsonb) RETURNS jsonb LANGUAGE sql AS $$ SELECT event $$;
SELECT dataflows.define_workflow('take', 'take');
SELECT dataflows.create_webhook('/take', starts => 'take', verify => 'hmac-sha256:X-Signature',
  secret => 'sender');
SQL
until curl -sf "http://127.0.0.1:$port/ready" >/dev/null; do sleep 0.1; done

body='{"email": "ada@example.com", "name": "Ada", "plan": "team", "seats": 12, '
body+='"referrer": "newsletter"}'
signature=$(printf %s "$body" | openssl dgst -sha256 -hmac secret -r | cut -d' ' -f1)
cat >"$work/post.lua" <<LUA
wrk.method = "POST"
wrk.body = '$body'
wrk.headers["Content-Type"] = "application/json"
wrk.headers["X-Signature"] = "$signature"
LUA

# deliveries, runs that ended, commits
counts()
{
	psql -X -A -t -F ' ' -c "SELECT (SELECT count(*) FROM dataflows.webhook_delivery),
		(SELECT count(*) FROM dataflows.run WHERE finished_at IS NOT NULL), xact_commit
		FROM pg_stat_database WHERE datname = 'postgres'"
}

printf '%-12s %12s %10s %10s %10s %14s %10s\n' connections webhooks/s 'p50 ms' 'p99 ms' refused \
	'per commit' 'runs/s'
for n in $CONNECTIONS; do
	before=$(counts)
	wrk -t 1 -c "$n" -d "$SECONDS_EACH" --latency -s "$work/post.lua" \
		"http://127.0.0.1:$port/take" >"$work/wrk"
	after=$(counts)
	awk -v n="$n" -v s="$SECONDS_EACH" -v before="$before" -v after="$after" '
		function ms(t) { return t ~ /us$/ ? t / 1000 : t ~ /ms$/ ? t + 0 : t * 1000 }
		/ 50%/ { p50 = ms($2) } / 99%/ { p99 = ms($2) } /Requests\/sec/ { rate = $2 }
		/Non-2xx/ { refused = $5 }
		END { split(before, b, " "); split(after, a, " ");
			printf "%-12d %12.0f %10.2f %10.2f %10d %14.1f %10.0f\n", n, rate, p50, p99, refused, \
				(a[1] - b[1]) / (a[3] - b[3]), (a[2] - b[2]) / s }' "$work/wrk"
done
