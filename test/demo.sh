#!/bin/bash
#
# make demo: the story of two signups, told on a throwaway server.
#
# Everything lives in a temporary directory and is gone afterwards.  Each line
# shown behind a prompt is run as shown.  If a run does not end as the story
# says, the demo fails.

set -euo pipefail
cd "$(dirname "$0")/.."
. test/lib.sh
export PG_CONFIG=${PG_CONFIG:-pg_config}

if [ -n "${DF_COLOR:-}" ] || [ -t 1 ]; then
	bold=$'\e[1m' dim=$'\e[2m' green=$'\e[32m' blue=$'\e[34m' red=$'\e[31m' plain=$'\e[0m' pause=${DF_PAUSE:-1}
	export DF_COLOR=1
else
	bold='' dim='' green='' blue='' red='' plain='' pause=${DF_PAUSE:-0}
fi
export DF_PAUSE=$pause

# ---- the server and the systems ---------------------------------------------------

start_server()
{
	initdb -D "$work/data" -U postgres -A trust -E UTF8 --no-locale >"$work/initdb.log"
	cat >>"$work/data/postgresql.conf" <<-CONF
	shared_preload_libraries = 'dataflows'
	listen_addresses = ''
	unix_socket_directories = '$work/tmp'
	max_worker_processes = 16
	CONF
	pg_ctl -D "$work/data" -l "$work/server.log" -w start >/dev/null
	export PGHOST=$work/tmp PGPORT=5432 PGDATABASE=shop PGUSER=app
	psql -X -q -U postgres -d postgres -c 'CREATE DATABASE shop' -c 'CREATE ROLE app LOGIN'
}

start_systems()
{
	local i

	# it ends when this shell does, because its stdin is closed then
	mkfifo "$work/stdin"
	python3 test/systems/systems.py --port-file "$work/ports" --books "$work/books" --seed 1 --with-stdin \
		<"$work/stdin" &
	exec 7>"$work/stdin"
	for ((i = 0; i < 200; i++)); do
		[ -e "$work/ports" ] && return
		sleep 0.05
	done
	fail "the four systems do not start"
}

stop_all()
{
	pg_ctl -D "$work/data" -m fast stop >/dev/null 2>&1 || true
	exec 7>&-
}

url() { python3 -c 'import json, sys; print(json.load(open(sys.argv[1]))[sys.argv[2]])' "$work/ports" "$1"; }

# tell <system> <rule>: the system misbehaves from now on
tell()
{
	python3 -c 'import sys, urllib.request as u; u.urlopen(sys.argv[1] + "/_faults", sys.argv[2].encode())' \
		"$(url "$1")" "$2"
}

create_objects()
{
	local name

	psql -X -q -U postgres <<-SQL
	CREATE EXTENSION dataflows;
	GRANT EXECUTE ON FUNCTION dataflows.define_workflow TO app;
	GRANT CREATE ON SCHEMA public TO app;
	SQL
	for name in identity billing crm email; do
		psql -X -q -U postgres <<-SQL
		CREATE SERVER $name FOREIGN DATA WRAPPER dataflows OPTIONS (url '$(url $name)', allow_private 'true',
		  idempotency_header 'Idempotency-Key', retry_initial '200ms');
		GRANT USAGE ON FOREIGN SERVER $name TO app;
		SQL
	done
}

# ---- telling ------------------------------------------------------------------------

scene() { printf '\n%s== %s%s\n' "$bold$blue" "$*" "$plain"; sleep "$pause"; }
tale() { printf '%s%s%s\n' "$dim" "$*" "$plain"; }
fail() { printf '%s%s%s\n' "$red" "$*" "$plain" >&2; tail -n 30 "$work/server.log" >&2; exit 1; }

# sql <statement>: shown behind a prompt, then run
sql()
{
	printf '\n%sshop=>%s %s\n' "$green" "$plain" "$1"
	psql -X -q -P pager=off -P footer=off -c "$1"
	sleep "$pause"
}

ask() { psql -X -q -A -t -c "$1"; }

# books <address>: what the four systems themselves say of it
books()
{
	printf '\n%sthe books of the four systems on %s%s\n' "$bold" "$1" "$plain"
	python3 - "$work/ports" "$1" <<-'PYTHON'
	import json, sys, urllib.request
	urls = json.load(open(sys.argv[1]))
	for name in ("identity", "billing", "crm", "email"):
	    with urllib.request.urlopen(urls[name] + "/_books") as answer:
	        found = [r for r in json.load(answer)["records"] if r["email"] == sys.argv[2]]
	    for record in found:
	        print("  %-9s %-14s %s" % (name, record["id"], "deleted again" if record["deleted_at"] else "there"))
	    if not found:
	        print("  %-9s -" % name)
	PYTHON
	sleep "$pause"
}

