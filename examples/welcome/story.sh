# The story of the welcome; sourced by examples/run.sh.

# vendors_have <address>: what is there, and was ever made, in Auth0, Stripe and HubSpot, and the
# mails that SendGrid sent: "1/1/1 of 1/1/1, 2 mails"
vendors_have()
{
	python3 - "$work/ports" "$1" <<-'PYTHON'
	import json, sys, urllib.request
	urls, who = json.load(open(sys.argv[1])), sys.argv[2]
	def books(name):
	    with urllib.request.urlopen(urls[name] + "/_books") as answer:
	        return json.load(answer)
	def of(things, email=lambda thing: thing["email"]):
	    return [thing for thing in things if email(thing) == who]
	auth0, stripe, hubspot = books("auth0"), books("stripe"), books("hubspot")
	contact = lambda thing: thing["properties"]["email"]
	users, customers = of(auth0["users"]), of(stripe["customers"])
	contacts = of(hubspot["contacts"], contact)
	print("%d/%d/%d of %d/%d/%d, %d mails" % (
	    len(users), len([c for c in customers if not c.get("deleted")]), len(contacts),
	    len(users + of(auth0["deleted"])), len(customers),
	    len(contacts + of(hubspot["archived"], contact)),
	    len(of(books("sendgrid")["mails"],
	           lambda mail: mail["personalizations"][0]["to"][0]["email"]))))
	PYTHON
}

# vendors_must <what> <address> <as vendors_have prints>
vendors_must() { promise "$1" "$(vendors_have "$2")" "$3"; }

waits='confirmed, unsubscribed or left'

scene "The week, with time skipped: who is silent, and who confirms on the fifth day"
sql "SELECT at, step, kind, outcome, output->>'ended_by' AS ended_by
	FROM dataflows.simulate('welcome',
	'{\"email\": \"ada@example.com\", \"name\": \"Ada\"}',
	'{\"create-user\": {\"user_id\": \"email|1\"}}');"
sql "SELECT at, step, kind, outcome, output->>'ended_by' AS ended_by
	FROM dataflows.simulate('welcome',
	'{\"email\": \"ada@example.com\", \"name\": \"Ada\"}',
	'{\"create-user\": {\"user_id\": \"email|1\"},
	\"event:confirmed\": {\"after\": \"3 days 12:00\"}}');"

scene "Ada signs up, and three vendors lose a response"
tale "Auth0 makes her user and drops the connection; so does Stripe with her customer, and" \
	"HubSpot with her contact. Stripe knows the key of the request, and responds to it again." \
	"The others have no keys: they are asked for what bears the mark of this run."
command_to auth0 _fault '{"match": "POST /api/v2/users", "fault": "lost"}'
command_to stripe _fault '{"match": "POST /v1/customers", "fault": "lost"}'
command_to hubspot _fault '{"match": "POST /crm/v3/objects/contacts", "fault": "lost"}'
sql "INSERT INTO signups (email, name) VALUES ('ada@example.com', 'Ada');" web
expect 1 waiting "$waits"
sql "SELECT step, attempt, outcome, error FROM dataflows.attempts WHERE key = '1';"
sql "SELECT n, step, state, request, undo FROM dataflows.steps WHERE key = '1' ORDER BY n;"

scene "She confirms"
sql "SELECT dataflows.signal_by_key('welcome', '1', 'confirmed');" web
expect 1 completed
sql "SELECT state, result FROM dataflows.runs WHERE key = '1';"
timeline 1

scene "Bob signs up, and Stripe declines his card"
command_to stripe _fault '{"match": "POST /v1/customers", "status": 402,
	"body": {"error": {"type": "card_error", "code": "card_declined"}}}'
sql "INSERT INTO signups (email, name) VALUES ('bob@example.com', 'Bob');" web
expect 2 rolled_back
sql "SELECT state, error->>'message' AS error FROM dataflows.runs WHERE key = '2';"
timeline 2

scene "Cy wants no mails, Dee leaves, Eve has heard nothing yet"
sql "INSERT INTO signups (email, name) VALUES ('cy@example.com', 'Cy'),
	('dee@example.com', 'Dee'), ('eve@example.com', 'Eve');" web
for key in 3 4 5; do expect $key waiting "$waits"; done
sql "SELECT dataflows.signal_by_key('welcome', '3', 'unsubscribed');" web
sql "SELECT dataflows.signal_by_key('welcome', '4', 'left');" web
expect 3 completed
expect 4 rolled_back
sql "SELECT key, state, waiting_for, date_trunc('day', wake_at - started_at) AS next_mail_after,
	result->>'ended_by' AS ended_by, error->>'message' AS error FROM dataflows.runs ORDER BY key;"

scene "What was promised"
must "each run ended as its customer wanted" \
	"SELECT string_agg(key || ' ' || state, ', ' ORDER BY key) FROM dataflows.runs" \
	"1 completed, 2 rolled_back, 3 completed, 4 rolled_back, 5 waiting"
must "three responses of Ada's were lost" \
	"SELECT string_agg(step, ', ' ORDER BY step) FROM dataflows.attempts
		WHERE key = '1' AND outcome = 'in_doubt'" \
	"create-contact, create-customer, create-user"
vendors_must "Ada is at each vendor once, and has one mail" \
	ada@example.com "1/1/1 of 1/1/1, 1 mails"
vendors_must "Bob's user is deleted again, and he was nowhere else" \
	bob@example.com "0/0/0 of 1/0/0, 0 mails"
vendors_must "Cy is a customer, and gets no more mails" cy@example.com "1/1/1 of 1/1/1, 1 mails"
vendors_must "Dee is nowhere any more" dee@example.com "0/0/0 of 1/1/1, 1 mails"
vendors_must "Eve is a customer, and has her first mail" eve@example.com "1/1/1 of 1/1/1, 1 mails"
must "no secret is in a run or a step" "SELECT count(*) FROM dataflows.steps s
	WHERE s::text ~ 'hush'" 0
must "Eve's second mail is due in three days" "SELECT wake_at - now() BETWEEN '2 days 23 hours'
	AND '3 days' FROM dataflows.runs WHERE key = '5'" t
sql "SELECT dataflows.signal_by_key('welcome', '5', 'confirmed');" web
expect 5 completed
must_nothing_open
