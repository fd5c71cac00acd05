#!/bin/bash
#
# make demo: the story of four signups, told on a throwaway server to somebody who has never seen
# dataflows.
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

tell_what_comes()
{
	scene "What you are going to see"
	tale "A shop gets signups. For each one it must create an account, a customer in billing and" \
		"a contact in the CRM, wait until the address is confirmed, and send a mail. These are" \
		"four systems of others, reached by HTTP: any of them may be slow, away, or say no, at" \
		"any moment. Nobody wants half a customer."
	tale ""
	tale "With dataflows that is one function in PostgreSQL. This demo has started a server and" \
		"four small systems on this machine, and plays four signups. Lines behind shop=> (SQL)" \
		"and \$ (shell) are run as you see them."
}

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

# show_run <key>: a run as a picture
show_run()
{
	sql "SELECT * FROM dataflows.timeline(dataflows.run_of('customer-onboarding', '$1'));"
}

tell_of_ada()
{
	scene "1. Ada signs up, while the CRM is in maintenance"
	tale "It will answer 503 twice. An INSERT is all that the shop does:"
	tell crm '{"match": {"method": "POST"}, "status": 503, "times": 2,
		"body": {"error": "maintenance"}}'
	sql "INSERT INTO signups (email, name) VALUES ('ada@example.com', 'Ada');"
	expect 1 waiting
	tale ""
	tale "The INSERT has started a run of the workflow, in the same transaction. Its key is the" \
		"row's id:"
	sql "SELECT key, state, waiting_for FROM dataflows.runs;"
	show_run 1
	tale "Time goes from left to right. The CRM failed twice, and was asked again. Now the run" \
		"waits until Ada confirms her address, for seven days if need be: as a row in a table," \
		"not as a process."
	books ada@example.com

	scene "   She clicks the link in her mail"
	tale "The web site says so, and the run goes on where it was:"
	sql "SELECT dataflows.signal_by_key('customer-onboarding', '1', 'email-confirmed');"
	expect 1 completed
	sql "SELECT state, result FROM dataflows.runs WHERE key = '1';"
	show_run 1
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

	scene "4. Cleo signs up on a web site that has no access to the database"
	tale "The server can be called, too. This makes a webhook that starts a run:"
	sql "SELECT dataflows.create_webhook('/signup', starts => 'customer-onboarding',
  key => '\$.email');"
	shell "curl -s http://127.0.0.1:$port/signup \\
  -d '{\"email\": \"cleo@example.com\", \"name\": \"Cleo\"}'"
	expect cleo@example.com waiting
	run=$(run_of cleo@example.com)
	[[ $answer == *$run* ]] || fail "the webhook answered $answer, but the run is $run"
	tale ""
	tale "And this makes a link for her mail. It shows a page with a button, which confirms her" \
		"address:"
	sql "SELECT dataflows.event_url('$run', 'email-confirmed');"
	link=$(ask "SELECT dataflows.event_url('$run', 'email-confirmed')")
	tale "She presses the button."
	curl -sf -o /dev/null -X POST "$link" || fail "the link does not work"
	expect cleo@example.com completed
	show_run cleo@example.com
	books cleo@example.com
}

# with DF_LOOK=seconds the server stays so long, to be looked at, with a run that waits and one
# that needs a person
show_page()
{
	local token page=http://127.0.0.1:$port/page/

	curl -sf "$page" | grep -q '<title>dataflows' || fail "the page is not there"
	token=$(ask "SELECT dataflows.dashboard_token()")
	[ -n "${DF_LOOK:-}" ] || return 0
	psql -X -q -c "INSERT INTO signups (email, name) VALUES ('eve@example.com', 'Eve')"
	expect 4 waiting
	tell crm '{"match": {"method": "POST", "email": "^finn@"}, "status": 403, "times": 1,
		"body": {"error": "your contract does not include contacts"}}'
	psql -X -q -c "INSERT INTO signups (email, name) VALUES ('finn@example.com', 'Finn')"
	expect 5 stuck
	scene "Now look at it yourself"
	tale "Open this page in a browser on this machine:"
	printf '\n    %s%s%s\n\n' "$bold" "$page" "$plain"
	tale "It asks for a token, which stands for what the role app may see and do. This is one:"
	printf '\n    %s%s%s\n\n' "$bold" "$token" "$plain"
	tale "(Is this machine far away? On yours: ssh -L $port:127.0.0.1:$port NAME-OF-THIS-MACHINE," \
		"then open the same address.)"
	tale ""
	tale "Two more have signed up meanwhile. Eve (key 4) has not confirmed her address: her run" \
		"waits. Finn (key 5) needs a person: the CRM said 403. Open his run, read why, and press" \
		"Retry: the CRM lets him in now. Bob's run (key 2) shows what was taken back."
	tale ""
	tale "The server stays for $DF_LOOK seconds; Ctrl-C ends it sooner."
	[ -z "${DISPLAY:-}${WAYLAND_DISPLAY:-}" ] || xdg-open "$page" >/dev/null 2>&1 || true
	sleep "$DF_LOOK"
}

tell_of_bob()
{
	scene "2. Bob signs up, and billing refuses his card"
	tell billing '{"match": {"email": "^bob@", "method": "POST"}, "status": 402,
		"body": {"error": "card declined"}}'
	sql "INSERT INTO signups (email, name) VALUES ('bob@example.com', 'Bob');"
	expect 2 rolled_back
	sql "SELECT state, reason FROM dataflows.runs WHERE key = '2';"
	tale "His account had been created before billing said no. Its step says what takes it back" \
		"(undo => 'DELETE /users/{id}'), and that was done:"
	sql "SELECT step, state, status, undo, undo_state FROM dataflows.steps WHERE key = '2'
  ORDER BY n;"
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
	scene "3. Dora signs up, and a developer deploys a typo"
	sql "INSERT INTO signups (email, name) VALUES ('dora@example.com', 'Dora');"
	expect 3 waiting
	tale ""
	tale "While her run waits, the function is replaced by one that calls jsonb_build_objekt." \
		"Then she confirms her address:"
	deploy "s/jsonb_build_object('to'/jsonb_build_objekt('to'/"
	sql "SELECT dataflows.signal_by_key('customer-onboarding', '3', 'email-confirmed');"
	expect 3 stuck
	sql "SELECT key, reason FROM dataflows.stuck;"
	tale "A mistake touches no customer: the run is stuck, and nothing of Dora's is taken back:"
	books dora@example.com
	tale ""
	tale "The developer repairs the function, and sends the run on:"
	deploy ''
	sql "SELECT dataflows.retry(run, 'typo repaired') FROM dataflows.stuck;"
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
	tell_what_comes
	scene "The workflow: a function, and a trigger that starts it"
	workflow
	tale ""
	tale "Each dataflows.post() is a step: it is recorded, repeated while a system is away (with" \
		"a key, by which the system does it once), and taken back by its undo if the signup fails."
	workflow | psql -X -q -o /dev/null
	tell_of_ada
	tell_of_bob
	tell_of_dora
	open_ingress
	tell_of_cleo
	show_page
	printf '\n%sThat was all, in %d s. The server and the systems are gone now.%s\n' "$bold" \
		$((SECONDS - began)) "$plain"
	[ -n "${DF_LOOK:-}" ] ||
		tale "To look at these runs in a browser: DF_LOOK=600 make demo keeps the server for ten" \
			"minutes."
	tale "To write a workflow of your own, in fifteen minutes: docs/first-run.md"
}

if [ -n "${DF_WORK:-}" ]; then
	run_inside
else
	test/setup.sh demo
	run_aside test/demo.sh
fi