# expect <key> <state>: the run of that signup gets there within ten seconds
expect()
{
	local i state

	for ((i = 0; i < 200; i++)); do
		state=$(ask "SELECT state FROM dataflows.runs WHERE key = '$1'")
		[ "$state" = "$2" ] && return
		sleep 0.05
	done
	psql -X -x -c 'SELECT * FROM dataflows.runs' -c 'SELECT * FROM dataflows.attempts' >&2
	fail "the run of signup $1 is $state, not $2"
}

run_of() { ask "SELECT run FROM dataflows.runs WHERE key = '$1'"; }

# ---- the story -------------------------------------------------------------------------

workflow()
{
	cat <<-'SQL'
	CREATE FUNCTION customer_onboarding(event jsonb) RETURNS jsonb LANGUAGE plpgsql AS $$
	DECLARE
	  account  jsonb;
	  customer jsonb;
	BEGIN
	  account := dataflows.post('create-account', 'identity', '/users',
	               jsonb_build_object('email', event->>'email'), undo => 'DELETE /users/{id}');
	  customer := dataflows.post('create-billing', 'billing', '/customers',
	               jsonb_build_object('email', event->>'email', 'metadata', jsonb_build_object('account', account->>'id')),
	               undo => 'DELETE /customers/{id}');
	  PERFORM dataflows.post('create-crm-contact', 'crm', '/contacts',
	               jsonb_build_object('name', event->>'name', 'email', event->>'email', 'customer', customer->>'id'),
	               undo => 'DELETE /contacts/{id}');
	  IF dataflows.wait_for('email-confirmed', timeout => '7 days') IS NULL THEN
	    RAISE EXCEPTION 'address never confirmed';          -- everything above is undone, newest first
	  END IF;
	  PERFORM dataflows.post('send-welcome', 'email', '/send',
	               jsonb_build_object('to', event->>'email', 'template', 'welcome'), doubt => 'accept');
	  RETURN jsonb_build_object('accountId', account->'id', 'customerId', customer->'id');
	END $$;

	CREATE TABLE signups (id int GENERATED ALWAYS AS IDENTITY PRIMARY KEY, email text, name text);
	SELECT dataflows.define_workflow('customer-onboarding', 'customer_onboarding');
	CREATE TRIGGER onboard AFTER INSERT ON signups FOR EACH ROW
	  EXECUTE FUNCTION dataflows.start_on_insert('customer-onboarding', 'id');
	SQL
}

tell_of_ada()
{
	local run

	scene "Ada signs up"
	tale "The CRM is having a bad day: it will answer 503 twice."
	tell crm '{"match": {"method": "POST"}, "status": 503, "times": 2}'
	sql "INSERT INTO signups (email, name) VALUES ('ada@example.com', 'Ada');"
	expect 1 waiting
	run=$(run_of 1)
	sql "SELECT key, state, step, waiting_for FROM dataflows.runs;"
	sql "SELECT * FROM dataflows.timeline('$run');"
	tale "It waits for her to confirm her address, for days if need be, as a row and not as a process."
	books ada@example.com

	scene "Ada clicks the link in her mail, and somebody rings the bell"
	sql "NOTIFY dataflows, '{\"run\": \"$run\", \"event\": \"email-confirmed\"}';"
	expect 1 completed
	sql "SELECT state, jsonb_pretty(result) AS result FROM dataflows.runs WHERE key = '1';"
	sql "SELECT * FROM dataflows.timeline('$run');"
	books ada@example.com
}

tell_of_bob()
{
	local run

	scene "Bob signs up, and billing refuses him for good"
	tell billing '{"match": {"email": "^bob@", "method": "POST"}, "status": 402, "body": {"error": "card declined"}}'
	books bob@example.com
	sql "INSERT INTO signups (email, name) VALUES ('bob@example.com', 'Bob');"
	expect 2 rolled_back
	run=$(run_of 2)
	sql "SELECT state, error->>'message' AS error FROM dataflows.runs WHERE key = '2';"
	sql "SELECT step, state, status, undo, undo_state FROM dataflows.steps WHERE run = '$run' ORDER BY n;"
	tale "The account that had been made for him was deleted again: no half-created customer."
	books bob@example.com
}

run_inside()
{
	local began=$SECONDS

	work=$DF_WORK
	PATH="$("$PG_CONFIG" --bindir):$PATH"
	export LC_ALL=C.UTF-8
	trap stop_all EXIT
	start_systems
	start_server
	create_objects
	scene "A workflow is a function"
	workflow
	workflow | psql -X -q -o /dev/null
	tell_of_ada
	tell_of_bob
	printf '\n%sThat was all, in %d s. The server and the systems are gone now.%s\n' "$bold" $((SECONDS - began)) "$plain"
}

if [ -n "${DF_WORK:-}" ]; then
	run_inside
else
	test/setup.sh demo
	run_aside test/demo.sh
fi
