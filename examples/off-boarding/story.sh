# The story of the off-boarding; sourced by examples/run.sh.

scene "Three customers, as the onboarding left them in the systems"
python3 - "$work/ports" >"$work/customers.sql" <<'PYTHON'
import json, sys, urllib.request
urls = json.load(open(sys.argv[1]))
def make(system, things, email):
    body = json.dumps({"email": email, "subscription": "active"}).encode()
    request = urllib.request.Request(urls[system] + things, body,
                                     {"Content-Type": "application/json"})
    return json.load(urllib.request.urlopen(request))["id"]
for name in ("ada", "bob", "cy"):
    email = name + "@example.com"
    print("INSERT INTO customers (email, account, customer, contact)"
          " VALUES ('%s', '%s', '%s', '%s');" % (
              email, make("identity", "/users", email), make("billing", "/customers", email),
              make("crm", "/contacts", email)))
print("INSERT INTO orders VALUES (1, 'a loom', 120), (1, 'punched cards', 7.5), (2, 'a kite', 3);")
print("INSERT INTO legal_holds VALUES (2, 'a lawsuit about the kite');")
PYTHON
psql -X -q -v ON_ERROR_STOP=1 -f "$work/customers.sql"
sql "SELECT * FROM customers;"

scene "Ada leaves"
sql "INSERT INTO leaving (customer) VALUES (1);" support
expect 1 completed
timeline 1
sql "SELECT * FROM exports;"
books ada@example.com

scene "Bob wants to leave, but may not: there is a legal hold"
sql "INSERT INTO leaving (customer) VALUES (2);" support
expect 2 rolled_back
sql "SELECT error->>'message' AS error FROM dataflows.runs WHERE key = '2';"
timeline 2
tale "His subscription is active again, and support has a mail."
books bob@example.com

scene "Cy leaves, but the CRM refuses: beyond the point of no return nothing is undone, a person" \
	"is called"
tell crm '{"match": {"method": "DELETE", "email": "^cy@"}, "status": 422, "times": 1,
	"body": {"error": "an open ticket"}}'
sql "INSERT INTO leaving (customer) VALUES (3);" support
expect 3 stuck
sql "SELECT key, reason, remedy FROM dataflows.stuck;"
tale "Somebody closes the ticket, and says so."
sql "SELECT dataflows.retry(run) FROM dataflows.stuck WHERE key = '3';"
expect 3 completed
timeline 3

scene "Ada is forgotten here, too"
sql "SELECT dataflows.forget('off-boarding', '1');"
sql "SELECT key, state, input, result FROM dataflows.runs WHERE workflow = 'off-boarding'
	ORDER BY started_at;"

scene "What was promised"
must "two have left, one has not" "SELECT string_agg(state, ', ' ORDER BY started_at)
	FROM dataflows.runs" \
	"completed, rolled_back, completed"
must_live "Ada is nowhere any more, and had one mail" ada@example.com "0/0/0/1 of 1/1/1/1"
must_live "Cy neither" cy@example.com "0/0/0/1 of 1/1/1/1"
must_live "Bob is where he was" bob@example.com "1/1/1/0 of 1/1/1/0"
must_live "support was told once" support@example.com "0/0/0/1 of 0/0/0/1"
must "each of those who left was exported once, and only they" \
	"SELECT string_agg(customer || ': ' || jsonb_array_length(data->'orders'), ', '
		ORDER BY customer) FROM exports" "1: 2, 3: 0"
must "our tables know only Bob" "SELECT string_agg(email, ', ') FROM customers" bob@example.com
must "Bob's subscription was cancelled, and is active again" \
	"SELECT string_agg(step || ' ' || undo_state, ', ' ORDER BY n)
	FROM dataflows.steps WHERE key = '2' AND undo_state <> 'none'" "cancel-subscription undone"
promise "billing says so too" "$(record billing bob@example.com subscription)" active
PGUSER=postgres must "no run, step or signal names Ada" \
	"SELECT count(*) FROM dataflows.run r, dataflows.step s
	WHERE r.run = s.run AND (r::text || s::text) LIKE '%ada@%'" 0
must_nothing_open
