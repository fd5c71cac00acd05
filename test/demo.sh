#!/bin/bash
#
# make demo: the story of four signups, told on a throwaway server.
#
# Everything lives in a temporary directory and is gone afterwards.  Each line
# shown behind a prompt is run as shown.  If a run does not end as the story
# says, the demo fails.

set -euo pipefail
cd "$(dirname "$0")/.."
. test/lib.sh
. test/stage.sh
export PG_CONFIG=${PG_CONFIG:-pg_config}

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
		CREATE SERVER $name FOREIGN DATA WRAPPER dataflows OPTIONS (
		  url '$(url $name)', allow_private 'true',
		  idempotency_header 'Idempotency-Key', retry_initial '200ms');
		GRANT USAGE ON FOREIGN SERVER $name TO app;
		SQL
	done
}

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
	               jsonb_build_object('email', event->>'email',
	                 'metadata', jsonb_build_object('account', account->>'id')),
	               undo => 'DELETE /customers/{id}');
	  PERFORM dataflows.post('create-crm-contact', 'crm', '/contacts',
	               jsonb_build_object('name', event->>'name', 'email', event->>'email',
	                 'customer', customer->>'id'),
	               undo => 'DELETE /contacts/{id}');
	  IF dataflows.wait_for('email-confirmed', timeout => '7 days') IS NULL THEN
	    -- everything above is undone, newest first
	    RAISE EXCEPTION 'address never confirmed';
	  END IF;
	  PERFORM dataflows.post('send-welcome', 'email', '/send',
	               jsonb_build_object('to', event->>'email', 'template', 'welcome'),
	               doubt => 'accept');
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
	tale "It waits for her to confirm her address, for days if need be, as a row and not as a" \
		"process."
	books ada@example.com

	scene "Ada clicks the link in her mail, and somebody rings the bell"
	sql "NOTIFY dataflows, '{\"run\": \"$run\", \"event\": \"email-confirmed\"}';"
	expect 1 completed
	sql "SELECT state, jsonb_pretty(result) AS result FROM dataflows.runs WHERE key = '1';"
	sql "SELECT * FROM dataflows.timeline('$run');"
	books ada@example.com
}

# webhooks are heard on a port of this machine alone, as a role that may nothing
open_ingress()
{
	port=$(python3 -c 'import socket
s = socket.socket(); s.bind(("127.0.0.1", 0)); print(s.getsockname()[1])')
	psql -X -q -o /dev/null -U postgres <<-SQL
	CREATE ROLE hearer LOGIN;
	ALTER SYSTEM SET dataflows.ingress_role = 'hearer';
	ALTER SYSTEM SET dataflows.public_url = 'http://127.0.0.1:$port';
	ALTER SYSTEM SET dataflows.dashboard = on;
	ALTER SYSTEM SET dataflows.listen = '127.0.0.1:$port';
	SELECT pg_reload_conf();
	SQL
	for ((i = 0; i < 200; i++)); do
		curl -sf -o /dev/null "http://127.0.0.1:$port/ready" && return
		sleep 0.05
	done
	fail "nobody listens on port $port"
}

# shown behind a prompt, then run; what comes back is left in $answer
shell()
{
	printf '\n%s$%s %s\n' "$green" "$plain" "$1"
	answer=$(bash -c "$1") || fail "$answer"
	printf '%s\n' "$answer"
	sleep "$pause"
}

tell_of_cleo()
{
	local link run

	scene "Cleo signs up on a web site that knows nothing but a URL"
	sql "SELECT dataflows.create_webhook('/signup', starts => 'customer-onboarding', key =>
		'\$.email');"
	shell "curl -s -d '{\"email\": \"cleo@example.com\", \"name\": \"Cleo\"}' \
		http://127.0.0.1:$port/signup"
	expect cleo@example.com waiting
	run=$(run_of cleo@example.com)
	[[ $answer == *$run* ]] || fail "the webhook answered $answer, but the run is $run"
	tale "The answer came after the commit. The mail that she gets may have this link, which" \
		"shows a page with a button:"
	sql "SELECT dataflows.event_url('$run', 'email-confirmed');"
	link=$(ask "SELECT dataflows.event_url('$run', 'email-confirmed')")
	tale "She presses it."
	curl -sf -o /dev/null -X POST "$link" || fail "the link does not work"
	expect cleo@example.com completed
	timeline cleo@example.com
	books cleo@example.com
}

# with DF_LOOK=seconds the server stays so long, to be looked at
show_page()
{
	scene "And all of it to look at"
	sql "SELECT dataflows.dashboard_token();"
	tale "With that token anybody sees what app sees, on http://127.0.0.1:$port/page/"
	curl -sf "http://127.0.0.1:$port/page/" | grep -q '<title>dataflows' ||
		fail "the page is not there"
	if [ -z "${DF_LOOK:-}" ]; then
		tale "(DF_LOOK=600 make demo leaves it there for ten minutes.)"
		return
	fi
	tale "The server stays for $DF_LOOK seconds."
	sleep "$DF_LOOK"
}

tell_of_bob()
{
	local run

	scene "Bob signs up, and billing refuses him for good"
	tell billing '{"match": {"email": "^bob@", "method": "POST"}, "status": 402,
		"body": {"error": "card declined"}}'
	books bob@example.com
	sql "INSERT INTO signups (email, name) VALUES ('bob@example.com', 'Bob');"
	expect 2 rolled_back
	run=$(run_of 2)
	sql "SELECT state, error->>'message' AS error FROM dataflows.runs WHERE key = '2';"
	sql "SELECT step, state, status, undo, undo_state FROM dataflows.steps WHERE run = '$run'
		ORDER BY n;"
	tale "The account that had been made for him was deleted again: no half-created customer."
	books bob@example.com
}

# the function of the workflow, deployed again through a filter
deploy()
{
	workflow | sed -n '1,/^END/p' | sed "s/^CREATE FUNCTION/CREATE OR REPLACE FUNCTION/; $1" |
		psql -X -q -o /dev/null || fail "the function cannot be deployed"
}

tell_of_dora()
{
	local run

	scene "Dora signs up, and somebody deploys a typo"
	sql "INSERT INTO signups (email, name) VALUES ('dora@example.com', 'Dora');"
	expect 3 waiting
	run=$(run_of 3)
	tale "While her run waits, the function is replaced: jsonb_build_objekt('to', ..."
	deploy "s/jsonb_build_object('to'/jsonb_build_objekt('to'/"
	sql "SELECT dataflows.signal_by_key('customer-onboarding', '3', 'email-confirmed');"
	expect 3 stuck
	sql "SELECT key, reason FROM dataflows.stuck;"
	books dora@example.com
	tale "A mistake touches no customer: nothing is undone. The function is deployed again," \
		"without the typo."
	deploy ''
	sql "SELECT dataflows.retry('$run', 'repaired');"
	expect 3 completed
	books dora@example.com
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
	tell_of_dora
	open_ingress
	tell_of_cleo
	show_page
	printf '\n%sThat was all, in %d s. The server and the systems are gone now.%s\n' "$bold" \
		$((SECONDS - began)) "$plain"
}

if [ -n "${DF_WORK:-}" ]; then
	run_inside
else
	test/setup.sh demo
	run_aside test/demo.sh
fi
