# The stage of demo.sh and of the examples: a throwaway server, the systems, and
# the telling.  Sourced by bash after lib.sh, from the top of the tree; $work is
# the directory in which everything lives.  What a story promises is asked for
# with expect and must: if it is not so, the story fails.

if [ -n "${DF_COLOR:-}" ] || [ -t 1 ]; then
	bold=$'\e[1m' dim=$'\e[2m' green=$'\e[32m' blue=$'\e[34m' red=$'\e[31m' plain=$'\e[0m' \
		pause=${DF_PAUSE:-1}
	export DF_COLOR=1
else
	bold='' dim='' green='' blue='' red='' plain='' pause=${DF_PAUSE:-0}
fi
export DF_PAUSE=$pause

# ---- the server and the systems ---------------------------------------------------

# start_server [library ...]: the database shop on a socket; libraries are preloaded besides
start_server()
{
	local library preload=dataflows

	for library in "$@"; do preload=$preload,$library; done
	initdb -D "$work/data" -U postgres -A trust -E UTF8 --no-locale >"$work/initdb.log"
	cat >>"$work/data/postgresql.conf" <<-CONF
	shared_preload_libraries = '$preload'
	listen_addresses = ''
	unix_socket_directories = '$work/tmp'
	max_worker_processes = 16
	cron.database_name = 'shop'
	cron.use_background_workers = on
	CONF
	pg_ctl -D "$work/data" -l "$work/server.log" -w start >/dev/null
	export PGHOST=$work/tmp PGPORT=5432 PGDATABASE=shop PGUSER=app
	psql -X -q -U postgres -d postgres -c 'CREATE DATABASE shop' -c 'CREATE ROLE app LOGIN'
}

start_systems()
{
	# they end when this shell does, because their stdin is closed then
	mkfifo "$work/stdin"
	python3 test/systems/systems.py --port-file "$work/ports" --books "$work/books" --seed 1 \
		--with-stdin \
		<"$work/stdin" &
	exec 7>"$work/stdin"
	wait_for_file "$work/ports"
}

# a mail server besides, whose book is $work/mailbook
start_mail()
{
	mkfifo "$work/mail-stdin"
	python3 test/systems/smtp.py --port-file "$work/mail-ports" --book "$work/mailbook" \
		--certificate "$work/mail.pem" --with-stdin <"$work/mail-stdin" &
	exec 8>"$work/mail-stdin"
	wait_for_file "$work/mail-ports"
}

# start_vendors <name> ...: the systems of vendors that the connectors speak with, besides; from
# now on they have their addresses in $work/ports, too
start_vendors()
{
	mkfifo "$work/vendors-stdin"
	python3 test/systems/vendors.py --port-file "$work/vendors-port" --with-stdin "$@" \
		<"$work/vendors-stdin" &
	exec 9>"$work/vendors-stdin"
	wait_for_file "$work/vendors-port"
	python3 - "$work/ports" "$work/vendors-port" "$@" <<-'PYTHON'
	import json, sys
	urls, port = json.load(open(sys.argv[1])), json.load(open(sys.argv[2]))["port"]
	urls.update((name, "http://127.0.0.1:%d/%s" % (port, name)) for name in sys.argv[3:])
	json.dump(urls, open(sys.argv[1], "w"))
	PYTHON
}

wait_for_file()
{
	local i

	for ((i = 0; i < 200; i++)); do
		[ -e "$1" ] && return
		sleep 0.05
	done
	fail "the systems do not start"
}

stop_all()
{
	pg_ctl -D "$work/data" -m fast stop >/dev/null 2>&1 || true
	exec 7>&- 8>&- 9>&-
}

url() { python3 -c 'import json, sys; print(json.load(open(sys.argv[1]))[sys.argv[2]])' \
	"$work/ports" "$1"; }

# command_to <system> <path> <json>: a request to a test system, such as a command (see
# test/systems/README.md)
command_to()
{
	python3 - "$(url "$1")/$2" "$3" <<-'PYTHON'
	import sys, urllib.request as u
	u.urlopen(u.Request(sys.argv[1], sys.argv[2].encode(), {"Content-Type": "application/json"}))
	PYTHON
}

# tell <system> <rule>: the system misbehaves from now on
tell() { command_to "$1" _faults "$2"; }

# ---- telling ------------------------------------------------------------------------

scene() { printf '\n%s== %s%s\n' "$bold$blue" "$*" "$plain"; sleep "$pause"; }
tale() { printf '%s%s%s\n' "$dim" "$(fold -s -w 100 <<<"$*")" "$plain"; }

