# The story of the onboarding; sourced by examples/run.sh.

command_to billing _config '{"bearer": "sk_test_example"}'
command_to identity _config '{"idempotency": false}'
command_to crm _config '{"idempotency": false}'

scene "Ada signs up, and the CRM loses an answer"
tale "It will create her contact and drop the connection: was it carried out? Without a key only" \
	"a look can tell."
tell crm '{"match": {"method": "POST", "email": "^ada@"}, "fault": "lost", "times": 1}'
sql "INSERT INTO signups (email, name, plan) VALUES ('ada@example.com', 'Ada', 'pro');" web
expect 1 waiting email-confirmed
sql "SELECT step, attempt, outcome, error FROM dataflows.attempts WHERE key = '1';"
tale "The probe found the contact that names this run, and adopted it."
sql "SELECT n, step, state, request, undo FROM dataflows.steps WHERE key = '1' ORDER BY n;"
books ada@example.com

scene "She clicks the link in her mail"
sql "SELECT dataflows.signal_by_key('customer-onboarding', '1', 'email-confirmed',
	'{\"via\": \"link\"}');"
expect 1 completed
timeline 1
sql "SELECT body FROM dataflows.steps WHERE key = '1' AND step = 'create-billing';"
tale "That is what went to billing: a form, with the nested metadata as metadata[...]."

scene "Bob signs up, and billing refuses his card"
tell billing '{"match": {"method": "POST", "email": "^bob@"}, "status": 402,
	"body": {"error": "card declined"}}'
sql "INSERT INTO signups (email, name) VALUES ('bob@example.com', 'Bob');" web
expect 2 rolled_back
sql "SELECT state, error->>'message' AS error, error->'detail'->>'body' AS body
	FROM dataflows.runs WHERE key = '2';"
timeline 2
books bob@example.com

scene "Cy has an account already"
command_to identity users '{"email": "cy@example.com"}'
sql "INSERT INTO signups (email, name) VALUES ('cy@example.com', 'Cy');" web
expect 3 rolled_back
sql "SELECT state, error->>'message' AS error FROM dataflows.runs WHERE key = '3';"

scene "What was promised"
must "two signups of three failed, one is a customer" \
	"SELECT string_agg(key || ' ' || state, ', ' ORDER BY key) FROM dataflows.runs" \
	"1 completed, 2 rolled_back, 3 rolled_back"
must_live "Ada is in each system once, though an answer was lost" ada@example.com \
	"1/1/1/1 of 1/1/1/1"
must_live "Bob's account is deleted again, and he was nowhere else" bob@example.com \
	"0/0/0/0 of 1/0/0/0"
must_live "Cy's account that was there before is still there" cy@example.com "1/0/0/0 of 1/0/0/0"
must "the nested metadata arrived as a form" \
	"SELECT body LIKE '%metadata[plan]=pro%' OR body LIKE '%metadata%5Bplan%5D=pro%'
		FROM dataflows.steps WHERE key = '1' AND step = 'create-billing'" t
must_nothing_open
