# The story of the sales review; sourced by examples/run.sh.

psql -X -q -c "UPDATE review_policy SET remind_after = '600 ms', reminders = 2"
tale "(For the story a reminder is due after 600 ms instead of a day, and two are enough.)"

scene "Ada applies, and waits for somebody of sales"
sql "INSERT INTO applications (email, company) VALUES ('ada@example.com', 'Analytical Engines');" \
	web
expect 1 waiting 'reviewed by sales'
tale "What others say does not count as a review, not even the owner's word: wait_for(...," \
	"by => 'sales')."
sql "SELECT dataflows.signal_by_key('sales-review', '1', 'reviewed',
	'{\"verdict\": \"approved\"}');" app
must "nobody reviews at once: a reminder is sent" \
	"SELECT count(*) > 0 FROM dataflows.steps WHERE key = '1' AND step = 'remind-sales'
		AND state = 'done'" t
tale "Now Grace looks at it."
sql "SELECT dataflows.signal_by_key('sales-review', '1', 'reviewed',
	'{\"verdict\": \"approved\"}');" grace
must "she is approved, and her first payment is waited for" \
	"SELECT state || ' at ' || step FROM dataflows.runs WHERE key = '1'" "waiting at wait_any"
sql "SELECT key, state, waiting_for FROM dataflows.runs;"

scene "The bank announces a payment, and settles it"
tale "It knows billing's id of the customer, not ours: the run has it as an alias."
customer=$(ask "SELECT output->>'id' FROM dataflows.steps WHERE key = '1'
	AND step = 'create-billing'")
sql "INSERT INTO payments (customer, amount) VALUES ('$customer', 99.50);" bank
sql "UPDATE payments SET state = 'settled' WHERE customer = '$customer';" bank
expect 1 completed
sql "SELECT sent_by, event, consumed_by, state FROM dataflows.signals WHERE run = '$(run_of 1)'
	ORDER BY id;"
timeline 1
books ada@example.com

scene "Bob is rejected"
sql "INSERT INTO applications (email, company) VALUES ('bob@example.com', 'Kites');" web
expect 2 waiting 'reviewed by sales'
sql "SELECT dataflows.signal_by_key('sales-review', '2', 'reviewed', '{\"verdict\": \"rejected\",
	\"why\": \"no company\"}');" grace
expect 2 rolled_back
timeline 2
books bob@example.com

scene "Nobody of sales looks at Cy's application"
sql "INSERT INTO applications (email, company) VALUES ('cy@example.com', 'Cyclades');" web
expect 3 rolled_back
timeline 3

scene "Dan is approved, and never pays"
tale "A new version with a deadline of two seconds instead of 30 days; runs under way would keep" \
	"theirs."
sql "SELECT dataflows.define_workflow('sales-review', 'sales_review', 
	on_failure => 'tell_applicant', deadline => '2 s');"
sql "INSERT INTO applications (email, company) VALUES ('dan@example.com', 'Dandelions');" web
expect 4 waiting 'reviewed by sales'
sql "SELECT dataflows.signal_by_key('sales-review', '4', 'reviewed',
	'{\"verdict\": \"approved\"}');" grace
expect 4 rolled_back
timeline 4
books dan@example.com

scene "What was promised"
must "one of four is a customer" "SELECT string_agg(state, ', ' ORDER BY started_at)
	FROM dataflows.runs" \
	"completed, rolled_back, rolled_back, rolled_back"
must_live "Ada is in three systems" ada@example.com "1/1/1/0 of 1/1/1/0"
promise "the CRM knows that she is won" "$(record crm ada@example.com stage)" won
promise "and who had approved her" "$(record crm ada@example.com by)" grace
must_live "Bob is nowhere, he never got to billing, and was told" bob@example.com \
	"0/0/0/1 of 1/0/1/1"
must_live "neither is Cy" cy@example.com "0/0/0/1 of 1/0/1/1"
must_live "nor Dan, whose customer in billing is deleted again" dan@example.com "0/0/0/1 of 1/1/1/1"
must "what the owner had signalled in place of sales was not counted" \
	"SELECT count(*) FROM dataflows.signals WHERE sent_by = 'app' AND consumed_by IS NOT NULL" 0
must "Cy's reminders were sent, and no more" "SELECT count(*) FROM dataflows.steps WHERE key = '3'
	AND step LIKE 'remind-sales%'" 2
must_nothing_open
