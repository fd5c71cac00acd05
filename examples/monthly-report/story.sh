# The story of the monthly report; sourced by examples/run.sh.

psql -X -q -v ON_ERROR_STOP=1 <<'SQL'
INSERT INTO region_managers VALUES ('north', 'nora@example.com'), ('south', 'said@example.com'),
  ('west', 'wanda@example.com');
INSERT INTO orders
  SELECT region, date_trunc('month', now() AT TIME ZONE 'UTC')::date + days, amount
    FROM (VALUES ('north', -1, 100), ('north', -5, 20.5), ('south', -3, 7), ('south', 0, 1000),
      ('west', -40, 1000)) v (region, days, amount);
INSERT INTO orders VALUES ('north', '2020-03-02', 50), ('west', '2020-03-31', 5),
  ('west', '2020-04-01', 1000);
SQL

# what pg_cron runs when the time has come; twice, at one and the same time
fire_twice()
{
	local command

	command=$(PGUSER=postgres ask "SELECT command FROM cron.job
		WHERE jobname = 'dataflows.monthly-report'")
	psql -X -q -1 -o /dev/null -v ON_ERROR_STOP=1 -U postgres -c "$command" -c "$command"
}

# mails <address>: what the mail server has accepted for it, a line for each
mails()
{
	python3 test/systems/smtp.py --book "$work/mailbook" --show | python3 -c '
import json, sys
for mail in json.load(sys.stdin):
    if sys.argv[1] in mail.get("headers", {}).get("To", ""):
        print(mail["headers"]["Subject"] + ":", ", ".join(kind for kind, *_ in mail["parts"]))
        for kind, text, *_ in mail["parts"] if len(sys.argv) > 2 else ():
            print("  | " + text.rstrip().replace("\n", "\n  | "))' "$@"
}

month=$(ask "SELECT to_char(now() AT TIME ZONE 'UTC' - interval '1 month', 'YYYY-MM')")

scene "The report is scheduled, and its time has come"
sql "SELECT name, cron, workflow, owner, active FROM dataflows.schedules;"
tale "The story cannot wait for the first of the month: what pg_cron would run then is run now," \
	"twice by mistake."
fire_twice
must "it was started once" "SELECT count(*) FROM dataflows.runs WHERE workflow = 'monthly-report'" 1
key=$(ask "SELECT key FROM dataflows.runs WHERE workflow = 'monthly-report'")
expect "$key" completed
timeline "$key"
sql "SELECT * FROM figures ORDER BY month, region;"
mails board@example.com show

scene "The server is killed while a report is under way"
tale "The CRM is slow to answer the children's requests; the figures have been computed."
tell crm '{"match": {"method": "POST"}, "fault": "latency", "ms": 3000, "times": 3}'
sql "SELECT dataflows.start('monthly-report',
	'{\"month\": \"2020-03-01\", \"to\": \"auditors@example.com\"}', 'march');"
must "its children are under way" "SELECT count(*) FROM dataflows.steps
	WHERE workflow = 'region-report' AND state = 'sent'" 3
pg_ctl -D "$work/data" -l "$work/server.log" -m immediate -w restart >/dev/null
expect march completed
timeline march
mails auditors@example.com

scene "A report goes to a mailbox that is no more"
sql "SELECT dataflows.start('monthly-report',
	'{\"month\": \"2020-02-01\", \"to\": \"nobody-board@example.com\"}', 'february');"
expect february rolled_back
sql "SELECT error->>'message' AS error, error->'detail'->>'body' AS body FROM dataflows.runs
	WHERE key = 'february';"
timeline february

scene "What was promised"
must "the figures of each month are there once, those of February not" \
	"SELECT string_agg(concat_ws(' ', to_char(month, 'YYYY-MM'), region, orders, amount), ', '
		ORDER BY month, region) FROM figures" \
	"2020-03 north 1 50, 2020-03 south 0 0, 2020-03 west 1 5, $month north 2 120.5,"\
" $month south 1 7, $month west 0 0"
promise "the board has one mail, of text and HTML" "$(mails board@example.com | grep -v nobody)" \
	"Orders in $month: text/plain, text/html"
promise "the auditors too, though the server was killed" "$(mails auditors@example.com)" \
	"Orders in 2020-03: text/plain, text/html"
promise "nobody has the one that was refused" "$(mails nobody-board@example.com)" ""
for manager in nora said wanda; do
	must_live "$manager has a note of two months, that of February is deleted again" \
		"$manager@example.com" "0/0/2/0 of 0/0/3/0"
done
must "as many notes are kept as reports went through" \
	"SELECT string_agg(state || ' ' || n, ', ' ORDER BY state) FROM (SELECT state, count(*) AS n
		FROM dataflows.runs WHERE workflow = 'region-report' GROUP BY state) s" \
	"completed 6, rolled_back 3"
sql "SELECT dataflows.unschedule('monthly-report');"
PGUSER=postgres must "no job is left in pg_cron" "SELECT count(*) FROM cron.job" 0
must_nothing_open