fail()
{
	printf '%s%s%s\n' "$red" "$*" "$plain" >&2
	psql -X -x -c 'SELECT * FROM dataflows.runs' -c 'SELECT * FROM dataflows.attempts' >&2 || true
	tail -n 30 "$work/server.log" >&2
	exit 1
}

# sql <statement> [role]: shown behind a prompt, then run
sql()
{
	printf '\n%sshop=>%s %s\n' "$green" "$plain" "$1"
	psql -X -q -v ON_ERROR_STOP=1 -P pager=off -P footer=off -U "${2:-app}" -c "$1"
	sleep "$pause"
}

ask() { psql -X -q -A -t -v ON_ERROR_STOP=1 -c "$1"; }

# books <address>: what the systems themselves say of it
books()
{
	printf '\n%swhat the four systems themselves have of %s%s\n' "$bold" "$1" "$plain"
	python3 - "$work/ports" "$1" <<-'PYTHON'
	import json, sys, urllib.request
	urls = json.load(open(sys.argv[1]))
	for name in ("identity", "billing", "crm", "email"):
	    with urllib.request.urlopen(urls[name] + "/_books") as answer:
	        found = [r for r in json.load(answer)["records"] if r["email"] == sys.argv[2]]
	    for record in found:
	        state = "deleted again" if record["deleted_at"] else "there"
	        print("  %-9s %-14s %s" % (name, record["id"], state))
	    if not found:
	        print("  %-9s nothing" % name)
	PYTHON
	sleep "$pause"
}

# expect <key> <state> [what it waits for]: the run of that key gets there within ten seconds
expect()
{
	local i state

	for ((i = 0; i < 200; i++)); do
		state=$(ask "SELECT concat_ws(' ', state, CASE WHEN '${3:-}' <> '' THEN waiting_for END)
			FROM dataflows.runs
			WHERE key = '$1' ORDER BY started_at DESC LIMIT 1")
		[ "$state" = "$2${3:+ $3}" ] && return
		sleep 0.05
	done
	fail "the run of \"$1\" is $state, not $2${3:+ for $3}"
}

run_of() { ask "SELECT run FROM dataflows.runs WHERE key = '$1' ORDER BY started_at DESC LIMIT 1"; }

# timeline <key>
timeline() { sql "SELECT * FROM dataflows.timeline('$(run_of "$1")');"; }

# ---- promises -----------------------------------------------------------------------

promise()
{
	[ "$2" = "$3" ] || fail "$1: it is \"$2\", not \"$3\""
	printf '%skept:%s %s\n' "$green" "$plain" "$1"
}

# must <what> <query> <answer>: our tables say so, within ten seconds
must()
{
	local i found

	for ((i = 0; i < 200; i++)); do
		found=$(ask "$2")
		[ "$found" = "$3" ] && break
		sleep 0.05
	done
	promise "$1" "$found" "$3"
}

# live <address>: records that are there and were ever there in identity, billing,
# crm and email, by their books: "1/1/1/0 of 1/1/1/0"
live()
{
	python3 - "$work/ports" "$1" <<-'PYTHON'
	import json, sys, urllib.request
	urls = json.load(open(sys.argv[1]))
	pairs = []
	for name in ("identity", "billing", "crm", "email"):
	    with urllib.request.urlopen(urls[name] + "/_summary") as answer:
	        pairs.append(json.load(answer).get(sys.argv[2], [0, 0]))
	print("/".join(str(p[1]) for p in pairs), "of", "/".join(str(p[0]) for p in pairs))
	PYTHON
}

# record <system> <address> <field>: what the system has there now
record()
{
	python3 - "$(url "$1")/_books" "$2" "$3" <<-'PYTHON'
	import json, sys, urllib.request
	with urllib.request.urlopen(sys.argv[1]) as answer:
	    records = json.load(answer)["records"]
	print(*(r["data"].get(sys.argv[3]) for r in records if r["email"] == sys.argv[2]))
	PYTHON
}

# must_live <what> <address> <as live prints>: the systems say so
must_live() { promise "$1" "$(live "$2")" "$3"; }

# must_nothing_open: nobody is needed, and no run is without a reason
must_nothing_open()
{
	must "no run is stuck, unexplained or under way, nothing is left to undo" "SELECT
		(SELECT count(*) FROM dataflows.stuck) + (SELECT count(*) FROM dataflows.unexplained)
		+ (SELECT count(*) FROM dataflows.pending_undo)
		+ (SELECT count(*) FROM dataflows.runs WHERE finished_at IS NULL)" 0
}
